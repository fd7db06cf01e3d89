#include <QtTest>

#include <cmath>

#include <core/io/tensorboard.h>

#include "../message_of.h"

using namespace orrery;
using io::ScalarEvent;

namespace {

std::string bytesOf(const char* hex)
{
    return QByteArray::fromHex(hex).toStdString();
}

/// A record around a message, for what is not written out byte by byte: the frame itself is shown right by `aFileWrittenByHandIsRead`.
std::string record(const std::string& data)
{
    const auto little = [](std::uint64_t value, int count) {
        std::string bytes;
        for (int i = 0; i < count; ++i)
            bytes += char(value >> (8 * i));
        return bytes;
    };
    const std::string length = little(data.size(), 8);
    return length + little(io::maskedCrc32c(length), 4) + data + little(io::maskedCrc32c(data), 4);
}

std::string field(int number, const std::string& bytes)
{
    return std::string(1, char(number << 3 | 2)) + char(bytes.size()) + bytes;
}

/// An event with one value "t" whose tensor is the given message.
std::string tensorEvent(const std::string& tensor)
{
    return record(field(5, field(1, field(1, "t") + field(8, tensor))));
}

/// The first record of a file: wall time 1.0, version "brain.Event:2". These are the bytes that real files begin with (length 24 and its checksum).
const char* const kVersionRecord = "1800000000000000"  // 24 bytes
                                   "a37f4b22"          // checksum of the length
                                   "09"
                                   "000000000000f03f"  // 1: wall_time, 64 bits: 1.0
                                   "1a"
                                   "0d"
                                   "627261696e2e4576656e743a32"  // 3: file_version, 13 bytes
                                   "86bf577a";                   // checksum of the data
/// loss = 0.5 at step 300, time 2.5, as `simple_value`.
const char* const kSimpleRecord = "1b00000000000000"
                                  "1a0d9e13"
                                  "09"
                                  "0000000000000440"  // 1: wall_time 2.5
                                  "10"
                                  "ac02"  // 2: step, varint 300
                                  "2a"
                                  "0d"  // 5: summary, 13 bytes
                                  "0a"
                                  "0b"  //    1: value, 11 bytes
                                  "0a"
                                  "04"
                                  "6c6f7373"  //       1: tag "loss"
                                  "15"
                                  "0000003f"  //       2: simple_value 0.5
                                  "f04bc4a2";
/// acc = -3 at step 7, time 3, as a tensor of type float without dimensions.
const char* const kTensorRecord = "2000000000000000"
                                  "29eda950"
                                  "09"
                                  "0000000000000840"
                                  "10"
                                  "07"
                                  "2a"
                                  "13"
                                  "0a"
                                  "11"
                                  "0a"
                                  "03"
                                  "616363"
                                  "42"
                                  "0a"  //       8: tensor, 10 bytes
                                  "08"
                                  "01"  //          1: dtype DT_FLOAT
                                  "12"
                                  "00"  //          2: shape, empty
                                  "2a"
                                  "04"
                                  "000040c0"  //          5: float_val, packed: -3
                                  "4342102e";

}  // namespace

class TensorboardTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void checksumsAreThoseOfTheStandard()
    {
        // RFC 3720, appendix B.4, and the usual check value.
        QCOMPARE(io::crc32c(std::string(32, '\0')), 0x8a9136aau);
        QCOMPARE(io::crc32c(std::string(32, '\xff')), 0x62a8ab43u);
        std::string rising;
        for (int i = 0; i < 32; ++i)
            rising += char(i);
        QCOMPARE(io::crc32c(rising), 0x46dd794eu);
        QCOMPARE(io::crc32c("123456789"), 0xe3069283u);
    }

    void aFileWrittenByHandIsRead()
    {
        const auto file = io::parseEventFile(bytesOf(kVersionRecord) + bytesOf(kSimpleRecord) + bytesOf(kTensorRecord), "hand");
        QCOMPARE(file.records, std::size_t(3));
        QCOMPARE(file.others, std::size_t(0));
        QVERIFY(!file.brokenAt);
        QCOMPARE(file.scalars.size(), std::size_t(2));
        QVERIFY(file.scalars[0].tag == "loss" && file.scalars[0].step == 300 && file.scalars[0].time == 2.5 && file.scalars[0].value == 0.5);
        QVERIFY(file.scalars[1].tag == "acc" && file.scalars[1].step == 7 && file.scalars[1].time == 3 && file.scalars[1].value == -3);
    }

    void whatIsWrittenHasTheBytesOfTheFormat()
    {
        const std::vector<ScalarEvent> scalars{{"loss", 300, 2.5, 0.5}};
        QCOMPARE(QByteArray::fromStdString(io::eventFileBytes(scalars, 1)).toHex(), QByteArray(kVersionRecord) + kSimpleRecord);
    }

    /// 0.1 is no single: a tensor of a double, with the word that makes TensorBoard show it. Written out after tensor.proto and summary.proto.
    void doublesAreWrittenAsTensors()
    {
        const std::string message = bytesOf("09"
                                            "0000000000000440"  // 1: wall_time 2.5
                                            "1007"              // 2: step 7
                                            "2a24"
                                            "0a22"
                                            "0a0178"  //       1: tag "x"
                                            "420e"
                                            "0802"                  //          1: dtype DT_DOUBLE
                                            "1200"                  //          2: shape, empty
                                            "32089a9999999999b93f"  //          6: double_val, packed: 0.1
                                            "4a0d"
                                            "0a09"
                                            "0a077363616c617273"  //             1: plugin_name "scalars"
                                            "2001");              //          4: data_class DATA_CLASS_SCALAR
        const std::vector<ScalarEvent> scalars{{"x", 7, 2.5, 0.1}};
        QCOMPARE(QByteArray::fromStdString(io::eventFileBytes(scalars, 1)).toHex(),
                 QByteArray::fromStdString(bytesOf(kVersionRecord) + record(message)).toHex());
    }

    void whatIsWrittenReadsBack()
    {
        const std::vector<ScalarEvent> scalars{
            {"a", 0, 1e9, 0.25}, {"a", 1, 1e9 + 1, -1e30f}, {"b/c", 1, 1e9 + 1, INFINITY}, {"a", -5, 0, 3},
            {"a", 2, 1, 0.1},    {"a", 3, 1, 1e300},        {"a", 4, 1, -5e-324},          {"ä", INT64_MAX, 2, std::nan("")}};
        const auto read = io::parseEventFile(io::eventFileBytes(scalars, 1e9), "again").scalars;
        QCOMPARE(read.size(), scalars.size());
        for (std::size_t i = 0; i < read.size(); ++i) {
            QVERIFY(read[i].tag == scalars[i].tag && read[i].step == scalars[i].step && read[i].time == scalars[i].time);
            QVERIFY(read[i].value == scalars[i].value || (std::isnan(read[i].value) && std::isnan(scalars[i].value)));
        }
    }

    void tensorsOfEachTypeGiveTheirNumber_data()
    {
        QTest::addColumn<QString>("tensor");
        QTest::addColumn<double>("value");
        QTest::newRow("float, content") << "0801"
                                           "2204"
                                           "000040c0"
                                        << -3.0;
        QTest::newRow("double, content") << "0802"
                                            "2208"
                                            "000000000000f83f"
                                         << 1.5;
        QTest::newRow("double, packed") << "0802"
                                           "3208"
                                           "000000000000f83f"
                                        << 1.5;
        QTest::newRow("double, single") << "0802"
                                           "31"
                                           "000000000000f83f"
                                        << 1.5;
        QTest::newRow("float, single") << "0801"
                                          "2d"
                                          "0000003f"
                                       << 0.5;
        QTest::newRow("int32, content") << "0803"
                                           "2204"
                                           "feffffff"
                                        << -2.0;
        QTest::newRow("int32, single") << "0803"
                                          "38"
                                          "2a"
                                       << 42.0;
        QTest::newRow("int32, packed and negative") << "0803"
                                                       "3a0a"
                                                       "feffffffffffffffff01"
                                                    << -2.0;
        QTest::newRow("int64, packed") << "0809"
                                          "5202"
                                          "ac02"
                                       << 300.0;
        QTest::newRow("half, content") << "0813"
                                          "2202"
                                          "00c0"
                                       << -2.0;
        QTest::newRow("half, value") << "0813"
                                        "68"
                                        "8078"
                                     << 1.0;
        QTest::newRow("half, smallest") << "0813"
                                           "2202"
                                           "0100"
                                        << std::ldexp(1.0, -24);
        QTest::newRow("half, infinite") << "0813"
                                           "2202"
                                           "007c"
                                        << double(INFINITY);
        QTest::newRow("bfloat16, content") << "080e"
                                              "2202"
                                              "803f"
                                           << 1.0;
    }
    void tensorsOfEachTypeGiveTheirNumber()
    {
        QFETCH(QString, tensor);
        QFETCH(double, value);
        const auto file = io::parseEventFile(tensorEvent(bytesOf(tensor.toLatin1())), "tensor");
        QCOMPARE(file.scalars.size(), std::size_t(1));
        QCOMPARE(file.scalars[0].value, value);
    }

    void otherValuesAreCountedAndLeftOut_data()
    {
        QTest::addColumn<QString>("tensor");
        QTest::newRow("a text") << "0807"
                                   "4203"
                                   "616263";
        QTest::newRow("two numbers") << "0801"
                                        "2a08"
                                        "0000003f0000003f";
        QTest::newRow("two numbers as content") << "0801"
                                                   "2208"
                                                   "0000003f0000003f";
        QTest::newRow("no number") << "0801"
                                      "1200";
        QTest::newRow("no type") << "2204"
                                    "000040c0";
    }
    void otherValuesAreCountedAndLeftOut()
    {
        QFETCH(QString, tensor);
        const auto file = io::parseEventFile(tensorEvent(bytesOf(tensor.toLatin1())), "tensor");
        QVERIFY(file.scalars.empty());
        QCOMPARE(file.others, std::size_t(1));
    }

    void aFileThatIsStillBeingWrittenGivesWhatIsWhole()
    {
        const std::string whole = bytesOf(kVersionRecord) + bytesOf(kSimpleRecord) + bytesOf(kTensorRecord);
        const std::size_t last = whole.size() - bytesOf(kTensorRecord).size();
        for (std::size_t cut = last + 1; cut < whole.size(); ++cut) {
            const auto file = io::parseEventFile(whole.substr(0, cut), "cut");
            QCOMPARE(file.scalars.size(), std::size_t(1));
            QCOMPARE(file.brokenAt.value_or(0), last);
        }
    }

    void damageIsNamedWithItsPlace()
    {
        const std::string whole = bytesOf(kVersionRecord) + bytesOf(kSimpleRecord);
        const auto said = [&](std::size_t at) {
            std::string damaged = whole;
            damaged[at] = char(damaged[at] ^ 0x10);
            return saidBy([&] { io::parseEventFile(damaged, "run.tfevents"); });
        };
        QCOMPARE(said(60), QString("run.tfevents, byte 52: the checksum of a record is wrong: expected 0xa2c44bf0, found %1; the file is damaged")
                               .arg(said(60).mid(85, 10)));
        QVERIFY(said(41).startsWith("run.tfevents, byte 40: the checksum of a record's length is wrong"));
        QVERIFY(said(0).startsWith("run.tfevents, byte 0: the checksum of the first record's length (is this a TensorBoard event file?) is wrong"));
        // No single flipped bit goes unseen.
        for (std::size_t at = 0; at < whole.size(); ++at)
            QVERIFY2(said(at).contains("checksum"), std::to_string(at).c_str());
        QVERIFY(saidBy([] { io::parseEventFile("short", "x"); }).contains("found 5 bytes, too few for one record"));
        QVERIFY(io::parseEventFile("", "empty").scalars.empty());
    }

    void messagesThatBreakOffAreNamedWithTheirPlace()
    {
        const auto said = [](const std::string& message) { return saidBy([&] { io::parseEventFile(record(message), "x"); }); };
        QCOMPARE(said(bytesOf("2a05"
                              "0a")),
                 QString("x, byte 14: expected 5 bytes more of a message, found 1"));
        QCOMPARE(said(bytesOf("09"
                              "0000")),
                 QString("x, byte 13: expected 8 bytes more of a message, found 2"));
        QVERIFY(said(bytesOf("10"
                             "ffffffffffffffffffff01"))
                    .contains("expected a number of at most 64 bits"));
        QVERIFY(said(bytesOf("0b")).contains("expected wire type 0, 1, 2 or 5, found 3"));
        QVERIFY(said(bytesOf("00")).contains("expected a field of a message, found the key 0"));
        QVERIFY(said(bytesOf("2affffffffffffffffff01")).contains("more of a message, found 0"));
        QVERIFY(saidBy([] {
                    io::parseEventFile(tensorEvent(bytesOf("0801"
                                                           "2a03"
                                                           "000000")),
                                       "x");
                }).contains("expected floating-point numbers in a tensor"));
    }
};

QTEST_APPLESS_MAIN(TensorboardTest)
#include "tensorboard_test.moc"
