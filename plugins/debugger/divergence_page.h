#pragma once
#include <widgets/job_page.h>

#include <core/debug/divergence.h>

#include "debug_session.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QSpinBox;
class QSplitter;

namespace orrery::widgets {
class PlotView;
class RowModel;
class TableView;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// Tab Divergence: the model against another one, another dtype, thread count or weights, value by value.
class DivergencePage : public widgets::JobPage {
    Q_OBJECT
public:
    explicit DivergencePage(widgets::Session& session);
    void setModel(const DebugModelPtr& model);
    const std::optional<debug::Divergence>& divergence() const { return m_result; }
    QWidget* picture() const;

    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

Q_SIGNALS:
    void valueChosen(const QString& name);

protected:
    void run() override;
    QString whyNot() const override;

private:
    void take(const debug::Divergence& result);
    std::optional<double> tolerance(const QLineEdit* line) const;
    DebugModelPtr m_model;
    std::optional<debug::Divergence> m_result;
    QLineEdit *m_other, *m_relative, *m_absolute;
    QComboBox* m_dtype;
    QSpinBox* m_threads;
    QCheckBox *m_all, *m_equalNan;
    QLabel* m_first;
    widgets::RowModel* m_rows;
    widgets::TableView* m_table;
    widgets::PlotView* m_plot;
    QSplitter* m_splitter;
};

}  // namespace orrery::plugins
