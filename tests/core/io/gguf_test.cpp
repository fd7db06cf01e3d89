#include <QtTest>
#include <cmath>
#include <cstring>
#include <random>

#include <core/base/files.h>
#include <core/io/gguf.h>

#include "../message_of.h"

using namespace orrery;

namespace {

template <class T>
std::string bytesOf(T value)
{
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string text(const std::string& content)
{
    return bytesOf<std::uint64_t>(content.size()) + content;
}

struct Described {
    std::string name = "w";
    std::vector<std::uint64_t> sizes = {4};
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
};

/// A file with these tensors and `data` bytes behind the header.
std::string ggufBytes(const std::vector<Described>& tensors, std::size_t data, const std::string& metadata = {}, std::uint64_t pairs = 0,
                      std::uint32_t version = 3)
{
    std::string out = "GGUF" + bytesOf(version) + bytesOf<std::uint64_t>(tensors.size()) + bytesOf(pairs) + metadata;
    for (const auto& tensor : tensors) {
        out += text(tensor.name) + bytesOf(std::uint32_t(tensor.sizes.size()));
        for (const auto size : tensor.sizes)
            out += bytesOf(size);
        out += bytesOf(tensor.type) + bytesOf(tensor.offset);
    }
    out.resize((out.size() + 31) / 32 * 32);
    return out + std::string(data, '\0');
}

std::string refusal(const std::string& bytes)
{
    return messageOf([&] { io::parseGguf(bytes, "g"); });
}

}  // namespace

class GgufTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void headerAndMetadataAreRead()
    {
        const auto bytes = core::readFile(ORRERY_TEST_DATA "/weights/types.gguf");
        const auto file = io::parseGguf(bytes, "types");
        core::Json metadata;
        for (const auto& [key, value] : file.metadata)
            metadata[std::string(key)] = io::toJson(value);
        QVERIFY(metadata == core::Json({{"general.architecture", "unheard_of"},
                                        {"general.alignment", 64},
                                        {"a.number", 7},
                                        {"a.real", 0.5},
                                        {"a.truth", true},
                                        {"a.text", "Grüße"},
                                        {"a.texts", {"x", "yz"}},
                                        {"a.numbers", {0.5, 1.5}}}));
        QCOMPARE(io::toJson(*file.find("a.texts"), 1).get<std::string>(), std::string("2 texts"));
        QCOMPARE(file.tensors.size(), std::size_t(7));
        QCOMPARE(file.tensors[2].shape, (std::vector<std::int64_t>{2, 3, 4}));
        QCOMPARE(io::ggufTypeName(file.tensors[4].type), std::string_view("Q4_0"));
        for (const auto& tensor : file.tensors)
            QCOMPARE(tensor.begin % 64, std::uint64_t(0));
    }

    void blocksAreUnpackedAsTheFormatSays()
    {
        // d = 0.5; bytes 1, -2 and 127 first.
        std::string q8 = bytesOf<std::uint16_t>(0x3800) + std::string("\x01\xfe\x7f") + std::string(29, '\0');
        std::vector<float> values(32);
        io::dequantise(io::GgufTensorType::Q8_0, q8, values);
        QCOMPARE(values[0], 0.5f);
        QCOMPARE(values[1], -1.f);
        QCOMPARE(values[2], 63.5f);
        QCOMPARE(values[3], 0.f);
        // d = -2; the first byte holds 15 (element 0) and 0 (element 16).
        std::string q4 = bytesOf<std::uint16_t>(0xc000) + "\x0f" + std::string(15, '\x88');
        io::dequantise(io::GgufTensorType::Q4_0, q4, values);
        QCOMPARE(values[0], -14.f);
        QCOMPARE(values[16], 16.f);
        QCOMPARE(values[1], 0.f);
        // The smallest half-precision number and infinity as scales.
        io::dequantise(io::GgufTensorType::Q8_0, bytesOf<std::uint16_t>(1) + "\x01" + std::string(31, '\0'), values);
        QCOMPARE(values[0], std::ldexp(1.f, -24));
        io::dequantise(io::GgufTensorType::Q8_0, bytesOf<std::uint16_t>(0x7c00) + "\x01" + std::string(31, '\0'), values);
        QVERIFY(std::isinf(values[0]));
    }

    void whatDoesNotFitIsRefused_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("message");
        const auto row = [](const char* name, const std::string& bytes, const char* message) {
            QTest::newRow(name) << QByteArray::fromStdString(bytes) << message;
        };
        row("fits", ggufBytes({{}}, 16), "no error");
        row("two tensors", ggufBytes({{"a"}, {"b", {4}, 0, 32}}, 48), "no error");
        row("empty", "", "the magic word of 4 bytes reaches past the end");
        row("version 1", ggufBytes({}, 0, {}, 0, 1), "expected version 2 or 3, found 1");
        row("big-endian", ggufBytes({}, 0, {}, 0, 0x03000000), "big-endian files are not read");
        row("too short", ggufBytes({{}}, 15), "tensor w: 16 bytes from 64 on reach past the end");
        row("offset of 2**63", ggufBytes({{"w", {4}, 0, std::uint64_t(1) << 63}}, 16), "reach past the end");
        row("offset between", ggufBytes({{"w", {4}, 0, 8}}, 64), "expected an offset that is a multiple of 32, found 8");
        row("overlap", ggufBytes({{"a"}, {"b", {4}, 0, 0}}, 64), "two tensors overlap");
        row("name twice", ggufBytes({{"a"}, {"a", {4}, 0, 32}}, 64), "tensor a is there twice");
        row("negative size", ggufBytes({{"w", {std::uint64_t(-4)}}}, 64), "g: tensor w");
        row("sizes that overflow", ggufBytes({{"w", {std::uint64_t(1) << 40, std::uint64_t(1) << 40}}}, 64), "g: tensor w");
        row("huge sizes beside an empty one", ggufBytes({{"w", {std::uint64_t(1) << 57, std::uint64_t(3) << 56, 0}}}, 64), "no error");
        row("five axes", ggufBytes({{"w", {1, 1, 1, 1, 1}}}, 64), "expected at most 4 axes, found 5");
        row("quantised rows of 31", ggufBytes({{"w", {31}, 8}}, 64), "rows of Q8_0 have to be made of 32 elements each");
        row("type that is not read", ggufBytes({{"w", {256}, 12}}, 1024), "tensor w: type Q4_K is not read");
        row("unknown type", ggufBytes({{"w", {256}, 77}}, 1024), "tensor w: type 77 is not read");
        row("empty name", ggufBytes({{""}}, 64), "the name of a tensor of 0 bytes");
        row("key twice", ggufBytes({}, 0, text("k") + bytesOf(7u) + "\x01" + text("k") + bytesOf(7u) + "\x01", 2), "key k is there twice");
        row("text of 2 GiB", ggufBytes({}, 64, text("k") + bytesOf(8u) + bytesOf(std::uint64_t(1) << 31) + "abc", 1),
            "a text of 2147483648 bytes reaches past the end");
        row("list that is too long", ggufBytes({}, 64, text("k") + bytesOf(9u) + bytesOf(0u) + bytesOf(std::uint64_t(1) << 60), 1),
            "elements do not fit");
        row("list of lists", ggufBytes({}, 64, text("k") + bytesOf(9u) + bytesOf(9u) + bytesOf(std::uint64_t(1)), 1), "lists of lists are not read");
        row("unknown type of metadata", ggufBytes({}, 64, text("k") + bytesOf(13u), 1), "metadata of unknown type 13");
        row("alignment of 3", ggufBytes({}, 64, text("general.alignment") + bytesOf(4u) + bytesOf(3u), 1), "expected a power of two");
        row("more pairs than bytes", ggufBytes({}, 64, {}, std::uint64_t(1) << 40), "values of metadata do not fit");
    }
    void whatDoesNotFitIsRefused()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, message);
        const auto said = QString::fromStdString(refusal(bytes.toStdString()));
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void cutAndFlippedFilesNeverCrash()
    {
        const auto whole = core::readFile(ORRERY_TEST_DATA "/weights/types.gguf");
        constexpr std::size_t kPadding = 48;  // behind the last tensor: nothing is lost with it
        for (std::size_t part = 0; part < 50; ++part)
            if (const auto length = whole.size() * part / 50; whole.size() - length > kPadding)
                QVERIFY(refusal(whole.substr(0, length)) != "no error");
        std::mt19937_64 random(3);
        for (int i = 0; i < 300; ++i) {
            auto bytes = whole;
            bytes[random() % bytes.size()] ^= char(1 << (random() % 8));
            messageOf([&] {
                for (const auto& tensor : io::parseGguf(bytes, "g").tensors)
                    QVERIFY(tensor.begin <= tensor.end && tensor.end <= bytes.size());
            });
        }
    }
};

QTEST_APPLESS_MAIN(GgufTest)
#include "gguf_test.moc"
