#pragma once
#include <QString>
#include <array>
#include <memory>
#include <optional>

#include <widgets/latest_task.h>
#include <widgets/panel.h>

#include "expression_work.h"

class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QLineEdit;
class QPlainTextEdit;
class QPushButton;
class QTableWidget;

namespace orrery::widgets {
class GraphView;
class PlotView;
}  // namespace orrery::widgets

namespace orrery::plugins {

class VariableTable;

/// A formula is typed and looked at: its graph as typed, rewritten, differentiated; values with checks; the rules that were used; a curve over one variable.
class ExpressionPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit ExpressionPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~ExpressionPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override;
    std::optional<widgets::ReportItem> reportItem() const override;
    bool isIdle() const override;
    /// What is on show; null before the first formula.
    const ExpressionResult* result() const { return m_result.get(); }

protected:
    void showEvent(QShowEvent* event) override;

private:
    QWidget* makeContent();
    QWidget* makeEntry();
    QWidget* makeGraphs();
    QWidget* makeResults();
    QWidget* makeCurve();
    QTableWidget* makeTable(const char* name, const QStringList& columns, int stretched);
    void readVariables();
    void study();
    ExpressionRequest request() const;
    void present(std::shared_ptr<ExpressionResult> result);
    void showGraphs();
    void showValues();
    void showRules();
    void showText();
    void showCurve();
    void openAsModel();

    std::shared_ptr<ExpressionResult> m_result;
    QLineEdit* m_formula = nullptr;
    VariableTable* m_variables = nullptr;
    QPushButton *m_study = nullptr, *m_open = nullptr;
    std::array<widgets::GraphView*, 3> m_views{};
    std::array<QLabel*, 3> m_titles{};
    QTableWidget *m_values = nullptr, *m_rules = nullptr;
    QPlainTextEdit* m_text = nullptr;
    QComboBox* m_curveVariable = nullptr;
    QDoubleSpinBox *m_from = nullptr, *m_to = nullptr;
    widgets::PlotView* m_plot = nullptr;
    widgets::LatestTask m_task, m_writing;
};

}  // namespace orrery::plugins
