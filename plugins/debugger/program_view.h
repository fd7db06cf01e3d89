#pragma once
#include <QAbstractTableModel>
#include <QTableView>
#include <memory>
#include <vector>

#include "debug_session.h"

namespace orrery::plugins {

/// The lines of a model with module calls as headings, the position, breakpoints, and the steps of the loop that the position is in.
class ProgramModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Mark, Number, Text, ColumnCount };
    struct Row {
        int line = -1;   ///< -1: a heading
        int visit = -1;  ///< a step inside `line`
        int depth = 0;
        QString text;
        QString module;  ///< of the heading that it stands under
    };
    explicit ProgramModel(QObject* parent = nullptr) : QAbstractTableModel(parent) {}
    void setSession(const std::shared_ptr<DebugSession>& session);
    void setView(const DebugView& view);
    const Row* row(int index) const;
    /// The row of the position; -1 at the end.
    int currentRow() const { return m_current; }
    int rowOfLine(int line) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;

private:
    void rebuild();
    void updateCurrent();
    std::shared_ptr<DebugSession> m_session;
    DebugView m_view;
    QStringList m_visits, m_visitTexts;
    int m_visitLine = -1, m_current = -1;
    std::vector<Row> m_rows;
};

/// Click into the gutter, or F9: a breakpoint. Double click or Ctrl+F10: run to there.
class ProgramView : public QTableView {
    Q_OBJECT
public:
    explicit ProgramView(QWidget* parent = nullptr);
    void setSession(const std::shared_ptr<DebugSession>& session);
    void show(const DebugView& view);
    ProgramModel* program() const { return m_model; }
    int selectedLine() const;
    int selectedVisit() const;  ///< a step inside that line; -1: none
    void selectLine(int line);

Q_SIGNALS:
    void breakpointWanted(int line, int visit);
    void runToWanted(int line, int visit);
    void lineChosen(int line);

protected:
    void mousePressEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    void sizeColumns();
    ProgramModel* m_model;
};

}  // namespace orrery::plugins
