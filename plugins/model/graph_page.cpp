#include "graph_page.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QShortcut>
#include <QSignalBlocker>
#include <QStandardItemModel>
#include <QToolButton>
#include <QVBoxLayout>
#include <cmath>
#include <limits>
#include <set>

#include <widgets/controls.h>
#include <widgets/graph_view.h>

#include "node_text.h"

namespace orrery::plugins {
namespace {

using layout::Item;
using widgets::Gather;

/// What boxes can be coloured by.
struct ColourChoice {
    const char *id, *title, *unit;
    bool logarithmic;
    bool ofRun;            ///< another run gives other numbers
    bool needsStatistics;  ///< what opening the model has not measured
    Gather gather;
};

constexpr ColourChoice kColours[] = {
    {"family", QT_TRANSLATE_NOOP("GraphPage", "Operator"), "", false, false, false, Gather::Sum},
    {"parameters", QT_TRANSLATE_NOOP("GraphPage", "Parameters"), "", true, false, false, Gather::Sum},
    {"flops", QT_TRANSLATE_NOOP("GraphPage", "FLOPs"), "", true, false, false, Gather::Sum},
    {"time", QT_TRANSLATE_NOOP("GraphPage", "Time"), "\u00b5s", true, true, false, Gather::Sum},
    {"memory", QT_TRANSLATE_NOOP("GraphPage", "Memory"), "B", true, true, false, Gather::Sum},
    {"magnitude", QT_TRANSLATE_NOOP("GraphPage", "Mean |x|"), "", true, true, true, Gather::Largest},
    {"deviation", QT_TRANSLATE_NOOP("GraphPage", "Deviation"), "", true, true, true, Gather::Largest},
    {"zeros", QT_TRANSLATE_NOOP("GraphPage", "Zeros"), "", false, true, true, Gather::Largest},
    {"not_finite", QT_TRANSLATE_NOOP("GraphPage", "NaN, infinite"), "", false, true, true, Gather::Sum},
};

const char* const kColourHelp[] = {
    QT_TRANSLATE_NOOP("GraphPage", "What kind of operator it is"),
    QT_TRANSLATE_NOOP("GraphPage", "Parameters that are read"),
    QT_TRANSLATE_NOOP("GraphPage", "Floating-point operations on the example input"),
    QT_TRANSLATE_NOOP("GraphPage", "Time of the last run"),
    QT_TRANSLATE_NOOP("GraphPage", "Bytes of the values made in the last run"),
    QT_TRANSLATE_NOOP("GraphPage", "Mean magnitude of the values of a run"),
    QT_TRANSLATE_NOOP("GraphPage", "Standard deviation of the values of a run"),
    QT_TRANSLATE_NOOP("GraphPage", "Share of zeros among the values of a run"),
    QT_TRANSLATE_NOOP("GraphPage", "Values of a run that are not finite"),
};

QString translated(const char* text)
{
    return GraphPage::tr(text);
}

std::vector<double> numbersOf(const OpenedModel& opened, const RunStatistics* statistics, const std::string& id)
{
    std::vector<double> numbers;
    for (const auto& node : opened.inspection.nodes)
        numbers.push_back(id == "parameters" ? double(node.parameters)
                          : id == "flops"    ? double(node.flops)
                          : id == "time"     ? node.seconds * 1e6
                                             : double(node.bytes));
    if (!statistics)
        return numbers;
    if (id == "time" || id == "memory") {
        numbers = id == "time" ? statistics->seconds : statistics->bytes;
        for (auto& number : numbers)
            number *= id == "time" ? 1e6 : 1;
        return numbers;
    }
    return id == "magnitude"    ? statistics->meanMagnitude
           : id == "deviation"  ? statistics->deviation
           : id == "zeros"      ? statistics->zeros
           : id == "not_finite" ? statistics->notFinite
                                : numbers;
}

/// Nodes whose operator this build lacks have a colour of their own: they are why the model cannot be run.
widgets::GraphColours withUnknown(widgets::GraphColours colours, const layout::ItemTree& tree, const std::vector<std::size_t>& unknown)
{
    if (unknown.empty())
        return colours;
    const int family = int(colours.names.size());
    colours.names << GraphPage::tr("unknown operator");
    const std::set<std::size_t> numbers(unknown.begin(), unknown.end());
    for (std::size_t i = 0; i < tree.items().size(); ++i)
        if (tree.items()[i].kind == Item::Kind::Node && numbers.count(std::size_t(tree.items()[i].number)))
            colours.families[i] = family;
    return colours;
}

}  // namespace

GraphPage::GraphPage(widgets::Session& session, QWidget* parent)
    : QWidget(parent), m_session(session), m_view(new widgets::GraphView(session)), m_contentTask([this](int change) { Q_EMIT busyChanged(change); }),
      m_statisticsTask([this](int change) { Q_EMIT busyChanged(change); })
{
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(4);
    layout->addWidget(makeTools());
    layout->addWidget(m_view, 1);
    setFocusProxy(m_view);
    m_view->setObjectName(QStringLiteral("graph"));
    m_view->setToolTipText([this](int item) { return tooltipOf(item); });
    connect(m_view, &widgets::GraphView::currentChanged, this, [this](int item) {
        m_path = pathOf(item);
        Q_EMIT pathChosen(m_path);
    });
    connect(m_view, &widgets::GraphView::message, this, &GraphPage::message);
    connect(m_view, &widgets::GraphView::matchesChanged, this, [this] {
        const bool any = !m_search->text().trimmed().isEmpty();
        m_found->setText(any ? tr("%1 found").arg(m_view->found()) : QString());
        m_found->setVisible(any);
    });
    connect(m_view, &widgets::GraphView::idleChanged, this, [this, was = true]() mutable {
        if (const bool is = m_view->isIdle(); is != std::exchange(was, is))
            Q_EMIT busyChanged(is ? -1 : 1);
    });
}

GraphPage::~GraphPage() = default;

QWidget* GraphPage::makeTools()
{
    m_search = new QLineEdit;
    m_search->setPlaceholderText(tr("Find name, operator, shape, weight"));
    m_search->setAccessibleName(tr("Find in the graph"));
    m_search->setObjectName(QStringLiteral("graphSearch"));
    m_search->setClearButtonEnabled(true);
    m_search->setMinimumWidth(m_search->fontMetrics().averageCharWidth() * 16);
    m_search->setToolTip(tr("Find by name, operator, shape, weight that is read, attribute, or what the file says of it (Ctrl+F); Enter and F3 go to "
                            "the next, Shift+F3 to the previous"));
    connect(m_search, &QLineEdit::textChanged, this, &GraphPage::searchFor);
    connect(m_search, &QLineEdit::returnPressed, m_view, [this] { m_view->goToMatch(1); });
    for (const auto& [keys, direction] : {std::pair(QKeySequence(Qt::Key_F3), 1), {QKeySequence(Qt::SHIFT | Qt::Key_F3), -1}})
        connect(new QShortcut(keys, m_search, nullptr, nullptr, Qt::WidgetShortcut), &QShortcut::activated, m_view,
                [this, direction = direction] { m_view->goToMatch(direction); });
    connect(new QShortcut(QKeySequence::Find, this, nullptr, nullptr, Qt::WidgetWithChildrenShortcut), &QShortcut::activated, this,
            &GraphPage::focusSearch);
    m_found = new QLabel;
    m_found->setObjectName(QStringLiteral("found"));
    m_found->hide();
    m_colour = widgets::narrowBox(tr("Colours"), tr("What the colours of the boxes say"), 8);
    m_colour->setObjectName(QStringLiteral("colour"));
    for (std::size_t i = 0; i < std::size(kColours); ++i) {
        m_colour->addItem(translated(kColours[i].title), QString::fromLatin1(kColours[i].id));
        m_colour->setItemData(int(i), translated(kColourHelp[i]), Qt::ToolTipRole);
    }
    connect(m_colour, &QComboBox::currentIndexChanged, this, [this] {
        Q_EMIT failed({});
        applyColours();
    });
    m_arithmetic = new QCheckBox(tr("Sizes"));
    m_arithmetic->setObjectName(QStringLiteral("arithmetic"));
    m_arithmetic->setToolTip(tr("Also show nodes that compute no tensors: sizes, lists of numbers, conditions"));
    connect(m_arithmetic, &QCheckBox::toggled, this, &GraphPage::makeContent);
    auto* marks = new QToolButton;
    marks->setText(tr("Bookmarks"));
    marks->setPopupMode(QToolButton::InstantPopup);
    m_bookmarks = new QMenu(marks);
    marks->setMenu(m_bookmarks);
    connect(m_bookmarks, &QMenu::aboutToShow, this, &GraphPage::fillBookmarks);
    m_more = new QToolButton;
    m_more->setText(tr("More"));
    m_more->setPopupMode(QToolButton::InstantPopup);
    auto* menu = new QMenu(m_more);
    menu->addActions(m_view->viewActions());
    menu->addSeparator();
    menu->addActions(m_view->exportActions());
    m_more->setMenu(menu);
    auto* tools = new QWidget;
    auto* row = new QHBoxLayout(tools);
    row->setContentsMargins(0, 4, 0, 0);
    row->addWidget(m_search, 1);
    row->addWidget(m_found);
    for (auto* widget :
         {static_cast<QWidget*>(m_colour), static_cast<QWidget*>(m_arithmetic), static_cast<QWidget*>(marks), static_cast<QWidget*>(m_more)})
        row->addWidget(widget);
    return tools;
}

void GraphPage::focusSearch()
{
    m_search->setFocus();
    m_search->selectAll();
}

bool GraphPage::isIdle() const
{
    return m_view->isIdle() && !m_contentTask.isRunning() && !m_statisticsTask.isRunning();
}

void GraphPage::setOpened(const OpenedModelPtr& opened)
{
    const bool same = m_opened && opened && m_opened->argument == opened->argument;
    if (!same)
        m_views = viewsWithCurrent();
    m_opened = opened;
    m_union.reset();
    m_statistics.reset();
    m_statisticsTask.cancel();
    m_path.clear();
    if (m_wantedView && (!opened || opened->argument != m_wantedModel))
        m_wantedView.reset();
    if (!same)
        m_view->clear();
    for (const auto& each : m_views)
        if (opened && !same && !m_wantedView && each.at("model") == opened->argument.toStdString()) {
            m_wantedView = each.at("view");
            m_wantedModel = opened->argument;
        }
    if (opened)
        offerColours();
    makeContent();
}

void GraphPage::setUnion(std::shared_ptr<const compare::UnionItems> joined)
{
    if (m_union == joined)
        return;
    m_union = std::move(joined);
    makeContent();
}

void GraphPage::makeContent()
{
    m_contentTask.cancel();
    if (!m_opened)
        return m_view->clear();
    const auto before = m_view->content();
    const bool keeps = before && !m_wantedView;
    const QStringList opened = keeps ? m_view->openedPaths() : QStringList();
    const layout::ItemOptions options{m_arithmetic->isChecked()};
    m_contentTask.start(
        m_session, this,
        [model = m_opened, joined = m_union, font = m_view->font(), options](widgets::BackgroundContext&) {
            return widgets::makeGraphContent(*model->model->graph, model->inspection, font, joined ? joined->tree : nullptr, options,
                                             model->inputShapes);
        },
        [this, keeps, opened](const widgets::GraphContentPtr& content) {
            m_view->setContent(content, keeps ? std::optional(opened) : std::nullopt);
            if (m_wantedView)
                m_view->restoreState(*std::exchange(m_wantedView, {}));
            applyColours();
            searchFor(m_search->text());
            if (!m_path.isEmpty())
                setPath(m_path);
        },
        [this](const QString& text) { Q_EMIT failed(text); });
}

int GraphPage::itemOf(const QString& path) const
{
    if (!m_view->content() || !m_opened || path.isEmpty())
        return -1;
    const auto& tree = *m_view->content()->tree;
    const std::string name(graph::splitStep(path.toStdString()).first);
    if (const int item = tree.find(name); item > 0)
        return item;
    const auto& graph = *m_opened->model->graph;
    const auto value = graph.findValue(name);
    if (!value)
        return -1;
    if (const auto* maker = graph.producer(*value))
        return tree.find(maker->name);
    // A parameter is seen at the node that reads it.
    for (const auto* reader : graph.users(*value))
        if (const int item = tree.find(reader->name); item > 0)
            return item;
    return -1;
}

void GraphPage::setPath(const QString& path)
{
    m_path = path;
    // Of several boxes of one path (calls of one module, branches) the chosen one stays.
    if (m_view->content() && m_view->current() > 0 && pathOf(m_view->current()) == path)
        return;
    if (const int item = itemOf(path); item != m_view->current())
        m_view->setCurrent(item);
}

/// An output of the graph goes by the name of the value that it gives.
QString GraphPage::pathOf(int index) const
{
    const auto& item = m_view->content()->tree->item(index);
    const auto& outputs = m_opened->model->graph->data().body.outputs;
    if (item.kind == Item::Kind::Output && std::size_t(item.number) < outputs.size() && !outputs[std::size_t(item.number)].isConstant())
        return QString::fromStdString(m_opened->model->graph->value(outputs[std::size_t(item.number)].value).name);
    return QString::fromStdString(item.path);
}

void GraphPage::searchFor(const QString& text)
{
    m_view->search(text);
}

void GraphPage::applyColours()
{
    const auto& content = m_view->content();
    if (!content || !m_opened)
        return;
    if (m_union) {
        m_colour->setEnabled(false);
        return m_view->setColours(widgets::changeColours(m_union->changes));
    }
    m_colour->setEnabled(true);
    const auto& choice = kColours[std::size_t(std::max(0, m_colour->currentIndex()))];
    if (std::string_view(choice.id) == "family")
        return m_view->setColours(withUnknown(widgets::familyColours(*content->tree), *content->tree, m_opened->unknown));
    if (choice.needsStatistics && !m_statistics)
        return fetchStatistics();
    auto numbers = widgets::gathered(*content->tree, numbersOf(*m_opened, m_statistics ? &*m_statistics : nullptr, choice.id), choice.gather);
    if (std::string_view(choice.id) == "parameters")  // what several nodes inside read counts once
        for (std::size_t i = 0; i < numbers.size(); ++i)
            if (const auto& item = content->tree->items()[i];
                item.kind == Item::Kind::Module && item.number >= 0 && std::size_t(item.number) < m_opened->inspection.modules.size())
                numbers[i] = double(m_opened->inspection.modules[std::size_t(item.number)].parameters);
    QString title = translated(choice.title);
    if (choice.ofRun)  // which run they are of is part of what the numbers say
        title = QStringLiteral("%1, %2").arg(title, m_statistics ? m_statistics->where : tr("the card's example input"));
    m_view->setColours(widgets::numberColours(title, QString::fromUtf8(choice.unit), std::move(numbers), choice.logarithmic));
}

void GraphPage::forgetRun()
{
    m_statisticsTask.cancel();
    m_statistics.reset();
    applyColours();
}

void GraphPage::fetchStatistics()
{
    if (!m_request)
        return;
    m_statisticsTask.start(
        m_session, this, [request = m_request()](widgets::BackgroundContext& context) { return computeRunStatistics(request, context.stopToken()); },
        [this](RunStatistics statistics) {
            Q_EMIT message(tr("Values of %1").arg(statistics.where));
            m_statistics = std::move(statistics);
            applyColours();
        },
        [this](const QString& text) {
            showFamilies();
            applyColours();
            Q_EMIT failed(text);
        });
}

void GraphPage::showFamilies()
{
    const QSignalBlocker blocker(m_colour);
    m_colour->setCurrentIndex(0);
}

/// A model that cannot be run has no numbers of a run.
void GraphPage::offerColours()
{
    const bool runs = m_opened && m_opened->executor;
    auto* items = qobject_cast<QStandardItemModel*>(m_colour->model());
    for (std::size_t i = 0; items && i < std::size(kColours); ++i)
        items->item(int(i))->setEnabled(runs || (!kColours[i].ofRun && std::string_view(kColours[i].id) != "flops"));
    if (items && !items->item(std::max(0, m_colour->currentIndex()))->isEnabled())
        showFamilies();
}

void GraphPage::fillBookmarks()
{
    m_bookmarks->clear();
    for (const int item : m_view->bookmarks()) {
        const QString path = QString::fromStdString(m_view->content()->tree->item(item).path);
        connect(m_bookmarks->addAction(path), &QAction::triggered, this, [this, item, path] {
            m_view->setCurrent(item);
            Q_EMIT pathChosen(path);
        });
    }
    if (m_bookmarks->isEmpty())
        m_bookmarks->addAction(tr("None yet: Ctrl+B in the graph sets one"))->setEnabled(false);
}

QString GraphPage::tooltipOf(int index) const
{
    const auto& content = *m_view->content();
    const auto& item = content.tree->item(index);
    const auto& text = content.texts[std::size_t(index)];
    QStringList lines{item.path.empty() ? text.title : QString::fromStdString(item.path)};
    lines << (text.shape.isEmpty() ? text.type : QStringLiteral("%1 \u2192 %2").arg(text.type, text.shape));
    const bool isOwn = !m_union || index < m_union->firstItems;
    if (item.kind == Item::Kind::Node && isOwn) {
        const auto& node = m_opened->inspection.nodes[std::size_t(item.number)];
        if (node.parameters)
            lines << tr("%1 parameters").arg(shortCount(node.parameters));
        if (m_opened->inspection.wasRun)
            lines << costText(node, tr("bytes"));
        if (m_statistics && std::isfinite(m_statistics->meanMagnitude[std::size_t(item.number)]))
            lines << tr("mean |x| %1, deviation %2")
                         .arg(m_statistics->meanMagnitude[std::size_t(item.number)], 0, 'g', 4)
                         .arg(m_statistics->deviation[std::size_t(item.number)], 0, 'g', 4);
    }
    if (item.kind == Item::Kind::Module && item.number >= 0 && isOwn && std::size_t(item.number) < m_opened->inspection.modules.size()) {
        const auto& module = m_opened->inspection.modules[std::size_t(item.number)];
        lines << tr("%1 parameters, %2 FLOPs").arg(shortCount(module.parameters), shortCount(module.flops));
    }
    if (m_union)
        lines << QString::fromLatin1(compare::changeName(m_union->changes[std::size_t(index)]));
    if (item.isGroup())
        lines << tr("Double click opens and closes");
    return lines.join(QLatin1Char('\n'));
}

/// What is remembered, with the model on show at the end.
core::Json GraphPage::viewsWithCurrent() const
{
    constexpr std::size_t kMostViews = 20;
    core::Json views = core::Json::array();
    const bool any = m_opened && m_view->content() && !m_union;
    const std::string current = any ? m_opened->argument.toStdString() : std::string();
    for (const auto& each : m_views)
        if (each.at("model") != current)
            views.push_back(each);
    if (any)
        views.push_back({{"model", current}, {"view", m_wantedView ? *m_wantedView : m_view->saveState()}});
    while (views.size() > kMostViews)
        views.erase(views.begin());
    return views;
}

core::Json GraphPage::saveState() const
{
    return {{"colour", m_colour->currentData().toString().toStdString()},
            {"sizes", m_arithmetic->isChecked()},
            {"view", m_view->saveState()},
            {"views", viewsWithCurrent()},
            {"model", m_opened ? m_opened->argument.toStdString() : std::string()}};
}

void GraphPage::restoreState(const core::Json& state)
{
    if (const int index = m_colour->findData(widgets::stateText(state, "colour")); index >= 0)
        m_colour->setCurrentIndex(index);
    if (state.is_object() && state.contains("sizes") && state["sizes"].is_boolean())
        m_arithmetic->setChecked(state["sizes"].get<bool>());
    m_views = core::Json::array();
    if (state.is_object() && state.contains("views") && state["views"].is_array())
        for (const auto& each : state["views"])
            if (each.is_object() && each.contains("model") && each["model"].is_string() && each.contains("view") && each["view"].is_object())
                m_views.push_back(each);
    // Places in the picture belong to one model.
    const QString model = widgets::stateText(state, "model");
    if (model.isEmpty() || (m_opened && m_opened->argument != model))
        return;
    m_wantedModel = model;
    if (m_view->content() && !m_contentTask.isRunning())
        m_view->restoreState(widgets::stateObject(state, "view"));
    else
        m_wantedView = widgets::stateObject(state, "view");
}

}  // namespace orrery::plugins
