#include "page.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QPushButton>

namespace orrery::plugins {

Page::Page(widgets::Session& session, const QString& buttonText, const QString& progressName)
    : m_session(session), m_run(new QPushButton(buttonText)), m_bar(new widgets::JobBar(session, progressName)), m_row(new QHBoxLayout)
{
    m_run->setObjectName(QStringLiteral("run"));
    m_run->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    connect(m_run, &QPushButton::clicked, this, &Page::run);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
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

void Page::setSubject(const OpenedPtr& subject, const RowChoice& choice)
{
    m_subject = subject;
    m_choice = choice;
    subjectChanged();
    updateButton();
}

void Page::updateButton()
{
    const QString why = !m_subject ? tr("Choose a model and data first") : whyNot();
    m_run->setEnabled(why.isEmpty() && !isRunning());
    m_run->setToolTip(why.isEmpty() ? tr("Compute as a job") : why);
}

intervene::Control Page::controlOf(widgets::BackgroundContext& context)
{
    intervene::Control control;
    control.stop = context.stopToken();
    control.progress = [&context](double done, double total, const char* unit) { context.progress(done, total, unit); };
    return control;
}

QComboBox* makeBox(const QString& name, const QString& tooltip)
{
    auto* box = new QComboBox;
    box->setAccessibleName(name);
    box->setToolTip(tooltip);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(6);
    return box;
}

QString textOf(const core::Json& state, const char* key, const QString& standard)
{
    return state.is_object() && state.contains(key) && state[key].is_string() ? QString::fromStdString(state[key].get<std::string>()) : standard;
}

int numberOf(const core::Json& state, const char* key, int standard)
{
    return state.is_object() && state.contains(key) && state[key].is_number_integer() ? state[key].get<int>() : standard;
}

core::Json objectOf(const core::Json& state, const char* key)
{
    return state.is_object() && state.contains(key) && state[key].is_object() ? state[key] : core::Json::object();
}

}  // namespace orrery::plugins
