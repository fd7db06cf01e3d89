#include "command_palette.h"

#include <QAction>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListWidget>
#include <QMenu>
#include <QPainter>
#include <QPointer>
#include <QSet>
#include <QStyledItemDelegate>
#include <QTimer>
#include <QVBoxLayout>
#include <QWidgetAction>
#include <algorithm>

#include "theme.h"

namespace orrery::widgets {
namespace {

/// The text without the mnemonic's ampersand. A name that only its menu explains ("Scaling" under Examples) has a longer one for the list.
QString plainText(const QAction* action)
{
    const QVariant longer = action->property("paletteText");
    QString text = longer.isValid() ? longer.toString() : action->text();
    text.replace(QStringLiteral("&&"), QStringLiteral("\1")).remove(QLatin1Char('&')).replace(QLatin1Char('\1'), QLatin1Char('&'));
    return text;
}

bool startsWord(const QString& text, qsizetype at)
{
    return at == 0 || !text[at - 1].isLetterOrNumber() || (text[at].isUpper() && text[at - 1].isLower());
}

constexpr int kShortcutRole = Qt::UserRole + 1;

/// Draws the shortcut at the right edge of a row.
class RowDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override
    {
        return QStyledItemDelegate::sizeHint(option, index).grownBy(QMargins(0, 3, 0, 3));
    }
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override
    {
        QStyledItemDelegate::paint(painter, option, index);
        painter->setPen(option.state & QStyle::State_Selected ? option.palette.color(QPalette::HighlightedText)
                                                              : themeColors(option.palette).mutedText);
        painter->drawText(option.rect.adjusted(0, 0, -8, 0), Qt::AlignRight | Qt::AlignVCenter, index.data(kShortcutRole).toString());
    }
};

class RowWidget : public QListWidgetItem {
public:
    RowWidget(QAction* action, QListWidget* list, int score, int order) : QListWidgetItem(list), action(action), m_score(score), m_order(order)
    {
        setText(plainText(action));
        setData(kShortcutRole, action->shortcut().toString(QKeySequence::NativeText));
        setIcon(action->icon());
        setToolTip(action->toolTip());
        if (!action->isEnabled())
            setForeground(themeColors(list->palette()).mutedText);
    }
    bool operator<(const QListWidgetItem& item) const override
    {
        const auto& other = static_cast<const RowWidget&>(item);
        const auto rank = [](const RowWidget& row) { return std::tuple(row.action && !row.action->isEnabled(), -row.m_score, row.m_order); };
        return rank(*this) < rank(other);
    }
    QPointer<QAction> action;

private:
    int m_score, m_order;
};

}  // namespace

std::optional<int> fuzzyScore(const QString& pattern, const QString& text)
{
    // Best score of pattern[..i] ending at text position j, letter by letter.
    constexpr int kNone = -1'000'000, kWordStart = 8, kRun = 12, kLetter = 1;
    const qsizetype n = pattern.size(), m = text.size();
    if (n == 0)
        return 0;
    std::vector<int> ends(std::size_t(m), kNone), next(std::size_t(m), kNone);
    for (qsizetype i = 0; i < n; ++i) {
        int bestBefore = i == 0 ? 0 : kNone;
        for (qsizetype j = 0; j < m; ++j) {
            next[std::size_t(j)] = kNone;
            if (pattern[i].toCaseFolded() == text[j].toCaseFolded() && bestBefore > kNone) {
                const int run = i > 0 && j > 0 && ends[std::size_t(j - 1)] > kNone ? ends[std::size_t(j - 1)] + kRun : kNone;
                next[std::size_t(j)] = std::max(bestBefore, run) + kLetter + (startsWord(text, j) ? kWordStart : 0);
            }
            if (i > 0)
                bestBefore = std::max(bestBefore, ends[std::size_t(j)]);
        }
        std::swap(ends, next);
    }
    const int best = *std::max_element(ends.begin(), ends.end());
    // Of equal matches the shorter text is meant.
    return best == kNone ? std::nullopt : std::optional(best * 100 - int(std::min<qsizetype>(m, 99)));
}

QList<QAction*> collectActions(QWidget* root)
{
    QList<QAction*> found;
    QSet<QAction*> seen;
    const std::function<void(QAction*)> add = [&](QAction* action) {
        if (!action || seen.contains(action) || action->isSeparator() || qobject_cast<QWidgetAction*>(action))
            return;
        seen.insert(action);
        if (QMenu* menu = action->menu()) {
            for (QAction* inner : menu->actions())
                add(inner);
            return;
        }
        if (!action->text().isEmpty())
            found << action;
    };
    for (QAction* action : root->actions())
        add(action);
    for (QAction* action : root->findChildren<QAction*>())
        add(action);
    for (const QWidget* widget : root->findChildren<QWidget*>())
        for (QAction* action : widget->actions())
            add(action);
    return found;
}

struct CommandPalette::Private {
    explicit Private(CommandPalette& palette) : q(palette) {}
    void refill();
    void runCurrent();

    CommandPalette& q;
    std::function<QList<QAction*>()> actions;
    QList<QPointer<QAction>> offered;
    QLineEdit* line = nullptr;
    QListWidget* list = nullptr;
};

void CommandPalette::Private::refill()
{
    list->clear();
    int order = 0;
    for (const QPointer<QAction>& action : offered)
        if (action)
            if (const std::optional<int> score = fuzzyScore(QString(line->text()).remove(QLatin1Char(' ')), plainText(action)))
                new RowWidget(action, list, *score, order++);
    list->sortItems();
    if (list->count() == 0) {
        auto* nothing = new QListWidgetItem(CommandPalette::tr("No command is called so"), list);
        nothing->setFlags(Qt::NoItemFlags);
        return;
    }
    list->setCurrentRow(0);
}

/// Runs after the dialog is gone: the action may open one of its own.
void CommandPalette::Private::runCurrent()
{
    auto* row = dynamic_cast<RowWidget*>(list->currentItem());
    if (!row || !row->action || !row->action->isEnabled())
        return;
    const QPointer<QAction> action = row->action;
    q.accept();
    // Not bound to the palette: one that is deleted when closed would be gone by then.
    QTimer::singleShot(0, action.data(), [action] { action->trigger(); });
}

CommandPalette::CommandPalette(std::function<QList<QAction*>()> actions, QWidget* parent) : QDialog(parent), d(std::make_unique<Private>(*this))
{
    d->actions = std::move(actions);
    setWindowTitle(tr("Commands"));
    setModal(true);
    d->line = new QLineEdit(this);
    d->line->setPlaceholderText(tr("Type to find a command"));
    d->line->setAccessibleName(tr("Command"));
    d->line->setClearButtonEnabled(true);
    d->line->installEventFilter(this);
    d->list = new QListWidget(this);
    d->list->setFocusPolicy(Qt::NoFocus);
    d->list->setUniformItemSizes(true);
    d->list->setItemDelegate(new RowDelegate(d->list));
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(8, 8, 8, 8);
    layout->addWidget(d->line);
    layout->addWidget(d->list);
    connect(d->line, &QLineEdit::textChanged, this, [this] { d->refill(); });
    connect(d->line, &QLineEdit::returnPressed, this, [this] { d->runCurrent(); });
    connect(d->list, &QListWidget::itemClicked, this, [this] { d->runCurrent(); });
}

CommandPalette::~CommandPalette() = default;

void CommandPalette::open()
{
    d->offered.clear();
    for (QAction* action : d->actions())
        if (action && action->isVisible() && !action->isSeparator() && !action->text().isEmpty())
            d->offered << action;
    d->line->clear();
    d->refill();
    d->line->setFocus();
    resize(560, 380);
    if (const QWidget* parent = parentWidget())
        move(parent->mapToGlobal(QPoint((parent->width() - width()) / 2, std::min(90, parent->height() / 6))));
    QDialog::open();
}

QStringList CommandPalette::shownTexts() const
{
    QStringList texts;
    for (int i = 0; i < d->list->count(); ++i)
        texts << d->list->item(i)->text();
    return texts;
}

/// Arrows move in the list while the line keeps the focus.
bool CommandPalette::eventFilter(QObject* watched, QEvent* event)
{
    if (watched != d->line || event->type() != QEvent::KeyPress)
        return QDialog::eventFilter(watched, event);
    const int key = static_cast<QKeyEvent*>(event)->key();
    const int page = std::max(1, d->list->height() / std::max(1, d->list->sizeHintForRow(0)) - 1);
    const int step = key == Qt::Key_Down ? 1 : key == Qt::Key_Up ? -1 : key == Qt::Key_PageDown ? page : key == Qt::Key_PageUp ? -page : 0;
    if (step == 0)
        return false;
    d->list->setCurrentRow(std::clamp(d->list->currentRow() + step, 0, std::max(0, d->list->count() - 1)));
    return true;
}

}  // namespace orrery::widgets
