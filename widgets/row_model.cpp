#include <QHash>
#include <QRegularExpression>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "table_view.h"

namespace orrery::widgets {
namespace {

/// One condition of the filter line.
struct Condition {
    enum class Kind { Contains, ColumnContains, Equal, Less, Greater, LessEqual, GreaterEqual } kind = Kind::Contains;
    int column = -1;
    QString text;
    double number = 0;
};

bool isEmpty(const QVariant& value)
{
    return !value.isValid() || value.isNull() || (value.typeId() == QMetaType::Double && std::isnan(value.toDouble()));
}

bool isNumeric(const QVariant& value)
{
    const int type = value.typeId();
    return type == QMetaType::Double || type == QMetaType::Int || type == QMetaType::LongLong || type == QMetaType::UInt ||
           type == QMetaType::ULongLong || type == QMetaType::Bool;
}

/// -1, 0, 1; texts by their numbers where both hold some ("run 9" before "run 10").
int compare(const QVariant& a, const QVariant& b)
{
    if (isNumeric(a) && isNumeric(b)) {
        const double x = a.toDouble(), y = b.toDouble();
        return x < y ? -1 : x > y ? 1 : 0;
    }
    const QString x = a.toString(), y = b.toString();
    qsizetype i = 0, j = 0;
    while (i < x.size() && j < y.size()) {
        if (x[i].isDigit() && y[j].isDigit()) {
            qsizetype endX = i, endY = j;
            while (endX < x.size() && x[endX].isDigit())
                ++endX;
            while (endY < y.size() && y[endY].isDigit())
                ++endY;
            const double nx = x.mid(i, endX - i).toDouble(), ny = y.mid(j, endY - j).toDouble();
            if (nx != ny)
                return nx < ny ? -1 : 1;
            i = endX;
            j = endY;
            continue;
        }
        const QChar cx = x[i++].toCaseFolded(), cy = y[j++].toCaseFolded();
        if (cx != cy)
            return cx < cy ? -1 : 1;
    }
    return x.size() - i < y.size() - j ? -1 : x.size() - i > y.size() - j ? 1 : 0;
}

}  // namespace

struct RowModel::Private {
    QString shown(const Row& row, int column) const;
    void parse(const QString& text);
    int columnNamed(const QString& name) const;
    bool matches(const Row& row) const;
    bool holds(const Condition& condition, const Row& row) const;
    bool before(const Row& a, const Row& b) const;
    void rebuildPositions();
    std::vector<int> computeOrder() const;
    void rebuildIndex();

    QList<Column> columns;
    std::vector<Row> rows;
    QHash<qint64, int> byId;       ///< id -> index in rows
    std::vector<int> order;        ///< position -> index in rows
    QHash<qint64, int> positions;  ///< id -> position
    QString filterText;
    std::vector<Condition> conditions;
    int sortColumn = -1;
    Qt::SortOrder sortOrder = Qt::AscendingOrder;
};

QString RowModel::Private::shown(const Row& row, int column) const
{
    const QVariant value = column < row.cells.size() ? row.cells[column] : QVariant();
    if (!value.isValid() || value.isNull())
        return {};
    if (value.typeId() == QMetaType::Double)
        return QString::number(value.toDouble(), 'g', columns[column].digits);
    return value.toString();
}

int RowModel::Private::columnNamed(const QString& name) const
{
    for (int i = 0; i < columns.size(); ++i)
        if (columns[i].id.compare(name, Qt::CaseInsensitive) == 0 || columns[i].title.compare(name, Qt::CaseInsensitive) == 0)
            return i;
    return -1;
}

void RowModel::Private::parse(const QString& text)
{
    static const QRegularExpression comparison(QStringLiteral("^([^<>=:]+)(<=|>=|<|>|=|:)(.+)$"));
    conditions.clear();
    for (const QString& word : text.split(QLatin1Char(' '), Qt::SkipEmptyParts)) {
        Condition condition{Condition::Kind::Contains, -1, word, 0};
        const QRegularExpressionMatch match = comparison.match(word);
        const int column = match.hasMatch() ? columnNamed(match.captured(1)) : -1;
        if (column >= 0) {
            const QString sign = match.captured(2);
            bool number = false;
            condition = {Condition::Kind::ColumnContains, column, match.captured(3), match.captured(3).toDouble(&number)};
            if (sign == "=")
                condition.kind = Condition::Kind::Equal;
            else if (sign != ":" && number)
                condition.kind = sign == "<"    ? Condition::Kind::Less
                                 : sign == ">"  ? Condition::Kind::Greater
                                 : sign == "<=" ? Condition::Kind::LessEqual
                                                : Condition::Kind::GreaterEqual;
        }
        conditions.push_back(condition);
    }
}

bool RowModel::Private::holds(const Condition& condition, const Row& row) const
{
    using Kind = Condition::Kind;
    if (condition.kind == Kind::Contains) {
        for (int column = 0; column < row.cells.size() && column < columns.size(); ++column)
            if (shown(row, column).contains(condition.text, Qt::CaseInsensitive))
                return true;
        return false;
    }
    const QVariant value = condition.column < row.cells.size() ? row.cells[condition.column] : QVariant();
    if (condition.kind == Kind::ColumnContains)
        return shown(row, condition.column).contains(condition.text, Qt::CaseInsensitive);
    if (condition.kind == Kind::Equal)
        return isNumeric(value) ? value.toDouble() == condition.number
                                : shown(row, condition.column).compare(condition.text, Qt::CaseInsensitive) == 0;
    if (isEmpty(value) || !isNumeric(value))
        return false;
    const double number = value.toDouble();
    return condition.kind == Kind::Less        ? number < condition.number
           : condition.kind == Kind::Greater   ? number > condition.number
           : condition.kind == Kind::LessEqual ? number <= condition.number
                                               : number >= condition.number;
}

bool RowModel::Private::matches(const Row& row) const
{
    return std::all_of(conditions.begin(), conditions.end(), [&](const Condition& condition) { return holds(condition, row); });
}

bool RowModel::Private::before(const Row& a, const Row& b) const
{
    const QVariant x = sortColumn < a.cells.size() ? a.cells[sortColumn] : QVariant();
    const QVariant y = sortColumn < b.cells.size() ? b.cells[sortColumn] : QVariant();
    if (isEmpty(x) || isEmpty(y))
        return !isEmpty(x) && isEmpty(y);
    const int order = compare(x, y);
    return sortOrder == Qt::AscendingOrder ? order < 0 : order > 0;
}

std::vector<int> RowModel::Private::computeOrder() const
{
    std::vector<int> result;
    result.reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (conditions.empty() || matches(rows[i]))
            result.push_back(int(i));
    if (sortColumn >= 0)
        std::stable_sort(result.begin(), result.end(), [&](int a, int b) { return before(rows[std::size_t(a)], rows[std::size_t(b)]); });
    return result;
}

void RowModel::Private::rebuildPositions()
{
    positions.clear();
    positions.reserve(qsizetype(order.size()));
    for (std::size_t i = 0; i < order.size(); ++i)
        positions.insert(rows[std::size_t(order[i])].id, int(i));
}

void RowModel::Private::rebuildIndex()
{
    byId.clear();
    byId.reserve(qsizetype(rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i)
        byId.insert(rows[i].id, int(i));
}

RowModel::RowModel(QObject* parent) : QAbstractTableModel(parent), d(std::make_unique<Private>())
{
}
RowModel::~RowModel() = default;

void RowModel::setColumns(QList<Column> columns)
{
    beginResetModel();
    const QString sorted = d->sortColumn >= 0 && d->sortColumn < d->columns.size() ? d->columns[d->sortColumn].id : QString();
    d->columns = std::move(columns);
    d->sortColumn = sorted.isEmpty() ? -1 : columnIndex(sorted);
    d->parse(d->filterText);
    d->order = d->computeOrder();
    d->rebuildPositions();
    endResetModel();
}

const QList<Column>& RowModel::columns() const
{
    return d->columns;
}

int RowModel::columnIndex(const QString& id) const
{
    for (int i = 0; i < d->columns.size(); ++i)
        if (d->columns[i].id == id)
            return i;
    return -1;
}

/// A layout change keeps the views' selection by persistent index; those are led by row id.
void RowModel::relayout(const std::function<void()>& change)
{
    Q_EMIT layoutAboutToBeChanged();
    const QModelIndexList old = persistentIndexList();
    std::vector<qint64> ids;
    for (const QModelIndex& index : old)
        ids.push_back(rowId(index.row()));
    change();
    d->order = d->computeOrder();
    d->rebuildPositions();
    QModelIndexList now;
    for (qsizetype i = 0; i < old.size(); ++i) {
        const int position = positionOf(ids[std::size_t(i)]);
        now << (position < 0 ? QModelIndex() : index(position, old[i].column()));
    }
    changePersistentIndexList(old, now);
    Q_EMIT layoutChanged();
}

void RowModel::setRows(std::vector<Row> rows)
{
    relayout([&] {
        d->rows = std::move(rows);
        d->rebuildIndex();
    });
}

/// Only the cells are announced where the row keeps its place: selections, scroll position and open editors stay.
void RowModel::updateRow(Row row)
{
    const auto known = d->byId.constFind(row.id);
    if (known == d->byId.constEnd())
        return relayout([&] {
            d->byId.insert(row.id, int(d->rows.size()));
            d->rows.push_back(std::move(row));
        });
    const int position = positionOf(row.id);
    d->rows[std::size_t(*known)] = std::move(row);
    const auto inPlace = [&] {
        if (position < 0 || !d->matches(d->rows[std::size_t(*known)]))
            return position < 0 && !d->matches(d->rows[std::size_t(*known)]);
        const auto at = [&](int p) -> const Row& { return d->rows[std::size_t(d->order[std::size_t(p)])]; };
        if (d->sortColumn < 0)
            return true;
        return (position == 0 || !d->before(at(position), at(position - 1))) &&
               (position + 1 >= int(d->order.size()) || !d->before(at(position + 1), at(position)));
    };
    if (!inPlace())
        return relayout([] {});
    if (position >= 0)
        Q_EMIT dataChanged(index(position, 0), index(position, int(d->columns.size()) - 1));
}

void RowModel::removeRow(qint64 id)
{
    relayout([&] {
        std::erase_if(d->rows, [&](const Row& row) { return row.id == id; });
        d->rebuildIndex();
    });
}

int RowModel::totalRows() const
{
    return int(d->rows.size());
}

void RowModel::setFilter(const QString& text)
{
    if (text == d->filterText)
        return;
    d->filterText = text;
    d->parse(text);
    relayout([] {});
}

QString RowModel::filter() const
{
    return d->filterText;
}
qint64 RowModel::rowId(int position) const
{
    return position >= 0 && position < int(d->order.size()) ? d->rows[std::size_t(d->order[std::size_t(position)])].id : -1;
}
int RowModel::positionOf(qint64 id) const
{
    return d->positions.value(id, -1);
}

const RowModel::Row* RowModel::row(qint64 id) const
{
    const auto found = d->byId.constFind(id);
    return found == d->byId.constEnd() ? nullptr : &d->rows[std::size_t(*found)];
}

int RowModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(d->order.size());
}
int RowModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : int(d->columns.size());
}

QVariant RowModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid() || index.row() >= int(d->order.size()) || index.column() >= d->columns.size())
        return {};
    const Row& row = d->rows[std::size_t(d->order[std::size_t(index.row())])];
    switch (role) {
    case Qt::DisplayRole: return d->shown(row, index.column());
    case Qt::EditRole: return index.column() < row.cells.size() ? row.cells[index.column()] : QVariant();
    case Qt::ToolTipRole: return row.tooltip.isEmpty() ? d->shown(row, index.column()) : row.tooltip;
    case Qt::TextAlignmentRole: return int(Qt::AlignVCenter) | int(d->columns[index.column()].numeric ? Qt::AlignRight : Qt::AlignLeft);
    default: return {};
    }
}

bool RowModel::setData(const QModelIndex& index, const QVariant& value, int role)
{
    if (role != Qt::EditRole || !index.isValid() || !d->columns[index.column()].editable || data(index, Qt::EditRole) == value)
        return false;
    Q_EMIT cellEdited(rowId(index.row()), d->columns[index.column()].id, value);
    return true;
}

QVariant RowModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || section < 0 || section >= d->columns.size())
        return {};
    const Column& column = d->columns[section];
    if (role == Qt::DisplayRole)
        return column.title;
    if (role == Qt::ToolTipRole)
        return column.tooltip.isEmpty() ? column.title : QStringLiteral("%1\n%2").arg(column.title, column.tooltip);
    return role == Qt::TextAlignmentRole ? QVariant(int(Qt::AlignVCenter) | int(column.numeric ? Qt::AlignRight : Qt::AlignLeft)) : QVariant();
}

Qt::ItemFlags RowModel::flags(const QModelIndex& index) const
{
    const Qt::ItemFlags base = QAbstractTableModel::flags(index);
    return index.isValid() && d->columns[index.column()].editable ? base | Qt::ItemIsEditable : base;
}

void RowModel::sort(int column, Qt::SortOrder order)
{
    d->sortColumn = column < d->columns.size() ? column : -1;
    d->sortOrder = order;
    relayout([] {});
}

}  // namespace orrery::widgets
