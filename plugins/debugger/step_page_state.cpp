// What the tab Step shows and does once its widgets are there.
#include <QAction>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QScrollBar>
#include <QTabWidget>
#include <QTableWidget>
#include <QTreeWidget>
#include <utility>

#include <widgets/controls.h>
#include <widgets/session.h>
#include <widgets/theme.h>

#include "program_view.h"
#include "step_page.h"
#include "value_pane.h"

namespace orrery::plugins {
namespace {

QString shortNumber(double value)
{
    return QString::number(value, 'g', 5);
}

void fillItem(QTreeWidgetItem* item, const DebugValueRow& row, bool gradient, const QPalette& palette)
{
    QString name = row.name;
    if (row.isEdited)
        name += QStringLiteral("  ✎");
    item->setText(0, name);
    item->setData(0, Qt::UserRole, row.name);
    item->setText(1, row.shape);
    const bool numbers = row.isTensor && !gradient;
    item->setText(2, numbers ? shortNumber(row.minimum) : row.text.left(60));
    item->setText(3, numbers ? shortNumber(row.maximum) : QString());
    item->setText(4, numbers ? shortNumber(row.mean) : QString());
    item->setText(5, row.isTensor ? shortNumber(row.deviation) : QString());
    item->setText(6, row.notFinite ? QString::number(row.notFinite) : QString());
    item->setText(7, row.dtype);
    item->setToolTip(0, row.op.isEmpty() ? row.name : QStringLiteral("%1 (%2)").arg(row.name, row.op));
    const QBrush ink = row.notFinite            ? QBrush(widgets::themeColors(palette).error)
                       : row.isKept || gradient ? QBrush()  // as the list writes
                                                : QBrush(widgets::themeColors(palette).mutedText);
    for (int column = 0; column < item->columnCount(); ++column) {
        if (ink.style() != Qt::NoBrush)
            item->setForeground(column, ink);
        if (column >= 2 && column <= 6)
            item->setTextAlignment(column, Qt::AlignRight | Qt::AlignVCenter);
    }
}

/// The item of a module path below the root, made where it is missing.
QTreeWidgetItem* moduleItem(QTreeWidget* tree, std::map<QString, QTreeWidgetItem*>& made, const QString& path)
{
    if (path.isEmpty())
        return tree->invisibleRootItem();
    if (const auto it = made.find(path); it != made.end())
        return it->second;
    const auto dot = path.lastIndexOf(QLatin1Char('.'));
    auto* item = new QTreeWidgetItem(moduleItem(tree, made, dot < 0 ? QString() : path.left(dot)), {path.mid(dot + 1)});
    item->setExpanded(true);
    QFont font = tree->font();
    font.setBold(true);
    item->setFont(0, font);
    made[path] = item;
    return item;
}

DebugMarks keptMarks(const core::Json& kept, const QString& model)
{
    for (const auto& each : kept)
        if (each.at("model") == model.toStdString())
            return DebugMarks::fromJson(each.at("marks"));
    return {};
}

}  // namespace

void StepPage::setModel(const DebugModelPtr& model)
{
    if (m_debug)
        m_before = m_debug;
    m_kept = keptWithCurrent();
    m_debug.reset();  // what is cancelled has nothing to show any more
    m_bar->cancel();
    m_reading.cancel();
    m_debug = model ? std::make_shared<DebugSession>(model) : nullptr;
    m_view = {};
    m_program->setSession(m_debug);
    fillValueRows();
    m_value->clear();
    m_follows.clear();
    m_place->clear();
    // Another input of the same model: what is looked for stays.
    const bool goesOn = m_debug && m_before && m_before->model()->subject.model == model->subject.model;
    if (m_debug && !goesOn)
        m_console->clear();
    fillLists();
    updateMoves();
    if (goesOn)
        perform([before = m_before](DebugSession& debug, std::stop_token stop) { return debug.takeOver(*before, stop); }, {});
    else if (m_debug)
        perform([marks = keptMarks(m_kept, model->subject.model)](DebugSession& debug, std::stop_token stop) { return debug.setMarks(marks, stop); },
                {});
}

/// What is looked for in the models that were open, with the present one at the end.
core::Json StepPage::keptWithCurrent() const
{
    constexpr std::size_t kMostModels = 20;
    const bool any = m_debug && !m_view.place.isEmpty();  // before the first answer nothing is known
    const std::string current = any ? m_debug->model()->subject.model.toStdString() : std::string();
    core::Json kept = core::Json::array();
    for (const auto& each : m_kept)
        if (!any || each.at("model") != current)
            kept.push_back(each);
    if (const DebugMarks marks = m_view.marks(); any && !marks.empty())
        kept.push_back({{"model", current}, {"marks", marks.toJson()}});
    while (kept.size() > kMostModels)
        kept.erase(kept.begin());
    return kept;
}

void StepPage::give(const QString& command, QLineEdit* typed)
{
    if (!m_debug || command.trimmed().isEmpty() || m_bar->isRunning())
        return;
    m_typed = typed;
    perform([command](DebugSession& debug, std::stop_token stop) { return debug.command(command, stop); }, command);
}

void StepPage::perform(std::function<DebugView(DebugSession&, std::stop_token)> work, const QString& command)
{
    if (!m_debug || m_bar->isRunning())
        return;
    Q_EMIT failed({});
    if (!command.isEmpty())
        m_console->appendPlainText(QStringLiteral("(orrery) ") + command);
    widgets::BackgroundOptions options;
    options.title = tr("Debugger: %1").arg(command.isEmpty() ? tr("look") : command);
    auto job = [debug = m_debug, work = std::move(work)](widgets::BackgroundContext& context) { return work(*debug, context.stopToken()); };
    m_bar->follow(m_session.runInBackground(
        this, std::move(job), [this](const DebugView& view) { take(view); },
        [this](const QString& text) {
            m_typed = nullptr;  // what was typed stays, to be mended
            m_console->appendPlainText(text);
            Q_EMIT failed(text);
        },
        options));
    Q_EMIT busyChanged(1);
    updateMoves();
}

void StepPage::take(const DebugView& view)
{
    m_view = view;
    if (auto* typed = std::exchange(m_typed, nullptr))
        typed->clear();
    if (!view.reply.isEmpty())
        m_console->appendPlainText(view.reply);
    m_console->horizontalScrollBar()->setValue(0);
    m_place->setText(view.place);
    m_place->setStyleSheet(view.reason == QLatin1String("failed") || view.reason == QLatin1String("condition")
                               ? QStringLiteral("color: %1").arg(widgets::themeColors(palette()).error.name())
                               : QString());
    m_program->show(view);
    fillValues();
    fillLists();
    updateMoves();
    Q_EMIT message(tr("%1 nodes run, %2 MiB kept").arg(view.nodesRun).arg(double(view.keptBytes) / (1 << 20), 0, 'f', 1));
}

void StepPage::addValueRow(const DebugValueRow& row)
{
    // Gradients come in the order of the backward pass, which folding into modules would hide.
    const auto dot = row.name.section(QLatin1Char('['), 0, 0).lastIndexOf(QLatin1Char('.'));
    auto* parent = m_view.backward ? m_values->invisibleRootItem() : moduleItem(m_values, m_modules, dot < 0 ? QString() : row.name.left(dot));
    auto* item = new QTreeWidgetItem(parent);
    fillItem(item, row, m_view.backward, palette());
    if (!m_view.backward && dot >= 0)
        item->setText(0, item->text(0).mid(dot + 1));
    m_items.push_back(item);
    m_rows.push_back(row);
}

/// A step adds a row or two at the end: only what is new is made.
void StepPage::fillValueRows()
{
    const auto& rows = m_view.values;
    const bool grows = m_rowsBackward == m_view.backward && m_rows.size() <= rows.size() && std::equal(m_rows.begin(), m_rows.end(), rows.begin());
    if (!grows) {
        m_values->clear();
        m_rows.clear();
        m_items.clear();
        m_modules.clear();
        m_rowsBackward = m_view.backward;
        m_values->setHeaderLabels({m_view.backward ? tr("gradient at") : tr("value"), tr("shape"), tr("min"), tr("max"), tr("mean"),
                                   m_view.backward ? tr("norm") : tr("sd"), tr("not finite"), tr("type")});
        for (const int column : {2, 3, 4, 7})
            m_values->setColumnHidden(column, m_view.backward);
    }
    const std::size_t before = m_rows.size();
    for (std::size_t i = before; i < rows.size(); ++i)
        addValueRow(rows[i]);
    if (before > 100)
        return;
    m_values->resizeColumnToContents(0);
    m_values->setColumnWidth(0, std::clamp(m_values->columnWidth(0), 120, 260));
    for (int column = 1; column < m_values->columnCount(); ++column)
        m_values->resizeColumnToContents(column);
}

void StepPage::fillValues()
{
    const QString chosen = m_wanted.isEmpty() ? m_value->shownName() : m_wanted;
    const QSignalBlocker blocker(m_values);
    m_values->setUpdatesEnabled(false);
    fillValueRows();
    m_values->setUpdatesEnabled(true);
    QTreeWidgetItem *last = m_items.empty() ? nullptr : m_items.back(), *wanted = nullptr;
    for (std::size_t i = 0; i < m_rows.size() && !wanted; ++i)
        if (m_rows[i].name == chosen)
            wanted = m_items[i];
    m_wanted.clear();
    // What was made last is what one wants to see, unless something else is being looked at.
    QTreeWidgetItem* shown = wanted && m_follows != chosen ? wanted : last;
    if (!shown)
        return m_value->clear();
    m_values->setCurrentItem(shown);
    m_values->scrollToItem(shown);
    const QString name = shown->data(0, Qt::UserRole).toString();
    if (shown == last)
        m_follows = name;
    showValue(name);
}

void StepPage::showValue(const QString& name)
{
    const auto row = std::find_if(m_view.values.begin(), m_view.values.end(), [&](const auto& each) { return each.name == name; });
    if (!m_debug || row == m_view.values.end()) {
        m_wanted = name;
        return;
    }
    if (row->isKept && !row->isTensor)
        return m_value->clear(QStringLiteral("%1 = %2").arg(name, row->text));
    m_reading.start(
        m_session, this, [debug = m_debug, name](widgets::BackgroundContext& context) { return debug->tensor(name, context.stopToken()); },
        [this](const DebugTensor& tensor) {
            m_value->show(tensor);
            updateMoves();
        },
        [this](const QString& text) { m_value->clear(text); });
}

void StepPage::fillLists()
{
    m_watches->setRowCount(int(m_view.watches.size()));
    for (int i = 0; i < int(m_view.watches.size()); ++i) {
        m_watches->setItem(i, 0, new QTableWidgetItem(m_view.watches[std::size_t(i)].first));
        m_watches->setItem(i, 1, new QTableWidgetItem(m_view.watches[std::size_t(i)].second));
    }
    m_watches->resizeColumnToContents(0);
    const QSignalBlocker blocker(m_breakpoints);
    m_breakpoints->clear();
    for (const auto& each : m_view.breakpoints) {
        auto* item = new QListWidgetItem(each.text, m_breakpoints);
        item->setFlags(item->flags() | Qt::ItemIsUserCheckable);
        item->setCheckState(each.enabled ? Qt::Checked : Qt::Unchecked);
        item->setData(Qt::UserRole, each.id);
    }
}

void StepPage::updateMoves()
{
    const bool ready = m_debug && !m_bar->isRunning();
    const bool back = m_view.backward, atStart = m_view.position == debug::Position{};
    for (auto* move : m_moves) {
        const QString name = move->objectName();
        const bool isBack = name == QLatin1String("back") || name == QLatin1String("reverse");
        const bool stays = name == QLatin1String("restart") || name == QLatin1String("backward");
        const bool possible = name == QLatin1String("forward") ? back
                              : stays                          ? true
                              : isBack                         ? back || !atStart
                              : back                           ? !m_view.backwardEnded
                                                               : !m_view.atEnd;
        move->setEnabled(ready && possible);
    }
    for (auto* line : {m_watchLine, m_breakLine, m_prompt})
        line->setEnabled(m_debug != nullptr);
    m_editLine->setEnabled(m_debug && !m_view.backward && !m_value->shownName().isEmpty());
}

/// A number alone goes to the cell at the cursor; anything else is what follows "set NAME".
void StepPage::editShown()
{
    const QString text = m_editLine->text().trimmed(), name = m_value->shownName();
    if (text.isEmpty() || name.isEmpty())
        return;
    bool isNumber = false;
    text.toDouble(&isNumber);
    QString rest = text;
    if (isNumber && !m_value->hasCurrentCell())
        return Q_EMIT failed(tr("Choose the cell among the numbers first, or write [0, 3] = %1").arg(text));
    if (isNumber) {
        QStringList index;
        for (const auto axis : m_value->currentIndex())
            index << QString::number(axis);
        rest =
            QStringLiteral("%1 = %2").arg(index.isEmpty() ? QString() : QLatin1Char('[') + index.join(QStringLiteral(", ")) + QLatin1Char(']'), text);
    }
    give(QStringLiteral("set %1%2%3").arg(name, rest.startsWith(QLatin1Char('[')) ? QString() : QStringLiteral(" "), rest), m_editLine);
}

void StepPage::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() != QEvent::PaletteChange || m_rows.empty())
        return;
    // The rows have colours of the theme before: all are made anew.
    m_values->clear();
    m_rows.clear();
    m_items.clear();
    m_modules.clear();
    fillValues();
}

QStringList StepPage::history() const
{
    return m_debug ? m_debug->history() : QStringList();
}

core::Json StepPage::saveState() const
{
    return {{"tab", m_tabs->currentIndex()}, {"models", keptWithCurrent()}};
}

void StepPage::restoreState(const core::Json& state)
{
    m_tabs->setCurrentIndex(std::clamp(widgets::stateInteger(state, "tab", 0), 0, m_tabs->count() - 1));
    m_kept = core::Json::array();
    if (state.is_object() && state.contains("models") && state["models"].is_array())
        for (const auto& each : state["models"])
            if (each.is_object() && each.contains("model") && each["model"].is_string() && each.contains("marks"))
                m_kept.push_back(each);
}

}  // namespace orrery::plugins
