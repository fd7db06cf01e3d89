#include "crash_guard.h"

#include <QCoreApplication>
#include <QDir>
#include <QFile>
#include <QStandardPaths>
#include <csignal>
#include <execinfo.h>
#include <fcntl.h>
#include <unistd.h>

namespace orrery::app {
namespace {

char reportPath[1024];

// Only functions that are safe in a signal handler: the stack as addresses with symbols, then the default action.
void onCrash(int signal)
{
    const int file = open(reportPath, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file >= 0) {
        void* frames[64];
        const int count = backtrace(frames, 64);
        backtrace_symbols_fd(frames, count, file);
        close(file);
    }
    std::signal(signal, SIG_DFL);
    raise(signal);
}

bool isAlive(qint64 process)
{
    return process > 0 && (kill(pid_t(process), 0) == 0 || errno == EPERM);
}

}  // namespace

CrashGuard::CrashGuard()
{
    const auto folder = QStandardPaths::writableLocation(QStandardPaths::AppDataLocation) + "/sessions";
    QDir().mkpath(folder);
    for (const auto& entry : QDir(folder).entryInfoList({"*.running"}, QDir::Files)) {
        const auto process = entry.completeBaseName().toLongLong();
        if (isAlive(process))
            continue;
        const auto report = folder + "/" + entry.completeBaseName() + ".crash.txt";
        m_lastCrash = QFile::exists(report)
                          ? QObject::tr("The last session ended unexpectedly. A report is in %1").arg(report)
                          : QObject::tr("The last session ended unexpectedly. Everything reported up to a second before is in the workspace.");
        QFile marker(entry.filePath());
        if (marker.open(QIODevice::ReadOnly))
            m_lastWorkspace = QString::fromUtf8(marker.readAll());
        marker.remove();
    }
    m_marker = QString("%1/%2.running").arg(folder).arg(QCoreApplication::applicationPid());
    setWorkspace({});
    const auto path = QFile::encodeName(QString("%1/%2.crash.txt").arg(folder).arg(QCoreApplication::applicationPid()));
    if (path.size() < int(sizeof reportPath))
        std::copy_n(path.constData(), path.size() + 1, reportPath);
    void* frames[1];
    backtrace(frames, 1);  // loads what it needs now, not in the handler
    for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL})
        std::signal(signal, onCrash);
}

void CrashGuard::setWorkspace(const QString& folder)
{
    QFile marker(m_marker);
    if (marker.open(QIODevice::WriteOnly))
        marker.write(folder.toUtf8());
}

CrashGuard::~CrashGuard()
{
    QFile::remove(m_marker);
}

}  // namespace orrery::app
