#include <core/io/safetensors.h>

#include <QTemporaryDir>
#include <cstring>

#include "support.h"

using namespace orrery;
using namespace orrery::io;

namespace {

std::string fileWith(const std::string& header, std::size_t dataBytes)
{
    const std::uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(dataBytes, '\0');
}

}  // namespace

class SafetensorsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void readsTheFormatsOwnExample()
    {
        // As the reference implementation writes it: compact JSON, blanks behind it, metadata first.
        const std::string header =
            R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[],"data_offsets":[16,18]}}   )";
        const SafetensorsHeader parsed = parseSafetensors(fileWith(header, 18), "x");
        QCOMPARE(parsed.entries.size(), std::size_t(2));
        QCOMPARE(parsed.entries[0].name, std::string("a"));
        QCOMPARE(parsed.entries[0].begin, std::uint64_t(8 + header.size()));
        QCOMPARE(parsed.find("b")->type, ElementType::BFloat16);
        QVERIFY(parsed.find("b")->shape.empty());
        QCOMPARE(*parsed.findMetadata("format"), std::string("pt"));
        QVERIFY(!parsed.find("c"));
    }

    void comesBackFromAFile()
    {
        QTemporaryDir folder;
        const std::filesystem::path file = folder.filePath("w.safetensors").toStdString();
        const std::string small(3, '\x01'), wide(16, '\x02');
        writeSafetensors(
            file, {{"flags", ElementType::Bool, {3}, small}, {"w", ElementType::Float64, {2, 1}, wide}, {"empty", ElementType::Float32, {0, 4}, {}}},
            {{"graph", "{\"a\": \"\\n\"}"}});
        const core::MappedFile mapped(file);
        const SafetensorsHeader parsed = parseSafetensors(mapped.text(), "w");
        QCOMPARE(parsed.entries.size(), std::size_t(3));
        const SafetensorsEntry& w = *parsed.find("w");
        QCOMPARE(w.begin % 64, std::uint64_t(0));
        QCOMPARE(std::string(mapped.text().substr(w.begin, w.end - w.begin)), wide);
        const SafetensorsEntry& flags = *parsed.find("flags");
        QCOMPARE(std::string(mapped.text().substr(flags.begin, flags.end - flags.begin)), small);
        QCOMPARE(*parsed.findMetadata("graph"), std::string("{\"a\": \"\\n\"}"));
    }

    void sameItemsGiveTheSameBytes()
    {
        const std::string bytes(8, '\x07');
        const std::vector<SafetensorsItem> items{{"a", ElementType::Int64, {1}, bytes}, {"b", ElementType::UInt8, {8}, bytes}};
        QCOMPARE(safetensorsBytes(items, {{"k", "v"}}), safetensorsBytes(items, {{"k", "v"}}));
    }

    void refusesBrokenHeaders_data()
    {
        QTest::addColumn<QByteArray>("file");
        QTest::addColumn<QString>("message");
        const auto row = [](const char* name, const std::string& header, std::size_t bytes, const char* message) {
            QTest::newRow(name) << QByteArray::fromStdString(fileWith(header, bytes)) << QString(message);
        };
        const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
        QTest::newRow("empty") << QByteArray() << "x: expected a safetensors file of at least 8 bytes, got 0";
        QTest::newRow("huge header") << QByteArray("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10)
                                     << "x: expected a safetensors header of at most 100000000 bytes, got 9223372036854775807";
        QTest::newRow("cut off") << QByteArray("\x50\0\0\0\0\0\0\0{}", 10) << "x: the safetensors header is cut off: expected 80 bytes, got 2";
        row("no object", "[]", 0, "x: expected a safetensors header that starts with {, got something else");
        row("overlap", "{" + a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[6,10]}})", 10,
            "x: tensor \"b\": overlaps the tensor before it: expected data from 8, got 6");
        row("same bytes", "{" + a + R"(,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8,
            "x: tensor \"b\": overlaps the tensor before it: expected data from 8, got 0");
        row("gap", "{" + a + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[9,13]}})", 13,
            "x: tensor \"b\": leaves a gap: expected data from 8, got 9");
        row("outside", "{" + a + "}", 7, "x: tensor \"a\": data_offsets [0, 8] lie outside the 7 bytes of data");
        row("data left over", "{" + a + "}", 9, "x: expected 8 bytes of data, got 9");
        row("backwards", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8,
            "x: tensor \"a\": data_offsets [8, 0] lie outside the 8 bytes of data");
        row("wrong length", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
            "x: tensor \"a\": expected 12 bytes for its shape and dtype, got 8");
        row("huge shape", R"({"a":{"dtype":"F32","shape":[4611686018427387904,16],"data_offsets":[0,8]}})", 8,
            "x: tensor \"a\": the shape [4611686018427387904, 16] is too large");
        row("twice", "{" + a + "," + a + "}", 8, "x: broken safetensors header: \"a\" is given twice");
        row("key twice", R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8,
            "x: broken safetensors header: \"dtype\" is given twice");
        row("metadata twice", R"({"__metadata__":{"k":"1","k":"2"}})", 0, "x: broken safetensors header: \"k\" is given twice");
        row("unknown dtype", R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8,
            "x: broken safetensors header: tensor \"a\": expected a dtype such as \"F32\", got \"F33\"");
        row("negative size", R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8,
            "x: broken safetensors header: tensor \"a\": unexpected -2 in shape");
        row("missing key", R"({"a":{"dtype":"F32","shape":[2]}})", 8,
            "x: broken safetensors header: tensor \"a\": expected the keys dtype, shape and data_offsets");
        row("unknown key", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"z":1}})", 8,
            "x: broken safetensors header: tensor \"a\": expected the keys dtype, shape and data_offsets, got \"z\"");
        row("three offsets", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}})", 8,
            "x: broken safetensors header: tensor \"a\": unexpected 9 in data_offsets");
        row("metadata number", R"({"__metadata__":{"k":1}})", 0, "x: broken safetensors header: metadata \"k\": expected a text, got 1");
        row("tensor no object", R"({"a":5})", 0, "x: broken safetensors header: expected an object for \"a\", got 5");
    }
    void refusesBrokenHeaders()
    {
        QFETCH(QByteArray, file);
        QFETCH(QString, message);
        QCOMPARE(messageOf([&] { parseSafetensors(file.toStdString(), "x"); }), message);
    }

    void refusesEveryTruncation()
    {
        const std::string bytes(8, '\x07');
        const std::string file = safetensorsBytes({{"a", ElementType::Int64, {1}, bytes}}, {{"k", "v"}});
        for (std::size_t length = 0; length < file.size(); ++length)
            QVERIFY2(messageOf([&] { parseSafetensors(file.substr(0, length), "x"); }).startsWith("x: "), std::to_string(length).c_str());
    }

    void refusesItemsThatCannotBeWritten()
    {
        QCOMPARE(messageOf<core::InputError>([] {
                     safetensorsBytes({{"a", ElementType::UInt8, {2}, "x"}});
                 }),
                 QString("safetensors: tensor \"a\": expected 2 bytes for its shape and dtype, got 1"));
        QCOMPARE(messageOf<core::InputError>([] {
                     safetensorsBytes({{"a", ElementType::UInt8, {1}, "x"}, {"a", ElementType::UInt8, {1}, "x"}});
                 }),
                 QString("safetensors: expected each tensor name once and none called __metadata__, got \"a\""));
        QVERIFY(messageOf<core::InputError>([] {
                    safetensorsBytes({{"\xff", ElementType::UInt8, {1}, "x"}});
                }).startsWith("safetensors: expected names and metadata in UTF-8"));
        QCOMPARE(messageOf<core::InputError>([] { safetensorsType(ElementType::Complex128); }), QString("safetensors has no dtype complex128"));
    }
};

QTEST_APPLESS_MAIN(SafetensorsTest)
#include "safetensors_test.moc"
