#include "commands.h"

#include <QAction>
#include <QClipboard>
#include <QGuiApplication>
#include <QRegularExpression>

namespace orrery::widgets {

QString shellQuoted(const QString& argument)
{
    static const QRegularExpression plain(QStringLiteral("^[A-Za-z0-9_@%+=:,./-]+$"));
    if (plain.match(argument).hasMatch())
        return argument;
    QString quoted = argument;
    quoted.replace(QLatin1Char('\''), QLatin1String("'\\''"));
    return QLatin1Char('\'') + quoted + QLatin1Char('\'');
}

QString cliCommand(const QStringList& arguments)
{
    QStringList words{QStringLiteral("orrery-cli")};
    for (const QString& argument : arguments)
        words << shellQuoted(argument);
    return words.join(QLatin1Char(' '));
}

QAction* makeCopyAsCommandAction(QObject* parent, std::function<QString()> command)
{
    auto* action = new QAction(QObject::tr("Copy as command"), parent);
    action->setToolTip(QObject::tr("Copy the orrery-cli line that does the same"));
    QObject::connect(action, &QAction::triggered, action, [command = std::move(command)] { copyAsCommand(command()); });
    return action;
}

QString copyAsCommand(const QString& command)
{
    if (!command.isEmpty())
        QGuiApplication::clipboard()->setText(command);
    return command;
}

}  // namespace orrery::widgets
