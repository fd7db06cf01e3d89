#include <QtTest>
#include <cstring>
#include <random>

#include <core/base/files.h>
#include <core/io/torch_checkpoint.h>
#include <core/io/zip.h>

#include "../message_of.h"

using namespace orrery;

namespace {

std::string fileOf(const std::string& name)
{
    return core::readFile(std::string(ORRERY_TEST_DATA "/weights/") + name);
}

std::vector<std::string> namesOf(const io::TorchCheckpoint& checkpoint)
{
    std::vector<std::string> names;
    for (const auto& entry : checkpoint.tensors)
        names.push_back(entry.name);
    return names;
}

/// Reads all there is to read; what a damaged file may do is return or throw one of our errors.
std::string readWhole(std::string_view bytes)
{
    return messageOf([&] {
        const auto file = io::parseTorchFile(bytes, "f.pt");
        io::findCheckpoint(file, "f.pt");
        for (std::size_t i = 0; i < file.tensors.size(); ++i) {
            const auto& storage = file.storages[file.tensors[i].storage];
            QVERIFY(storage.begin <= storage.end && storage.end <= bytes.size());
        }
    });
}

/// Names, sizes and elements of all tensors.
std::string contentOf(const std::string& bytes)
{
    std::string content;
    const auto file = io::parseTorchFile(bytes, "f.pt");
    for (const auto& entry : io::findCheckpoint(file, "f.pt").tensors) {
        const auto& tensor = file.tensors[entry.tensor];
        const auto& storage = file.storages[tensor.storage];
        content += fmt::format("{} [{}] [{}] {} ", entry.name, fmt::join(tensor.sizes, ","), fmt::join(tensor.strides, ","), tensor.offset);
        content += bytes.substr(storage.begin, storage.end - storage.begin);
    }
    return content;
}

io::TorchCheckpoint checkpointOf(const std::string& name)
{
    static std::map<std::string, std::string> files;  // the result holds no views, but what made it does
    const auto& bytes = files[name] = fileOf(name);
    return io::findCheckpoint(io::parseTorchFile(bytes, name), name);
}

bool saysSo(const io::TorchCheckpoint& checkpoint, const std::string& part)
{
    return std::any_of(checkpoint.notes.begin(), checkpoint.notes.end(),
                       [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

/// An archive with this pickle and one storage "0" of 16 bytes.
std::string archive(const std::string& pickle)
{
    return io::zipBytes({{"a/data.pkl", pickle}, {"a/data/0", std::string(16, '\x01')}});
}

std::string text(const std::string& content)
{
    return "X" + std::string(1, char(content.size())) + std::string(3, '\0') + content;
}

std::string integer(std::int32_t value)
{
    return "J" + std::string(reinterpret_cast<const char*>(&value), 4);
}

/// {"w": a tensor over FloatStorage "0" of 4 elements}.
std::string tensorPickle(std::int32_t offset, const std::vector<std::int32_t>& sizes, const std::vector<std::int32_t>& strides,
                         const std::string& storage = "FloatStorage", std::int32_t elements = 4, const std::string& key = "0")
{
    const auto tuple = [](const std::vector<std::int32_t>& values) {
        std::string out = "(";
        for (const auto value : values)
            out += integer(value);
        return out + "t";
    };
    return std::string("\x80\x02}") + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + storage + "\n" +
           text(key) + text("cpu") + integer(elements) + "tQ" + integer(offset) + tuple(sizes) + tuple(strides) + "\x89}tRs.";
}

}  // namespace

class TorchFileTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void bothFormatsSayTheSame()
    {
        const auto zipped = fileOf("state.pt"), legacy = fileOf("legacy.pt");
        const auto a = io::parseTorchFile(zipped, "a"), b = io::parseTorchFile(legacy, "b");
        QVERIFY(!a.isLegacy && b.isLegacy);
        QCOMPARE(namesOf(io::findCheckpoint(a, "a")), namesOf(io::findCheckpoint(b, "b")));
        QCOMPARE(a.tensors.size(), b.tensors.size());
        for (std::size_t i = 0; i < a.tensors.size(); ++i) {
            QCOMPARE(a.tensors[i].sizes, b.tensors[i].sizes);
            const auto &p = a.storages[a.tensors[i].storage], &q = b.storages[b.tensors[i].storage];
            QCOMPARE(std::string_view(zipped).substr(p.begin, p.end - p.begin), std::string_view(legacy).substr(q.begin, q.end - q.begin));
        }
    }

    void theStateDictionaryIsFound()
    {
        const auto checkpoint = checkpointOf("checkpoint.pt");
        QVERIFY(saysSo(checkpoint, "the weights are \"model\" of the file"));
        QCOMPARE(checkpoint.about.at("epoch").get<int>(), 3);
        QCOMPARE(checkpoint.about.at("args").at("lr").get<double>(), 1e-3);
        QVERIFY(checkpoint.about.at("args").at("flags") == core::Json({true, nullptr}));
        QCOMPARE(checkpoint.about.at("optimizer").get<std::string>(), std::string("27 tensors"));
        const auto lightning = checkpointOf("lightning.pt");
        QCOMPARE(namesOf(lightning), (std::vector<std::string>{"module.a.weight", "module.a.num_batches_tracked"}));
        QCOMPARE(lightning.about.at("hyper_parameters").get<std::string>(), std::string("an object of class argparse.Namespace"));
    }

    void otherShapesOfFilesAreUnderstood()
    {
        const auto nested = checkpointOf("nested.pt");
        QCOMPARE(namesOf(nested), (std::vector<std::string>{"encoder.weight", "encoder.bias", "decoder.weight"}));
        QCOMPARE(nested.about.at("version").get<int>(), 7);
        QCOMPARE(namesOf(checkpointOf("list.pt")), (std::vector<std::string>{"0", "1"}));
        QCOMPARE(namesOf(checkpointOf("lone.pt")), std::vector<std::string>{"tensor"});
        QCOMPARE(namesOf(checkpointOf("unaligned.pt")), namesOf(nested));
        QCOMPARE(namesOf(checkpointOf("deflated_pickle.pt")), namesOf(nested));
        const auto bytes = fileOf("parameters.pt");
        const auto file = io::parseTorchFile(bytes, "p");
        QVERIFY(file.tensors[1].isParameter && !file.tensors.back().isParameter);
    }

    void wholeModulesAreReadAsTreesAndNotRun()
    {
        for (const std::string name : {"module.pt", "module-legacy.pt"}) {
            const auto module = checkpointOf(name);
            auto names = namesOf(module), state = namesOf(checkpointOf("state.pt"));
            std::sort(names.begin(), names.end());
            std::sort(state.begin(), state.end());
            QCOMPARE(names, state);
            QVERIFY(saysSo(module, "a whole pickled module of class __main__.Cnn"));
            std::map<std::string, std::string> types;
            for (const auto& each : module.modules)
                types[each.path] = each.type;
            QCOMPARE(types.at(""), std::string("Cnn"));
            QCOMPARE(types.at("bn1"), std::string("BatchNorm2d"));
            for (const auto& entry : module.tensors)
                QCOMPARE(entry.isBuffer, entry.name.find("running_") != std::string::npos || entry.name.ends_with("num_batches_tracked"));
        }
    }

    void filesThatAskForMoreAreRefusedByName_data()
    {
        QTest::addColumn<QString>("message");
        QTest::newRow("calls_system.pt") << "call posix.system, which is refused";
        QTest::newRow("calls_system_legacy.pt") << "call posix.system, which is refused";
        QTest::newRow("calls_eval.pt") << "call builtins.eval, which is refused";
        QTest::newRow("object_of_system.pt") << "expected tensors (a state dictionary), found \"an object of class posix.system\"";
        QTest::newRow("instance_of_system.pt") << "opcode INST is not read";
        QTest::newRow("knot.pt") << "expected tensors";
        QTest::newRow("quantised.pt") << "_rebuild_qtensor: quantised tensors are not read";
        QTest::newRow("sparse.pt") << "_rebuild_sparse_tensor: sparse tensors are not read";
        QTest::newRow("deflated.pt") << "expected a stored entry, found a deflated one";
    }
    void filesThatAskForMoreAreRefusedByName()
    {
        QFETCH(QString, message);
        const auto said = QString::fromStdString(readWhole(fileOf(QTest::currentDataTag())));
        QVERIFY2(said.contains(message), qPrintable(said));
        QVERIFY(!std::filesystem::exists("executed_by_orrery"));
    }

    void tensorsStayInsideTheirStorage_data()
    {
        QTest::addColumn<QByteArray>("pickle");
        QTest::addColumn<QString>("message");
        const auto row = [](const char* name, const std::string& pickle, const char* message) {
            QTest::newRow(name) << QByteArray::fromStdString(pickle) << message;
        };
        row("whole", tensorPickle(0, {2, 2}, {2, 1}), "no error");
        row("window", tensorPickle(1, {3}, {1}), "no error");
        row("overlapping rows", tensorPickle(0, {3, 2}, {1, 1}), "no error");
        row("expanded", tensorPickle(3, {100}, {0}), "no error");
        row("nothing, at the end", tensorPickle(4, {0}, {1}), "no error");
        row("one too many", tensorPickle(0, {5}, {1}), "reaches outside its storage of 4 elements");
        row("stride too long", tensorPickle(0, {2, 2}, {3, 1}), "reaches outside its storage");
        row("offset too far", tensorPickle(4, {1}, {1}), "reaches outside its storage");
        row("nothing, behind the end", tensorPickle(5, {0}, {1}), "reaches outside its storage");
        row("negative offset", tensorPickle(-1, {1}, {1}), "begins at element -1");
        row("negative size", tensorPickle(0, {-2}, {1}), "size -2 and stride 1");
        row("negative stride", tensorPickle(3, {2}, {-1}), "stride -1");
        row("sizes beyond 63 bits", tensorPickle(0, {INT32_MAX, INT32_MAX, INT32_MAX}, {0, 0, 0}), "f.pt");
        row("expanded to gigabytes", tensorPickle(0, {INT32_MAX, 4}, {0, 0}), "far more bytes than the file has");
        row("more strides than sizes", tensorPickle(0, {1}, {1, 1}), "expected as many strides as sizes");
        row("storage longer than its bytes", tensorPickle(0, {1}, {1}, "FloatStorage", 5), "storage a/data/0: expected 20 bytes, found 16");
        row("storage of wider elements", tensorPickle(0, {1}, {1}, "ComplexDoubleStorage", 4), "expected 64 bytes, found 16");
        row("storage that is missing", tensorPickle(0, {1}, {1}, "FloatStorage", 4, "7"), "expected an entry a/data/7");
        row("quantised storage", tensorPickle(0, {1}, {1}, "QInt8Storage", 4), "a QInt8Storage is not read");
    }
    void tensorsStayInsideTheirStorage()
    {
        QFETCH(QByteArray, pickle);
        QFETCH(QString, message);
        const auto said = QString::fromStdString(readWhole(archive(pickle.toStdString())));
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void bombsTakeNoMemory()
    {
        // A pickle of 64 MiB that deflates to 64 KiB, as a directory promises it: refused before anything is unpacked.
        const auto deflated = [](std::size_t packed, std::uint32_t promised) {
            auto bytes = io::zipBytes({{"a/data.pkl", std::string(packed, '\0')}});
            const auto directory = bytes.rfind("PK\x01\x02");
            bytes[directory + 10] = 8;
            std::memcpy(bytes.data() + directory + 24, &promised, sizeof promised);
            return readWhole(bytes);
        };
        const auto large = deflated(70000, 64 << 20), lie = deflated(100, 16 << 20);
        QVERIFY2(large.find("expected a pickle of at most") != std::string::npos, large.c_str());
        QVERIFY2(lie.find("promises") != std::string::npos, lie.c_str());  // more than deflate can make of so few bytes
    }

    void damagedChecksumsAreSeen()
    {
        auto bytes = fileOf("state.pt");
        const auto file = io::parseTorchFile(bytes, "f.pt");
        bytes[file.storages[0].begin + 2] ^= 4;
        QVERIFY(readWhole(bytes).find("expected the checksum") != std::string::npos);
    }

    void cutFilesAreRefused_data() { damagedFiles(); }
    void cutFilesAreRefused()
    {
        const auto whole = fileOf(QTest::currentDataTag());
        QCOMPARE(readWhole(whole), std::string("no error"));
        for (std::size_t part = 0; part < 50; ++part)
            QVERIFY2(readWhole(std::string_view(whole).substr(0, whole.size() * part / 50)) != "no error", qPrintable(QString::number(part)));
    }

    void flippedBitsNeverCrash_data() { damagedFiles(); }
    // In an archive all that matters lies under a checksum: what is accepted is what was written. The older format has none, so elements may change unseen.
    void flippedBitsNeverCrash()
    {
        const auto whole = fileOf(QTest::currentDataTag()), content = contentOf(whole);
        std::mt19937_64 random(17);
        int refused = 0;
        for (int i = 0; i < 300; ++i) {
            auto bytes = whole;
            const auto at = random() % bytes.size();
            bytes[at] ^= char(1 << (random() % 8));
            const bool isRefused = readWhole(bytes) != "no error";
            refused += isRefused;
            if (!isRefused && whole.starts_with("PK"))
                QVERIFY2(contentOf(bytes) == content, qPrintable(QString::number(at)));
        }
        qInfo("%d of 300 refused", refused);
        QVERIFY(refused > 30);
    }

private:
    static void damagedFiles()
    {
        QTest::addColumn<int>("unused");
        for (const char* name : {"state.pt", "legacy.pt", "checkpoint.pt", "module.pt", "module-legacy.pt", "views.pt"})
            QTest::newRow(name) << 0;
    }
};

QTEST_APPLESS_MAIN(TorchFileTest)
#include "torch_file_test.moc"
