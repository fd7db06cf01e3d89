#pragma once
#include <QTableWidget>

#include "cards.h"

namespace orrery::plugins {

/// The chosen methods as rows, with the numbers of their results: output, sum, completeness error, standard error, time, metrics. Delete removes the
/// chosen one, Alt+Up and Alt+Down move it. UI thread.
class MethodTable : public QTableWidget {
    Q_OBJECT
public:
    enum class Columns {
        All,
        Metrics  ///< the method and its metrics alone
    };
    explicit MethodTable(Cards& cards, Columns columns, QWidget* parent = nullptr);
    int chosen() const;  ///< id of a card; -1: none
    void choose(int id);
    /// Titles and numbers as shown, tab-free CSV.
    QString toCsv() const;

Q_SIGNALS:
    void cardChosen(int id);
    /// Enter or a double click.
    void cardActivated(int id);

protected:
    void keyPressEvent(QKeyEvent* event) override;

private:
    void rebuild();
    void fitColumns();
    void showRow(int row, const Card& card);
    int idOf(int row) const;

    Cards& m_cards;
    Columns m_columns;
    QStringList m_metrics;  ///< ids of the metrics that have a column
};

}  // namespace orrery::plugins
