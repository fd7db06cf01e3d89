#pragma once
// What the tests of the command line share: a folder to work in, the binary run there, what it said.
#include <QProcess>
#include <QTemporaryDir>
#include <QTest>
#include <fmt/format.h>

#include <core/base/files.h>
#include <core/base/json.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

namespace orrery::test {

/// What one call left behind.
struct Answer {
    int status = -1;  ///< exit status; minus the signal if one ended it
    QString out, error;
    /// The one JSON document on standard output; anything before or behind it throws.
    core::Json json() const { return core::Json::parse(out.toStdString()); }
};

inline Answer answerOf(QProcess& process)
{
    if (!process.waitForFinished(120'000))
        process.kill();
    process.waitForFinished();
    Answer answer;
    answer.status = process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -process.exitCode();
    answer.out = QString::fromUtf8(process.readAllStandardOutput());
    answer.error = QString::fromUtf8(process.readAllStandardError());
    return answer;
}

/// A fresh folder in which `orrery-cli` runs. No workspace is named by the environment.
class Cli {
public:
    std::filesystem::path path(const std::string& name = {}) const { return std::filesystem::path(m_folder.path().toStdString()) / name; }
    void write(const std::string& name, std::string_view text) const { core::writeFileAtomically(path(name), text); }
    std::string read(const std::string& name) const { return core::readFile(path(name)); }
    bool has(const std::string& name) const { return std::filesystem::exists(path(name)); }
    void writeArray(const std::string& name, const at::Tensor& tensor) const { io::writeNpy(path(name), io::toArray(tensor)); }
    at::Tensor array(const std::string& name) const { return io::toTensor(io::readNpy(path(name))); }

    void start(QProcess& process, const QStringList& arguments) const
    {
        auto environment = QProcessEnvironment::systemEnvironment();
        environment.remove("ORRERY_WORKSPACE");
        process.setProcessEnvironment(environment);
        process.setWorkingDirectory(m_folder.path());
        process.start(ORRERY_CLI, arguments);
    }
    Answer run(const QStringList& arguments) const
    {
        QProcess process;
        start(process, arguments);
        return answerOf(process);
    }
    /// With one thread: the models here are tiny.
    Answer compute(const QStringList& arguments) const
    {
        return run(arguments.contains("--threads") ? arguments : arguments + QStringList{"--threads", "1"});
    }
    /// One thread, `--json`, exit status 0; fails the test by an exception otherwise.
    core::Json json(const QStringList& arguments) const
    {
        const auto answer = compute(arguments + QStringList{"--json"});
        if (answer.status != 0)
            throw std::runtime_error(qPrintable(QString("%1: status %2: %3").arg(arguments.join(' ')).arg(answer.status).arg(answer.error)));
        return answer.json();
    }
    QString project(const char* file) const { return QString(ORRERY_SOURCE_DIR "/projects/") + file; }

private:
    QTemporaryDir m_folder;
};

/// A row of a table of bad calls: status, and a part of what stands on standard error.
#define VERIFY_REFUSED(answer, wantedStatus, part)                                                                                                   \
    QVERIFY2((answer).error.contains(part), qPrintable("said: " + (answer).error + "\nexpected: " + QString(part)));                                 \
    QCOMPARE((answer).status, wantedStatus)

}  // namespace orrery::test
