#include "settings_dialog.h"

#include <QDialogButtonBox>
#include <QSettings>
#include <QVBoxLayout>
#include <thread>

#include <core/jobs/queue.h>
#include <widgets/schema_form.h>

namespace orrery::app {
namespace {

int machineCores()
{
    return std::max(1, int(std::thread::hardware_concurrency()));
}

core::Json storedSettings()
{
    const auto json = core::Json::parse(QSettings().value("settings").toByteArray().toStdString(), nullptr, false);
    return json.is_object() ? json : core::Json::object();
}

void store(const core::Json& settings)
{
    QSettings().setValue("settings", QByteArray::fromStdString(settings.dump()));
}

}  // namespace

core::Schema settingsSchema()
{
    return {core::choice("theme", {"system", "light", "dark"}, "system", "Colours of the window."),
            core::integer("cores", machineCores(), "Cores that jobs may use together.").range(1, machineCores())};
}

void applySettings(widgets::Session& session, widgets::Theme& theme)
{
    std::vector<core::Issue> issues;  // a setting from another version that does not fit falls back to its default
    const auto settings = settingsSchema().check(storedSettings(), "settings", issues);
    theme.setChoice(widgets::Theme::choiceFromText(QString::fromStdString(settings.value("theme", "system"))));
    session.jobs().setLimit(settings.value("cores", machineCores()));
}

void chooseTheme(widgets::Theme& theme, widgets::ThemeChoice choice)
{
    auto settings = storedSettings();
    settings["theme"] = widgets::Theme::choiceText(choice).toStdString();
    store(settings);
    theme.setChoice(choice);
}

SettingsDialog::SettingsDialog(widgets::Session& session, widgets::Theme& theme, QWidget* parent) : QDialog(parent)
{
    setWindowTitle(tr("Settings"));
    auto* layout = new QVBoxLayout(this);
    auto* form = new widgets::SchemaForm(this);
    form->setSchema(settingsSchema());
    form->setDocument(storedSettings());
    layout->addWidget(form);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
    layout->addWidget(buttons);
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    connect(form, &widgets::SchemaForm::edited, this, [form, &session, &theme] {
        if (!form->isValid())
            return;
        store(form->document());
        applySettings(session, theme);
    });
    resize(420, 220);
}

}  // namespace orrery::app
