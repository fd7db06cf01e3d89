#include <QtTest>

#include <cmath>
#include <limits>

#include <core/base/registry.h>
#include <core/base/schema.h>

using namespace orrery::core;

namespace {

const RegistryBase& optimizers()
{
    static const auto registry = [] {
        auto made = std::make_unique<Registry<int>>("optimizer", "Optimizers");
        made->add(
            {"sgd", "SGD", "", "", Schema{real("lr", 0.1, "Learning rate.").above(0).log(), real("momentum", 0, "Momentum.").range(0, 1)}, {}, {}},
            0);
        made->add({"adamw",
                   "AdamW",
                   "",
                   "",
                   Schema{real("lr", 0.001, "Learning rate.").above(0).log(), integer("threads", 1, "Threads.").range(1, 8)},
                   {},
                   {}},
                  0);
        return made;
    }();
    return *registry;
}

const RegistryBase& schedules()
{
    static const auto registry = [] {
        auto made = std::make_unique<Registry<int>>("schedule", "Schedules");
        made->add({"constant", "Constant", "", "", Schema{}, {}, {}}, 0);
        made->add({"warmup",
                   "Warm-up",
                   "",
                   "",
                   Schema{integer("steps", 10, "Steps.").atLeast(1), component("then", "schedule", "constant", "What follows.")},
                   {},
                   {}},
                  0);
        return made;
    }();
    return *registry;
}

/// A document with one parameter of every type.
Schema documentSchema()
{
    return Schema{
        text("name", "untitled", "Name of the run."),
        group("train",
              Schema{
                  component("optimizer", "optimizer", "adamw", "How weights change."),
                  component("schedule", "schedule", nullptr, "How the learning rate changes.").orNone(),
                  required(integer("epochs", 0, "Passes over the data.").atLeast(1)),
                  boolean("shuffle", true, "New order every epoch."),
                  real("clip", 1, "Largest gradient norm.").above(0).orNone(),
              },
              "Training."),
        choice("device", {"auto", "cpu", "cuda"}, "auto", "Where it runs."),
        integer("gpu", 0, "Number of the device.").range(0, 7).when("device", {"cuda"}),
        list("sizes", integer("", 0, "").range(1, 4096), Json::array({64, 32}), "Hidden sizes.").atLeast(1),
        list("analyses", Parameter(group("", Schema{integer("steps", 50, "Steps.").atLeast(1), required(text("method", "", "Method."))}, "")),
             Json::array(), "Analyses."),
        any("extra", Json::object(), "Anything."),
    };
}

QString messageOf(const Schema& schema, const Json& document, const std::string& place = "")
{
    try {
        schema.resolve(document, place);
    } catch (const DocumentError& error) {
        return error.what();
    }
    return "no error";
}

/// The smallest right document, changed at one place.
Json changed(const char* assignment)
{
    Json document = Json::parse(R"({"train": {"epochs": 3}})");
    setByPath(document, assignment);
    return document;
}

}  // namespace

class SchemaTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void defaultsAreFilledInTheSchemasOrder();
    void resolvedDocumentResolvesToItself();
    void rightValuesAreNormalised_data();
    void rightValuesAreNormalised();
    void wrongValueIsNamedWithItsPlace_data();
    void wrongValueIsNamedWithItsPlace();
    void notANumberAndInfinityAreRefused();
    void allIssuesAreReportedAtOnce();
    void placeIsPrefixed();
    void checkReturnsWhatCouldBeResolved();
    void conditionalFieldsComeAndGo();
    void conditionMayFollowAComponent();
    void conditionOnAWrongSiblingIsNotBlamed();
    void conditionMayStandBeforeItsSibling();
    void circularConditionsAreOurMistake();
    void deepDocumentsAreRefused();
    void unknownFamilyIsReported();
    void helpNamesEverything();
    void jsonDescribesEverything();
};

void SchemaTest::initTestCase()
{
    addFamily(optimizers());
    addFamily(schedules());
}

void SchemaTest::defaultsAreFilledInTheSchemasOrder()
{
    const Json resolved = documentSchema().resolve(Json::parse(R"({"sizes": [5], "train": {"epochs": 3.0}})"));
    const Json expected =
        Json::parse(R"({"name": "untitled", "train": {"optimizer": {"id": "adamw", "lr": 0.001, "threads": 1}, "schedule": null, "epochs": 3,
        "shuffle": true, "clip": 1.0}, "device": "auto", "sizes": [5], "analyses": [], "extra": {}})");
    QCOMPARE(QString::fromStdString(resolved.dump(1)), QString::fromStdString(expected.dump(1)));
    QCOMPARE(Schema({integer("a", 1, "")}).resolve(nullptr).dump(), std::string("{\"a\":1}"));
}

void SchemaTest::resolvedDocumentResolvesToItself()
{
    const Schema schema = documentSchema();
    const Json once = schema.resolve(
        Json::parse(R"({"device": "cuda", "train": {"epochs": 1, "schedule": {"id": "warmup", "then": "warmup"}}, "analyses": [{"method": "x"}]})"));
    QCOMPARE(QString::fromStdString(schema.resolve(once).dump()), QString::fromStdString(once.dump()));
    QCOMPARE(once["train"]["schedule"]["then"]["then"].dump(), std::string("{\"id\":\"constant\"}"));
}

void SchemaTest::rightValuesAreNormalised_data()
{
    QTest::addColumn<QByteArray>("assignment");
    QTest::addColumn<QByteArray>("pointer");
    QTest::addColumn<QByteArray>("value");
    const auto row = [](const char* assignment, const char* pointer, const char* value) {
        QTest::newRow(assignment) << QByteArray(assignment) << QByteArray(pointer) << QByteArray(value);
    };
    row("train.epochs=3.0", "/train/epochs", "3");
    row("train.epochs=3e2", "/train/epochs", "300");
    row("train.clip=2", "/train/clip", "2.0");
    row("train.clip=null", "/train/clip", "null");
    row("train.optimizer=sgd", "/train/optimizer", R"({"id":"sgd","lr":0.1,"momentum":0.0})");
    row(R"(train.optimizer={"momentum": 1, "id": "sgd"})", "/train/optimizer", R"({"id":"sgd","lr":0.1,"momentum":1.0})");
    row("train.schedule=null", "/train/schedule", "null");
    row("sizes=[1.0, 4096]", "/sizes", "[1,4096]");
    row("extra=[1, {\"a\": null}]", "/extra", R"([1,{"a":null}])");
    row("extra=3.5", "/extra", "3.5");
    row("train.shuffle=false", "/train/shuffle", "false");
    row("name=\"3\"", "/name", "\"3\"");
}

void SchemaTest::rightValuesAreNormalised()
{
    QFETCH(QByteArray, assignment);
    QFETCH(QByteArray, pointer);
    QFETCH(QByteArray, value);
    const Json resolved = documentSchema().resolve(changed(assignment));
    QCOMPARE(QByteArray::fromStdString(resolved.at(Json::json_pointer(pointer.toStdString())).dump()), value);
}

void SchemaTest::wrongValueIsNamedWithItsPlace_data()
{
    QTest::addColumn<QByteArray>("assignment");
    QTest::addColumn<QString>("message");
    const auto row = [](const char* assignment, const char* message) { QTest::newRow(assignment) << QByteArray(assignment) << QString(message); };
    row(R"(train.optimizer={"id": "adamw", "lr": "fast"})", "train.optimizer.lr: expected a number > 0, got \"fast\"");
    row(R"(train.optimizer={"id": "adamw", "lr": 0})", "train.optimizer.lr: expected a number > 0, got 0");
    row(R"(train.optimizer={"id": "adamw", "lr": -0.5})", "train.optimizer.lr: expected a number > 0, got -0.5");
    row(R"(train.optimizer={"id": "sgd", "momentum": 1.5})", "train.optimizer.momentum: expected a number in 0..1, got 1.5");
    row(R"(train.optimizer={"id": "adamw", "threads": 9})", "train.optimizer.threads: expected an integer in 1..8, got 9");
    row(R"(train.optimizer={"id": "adamw", "threads": 2.5})", "train.optimizer.threads: expected an integer in 1..8, got 2.5");
    row(R"(train.optimizer={"id": "adamw", "threads": 18446744073709551615})",
        "train.optimizer.threads: expected an integer in 1..8, got 18446744073709551615");
    row(R"(train.optimizer={"id": "adamw", "threads": 1e300})", "train.optimizer.threads: expected an integer in 1..8, got 1e+300");
    row(R"(train.optimizer={"id": "adamw", "momentum": 0.9})", "train.optimizer.momentum: unknown key");
    row(R"(train.optimizer={"lr": 0.1})", "train.optimizer: expected an object with \"id\" (an optimizer), got one without");
    row(R"(train.optimizer={"id": 3})", "train.optimizer.id: expected the id of an optimizer, got 3");
    row(R"(train.optimizer={"id": "adam"})", "train.optimizer.id: unknown optimizer \"adam\"; did you mean \"adamw\"?");
    row("train.optimizer=adam", "train.optimizer: unknown optimizer \"adam\"; did you mean \"adamw\"?");
    row("train.optimizer=3", "train.optimizer: expected an optimizer (its id, or an object with \"id\"), got 3");
    row("train.optimizer=null", "train.optimizer: expected an optimizer (its id, or an object with \"id\"), got null");
    row("train.schedule=[]", "train.schedule: expected a schedule (its id, or an object with \"id\") or null, got a list");
    row(R"(train.schedule={"id": "warmup", "then": {"id": "warmup", "steps": 0}})", "train.schedule.then.steps: expected an integer >= 1, got 0");
    row("train.optimiser=sgd", "train.optimiser: unknown key; did you mean \"optimizer\"?");
    row("train.epochs=many", "train.epochs: expected an integer >= 1, got \"many\"");
    row("train.epochs=null", "train.epochs: expected an integer >= 1, got null");
    row("train.epochs=true", "train.epochs: expected an integer >= 1, got true");
    row("train.shuffle=1", "train.shuffle: expected true or false, got 1");
    row("train.clip=high", "train.clip: expected a number > 0 or null, got \"high\"");
    row("train=3", "train: expected an object, got 3");
    row("name=5", "name: expected a text, got 5");
    row("name=null", "name: expected a text, got null");
    row("device=gpu", "device: expected one of \"auto\", \"cpu\", \"cuda\", got \"gpu\"; did you mean \"cpu\"?");
    row("device=tpu_v4_pod", "device: expected one of \"auto\", \"cpu\", \"cuda\", got \"tpu_v4_pod\"");
    row("device=[1]", "device: expected one of \"auto\", \"cpu\", \"cuda\", got a list");
    row("sizes=[]", "sizes: expected a list of at least 1 element, got 0");
    row("sizes=64", "sizes: expected a list of at least 1 element, got 64");
    row("sizes=[64, 0, \"x\"]", "sizes[1]: expected an integer in 1..4096, got 0\nsizes[2]: expected an integer in 1..4096, got \"x\"");
    row(R"(analyses=[{"method": "a"}, {"method": "b", "steps": 0}])", "analyses[1].steps: expected an integer >= 1, got 0");
    row(R"(analyses=[{"steps": 2}])", "analyses[0].method: is required: expected a text");
    row("analyses=[7]", "analyses[0]: expected an object, got 7");
    row("gpu=1", "gpu: applies only where device is \"cuda\"; here device is \"auto\"");
    row("Name=x", "Name: unknown key; did you mean \"name\"?");
    row("completely_other=x", "completely_other: unknown key");
}

void SchemaTest::wrongValueIsNamedWithItsPlace()
{
    QFETCH(QByteArray, assignment);
    QFETCH(QString, message);
    QCOMPARE(messageOf(documentSchema(), changed(assignment)), message);
}

void SchemaTest::notANumberAndInfinityAreRefused()
{
    const Schema schema{real("x", 0, "")};
    QCOMPARE(messageOf(schema, {{"x", std::nan("")}}), "x: expected a number, got nan");
    QCOMPARE(messageOf(schema, {{"x", std::numeric_limits<double>::infinity()}}), "x: expected a number, got inf");
    QCOMPARE(messageOf(Schema{integer("n", 0, "")}, {{"n", -std::numeric_limits<double>::infinity()}}), "n: expected an integer, got -inf");
    QCOMPARE(messageOf(schema, Json::parse(R"({"x": "nan"})")), "x: expected a number, got \"nan\"");
    // The ends of the 64-bit integers themselves are fine.
    QCOMPARE(Schema{integer("n", 0, "")}.resolve(Json::parse(R"({"n": -9223372036854775808})"))["n"].get<std::int64_t>(),
             std::numeric_limits<std::int64_t>::min());
}

void SchemaTest::allIssuesAreReportedAtOnce()
{
    std::vector<Issue> issues;
    documentSchema().check(Json::parse(R"({"nam": 1, "device": "gpu", "train": {"clip": -1}})"), "", issues);
    QStringList places;
    for (const Issue& issue : issues)
        places << QString::fromStdString(issue.path);
    QCOMPARE(places, (QStringList{"nam", "train.epochs", "train.clip", "device"}));
    QCOMPARE(messageOf(documentSchema(), Json::parse("[]")), "expected an object, got a list");
}

void SchemaTest::placeIsPrefixed()
{
    QCOMPARE(messageOf(Schema{real("lr", 1, "").range(0, 1).below(1)}, {{"lr", 1}}, "optimizer"),
             "optimizer.lr: expected a number >= 0 and < 1, got 1");
    QCOMPARE(messageOf(Schema{real("lr", 1, "")}, "text", "optimizer"), "optimizer: expected an object, got \"text\"");
    // Long and broken texts are shown shortened and readable.
    const QString longText = messageOf(Schema{real("x", 1, "")}, {{"x", std::string(1000, 'a')}});
    QVERIFY(longText.size() < 130 && longText.endsWith("...\""));
    QVERIFY(messageOf(Schema{real("x", 1, "")}, {{"x", "\xff\xfe"}}).contains("got"));
}

void SchemaTest::checkReturnsWhatCouldBeResolved()
{
    std::vector<Issue> issues;
    const Json partly = Schema{real("lr", 0.1, "").above(0), text("name", "a", "")}.check({{"lr", "fast"}, {"name", "b"}}, "", issues);
    QCOMPARE(partly.dump(), std::string(R"({"lr":0.1,"name":"b"})"));
    QCOMPARE(issues.size(), std::size_t(1));
    QCOMPARE(issues[0].path, std::string("lr"));
    QCOMPARE(issues[0].message, std::string("expected a number > 0, got \"fast\""));
}

void SchemaTest::conditionalFieldsComeAndGo()
{
    const Schema schema{choice("kind", {"step", "cosine", "linear"}, "step", ""), integer("every", 10, "").when("kind", {"step"}),
                        real("floor", 0, "").when("kind", {"cosine", "linear"}), boolean("hard", false, "").when("floor", {0.5})};
    QCOMPARE(schema.resolve(nullptr).dump(), std::string(R"({"kind":"step","every":10})"));
    QCOMPARE(schema.resolve({{"kind", "linear"}}).dump(), std::string(R"({"kind":"linear","floor":0.0})"));
    QCOMPARE(schema.resolve({{"kind", "cosine"}, {"floor", 0.5}}).dump(), std::string(R"({"kind":"cosine","floor":0.5,"hard":false})"));
    QCOMPARE(messageOf(schema, {{"floor", 1}}), "floor: applies only where kind is \"cosine\" or \"linear\"; here kind is \"step\"");
    QCOMPARE(messageOf(schema, {{"hard", true}}), "hard: applies only where floor is 0.5; here floor does not apply either");
    QCOMPARE(schema.resolve({{"floor", nullptr}}).dump(), std::string(R"({"kind":"step","every":10})"));
}

void SchemaTest::conditionMayFollowAComponent()
{
    const Schema schema{component("optimizer", "optimizer", "adamw", ""), boolean("nesterov", false, "").when("optimizer", {"sgd"})};
    QVERIFY(!schema.resolve(nullptr).contains("nesterov"));
    QVERIFY(schema.resolve(Json::parse(R"({"optimizer": {"id": "sgd"}})")).contains("nesterov"));
    QCOMPARE(messageOf(schema, {{"nesterov", true}}), "nesterov: applies only where optimizer is \"sgd\"; here optimizer is \"adamw\"");
}

void SchemaTest::conditionOnAWrongSiblingIsNotBlamed()
{
    const Schema schema{choice("kind", {"step", "cosine"}, "cosine", ""), required(integer("every", 10, "")).when("kind", {"step"})};
    QCOMPARE(messageOf(schema, {{"kind", "stp"}, {"every", 3}}), "kind: expected one of \"step\", \"cosine\", got \"stp\"; did you mean \"step\"?");
    QCOMPARE(messageOf(schema, {{"kind", "stp"}}), "kind: expected one of \"step\", \"cosine\", got \"stp\"; did you mean \"step\"?");
    QCOMPARE(messageOf(schema, {{"kind", "step"}}), "every: is required: expected an integer");
}

void SchemaTest::conditionMayStandBeforeItsSibling()
{
    const Schema schema{integer("every", 10, "").when("kind", {"step"}), choice("kind", {"step", "cosine"}, "step", "")};
    QCOMPARE(schema.resolve(nullptr).dump(), std::string(R"({"every":10,"kind":"step"})"));
}

void SchemaTest::circularConditionsAreOurMistake()
{
    const Schema schema{integer("a", 1, "").when("b", {1}), integer("b", 1, "").when("a", {1})};
    QVERIFY_EXCEPTION_THROWN(schema.resolve(nullptr), Error);
    QVERIFY_EXCEPTION_THROWN(Schema{}.add(integer("a", 1, "")).add(integer("a", 2, "")), Error);
}

void SchemaTest::deepDocumentsAreRefused()
{
    Json deepSchedule = "constant", deepList = 1;
    for (int i = 0; i < 100; ++i) {
        deepSchedule = {{"id", "warmup"}, {"then", deepSchedule}};
        deepList = Json::array({deepList});
    }
    QVERIFY(messageOf(Schema{component("schedule", "schedule", "constant", "")}, {{"schedule", deepSchedule}})
                .endsWith(": expected at most 64 nested levels, got more"));
    QCOMPARE(messageOf(Schema{any("extra", 1, "")}, {{"extra", deepList}}), "extra: expected at most 64 nested levels, got more");
    // So deep that printing or walking it by recursion would end the program.
    const Json abyss = Json::parse("{\"extra\": " + std::string(200000, '[') + std::string(200000, ']') + "}");
    QCOMPARE(messageOf(Schema{any("extra", 1, "")}, abyss), "extra: expected at most 64 nested levels, got more");
    QCOMPARE(messageOf(Schema{real("extra", 1, "")}, abyss), "extra: expected a number, got a list");
}

void SchemaTest::unknownFamilyIsReported()
{
    QCOMPARE(messageOf(Schema{component("x", "unheard_of", "a", "")}, nullptr), "x: no family \"unheard_of\" is registered in this build");
}

void SchemaTest::helpNamesEverything()
{
    const QString help = QString::fromStdString(documentSchema().helpText());
    QStringList lines = help.split('\n', Qt::SkipEmptyParts);
    QCOMPARE(lines.size(), 12);
    QCOMPARE(lines[0], "  name      a text; default \"untitled\". Name of the run.");
    QCOMPARE(lines[2], "    optimizer  an optimizer: sgd, adamw; default \"adamw\". How weights change.");
    QCOMPARE(lines[4], "    epochs     an integer >= 1; required. Passes over the data.");
    QCOMPARE(lines[6], "    clip       a number > 0 or null; default 1. Largest gradient norm.");
    QCOMPARE(lines[8], "  gpu       an integer in 0..7; default 0; only where device is \"cuda\". Number of the device.");
    QCOMPARE(lines[9], "  sizes     a list of at least 1 element, each an integer in 1..4096; default [64,32]. Hidden sizes.");
    QCOMPARE(QString::fromStdString(Schema{real("t", 1, "Time.").withUnit("s")}.helpText(0)), "t  a number [s]; default 1. Time.\n");
}

void SchemaTest::jsonDescribesEverything()
{
    const Json described = documentSchema().toJson();
    QCOMPARE(described.size(), std::size_t(7));
    QCOMPARE(described[0].dump(), std::string(R"({"name":"name","type":"string","help":"Name of the run.","default":"untitled"})"));
    const Json& train = described[1]["parameters"];
    QCOMPARE(train[2].dump(), std::string(R"({"name":"epochs","type":"int","help":"Passes over the data.","required":true,"minimum":1.0})"));
    QCOMPARE(train[4].dump(),
             std::string(R"({"name":"clip","type":"float","help":"Largest gradient norm.","default":1.0,"optional":true,"exclusive_minimum":0.0})"));
    QCOMPARE(described[3]["only_if"].dump(), std::string(R"({"parameter":"device","values":["cuda"]})"));
    QCOMPARE(described[4]["element"]["maximum"].dump(), std::string("4096.0"));
}

QTEST_APPLESS_MAIN(SchemaTest)
#include "schema_test.moc"
