#include <core/base/error.h>
#include <core/io/npy.h>
#include <core/report/html.h>
#include <core/report/run_report.h>
#include <core/store/workspace.h>

#include <QTemporaryDir>
#include <QtTest>
#include <cstring>

using namespace orrery;
using namespace orrery::report;
using core::Json;

namespace {

io::Array floats(std::vector<std::int64_t> shape, const std::vector<float>& values)
{
    io::Array array{io::ElementType::Float32, std::move(shape), std::string(values.size() * sizeof(float), '\0')};
    std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
    return array;
}

store::RunId addRun(store::Workspace& workspace, const std::string& name, double lr, double accuracy)
{
    const Json document{{"model", {{"id", "mlp"}, {"hidden", {64, 32}}}}, {"train", {{"optimizer", {{"id", "adam"}, {"lr", lr}}}}}};
    const store::RunId run = workspace.createRun({name, document, 7, {{"libtorch", "1.13.1"}, {"threads", 2}}, {"tag"}, "a note", {}});
    workspace.startRun(run);
    for (int step = 0; step < 20; ++step)
        workspace.metric(run, "train/loss", step, 2.0 / (step + 1), 1000 + step);
    workspace.metric(run, "test/accuracy", 19, accuracy, 1020);
    workspace.addArtifact(run, {"confusion_matrix", "application/json", {}}, R"({"classes":["no","yes"],"counts":[[9,1],[2,8]],"split":"test"})");
    workspace.flush();
    workspace.setStatus(run, store::RunStatus::Finished);
    return run;
}

std::int64_t addAttribution(store::Workspace& workspace, store::RunId run, const io::Array& values, const Json& inputs)
{
    const auto analysis = workspace.addAnalysis({run, "saliency", inputs, Json{{"absolute", true}}, Json{{"completeness_error", 0.125}}, 0.5});
    workspace.addAnalysisArtifact(analysis, {"attribution", "application/x-npy", {}}, io::npyBytes(values));
    return analysis;
}

const Section* sectionOf(const Report& report, const std::string& title)
{
    for (const Block& block : report.blocks)
        if (const auto* section = std::get_if<Section>(&block.content); section && section->title == title)
            return section;
    return nullptr;
}

template <class Content>
std::vector<Content> contentsOf(const Section& section)
{
    std::vector<Content> found;
    for (const Block& block : section.blocks)
        if (const auto* content = std::get_if<Content>(&block.content))
            found.push_back(*content);
    return found;
}

}  // namespace

class RunReportTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_folder = std::make_unique<QTemporaryDir>();
        m_workspace = store::Workspace::open(m_folder->filePath("w").toStdString());
    }

    void cleanup()
    {
        m_workspace.reset();
        m_folder.reset();
    }

    void comparesTwoRuns()
    {
        const std::vector<store::RunId> runs{addRun(*m_workspace, "slow", 0.001, 0.9), addRun(*m_workspace, "fast", 0.01, 0.95)};
        const Report report = buildRunReport(*m_workspace, runs);
        QCOMPARE(report.title, std::string("2 runs compared: 1, 2"));

        const auto difference = contentsOf<Table>(*sectionOf(report, "What differs"));
        QCOMPARE(difference.size(), std::size_t(1));
        QCOMPARE(difference[0].rows.size(), std::size_t(1));
        QCOMPARE(difference[0].rows[0][0].text, std::string("train.optimizer.lr"));
        QCOMPARE(difference[0].rows[0][1].text, std::string("0.001"));
        QCOMPARE(difference[0].rows[0][2].text, std::string("0.01"));

        const auto metrics = contentsOf<Table>(*sectionOf(report, "Metrics"))[0];
        QCOMPARE(metrics.rows.size(), std::size_t(2));
        QCOMPARE(metrics.rows[0][0].text, std::string("test/accuracy"));
        QCOMPARE(metrics.rows[0][2].text, std::string("0.95"));
        QVERIFY(!metrics.rows[0][1].emphasised && metrics.rows[0][2].emphasised);
        QCOMPARE(metrics.rows[1][1].text, std::string("0.1"));

        QCOMPARE(contentsOf<Picture>(*sectionOf(report, "Curves")).size(), std::size_t(1));
        const auto matrices = contentsOf<Picture>(*sectionOf(report, "Confusion matrices"));
        QCOMPARE(matrices.size(), std::size_t(2));
        QCOMPARE(matrices[0].description,
                 std::string("Confusion matrix of 2 classes, accuracy 0.85. Most frequent mistakes: yes taken for no (2), no taken for yes (1)."));
        QVERIFY(!sectionOf(report, "Attributions"));
        QCOMPARE(contentsOf<KeyValues>(*sectionOf(report, "Environment"))[0].entries[0].second, std::string("1.13.1"));
    }

    void commandsCarryTheDifference()
    {
        const std::vector<store::RunId> runs{addRun(*m_workspace, "slow", 0.001, 0.9), addRun(*m_workspace, "fast", 0.01, 0.95)};
        const auto code = contentsOf<Code>(*sectionOf(buildRunReport(*m_workspace, runs), "Run it again"));
        QCOMPARE(code.size(), std::size_t(2));
        QCOMPARE(code[0].text,
                 std::string("orrery-cli train run-1.json --workspace .\norrery-cli train run-1.json --set train.optimizer.lr=0.01 --workspace .\n"));
        QCOMPARE(code[1].caption, std::string("run-1.json"));
        QVERIFY(Json::parse(code[1].text) == m_workspace->run(1).document);
    }

    void otherDocumentsAreGivenWhole()
    {
        store::RunRecord a, b;
        a.id = 1;
        a.document = Json{{"x", 1}, {"text", "it's"}};
        b.id = 2;
        b.document = Json{{"y", 1}};
        const std::vector<store::RunRecord> records{a, b};
        QCOMPARE(reproductionCommands(records),
                 std::string("orrery-cli train run-1.json --workspace .\norrery-cli train run-2.json --workspace .\n"));
        b.document = Json{{"x", 1}, {"text", "$(rm) 'x'"}};
        const std::vector<store::RunRecord> quoted{a, b};
        QVERIFY(QString::fromStdString(reproductionCommands(quoted)).contains("--set 'text=$(rm) '\\''x'\\''' --workspace"));
    }

    void datesStandInTheirSectionAlone()
    {
        const store::RunId run = addRun(*m_workspace, "a", 0.1, 1);
        RunReportOptions options;
        options.written = "2031-12-24T18:00:00.000Z";
        Report report = buildRunReport(*m_workspace, std::vector{run}, options);
        const std::string created = m_workspace->run(run).created;
        QCOMPARE(std::get<Section>(report.blocks.back().content).title, std::string("Dates"));
        const std::string whole = toHtml(report);
        QVERIFY(whole.find("2031-12-24") != std::string::npos && whole.find(created) != std::string::npos);
        report.blocks.pop_back();
        const std::string html = toHtml(report);
        QVERIFY(html.find("2031-12-24") == std::string::npos && html.find(created.substr(0, 10)) == std::string::npos);
    }

    void sameRunsSameBytes()
    {
        const std::vector<store::RunId> runs{addRun(*m_workspace, "<script>alert(1)</script>", 0.001, 0.9), addRun(*m_workspace, "b", 0.01, 0.95)};
        addAttribution(*m_workspace, runs[0], floats({1, 1, 2, 3}, {1, -2, 3, 0, 0.5f, 1}), Json{{"sample", 3}});
        const std::string html = toHtml(buildRunReport(*m_workspace, runs));
        QVERIFY(toHtml(buildRunReport(*m_workspace, runs)) == html);
        QVERIFY(html.find("<script") == std::string::npos);
    }

    void attributionsOfPicturesAndTables()
    {
        const store::RunId run = addRun(*m_workspace, "a", 0.1, 1);
        addAttribution(*m_workspace, run, floats({1, 2, 2, 2}, {1, 2, 3, 4, 10, 20, 30, 40}), Json{{"sample", 3}, {"target", "yes"}});
        addAttribution(*m_workspace, run, floats({1, 3}, {0.5f, -2, 1}), Json{{"sample", 4}, {"features", {"alcohol", "ash", "hue"}}});
        const Report report = buildRunReport(*m_workspace, std::vector{run});
        const auto pictures = contentsOf<Picture>(*sectionOf(report, "Attributions"));
        QCOMPARE(pictures.size(), std::size_t(2));
        // Newest first.
        QCOMPARE(pictures[0].title, std::string("run 1: a: saliency, sample 4"));
        QCOMPARE(pictures[0].description, std::string("Attribution of 3 features; the largest is ash with -2."));
        QCOMPARE(pictures[1].title, std::string("run 1: a: saliency, sample 3, target yes"));
        QCOMPARE(pictures[1].description, std::string("Attribution of 2 x 2 pixels, summed over channels, sum 110."));
        const auto settings = contentsOf<KeyValues>(*sectionOf(report, "Attributions"));
        QVERIFY(settings[0].entries == (std::vector<std::pair<std::string, std::string>>{{"absolute", "true"}, {"completeness_error", "0.125"}}));
    }

    void metricsStandBehindTheirAttribution()
    {
        const store::RunId run = addRun(*m_workspace, "a", 0.1, 1);
        const auto analysis = addAttribution(*m_workspace, run, floats({2}, {1, 2}), Json::object());
        const Json curve{{"x_name", "fraction deleted"}, {"y_name", "probability"}, {"x", {0, 0.5, 1}}, {"y", {1, 0.25, 0}}};
        const Json metrics{
            {"deletion", {{"value", 0.375}, {"curve", curve}, {"reference", {{"name", "random ranking"}, {"value", 0.5}, {"y", {1, 0.5, 0}}}}}},
            {"infidelity", {{"value", 0.0625}}}};
        m_workspace->addAnalysisArtifact(analysis, {"metrics", "application/json", {}}, metrics.dump());
        const Report report = buildRunReport(*m_workspace, std::vector{run});
        const auto& section = *sectionOf(report, "Attributions");
        QCOMPARE(contentsOf<Picture>(section).size(), std::size_t(2));
        QCOMPARE(contentsOf<Picture>(section)[1].title, std::string("run 1: a: saliency: deletion and insertion"));
        QVERIFY(contentsOf<KeyValues>(section)[1].entries ==
                (std::vector<std::pair<std::string, std::string>>{{"deletion", "0.375 (random ranking: 0.5)"}, {"infidelity", "0.0625"}}));
        QVERIFY(toHtml(report).find("deletion, random ranking") != std::string::npos);
    }

    void brokenMetricsBecomeWarnings_data()
    {
        QTest::addColumn<QByteArray>("content");
        QTest::addColumn<QByteArray>("message");
        QTest::newRow("no JSON") << QByteArray("{") << QByteArray("metrics: expected a JSON object");
        QTest::newRow("no value") << QByteArray(R"({"deletion":{}})") << QByteArray("metrics: expected a value and lists of numbers");
        QTest::newRow("lists of two lengths") << QByteArray(R"({"deletion":{"value":1,"curve":{"x":[0,1],"y":[1],"y_name":"y"}}})")
                                              << QByteArray("deletion");
    }

    void brokenMetricsBecomeWarnings()
    {
        QFETCH(QByteArray, content);
        QFETCH(QByteArray, message);
        const store::RunId run = addRun(*m_workspace, "a", 0.1, 1);
        m_workspace->addAnalysisArtifact(addAttribution(*m_workspace, run, floats({2}, {1, 2}), Json::object()), {"metrics", "application/json", {}},
                                         content.toStdString());
        const Report report = buildRunReport(*m_workspace, std::vector{run});
        const auto& section = *sectionOf(report, "Attributions");
        QCOMPARE(contentsOf<Picture>(section).size(), std::size_t(1));  // the attribution stays
        const auto paragraphs = contentsOf<Paragraph>(section);
        QVERIFY2(paragraphs.size() == 1 && paragraphs[0].text.find(message.toStdString()) != std::string::npos,
                 paragraphs.empty() ? "no warning" : paragraphs[0].text.c_str());
    }

    void onlySomeAttributionsAreShown()
    {
        const store::RunId run = addRun(*m_workspace, "a", 0.1, 1);
        for (int i = 0; i < 5; ++i)
            addAttribution(*m_workspace, run, floats({2}, {1, 2}), Json{{"sample", i}});
        RunReportOptions options;
        options.attributions = 2;
        const Report report = buildRunReport(*m_workspace, std::vector{run}, options);
        QCOMPARE(contentsOf<Picture>(*sectionOf(report, "Attributions")).size(), std::size_t(2));
        QCOMPARE(contentsOf<Paragraph>(*sectionOf(report, "Attributions"))[0].text, std::string("run 1: a: 3 older attributions are not shown."));
    }

    void brokenArtifactsBecomeWarnings_data()
    {
        QTest::addColumn<QByteArray>("content");
        QTest::addColumn<QByteArray>("message");
        QTest::newRow("no JSON") << QByteArray("{") << QByteArray("expected a JSON object with \"counts\"");
        QTest::newRow("text as counts") << QByteArray(R"({"counts":[["a"]]})") << QByteArray("expected lists of whole numbers");
        QTest::newRow("not square") << QByteArray(R"({"counts":[[1,2]]})") << QByteArray("confusion matrix: expected 1 rows of 1 counts");
        QTest::newRow("classes missing one") << QByteArray(R"({"classes":["a"],"counts":[[1,2],[3,4]]})")
                                             << QByteArray("expected 1 rows of 1 counts, one a class, got 2 rows");
    }

    void brokenArtifactsBecomeWarnings()
    {
        QFETCH(QByteArray, content);
        QFETCH(QByteArray, message);
        const store::RunId run = addRun(*m_workspace, "a", 0.1, 1);
        m_workspace->addArtifact(run, {"confusion_matrix", "application/json", {}}, content.toStdString());
        const Report report = buildRunReport(*m_workspace, std::vector{run});
        const auto warnings = contentsOf<Paragraph>(*sectionOf(report, "Confusion matrices"));
        QCOMPARE(warnings.size(), std::size_t(1));
        QCOMPARE(warnings[0].style, TextStyle::Warning);
        QVERIFY2(QString::fromStdString(warnings[0].text).contains(message), warnings[0].text.c_str());
    }

    void bandsAppearWithManyPoints()
    {
        const store::RunId run = m_workspace->createRun({"long", Json::object(), 1, Json::object(), {}, "", {}});
        m_workspace->startRun(run);
        std::vector<std::int64_t> steps;
        std::vector<double> values;
        for (int i = 0; i < 20000; ++i) {
            steps.push_back(i);
            values.push_back(i % 2);
        }
        m_workspace->metrics(run, "train/loss", steps, values);
        m_workspace->setStatus(run, store::RunStatus::Finished);
        m_workspace->flush();
        const Report report = buildRunReport(*m_workspace, std::vector{run});
        const auto picture = contentsOf<Picture>(*sectionOf(report, "Curves"))[0];
        QVERIFY(QString::fromStdString(picture.title).contains("band"));
        const auto bands = std::ranges::count_if(picture.drawing.items, [](const DrawingItem& item) {
            const auto* line = std::get_if<PolylineItem>(&item);
            return line && line->fill.ink == Ink::Fixed;
        });
        QCOMPARE(bands, 1);
    }

    void rejectsMissingRuns()
    {
        QVERIFY_EXCEPTION_THROWN(buildRunReport(*m_workspace, {}), core::InputError);
        QVERIFY_EXCEPTION_THROWN(buildRunReport(*m_workspace, std::vector<store::RunId>{99}), core::InputError);
    }

private:
    std::unique_ptr<QTemporaryDir> m_folder;
    std::shared_ptr<store::Workspace> m_workspace;
};

QTEST_APPLESS_MAIN(RunReportTest)
#include "run_report_test.moc"
