#include <core/io/cifar.h>
#include <core/io/idx.h>
#include <core/io/json_lines.h>
#include <core/io/utf8.h>

#include "../deflated.h"
#include "support.h"

using namespace orrery;
using namespace orrery::io;

namespace {

const std::string kIdx("\0\0\x08\x02\0\0\0\x02\0\0\0\x03\x01\x02\x03\x04\x05\x06", 18);

}  // namespace

class SmallFormatsTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void readsIdx()
    {
        for (const std::string& bytes : {kIdx, gzip(kIdx)}) {
            const Array array = parseIdx(bytes, "x");
            QCOMPARE(array.shape, (std::vector<std::int64_t>{2, 3}));
            QCOMPARE(array.bytes, std::string("\x01\x02\x03\x04\x05\x06"));
        }
        const Array wide = parseIdx(std::string("\0\0\x0c\x01\0\0\0\x01\x01\x02\x03\x04", 12), "x");
        QCOMPARE(wide.type, ElementType::Int32);
        QCOMPARE(wide.bytes, std::string("\x04\x03\x02\x01"));
    }

    void refusesBrokenIdx()
    {
        QCOMPARE(messageOf([] { parseIdx(kIdx.substr(0, 17), "x"); }), QString("x: expected 6 bytes of data, got 5"));
        QCOMPARE(messageOf([] { parseIdx(kIdx + "!", "x"); }), QString("x: expected 6 bytes of data, got 7"));
        QCOMPARE(messageOf([] { parseIdx(kIdx.substr(0, 9), "x"); }), QString("x: the IDX header is cut off: expected 12 bytes, got 9"));
        QCOMPARE(messageOf([] { parseIdx("hello", "x"); }),
                 QString("x: expected an IDX file (two zero bytes, a type, the number of axes), got something else"));
        const std::string huge("\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16);
        QCOMPARE(messageOf([&] { parseIdx(huge, "x"); }), QString("x: the shape [4294967295, 4294967295, 4294967295] is too large"));
        const std::string packed = gzip(kIdx);
        QVERIFY(messageOf([&] { parseIdx(packed.substr(0, packed.size() - 9), "x"); }).startsWith("x: "));
    }

    void readsCifar()
    {
        std::string ten;
        for (int record = 0; record < 2; ++record)
            ten += char(record + 3) + std::string(kCifarPixels, char(record + 1));
        const CifarBatch batch = parseCifar(ten, 10, "x");
        QCOMPARE(batch.labels, (std::vector<std::uint8_t>{3, 4}));
        QCOMPARE(batch.pixels.size(), 2 * kCifarPixels);
        QCOMPARE(int(batch.pixels[kCifarPixels]), 2);
        const CifarBatch hundred = parseCifar(std::string("\x13\x63") + std::string(kCifarPixels, '\x05'), 100, "x");
        QCOMPARE(int(hundred.coarseLabels[0]), 19);
        QCOMPARE(int(hundred.labels[0]), 99);
    }

    void refusesBrokenCifar()
    {
        QCOMPARE(messageOf([] { parseCifar(std::string(3072, '\0'), 10, "x"); }),
                 QString("x: expected CIFAR-10 records of 3073 bytes, got 3072 bytes in all"));
        QCOMPARE(messageOf([] { parseCifar("", 10, "x"); }), QString("x: expected CIFAR-10 records of 3073 bytes, got 0 bytes in all"));
        QCOMPARE(messageOf([] { parseCifar(std::string(3073, '\x0a'), 10, "x"); }), QString("x: record 0: expected a class below 10, got 10"));
    }

    void decodesUtf8()
    {
        const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
        const std::vector<char32_t> points = decodeUtf8(text, "x");
        QCOMPARE(points, (std::vector<char32_t>{U'a', 0xe9, 0x20ac, 0x1f600}));
        std::string back;
        for (const char32_t point : points)
            appendUtf8(back, point);
        QCOMPARE(back, text);
        QCOMPARE(decodeUtf8("\xef\xbb\xbfx", "x").size(), std::size_t(1));
    }

    void refusesBadUtf8_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("lone continuation") << QByteArray("ab\x80") << "x: expected UTF-8 text, got the byte 0x80 at position 2";
        QTest::newRow("cut off") << QByteArray("a\xe2\x82") << "x: expected UTF-8 text, got the byte 0xe2 at position 1";
        QTest::newRow("overlong") << QByteArray("\xc0\x80") << "x: expected UTF-8 text, got the byte 0xc0 at position 0";
        QTest::newRow("overlong three") << QByteArray("\xe0\x80\x80") << "x: expected UTF-8 text, got the byte 0xe0 at position 0";
        QTest::newRow("surrogate") << QByteArray("\xed\xa0\x80") << "x: expected UTF-8 text, got the byte 0xed at position 0";
        QTest::newRow("too large") << QByteArray("\xf4\x90\x80\x80") << "x: expected UTF-8 text, got the byte 0xf4 at position 0";
        QTest::newRow("no continuation") << QByteArray("\xc3(") << "x: expected UTF-8 text, got the byte 0x28 at position 1";
    }
    void refusesBadUtf8()
    {
        QFETCH(QByteArray, text);
        QFETCH(QString, message);
        QCOMPARE(messageOf([&] { decodeUtf8(text.toStdString(), "x"); }), message);
    }

    void readsJsonLines()
    {
        const auto objects = parseJsonLines("{\"a\": 1}\n\n{\"a\": [1, 2]}\r\n", "x");
        QCOMPARE(objects.size(), std::size_t(2));
        QCOMPARE(objects[1]["a"][1].get<int>(), 2);
    }

    void refusesBadJsonLines()
    {
        QVERIFY(messageOf([] { parseJsonLines("{\"a\": 1}\n{\"a\": }\n", "x"); }).startsWith("x: line 2: expected a JSON object:"));
        QCOMPARE(messageOf([] { parseJsonLines("[1]\n", "x"); }), QString("x: line 1: expected a JSON object, got array"));
        QCOMPARE(messageOf([] { parseJsonLines("\n \n", "x"); }), QString("x: expected one JSON object a line, got none"));
        QCOMPARE(messageOf([] { parseJsonLines("{\"a\":" + std::string(10000, '[') + std::string(10000, ']') + "}", "x"); }),
                 QString("x: line 1: expected at most 64 nested levels"));
    }
};

QTEST_APPLESS_MAIN(SmallFormatsTest)
#include "small_formats_test.moc"
