#pragma once
#include <QAbstractTableModel>
#include <QList>
#include <QString>
#include <QStringList>
#include <QVariant>
#include <QWidget>
#include <functional>
#include <memory>
#include <vector>

#include <core/base/json.h>

class QAction;
class QLineEdit;
class QTableView;

namespace orrery::widgets {

/// One column of a `RowModel`.
struct Column {
    QString id;  ///< stable name for saved state: `metrics.test/accuracy`
    QString title;
    QString tooltip;
    bool numeric = false;  ///< right-aligned, shown with `decimals` significant digits
    int digits = 6;
    bool shown = true;      ///< in the default choice of columns
    bool editable = false;  ///< edits arrive as `RowModel::cellEdited`
};

/// Rows of values in memory, made for 10,000 rows: filtering and sorting work on the values themselves, not through a proxy. UI thread.
/// Each row has an id that stays while its position changes.
class RowModel : public QAbstractTableModel {
    Q_OBJECT
public:
    struct Row {
        qint64 id = 0;
        QList<QVariant> cells;  ///< one a column; an invalid variant is shown empty and sorts last
        QString tooltip;
    };

    explicit RowModel(QObject* parent = nullptr);
    ~RowModel() override;
    void setColumns(QList<Column> columns);
    const QList<Column>& columns() const;
    int columnIndex(const QString& id) const;  ///< -1 if there is none
    /// Replaces all rows; selection in views survives by row id.
    void setRows(std::vector<Row> rows);
    /// Adds or replaces one row.
    void updateRow(Row row);
    void removeRow(qint64 id);
    int totalRows() const;
    /// Rows that contain every word of `text` in some cell (case-insensitive). `column:text` looks into one column, `column>0.9`, `column<3`,
    /// `column=x` compare.
    void setFilter(const QString& text);
    QString filter() const;
    qint64 rowId(int position) const;
    int positionOf(qint64 id) const;  ///< -1 if filtered out or unknown
    const Row* row(qint64 id) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    bool setData(const QModelIndex& index, const QVariant& value, int role = Qt::EditRole) override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;
    void sort(int column, Qt::SortOrder order = Qt::AscendingOrder) override;

Q_SIGNALS:
    void cellEdited(qint64 id, const QString& column, const QVariant& value);

private:
    void relayout(const std::function<void()>& change);

    struct Private;
    std::unique_ptr<Private> d;
};

/// A table over a `RowModel` with a filter line, sorting by header, a column chooser (right click on the header or its button), copy as CSV, and
/// saved state.
class TableView : public QWidget {
    Q_OBJECT
public:
    explicit TableView(QWidget* parent = nullptr);
    ~TableView() override;

    /// Does not take ownership.
    void setModel(RowModel* model);
    RowModel* model() const;
    QTableView* table() const;
    QLineEdit* filterEdit() const;
    /// Extra widgets and actions to the right of the filter line.
    void addToolWidget(QWidget* widget);
    void setPlaceholder(const QString& filterHint);
    /// What stands in place of rows where there are none; where the filter leaves none, it says so.
    void setEmptyText(const QString& text);

    QList<qint64> selectedIds() const;
    /// Emits nothing.
    void setSelectedIds(const QList<qint64>& ids);
    qint64 currentId() const;  ///< -1 if there is none
    bool isColumnShown(const QString& id) const;
    void setColumnShown(const QString& id, bool shown);
    /// Visible rows and columns with titles.
    QString toCsv() const;
    QAction* copyAction() const;
    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    void selectionChanged(const QList<qint64>& ids);
    /// A cell is being edited, or no longer: who fills the model may hold back new rows meanwhile.
    void editingChanged(bool editing);
    /// Enter or double click.
    void activated(qint64 id);
    void contextMenuRequested(qint64 id, const QPoint& globalPosition);

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
