// Documents as JSON and YAML: types, places of errors, limits.
#include <QTest>

#include <core/base/error.h>
#include <core/train/document_file.h>

using namespace orrery;
using core::Json;

namespace {

QString errorOf(const std::function<void()>& call)
{
    try {
        call();
    } catch (const core::FormatError& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace

class DocumentFileTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void typesPlainScalarsByTheCoreSchema_data()
    {
        QTest::addColumn<QString>("yaml");
        QTest::addColumn<QString>("json");
        for (const auto& [yaml, json] : std::vector<std::pair<const char*, const char*>>{{"~", "null"},
                                                                                         {"null", "null"},
                                                                                         {"true", "true"},
                                                                                         {"False", "false"},
                                                                                         {"yes", "\"yes\""},
                                                                                         {"0777", "777"},
                                                                                         {"0o17", "15"},
                                                                                         {"0x1F", "31"},
                                                                                         {"-12", "-12"},
                                                                                         {"+3", "3"},
                                                                                         {"1e-3", "0.001"},
                                                                                         {".5", "0.5"},
                                                                                         {"2.", "2.0"},
                                                                                         {"1_000", "\"1_000\""},
                                                                                         {"12:30", "\"12:30\""},
                                                                                         {"'12'", "\"12\""},
                                                                                         {"\"true\"", "\"true\""},
                                                                                         {"!!str 12", "\"12\""},
                                                                                         {"!!int \"12\"", "12"},
                                                                                         {"!!float 3", "3"},
                                                                                         {"1e", "\"1e\""},
                                                                                         {"-", "[null]"},
                                                                                         {"[1, a, {b: 2}]", "[1, \"a\", {\"b\": 2}]"},
                                                                                         {"a: &x [1, 2]\nb: *x", "{\"a\": [1, 2], \"b\": [1, 2]}"},
                                                                                         {"9223372036854775807", "9223372036854775807"},
                                                                                         {"a: |\n  two\n  lines\n", "{\"a\": \"two\\nlines\\n\"}"}})
            QTest::newRow(yaml) << yaml << json;
    }
    void typesPlainScalarsByTheCoreSchema()
    {
        QFETCH(QString, yaml);
        QFETCH(QString, json);
        QCOMPARE(QString::fromStdString(train::parseYamlDocument(yaml.toStdString(), "t").dump()),
                 QString::fromStdString(Json::parse(json.toStdString()).dump()));
    }

    void refusesBrokenYaml_data()
    {
        QTest::addColumn<QString>("yaml");
        QTest::addColumn<QString>("message");
        QTest::newRow("key twice") << "a: 1\nb: 2\na: 3"
                                   << "t.yaml:3:1: key \"a\" is given twice in one object";
        QTest::newRow("infinite") << "lr: .inf"
                                  << "t.yaml:1:5: expected a finite number, got .inf";
        QTest::newRow("foreign tag") << "a: !!python/object 1"
                                     << "t.yaml:1:4: expected python/object, got \"1\"";
        QTest::newRow("own tag") << "a: !x 1"
                                 << "t.yaml:1:4: unknown tag !x";
        QTest::newRow("list as key") << "? [1, 2]\n: 3"
                                     << "t.yaml:1:3: expected a text as key, got a list or an object";
        QTest::newRow("unclosed") << "a: [1, 2"
                                  << "t.yaml:1:1: expected YAML: end of sequence flow not found";
        QTest::newRow("indentation") << "a:\n  b: 1\n c: 2"
                                     << "t.yaml:3:2: expected YAML: end of map not found";
        QTest::newRow("two documents") << "a: 1\n---\nb: 2"
                                       << "t.yaml: expected one YAML document, got more";
        QTest::newRow("holds itself") << "a: &x [*x]"
                                      << "t.yaml:1:8: an alias of a value that holds it";
        QTest::newRow("no such anchor") << "a: *x"
                                        << "t.yaml:1:4: expected YAML: the referenced anchor is not defined";
    }
    void refusesBrokenYaml()
    {
        QFETCH(QString, yaml);
        QFETCH(QString, message);
        QCOMPARE(errorOf([&] { train::parseYamlDocument(yaml.toStdString(), "t.yaml"); }), message);
    }

    void aliasesDoNotExplode()
    {
        std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
        for (int i = 1; i < 12; ++i)
            text += QString("a%1: &a%1 [*a%2, *a%2, *a%2, *a%2, *a%2, *a%2, *a%2, *a%2, *a%2, *a%2]\n").arg(i).arg(i - 1).toStdString();
        QVERIFY(errorOf([&] { train::parseYamlDocument(text, "t.yaml"); }).endsWith("expected at most 20000 values, aliases expanded"));
    }

    /// A list of names for one long text is a few bytes a name, and a megabyte each in the result.
    void aliasesOfLongTextsDoNotExplode()
    {
        std::string text = "- &a " + std::string(1'000'000, 'y') + "\n";
        for (int i = 0; i < 100; ++i)
            text += "- *a\n";
        QVERIFY(
            errorOf([&] { train::parseYamlDocument(text, "t.yaml"); }).contains("expected parts that take at most 33.0 MiB of memory, found more"));
        QCOMPARE(train::parseYamlDocument("- &a [x, &b y]\n- *a\n- *b\n", "t.yaml").dump(), std::string(R"([["x","y"],["x","y"],"y"])"));
    }

    void depthIsLimited()
    {
        for (const char open : {'[', '{'}) {
            const std::string text(100'000, open);
            QVERIFY(errorOf([&] { train::parseYamlDocument(text, "t.yaml"); }).startsWith("t.yaml:1:"));
        }
        QCOMPARE(errorOf([&] { train::parseJsonDocument(std::string(100'000, '['), "t.json"); }),
                 QString("t.json: expected at most 64 nested levels"));
    }

    void sizeIsLimited()
    {
        QCOMPARE(errorOf([] { train::parseYamlDocument(std::string(5 << 20, 'a'), "t.yaml"); }),
                 QString("t.yaml: expected a document of at most 4.0 MiB, got 5.0 MiB"));
    }

    void refusesBrokenJsonWithLineAndColumn()
    {
        QVERIFY(errorOf([] { train::parseJsonDocument("{\"a\": 1,\n \"b\": }", "t.json"); }).startsWith("t.json:2:7: expected JSON: "));
        QCOMPARE(errorOf([] { train::parseJsonDocument(R"({"a": {"b": 1, "b": 2}})", "t.json"); }),
                 QString("t.json: key \"b\" is given twice in one object"));
    }

    void noBytesMakeItCrash()
    {
        std::uint32_t state = 1;
        const std::string good = "a: &x {b: [1, 2.5, \"q\\n\"], c: ~}\nd:\n  - *x\n  - |\n    t\n  - !!str 5\n";
        for (int i = 0; i < 20000; ++i) {
            std::string text = good;
            for (int edits = 0; edits < 3; ++edits) {
                state = state * 1664525u + 1013904223u;
                text[(state >> 8) % text.size()] = char(state >> 24);
            }
            try {
                train::parseYamlDocument(text, "t").dump();
            } catch (const core::FormatError&) {
            }
        }
    }

    void writtenYamlReadsBackTheSame_data()
    {
        QTest::addColumn<QString>("json");
        QTest::newRow("experiment")
            << R"({"name": "a: b", "seed": 3, "model": {"id": "lenet", "maps": [6, 16], "x": null}, "list": [{"id": "a"}, [1, [2]], [], {}], "ok": true})";
        const std::vector<std::string> texts{"",      "true", "12", "0x1", "~",    " a",  "a ", "-",    "- b", "#c", "\xc3\xa9", "line\nbreak",
                                             "tab\t", "\"",   "'",  "a,b", "null", "1e3", ".5", "\x01", "<<"};
        QTest::newRow("texts") << QString::fromStdString(Json(texts).dump());
        QTest::newRow("numbers") << R"([0, -1, 1.0, 0.1, 1e-300, 9223372036854775807, 1e22, 3.0])";
        QTest::newRow("scalar") << R"("a")";
        QTest::newRow("empty") << "{}";
        QTest::newRow("nested keys") << R"({"a b": {"c:": {"12": [[{"x": 1}]]}}})";
    }
    void writtenYamlReadsBackTheSame()
    {
        QFETCH(QString, json);
        const Json document = Json::parse(json.toStdString());
        const std::string yaml = train::toYaml(document);
        QVERIFY2(train::parseYamlDocument(yaml, "t").dump() == document.dump(), yaml.c_str());
    }
};

QTEST_APPLESS_MAIN(DocumentFileTest)
#include "document_file_test.moc"
