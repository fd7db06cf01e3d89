#include <core/scene/splat/splat_ply.h>

#include <QTemporaryDir>
#include <QTest>
#include <cstring>
#include <limits>

#include <core/base/error.h>
#include <core/base/files.h>

#include "scenes.h"

using namespace orrery;
using namespace orrery::scene;

namespace {

// A file as other programs write it, put together here by hand.
struct HandMade {
    std::vector<std::string> names{"x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"};
    std::string format = "binary_little_endian", before, type = "float";
    std::size_t count = 2, rest = 9;
    std::vector<float> values;

    std::string bytes(bool fill = true)
    {
        auto all = names;
        for (std::size_t k = 0; k < rest; ++k)
            all.push_back("f_rest_" + std::to_string(k));
        for (const char* name : {"opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"})
            all.push_back(name);
        std::string text = "ply\nformat " + format + " 1.0\n" + before + "element vertex " + std::to_string(count) + "\n";
        for (const auto& name : all)
            text += "property " + type + " " + name + "\n";
        text += "end_header\n";
        if (fill && values.empty())
            for (std::size_t i = 0; i < count * all.size(); ++i)
                values.push_back(float(i) * 0.5f - 7);
        text.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
        return text;
    }
};

std::string messageOf(std::string_view bytes)
{
    try {
        parseSplatPly(bytes, "room.ply");
    } catch (const core::FormatError& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace

class SplatPlyTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void valuesGoWhereTheyBelong()
    {
        HandMade made;
        const auto file = parseSplatPly(made.bytes(), "room.ply");
        QCOMPARE(file.splats.size(), std::size_t(2));
        QCOMPARE(file.splats.degree, 1);
        // The second Gaussian begins with value 26 of the file (9 + 9 + 8 properties): 26 / 2 - 7 = 6.
        QCOMPARE(file.splats.means[3], 6.0f);
        QCOMPARE(file.splats.harmonics[12], 9.0f);   // f_dc_0
        QCOMPARE(file.splats.harmonics[14], 10.0f);  // f_dc_2
        QCOMPARE(file.splats.harmonics[15], 10.5f);  // f_rest_0: red of the second coefficient
        QCOMPARE(file.splats.harmonics[18], 11.0f);  // f_rest_1: red of the third
        QCOMPARE(file.splats.harmonics[16], 12.0f);  // f_rest_3: green of the second
        QCOMPARE(file.splats.opacities[1], 15.0f);
        QCOMPARE(file.splats.scales[3], 15.5f);
        QCOMPARE(file.splats.rotations[4], 17.0f);
        QCOMPARE(file.extras.size(), std::size_t(3));
        QCOMPARE(file.extraValues[3], 7.5f);  // nx of the second
    }

    void readingAndWritingGivesTheSameBytes_data()
    {
        QTest::addColumn<int>("rest");
        QTest::addColumn<QString>("before");
        QTest::newRow("degree 0") << 0 << "";
        QTest::newRow("degree 1") << 9 << "";
        QTest::newRow("degree 2, a comment") << 24 << "comment element vertex in words\n";
        QTest::newRow("degree 3") << 45 << "comment by hand\nobj_info none\n";
    }
    void readingAndWritingGivesTheSameBytes()
    {
        QFETCH(int, rest);
        QFETCH(QString, before);
        HandMade made;
        made.rest = std::size_t(rest);
        made.before = before.toStdString();
        made.names.insert(made.names.begin() + 2, "confidence");
        const std::string bytes = made.bytes();
        QVERIFY(splatPlyBytes(parseSplatPly(bytes, "room.ply")) == bytes);
    }

    void splatsOfOurOwnAreReadBackTheSame()
    {
        for (int degree = 0; degree <= 3; ++degree) {
            SplatFile file;
            file.splats = test::randomSplats(17, degree, 3);
            const QTemporaryDir folder;
            const auto path = std::filesystem::path(folder.path().toStdString()) / "a.ply";
            writeSplatPly(path, file);
            const auto again = readSplatPly(path);
            QVERIFY(again.splats.means == file.splats.means && again.splats.harmonics == file.splats.harmonics);
            QVERIFY(again.splats.scales == file.splats.scales && again.splats.rotations == file.splats.rotations);
            QVERIFY(again.splats.opacities == file.splats.opacities);
            QCOMPARE(again.splats.degree, degree);
            QVERIFY(isSplatPly(core::readFile(path)));
        }
    }

    void fewerSplatsKeepTheHeader()
    {
        HandMade made;
        made.before = "comment kept\n";
        auto file = parseSplatPly(made.bytes(), "room.ply");
        const std::vector<std::uint32_t> second{1};
        file.splats = selectSplats(file.splats, second);
        file.extraValues.erase(file.extraValues.begin(), file.extraValues.begin() + 3);
        const auto bytes = splatPlyBytes(file);
        QVERIFY(bytes.find("comment kept\nelement vertex 1\n") != std::string::npos);
        QCOMPARE(parseSplatPly(bytes, "room.ply").splats.means[0], 6.0f);
    }

    void badFilesAreRefusedWithAReason()
    {
        const auto with = [](auto change) {
            HandMade made;
            change(made);
            return QString::fromStdString(messageOf(made.bytes()));
        };
        const auto value = [](std::size_t at, float bad) {
            HandMade made;
            made.bytes();
            made.values[at] = bad;
            return QString::fromStdString(messageOf(made.bytes()));
        };
        QCOMPARE(with([](HandMade& m) { m.rest = 10; }), "room.ply: expected 0, 9, 24 or 45 properties f_rest_*, got 10");
        QCOMPARE(with([](HandMade& m) { m.names.erase(m.names.begin() + 6); }),
                 "room.ply: expected a property f_dc_0: this is not a file of Gaussians");
        QCOMPARE(with([](HandMade& m) { m.format = "ascii"; }), "room.ply: expected binary_little_endian, as files of Gaussians are, got ascii");
        QVERIFY(with([](HandMade& m) { m.type = "double"; }).contains("property x: expected type float"));
        QCOMPARE(value(26 + 3, std::numeric_limits<float>::quiet_NaN()), "room.ply: Gaussian 1: nx: expected a finite number, got nan");
        QCOMPARE(value(18, std::numeric_limits<float>::infinity()), "room.ply: Gaussian 0: opacity: expected a finite number, got inf");
        HandMade zero;
        zero.bytes();
        std::fill(zero.values.begin() + 22, zero.values.begin() + 26, 0.0f);
        QVERIFY(messageOf(zero.bytes()).find("Gaussian 0: expected a quaternion") != std::string::npos);
    }

    void countsThatDoNotFitTheLengthTakeNoMemory()
    {
        HandMade made;
        made.bytes();
        for (const std::size_t count : {std::size_t(1), std::size_t(3), std::size_t(1) << 60, std::size_t(1) << 62}) {
            made.count = count;
            QVERIFY(messageOf(made.bytes(false)) != "no error");
        }
        made.count = 2;
        const auto whole = made.bytes();
        QCOMPARE(QString::fromStdString(messageOf(whole)), "no error");
        for (std::size_t length = 0; length < whole.size(); ++length)
            QVERIFY(messageOf(std::string_view(whole).substr(0, length)) != "no error");
        QVERIFY(messageOf(whole + "x") != "no error");
    }

    void otherBytesAreNoSplats()
    {
        QVERIFY(!isSplatPly(""));
        QVERIFY(!isSplatPly("ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n"));
        QVERIFY(isSplatPly(HandMade().bytes()));
    }

    void boxesSelectByTheMean()
    {
        const auto splats = test::randomSplats(200, 0, 8);
        const auto inside = splatsInBox(splats, {2, -1, -1, 4, 1, 1});
        QVERIFY(inside.size() > 5 && inside.size() < 100);
        const auto bounds = splatBounds(selectSplats(splats, inside));
        QVERIFY(bounds[0] >= 2 && bounds[3] <= 4 && bounds[1] >= -1 && bounds[5] <= 1);
        const std::vector<std::uint32_t> wrong{200};
        QVERIFY_EXCEPTION_THROWN(selectSplats(splats, wrong), core::InputError);
    }
};

QTEST_APPLESS_MAIN(SplatPlyTest)
#include "splat_ply_test.moc"
