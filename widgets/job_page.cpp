#include "job_page.h"

#include <QHBoxLayout>
#include <QPushButton>

#include <core/base/error.h>

namespace orrery::widgets {

JobPage::JobPage(Session& session, const QString& buttonText, const QString& progressName)
    : m_session(session), m_run(new QPushButton(buttonText)), m_bar(new JobBar(session, progressName)), m_row(new QHBoxLayout)
{
    m_run->setObjectName(QStringLiteral("run"));
    m_run->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    connect(m_run, &QPushButton::clicked, this, &JobPage::run);
    connect(m_bar, &JobBar::ended, this, [this] {
        updateButton();
        workEnded();
        Q_EMIT busyChanged(-1);
    });
    m_row->setContentsMargins(0, 0, 0, 0);
    m_row->addWidget(m_run);
    m_row->addWidget(m_bar, 1);
    m_row->addStretch(0);
    setFocusProxy(m_run);
}

void JobPage::updateButton()
{
    const QString why = whyNot();
    // While it works the button is off. Qt would give the focus to the next control, which a second key press would then set off: it waits in the page, where Escape still cancels.
    if (isRunning() && m_run->hasFocus() && parentWidget())
        parentWidget()->setFocus();
    m_run->setEnabled(why.isEmpty() && !isRunning());
    if (m_run->isEnabled() && parentWidget() && parentWidget()->hasFocus())
        m_run->setFocus();
    m_run->setToolTip(why.isEmpty() ? tr("Compute as a job") : why);
}

QString JobPage::commandOrNothing() const
{
    try {
        return command();
    } catch (const core::Error&) {
        return {};
    }
}

}  // namespace orrery::widgets
