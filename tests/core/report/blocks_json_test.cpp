#include <QtTest>

#include <core/base/error.h>
#include <core/report/blocks_json.h>
#include <core/report/html.h>

using namespace orrery;
using namespace orrery::report;
using core::Json;

class BlocksJsonTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void whatIsWrittenReadsTheSame()
    {
        const Report report{"t",
                            "",
                            {Paragraph{"plain"}, Paragraph{"note", TextStyle::Note}, Paragraph{"warning", TextStyle::Warning},
                             Code{"ls\n", "command"}, KeyValues{{{"key", "value"}, {"", ""}}},
                             Table{"caption", {{"name"}, {"number", Align::Right}}, {{{"a"}, {"1", true}}, {{"<b>"}, {"2"}}}},
                             Section{"outer", {Section{"inner", {Paragraph{"deep"}}}}}}};
        const Json json = Json::parse(toJson(report.blocks).dump());
        const Report again{"t", "", blocksFromJson(json, "blocks")};
        QCOMPARE(toHtml(again), toHtml(report));
        QVERIFY(toJson(again.blocks) == json);
    }

    void picturesAreRefused() { QVERIFY_EXCEPTION_THROWN(toJson({Picture{{}, "p", ""}}), core::InputError); }

    void wrongDocumentsAreNamedByPlace_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("said");
        const auto row = [](const char* name, const char* text, const char* said) { QTest::newRow(name) << QString(text) << QString(said); };
        row("no list", R"({"text":"a"})", "b: expected a list of blocks, found a JSON object of 1 entries");
        row("not JSON", "[", "b: expected a list of blocks");
        row("no kind", R"([{"txt":"a"}])", "b[0]: expected section, text, code, table or values");
        row("number for text", R"([{"text":3}])", "b[0].text: expected text, found 3");
        row("style", R"([{"text":"a","style":"loud"}])", "b[0].style: expected normal, note or warning, found \"loud\"");
        row("ragged row", R"([{"text":"a"},{"table":{"columns":[{"title":"x"}],"rows":[["1"],["1","2"]]}}])",
            "b[1].table.rows[1]: expected 1 cells, found a JSON array of 2 entries");
        row("number in a cell", R"([{"table":{"columns":[{}],"rows":[[1]]}}])", "b[0].table.rows[0]: expected text, found 1");
        row("pair", R"([{"values":[["a"]]}])", "b[0].values[0]: expected a key and a value");
        row("inside a section", R"([{"section":{"blocks":[{"code":null}]}}])", "b[0].section.blocks[0].code: expected text, found null");
    }
    void wrongDocumentsAreNamedByPlace()
    {
        QFETCH(QString, text);
        QFETCH(QString, said);
        try {
            blocksFromJson(Json::parse(text.toStdString(), nullptr, false), "b");
            QFAIL("no exception");
        } catch (const core::FormatError& error) {
            QVERIFY2(QString(error.what()).startsWith(said), error.what());
        }
    }

    void depthAndSizeHaveLimits()
    {
        std::string deep = "{\"text\":\"x\"}";
        for (int i = 0; i < 7; ++i)
            deep = "{\"section\":{\"blocks\":[" + deep + "]}}";
        QVERIFY_EXCEPTION_THROWN(blocksFromJson(Json::parse("[" + deep + "]"), "b"), core::FormatError);
        Json rows = Json::array();
        for (int i = 0; i < 1001; ++i)
            rows.push_back(Json(std::vector<std::string>(200, "")));
        const Json table{{{"table", {{"columns", Json(std::vector<Json>(200, Json::object()))}, {"rows", rows}}}}};
        QVERIFY_EXCEPTION_THROWN(blocksFromJson(table, "b"), core::FormatError);
    }
};

QTEST_GUILESS_MAIN(BlocksJsonTest)
#include "blocks_json_test.moc"
