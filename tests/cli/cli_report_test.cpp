// Report documents on the command line: adding, listing, ordering, writing, and what people and machines do wrong.
#include <csignal>

#include <QRegularExpression>
#include <QtTest>
#include <sys/mount.h>
#include <unistd.h>

#include <core/io/image.h>
#include <core/store/reports.h>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

class CliReportTest : public QObject {
    Q_OBJECT

    std::unique_ptr<test::Cli> m_cli;

    test::Answer run(const QStringList& arguments) const { return m_cli->run(arguments + QStringList{"--workspace", "w"}); }
    Json json(const QStringList& arguments) const { return m_cli->json(arguments + QStringList{"--workspace", "w"}); }
    std::shared_ptr<store::Workspace> workspace() const { return store::Workspace::open(m_cli->path("w")); }

private Q_SLOTS:
    void init()
    {
        m_cli = std::make_unique<test::Cli>();
        const auto made = workspace();
        for (const char* name : {"first", "second"}) {
            const auto id =
                made->createRun({name, Json{{"data", {{"id", "digits"}}}, {"lr", name[0] == 'f' ? 0.1 : 0.2}}, 1, Json::object(), {}, "", {}});
            made->startRun(id);
            made->metric(id, "test/accuracy", 1, name[0] == 'f' ? 0.25 : 0.5);
            made->flush();
            made->setStatus(id, store::RunStatus::Finished);
        }
        made->addAnalysis({store::RunId(1), "compare_words", Json{{"model", "run:1"}}, Json::object(), Json{{"score", 0.62515}}, 1});
        io::writePng(m_cli->path("view.png"), {2, 2, 1, {0, 80, 160, 255}});
    }
    void cleanup() { m_cli.reset(); }

    void aReportIsPutTogetherOrderedAndWritten()
    {
        QCOMPARE(json({"report", "sources"}).at("analyses").at(0).at("method").get<std::string>(), std::string("compare_words"));
        const Json added = json({"report", "add", "--analysis", "1", "--title", "Scores", "--annotation", "As expected."});
        QVERIFY(added.at("report") == 1 && added.at("items").at(0).at("title") == "Scores");
        json({"report", "add", "--run", "1", "2", "--show", "differences"});
        json({"report", "add", "--picture", "view.png"});
        json({"report", "add", "--note", "# Findings\nA <b>bold</b> claim."});
        json({"report", "add", "--leaderboard", "test/accuracy"});
        json({"report", "move", "4", "--to", "1"});
        const Json list = json({"report", "list"}).at("reports").at(0);
        QVERIFY(list.at("name") == "Report" && list.at("current") == true && list.at("items").size() == 5);
        std::vector<int> order;
        for (const Json& item : list.at("items"))
            order.push_back(item.at("id").get<int>());
        QVERIFY((order == std::vector<int>{4, 1, 2, 3, 5}));
        QCOMPARE(run({"report", "--document", "Report", "--out", "a.html", "--no-date"}).status, 0);
        QCOMPARE(run({"report", "--document", "1", "--out", "b.html", "--no-date"}).status, 0);
        const std::string html = m_cli->read("a.html");
        QVERIFY(m_cli->read("b.html") == html);
        const QString text = QString::fromStdString(html);
        QVERIFY(text.contains("<h1>Report</h1>"));
        int last = 0;
        for (const char* part : {">Findings</h2>", "A &lt;b&gt;bold&lt;/b&gt; claim.", ">Scores</h2>", "As expected.", "<dd>0.62515</dd>",
                                 ">Runs 1, 2</h2>", "<th scope=\"row\">lr</th><td>0.1</td><td>0.2</td>", ">view</h2>", "data:image/png;base64,",
                                 ">Leaderboard: test/accuracy</h2>", "<strong>0.5</strong>"}) {
            const int at = int(text.indexOf(part, last));
            QVERIFY2(at > 0, part);
            last = at;
        }
        QVERIFY(!text.contains("http://") || !text.contains(QRegularExpression("(src|href)=\"http")));
        QCOMPARE(run({"report", "remove", "4"}).status, 0);
        QCOMPARE(json({"report", "list"}).at("reports").at(0).at("items").size(), std::size_t(4));
        QCOMPARE(run({"report", "1", "2", "--out", "runs.html"}).status, 0);  // as ever
        QVERIFY(m_cli->read("runs.html").find("What differs") != std::string::npos);
    }

    void severalReportsAreKeptApart()
    {
        json({"report", "create", "Paper"});
        json({"report", "add", "--note", "into the paper"});
        json({"report", "create", "Talk"});
        json({"report", "add", "--note", "into the talk"});
        json({"report", "add", "--document", "Paper", "--note", "again"});
        const auto list = json({"report", "list"}).at("reports");
        QVERIFY(list.at(0).at("items").size() == 2 && list.at(1).at("items").size() == 1);
        QVERIFY(list.at(0).at("current") == false && list.at(1).at("current") == true);
        QVERIFY(run({"report", "list"}).out.contains("report 1: Paper\n   1  item 1"));
        QCOMPARE(run({"report", "remove", "--document", "Paper"}).status, 0);
        QCOMPARE(json({"report", "list"}).at("reports").size(), std::size_t(1));
    }

    void wrongCallsAreNamed_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("said");
        const auto row = [](const char* name, const QStringList& arguments, const char* said) { QTest::newRow(name) << arguments << QString(said); };
        row("unknown analysis", {"report", "add", "--analysis", "7"}, "there is no analysis 7");
        row("unknown run", {"report", "add", "--run", "7"}, "there is no run 7");
        row("unknown part", {"report", "add", "--run", "1", "--show", "curvs"}, "there is no part \"curvs\" of a run report");
        row("unknown metric", {"report", "add", "--leaderboard", "test/acuracy"}, "did you mean");
        row("nothing to add", {"report", "add"}, "expected one of --analysis, --run, --picture, --leaderboard and --note, got 0");
        row("two at once", {"report", "add", "--run", "1", "--note", "x"}, "got 2");
        row("show without runs", {"report", "add", "--note", "x", "--show", "runs"}, "--show: expected --run");
        row("no picture", {"report", "add", "--picture", "w/orrery.db"}, "expected a PNG, JPEG or WebP picture, found a file of another kind");
        row("empty note", {"report", "add", "--note", "  "}, "note: expected some text, got none");
        row("unknown report", {"report", "add", "--document", "Paper", "--note", "x"}, "there is no report \"Paper\": the workspace has none yet");
        row("unknown to write", {"report", "--document", "Paper", "--out", "a.html"}, "there is no report \"Paper\"");
        row("neither runs nor document", {"report", "--out", "a.html"}, "expected run ids, or --document NAME");
        row("both", {"report", "1", "--document", "Paper", "--out", "a.html"}, "expected run ids or --document, got both");
        row("no file", {"report", "1"}, "expected --out FILE.html");
        row("wrong ending", {"report", "--document", "My talk", "--out", "a.pdf"}, "orrery --report-document 'My talk' --out FILE.pdf");
        row("long title", {"report", "add", "--note", "x", "--title", QString(301, 'x')}, "expected at most 300 bytes, got 301");
        row("no such item", {"report", "remove", "9"}, "there is no report item 9");
        row("no item", {"report", "remove"}, "expected the number of an item, or --document NAME");
    }
    void wrongCallsAreNamed()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, said);
        const auto answer = run(arguments);
        VERIFY_REFUSED(answer, 2, said);
        QVERIFY(!m_cli->has("a.html"));
        QCOMPARE(json({"report", "list"}).at("reports").size(), std::size_t(0));
    }

    void anEmptyReportIsNotWritten()
    {
        json({"report", "create", "Empty"});
        const auto answer = run({"report", "--document", "Empty", "--out", "a.html"});
        VERIFY_REFUSED(answer, 2, "report \"Empty\" is empty: add something with `orrery-cli report add`");
        QVERIFY(!m_cli->has("a.html"));
    }

    void damagedAndHugePicturesAreRefused()
    {
        std::string png = m_cli->read("view.png");
        m_cli->write("half.png", png.substr(0, png.size() / 2));
        auto answer = run({"report", "add", "--picture", "half.png"});
        QVERIFY2(answer.error.contains("half.png"), qPrintable(answer.error));
        QVERIFY(answer.status == 1 || answer.status == 2);
        png.replace(16, 8, std::string("\0\0\x30\0\0\0\x30\0", 8));
        m_cli->write("huge.png", png);
        answer = run({"report", "add", "--picture", "huge.png"});
        QVERIFY2(answer.error.contains("huge.png") && answer.status != 0, qPrintable(answer.error));
        QVERIFY(workspace()->analyses().size() == 1);
    }

    void twoProcessesAddAtOnce()
    {
        std::vector<std::unique_ptr<QProcess>> processes;
        for (int i = 0; i < 6; ++i) {
            processes.push_back(std::make_unique<QProcess>());
            m_cli->start(*processes.back(), {"report", "add", "--note", QString("note %1").arg(i), "--workspace", "w"});
        }
        for (auto& process : processes)
            QCOMPARE(test::answerOf(*process).status, 0);
        const auto list = json({"report", "list"}).at("reports");
        QCOMPARE(list.size(), std::size_t(1));
        QCOMPARE(list.at(0).at("items").size(), std::size_t(6));
    }

    void aReadOnlyFolderCanBeReadAndIsNotWritten()
    {
        json({"report", "add", "--note", "kept"});
        if (::geteuid() != 0)
            QSKIP("needs root to become nobody");
        const auto all = std::filesystem::perms::all;
        std::filesystem::permissions(m_cli->path(), all);
        const auto asNobody = [&](const QString& command) {
            QProcess process;
            process.setWorkingDirectory(QString::fromStdString(m_cli->path().string()));
            process.start("setpriv", {"--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", command});
            return test::answerOf(process);
        };
        const auto listed = asNobody(QString("%1 report list --workspace w").arg(ORRERY_CLI));
        QVERIFY2(listed.status == 0 && listed.out.contains("kept"), qPrintable(listed.error));
        const auto added = asNobody(QString("%1 report add --note x --workspace w").arg(ORRERY_CLI));
        QVERIFY2(added.status == 1 && added.error.contains("w: cannot be written (Permission denied)"), qPrintable(added.error));
        QCOMPARE(asNobody(QString("%1 report --document Report --out out.html --workspace w").arg(ORRERY_CLI)).status, 0);
        std::filesystem::create_directory(m_cli->path("closed"));
        const auto closed = asNobody(QString("%1 report --document Report --out closed/out.html --workspace w").arg(ORRERY_CLI));
        QVERIFY2(closed.status == 1 && closed.error.contains("closed/out.html"), qPrintable(closed.error));
    }

    void aFullDiskLeavesNothingHalf()
    {
        std::filesystem::create_directory(m_cli->path("disk"));
        if (::geteuid() != 0 || ::mount("tmpfs", m_cli->path("disk").c_str(), "tmpfs", 0, "size=64k") != 0)
            QSKIP("needs the right to mount a small disk");
        io::Image noise{600, 400, 3, std::vector<std::uint8_t>(600 * 400 * 3)};
        for (std::size_t i = 0; i < noise.pixels.size(); ++i)
            noise.pixels[i] = std::uint8_t(i * i * 2654435761u >> 13);
        io::writePng(m_cli->path("noise.png"), noise);
        json({"report", "add", "--picture", "noise.png"});
        const auto answer = run({"report", "--document", "Report", "--out", "disk/out.html"});
        const auto left = std::distance(std::filesystem::directory_iterator(m_cli->path("disk")), std::filesystem::directory_iterator());
        ::umount(m_cli->path("disk").c_str());
        QVERIFY2(answer.status == 1 && answer.error.contains("disk/out.html") && answer.error.contains("No space left"), qPrintable(answer.error));
        QCOMPARE(left, 0);
    }

    void completionKnowsTheSubcommands()
    {
        const QString script = m_cli->run({"completion"}).out;
        QVERIFY(script.contains("--leaderboard") && script.contains("sources"));
    }
};

QTEST_GUILESS_MAIN(CliReportTest)
#include "cli_report_test.moc"
