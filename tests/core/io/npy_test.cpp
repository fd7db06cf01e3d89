#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/io/zip.h>

#include <ATen/ATen.h>

#include <cstring>

#include "support.h"

using namespace orrery;
using namespace orrery::io;

class NpyTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    // The files of tests/data/io were written by NumPy 1.24.
    void readsWhatNumpyWrote_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("type");
        for (const auto& [file, type] : {std::pair{"bool", "bool"},
                                         {"i1", "int8"},
                                         {"u1", "uint8"},
                                         {"i2", "int16"},
                                         {"u2", "uint16"},
                                         {"i4", "int32"},
                                         {"u4", "uint32"},
                                         {"i8", "int64"},
                                         {"u8", "uint64"},
                                         {"f2", "float16"},
                                         {"f4", "float32"},
                                         {"f8", "float64"},
                                         {"c8", "complex64"},
                                         {"c16", "complex128"},
                                         {"big_i4", "int32"},
                                         {"big_f8", "float64"},
                                         {"big_c16", "complex128"}})
            QTest::newRow(file) << QString(file) << QString(type);
    }
    void readsWhatNumpyWrote()
    {
        QFETCH(QString, file);
        QFETCH(QString, type);
        const Array array = parseNpy(fixture("npy_" + file.toStdString() + ".npy"), "x");
        QCOMPARE(QString::fromUtf8(elementName(array.type).data()), type);
        QCOMPARE(array.shape, (std::vector<std::int64_t>{2, 3}));
        at::Tensor expected = at::arange(6, at::kDouble).view({2, 3});
        if (type == "bool")
            expected = (expected != 0).to(at::kDouble);
        const at::Tensor tensor = toTensor(array);
        if (tensor.is_complex()) {
            QVERIFY(at::equal(at::real(tensor).to(at::kDouble), expected));
            QVERIFY(at::equal(at::imag(tensor).to(at::kDouble), expected + 10));
        } else {
            QVERIFY(at::equal(tensor.to(at::kDouble), expected));
        }
    }

    void transposesFortranOrder()
    {
        const at::Tensor tensor = toTensor(parseNpy(fixture("npy_fortran.npy"), "x"));
        QVERIFY(at::equal(tensor, at::arange(24, at::kFloat).view({2, 3, 4})));
    }

    void readsScalarsAndEmptyArrays()
    {
        QCOMPARE(toTensor(parseNpy(fixture("npy_scalar.npy"), "x")).item<double>(), 2.5);
        QCOMPARE(parseNpy(fixture("npy_empty.npy"), "x").shape, (std::vector<std::int64_t>{0, 4}));
    }

    void writesTheBytesThatNumpyWrites_data()
    {
        QTest::addColumn<QString>("file");
        for (const char* const file :
             {"npy_bool.npy", "npy_i2.npy", "npy_u8.npy", "npy_f2.npy", "npy_f4.npy", "npy_c16.npy", "npy_scalar.npy", "npy_empty.npy"})
            QTest::newRow(file) << QString(file);
    }
    void writesTheBytesThatNumpyWrites()
    {
        QFETCH(QString, file);
        const std::string bytes = fixture(file.toStdString());
        QCOMPARE(QByteArray::fromStdString(npyBytes(parseNpy(bytes, "x"))), QByteArray::fromStdString(bytes));
    }

    void readsArchives()
    {
        const auto stored = parseNpz(fixture("stored.npz"), "x");
        QCOMPARE(stored.size(), std::size_t(2));
        QCOMPARE(stored[0].first, std::string("x"));
        QVERIFY(at::equal(toTensor(stored[1].second), at::tensor({1, 0}, at::kLong)));
        const auto deflated = parseNpz(fixture("deflated.npz"), "x");
        QVERIFY(at::equal(toTensor(deflated[0].second), at::zeros({100, 10})));
        QVERIFY(at::equal(toTensor(deflated[1].second), at::arange(6, at::kLong).view({2, 3})));
    }

    void archivesComeBack()
    {
        const Array a = toArray(at::arange(5)), b = toArray(at::rand({2, 2}));
        const auto back = parseNpz(npzBytes({{"first", a}, {"second", b}}), "x");
        QCOMPARE(back[0].first, std::string("first"));
        QCOMPARE(back[0].second.bytes, a.bytes);
        QCOMPARE(back[1].second.bytes, b.bytes);
        QCOMPARE(npzBytes({{"a", a}}), npzBytes({{"a", a}}));
    }

    void refusesBrokenFiles()
    {
        const std::string good = fixture("npy_f4.npy");
        QCOMPARE(messageOf([&] { parseNpy(good.substr(0, good.size() - 1), "x.npy"); }), QString("x.npy: expected 24 bytes of data, got 23"));
        QCOMPARE(messageOf([&] { parseNpy(good + "!", "x.npy"); }), QString("x.npy: expected 24 bytes of data, got 25"));
        QCOMPARE(messageOf([&] { parseNpy(good.substr(0, 60), "x.npy"); }), QString("x.npy: the NPY header is cut off: expected 128 bytes, got 60"));
        QCOMPARE(messageOf([&] { parseNpy("hello, world", "x.npy"); }),
                 QString("x.npy: expected an NPY file (it starts with \\x93NUMPY), got something else"));
        QCOMPARE(messageOf([&] { parseNpy(fixture("npy_object.npy"), "x.npy"); }),
                 QString("x.npy: expected a bool, integer, float or complex dtype, got \"|O\""));
        QCOMPARE(messageOf([&] { parseNpy(fixture("npy_text.npy"), "x.npy"); }),
                 QString("x.npy: expected a bool, integer, float or complex dtype, got \"<U2\""));
    }

    void refusesHugeShapesBeforeTakingMemory()
    {
        std::string bytes = fixture("npy_f4.npy");
        const std::string was = "(2, 3), }                 ";
        bytes.replace(bytes.find(was), was.size(), "(4611686018427387904, 9)} ");
        QCOMPARE(messageOf([&] { parseNpy(bytes, "x.npy"); }), QString("x.npy: the shape [4611686018427387904, 9] is too large"));
        bytes = fixture("npy_f4.npy");
        bytes.replace(bytes.find(was), was.size(), "(1000000000000, )}        ");
        QCOMPARE(messageOf([&] { parseNpy(bytes, "x.npy"); }), QString("x.npy: expected 4000000000000 bytes of data, got 24"));
    }

    void refusesBrokenArchives()
    {
        std::string bytes = fixture("stored.npz");
        QVERIFY(messageOf([&] { parseNpz(bytes.substr(0, bytes.size() - 30), "x.npz"); }).startsWith("x.npz: damaged zip archive: no end record"));
        std::string flipped = bytes;
        flipped[flipped.find("NUMPY") + 130] ^= 1;
        QVERIFY(messageOf([&] { parseNpz(flipped, "x.npz"); }).contains("expected the checksum"));
        QCOMPARE(messageOf([&] { parseNpz(fixture("deflated.npz"), "x.npz", 1000); }),
                 QString("x.npz: expected at most 1000 bytes when unpacked, got more"));
        for (std::size_t length = 0; length < bytes.size(); ++length)
            QVERIFY2(messageOf([&] { parseNpz(bytes.substr(0, length), "x.npz"); }).startsWith("x.npz: "), std::to_string(length).c_str());
    }

    void refusesPromisesThatDeflateCannotKeep()
    {
        std::string bytes = fixture("deflated.npz");
        const std::size_t entry = bytes.find("PK\x01\x02");
        const std::uint32_t huge = 0xfffffff0;
        std::memcpy(bytes.data() + entry + 24, &huge, 4);
        QVERIFY(messageOf([&] { parseZip(bytes, "x.npz", std::uint64_t(1) << 40); }).contains("promises 4294967280 bytes from"));
        QCOMPARE(messageOf([&] { parseNpz(bytes, "x.npz"); }), QString("x.npz: expected at most 268435456 bytes when unpacked, got more"));
    }

    void readsZip64Sizes()
    {
        // The 32-bit sizes of the only entry are moved into a ZIP64 field, as writers that stream do.
        std::string bytes = zipBytes({{"a", "hello"}});
        const std::size_t entry = bytes.find("PK\x01\x02"), end = bytes.find("PK\x05\x06");
        std::string field("\x01\x00\x10\x00", 4);
        field += std::string("\x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0", 16);
        std::memset(bytes.data() + entry + 20, 0xff, 8);
        bytes[entry + 30] = char(field.size());
        bytes.insert(end, field);
        QCOMPARE(parseZip(bytes, "x", 100).at(0).content, std::string("hello"));
    }

    void tensorsComeBack()
    {
        const at::Tensor odd = at::rand({4, 6}).t().slice(0, 1, 5, 2);
        QVERIFY(at::equal(toTensor(toArray(odd)), odd));
        const at::Tensor half = at::rand({3}).to(at::kBFloat16);
        QVERIFY(at::equal(toTensor(toArray(half)), half));
        QCOMPARE(messageOf<core::InputError>([&] { npyBytes(toArray(half)); }), QString("NumPy has no dtype bfloat16"));
        Array big{ElementType::UInt64, {1}, std::string(8, '\xff')};
        QCOMPARE(messageOf([&] { toTensor(big); }), QString("expected unsigned integers below 2^63, got 18446744073709551615"));
    }
};

QTEST_APPLESS_MAIN(NpyTest)
#include "npy_test.moc"
