#pragma once
#include <QString>
#include <QStringList>
#include <functional>

class QAction;
class QObject;

namespace orrery::widgets {

/// One argument quoted for a POSIX shell; plain words stay as they are.
QString shellQuoted(const QString& argument);
/// `orrery-cli` followed by the arguments, quoted.
QString cliCommand(const QStringList& arguments);

/// An action "Copy as command" that puts `command()` on the clipboard.
/// @param command  Asked when the action is triggered.
QAction* makeCopyAsCommandAction(QObject* parent, std::function<QString()> command);
/// Copies text and returns it; empty text leaves the clipboard alone.
QString copyAsCommand(const QString& command);

}  // namespace orrery::widgets
