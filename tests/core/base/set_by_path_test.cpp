#include <QtTest>

#include <core/base/schema.h>

using namespace orrery::core;

class SetByPathTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void assignmentChangesTheDocument_data();
    void assignmentChangesTheDocument();
    void wrongAssignmentIsRefusedAndChangesNothing_data();
    void wrongAssignmentIsRefusedAndChangesNothing();
};

namespace {
const char* const kDocument =
    R"({"train": {"optimizer": {"id": "adam", "lr": 0.1}}, "analyses": [{"steps": 1}, {"steps": 2}], "name": "x", "note": null})";
}

void SetByPathTest::assignmentChangesTheDocument_data()
{
    QTest::addColumn<QByteArray>("assignment");
    QTest::addColumn<QByteArray>("pointer");
    QTest::addColumn<QByteArray>("value");
    const auto row = [](const char* name, const char* assignment, const char* pointer, const char* value) {
        QTest::newRow(name) << QByteArray(assignment) << QByteArray(pointer) << QByteArray(value);
    };
    row("number", "train.optimizer.lr=0.01", "/train/optimizer/lr", "0.01");
    row("integer stays one", "train.epochs=3", "/train/epochs", "3");
    row("text without quotes", "name=two words", "/name", "\"two words\"");
    row("text that looks like JSON by quotes", "name=\"3\"", "/name", "\"3\"");
    row("list", "train.sizes=[1, 2]", "/train/sizes", "[1,2]");
    row("object", "train.optimizer={\"id\": \"sgd\"}", "/train/optimizer", "{\"id\":\"sgd\"}");
    row("truth value", "train.shuffle=false", "/train/shuffle", "false");
    row("null", "name=null", "/name", "null");
    row("empty", "name=", "/name", "\"\"");
    row("value with an equals sign", "name=a=b", "/name", "\"a=b\"");
    row("list index", "analyses.1.steps=7", "/analyses/1/steps", "7");
    row("list index in brackets", "analyses[1].steps=7", "/analyses/1/steps", "7");
    row("one past the end appends", "analyses.2.steps=9", "/analyses/2/steps", "9");
    row("through null", "note.author=me", "/note/author", "\"me\"");
    row("new levels", "a.b.c=1", "/a/b/c", "1");
    row("spaces", " train.optimizer.lr = 0.5 ", "/train/optimizer/lr", "0.5");
}

void SetByPathTest::assignmentChangesTheDocument()
{
    QFETCH(QByteArray, assignment);
    QFETCH(QByteArray, pointer);
    QFETCH(QByteArray, value);
    Json document = Json::parse(kDocument);
    setByPath(document, assignment.toStdString());
    const Json::json_pointer where(pointer.toStdString());
    QCOMPARE(QByteArray::fromStdString(document.at(where).dump()), value);
    const Json before = Json::parse(kDocument);
    for (const auto& [key, ignored] : before.items())
        QVERIFY(document.contains(key));
}

void SetByPathTest::wrongAssignmentIsRefusedAndChangesNothing_data()
{
    QTest::addColumn<QByteArray>("assignment");
    QTest::addColumn<QString>("message");
    QTest::newRow("no equals sign") << QByteArray("train.lr") << "expected path=value, got \"train.lr\"";
    QTest::newRow("no path") << QByteArray("=3") << "expected path=value, got \"=3\"";
    QTest::newRow("through a text") << QByteArray("name.first=1") << "name: expected an object or a list to set \"first\" in, got \"x\"";
    QTest::newRow("through a number") << QByteArray("train.optimizer.lr.x=1")
                                      << "train.optimizer.lr: expected an object or a list to set \"x\" in, got 0.1";
    QTest::newRow("index too large") << QByteArray("analyses.5.steps=1") << "analyses: expected a list index in 0..2, got \"5\"";
    QTest::newRow("index no number") << QByteArray("analyses.first=1") << "analyses: expected a list index in 0..2, got \"first\"";
    QTest::newRow("negative index") << QByteArray("analyses.-1=1") << "analyses: expected a list index in 0..2, got \"-1\"";
    QTest::newRow("two dots") << QByteArray("train..lr=1") << "expected names between the dots, got \"train..lr\"";
    QTest::newRow("half-way through new levels") << QByteArray("new.level..x=1") << "expected names between the dots, got \"new.level..x\"";
}

void SetByPathTest::wrongAssignmentIsRefusedAndChangesNothing()
{
    QFETCH(QByteArray, assignment);
    QFETCH(QString, message);
    Json document = Json::parse(kDocument);
    try {
        setByPath(document, assignment.toStdString());
        QFAIL("no error");
    } catch (const InputError& error) {
        QCOMPARE(QString(error.what()), message);
    }
    QCOMPARE(document.dump(), Json::parse(kDocument).dump());
}

QTEST_APPLESS_MAIN(SetByPathTest)
#include "set_by_path_test.moc"
