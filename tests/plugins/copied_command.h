#pragma once
// What "Copy as command" gave, run as it was copied.
#include <QProcess>
#include <QTemporaryDir>
#include <QTest>

#include <core/base/json.h>

namespace orrery::test {

/// Runs the line in an empty folder, with no workspace named by the environment, and `--json` behind it. @return null, and what it said in the log, unless it ended well.
inline core::Json answerToCopied(const QString& command, const QString& more = {})
{
    const QString program = QStringLiteral("orrery-cli");
    if (!command.startsWith(program)) {
        qWarning("no command: \"%s\"", qPrintable(command));
        return nullptr;
    }
    QTemporaryDir folder;
    auto environment = QProcessEnvironment::systemEnvironment();
    environment.remove("ORRERY_WORKSPACE");
    QProcess process;
    process.setProcessEnvironment(environment);
    process.setWorkingDirectory(folder.path());
    process.start("/bin/sh", {"-c", ORRERY_CLI + command.mid(program.size()) + " " + more + " --json"});
    const bool ended = process.waitForFinished(60000);
    const auto answer = core::Json::parse(process.readAllStandardOutput().toStdString(), nullptr, false);
    if (ended && process.exitStatus() == QProcess::NormalExit && !answer.is_discarded())
        return answer;
    qWarning("%s: status %d: %s", qPrintable(command), process.exitCode(), process.readAllStandardError().constData());
    return nullptr;
}

}  // namespace orrery::test
