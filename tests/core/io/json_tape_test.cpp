// The compact reader of JSON against the library's own tree of the same text.
#include <QtTest>

#include <random>

#include <nlohmann/json.hpp>

#include <core/base/error.h>
#include <core/io/json_memory.h>
#include <core/io/json_tape.h>

#include "../message_of.h"

using namespace orrery;

using Tree = nlohmann::json;

namespace {

/// What the tape holds, as a tree.
Tree treeOf(io::JsonValue value)
{
    using Kind = io::JsonValue::Kind;
    switch (value.kind()) {
    case Kind::Null: return nullptr;
    case Kind::Boolean: return value.boolean();
    case Kind::Integer: return *value.integer();
    case Kind::Unsigned: return value.integer() ? Tree(std::uint64_t(*value.integer())) : Tree(std::uint64_t(value.number()));
    case Kind::Real: return value.number();
    case Kind::Text: return std::string(value.text());
    default: break;
    }
    Tree tree = value.isList() ? Tree::array() : Tree::object();
    for (const io::JsonValue inner : value)
        if (value.isList())
            tree.push_back(treeOf(inner));
        else
            tree[std::string(inner.key())] = treeOf(inner);
    return tree;
}

std::string randomText(std::mt19937& random)
{
    static const std::string kParts[] = {"a",
                                         "name",
                                         "as_tensor",
                                         "\"",
                                         "\\",
                                         "\n",
                                         "\xc3\xa4",
                                         "\xf0\x9f\x98\x80",
                                         std::string(1, '\0'),
                                         std::string(200, 'x'),
                                         std::string(20000, 'y')};
    std::string text;
    for (auto n = random() % 4; n > 0; --n)
        text += kParts[random() % (random() % 20 == 0 ? std::size(kParts) : std::size(kParts) - 2)];
    return text;
}

Tree randomTree(std::mt19937& random, int depth)
{
    switch (random() % (depth > 5 ? 6 : 8)) {
    case 0: return nullptr;
    case 1: return random() % 2 == 0;
    case 2: return -std::int64_t(random()) << (random() % 32);
    case 3: return std::uint64_t(random()) << (random() % 31);
    case 4: return std::ldexp(double(random()) + 0.5, int(random() % 600) - 300);
    case 5: return randomText(random);
    case 6: {
        Tree list = Tree::array();
        for (auto n = random() % 6; n > 0; --n)
            list.push_back(randomTree(random, depth + 1));
        return list;
    }
    default: break;
    }
    Tree object = Tree::object();
    for (auto n = random() % 6; n > 0; --n)
        object[randomText(random)] = randomTree(random, depth + 1);
    return object;
}

io::JsonTape tapeOf(std::string_view text, std::uint64_t memory = std::uint64_t(1) << 30)
{
    io::MemoryBudget budget(memory);
    return {text, "f: document", budget};
}

}  // namespace

class JsonTapeTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void holdsWhatTheTreeHolds()
    {
        std::mt19937 random(3);
        for (int i = 0; i < 2000; ++i) {
            const Tree tree = randomTree(random, 0);
            const std::string text = tree.dump(int(random() % 3) - 1, ' ', random() % 2 == 0);
            const auto tape = tapeOf(text);
            QCOMPARE(treeOf(tape.root()).dump(), tree.dump());
            QCOMPARE(tape.root().size(), tree.is_structured() ? tree.size() : 0);
            QCOMPARE(std::string(tape.root().typeName()), std::string(tree.type_name()));
            if (tree.is_object())
                for (const auto& [key, value] : tree.items())
                    QCOMPARE(treeOf(*tape.root().find(key)).dump(), value.dump());
        }
    }

    void manyDifferentKeysAreKeptApart()
    {
        // More than are remembered, so that some are put down again, each in two objects.
        std::string text = "[";
        for (int round = 0; round < 2; ++round) {
            text += round ? ",{" : "{";
            for (int i = 0; i < 5000; ++i)
                text += (i ? ",\"key" : "\"key") + std::to_string(i) + "\":" + std::to_string(i);
            text += "}";
        }
        const auto tape = tapeOf(text + "]");
        for (const io::JsonValue object : tape.root()) {
            int i = 0;
            for (const io::JsonValue value : object) {
                QCOMPARE(std::string(value.key()), "key" + std::to_string(i));
                QCOMPARE(*value.integer(), std::int64_t(i++));
            }
            QCOMPARE(i, 5000);
        }
    }

    void ofTwoValuesWithOneKeyTheLastCounts()
    {
        const auto tape = tapeOf(R"({"a": 1, "b": 2, "a": 3})");
        QCOMPARE(*tape.root().find("a")->integer(), std::int64_t(3));
        QVERIFY(!tape.root().find("c"));
        QVERIFY(!(*tape.root().begin()).find("a"));  // a number has no members
    }

    void numbersBeyondAreNoIntegers()
    {
        const auto tape = tapeOf("[9223372036854775807, 9223372036854775808, -9223372036854775808, 1.0]");
        std::vector<std::optional<std::int64_t>> found;
        for (const io::JsonValue value : tape.root())
            found.push_back(value.integer());
        QCOMPARE(found, (std::vector<std::optional<std::int64_t>>{INT64_MAX, std::nullopt, INT64_MIN, std::nullopt}));
    }

    void nothingIsNull()
    {
        const io::JsonValue none;
        QVERIFY(none.isNull() && none.size() == 0 && none.begin() == none.end() && none.key().empty() && !none.find("a"));
    }

    void saysWhatIsWrong_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("cut off") << "[1, 2"
                                 << "f: document: expected JSON: ";
        QTest::newRow("empty") << ""
                               << "f: document: expected JSON: ";
        QTest::newRow("two documents") << "1 2"
                                       << "f: document: expected JSON: ";
        QTest::newRow("no UTF-8") << QString("\"") + QChar(0x80) << "f: document: expected JSON: ";
        QTest::newRow("a number too large") << "1e400"
                                            << "f: document: expected JSON: ";
        QTest::newRow("deep") << QString(801, '[') + QString(801, ']') << "f: document: expected at most 800 nested levels";
        QTest::newRow("far too many") << "[" + QString("0,").repeated(100) + "0]"
                                      << "f: document: expected parts that take at most 1000 B of memory, found more";
    }
    void saysWhatIsWrong()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        const auto said = saidBy([&] { tapeOf(text.toLatin1().toStdString(), 1000 + 20 * 801 * text.startsWith("[[")); });
        QVERIFY2(said.startsWith(message), qPrintable(said));
    }

    /// The same tree, and the same parts shown in the same order, as the library's own parser with a callback.
    void guardsSeeWhatCallbacksSee()
    {
        const auto seen = [](std::vector<std::string>& events) {
            return [&events](int depth, Tree::parse_event_t event, Tree& part) {
                const bool isShown =
                    event == Tree::parse_event_t::key || event == Tree::parse_event_t::value || event == Tree::parse_event_t::object_end;
                events.push_back(std::to_string(depth) + " " + std::to_string(int(event)) + " " + (isShown ? part.dump() : ""));
                return true;
            };
        };
        std::mt19937 random(4);
        for (int i = 0; i < 500; ++i) {
            const std::string text = i == 0 ? R"({"a": [1, {}], "b": {"a": 2}, "a": 3})" : randomTree(random, 0).dump();
            std::vector<std::string> shown, expected;
            const Tree tree = io::parseGuarded<Tree>(text, seen(shown));
            QCOMPARE(tree.dump(), Tree::parse(text, seen(expected)).dump());
            QCOMPARE(shown, expected);
            QCOMPARE(io::parseJson(text, "f").dump(), core::Json::parse(text).dump());
        }
    }

    void aTreeThatKeepsTheOrderIsCountedToo()
    {
        QCOMPARE(io::parseJson(R"({"b": [1, "x"], "a": {"c": null}})", "f").dump(), std::string(R"({"b":[1,"x"],"a":{"c":null}})"));
        QVERIFY(saidBy([] { io::parseJson("{", "f"); }).startsWith("f: expected JSON: "));
        std::string names = "{";
        for (int i = 0; i <= 50'000; ++i)
            names += "\"" + std::to_string(i) + "\":0,";
        QCOMPARE(saidBy([&] { io::parseJson(names + "\"a\":0}", "f"); }), QString("f: expected at most 50000 names in an object, found more"));
        QVERIFY(saidBy([] { io::parseJson(std::string(802, '[') + std::string(802, ']'), "f"); }).contains("800 nested levels"));
    }
};

QTEST_APPLESS_MAIN(JsonTapeTest)
#include "json_tape_test.moc"
