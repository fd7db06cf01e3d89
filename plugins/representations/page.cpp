#include "page.h"

namespace orrery::plugins {

void Page::setSubject(const OpenedPtr& subject, const RowChoice& choice)
{
    m_subject = subject;
    m_choice = choice;
    subjectChanged();
    updateButton();
}

intervene::Control Page::controlOf(widgets::BackgroundContext& context)
{
    intervene::Control control;
    control.stop = context.stopToken();
    control.progress = [&context](double done, double total, const char* unit) { context.progress(done, total, unit); };
    return control;
}

}  // namespace orrery::plugins
