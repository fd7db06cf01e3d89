#include "patch_result.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QSignalBlocker>
#include <QSplitter>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <limits>

#include <widgets/heat_map_view.h>
#include <widgets/numbers.h>

namespace orrery::plugins {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

QTableWidget* makeClasses()
{
    auto* table = new QTableWidget(0, 4);
    table->setObjectName(QStringLiteral("classes"));
    table->setAccessibleName(QObject::tr("Answer of the patched run"));
    table->setHorizontalHeaderLabels({QObject::tr("Answer"), QObject::tr("Patched"), QObject::tr("Clean"), QObject::tr("Corrupted")});
    table->horizontalHeader()->setSectionResizeMode(QHeaderView::Stretch);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 6);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setTabKeyNavigation(false);
    return table;
}

QComboBox* makeChoice(const char* name, const QString& accessible)
{
    auto* box = new QComboBox;
    box->setObjectName(QString::fromLatin1(name));
    box->setAccessibleName(accessible);
    box->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    return box;
}

}  // namespace

PatchResultView::PatchResultView(QWidget* parent)
    : QWidget(parent), m_map(makeChoice("map", tr("Component shown"))), m_head(makeChoice("head", tr("Head shown"))),
      m_mapLabel(new QLabel(tr("Sho&w"))), m_headLabel(new QLabel(tr("&Head"))), m_place(new QLabel), m_heat(new widgets::HeatMapView),
      m_classes(makeClasses())
{
    m_mapLabel->setBuddy(m_map);
    m_headLabel->setBuddy(m_head);
    m_heat->setObjectName(QStringLiteral("heat"));
    m_heat->setAccessibleName(tr("Patching heat map"));
    m_heat->setMapKind(widgets::MapKind::Diverging);
    m_place->setObjectName(QStringLiteral("place"));
    m_place->setWordWrap(true);
    m_place->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    auto* choices = new QHBoxLayout;
    for (QWidget* each :
         {static_cast<QWidget*>(m_mapLabel), static_cast<QWidget*>(m_map), static_cast<QWidget*>(m_headLabel), static_cast<QWidget*>(m_head)})
        choices->addWidget(each);
    choices->addStretch(1);
    auto* below = new QWidget;
    auto* column = new QVBoxLayout(below);
    column->setContentsMargins(0, 0, 0, 0);
    column->addWidget(m_place);
    column->addWidget(m_classes, 1);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_heat);
    splitter->addWidget(below);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    splitter->setChildrenCollapsible(false);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(6, 2, 6, 6);
    layout->addLayout(choices);
    layout->addWidget(splitter, 1);
    connect(m_map, &QComboBox::currentIndexChanged, this, [this] {
        fillChoices();
        showMap();
    });
    connect(m_head, &QComboBox::currentIndexChanged, this, &PatchResultView::showMap);
    connect(m_heat, &widgets::HeatMapView::cellClicked, this, &PatchResultView::chooseCell);
    connect(m_heat, &widgets::HeatMapView::currentCellChanged, this, &PatchResultView::chooseCell);
    clear();
}

void PatchResultView::clear()
{
    m_sweep.reset();
    m_cells.clear();
    m_finished = 0;
    m_chosen.reset();
    const QSignalBlocker blocker(m_map);
    m_map->clear();
    fillChoices();
    m_heat->setMatrix({}, 0, 0);
    m_place->setText(tr("Press Run to patch every place in turn; then click a cell to see what that run answers."));
    m_classes->setRowCount(0);
}

void PatchResultView::start(const PatchSweepPtr& sweep)
{
    clear();
    m_sweep = sweep;
    m_heat->setValueTitle(sweep->patching->metric().document().value("normalised", false) ? tr("metric (clean 1)") : tr("metric"));
    const QSignalBlocker blocker(m_map);
    for (const auto& map : sweep->patching->maps()) {
        m_map->addItem(QString::fromStdString(map.component));
        m_cells.emplace_back(std::size_t(map.cells.numel()), kNone);
    }
    m_place->setText(tr("Click a cell to see what that run answers."));
    fillChoices();
    showMap();
}

// Heads without positions are the columns; with positions one head is shown at a time.
bool PatchResultView::headsAreColumns() const
{
    const auto& map = m_sweep->patching->maps()[std::size_t(m_map->currentIndex())];
    return map.byHead && map.unit.empty();
}

void PatchResultView::fillChoices()
{
    const QSignalBlocker blocker(m_head);
    const int kept = m_head->currentIndex();
    m_head->clear();
    const bool hasMap = m_sweep && m_map->currentIndex() >= 0;
    const bool chooses = hasMap && !headsAreColumns() && m_sweep->patching->maps()[std::size_t(m_map->currentIndex())].byHead;
    if (chooses)
        for (std::int64_t head = 0; head < m_sweep->patching->maps()[std::size_t(m_map->currentIndex())].heads; ++head)
            m_head->addItem(QString::number(head));
    m_head->setCurrentIndex(chooses ? std::clamp(kept, 0, m_head->count() - 1) : -1);
    for (QWidget* each : {static_cast<QWidget*>(m_head), static_cast<QWidget*>(m_headLabel)})
        each->setVisible(chooses);
    for (QWidget* each : {static_cast<QWidget*>(m_map), static_cast<QWidget*>(m_mapLabel)})
        each->setVisible(m_map->count() > 1);
}

void PatchResultView::addCells(const PatchSweep* sweep, const std::vector<intervene::PatchCell>& cells)
{
    if (!m_sweep || sweep != m_sweep.get())
        return;
    for (const auto& cell : cells) {
        const auto& map = m_sweep->patching->maps()[cell.map];
        const auto columns = std::int64_t(map.columns.size());
        m_cells[cell.map][std::size_t((cell.site * map.heads + cell.head) * columns + cell.column)] = cell.value;
    }
    m_finished += cells.size();
    showMap();
}

QStringList PatchResultView::rowLabels() const
{
    QStringList labels;
    for (const auto& site : m_sweep->patching->maps()[std::size_t(m_map->currentIndex())].sites)
        labels << QString::fromStdString(site);
    return labels;
}

void PatchResultView::showMap()
{
    if (!m_sweep || m_map->currentIndex() < 0)
        return;
    const auto index = std::size_t(m_map->currentIndex());
    const auto& map = m_sweep->patching->maps()[index];
    const auto& cells = m_cells[index];
    const auto sites = std::int64_t(map.sites.size()), units = std::int64_t(map.columns.size());
    const QSignalBlocker blocker(m_heat);
    const auto current = m_heat->currentCell();
    if (headsAreColumns()) {
        m_heat->setMatrix(cells, int(sites), int(map.heads));
        m_heat->setLabels(rowLabels(), {});
        m_heat->setAxisTitles(tr("layer"), tr("head"));
    } else {
        const std::int64_t head = std::max(0, m_head->currentIndex());
        std::vector<double> shown;
        for (std::int64_t site = 0; site < sites; ++site) {
            const auto from = cells.begin() + (site * map.heads + head) * units;
            shown.insert(shown.end(), from, from + units);
        }
        m_heat->setMatrix(std::move(shown), int(sites), int(units));
        m_heat->setLabels(rowLabels(), m_sweep->columnLabels[index]);
        m_heat->setAxisTitles(tr("layer"), QString::fromStdString(map.unit));
    }
    if (current && current->first < m_heat->rows() && current->second < m_heat->columns())
        m_heat->setCurrentCell(current->first, current->second);
}

std::optional<intervene::PatchCell> PatchResultView::cellAt(int row, int column) const
{
    if (!m_sweep || m_map->currentIndex() < 0 || row < 0 || column < 0 || row >= m_heat->rows() || column >= m_heat->columns())
        return std::nullopt;
    const double value = m_heat->value(row, column);
    if (std::isnan(value))
        return std::nullopt;
    const auto map = std::size_t(m_map->currentIndex());
    if (headsAreColumns())
        return intervene::PatchCell{map, row, column, 0, value};
    return intervene::PatchCell{map, row, std::max(0, m_head->currentIndex()), column, value};
}

void PatchResultView::chooseCell(int row, int column)
{
    const auto cell = cellAt(row, column);
    // A click is also a move of the cursor.
    const bool again = cell && m_chosen && m_chosen->map == cell->map && m_chosen->site == cell->site && m_chosen->head == cell->head &&
                       m_chosen->column == cell->column;
    if (!cell || again)
        return;
    m_chosen = cell;
    Q_EMIT cellChosen(*cell);
}

void PatchResultView::showClasses(const intervene::PatchCell& cell, const std::vector<ClassInRuns>& classes)
{
    m_place->setText(tr("%1: metric %2").arg(placeText(*m_sweep, cell)).arg(widgets::fixedNumber(cell.value, 4)));
    m_classes->setRowCount(int(classes.size()));
    for (int row = 0; row < int(classes.size()); ++row) {
        const auto& each = classes[std::size_t(row)];
        auto* name = new QTableWidgetItem(each.name);
        name->setToolTip(tr("class %1").arg(each.index));
        m_classes->setItem(row, 0, name);
        int column = 1;
        for (const double probability : {each.patched, each.clean, each.corrupted}) {
            auto* item = new QTableWidgetItem(widgets::fixedNumber(probability, 4));
            item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
            m_classes->setItem(row, column++, item);
        }
    }
}

void PatchResultView::select(const QString& value, std::optional<qint64> column)
{
    if (!m_sweep || m_map->currentIndex() < 0)
        return;
    const auto& map = m_sweep->patching->maps()[std::size_t(m_map->currentIndex())];
    auto [row, at] = m_heat->currentCell().value_or(std::pair{-1, -1});
    const auto site = std::find(map.values.begin(), map.values.end(), value.toStdString());
    if (site != map.values.end())
        row = int(site - map.values.begin());
    if (column && map.unit == "position")
        if (const auto place = std::find(map.columns.begin(), map.columns.end(), *column); place != map.columns.end())
            at = int(place - map.columns.begin());
    const QSignalBlocker blocker(m_heat);
    if (row >= 0 && at >= 0 && row < m_heat->rows() && at < m_heat->columns())
        m_heat->setCurrentCell(row, at);
}

int PatchResultView::mapIndex() const
{
    return m_map->currentIndex();
}

void PatchResultView::setMapIndex(int index)
{
    if (index >= 0 && index < m_map->count())
        m_map->setCurrentIndex(index);
}

}  // namespace orrery::plugins
