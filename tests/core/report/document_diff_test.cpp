#include <core/report/document_diff.h>

#include <QtTest>

using namespace orrery;
using namespace orrery::report;
using core::Json;

class DocumentDiffTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void flattensInDocumentOrder()
    {
        const auto entries = flattened(
            Json::parse(R"({"model":{"id":"mlp","hidden":[64,32]},"analyses":[{"method":"saliency"}],"empty":{},"none":null,"a.b":1,"":2})"));
        const std::vector<std::string> expected{"model.id", "model.hidden", "analyses.0.method", "empty", "none", "\"a.b\"", "\"\""};
        QCOMPARE(entries.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i)
            QCOMPARE(entries[i].first, expected[i]);
        QCOMPARE(entries[1].second, Json::parse("[64,32]"));
        QVERIFY(flattened(Json::object()).empty());
    }

    void findsOnlyWhatDiffers_data()
    {
        QTest::addColumn<QByteArray>("a");
        QTest::addColumn<QByteArray>("b");
        QTest::addColumn<QByteArray>("expected");  // path=valueA|valueB;...
        QTest::newRow("equal") << QByteArray(R"({"x":1,"y":[1,2]})") << QByteArray(R"({"y":[1,2],"x":1})") << QByteArray("");
        QTest::newRow("1 and 1.0") << QByteArray(R"({"x":1})") << QByteArray(R"({"x":1.0})") << QByteArray("");
        QTest::newRow("value") << QByteArray(R"({"t":{"lr":0.1,"n":3}})") << QByteArray(R"({"t":{"lr":0.01,"n":3}})") << QByteArray("t.lr=0.1|0.01;");
        QTest::newRow("type") << QByteArray(R"({"x":"1"})") << QByteArray(R"({"x":1})") << QByteArray("x=\"1\"|1;");
        QTest::newRow("null is not absent") << QByteArray(R"({"x":null})") << QByteArray(R"({})") << QByteArray("x=null|-;");
        QTest::newRow("component changed") << QByteArray(R"({"o":{"id":"sgd","momentum":0.9}})") << QByteArray(R"({"o":{"id":"adam","beta":0.5}})")
                                           << QByteArray("o.id=sgd|adam;o.momentum=0.9|-;o.beta=-|0.5;");
        QTest::newRow("plain list is one value") << QByteArray(R"({"h":[64,32]})") << QByteArray(R"({"h":[64]})") << QByteArray("h=[64,32]|[64];");
    }

    void findsOnlyWhatDiffers()
    {
        QFETCH(QByteArray, a);
        QFETCH(QByteArray, b);
        QFETCH(QByteArray, expected);
        const std::vector<Json> documents{Json::parse(a.toStdString()), Json::parse(b.toStdString())};
        std::string found;
        for (const DocumentDifference& entry : differences(documents)) {
            found += entry.path + "=" + (entry.values[0] ? plainText(*entry.values[0]) : "-") + "|" +
                     (entry.values[1] ? plainText(*entry.values[1]) : "-") + ";";
        }
        QCOMPARE(QByteArray::fromStdString(found), expected);
    }

    void comparesThreeDocuments()
    {
        const std::vector<Json> documents{Json::parse(R"({"a":1,"b":2})"), Json::parse(R"({"a":1,"b":2})"), Json::parse(R"({"a":1,"b":3})")};
        const auto entries = differences(documents);
        QCOMPARE(entries.size(), std::size_t(1));
        QCOMPARE(entries[0].path, std::string("b"));
        QVERIFY(*entries[0].values[0] == 2 && *entries[0].values[1] == 2 && *entries[0].values[2] == 3);
        QVERIFY(differences(std::span(documents).first(1)).empty());
    }

    /// Text that would be read back as something else keeps its quotes.
    void plainTextReadsBack()
    {
        QCOMPARE(plainText(Json("adamw")), std::string("adamw"));
        QCOMPARE(plainText(Json("3")), std::string("\"3\""));
        QCOMPARE(plainText(Json("true")), std::string("\"true\""));
        QCOMPARE(plainText(Json("")), std::string("\"\""));
        QCOMPARE(plainText(Json(0.1)), std::string("0.1"));
    }
};

QTEST_APPLESS_MAIN(DocumentDiffTest)
#include "document_diff_test.moc"
