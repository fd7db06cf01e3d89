// Report documents against what is stored: every number in a table is read back and compared, every kind of result has its blocks.
#include <QTemporaryDir>
#include <QtTest>
#include <cstring>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/io/npy.h>
#include <core/report/analysis_blocks.h>
#include <core/report/html.h>
#include <core/report/report_document.h>
#include <core/report/run_report.h>

using namespace orrery;
using namespace orrery::report;
using core::Json;

namespace {

io::Array doubles(std::vector<std::int64_t> shape, const std::vector<double>& values)
{
    io::Array array{io::ElementType::Float64, std::move(shape), std::string(values.size() * sizeof(double), '\0')};
    std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
    return array;
}

template <class Content>
void collect(const std::vector<Block>& blocks, std::vector<Content>& found)
{
    for (const Block& block : blocks) {
        if (const auto* content = std::get_if<Content>(&block.content))
            found.push_back(*content);
        if (const auto* section = std::get_if<Section>(&block.content))
            collect(section->blocks, found);
    }
}

template <class Content>
std::vector<Content> all(const std::vector<Block>& blocks)
{
    std::vector<Content> found;
    collect(blocks, found);
    return found;
}

std::string message(const std::function<void()>& function)
{
    try {
        function();
    } catch (const core::Error& error) {
        return error.what();
    }
    return "no exception";
}

bool contains(const std::string& text, std::string_view part)
{
    return text.find(part) != std::string::npos;
}

io::Image gradient(int width, int height)
{
    io::Image image{width, height, 3, {}};
    for (int i = 0; i < width * height; ++i)
        for (const int value : {i % width, i / width, 7})
            image.pixels.push_back(std::uint8_t(value));
    return image;
}

}  // namespace

class ReportDocumentTest : public QObject {
    Q_OBJECT

    std::unique_ptr<QTemporaryDir> m_folder;
    std::shared_ptr<store::Workspace> m_workspace;
    std::unique_ptr<store::Reports> m_reports;

    std::int64_t analysis(const std::string& method, const Json& results, const std::vector<std::pair<std::string, io::Array>>& arrays = {},
                          const Json& inputs = {{"model", "run:1"}})
    {
        const auto id = m_workspace->addAnalysis({{}, method, inputs, Json::object(), results, 0.5});
        for (const auto& [name, array] : arrays)
            m_workspace->addAnalysisArtifact(id, {name, "application/x-npy", {}}, io::npyBytes(array));
        return id;
    }

    store::RunId run(const std::string& name, const char* data, double accuracy)
    {
        const Json document{{"model", {{"id", "mlp"}}}, {"data", {{"id", data}}}, {"lr", accuracy / 10}};
        const auto id = m_workspace->createRun({name, document, 7, Json::object(), {}, "", {}});
        m_workspace->startRun(id);
        for (int step = 0; step < 5; ++step)
            m_workspace->metric(id, "train/loss", step, 1.0 / (step + 1), 1000 + step);
        m_workspace->metric(id, "test/accuracy", 4, accuracy, 1010);
        m_workspace->flush();
        m_workspace->setStatus(id, store::RunStatus::Finished);
        return id;
    }

    Section sectionOf(std::int64_t id) { return analysisSection(*m_workspace, m_workspace->analysis(id)); }
    Report document() { return buildDocument(*m_workspace, m_reports->report(1), m_reports->items(1)); }

private Q_SLOTS:
    void init()
    {
        m_folder = std::make_unique<QTemporaryDir>();
        m_workspace = store::Workspace::open(m_folder->filePath("w").toStdString());
        m_reports = std::make_unique<store::Reports>(m_workspace);
    }
    void cleanup()
    {
        m_reports.reset();
        m_workspace.reset();
        m_folder.reset();
    }

    void notesHaveHeadingsAndParagraphs()
    {
        const auto blocks = textBlocks("before\n\n# One\nfirst line  \nsecond line\n\nnext\n## Inner\ndeep\n# Two\n#no heading\n\n\n");
        QCOMPARE(blocks.size(), std::size_t(3));
        QCOMPARE(std::get<Paragraph>(blocks[0].content).text, std::string("before"));
        const auto& one = std::get<Section>(blocks[1].content);
        QCOMPARE(one.title, std::string("One"));
        QCOMPARE(one.blocks.size(), std::size_t(3));
        QCOMPARE(std::get<Paragraph>(one.blocks[0].content).text, std::string("first line\nsecond line"));
        QCOMPARE(std::get<Section>(one.blocks[2].content).title, std::string("Inner"));
        const auto& two = std::get<Section>(blocks[2].content);
        QCOMPARE(std::get<Paragraph>(two.blocks[0].content).text, std::string("#no heading"));
        QVERIFY(textBlocks("").empty() && textBlocks(" \n\n").empty());
    }

    void itemsAreSectionsInTheirOrder()
    {
        m_reports->add({}, {"note", {}, "", "# Opening\nHello."});
        m_reports->add({}, {"runs", Json{{"runs", {run("a", "digits", 0.9)}}}, "The run", "Look at the *loss*."});
        m_reports->add({}, analysisItem(*m_workspace, analysis("anything", {{"value", 3}})));
        const Report made = document();
        QCOMPARE(made.title, std::string("Report"));
        QCOMPARE(made.blocks.size(), std::size_t(3));
        std::vector<std::string> titles;
        for (const Block& block : made.blocks)
            titles.push_back(std::get<Section>(block.content).title);
        QVERIFY((titles == std::vector<std::string>{"Opening", "The run", "anything: run:1"}));
        const auto& second = std::get<Section>(made.blocks[1].content);
        QCOMPARE(std::get<Paragraph>(second.blocks[0].content).text, std::string("Look at the *loss*."));
        QCOMPARE(std::get<Section>(second.blocks[1].content).title, std::string("Runs"));
        QCOMPARE(itemTitle(*m_workspace, m_reports->items(1)[0]), std::string("Opening"));
        m_reports->moveItem(m_reports->items(1)[2].id, 0);
        QCOMPARE(std::get<Section>(document().blocks[0].content).title, std::string("anything: run:1"));
    }

    void anEmptyReportSaysHowToAdd()
    {
        m_reports->create("Nothing");
        QVERIFY(contains(message([&] { document(); }), "report \"Nothing\" is empty: add something with `orrery-cli report add`"));
    }

    void sameContentSameBytes()
    {
        const auto first = run("a", "digits", 0.9), second = run("b", "digits", 0.8);
        m_reports->add({}, runsItem(*m_workspace, std::vector{first, second}));
        m_reports->add({}, analysisItem(*m_workspace, analysis("compare_representations", {{"rows", {"a", "b"}}, {"columns", {"a", "b"}}},
                                                               {{"similarity", doubles({2, 2}, {1, 0.25, 0.25, 1})}})));
        const std::string html = toHtml(document());
        m_reports.reset();
        m_workspace = store::Workspace::open(m_folder->filePath("w").toStdString());
        m_reports = std::make_unique<store::Reports>(m_workspace);
        QCOMPARE(toHtml(document()), html);
        QVERIFY(!contains(html, m_workspace->run(first).created.substr(0, 10)));  // no date
    }

    void hostileTextsStayText()
    {
        const std::string hostile = "</p></section><script>alert(1)</script>\"' onload=x &\x01";
        m_reports->add({}, {"note", {}, hostile, "# " + hostile + "\n" + hostile});
        const auto id =
            analysis("probe", {{"probes", Json::array({{{"value", hostile}, {"accuracy", 0.5}}})}}, {}, {{"model", hostile}, {hostile, hostile}});
        m_reports->add({}, analysisItem(*m_workspace, id));
        Snapshot snapshot{"beam_search", hostile, {{"text", hostile}}, hostile, {}, {Table{hostile, {{hostile}}, {{{hostile}}}}}};
        m_reports->add({}, snapshotItem(*m_workspace, snapshot));
        const std::string html = toHtml(document());
        QVERIFY(!contains(html, "<script"));
        QVERIFY(!contains(html, "\x01"));
        QVERIFY(contains(html, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; onload=x &amp;"));
        QCOMPARE(QString::fromStdString(html).count("</main>"), 1);
        QCOMPARE(QString::fromStdString(html).count("<section"), QString::fromStdString(html).count("</section>"));
    }

    void attributionsShowPictureNumbersAndCompleteness()
    {
        const auto id = m_workspace->addAnalysis(
            {{}, "integrated_gradients", Json{{"sample", 4}, {"target", 2}}, Json{{"steps", 50}}, Json{{"completeness_error", 0.0123456}}, 1});
        m_workspace->addAnalysisArtifact(id, {"attribution", "application/x-npy", {}}, io::npyBytes(doubles({1, 2, 3}, {1, -2, 3, 0, 0, 0.5})));
        const Section section = sectionOf(id);
        QCOMPARE(section.title, std::string("integrated_gradients, sample 4, target 2"));
        const auto pictures = all<Picture>(section.blocks);
        QCOMPARE(pictures.size(), std::size_t(1));
        QVERIFY(contains(pictures[0].description, "sum 2.5"));
        QVERIFY(contains(toHtml({"t", "", {section}}), "<dt>completeness_error</dt><dd>0.012346</dd>"));
    }

    void everyCellOfAMapIsTheStoredNumber()
    {
        const std::vector<double> cells{0.5, -1.25, 3.0625, std::nan(""), 0.125, 7};
        const Json results{{"clean", 0.75},
                           {"corrupted", -2.5},
                           {"maps", Json::array({{{"component", "mlp"}, {"sites", {"0", "1"}}, {"unit", "position"}, {"columns", {4, 5, 6}}}})}};
        const Section section = sectionOf(analysis("patching", results, {{"patching_0", doubles({2, 1, 3}, cells)}}));
        const auto tables = all<Table>(section.blocks);
        QCOMPARE(tables.size(), std::size_t(1));
        QCOMPARE(tables[0].rows.size(), std::size_t(5));  // all but NaN
        double last = INFINITY;
        for (const auto& row : tables[0].rows) {
            const auto site = std::size_t(std::stoi(row[0].text)), column = std::size_t(std::stoi(row[1].text)) - 4;
            const double value = std::stod(row[2].text);
            QVERIFY2(std::abs(value - cells[site * 3 + column]) <= 5e-5 * std::abs(value), row[2].text.c_str());
            QVERIFY(value <= last);
            last = value;
        }
        const auto pictures = all<Picture>(section.blocks);
        QVERIFY(contains(pictures[0].description, "the greatest value 7 at 1, 6"));
        const auto values = all<KeyValues>(section.blocks);
        QVERIFY(values[0].entries[0].second == "0.75" && values[0].entries[1].second == "-2.5");
    }

    void headsBecomeColumnsWhereThereIsOneUnit()
    {
        const Json results{
            {"maps", Json::array({{{"component", "attention"}, {"sites", {"0", "1"}}, {"unit", ""}, {"columns", Json::array({-1})}}})}};
        const auto table = all<Table>(sectionOf(analysis("patching", results, {{"patching_0", doubles({2, 2, 1}, {1, 2, 3, 4})}})).blocks)[0];
        QCOMPARE(table.columns[1].title, std::string("head"));
        QVERIFY(table.rows[0][0].text == "1" && table.rows[0][1].text == "1" && table.rows[0][2].text == "4");
    }

    void lensGridsTakeTheProbabilityAndItsToken()
    {
        const Json results{
            {"token_names", Json::array({Json::array({"a", "b"})})}, {"places", {"0", "1"}}, {"columns", {"top_token", "top_probability"}}};
        const auto id = analysis("logit_lens", results, {{"lens", doubles({2, 2, 2}, {5, 0.5, 6, 0.25, 7, 0.75, 8, 1})}});
        m_workspace->addAnalysisArtifact(id, {"top_names", "application/json", {}}, R"(["w","x","y","<z>"])");
        const Section section = sectionOf(id);
        const auto picture = all<Picture>(section.blocks)[0];
        std::vector<std::string> written;
        for (const auto& item : picture.drawing.items)
            if (const auto* text = std::get_if<TextItem>(&item))
                written.push_back(text->text);
        for (const char* text : {"w", "x", "y", "<z>", "a", "b"})
            QVERIFY2(std::ranges::find(written, text) != written.end(), text);
        const auto table = all<Table>(section.blocks)[0];
        QVERIFY(table.rows[0][0].text == "1" && table.rows[0][1].text == "b" && table.rows[0][2].text == "1");
        QVERIFY(table.rows[3][2].text == "0.25");
    }

    void probesAreACurveAndATable()
    {
        const Json probes = Json::array({{{"value", "fc1"}, {"accuracy", 0.5}, {"interval", {0.4, 0.6}}, {"train_rows", 100}},
                                         {{"value", "fc2"}, {"accuracy", 0.812345}, {"interval", {0.7, 0.9}}, {"train_rows", 100}}});
        const Section section = sectionOf(analysis("probe", {{"probes", probes}}));
        QCOMPARE(all<Picture>(section.blocks).size(), std::size_t(1));
        const auto table = all<Table>(section.blocks)[0];
        QVERIFY(table.columns[0].title == "value" && table.columns[1].title == "accuracy" && table.columns[2].title == "interval");
        QCOMPARE(table.rows[1][1].text, std::string("0.81234"));
        QCOMPARE(table.rows[0][2].text, std::string("[0.4, 0.6]"));
        QCOMPARE(table.rows[1][3].text, std::string("100"));
    }

    void interventionsAreATableASample()
    {
        const Json change{{"class", 3}, {"name", "three"}, {"before", 0.25}, {"after", 0.75}, {"logit_before", 1.5}, {"logit_after", 2.5}};
        const Section section = sectionOf(
            analysis("intervene", {{"changed", true}, {"samples", Json::array({{{"divergence", 0.125}, {"changes", Json::array({change})}}})}}));
        const auto table = all<Table>(section.blocks)[0];
        QCOMPARE(table.caption, std::string("Sample 0: the answer without and with the interventions, divergence 0.125."));
        QVERIFY(table.rows[0][1].text == "three" && table.rows[0][2].text == "0.25" && table.rows[0][3].text == "0.75");
    }

    void otherResultsAreTablesAndValues()
    {
        Json many = Json::array();
        for (int i = 0; i < 300; ++i)
            many.push_back({{"step", i}, {"loss", 1.0 / (i + 1)}});
        const Section section = sectionOf(analysis(
            "something_new", {{"score", 0.123456789}, {"inner", {{"deep", "x"}}}, {"series", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}, {"rows", many}}));
        const auto values = all<KeyValues>(section.blocks)[0];
        QCOMPARE(values.entries[0].second, std::string("0.12346"));
        QCOMPARE(values.entries[1].first, std::string("inner.deep"));
        QCOMPARE(values.entries[2].second, std::string("10 entries, numbers from 1 to 10"));
        const auto table = all<Table>(section.blocks)[0];
        QCOMPARE(table.rows.size(), std::size_t(200));
        QCOMPARE(table.caption, std::string("rows The first 200 of 300 rows."));
    }

    void leaderboardsOrderTheRunsOfEachDataSet()
    {
        run("a", "digits", 0.9);
        run("b", "iris", 0.7);
        run("c", "digits", 0.95);
        m_reports->add({}, leaderboardItem(*m_workspace, "test/accuracy", "maximize"));
        const auto table = all<Table>(document().blocks)[0];
        QCOMPARE(table.rows.size(), std::size_t(3));
        QVERIFY(table.rows[0][0].text == "digits" && table.rows[0][3].text == "c" && table.rows[0][5].text == "0.95" && table.rows[0][5].emphasised);
        QVERIFY(table.rows[1][3].text == "a" && !table.rows[1][5].emphasised);
        QVERIFY(table.rows[2][0].text == "iris" && table.rows[2][1].text == "1");
        QVERIFY(contains(message([&] { leaderboardItem(*m_workspace, "test/acuracy", "maximize"); }), "test/accuracy"));
        QVERIFY(contains(message([&] { leaderboardItem(*m_workspace, "test/accuracy", "best"); }), "expected maximize or minimize, got \"best\""));
    }

    void runsShowThePartsAskedFor()
    {
        const auto first = run("a", "digits", 0.9), second = run("b", "digits", 0.8);
        const std::vector<std::string> parts{"differences", "commands"};
        m_reports->add({}, runsItem(*m_workspace, std::vector{first, second}, parts));
        const Report made = document();
        const auto& section = std::get<Section>(made.blocks[0].content);
        QCOMPARE(section.title, std::string("Runs 1, 2"));
        QCOMPARE(section.blocks.size(), std::size_t(2));
        QCOMPARE(std::get<Section>(section.blocks[0].content).title, std::string("What differs"));
        QCOMPARE(all<Table>(made.blocks)[0].rows[0][0].text, std::string("lr"));
        const std::vector<std::string> wrong{"curvs"};
        QVERIFY(contains(message([&] { runsItem(*m_workspace, std::vector{first}, wrong); }), "there is no part \"curvs\" of a run report"));
        QVERIFY(contains(message([&] { runsItem(*m_workspace, std::vector<store::RunId>{9}); }), "there is no run 9"));
    }

    void picturesAreKeptAsTheyAre()
    {
        const std::filesystem::path file = m_folder->filePath("view of \xc3\xa4.png").toStdString();
        const io::Image image = gradient(40, 30);
        io::writePng(file, image);
        m_reports->add({}, pictureItem(*m_workspace, file));
        std::filesystem::remove(file);  // the workspace has a copy
        const auto pictures = all<Picture>(document().blocks);
        QCOMPARE(pictures.size(), std::size_t(1));
        const auto& raster = std::get<RasterItem>(pictures[0].drawing.items[0]);
        QVERIFY(raster.image.pixels == image.pixels);
        QCOMPARE(pictures[0].drawing.width, 30.0);
        QCOMPARE(itemTitle(*m_workspace, m_reports->items(1)[0]), std::string("view of \xc3\xa4"));
    }

    void largePicturesAreAveragedToThePage()
    {
        Snapshot snapshot{"point_cloud", "A scene", {}, "orrery-cli scene render x.ply", {{gradient(4000, 3000), "seen from above"}}, {}};
        m_reports->add({}, snapshotItem(*m_workspace, snapshot));
        const auto picture = all<Picture>(document().blocks)[0];
        QCOMPARE(picture.title, std::string("seen from above"));
        QCOMPARE(picture.drawing.width, 500.0);
        QCOMPARE(std::get<RasterItem>(picture.drawing.items[0]).image.width, 1500);
        QVERIFY(contains(toHtml(document()), "orrery-cli scene render x.ply"));
    }

    void badPicturesAreNotTaken_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("said");
        const QByteArray png = QByteArray::fromStdString(io::encodePng(gradient(8, 8)));
        QTest::newRow("another kind") << QByteArray("hello") << "expected a PNG, JPEG or WebP picture, found a file of another kind";
        QTest::newRow("empty") << QByteArray() << "found a file of another kind";
        QTest::newRow("cut off") << png.left(png.size() / 2) << "bad.png";
        QByteArray huge = png;
        huge.replace(16, 8, QByteArray::fromHex("0000300000003000"));  // 12,288 x 12,288 in the header
        QTest::newRow("huge") << huge << "bad.png";
    }
    void badPicturesAreNotTaken()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, said);
        const std::filesystem::path file = m_folder->filePath("bad.png").toStdString();
        core::writeFileAtomically(file, std::string_view(bytes.constData(), std::size_t(bytes.size())));
        const std::string found = message([&] { pictureItem(*m_workspace, file); });
        QVERIFY2(contains(found, said.toStdString()), found.c_str());
        QVERIFY(m_workspace->analyses().empty());
        QVERIFY(contains(message([&] { pictureItem(*m_workspace, m_folder->filePath("none.png").toStdString()); }), "none.png"));
    }

    void sourcesThatAreGoneAreSaidInTheirPlace()
    {
        const auto gone = analysis("anything", {{"value", 3}});
        const auto first = run("a", "digits", 0.9), second = run("b", "digits", 0.8);
        m_reports->add({}, analysisItem(*m_workspace, gone));
        m_reports->add({}, runsItem(*m_workspace, std::vector{first, second}));
        m_reports->add({}, {"poem", {}, "", ""});
        m_reports->add({}, {"analysis", Json{{"analysis", "four"}}, "", ""});
        m_workspace->removeAnalysis(gone);
        m_workspace->deleteRuns(std::vector{first});
        std::vector<std::string> warnings;
        for (const Paragraph& paragraph : all<Paragraph>(document().blocks))
            if (paragraph.style == TextStyle::Warning)
                warnings.push_back(paragraph.text);
        QCOMPARE(warnings.size(), std::size_t(4));
        QVERIFY2(contains(warnings[0], "there is no analysis 1"), warnings[0].c_str());
        QCOMPARE(warnings[1], std::string("Run 1 is not in the workspace any more."));
        QVERIFY(contains(warnings[2], "expected analysis, runs, leaderboard or note, found \"poem\""));
        QVERIFY(contains(warnings[3], "expected the number of an analysis"));
        QVERIFY(contains(toHtml(document()), "run 2: b"));  // what is left is shown
        QCOMPARE(itemKind(*m_workspace, m_reports->items(1)[0]), std::string("missing"));
    }

    void damagedFilesAreSaidInTheirPlace()
    {
        const auto id = analysis("compare_representations", {{"rows", {"a"}}}, {{"similarity", doubles({1, 1}, {1})}});
        const auto path = m_workspace->artifactPath(m_workspace->analysis(id).artifacts[0]);
        core::writeFileAtomically(path, "rubbish");
        const auto shapes = analysis("compare_representations", Json::object(), {{"similarity", doubles({1, 1, 2}, {1, 2})}});
        const auto odd = analysis("patching", {{"maps", 3}});
        for (const auto each : {id, shapes}) {
            const auto paragraphs = all<Paragraph>(sectionOf(each).blocks);
            QVERIFY(!paragraphs.empty() && paragraphs[0].style == TextStyle::Warning);
            QVERIFY(contains(paragraphs[0].text, fmt::format("analysis {} (compare_representations): ", each)));
        }
        QVERIFY(all<Picture>(sectionOf(odd).blocks).empty());  // nothing to show, nothing wrong
    }
};

QTEST_GUILESS_MAIN(ReportDocumentTest)
#include "report_document_test.moc"
