#include <QtTest>

#include <core/io/pickle.h>

#include "../message_of.h"

using namespace orrery;
using namespace std::string_literals;
using io::PickleKind;

namespace {

/// Bytes of a pickle of protocol 2, up to the end mark.
std::string pickled(const std::string& opcodes)
{
    return "\x80\x02"s + opcodes + ".";
}

std::string little(std::uint64_t value, int bytes)
{
    std::string out;
    for (int i = 0; i < bytes; ++i)
        out += char(value >> (8 * i));
    return out;
}

std::string text(const std::string& content)
{
    return "X"s + little(content.size(), 4) + content;
}

std::string refusal(const std::string& bytes, const io::PickleLimits& limits = {})
{
    return messageOf([&] { io::parsePickle(bytes, "p", limits); });
}

}  // namespace

class PickleTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void valuesAreRead()
    {
        // {"a": [1, 300, -2, 2**40, 0.5], "b": (None, True, b"xy"), 3: {4, 5}}, as pickletools would write it by hand.
        const auto bytes = pickled("}(" + text("a") + "](K\x01M\x2c\x01J\xfe\xff\xff\xff\x8a\x06"s + little(std::uint64_t(1) << 40, 6) +
                                   "G\x3f\xe0\x00\x00\x00\x00\x00\x00"s + "e" + text("b") + "N\x88"s + "C\x02xy\x87K\x03\x8f(K\x04K\x05\x90u"s);
        const auto pickle = io::parsePickle(bytes, "p");
        const auto& root = pickle.at(pickle.root);
        QCOMPARE(root.items.size(), std::size_t(6));
        const auto& list = *pickle.find(root, "a");
        std::vector<std::int64_t> integers;
        for (int i = 0; i < 4; ++i)
            integers.push_back(pickle.at(list.items[std::size_t(i)]).integer);
        QCOMPARE(integers, (std::vector<std::int64_t>{1, 300, -2, std::int64_t(1) << 40}));
        QCOMPARE(pickle.at(list.items[4]).real, 0.5);
        const auto& tuple = *pickle.find(root, "b");
        QVERIFY(tuple.kind == PickleKind::Tuple && pickle.at(tuple.items[0]).kind == PickleKind::None && pickle.at(tuple.items[1]).integer == 1);
        QCOMPARE(pickle.at(tuple.items[2]).text(), std::string_view("xy"));
        QVERIFY(pickle.at(root.items[5]).kind == PickleKind::Set);
        QCOMPARE(pickle.length, bytes.size());
        QVERIFY(!pickle.find(root, "c"));
    }

    void negativeAndLongIntegersAreRead()
    {
        const auto value = [](const std::string& digits) {
            const auto bytes = pickled("\x8a"s + char(digits.size()) + digits);  // outlives what looks into it
            const auto pickle = io::parsePickle(bytes, "p");
            return pickle.at(pickle.root);
        };
        QCOMPARE(value("\xff").integer, std::int64_t(-1));
        QCOMPARE(value("\x00\xff"s).integer, std::int64_t(-256));
        QCOMPARE(value("").integer, std::int64_t(0));
        QVERIFY(value(std::string(9, '\x01')).kind == PickleKind::Long);
    }

    void sharedValuesAreOne()
    {
        const auto pickle = io::parsePickle(pickled("](]q\x07h\x07h\x07"
                                                    "e"),
                                            "p");
        const auto& items = pickle.at(pickle.root).items;
        QCOMPARE(items.size(), std::size_t(3));
        QVERIFY(items[0] == items[1] && items[1] == items[2]);
    }

    void aListMayHoldItself()
    {
        const auto pickle = io::parsePickle(pickled("]q\x01h\x01"
                                                    "a"),
                                            "p");
        QCOMPARE(pickle.at(pickle.root).items.size(), std::size_t(1));
        QCOMPARE(pickle.at(pickle.root).items[0], pickle.root);
    }

    void orderedDictionariesAreDictionaries()
    {
        const auto bytes = pickled("ccollections\nOrderedDict\n)R(" + text("w") + "K\x05u}b");  // outlives what looks into it
        const auto pickle = io::parsePickle(bytes, "p");
        QCOMPARE(pickle.find(pickle.at(pickle.root), "w")->integer, std::int64_t(5));
    }

    void objectsAreRecordsOfTheirAttributes()
    {
        const auto bytes = pickled("cmy.module\nThing\n)\x81}(" + text("size") + "K\x05ub");  // outlives what looks into it
        const auto pickle = io::parsePickle(bytes, "p");
        const auto& thing = pickle.at(pickle.root);
        QVERIFY(thing.kind == PickleKind::Object && thing.hasState);
        QCOMPARE(pickle.nameOf(thing).text, std::string_view("Thing"));
        QCOMPARE(pickle.find(pickle.at(thing.items.back()), "size")->integer, std::int64_t(5));
    }

    void whatIsNotPlainDataIsRefusedByName_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("message");
        const auto row = [](const char* name, const std::string& bytes, const char* message) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes) << message;
        };
        row("call of a function", pickled("cposix\nsystem\n" + text("true") + "\x85R"), "call posix.system, which is refused");
        row("call of eval", pickled("cbuiltins\neval\n" + text("1") + "\x85R"), "call builtins.eval, which is refused");
        row("name from the stack", pickled(text("os") + text("system") + "\x93" + text("true") + "\x85R"), "call os.system, which is refused");
        row("instance", pickled("(" + text("true") + "iposix\nsystem\n"), "opcode INST");
        row("object", pickled("(cposix\nsystem\n" + text("true") + "o"), "opcode OBJ");
        row("extension", pickled("\x82\x01"), "opcode EXT1");
        row("buffer", pickled("\x97"), "opcode NEXT_BUFFER");
        row("quantised", pickled("ctorch._utils\n_rebuild_qtensor\n)R"), "torch._utils._rebuild_qtensor: quantised tensors are not read");
        row("sparse", pickled("ctorch._utils\n_rebuild_sparse_tensor\n)R"), "sparse tensors are not read");
        row("unknown opcode", pickled("\xff"), "unknown opcode 0xff");
        row("protocol 0", "I1\n.", "expected a pickle of protocol 2 to 5");
        row("protocol 9", "\x80\x09N.", "expected protocol 2 to 5, found 9");
        row("text opcode", pickled("I1\n"), "opcode INT is not read");
        row("call of a number", pickled("K\x01)R"), "expected a call of a named function");
        row("strange name", pickled("cposix\n" + std::string(2000, 'a') + "\n)R"), "expected the name of a class");
        row("name with control characters", pickled("cev\x01il\n\x1b[2J\n)R"), "call ev?il.?[2J");
    }
    void whatIsNotPlainDataIsRefusedByName()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, message);
        const auto said = QString::fromStdString(refusal(bytes.toStdString()));
        QVERIFY2(said.contains(message), qPrintable(said));
        QVERIFY2(said.startsWith("p: pickle, byte "), qPrintable(said));
    }

    void brokenPicklesAreRefused_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("message");
        const auto row = [](const char* name, const std::string& bytes, const char* message) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes) << message;
        };
        row("empty", "", "expected a pickle");
        row("no end", "\x80\x02N", "an opcode of 1 bytes reaches past the end");
        row("text of 2 GiB",
            pickled("X\xff\xff\xff\x7f"
                    "abc"),
            "a text of 2147483647 bytes reaches past the end");
        row("text of 2**63 bytes", pickled("\x8d"s + std::string(8, '\x7f')), "reaches past the end");
        row("negative length", pickled("T\xff\xff\xff\xff"), "a text of negative length -1");
        row("negative integer length", pickled("\x8b\xff\xff\xff\xff"), "an integer of negative length -1");
        row("empty stack", pickled("a"), "expected a value on the stack");
        row("only a mark", pickled("("), "expected a value on the stack");
        row("no mark", pickled("]Ne"), "expected a mark on the stack");
        row("odd dictionary", pickled("}(Nu"), "expected keys and values in pairs");
        row("item for a number", pickled("K\x01Na"), "expected a list to put values into");
        row("unwritten memo", pickled("h\x05"), "memo entry 5 is read before it is written");
        row("two values left", pickled("NN"), "expected one value at the end, found 2");
        row("state of a list", pickled("]}b"), "expected an object to give a state to");
        row("storage of a number", pickled("K\x01Q"), "persistent id: expected a storage");
        row("storage with a negative size",
            pickled("(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "J\xff\xff\xff\xfftQ"),
            "storage 0: expected a number of elements, found -1");
        row("tensor of nothing", pickled("ctorch._utils\n_rebuild_tensor_v2\n)R"),
            "_rebuild_tensor_v2: expected a storage as argument 1, found none");
        row("many memo entries", pickled("N" + std::string(2000, '\x94')), "more memo entries than values");
    }
    void brokenPicklesAreRefused()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, message);
        const auto said = QString::fromStdString(refusal(bytes.toStdString()));
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void limitsHold()
    {
        std::string lists = "](";
        for (int i = 0; i < 1000; ++i)
            lists += "]";
        QVERIFY(refusal(pickled(lists + "e"), {100, 100000}).find("expected at most 100 values") != std::string::npos);
        QVERIFY(refusal(pickled("](" + std::string(1000, 'N') + "e"), {100, 500}).find("expected at most 500") != std::string::npos);
        // One long list put into a set again and again would grow without an end.
        std::string again = "](" + std::string(1000, 'N') +
                            "eq\x01"
                            "0]";
        for (int i = 0; i < 1000; ++i)
            again += "cbuiltins\nset\nh\x01\x85Ra";
        QVERIFY(refusal(pickled(again), {1'000'000, 100'000}).find("expected at most 100000 entries") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(PickleTest)
#include "pickle_test.moc"
