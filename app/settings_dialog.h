#pragma once
#include <QDialog>

#include <core/base/schema.h>
#include <widgets/session.h>
#include <widgets/theme.h>

namespace orrery::app {

/// What can be set, in the one form of schema that everything has.
core::Schema settingsSchema();
/// Reads stored settings and applies them: theme, cores for jobs.
void applySettings(widgets::Session& session, widgets::Theme& theme);

/// Switches the theme and keeps the choice.
void chooseTheme(widgets::Theme& theme, widgets::ThemeChoice choice);

/// A form over `settingsSchema`; changes apply at once. UI thread.
class SettingsDialog : public QDialog {
    Q_OBJECT
public:
    SettingsDialog(widgets::Session& session, widgets::Theme& theme, QWidget* parent);
};

}  // namespace orrery::app
