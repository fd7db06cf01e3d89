// orrery-cli scene render on splats, a mesh and a cloud, as a person runs it.
#include <core/io/image.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/splat/rasterizer.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/synthetic.h>

#include "cli_runner.h"

using namespace orrery;

class CliSceneRenderTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
    scene::Splats m_splats;
    std::vector<scene::Camera> m_cameras;

    QStringList render(const QStringList& more, const char* file = "room.ply") const
    {
        return QStringList{"scene", "render", file, "--cameras", "transforms.json", "--out", "pictures"} + more;
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_splats = scene::syntheticRoom(3000, 4, 0.1);
        scene::SplatFile file;
        file.splats = m_splats;
        scene::writeSplatPly(m_cli.path("room.ply"), file);
        scene::PosedSet set;
        for (const double turn : {0.1, 0.6}) {
            scene::PosedView view;
            view.camera = scene::roomCamera(turn, 60, 44);
            view.camera.image = fmt::format("{}.png", turn);
            m_cameras.push_back(view.camera);
            set.views.push_back(view);
        }
        m_cli.write("transforms.json", scene::transformsDocument(set).dump());
        m_cli.write(
            "square.ply",
            "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\nproperty uchar red\nproperty uchar "
            "green\nproperty uchar blue\nelement face 2\nproperty list uchar int vertex_indices\nend_header\n2 -9 -9 255 0 0\n2 9 -9 255 0 0\n2 9 9 "
            "255 0 "
            "0\n2 -9 9 255 0 0\n3 0 1 2\n3 0 2 3\n");
        m_cli.write("nan.ply", [&] {
            auto broken = file;
            broken.splats.means[4] = std::nanf("");
            return scene::splatPlyBytes(broken);
        }());
    }

    // What is cropped away is as if it had never been there: a file without it gives the same bytes.
    void aCropIsAFileWithoutTheRest()
    {
        scene::Splats half;
        std::vector<std::uint32_t> inside;
        for (std::uint32_t i = 0; i < m_splats.size(); ++i)
            if (m_splats.means[3 * i] >= 0)
                inside.push_back(i);
        QVERIFY(inside.size() > 500 && inside.size() < m_splats.size() - 500);
        scene::SplatFile file;
        file.splats = scene::selectSplats(m_splats, inside);
        scene::writeSplatPly(m_cli.path("half.ply"), file);
        const QStringList npy{"--format", "npy", "--outputs", "rgb,alpha"};
        m_cli.json(render(npy));
        const auto whole = m_cli.array("pictures/00001_rgb.npy");
        m_cli.json(render(npy, "half.ply"));
        const auto rgb = m_cli.array("pictures/00001_rgb.npy"), alpha = m_cli.array("pictures/00001_alpha.npy");
        m_cli.json(render(npy + QStringList{"--crop", "0,-1000,-1000,1000,1000,1000"}));
        QVERIFY(at::equal(m_cli.array("pictures/00001_rgb.npy"), rgb));
        QVERIFY(at::equal(m_cli.array("pictures/00001_alpha.npy"), alpha));
        QVERIFY(!at::equal(whole, rgb));
        m_cli.json(render(npy + QStringList{"--crop", "900,900,900,901,901,901"}));
        QCOMPARE(m_cli.array("pictures/00001_alpha.npy").abs().max().item<double>(), 0.0);
        // Triangles go with their points.
        VERIFY_REFUSED(m_cli.run(render({"--crop", "900,900,900,901,901,901"}, "square.ply")), 2, "none of the 4 points would be left");
        VERIFY_REFUSED(m_cli.run(render({"--crop", "1,0,0,0,1,1"})), 2, "--crop: expected six numbers x0,y0,z0,x1,y1,z1");
        VERIFY_REFUSED(m_cli.run(render({"--crop", "0,0,0,1,1"})), 2, "--crop: expected six numbers");
    }

    void arraysAreThoseOfTheRasteriser()
    {
        const auto answer = m_cli.run(render({"--outputs", "rgb,alpha,depth,ids", "--format", "npy", "--background", "0.5,0,1", "--json"}));
        QCOMPARE(answer.error, QString());
        QCOMPARE(answer.status, 0);
        QCOMPARE(answer.json().at("frames").size(), std::size_t(2));
        QCOMPARE(answer.json().at("frames").at(1).at("image").get<std::string>(), std::string("0.6.png"));
        scene::SplatRasterizer rasterizer;
        scene::SplatRenderOptions options;
        options.background = {0.5f, 0, 1};
        options.wantIds = true;
        const auto& image = rasterizer.render(m_splats.view(), m_cameras[1], options);
        const auto rgb = m_cli.array("pictures/00001_rgb.npy");
        QCOMPARE(rgb.sizes().vec(), std::vector<std::int64_t>({44, 60, 3}));
        QVERIFY(rgb.scalar_type() == at::kFloat);
        QVERIFY(std::equal(image.rgb.begin(), image.rgb.end(), rgb.data_ptr<float>(), [](float a, float b) { return std::abs(a - b) < 1e-5f; }));
        const auto depth = m_cli.array("pictures/00001_depth.npy");
        QCOMPARE(depth.sizes().vec(), std::vector<std::int64_t>({44, 60, 1}));
        QVERIFY(
            std::equal(image.depth.begin(), image.depth.end(), depth.data_ptr<float>(), [](float a, float b) { return std::abs(a - b) < 1e-4f; }));
        QVERIFY(m_cli.has("pictures/00001_alpha.npy") && m_cli.has("pictures/00000_ids.npy"));
    }

    void picturesHaveTheSizeAskedFor()
    {
        QCOMPARE(m_cli.run(render({"--outputs", "rgb,depth", "--width", "30", "--height", "22"})).status, 0);
        const auto image = io::readImage(m_cli.path("pictures/00000_rgb.png"));
        QCOMPARE(image.width, 30);
        QCOMPARE(image.height, 22);
        QCOMPARE(io::readImage(m_cli.path("pictures/00000_depth.png")).channels, 1);
    }

    void meshesAreDrawnByTheZBuffer()
    {
        QCOMPARE(m_cli.run(render({"--outputs", "rgb,depth,alpha", "--format", "npy"}, "square.ply")).status, 0);
        const auto depth = m_cli.array("pictures/00000_depth.npy"), alpha = m_cli.array("pictures/00000_alpha.npy");
        // The wall x = 2 fills the first picture, which looks along +x; its depth is where each pixel's ray meets it.
        QCOMPARE(alpha.min().item<float>(), 1.0f);
        const auto& camera = m_cameras[0];
        const auto ray = scene::rayThrough(camera, 10.5, 20.5);
        const double t = (2 - ray.origin[0]) / ray.direction[0];
        const double z = scene::project(camera, {2, ray.origin[1] + t * ray.direction[1], ray.origin[2] + t * ray.direction[2]})[2];
        QVERIFY(std::abs(depth[20][10][0].item<double>() - z) < 1e-5);
    }

    void wrongUsageIsNamed_data()
    {
        QTest::addColumn<QStringList>("more");
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("said");
        QTest::newRow("output") << QStringList{"--outputs", "rgb,dept"} << "room.ply"
                                << "got \"dept\"; did you mean \"depth\"?";
        QTest::newRow("ids as png") << QStringList{"--outputs", "ids"} << "room.ply"
                                    << "expected --format npy";
        QTest::newRow("background") << QStringList{"--background", "1,2"} << "room.ply"
                                    << "--background: expected three numbers 0..1 as r,g,b, got \"1,2\"";
        QTest::newRow("one size") << QStringList{"--width", "7"} << "room.ply"
                                  << "expected both or neither";
        QTest::newRow("format") << QStringList{"--format", "exr"} << "room.ply"
                                << "exr";
        QTest::newRow("degree") << QStringList{"--degree", "7"} << "room.ply"
                                << "7";
        QTest::newRow("no file") << QStringList{} << "nothing.ply"
                                 << "nothing.ply: no such file";
        QTest::newRow("NaN") << QStringList{} << "nan.ply"
                             << "Gaussian 1: y: expected a finite number, got nan";
    }
    void wrongUsageIsNamed()
    {
        QFETCH(QStringList, more);
        QFETCH(QString, file);
        QFETCH(QString, said);
        const auto answer = m_cli.run(render(more, qPrintable(file)));
        QVERIFY2(answer.status == 2, qPrintable(answer.error));
        QVERIFY2(answer.error.contains(said), qPrintable(answer.error));
        QVERIFY(answer.out.isEmpty());
    }

    void damagedFilesAreRefused()
    {
        const auto whole = m_cli.read("room.ply");
        m_cli.write("cut.ply", whole.substr(0, whole.size() / 2));
        auto answer = m_cli.run(render({}, "cut.ply"));
        QVERIFY2(answer.error.contains("cut.ply: ") && answer.error.contains("3000"), qPrintable(answer.error));
        QVERIFY(answer.status == 1 || answer.status == 2);
        m_cli.write("broken.json", "{\"frames\": [");
        answer = m_cli.run({"scene", "render", "room.ply", "--cameras", "broken.json", "--out", "pictures"});
        QVERIFY2(answer.error.contains("broken.json"), qPrintable(answer.error));
        QVERIFY(answer.status == 1 || answer.status == 2);
        VERIFY_REFUSED(m_cli.run({"scene", "render", "room.ply", "--cameras", "nothing.json", "--out", "pictures"}), 2, "nothing.json");
        m_cli.write("file", "in the way");
        answer = m_cli.run({"scene", "render", "room.ply", "--cameras", "transforms.json", "--out", "file/inside"});
        QVERIFY2(answer.error.contains("expected a folder that can be made"), qPrintable(answer.error));
    }
};

QTEST_APPLESS_MAIN(CliSceneRenderTest)
#include "cli_scene_render_test.moc"
