#include "step_page.h"

#include <QAction>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QResizeEvent>
#include <QSplitter>
#include <QTabWidget>
#include <QTableWidget>
#include <QToolBar>
#include <QTreeWidget>
#include <QVBoxLayout>

#include <widgets/controls.h>
#include <widgets/session.h>
#include <widgets/theme.h>

#include "program_view.h"
#include "value_pane.h"

namespace orrery::plugins {

StepPage::StepPage(widgets::Session& session, QWidget* parent)
    : QWidget(parent), m_session(session), m_tools(new QToolBar), m_place(new QLabel), m_bar(new widgets::JobBar(session, tr("Progress of the run"))),
      m_splitter(new QSplitter(Qt::Vertical)), m_program(new ProgramView), m_values(new QTreeWidget), m_value(new ValuePane),
      m_watches(new QTableWidget), m_breakpoints(new QListWidget), m_watchLine(new QLineEdit), m_breakLine(new QLineEdit), m_editLine(new QLineEdit),
      m_prompt(new QLineEdit), m_console(new QPlainTextEdit), m_tabs(new QTabWidget)
{
    makeMoves();
    m_place->setObjectName(QStringLiteral("place"));
    m_place->setWordWrap(true);
    m_place->setMinimumHeight(2 * fontMetrics().lineSpacing());  // what follows does not jump when a stop takes two lines
    m_place->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_tabs->addTab(makeValues(), tr("&Values"));
    m_tabs->addTab(makeWatches(), tr("&Watches"));
    m_tabs->addTab(makeBreakpoints(), tr("&Breakpoints"));
    m_tabs->addTab(makeConsole(), tr("Pr&ompt"));
    m_tabs->setObjectName(QStringLiteral("stepTabs"));
    m_tabs->setDocumentMode(true);
    m_splitter->addWidget(m_program);
    m_splitter->addWidget(m_tabs);
    m_splitter->setStretchFactor(0, 1);
    m_splitter->setStretchFactor(1, 1);
    m_splitter->setChildrenCollapsible(false);
    // What the pages would like to have is more than a low window has: they take what there is.
    // What they hold changes with every step: a width of their own keeps the border between them where it is.
    m_program->setMinimumSize(100, 80);
    m_tabs->setMinimumSize(100, 140);
    for (QWidget* part : {static_cast<QWidget*>(m_program), static_cast<QWidget*>(m_tabs)})
        part->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Ignored);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(2, 2, 2, 2);
    layout->setSpacing(2);
    layout->addWidget(m_tools);
    layout->addWidget(m_bar);
    layout->addWidget(m_place);
    layout->addWidget(m_splitter, 1);
    setFocusProxy(m_program);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        Q_EMIT busyChanged(-1);
        if (m_bar->wasCancelled() && m_debug)
            perform([](DebugSession& debug, std::stop_token stop) { return debug.view(stop); }, {});
        updateMoves();
    });
    connect(m_program, &ProgramView::breakpointWanted, this,
            [this](int line, int visit) { perform([=](DebugSession& debug, std::stop_token) { return debug.toggleBreakpoint(line, visit); }, {}); });
    connect(m_program, &ProgramView::runToWanted, this, [this](int line, int visit) {
        perform([=](DebugSession& debug, std::stop_token stop) { return debug.runToLine(line, visit, stop); }, {});
    });
    connect(m_program, &ProgramView::lineChosen, this, [this](int line) {
        const auto& outputs = m_debug->lines().line(line).node->outputs;
        if (!outputs.empty())
            Q_EMIT valueChosen(QString::fromStdString(m_debug->lines().graph()->value(outputs[0]).name));
    });
    updateMoves();
}

StepPage::~StepPage() = default;

QAction* StepPage::addMove(const QString& text, const QKeySequence& shortcut, const QString& command, const QString& tooltip)
{
    auto* action = new QAction(text, this);
    action->setShortcut(shortcut);
    action->setShortcutContext(Qt::WidgetWithChildrenShortcut);
    action->setToolTip(shortcut.isEmpty() ? tooltip : QStringLiteral("%1 (%2)").arg(tooltip, shortcut.toString(QKeySequence::NativeText)));
    action->setObjectName(command);
    addAction(action);
    m_tools->addAction(action);
    m_moves << action;
    connect(action, &QAction::triggered, this, [this, command] { give(command); });
    return action;
}

void StepPage::makeMoves()
{
    m_tools->setToolButtonStyle(Qt::ToolButtonTextOnly);
    m_tools->setObjectName(QStringLiteral("moves"));
    addMove(tr("Over"), QKeySequence(Qt::Key_F10), QStringLiteral("next"), tr("Run the module call or node that begins here"));
    addMove(tr("Into"), QKeySequence(Qt::Key_F11), QStringLiteral("step"),
            tr("Enter the module call, loop or branch that begins here; run a plain node"));
    addMove(tr("Out"), QKeySequence(Qt::SHIFT | Qt::Key_F11), QStringLiteral("finish"), tr("Run to the end of the module call or loop"));
    addMove(tr("Node"), QKeySequence(Qt::Key_F8), QStringLiteral("node"), tr("Run one node"));
    addMove(tr("Continue"), QKeySequence(Qt::Key_F5), QStringLiteral("continue"), tr("Run to the next breakpoint or the end"));
    m_tools->addSeparator();
    addMove(tr("Back"), QKeySequence(Qt::SHIFT | Qt::Key_F10), QStringLiteral("back"), tr("One node back; nothing is computed"));
    addMove(tr("Reverse"), QKeySequence(Qt::SHIFT | Qt::Key_F5), QStringLiteral("reverse"), tr("Back to the breakpoint before"));
    addMove(tr("Restart"), QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_F5), QStringLiteral("restart"), tr("To the beginning"));
    m_tools->addSeparator();
    addMove(tr("Backward"), {}, QStringLiteral("backward"),
            tr("Gradients of the sum of the first output, in reverse order; type \"backward logits[0, 3]\" at "
               "the prompt for another number"));
    addMove(tr("Forward"), {}, QStringLiteral("forward"), tr("Leave the backward pass"));
    auto* toggle = new QAction(tr("Toggle breakpoint"), this);
    toggle->setShortcut(Qt::Key_F9);
    toggle->setShortcutContext(Qt::WidgetWithChildrenShortcut);
    addAction(toggle);
    connect(toggle, &QAction::triggered, this, [this] {
        if (m_debug && m_program->selectedLine() >= 0)
            Q_EMIT m_program->breakpointWanted(m_program->selectedLine(), m_program->selectedVisit());
    });
    auto* runTo = new QAction(tr("Run to cursor"), this);
    runTo->setShortcut(Qt::CTRL | Qt::Key_F10);
    runTo->setShortcutContext(Qt::WidgetWithChildrenShortcut);
    addAction(runTo);
    connect(runTo, &QAction::triggered, this, [this] {
        if (m_debug && m_program->selectedLine() >= 0)
            Q_EMIT m_program->runToWanted(m_program->selectedLine(), m_program->selectedVisit());
    });
}

QWidget* StepPage::makeValues()
{
    m_values->setObjectName(QStringLiteral("values"));
    m_values->setAccessibleName(tr("Values"));
    m_values->setHeaderLabels({tr("value"), tr("shape"), tr("min"), tr("max"), tr("mean"), tr("sd"), tr("not finite"), tr("type")});
    m_values->setUniformRowHeights(true);
    m_values->setRootIsDecorated(true);
    m_values->setIndentation(11);  // modules are deep, and what is right of the name is what one looks for
    m_values->setAlternatingRowColors(true);
    connect(m_values, &QTreeWidget::currentItemChanged, this, [this](QTreeWidgetItem* item) {
        if (!item || item->data(0, Qt::UserRole).toString().isEmpty())
            return;
        m_follows.clear();  // chosen by hand: it stays
        showValue(item->data(0, Qt::UserRole).toString());
        Q_EMIT valueChosen(item->data(0, Qt::UserRole).toString());
    });
    m_editLine->setObjectName(QStringLiteral("edit"));
    m_editLine->setAccessibleName(tr("New value"));
    m_editLine->setPlaceholderText(tr("set the number at the cursor: 0.5;  or [0, :3] = 1;  *= 2;  = load FILE.npy"));
    m_editLine->setToolTip(
        tr("Changes the chosen value and goes on from there: a number for the cell at the cursor, or what follows the name in \"set NAME\""));
    connect(m_editLine, &QLineEdit::returnPressed, this, &StepPage::editShown);
    auto* lower = new QWidget;
    auto* lowerLayout = new QVBoxLayout(lower);
    lowerLayout->setContentsMargins(0, 0, 0, 0);
    lowerLayout->setSpacing(2);
    lowerLayout->addWidget(m_value, 1);
    lowerLayout->addWidget(m_editLine);
    m_valueSplitter = new QSplitter(Qt::Vertical);
    m_values->setMinimumSize(100, 50);
    lower->setMinimumSize(100, 150);
    m_valueSplitter->addWidget(m_values);
    m_valueSplitter->addWidget(lower);
    m_valueSplitter->setStretchFactor(0, 1);
    m_valueSplitter->setStretchFactor(1, 1);
    m_valueSplitter->setChildrenCollapsible(false);
    return m_valueSplitter;
}

QWidget* StepPage::makeWatches()
{
    m_watches->setObjectName(QStringLiteral("watches"));
    m_watches->setAccessibleName(tr("Watches"));
    m_watches->setColumnCount(2);
    m_watches->setHorizontalHeaderLabels({tr("expression"), tr("value")});
    m_watches->horizontalHeader()->setStretchLastSection(true);
    m_watches->verticalHeader()->hide();
    m_watches->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_watches->setSelectionBehavior(QAbstractItemView::SelectRows);
    auto* remove = new QAction(tr("Remove watch"), m_watches);
    remove->setShortcut(Qt::Key_Delete);
    remove->setShortcutContext(Qt::WidgetShortcut);
    m_watches->addAction(remove);
    m_watches->setContextMenuPolicy(Qt::ActionsContextMenu);
    connect(remove, &QAction::triggered, this, [this] {
        if (m_watches->currentRow() >= 0)
            give(QStringLiteral("unwatch %1").arg(m_watches->currentRow() + 1));
    });
    m_watchLine->setObjectName(QStringLiteral("watchLine"));
    m_watchLine->setAccessibleName(tr("New watch"));
    m_watchLine->setPlaceholderText(tr("add: logits[0, :3], max(blocks.0.norm.layer_norm), mean(a - b)"));
    connect(m_watchLine, &QLineEdit::returnPressed, this, [this] { give(QStringLiteral("watch ") + m_watchLine->text(), m_watchLine); });
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(2, 2, 2, 2);
    layout->addWidget(m_watches, 1);
    layout->addWidget(m_watchLine);
    return page;
}

QWidget* StepPage::makeBreakpoints()
{
    m_breakpoints->setObjectName(QStringLiteral("breakpoints"));
    m_breakpoints->setAccessibleName(tr("Breakpoints"));
    auto* remove = new QAction(tr("Delete breakpoint"), m_breakpoints);
    remove->setShortcut(Qt::Key_Delete);
    remove->setShortcutContext(Qt::WidgetShortcut);
    m_breakpoints->addAction(remove);
    m_breakpoints->setContextMenuPolicy(Qt::ActionsContextMenu);
    connect(remove, &QAction::triggered, this, [this] {
        if (const auto* item = m_breakpoints->currentItem())
            give(QStringLiteral("delete %1").arg(item->data(Qt::UserRole).toInt()));
    });
    connect(m_breakpoints, &QListWidget::itemChanged, this, [this](QListWidgetItem* item) {
        give(QStringLiteral("%1 %2")
                 .arg(item->checkState() == Qt::Checked ? QStringLiteral("enable") : QStringLiteral("disable"))
                 .arg(item->data(Qt::UserRole).toInt()));
    });
    m_breakLine->setObjectName(QStringLiteral("breakLine"));
    m_breakLine->setAccessibleName(tr("New breakpoint"));
    m_breakLine->setPlaceholderText(tr("add: if nan;  op:softmax;  blocks.** if max > 5;  if grad.norm > 10"));
    m_breakLine->setToolTip(tr("A value, module, glob (* up to the next dot, ** across them) or op:NAME, and a condition: nan, inf, nonfinite, "
                               "shape, or a statistic (max, min, absmax, mean, std, norm, "
                               "sum, zeros) against a number"));
    connect(m_breakLine, &QLineEdit::returnPressed, this, [this] { give(QStringLiteral("break ") + m_breakLine->text(), m_breakLine); });
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(2, 2, 2, 2);
    layout->addWidget(m_breakpoints, 1);
    layout->addWidget(m_breakLine);
    return page;
}

QWidget* StepPage::makeConsole()
{
    m_console->setObjectName(QStringLiteral("console"));
    m_console->setAccessibleName(tr("Answers"));
    m_console->setReadOnly(true);
    m_console->setMaximumBlockCount(5000);
    m_console->setLineWrapMode(QPlainTextEdit::NoWrap);
    m_console->setFont(widgets::monospaceFont(this));
    m_prompt->setObjectName(QStringLiteral("prompt"));
    m_prompt->setAccessibleName(tr("Command"));
    m_prompt->setPlaceholderText(tr("a command: print logits[0], until blocks.1, set x *= 2, help"));
    m_prompt->setFont(m_console->font());
    connect(m_prompt, &QLineEdit::returnPressed, this, [this] { give(m_prompt->text(), m_prompt); });
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(2, 2, 2, 2);
    layout->addWidget(m_console, 1);
    layout->addWidget(m_prompt);
    return page;
}

void StepPage::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    const bool isWide = width() > 820;
    m_splitter->setOrientation(isWide ? Qt::Horizontal : Qt::Vertical);
    // Below the program there is more room beside than beneath.
    const auto orientation = !isWide && width() > 480 ? Qt::Horizontal : Qt::Vertical;
    if (m_valueSplitter->orientation() == orientation && m_isSplit)
        return;
    m_valueSplitter->setOrientation(orientation);
    // The numbers get half: what the list would like to have is all there is.
    m_valueSplitter->setSizes({1000, 1000});
    m_splitter->setSizes({1000, 1000});
    m_isSplit = true;
}

}  // namespace orrery::plugins
