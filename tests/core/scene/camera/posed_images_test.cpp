// Posed images: transforms.json in its dialects, COLMAP in both encodings, and files that are broken.
#include <QTemporaryDir>
#include <QtTest>

#include <cmath>
#include <cstring>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/io/image.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/camera/vector.h>

#include "../../message_of.h"

using namespace orrery;
using namespace orrery::scene;

namespace {

const std::string kIdentity = "[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]";

std::string oneFrame(const std::string& head, const std::string& frame)
{
    return "{" + head + (head.empty() ? "" : ",") + "\"frames\":[{\"file_path\":\"a.png\"" + (frame.empty() ? "" : ",") + frame + "}]}";
}

template <class T>
void put(std::string& bytes, T value)
{
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// One OPENCV camera and one image that looks along the world's z from (1, 2, -3): rotation none, translation -eye.
std::string camerasBinary()
{
    std::string out;
    put<std::uint64_t>(out, 1);
    put<std::int32_t>(out, 7);
    put<std::int32_t>(out, 4);
    put<std::uint64_t>(out, 640);
    put<std::uint64_t>(out, 480);
    for (const double value : {500.0, 510.0, 320.0, 240.0, 0.1, 0.01, 0.001, -0.001})
        put(out, value);
    return out;
}

std::string imagesBinary()
{
    std::string out;
    put<std::uint64_t>(out, 1);
    put<std::int32_t>(out, 1);
    for (const double value : {1.0, 0.0, 0.0, 0.0, -1.0, -2.0, 3.0})
        put(out, value);
    put<std::int32_t>(out, 7);
    out += std::string("a.png") + '\0';
    put<std::uint64_t>(out, 1);
    put(out, 1.5);
    put(out, 2.5);
    put<std::int64_t>(out, -1);
    return out;
}

std::string pointsBinary()
{
    std::string out;
    put<std::uint64_t>(out, 1);
    put<std::uint64_t>(out, 9);
    for (const double value : {1.0, 2.0, 5.0})
        put(out, value);
    out += "\x0a\x14\x1e";
    put(out, 0.5);
    put<std::uint64_t>(out, 1);
    put<std::int32_t>(out, 1);
    put<std::int32_t>(out, 0);
    return out;
}

const std::string kCamerasText = "# Camera list\n7 OPENCV 640 480 500 510 320 240 0.1 0.01 0.001 -0.001\n";
const std::string kImagesText = "# two lines an image\n1 1 0 0 0 -1 -2 3 7 a.png\n1.5 2.5 -1\n";
const std::string kPointsText = "9 1 2 5 10 20 30 0.5 1 0\n";

void checkColmap(const PosedSet& set)
{
    QCOMPARE(set.views.size(), std::size_t(1));
    const Camera& camera = set.views[0].camera;
    QCOMPARE(camera.image, std::string("a.png"));
    QCOMPARE(camera.width, 640);
    QCOMPARE(camera.focalY, 510.0);
    QCOMPARE(camera.distortion.k2, 0.01);
    QCOMPARE(camera.distortion.p2, -0.001);
    // The eye (1, 2, -3) with the axes turned: (x, z, -y).
    QVERIFY(length(translation(camera.cameraToWorld) - Vector3{1, -3, -2}) < 1e-12);
    // The point lies straight ahead at distance 8, in the middle of the picture.
    QCOMPARE(set.points.size(), std::size_t(1));
    QCOMPARE(int(set.points[0].colour[1]), 20);
    const Vector3 seen = project(camera, set.points[0].position);
    QVERIFY(std::abs(seen[0] - 320) < 1e-9 && std::abs(seen[1] - 240) < 1e-9 && std::abs(seen[2] - 8) < 1e-12);
    // COLMAP's y is down: what has a larger y is seen lower. In our world that is a smaller z.
    QVERIFY(project(camera, set.points[0].position - Vector3{0, 0, 0.5})[1] > 240);
}

}  // namespace

class PosedImagesTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void readsBackWhatItWrote()
    {
        PosedSet set;
        for (int i = 0; i < 5; ++i) {
            PosedView view;
            view.camera = lookAt({std::cos(i * 1.1), std::sin(i * 1.1), 0.3 * i}, {0, 0, 0.1}, {0, 0, 1}, 0.6, 320, 200);
            view.camera.image = "images/" + std::to_string(i) + ".png";
            view.camera.distortion.k1 = i == 3 ? 0.1 : 0;  // Not all cameras are the same.
            view.depth = i == 1 ? "depth/1.npy" : "";
            view.part = i == 4 ? Part::Test : Part::Train;
            view.hasPart = true;
            set.views.push_back(view);
        }
        set.box = {-1, -2, -3, 1, 2, 3};
        const PosedSet back = parseTransforms(transformsDocument(set).dump(), "t.json");
        QCOMPARE(back.views.size(), set.views.size());
        QVERIFY(back.box == set.box);
        for (std::size_t i = 0; i < set.views.size(); ++i) {
            const Camera &a = set.views[i].camera, &b = back.views[i].camera;
            QVERIFY(a.cameraToWorld == b.cameraToWorld);
            QCOMPARE(a.focalX, b.focalX);
            QCOMPARE(a.centreY, b.centreY);
            QCOMPARE(a.distortion.k1, b.distortion.k1);
            QCOMPARE(a.image, b.image);
            QVERIFY(set.views[i].part == back.views[i].part && back.views[i].hasPart);
            QCOMPARE(set.views[i].depth, back.views[i].depth);
        }
    }

    void readsDialects()
    {
        // Blender: an angle, no sizes, no ending.
        const PosedSet blender = parseTransforms(oneFrame("\"camera_angle_x\":0.8", "\"transform_matrix\":" + kIdentity), "b");
        QCOMPARE(blender.views[0].angleX, 0.8);
        QCOMPARE(blender.views[0].camera.width, 0);
        // A size with it gives the focal length; the middle is the middle of the picture.
        const PosedSet sized = parseTransforms(oneFrame("\"camera_angle_x\":0.8,\"w\":100,\"h\":50", "\"transform_matrix\":" + kIdentity), "b");
        QVERIFY(std::abs(sized.views[0].camera.focalX - 50 / std::tan(0.4)) < 1e-9);
        QCOMPARE(sized.views[0].camera.centreY, 25.0);
        // A frame's own numbers go before those of the file.
        const PosedSet own =
            parseTransforms(oneFrame("\"fl_x\":10,\"w\":100,\"h\":50,\"cx\":1", "\"fl_x\":20,\"cx\":2,\"transform_matrix\":" + kIdentity), "b");
        QCOMPARE(own.views[0].camera.focalX, 20.0);
        QCOMPARE(own.views[0].camera.focalY, 20.0);
        QCOMPARE(own.views[0].camera.centreX, 2.0);
        // instant-ngp: a scaled pose.
        const PosedSet scaledPose = parseTransforms(oneFrame("\"fl_x\":10", "\"transform_matrix\":[[2,0,0,5],[0,2,0,0],[0,0,2,0],[0,0,0,1]]"), "b");
        QCOMPARE(scaledPose.views[0].camera.cameraToWorld[0], 1.0);
        QCOMPARE(scaledPose.views[0].camera.cameraToWorld[3], 5.0);
    }

    void refusesBrokenTransforms_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("says");
        const std::string pose = "\"transform_matrix\":" + kIdentity;
        const auto row = [](const char* name, const std::string& text, const char* says) {
            QTest::newRow(name) << QString::fromStdString(text) << says;
        };
        row("not JSON", "{\"frames\": [", "t.json: expected a JSON object");
        row("a list", "[1]", "expected a JSON object");
        row("no frames", "{\"fl_x\":1}", "frames: expected a list");
        row("empty frames", "{\"frames\":[]}", "frames: expected a list");
        row("frame is a number", "{\"frames\":[3]}", "frame 0: expected an object, got 3");
        row("no focal length", oneFrame("", pose), "frame 0: expected fl_x > 0, or camera_angle_x");
        row("no pose", oneFrame("\"fl_x\":1", ""), "frame 0: expected a transform_matrix");
        row("pose of three columns", oneFrame("\"fl_x\":1", "\"transform_matrix\":[[1,0,0],[0,1,0],[0,0,1],[0,0,0]]"),
            "expected rows of four numbers");
        row("sheared pose", oneFrame("\"fl_x\":1", "\"transform_matrix\":[[1,0.5,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]"),
            "expected a rotation and a translation");
        row("mirrored pose", oneFrame("\"fl_x\":1", "\"transform_matrix\":[[-1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]"),
            "expected a rotation and a translation");
        row("zero pose", oneFrame("\"fl_x\":1", "\"transform_matrix\":[[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,1]]"),
            "expected a rotation and a translation");
        row("text in the pose", oneFrame("\"fl_x\":1", "\"transform_matrix\":[[\"a\",0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]"),
            "expected finite numbers");
        row("huge numbers", oneFrame("\"fl_x\":1e999", pose), "expected");
        row("fisheye", oneFrame("\"fl_x\":1,\"camera_model\":\"OPENCV_FISHEYE\"", pose), "undistorted first");
        row("size below zero", oneFrame("\"fl_x\":1,\"w\":-5", pose), "w: expected a size");
        row("box without extent", oneFrame("\"fl_x\":1,\"scene_box\":[[0,0,0],[0,1,1]]", pose), "scene_box: expected");
    }
    void refusesBrokenTransforms()
    {
        QFETCH(QString, text);
        QFETCH(QString, says);
        const std::string message = messageOf([&] { parseTransforms(text.toStdString(), "t.json"); });
        QVERIFY2(message.find(says.toStdString()) != std::string::npos, message.c_str());
    }

    void readsColmapText() { checkColmap(parseColmapText({kCamerasText, kImagesText, kPointsText}, "m")); }
    void readsColmapBinary()
    {
        const std::string cameras = camerasBinary(), images = imagesBinary(), points = pointsBinary();
        checkColmap(parseColmapBinary({cameras, images, points}, "m"));
    }

    void refusesBrokenColmap()
    {
        const std::string cameras = camerasBinary(), images = imagesBinary(), points = pointsBinary();
        for (const auto& [whole, which] : {std::pair{cameras, 0}, std::pair{images, 1}, std::pair{points, 2}})
            for (std::size_t size = which == 2 ? 1 : 0; size < whole.size(); ++size) {
                const std::string part = whole.substr(0, size);
                const ColmapFiles files{which == 0 ? part : cameras, which == 1 ? part : images, which == 2 ? part : points};
                QVERIFY_EXCEPTION_THROWN(parseColmapBinary(files, "m"), core::FormatError);
            }
        std::string many = images;
        std::memset(many.data(), 0xff, 8);
        QVERIFY(messageOf([&] { parseColmapBinary({cameras, many, ""}, "m"); }).find("expected a number of entries that fit") != std::string::npos);
        QVERIFY(messageOf([&] {
                    parseColmapText({"1 FISHEYE 10 10 1 1 1", kImagesText, ""}, "m");
                }).find("m/cameras.txt: line 1: expected the camera model") == 0);
        QVERIFY(messageOf([&] {
                    parseColmapText({kCamerasText, "1 1 0 0 0 -1 x 3 7 a.png\n\n", ""}, "m");
                }).find("expected a number, got \"x\"") != std::string::npos);
        QVERIFY(messageOf([&] {
                    parseColmapText({kCamerasText, "1 1 0 0 0 -1 0 3 8 a.png\n\n", ""}, "m");
                }).find("got camera 8") != std::string::npos);
        QVERIFY(messageOf([&] {
                    parseColmapText({kCamerasText, "1 0 0 0 0 -1 0 3 7 a.png\n\n", ""}, "m");
                }).find("quaternion of length 0") != std::string::npos);
        QVERIFY(messageOf([&] { parseColmapText({kCamerasText, "", ""}, "m"); }).find("expected images") != std::string::npos);
    }

    void namesPicturesThatAreMissing()
    {
        const QTemporaryDir folder;
        const std::filesystem::path path = folder.path().toStdString();
        core::writeFileAtomically(path / "transforms.json", oneFrame("\"camera_angle_x\":0.8", "\"transform_matrix\":" + kIdentity));
        QVERIFY(messageOf([&] { readPosedImages(path); }).find("a.png") != std::string::npos);
        io::writePng(path / "a.png", io::Image{4, 2, 3, std::vector<std::uint8_t>(24, 9)});
        const PosedSet set = readPosedImages(path);
        QCOMPARE(set.views[0].camera.width, 4);
        QCOMPARE(set.views[0].camera.centreY, 1.0);
        QVERIFY(std::abs(set.views[0].camera.focalX - 2 / std::tan(0.4)) < 1e-12);
        QVERIFY(messageOf([&] { readPosedImages(path / "nothing"); }).find("found nothing") != std::string::npos);
    }

    void findsThePlaceThatCamerasLookAt()
    {
        PosedSet set;
        for (int i = 0; i < 8; ++i) {
            PosedView view;
            view.camera = lookAt({5 + 4 * std::cos(i * 0.8), 1 + 4 * std::sin(i * 0.8), 2.5}, {5, 1, 2}, {0, 0, 1}, 0.6, 100, 100);
            set.views.push_back(view);
        }
        const auto box = sceneBox(set);
        QVERIFY(std::abs(0.5 * (box[0] + box[3]) - 5) < 1e-9 && std::abs(0.5 * (box[1] + box[4]) - 1) < 1e-9 &&
                std::abs(0.5 * (box[2] + box[5]) - 2) < 1e-9);
        QVERIFY(std::abs(box[3] - box[0] - std::sqrt(16.25)) < 1e-9);
        assignParts(set, 4);
        QVERIFY(set.views[0].part == Part::Test && set.views[1].part == Part::Val && set.views[2].part == Part::Train &&
                set.views[4].part == Part::Test);
    }
};

QTEST_APPLESS_MAIN(PosedImagesTest)
#include "posed_images_test.moc"
