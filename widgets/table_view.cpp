#include "table_view.h"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QKeyEvent>
#include <QLineEdit>
#include <QMenu>
#include <QPainter>
#include <QSet>
#include <QSignalBlocker>
#include <QStyleOptionHeader>
#include <QTableView>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>

namespace orrery::widgets {
namespace {

/// Enter opens the current row, unless a cell is being edited. What is being typed is not replaced by news from the model.
class RowTable : public QTableView {
public:
    using QTableView::QTableView;
    std::function<void()> onEnter;
    std::function<QString()> emptyText;  ///< what stands where there are no rows
    std::function<void(bool editing)> onEditing;

    void dataChanged(const QModelIndex& topLeft, const QModelIndex& bottomRight, const QList<int>& roles) override
    {
        if (state() == EditingState)
            viewport()->update();
        else
            QTableView::dataChanged(topLeft, bottomRight, roles);
    }

protected:
    void paintEvent(QPaintEvent* event) override
    {
        QTableView::paintEvent(event);
        if (!model() || model()->rowCount() > 0)
            return;
        QPainter painter(viewport());
        painter.setPen(palette().color(QPalette::Disabled, QPalette::Text));
        painter.drawText(viewport()->rect().adjusted(8, 8, -8, -8), Qt::AlignHCenter | Qt::AlignTop | Qt::TextWordWrap, emptyText());
    }
    bool edit(const QModelIndex& index, EditTrigger trigger, QEvent* event) override
    {
        const bool begins = QTableView::edit(index, trigger, event);
        if (begins && state() == EditingState)
            onEditing(true);
        return begins;
    }
    void closeEditor(QWidget* editor, QAbstractItemDelegate::EndEditHint hint) override
    {
        QTableView::closeEditor(editor, hint);
        if (state() != EditingState)
            onEditing(false);
    }
    void keyPressEvent(QKeyEvent* event) override
    {
        if ((event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter) && state() != EditingState && onEnter)
            return onEnter();
        QTableView::keyPressEvent(event);
    }
};

/// Titles that are wider than their column end in "...": what Qt elides by itself leaves no room for the header's margins and the arrow of the sorted column,
/// so that their ends were cut.
class TitleHeader : public QHeaderView {
public:
    explicit TitleHeader(QWidget* parent) : QHeaderView(Qt::Horizontal, parent) {}

protected:
    void initStyleOptionForIndex(QStyleOptionHeader* option, int section) const override
    {
        QHeaderView::initStyleOptionForIndex(option, section);
        const int margin = style()->pixelMetric(QStyle::PM_HeaderMargin, option, this);
        const bool hasArrow = isSortIndicatorShown() && sortIndicatorSection() == section;
        const int arrow = hasArrow ? style()->pixelMetric(QStyle::PM_HeaderMarkSize, option, this) + margin : 0;
        option->text = option->fontMetrics.elidedText(model()->headerData(section, Qt::Horizontal).toString(), Qt::ElideMiddle,
                                                      std::max(0, sectionSize(section) - 2 * margin - arrow));
    }
};

QString csvField(QString text)
{
    if (text.contains(QLatin1Char(',')) || text.contains(QLatin1Char('"')) || text.contains(QLatin1Char('\n')))
        return QLatin1Char('"') + text.replace(QLatin1Char('"'), QStringLiteral("\"\"")) + QLatin1Char('"');
    return text;
}

}  // namespace

struct TableView::Private {
    explicit Private(TableView& view) : q(view) {}

    void setUp();
    void makeActions();
    void showColumnMenu(QPoint position);
    void applyDefaultColumns();
    void announce();

    TableView& q;
    RowModel* model = nullptr;
    RowTable* table = nullptr;
    QLineEdit* filter = nullptr;
    QHBoxLayout* tools = nullptr;
    QToolButton* columnButton = nullptr;
    QAction* copy = nullptr;
    QList<qint64> announced;
    core::Json columnState;  ///< restored before the columns are known
    QSet<QString> seen;      ///< columns whose default visibility has been applied
    bool quiet = false;
    QString emptyText;
};

void TableView::Private::setUp()
{
    filter = new QLineEdit(&q);
    filter->setClearButtonEnabled(true);
    filter->setPlaceholderText(tr("Filter: words, or column>0.9"));
    filter->setAccessibleName(tr("Filter rows"));
    columnButton = new QToolButton(&q);
    columnButton->setText(tr("Columns"));
    columnButton->setToolTip(tr("Choose the columns shown"));
    table = new RowTable(&q);
    table->emptyText = [this] { return model && model->totalRows() > 0 ? tr("No row fits the filter.") : emptyText; };
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setSelectionMode(QAbstractItemView::ExtendedSelection);
    table->setAlternatingRowColors(true);
    table->setShowGrid(false);
    table->setWordWrap(false);
    table->setTabKeyNavigation(false);
    table->setContextMenuPolicy(Qt::CustomContextMenu);
    table->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    // A fixed height keeps 10,000 rows as cheap as ten.
    table->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    table->verticalHeader()->setDefaultSectionSize(q.fontMetrics().height() + 8);
    table->verticalHeader()->hide();
    auto* header = new TitleHeader(table);
    table->setHorizontalHeader(header);
    header->setSectionsClickable(true);
    header->setSectionsMovable(true);
    table->setSortingEnabled(true);
    header->setHighlightSections(false);
    header->setContextMenuPolicy(Qt::CustomContextMenu);
    header->setSortIndicator(-1, Qt::AscendingOrder);
    tools = new QHBoxLayout;
    tools->setContentsMargins(4, 4, 4, 4);
    tools->setSpacing(6);
    tools->addWidget(filter, 1);
    tools->addWidget(columnButton);
    auto* layout = new QVBoxLayout(&q);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addLayout(tools);
    layout->addWidget(table, 1);
    q.setFocusProxy(table);
}

void TableView::Private::makeActions()
{
    copy = new QAction(tr("Copy table (CSV)"), &q);
    connect(copy, &QAction::triggered, &q, [this] { QApplication::clipboard()->setText(q.toCsv()); });
    connect(filter, &QLineEdit::textChanged, &q, [this](const QString& text) {
        if (model)
            model->setFilter(text);
        announce();
    });
    connect(columnButton, &QToolButton::clicked, &q, [this] { showColumnMenu(columnButton->mapToGlobal(QPoint(0, columnButton->height()))); });
    connect(table->horizontalHeader(), &QHeaderView::customContextMenuRequested, &q,
            [this](const QPoint& at) { showColumnMenu(table->horizontalHeader()->mapToGlobal(at)); });
    const auto activate = [this] {
        if (const qint64 id = q.currentId(); id >= 0)
            Q_EMIT q.activated(id);
    };
    table->onEnter = activate;
    table->onEditing = [this](bool editing) { Q_EMIT q.editingChanged(editing); };
    connect(table, &QTableView::doubleClicked, &q, activate);
    connect(table, &QTableView::customContextMenuRequested, &q, [this](const QPoint& at) {
        const QModelIndex index = table->indexAt(at);
        Q_EMIT q.contextMenuRequested(index.isValid() ? model->rowId(index.row()) : -1, table->viewport()->mapToGlobal(at));
    });
}

void TableView::Private::showColumnMenu(QPoint position)
{
    if (!model)
        return;
    QMenu menu(&q);
    for (const Column& column : model->columns()) {
        QAction* action = menu.addAction(column.title);
        action->setCheckable(true);
        action->setChecked(q.isColumnShown(column.id));
        connect(action, &QAction::triggered, &q, [this, id = column.id](bool on) { q.setColumnShown(id, on); });
    }
    menu.addSeparator();
    menu.addAction(copy);
    menu.exec(position);
}

/// Columns come and go with the runs on show; each gets its default, or what was restored for it, once.
void TableView::Private::applyDefaultColumns()
{
    const QList<Column>& columns = model->columns();
    for (int i = 0; i < columns.size(); ++i) {
        if (seen.contains(columns[i].id))
            continue;
        seen.insert(columns[i].id);
        const auto saved = columnState.find(columns[i].id.toStdString());
        const bool known = saved != columnState.end() && saved->is_object();
        table->setColumnHidden(i, known ? !saved->value("shown", columns[i].shown) : !columns[i].shown);
        if (known && saved->value("width", 0) > 8)
            table->setColumnWidth(i, saved->value("width", 0));
    }
}

void TableView::Private::announce()
{
    const QList<qint64> now = q.selectedIds();
    if (quiet || now == announced)
        return;
    announced = now;
    Q_EMIT q.selectionChanged(now);
}

TableView::TableView(QWidget* parent) : QWidget(parent), d(std::make_unique<Private>(*this))
{
    d->columnState = core::Json::object();
    d->setUp();
    d->makeActions();
}

TableView::~TableView() = default;

void TableView::setModel(RowModel* model)
{
    d->model = model;
    d->table->setModel(model);
    model->setFilter(d->filter->text());
    connect(d->table->selectionModel(), &QItemSelectionModel::selectionChanged, this, [this] { d->announce(); });
    connect(model, &QAbstractItemModel::modelReset, this, [this] { d->applyDefaultColumns(); });
    d->applyDefaultColumns();
}

RowModel* TableView::model() const
{
    return d->model;
}
QTableView* TableView::table() const
{
    return d->table;
}
QLineEdit* TableView::filterEdit() const
{
    return d->filter;
}
void TableView::addToolWidget(QWidget* widget)
{
    d->tools->addWidget(widget);
}
void TableView::setPlaceholder(const QString& filterHint)
{
    d->filter->setPlaceholderText(filterHint);
}
void TableView::setEmptyText(const QString& text)
{
    d->emptyText = text;
    d->table->viewport()->update();
}
QAction* TableView::copyAction() const
{
    return d->copy;
}

QList<qint64> TableView::selectedIds() const
{
    QList<qint64> ids;
    if (d->model && d->table->selectionModel())
        for (const QModelIndex& index : d->table->selectionModel()->selectedRows())
            ids << d->model->rowId(index.row());
    return ids;
}

void TableView::setSelectedIds(const QList<qint64>& ids)
{
    if (!d->model || QSet<qint64>(ids.begin(), ids.end()) == [&] {
            const auto now = selectedIds();
            return QSet<qint64>(now.begin(), now.end());
        }())
        return;
    QItemSelection selection;
    for (const qint64 id : ids)
        if (const int position = d->model->positionOf(id); position >= 0)
            selection.select(d->model->index(position, 0), d->model->index(position, d->model->columnCount() - 1));
    d->quiet = true;
    d->table->selectionModel()->select(selection, QItemSelectionModel::ClearAndSelect);
    if (!ids.isEmpty())
        if (const int position = d->model->positionOf(ids.front()); position >= 0) {
            int column = 0;
            while (column < d->model->columnCount() - 1 && d->table->isColumnHidden(column))
                ++column;
            d->table->selectionModel()->setCurrentIndex(d->model->index(position, column), QItemSelectionModel::NoUpdate);
        }
    d->quiet = false;
    d->announced = selectedIds();
}

qint64 TableView::currentId() const
{
    const QModelIndex index = d->table->currentIndex();
    return d->model && index.isValid() ? d->model->rowId(index.row()) : -1;
}

bool TableView::isColumnShown(const QString& id) const
{
    const int column = d->model ? d->model->columnIndex(id) : -1;
    return column >= 0 && !d->table->isColumnHidden(column);
}

void TableView::setColumnShown(const QString& id, bool shown)
{
    const int column = d->model ? d->model->columnIndex(id) : -1;
    if (column < 0)
        return;
    d->seen.insert(id);
    d->table->setColumnHidden(column, !shown);
    if (shown && d->table->columnWidth(column) < 20)
        d->table->setColumnWidth(column, 100);
}

QString TableView::toCsv() const
{
    if (!d->model)
        return {};
    const QHeaderView* header = d->table->horizontalHeader();
    QList<int> columns;
    for (int visual = 0; visual < header->count(); ++visual)
        if (const int column = header->logicalIndex(visual); !d->table->isColumnHidden(column))
            columns << column;
    QString csv;
    const auto line = [&](const std::function<QString(int)>& cell) {
        QStringList cells;
        for (const int column : columns)
            cells << csvField(cell(column));
        csv += cells.join(QLatin1Char(',')) + QLatin1Char('\n');
    };
    line([&](int column) { return d->model->columns()[column].title; });
    for (int row = 0; row < d->model->rowCount(); ++row)
        line([&](int column) { return d->model->index(row, column).data().toString(); });
    return csv;
}

core::Json TableView::saveState() const
{
    core::Json columns = d->columnState;
    if (d->model)
        for (int i = 0; i < d->model->columns().size(); ++i)
            columns[d->model->columns()[i].id.toStdString()] = {{"shown", !d->table->isColumnHidden(i)}, {"width", d->table->columnWidth(i)}};
    const QHeaderView* header = d->table->horizontalHeader();
    core::Json state = {{"columns", columns}, {"filter", d->filter->text().toStdString()}};
    if (d->model && header->sortIndicatorSection() >= 0 && header->sortIndicatorSection() < d->model->columns().size())
        state["sort"] = {{"column", d->model->columns()[header->sortIndicatorSection()].id.toStdString()},
                         {"descending", header->sortIndicatorOrder() == Qt::DescendingOrder}};
    return state;
}

void TableView::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    if (state.contains("columns") && state["columns"].is_object())
        d->columnState = state["columns"];
    d->seen.clear();
    if (d->model)
        d->applyDefaultColumns();
    if (state.contains("filter") && state["filter"].is_string())
        d->filter->setText(QString::fromStdString(state["filter"].get<std::string>()));
    if (!d->model || !state.contains("sort") || !state["sort"].is_object())
        return;
    const core::Json& sort = state["sort"];
    const auto name = sort.find("column");
    const int column = name != sort.end() && name->is_string() ? d->model->columnIndex(QString::fromStdString(name->get<std::string>())) : -1;
    const auto descending = sort.find("descending");
    if (column >= 0)
        d->table->sortByColumn(column, descending != sort.end() && descending->is_boolean() && descending->get<bool>() ? Qt::DescendingOrder
                                                                                                                       : Qt::AscendingOrder);
}

}  // namespace orrery::widgets
