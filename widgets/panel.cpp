#include "panel.h"

#include <QLabel>
#include <QScrollArea>
#include <QStackedLayout>
#include <QTimerEvent>
#include <QVBoxLayout>

#include "empty_state.h"
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
