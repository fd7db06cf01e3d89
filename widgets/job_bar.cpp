#include "job_bar.h"

#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QPointer>
#include <QProgressBar>
#include <QPushButton>
#include <QTimer>

#include <core/base/text.h>
#include <core/jobs/job.h>

#include "session.h"

namespace orrery::widgets {
namespace {

/// Escape cancels the work of the panel in which the bar is seen, unless something in the panel has another use for the key.
class EscapeCancels : public QObject {
public:
    explicit EscapeCancels(JobBar& bar) : QObject(&bar), m_bar(bar) { bar.installEventFilter(this); }

    bool eventFilter(QObject* watched, QEvent* event) override
    {
        if (watched == &m_bar && event->type() == QEvent::Show)
            watchPanel();
        // Keys that no child took come up to the panel.
        if (watched != m_panel || event->type() != QEvent::KeyPress || static_cast<QKeyEvent*>(event)->key() != Qt::Key_Escape)
            return false;
        if (!m_bar.isRunning() || !m_bar.isVisible())
            return false;
        m_bar.cancel();
        return true;
    }

private:
    // Looked for late: a bar is often made before it is put into its panel.
    void watchPanel()
    {
        QWidget* panel = m_bar.parentWidget();
        while (panel && panel->parentWidget() && !panel->inherits("orrery::widgets::Panel"))
            panel = panel->parentWidget();
        if (panel == m_panel)
            return;
        if (m_panel)
            m_panel->removeEventFilter(this);
        if (panel)
            panel->installEventFilter(this);
        m_panel = panel;
    }

    JobBar& m_bar;
    QPointer<QWidget> m_panel;
};

}  // namespace

JobBar::JobBar(Session& session, const QString& name, QWidget* parent)
    : QWidget(parent), m_bar(new QProgressBar), m_left(new QLabel), m_button(new QPushButton(tr("Cancel"))), m_timer(new QTimer(this))
{
    m_bar->setAccessibleName(name);
    m_bar->setMinimumWidth(60);
    m_left->setAccessibleName(tr("Time left"));
    m_button->setObjectName(QStringLiteral("cancel"));
    m_button->setToolTip(tr("Stop this work (Escape); what has arrived stays"));
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_bar, 1);
    layout->addWidget(m_left);
    layout->addWidget(m_button);
    m_timer->setInterval(100);
    connect(m_timer, &QTimer::timeout, this, &JobBar::look);
    connect(m_button, &QPushButton::clicked, this, &JobBar::cancel);
    // Prompter than the timer when work ends.
    connect(&session, &Session::backgroundWorkChanged, this, &JobBar::look);
    new EscapeCancels(*this);
    hide();
}

JobBar::~JobBar()
{
    m_task.cancel();
}

void JobBar::follow(const BackgroundTask& task)
{
    cancel();
    m_task = task;
    m_following = true;
    m_cancelled = false;
    m_bar->setRange(0, 0);
    m_left->clear();
    m_left->hide();
    show();
    m_timer->start();
    look();
}

void JobBar::cancel()
{
    if (!m_following)
        return;
    m_task.cancel();
    end();
}

void JobBar::look()
{
    if (!m_following)
        return;
    if (!m_task.isRunning())
        return end();
    const jobs::Progress progress = m_task.progress();
    if (progress.total <= 0)
        return;
    constexpr double kFinest = 1e6;  // the bar counts in whole numbers
    const double scale = progress.total > kFinest ? kFinest / progress.total : 1;
    m_bar->setRange(0, std::max(1, int(progress.total * scale)));
    m_bar->setValue(int(progress.done * scale));
    m_left->setVisible(progress.secondsLeft.has_value());
    if (progress.secondsLeft)
        m_left->setText(tr("%1 left").arg(QString::fromStdString(core::formatDuration(*progress.secondsLeft))));
}

void JobBar::end()
{
    m_following = false;
    m_cancelled = m_task.wasCancelled();
    m_task = {};
    m_timer->stop();
    hide();
    Q_EMIT ended();
}

}  // namespace orrery::widgets
