#include "panel.h"

#include <QAbstractButton>
#include <QApplication>
#include <QLabel>
#include <QPointer>
#include <QScrollArea>
#include <QStackedLayout>
#include <QTimerEvent>
#include <QVBoxLayout>

#include "empty_state.h"
#include "model_source.h"
#include "report_item.h"
#include "session.h"

namespace orrery::widgets {
namespace {

/// What does not fit is scrolled to: a wide form in one panel must not keep the whole window wide.
class ContentArea : public QScrollArea {
public:
    using QScrollArea::QScrollArea;
    QSize minimumSizeHint() const override { return {200, 120}; }
    QSize sizeHint() const override { return widget() ? widget()->sizeHint() : QScrollArea::sizeHint(); }
};

QWidget* scrolled(QWidget* content)
{
    auto* area = new ContentArea;
    area->setFrameShape(QFrame::NoFrame);
    area->setWidgetResizable(true);
    area->setFocusPolicy(Qt::NoFocus);
    area->setWidget(content);
    return area;
}

/// Gives the focus back to the button that started some work. It is disabled, or has a Cancel button in its place, until the work ends; the focus went on to the next control then, where
/// a second Space would do something else.
class FocusKeeper : public QObject {
public:
    explicit FocusKeeper(QWidget& panel) : QObject(&panel), m_panel(panel) { connect(qApp, &QApplication::focusChanged, this, &FocusKeeper::follow); }
    bool eventFilter(QObject* watched, QEvent* event) override
    {
        if (watched == m_lost && (event->type() == QEvent::EnabledChange || event->type() == QEvent::Show))
            // Later: both may change in one go, and what has the focus may be about to be hidden.
            QMetaObject::invokeMethod(this, &FocusKeeper::giveBack, Qt::QueuedConnection);
        return false;
    }

private:
    /// A page that is turned away hides its buttons, too, but not each by itself.
    static bool takesFocus(const QWidget* widget) { return widget->isEnabled() && !widget->isHidden(); }
    void follow(QWidget* from, QWidget* to)
    {
        if (m_lost && from == m_went && from && !takesFocus(from) && to) {
            m_went = to;  // the Cancel button, hidden in its turn
            return;
        }
        if (m_lost && to != m_went)
            forget();  // somebody went on
        if (auto* button = qobject_cast<QAbstractButton*>(from); button && m_panel.isAncestorOf(button) && !takesFocus(button)) {
            forget();
            m_lost = button;
            m_went = to;
            button->installEventFilter(this);
        }
    }
    void giveBack()
    {
        if (!m_lost || !takesFocus(m_lost))
            return;
        QWidget* const button = m_lost;
        const bool isLeft = QApplication::focusWidget() == m_went;
        forget();
        if (isLeft)
            button->setFocus();
    }
    void forget()
    {
        if (m_lost)
            m_lost->removeEventFilter(this);
        m_lost.clear();
        m_went.clear();
    }

    QWidget& m_panel;
    QPointer<QWidget> m_lost, m_went;
};

/// How long a changed setting may stand beside an older result without a word, milliseconds.
constexpr int kOutdatedInterval = 300;

}  // namespace

Panel::Panel(QString id, QString title, Session& session, QWidget* parent)
    : QWidget(parent), m_id(std::move(id)), m_title(std::move(title)), m_session(session)
{
    setObjectName(m_id);
    m_band = new MessageBand(this);
    m_empty = new EmptyState(this);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    m_stack = new QStackedLayout;
    m_stack->addWidget(scrolled(m_empty));
    layout->addLayout(m_stack, 1);
    layout->addWidget(m_band);  // below: what the pointer is on does not move away when it comes or goes
    m_outdated = new QLabel(tr("The settings have changed since this result was computed."), this);
    m_outdated->setObjectName("outdated");
    m_outdated->setContentsMargins(6, 2, 6, 3);
    m_outdated->setWordWrap(true);
    QFont font = m_outdated->font();
    font.setBold(true);
    m_outdated->setFont(font);
    m_outdated->hide();
    layout->addWidget(m_outdated);
    m_outdatedTimer = startTimer(kOutdatedInterval);
    new FocusKeeper(*this);
    // What was wrong with one model is not wrong with the next. The derived panel hears of it afterwards.
    connect(&session, &Session::selectionChanged, this, [this, meant = modelArgument(session.selection())]() mutable {
        const QString now = modelArgument(m_session.selection());
        if (now.isEmpty() || now == meant)  // the same one, opened anew: the panel knows best
            return;
        meant = now;
        showError({});
    });
}

Panel::~Panel() = default;

void Panel::restoreState(const core::Json&)
{
}

std::optional<ReportItem> Panel::reportItem() const
{
    return std::nullopt;
}

void Panel::showEmptyState(const QString& title, const QString& whatToDo, const QList<QAction*>& actions)
{
    m_empty->setMessage(title, whatToDo, actions);
    m_stack->setCurrentIndex(0);
}

void Panel::showContent()
{
    if (m_stack->count() > 1)
        m_stack->setCurrentIndex(1);
}

bool Panel::isShowingEmptyState() const
{
    return m_stack->currentIndex() == 0;
}
void Panel::showError(const QString& text)
{
    m_band->setText(text);
}
QString Panel::errorText() const
{
    return m_band->text();
}

bool Panel::isShownOutdated() const
{
    return !m_outdated->isHidden();
}

void Panel::timerEvent(QTimerEvent* event)
{
    if (event->timerId() != m_outdatedTimer)
        return QWidget::timerEvent(event);
    if (!isVisible())
        return;
    const QString shown = isShowingEmptyState() ? QString() : shownCommand();
    QString now;
    try {
        now = shown.isEmpty() ? QString() : commandLine();
    } catch (const std::exception&) {
        // Nobody asked for it: what is typed need not make a command yet.
    }
    m_outdated->setVisible(!now.isEmpty() && now != shown);
    m_outdated->setToolTip(tr("On show is the result of: %1").arg(shown));
}

void Panel::setContent(QWidget* content)
{
    Q_ASSERT(m_stack->count() == 1);
    m_stack->addWidget(scrolled(content));
    setFocusProxy(content);
    showContent();
}

void Panel::addBusy(int change)
{
    m_busy += change;
    Q_ASSERT(m_busy >= 0);
    Q_EMIT idleChanged();
}

}  // namespace orrery::widgets
