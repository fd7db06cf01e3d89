// Files of points: what each reader takes from bytes written by hand after the specification, what our writers give, and what is refused.
#include <QTemporaryDir>
#include <QTest>
#include <cmath>
#include <cstring>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/rng.h>
#include <core/scene/cloud/formats.h>
#include <core/scene/cloud/las.h>
#include <core/scene/cloud/lzf.h>
#include <core/scene/cloud/obj.h>
#include <core/scene/cloud/pcd.h>
#include <core/scene/cloud/ply.h>
#include <core/scene/cloud/points.h>
#include <core/scene/cloud/xyz.h>

using namespace orrery;
using namespace orrery::scene;

namespace {

template <class Expected = core::FormatError, class Action>
QString messageOf(Action&& action)
{
    try {
        action();
    } catch (const Expected& error) {
        return QString::fromStdString(error.what());
    } catch (const std::exception& error) {
        return QString("another type: ") + error.what();
    }
    return "nothing thrown";
}

// Bytes as the specifications lay them out, independent of the code under test.
template <class Number>
void put(std::string& out, Number value, bool big = false)
{
    std::string bytes(sizeof value, 0);
    std::memcpy(bytes.data(), &value, sizeof value);
    if (big)
        std::reverse(bytes.begin(), bytes.end());
    out += bytes;
}

template <class Number>
void putAt(std::string& out, std::size_t at, Number value)
{
    std::memcpy(out.data() + at, &value, sizeof value);
}

const char* const kSmallPly = "ply\nformat ascii 1.0\ncomment made by hand\nelement vertex 4\nproperty double x\nproperty float y\nproperty short z\n"
                              "property uchar red\nproperty uchar green\nproperty uchar blue\nproperty float quality\n"
                              "element face 2\nproperty list uchar int vertex_indices\n"
                              "element edge 1\nproperty int vertex1\nproperty int vertex2\n"
                              "element camera 1\nproperty float focal\nend_header\n"
                              "0 0 0 255 0 0 0.5\n1 0 0 0 255 0 1.5\n1 1 0 0 0 255 2.5\n0 1 -7 9 8 7 nan\n"
                              "4 0 1 2 3\n3 0 2 3\n2 3\n35\n";

void verifySmall(const CloudFile& file)
{
    QCOMPARE(file.mesh.points.positions, (std::vector<float>{0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, -7}));
    QCOMPARE(file.mesh.points.colours, (std::vector<std::uint8_t>{255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7}));
    QCOMPARE(file.mesh.points.fields.size(), std::size_t(1));
    QCOMPARE(file.mesh.points.fields[0].name, std::string("quality"));
    QCOMPARE(file.mesh.points.fields[0].values[2], 2.5f);
    QVERIFY(std::isnan(file.mesh.points.fields[0].values[3]));
    QCOMPARE(file.mesh.triangles, (std::vector<std::uint32_t>{0, 1, 2, 0, 2, 3, 0, 2, 3}));
    QCOMPARE(file.mesh.edges, (std::vector<std::uint32_t>{2, 3}));
    QCOMPARE(file.leftOut, (std::vector<std::string>{"element camera (1 entries)"}));
}

std::string binaryPly(bool big)
{
    std::string text = kSmallPly;
    text.resize(text.find("end_header\n") + 11);
    text.replace(text.find("ascii"), 5, big ? "binary_big_endian" : "binary_little_endian");
    const double xs[] = {0, 1, 1, 0};
    const float ys[] = {0, 0, 1, 1}, qs[] = {0.5f, 1.5f, 2.5f, NAN};
    const std::int16_t zs[] = {0, 0, 0, -7};
    const std::uint8_t colours[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7};
    for (int i = 0; i < 4; ++i) {
        put(text, xs[i], big);
        put(text, ys[i], big);
        put(text, zs[i], big);
        text.append(reinterpret_cast<const char*>(colours) + 3 * i, 3);
        put(text, qs[i], big);
    }
    for (const auto& face : std::vector<std::vector<std::int32_t>>{{0, 1, 2, 3}, {0, 2, 3}}) {
        put(text, std::uint8_t(face.size()), big);
        for (const auto corner : face)
            put(text, corner, big);
    }
    put(text, std::int32_t(2), big);
    put(text, std::int32_t(3), big);
    put(text, 35.0f, big);
    return text;
}

// A LAS file of two points, byte by byte.
std::string smallLas(int minor, int format, std::size_t recordBytes)
{
    std::string out(minor == 4 ? 375 : 227, '\0');
    out.replace(0, 4, "LASF");
    out[24] = 1;
    out[25] = char(minor);
    putAt(out, 94, std::uint16_t(out.size()));
    putAt(out, 96, std::uint32_t(out.size()));
    out[104] = char(format);
    putAt(out, 105, std::uint16_t(recordBytes));
    putAt(out, 107, std::uint32_t(minor == 4 ? 0 : 2));
    if (minor == 4)
        putAt(out, 247, std::uint64_t(2));
    for (int k = 0; k < 3; ++k) {
        putAt(out, std::size_t(131 + 8 * k), 0.01);
        putAt(out, std::size_t(155 + 8 * k), k == 0 ? 500000.0 : k == 1 ? 4000000.0 : 0.0);
    }
    for (int i = 0; i < 2; ++i) {
        std::string record(recordBytes, '\0');
        putAt(record, 0, std::int32_t(100 + 1000 * i));
        putAt(record, 4, std::int32_t(-250));
        putAt(record, 8, std::int32_t(12345));
        putAt(record, 12, std::uint16_t(7 + i));
        if (format < 6) {
            record[14] = char(2 | 3 << 3);
            record[15] = char(5 | 1 << 5);
            record[16] = char(-12);
            putAt(record, 18, std::uint16_t(99));
        } else {
            record[14] = char(2 | 3 << 4);
            record[16] = char(200);
            putAt(record, 18, std::int16_t(-2000));
            putAt(record, 20, std::uint16_t(99));
        }
        if (format == 3)
            putAt(record, 20, 300000000.25 + i);
        if (format == 3)
            for (std::size_t k = 0; k < 3; ++k)
                putAt(record, 28 + 2 * k, std::uint16_t(256 * (10 * k + std::size_t(i))));
        if (format == 7)
            putAt(record, 22, 300000000.25 + i);
        if (format == 7)
            for (std::size_t k = 0; k < 3; ++k)
                putAt(record, 30 + 2 * k, std::uint16_t(256 * (10 * k + std::size_t(i))));
        out += record;
    }
    return out;
}

// A rich cloud with awkward numbers.
TriangleMesh sample(bool georeferenced)
{
    core::SplitMix64 random(11);
    TriangleMesh mesh;
    auto& cloud = mesh.points;
    const auto uniform = [&] { return float(random.uniform() * 2 - 1); };
    for (int i = 0; i < 500; ++i) {
        cloud.positions.insert(cloud.positions.end(), {10 * uniform(), 10 * uniform(), 1e-4f * uniform()});
        float x = uniform(), y = uniform(), z = uniform();
        const float length = std::sqrt(x * x + y * y + z * z);
        cloud.normals.insert(cloud.normals.end(), {x / length, y / length, z / length});
        for (int k = 0; k < 3; ++k)
            cloud.colours.push_back(std::uint8_t(random.below(256)));
    }
    cloud.positions[0] = 1.17549435e-38f;
    cloud.fields = {{"intensity", {}, 0}, {"gps_time", {}, georeferenced ? 3e8 : 0}};
    for (int i = 0; i < 500; ++i) {
        cloud.fields[0].values.push_back(float(random.below(65536)));
        cloud.fields[1].values.push_back(std::abs(100 * uniform()));
    }
    cloud.fields[1].values[3] = 0;
    if (georeferenced)
        cloud.origin = {431234, 5512345, 100};
    for (std::uint32_t i = 0; i + 2 < 500; ++i)
        mesh.triangles.insert(mesh.triangles.end(), {i, i + 1, i + 2});
    mesh.edges = {0, 499, 17, 18};
    return mesh;
}

std::string bytesOf(const std::string& format, const TriangleMesh& mesh, const core::Json& parameters)
{
    std::string out;
    cloudFormats().factory(format).write(mesh, cloudFormats().at(format).schema.resolve(parameters), [&](std::string_view bytes) { out += bytes; });
    return out;
}

}  // namespace

class CloudFilesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void plyAsTextAndInBothByteOrders()
    {
        const auto text = parsePly(kSmallPly, "a.ply");
        verifySmall(text);
        QCOMPARE(text.encoding, std::string("ascii"));
        QCOMPARE(text.comments, (std::vector<std::string>{"made by hand"}));
        verifySmall(parsePly(binaryPly(false), "a.ply"));
        verifySmall(parsePly(binaryPly(true), "a.ply"));
    }

    void plyWithListsInTheVertexAndUnknownElementsBefore()
    {
        std::string bytes = "ply\r\nformat binary_little_endian 1.0\r\nelement odd 2\r\nproperty list uchar double a\r\nproperty char b\r\n"
                            "element vertex 1\r\nproperty list uchar uchar tags\r\nproperty float x\r\nproperty float y\r\nproperty float z\r\n"
                            "property ushort red\r\nproperty ushort green\r\nproperty ushort blue\r\nend_header\r\n";
        put(bytes, std::uint8_t(1));
        put(bytes, 3.0);
        put(bytes, std::int8_t(4));
        put(bytes, std::uint8_t(0));
        put(bytes, std::int8_t(4));
        put(bytes, std::uint8_t(2));
        bytes += "ab";
        for (const float x : {1.5f, 2.5f, 3.5f})
            put(bytes, x);
        for (const std::uint16_t c : {65535, 257, 0})
            put(bytes, c);
        const auto file = parsePly(bytes, "b.ply");
        QCOMPARE(file.mesh.points.positions, (std::vector<float>{1.5f, 2.5f, 3.5f}));
        QCOMPARE(file.mesh.points.colours, (std::vector<std::uint8_t>{255, 1, 0}));
        QCOMPARE(file.leftOut.size(), std::size_t(2));
    }

    void pcdInThreeEncodings()
    {
        const std::string header =
            "# .PCD v0.7 - by hand\nVERSION 0.7\nFIELDS x y z rgb label hist\nSIZE 4 4 4 4 2 1\nTYPE F F F U U I\nCOUNT 1 1 1 1 1 2\n"
            "WIDTH 2\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\nDATA ";
        const auto verify = [](const CloudFile& file) {
            QCOMPARE(file.mesh.points.positions, (std::vector<float>{1, 2, 3, -4.5f, 5, 6}));
            QCOMPARE(file.mesh.points.colours, (std::vector<std::uint8_t>{1, 2, 3, 255, 0, 16}));
            QCOMPARE(file.mesh.points.fields.size(), std::size_t(3));
            QCOMPARE(file.mesh.points.fields[0].values, (std::vector<float>{7, 65535}));
            QCOMPARE(file.mesh.points.fields[2].name, std::string("hist_1"));
            QCOMPARE(file.mesh.points.fields[2].values, (std::vector<float>{-2, 4}));
        };
        verify(parsePcd(header + "ascii\n1 2 3 66051 7 -1 -2\n-4.5 5 6 16711696 65535 3 4\n", "a.pcd"));
        std::string points, planes;
        const float xyz[] = {1, 2, 3, -4.5f, 5, 6};
        const std::uint32_t rgb[] = {66051, 16711696};
        const std::uint16_t label[] = {7, 65535};
        const std::int8_t hist[] = {-1, -2, 3, 4};
        for (std::size_t i = 0; i < 2; ++i) {
            for (std::size_t k = 0; k < 3; ++k)
                put(points, xyz[3 * i + k]);
            put(points, rgb[i]);
            put(points, label[i]);
            put(points, hist[2 * i]);
            put(points, hist[2 * i + 1]);
        }
        for (std::size_t k = 0; k < 3; ++k)
            for (std::size_t i = 0; i < 2; ++i)
                put(planes, xyz[3 * i + k]);
        for (const auto bits : rgb)
            put(planes, bits);
        for (const auto each : label)
            put(planes, each);
        for (const auto each : hist)
            put(planes, each);
        verify(parsePcd(header + "binary\n" + points, "b.pcd"));
        // LZF with literals alone: runs of at most 32 bytes behind their length less one.
        std::string packed = char(31) + planes.substr(0, 32) + char(planes.size() - 33) + planes.substr(32), sizes;
        put(sizes, std::uint32_t(packed.size()));
        put(sizes, std::uint32_t(planes.size()));
        verify(parsePcd(header + "binary_compressed\n" + sizes + packed, "c.pcd"));
    }

    void lzfReadsWhatLiblzfWroteAndItsOwn()
    {
        // Made by liblzf 3.6 from this text.
        const QByteArray packed = QByteArray::fromHex("0361626361e008020d2d706f696e7420636c6f75642c20e00f0c03733b2000e0ff00e01800010000");
        const std::string text = std::string("abcabcabcabcabcabcabc-point cloud, point cloud, point clouds; ") + std::string(300, '\0');
        QVERIFY(lzfDecompress({packed.data(), std::size_t(packed.size())}, text.size(), "x") == text);
        core::SplitMix64 random(3);
        for (const std::size_t size : {0, 1, 2, 3, 31, 32, 33, 1000, 70000}) {
            std::string mixed;
            while (mixed.size() < size)
                mixed += random.below(3) ? std::string(random.below(400), char(random.below(4))) : std::string(1, char(random.below(256)));
            mixed.resize(size);
            const auto small = lzfCompress(mixed);
            QVERIFY(lzfDecompress(small, size, "x") == mixed);
            QVERIFY(size < 1000 || small.size() < size / 3);
        }
        QVERIFY(messageOf([&] { lzfDecompress("\x20\x05", 10, "x.pcd"); }).contains("x.pcd: compressed data is damaged"));
        QVERIFY(messageOf([&] { lzfDecompress({packed.data(), std::size_t(packed.size()) - 3}, text.size(), "x"); }).contains("damaged"));
        QVERIFY(messageOf([&] { lzfDecompress({packed.data(), std::size_t(packed.size())}, 50, "x"); }).contains("longer than announced"));
    }

    void lasOldAndNew_data()
    {
        QTest::addColumn<int>("minor");
        QTest::addColumn<int>("format");
        QTest::addColumn<int>("bytes");
        QTest::newRow("1.2, format 0") << 2 << 0 << 20;
        QTest::newRow("1.0, format 0, extra bytes") << 0 << 0 << 25;
        QTest::newRow("1.2, format 3") << 2 << 3 << 34;
        QTest::newRow("1.4, format 6") << 4 << 6 << 30;
        QTest::newRow("1.4, format 7") << 4 << 7 << 36;
    }
    void lasOldAndNew()
    {
        QFETCH(int, minor);
        QFETCH(int, format);
        QFETCH(int, bytes);
        const auto file = parseLas(smallLas(minor, format, std::size_t(bytes)), "a.las");
        const auto& cloud = file.mesh.points;
        QCOMPARE(cloud.size(), std::size_t(2));
        const double expected[] = {500001.0, 3999997.5, 123.45, 500011.0, 3999997.5, 123.45};
        for (std::size_t i = 0; i < 6; ++i)
            QVERIFY(std::abs(cloud.origin[i % 3] + double(cloud.positions[i]) - expected[i]) < 1e-4);
        const auto valueOf = [&](const char* name, std::size_t i) {
            const auto* field = findField(cloud, name);
            return field ? field->offset + double(field->values[i]) : -1;
        };
        QCOMPARE(valueOf("intensity", 1), 8.0);
        QCOMPARE(valueOf("return_number", 0), 2.0);
        QCOMPARE(valueOf("number_of_returns", 0), 3.0);
        QCOMPARE(valueOf("point_source_id", 0), 99.0);
        QCOMPARE(valueOf("classification", 0), format < 6 ? 5.0 : 200.0);
        QVERIFY(std::abs(valueOf("scan_angle", 0) + 12) < 1e-5);
        QVERIFY(!findField(cloud, "user_data"));  // 0 everywhere
        if (format == 3 || format == 7) {
            QCOMPARE(valueOf("gps_time", 1), 300000001.25);
            QCOMPARE(cloud.colours, (std::vector<std::uint8_t>{0, 10, 20, 1, 11, 21}));
        }
        QCOMPARE(!file.leftOut.empty(), bytes == 25);
    }

    void xyzWithAndWithoutNames_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QString>("what");
        QTest::newRow("three") << QByteArray("1 2 3\n4 5 6\n") << "";
        QTest::newRow("blanks, tabs, CRLF") << QByteArray("  1\t2 3 \r\n\r\n4 5   6") << "";
        QTest::newRow("count first") << QByteArray("2\n1 2 3\n4 5 6\n") << "";
        QTest::newRow("intensity") << QByteArray("1;2;3;0.5\n4;5;6;7\n") << "intensity";
        QTest::newRow("colours") << QByteArray("1,2,3,255,0,7\n4,5,6,1,2,3\n") << "colours";
        QTest::newRow("normals") << QByteArray("1,2,3,0,0,1\n4,5,6,-0.6,0.8,0\n") << "normals";
        QTest::newRow("other six") << QByteArray("1,2,3,0,0,1000\n4,5,6,1,1,1\n") << "field_4";
        QTest::newRow("header") << QByteArray("\xef\xbb\xbf\"X\",Y,Z,Label\n1,2,3,9\n4,5,6,8\n") << "label";
        QTest::newRow("comment as header") << QByteArray("//a comment\n//label x y z\n9 1 2 3\n8 4 5 6\n") << "label";
        QTest::newRow("sign and exponent") << QByteArray("+1 2e0 .3e1\n4.0 5 6\n") << "";
    }
    void xyzWithAndWithoutNames()
    {
        QFETCH(QByteArray, text);
        QFETCH(QString, what);
        const auto cloud = parseXyz(text.toStdString(), "a.xyz").mesh.points;
        QCOMPARE(cloud.positions, (std::vector<float>{1, 2, 3, 4, 5, 6}));
        QCOMPARE(cloud.hasColours(), what == "colours");
        QCOMPARE(cloud.hasNormals(), what == "normals");
        if (what == "normals")
            QCOMPARE(cloud.normals, (std::vector<float>{0, 0, 1, -0.6f, 0.8f, 0}));
        QCOMPARE(!cloud.fields.empty(), !what.isEmpty() && what != "colours" && what != "normals");
        if (!cloud.fields.empty())
            QCOMPARE(QString::fromStdString(cloud.fields[0].name), what);
    }

    void objWithFacesLinesColoursAndNormals()
    {
        const auto mesh =
            parseObj("# by hand\nmtllib a.mtl\nv 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 1 1 0 0 0 1\nv 0 1 0 0.5 0.5 0.5\nvt 0 0\nvn 0 0 2\nvn 1 0 0\n"
                     "f 1/1/1 2/1/1 -2/1/1 4//2\nl 1 2 3\np 1\n",
                     "a.obj")
                .mesh;
        QCOMPARE(mesh.points.size(), std::size_t(4));
        QCOMPARE(mesh.triangles, (std::vector<std::uint32_t>{0, 1, 2, 0, 2, 3}));
        QCOMPARE(mesh.edges, (std::vector<std::uint32_t>{0, 1, 1, 2}));
        QCOMPARE(mesh.points.colours, (std::vector<std::uint8_t>{255, 0, 0, 0, 255, 0, 0, 0, 255, 128, 128, 128}));
        QCOMPARE(mesh.points.normals, (std::vector<float>{0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0}));
    }

    void whatWeWroteIsReadTheSameAndWrittenTheSame_data()
    {
        QTest::addColumn<QString>("format");
        QTest::addColumn<QString>("parameters");
        for (const char* encoding : {"ascii", "binary_little_endian", "binary_big_endian"})
            QTest::newRow(encoding) << "ply" << QString("{\"encoding\": \"%1\"}").arg(encoding);
        for (const char* encoding : {"ascii", "binary", "binary_compressed"})
            QTest::addRow("pcd %s", encoding) << "pcd" << QString("{\"encoding\": \"%1\"}").arg(encoding);
        for (const char* id : {"las", "xyz", "csv", "obj"})
            QTest::newRow(id) << id << "{}";
        QTest::newRow("semicolons") << "csv"
                                    << "{\"separator\": \"semicolon\"}";
    }
    void whatWeWroteIsReadTheSameAndWrittenTheSame()
    {
        QFETCH(QString, format);
        QFETCH(QString, parameters);
        const auto id = format.toStdString();
        const auto settings = core::Json::parse(parameters.toStdString());
        for (const bool georeferenced : {false, true}) {
            const auto mesh = sample(georeferenced);
            const auto bytes = bytesOf(id, mesh, settings);
            const auto read = cloudFormats().factory(id).parse(bytes, "again", {});
            QVERIFY(bytesOf(id, read.mesh, settings) == bytes);
            const auto& known = cloudFormats().factory(id);
            if (id != "las") {
                QVERIFY(read.mesh.points.positions == mesh.points.positions || georeferenced);
                QVERIFY(read.mesh.points.colours == mesh.points.colours);
                QVERIFY(!known.keepsNormals || read.mesh.points.normals == mesh.points.normals);
            }
            double worst = 0;
            for (std::size_t i = 0; i < mesh.points.positions.size(); ++i)
                worst = std::max(worst, std::abs(read.mesh.points.origin[i % 3] + double(read.mesh.points.positions[i]) - mesh.points.origin[i % 3] -
                                                 double(mesh.points.positions[i])));
            // LAS: half a step of 1e-6, and half of float's own step at 10.
            QVERIFY2(worst <= (id == "las" ? 1e-6 : georeferenced ? 1e-9 : 0), qPrintable(QString::number(worst)));
            QCOMPARE(read.mesh.triangles.size(), known.keepsTriangles ? mesh.triangles.size() : 0);
            QCOMPARE(read.mesh.edges.size(), known.keepsEdges ? mesh.edges.size() : 0);
            QCOMPARE(read.mesh.points.fields.size(), std::size_t(known.keepsFields ? 2 : 0));
            QVERIFY(lostWhenWritten(mesh, id).empty() == (known.keepsFields && known.keepsTriangles));
        }
    }

    void pointsWithoutAPlaceAreDroppedAndCounted()
    {
        const auto file = parsePly("ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\nelement face 2\n"
                                   "property list uchar int vertex_index\nend_header\n0 0 0\nnan 0 0\n1 1 1\n2 2 inf\n3 0 1 2\n3 0 2 2\n",
                                   "n.ply");
        QCOMPARE(file.dropped, std::size_t(2));
        QCOMPARE(file.mesh.points.positions, (std::vector<float>{0, 0, 0, 1, 1, 1}));
        QCOMPARE(file.mesh.triangles, (std::vector<std::uint32_t>{0, 1, 1}));
        QVERIFY(messageOf([] { parseXyz("nan nan nan\ninf 0 0\n", "n.xyz"); }).contains("at least one point with finite coordinates"));
    }

    void georeferencedCoordinatesKeepTheirMillimetres()
    {
        const auto cloud = parseXyz("4312345.125 551234.001 10\n4312346.126 551235.002 11\n", "g.xyz").mesh.points;
        QVERIFY(cloud.origin[0] == 4312346 || cloud.origin[0] == 4312345);
        QVERIFY(std::abs(cloud.origin[0] + double(cloud.positions[3]) - 4312346.126) < 1e-6);
        QVERIFY(std::abs(bounds(cloud)->low[1] - 551234.001) < 1e-6);
    }

    void damagedFilesAreRefused_data()
    {
        QTest::addColumn<QString>("format");
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("message");
        const auto ply = [](const char* rest) { return QByteArray("ply\nformat binary_little_endian 1.0\n") + rest; };
        const QByteArray xyz = "property float x\nproperty float y\nproperty float z\nend_header\n";
        QTest::newRow("not a ply") << "ply" << QByteArray("plyx") << "f: expected a PLY file";
        QTest::newRow("ply without end") << "ply" << ply("element vertex 1\n") << "end_header";
        QTest::newRow("ply type") << "ply" << ply("element vertex 1\nproperty colour x\n") << "line 4: expected a type";
        QTest::newRow("ply version") << "ply" << QByteArray("ply\nformat ascii 2.0\n") << "expected version 1.0, got \"2.0\"";
        QTest::newRow("ply negative count") << "ply" << ply("element vertex -5\n")
                                            << "line 3: expected how many entries element vertex has, got \"-5\"";
        QTest::newRow("ply 2^60 points") << "ply" << ply("element vertex 1152921504606846976\n") + xyz << "announces 1152921504606846976 entries";
        QTest::newRow("ply 2^60 unknown") << "ply"
                                          << ply("element odd 1152921504606846976\nproperty uchar a\nelement vertex 1\n") + xyz + QByteArray(12, 'x')
                                          << "element odd announces";
        QTest::newRow("ply truncated") << "ply" << ply("element vertex 2\n") + xyz + QByteArray(23, '\0')
                                       << "2 entries of at least 12 bytes, but 23 bytes";
        QTest::newRow("ply no x") << "ply" << ply("element vertex 1\nproperty float a\nend_header\nabcd")
                                  << "expected the properties x, y and z of element vertex, got a";
        QTest::newRow("ply no points") << "ply" << ply("element vertex 0\n") + xyz << "expected at least one point, got none";
        QTest::newRow("ply face")
            << "ply"
            << QByteArray("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nelement face 1\n"
                          "property list uchar int vertex_indices\nend_header\n0 0 0\n3 0 0 1\n")
            << "triangle 0 uses point 1; there are 1 points";
        QTest::newRow("ply negative index") << "ply"
                                            << QByteArray(
                                                   "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
                                                   "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n3 0 0 -1\n")
                                            << "expected the index of a point, got -1";
        QTest::newRow("ply long list") << "ply"
                                       << QByteArray("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
                                                     "element face 1\nproperty list uint int vertex_indices\nend_header\n0 0 0\n4000000000 0 0 0\n")
                                       << "a list of 4000000000 values cannot stand";
        QTest::newRow("ply word")
            << "ply"
            << QByteArray("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n0 zero 0\n")
            << "line 8: expected a number of entry 1 of element vertex, got \"zero\"";
        const QByteArray pcd = "# .PCD v0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n";
        QTest::newRow("pcd 2^60") << "pcd" << pcd + "WIDTH 4294967295\nHEIGHT 268435456\nPOINTS 1152921504338411520\nDATA binary\nabc"
                                  << "at most 4294967295";
        QTest::newRow("pcd many") << "pcd" << pcd + "WIDTH 1000000000\nHEIGHT 1\nPOINTS 1000000000\nDATA binary\nabc"
                                  << "1000000000 points of 12 bytes, but 3 bytes";
        QTest::newRow("pcd product") << "pcd" << pcd + "WIDTH 3\nHEIGHT 2\nPOINTS 5\nDATA ascii\n"
                                     << "WIDTH 3 times HEIGHT 2 is not POINTS 5";
        QTest::newRow("pcd data") << "pcd" << pcd + "POINTS 1\nDATA zip\n"
                                  << "line 7: expected DATA ascii";
        QTest::newRow("pcd sizes") << "pcd" << QByteArray("# .PCD\nFIELDS x y z\nSIZE 4 4\n") << "expected 3 values behind SIZE, one a field, got 2";
        QTest::newRow("pcd bomb") << "pcd" << pcd + "POINTS 100\nDATA binary_compressed\n" + QByteArray("\x02\0\0\0\xff\xff\xff\x7f\x01\x01", 10)
                                  << "2 compressed bytes that stand for 2147483647";
        QTest::newRow("las short") << "las" << QByteArray("LASF") << "a header of at least 227 bytes, but the file has 4";
        auto las = smallLas(2, 0, 20);
        putAt(las, 107, std::uint32_t(4000000000u));
        QTest::newRow("las many") << "las" << QByteArray::fromStdString(las) << "4000000000 points of 20 bytes are announced";
        las = smallLas(4, 6, 30);
        putAt(las, 247, std::uint64_t(1) << 60);
        QTest::newRow("las 2^60") << "las" << QByteArray::fromStdString(las) << "1152921504606846976 points";
        las = smallLas(2, 0, 20);
        las[104] = char(0x83);
        QTest::newRow("laz") << "las" << QByteArray::fromStdString(las) << "compressed (LAZ)";
        las = smallLas(2, 0, 20);
        putAt(las, 131, std::nan(""));
        QTest::newRow("las NaN scale") << "las" << QByteArray::fromStdString(las) << "expected a finite scale";
        QTest::newRow("las record") << "las" << QByteArray::fromStdString(smallLas(2, 3, 34).replace(105, 1, 1, char(33)))
                                    << "records of at least 34 bytes";
        QTest::newRow("xyz ragged") << "xyz" << QByteArray("1 2 3\n1 2\n") << "line 2: expected at least three numbers, got 2";
        QTest::newRow("xyz wide") << "xyz" << QByteArray("1 2 3\n1 2 3 4\n") << "line 2: expected 3 numbers as in the lines before, got 4";
        QTest::newRow("xyz word") << "xyz" << QByteArray("1 2 3\n1 b 3\n") << "line 2: expected a number, got \"b\"";
        QTest::newRow("xyz header") << "xyz" << QByteArray("lat lon h\n1 2 3\n") << "line 1: expected numbers, or a header with the names x, y and z";
        QTest::newRow("xyz empty") << "xyz" << QByteArray("# nothing\n") << "got none";
        QTest::newRow("obj index") << "obj" << QByteArray("v 0 0 0\nf 1 1 2\n")
                                   << "line 2: expected the number of one of the 1 points so far, got \"2\"";
        QTest::newRow("obj zero") << "obj" << QByteArray("v 0 0 0\nf 0 1 1\n") << "got \"0\"";
        QTest::newRow("obj short") << "obj" << QByteArray("v 0 0\n") << "line 1: expected three coordinates";
    }
    void damagedFilesAreRefused()
    {
        QFETCH(QString, format);
        QFETCH(QByteArray, bytes);
        QFETCH(QString, message);
        const auto said = messageOf([&] { cloudFormats().factory(format.toStdString()).parse({bytes.data(), std::size_t(bytes.size())}, "f", {}); });
        QVERIFY2(said.startsWith("f: ") && said.contains(message), qPrintable(said));
    }

    // The ball, the ring and the plate have closed forms.
    void theBuiltInSceneLiesOnItsShapes()
    {
        const auto file = readCloud("synthetic:shapes");
        const auto& cloud = file.mesh.points;
        QCOMPARE(cloud.size(), std::size_t(200000));
        std::array<std::size_t, 4> counts{};
        for (std::size_t i = 0; i < cloud.size(); ++i) {
            const auto* p = cloud.positions.data() + 3 * i;
            const auto* n = cloud.normals.data() + 3 * i;
            const auto shape = std::size_t(cloud.fields[0].values[i]);
            ++counts.at(shape);
            if (shape == 0) {
                const double d[] = {p[0] + 0.42, p[1] - 0.3, p[2] + 0.05};
                QVERIFY(std::abs(std::hypot(d[0], d[1], d[2]) - 0.38) < 1e-6);
                for (std::size_t a = 0; a < 3; ++a)
                    QVERIFY(std::abs(n[a] - d[a] / 0.38) < 1e-4);
            } else if (shape == 2) {
                QVERIFY(std::abs(std::hypot(std::hypot(p[0] - 0.05, p[2] + 0.2) - 0.3, p[1] + 0.42) - 0.1) < 1e-6);
            } else if (shape == 3) {
                QVERIFY(std::hypot(p[0], p[1]) < 0.9 + 1e-6 && std::abs(p[2] + 0.48) < 0.05 + 1e-6);
                QVERIFY(std::hypot(p[0], p[1]) > 0.9 - 1e-6 || std::abs(p[2] + 0.48) > 0.05 - 1e-6);
            }
        }
        for (const auto count : counts)
            QVERIFY(count > 1000);
        QVERIFY(cloud.positions == readCloud("synthetic:shapes").mesh.points.positions);
    }

    void aFileIsKnownByItsContentThenByItsName()
    {
        QTemporaryDir folder;
        const auto path = [&](const char* name) { return std::filesystem::path(folder.filePath(name).toStdString()); };
        writeCloud(path("a.ply"), sample(false));
        std::filesystem::rename(path("a.ply"), path("a.bin"));
        QCOMPARE(readCloud(path("a.bin")).format, std::string("ply"));
        writeCloud(path("b.obj"), sample(false));
        QCOMPARE(readCloud(path("b.obj")).format, std::string("obj"));
        QVERIFY(messageOf<core::InputError>([&] { writeCloud(path("a.jpeg"), sample(false)); }).contains("expected one of .ply .pcd"));
        QVERIFY(messageOf<core::InputError>([&] { writeCloud(path("a.ply"), sample(false), {{"encoding", "morse"}}); }).contains("encoding"));
        core::writeFileAtomically(path("c.dat"), "hello");
        QVERIFY(messageOf<core::InputError>([&] { readCloud(path("c.dat")); }).contains("not a known file of points"));
        core::writeFileAtomically(path("d.ply"), "");
        QVERIFY(messageOf([&] { readCloud(path("d.ply")); }).contains("the file is empty"));
        QVERIFY(messageOf<core::StorageError>([&] { readCloud(path("none.ply")); }).contains("none.ply"));
    }

    void readingEndsWhenAskedTo_data()
    {
        QTest::addColumn<QString>("name");
        for (const char* const name : {"p.xyz", "p.csv", "p.obj", "p.ply", "p.pcd", "p.las"})
            QTest::newRow(name) << name;
    }
    void readingEndsWhenAskedTo()
    {
        QFETCH(QString, name);
        QTemporaryDir folder;
        const std::filesystem::path file = (folder.path() + "/" + name).toStdString();
        TriangleMesh mesh;
        std::vector<double> coordinates(3 * 20'000);
        for (std::size_t i = 0; i < coordinates.size(); ++i)
            coordinates[i] = double(i % 977);
        setPositions(mesh.points, coordinates, std::nullopt);
        const bool isText = name == "p.ply" || name == "p.pcd";
        writeCloud(file, mesh, isText ? core::Json{{"encoding", "ascii"}} : core::Json());
        QCOMPARE(readCloud(file).mesh.points.size(), std::size_t(20'000));
        std::stop_source stop;
        stop.request_stop();
        QVERIFY_EXCEPTION_THROWN(readCloud(file, stop.get_token()), core::Cancelled);
    }
};

QTEST_GUILESS_MAIN(CloudFilesTest)
#include "cloud_files_test.moc"
