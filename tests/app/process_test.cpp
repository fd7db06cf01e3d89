// The program `orrery` itself: options, exit status, pictures, reports, signals.
#include <QImage>
#include <QProcess>
#include <QStandardPaths>
#include <csignal>

#include "app_test.h"

using namespace orrery;

namespace {

struct Outcome {
    int status = -1;
    QString out, error;
};

Outcome outcomeOf(QProcess& process)
{
    if (!process.waitForFinished(120000))
        return {-2, {}, "did not end"};
    return {process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -3, QString::fromUtf8(process.readAllStandardOutput()),
            QString::fromUtf8(process.readAllStandardError())};
}

Outcome runProgram(const QStringList& arguments, const QStringList& withoutVariables = {})
{
    QProcess process;
    auto environment = QProcessEnvironment::systemEnvironment();
    for (const auto& name : withoutVariables)
        environment.remove(name);
    process.setProcessEnvironment(environment);
    process.start(ORRERY_PROGRAM, arguments);
    return outcomeOf(process);
}

QByteArray contentOf(const QString& name)
{
    QFile file(name);
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

/// The content of a PDF's streams, inflated, line by line.
QList<QByteArray> streamLines(const QByteArray& pdf)
{
    QList<QByteArray> lines;
    for (auto begin = pdf.indexOf("stream\n"); begin >= 0; begin = pdf.indexOf("stream\n", begin + 1)) {
        const auto end = pdf.indexOf("\nendstream", begin);
        if (end < 0)
            break;
        const auto raw = pdf.mid(begin + 7, end - begin - 7);
        // qUncompress expects a guess of the size in front.
        const auto plain = raw.startsWith('x') ? qUncompress(QByteArray("\0\x10\0\0", 4) + raw) : raw;
        lines += plain.split('\n');
        begin = end + 7;
    }
    return lines;
}

}  // namespace

class ProcessTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { QVERIFY(test::addTrainedRun(workspace()) == 1); }

    void screenshotHasTheSizeThatWasAsked()
    {
        const QString file = m_folder.filePath("a.png");
        const auto outcome = runProgram({workspace(), "--size", "1400x720", "--theme", "light", "--screenshot", file});
        QVERIFY2(outcome.status == 0, qPrintable(outcome.error));
        const QImage picture(file);
        QCOMPARE(picture.size(), QSize(1400, 720));
        QVERIFY(picture.pixelColor(3, 3).lightness() > 128);
    }

    void darkThemeIsDark()
    {
        const QString file = m_folder.filePath("b.png");
        const auto outcome = runProgram({workspace(), "--panel", "experiments", "--theme", "dark", "--size", "900x600", "--screenshot", file});
        QVERIFY2(outcome.status == 0, qPrintable(outcome.error));
        QVERIFY(QImage(file).pixelColor(3, 3).lightness() < 128);
    }

    void wrongUsageExitsWith2_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        const QString picture = m_folder.filePath("none.png"), report = m_folder.filePath("none.pdf");
        QTest::newRow("panel") << QStringList{workspace(), "--panel", "experiment", "--screenshot", picture}
                               << "there is no panel \"experiment\"; did you mean";
        QTest::newRow("size") << QStringList{"--size", "wide", "--screenshot", picture} << "--size: expected WIDTHxHEIGHT";
        QTest::newRow("small") << QStringList{"--size", "10x10", "--screenshot", picture} << "got \"10x10\"";
        QTest::newRow("theme") << QStringList{"--theme", "pink"} << "--theme";
        QTest::newRow("option") << QStringList{"--nothing"} << "--nothing";
        QTest::newRow("report run") << QStringList{workspace(), "--report", "99", "--out", report} << "99";
        QTest::newRow("report text") << QStringList{workspace(), "--report", "one", "--out", report} << "expected run numbers, got \"one\"";
        QTest::newRow("report file") << QStringList{workspace(), "--report", "1", "--out", "r.html"} << "expected a file ending in .pdf";
    }
    void wrongUsageExitsWith2()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        const auto outcome = runProgram(arguments);
        QCOMPARE(outcome.status, 2);
        QVERIFY2(outcome.error.contains(message), qPrintable(outcome.error));
        QVERIFY(!QFile::exists(m_folder.filePath("none.png")) && !QFile::exists(m_folder.filePath("none.pdf")));
    }

    void screenshotThatCannotBeWrittenExitsWith1()
    {
        const auto outcome = runProgram({"--screenshot", m_folder.filePath("no/such/folder/a.png")});
        QCOMPARE(outcome.status, 1);
        QVERIFY(outcome.error.contains("cannot write"));
    }

    void reportNeedsNoDisplayAndIsReproducible()
    {
        const QString first = m_folder.filePath("1.pdf"), second = m_folder.filePath("2.pdf");
        for (const auto& file : {first, second}) {
            const auto outcome = runProgram({workspace(), "--report", "1", "--out", file}, {"DISPLAY", "QT_QPA_PLATFORM"});
            QVERIFY2(outcome.status == 0, qPrintable(outcome.error));
            QCOMPARE(outcome.out, file + "\n");
        }
        const auto pdf = contentOf(first);
        QVERIFY(pdf.startsWith("%PDF-1.") && pdf.trimmed().endsWith("%%EOF"));
        // The time it was written is text on the first page, drawn letter by letter; nothing else may differ.
        const auto lines = streamLines(pdf), others = streamLines(contentOf(second));
        QVERIFY(lines.size() > 1000);
        QCOMPARE(others.size(), lines.size());
        int differing = 0;
        for (qsizetype i = 0; i < lines.size(); ++i)
            if (lines[i] != others[i]) {
                ++differing;
                QVERIFY2(lines[i].endsWith("Tj") && others[i].endsWith("Tj"), lines[i].left(200).constData());
            }
        QVERIFY2(differing <= 14, qPrintable(QString::number(differing)));
    }

    void terminationEndsCleanly()
    {
        QProcess process;
        process.start(ORRERY_PROGRAM, {workspace(), "--train", ORRERY_SOURCE_DIR "/projects/tabular/wine.yaml"});
        QVERIFY(process.waitForStarted());
        const auto store = store::Workspace::open(workspace().toStdString(), store::OpenMode::ReadOnly);
        QTRY_VERIFY_WITH_TIMEOUT(store->runs().runs.size() >= 2, 30000);
        process.terminate();
        const auto outcome = outcomeOf(process);
        QVERIFY2(outcome.status == 0, qPrintable(outcome.error));
        const auto status = store->run(2).status;
        QVERIFY2(status != store::RunStatus::Running && status != store::RunStatus::Failed, std::string(statusName(status)).c_str());
        // It ended well: the next start has nothing to tell.
        const auto next = runProgram({"--screenshot", m_folder.filePath("c.png")});
        QCOMPARE(next.status, 0);
        QVERIFY2(!next.error.contains("unexpectedly"), qPrintable(next.error));
    }

    void killedSessionIsRestored()
    {
        QProcess process;
        process.start(ORRERY_PROGRAM, {workspace()});
        QVERIFY(process.waitForStarted());
        const QString sessions = QStandardPaths::writableLocation(QStandardPaths::AppDataLocation) + "/sessions";
        const QString marker = QString("%1/%2.running").arg(sessions).arg(process.processId());
        QTRY_VERIFY_WITH_TIMEOUT(contentOf(marker) == workspace().toUtf8(), 30000);
        process.kill();
        QVERIFY(process.waitForFinished());
        const auto next = runProgram({"--screenshot", m_folder.filePath("d.png")});
        QCOMPARE(next.status, 0);
        QVERIFY2(next.error.contains("The last session ended unexpectedly"), qPrintable(next.error));
        QVERIFY(app::recentItems().contains(workspace()));
    }

private:
    QString workspace() const { return m_folder.filePath("w"); }
    QTemporaryDir m_folder;
};

int main(int argc, char** argv)
{
    return test::runAppTest<ProcessTest>(argc, argv);
}

#include "process_test.moc"
