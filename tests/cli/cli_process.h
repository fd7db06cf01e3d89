#pragma once
// Processes that are ended while they compute.
#include <QFile>
#include <QString>

#include <unistd.h>

namespace orrery::test {

/// Processor time that a running process has used.
inline double computedSeconds(qint64 process)
{
    QFile file(QStringLiteral("/proc/%1/stat").arg(process));
    if (!file.open(QIODevice::ReadOnly))
        return 0;
    const QByteArray text = file.readAll();
    const auto fields = text.mid(text.lastIndexOf(')') + 2).split(' ');
    return fields.size() < 13 ? 0 : (fields[11].toDouble() + fields[12].toDouble()) / double(sysconf(_SC_CLK_TCK));
}

}  // namespace orrery::test
