// Splats by the command line: trained, broken off by force, resumed, drawn, measured, exported; what is wrong is said.
#include <csignal>

#include <core/io/image.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/synthetic.h>
#include <core/store/workspace.h>
#include <core/train/splat_runs.h>

#include "cli_runner.h"

using namespace orrery;
using test::Cli;

class CliSplatsTest : public QObject {
    Q_OBJECT

    Cli m_cli;

    void writeDocument(const char* name, int steps) const
    {
        m_cli.write(name, fmt::format(R"({{"name": "splats", "seed": 1, "model": {{"id": "splats", "gaussians": 300, "degree": 1}},
            "data": {{"id": "views", "path": "set"}},
            "train": {{"steps": {}, "evaluate_every": 20, "checkpoint": {{"every": 5, "use": "last"}},
                       "optimizer": {{"id": "splat_adam", "densify_from": 5, "densify_every": 10, "degree_every": 15, "max_gaussians": 1500}}}}}})",
                                      steps));
    }
    std::string finalSplats(int run) const
    {
        const auto workspace = store::Workspace::open(m_cli.path("w"), store::OpenMode::ReadOnly);
        const auto stored = train::splatsOfRun(*workspace, run);
        if (!stored || !stored->isFinal)
            throw std::runtime_error("no final Gaussians");
        scene::SplatFile file;
        file.splats = stored->splats;
        return scene::splatPlyBytes(file);
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_cli.json({"scene", "synthesize", "set", "--views", "10", "--val", "1", "--test", "2", "--size", "24"});
        writeDocument("short.json", 60);
    }

    void goesFromPicturesToAFile()
    {
        const auto trained = m_cli.json({"scene", "train", "short.json", "--workspace", "w"});
        QCOMPARE(trained["status"].get<std::string>(), std::string("finished"));
        for (const char* name : {"train/loss", "train/psnr", "train/gaussians", "val/psnr", "test/psnr"})
            QVERIFY2(trained["metrics"].contains(name), name);
        // The views are of one size, so the mean of squared errors over them is that of all pixels.
        const auto eval = m_cli.json({"scene", "eval", "run:1", "--workspace", "w", "--data", "set", "--out", "pictures"});
        QCOMPARE(eval["views"].size(), std::size_t(2));
        double error = 0;
        for (const auto& view : eval["views"])
            error += std::pow(10, -0.1 * view["psnr"].get<double>()) / 2;
        QVERIFY(std::abs(-10 * std::log10(error) - trained["metrics"]["test/psnr"].get<double>()) < 0.1);
        const auto written = m_cli.json({"scene", "export", "run:1", "--workspace", "w", "--out", "scene.ply"});
        QCOMPARE(m_cli.read("scene.ply"), finalSplats(1));
        QCOMPARE(written["gaussians"].get<double>(), trained["metrics"]["train/gaussians"].get<double>());
        const auto points = m_cli.json({"scene", "export", "run:1", "--workspace", "w", "--out", "points.xyz", "--kind", "points"});
        QVERIFY(m_cli.has("points.xyz"));
        // The run and its file give one picture.
        m_cli.json({"scene", "render", "run:1", "--workspace", "w", "--cameras", "set/transforms.json", "--out", "a", "--format", "npy"});
        m_cli.json({"scene", "render", "scene.ply", "--cameras", "set/transforms.json", "--out", "b", "--format", "npy", "--background", "1,1,1"});
        QVERIFY(at::equal(m_cli.array("a/00011_rgb.npy"), m_cli.array("b/00011_rgb.npy")));
        // A report tells of it.
        QCOMPARE(m_cli.compute({"report", "1", "--out", "report.html", "--workspace", "w"}).status, 0);
        QVERIFY(m_cli.read("report.html").find("train/gaussians") != std::string::npos);
    }

    void killedAndResumedEndsTheSame()
    {
        writeDocument("long.json", 150);
        m_cli.json({"train", "long.json", "--workspace", "w"});  // run 2
        QProcess process;
        m_cli.start(process, {"train", "long.json", "--workspace", "w", "--threads", "1"});  // run 3
        QVERIFY(process.waitForStarted());
        const auto hasCheckpoint = [&] {
            const auto workspace = store::Workspace::open(m_cli.path("w"), store::OpenMode::ReadOnly);
            const auto stored = train::isSplatRun(*workspace, 3) ? train::splatsOfRun(*workspace, 3) : std::nullopt;
            return stored && stored->step > 20;
        };
        QTRY_VERIFY_WITH_TIMEOUT(hasCheckpoint(), 60000);
        ::kill(pid_t(process.processId()), SIGKILL);
        QVERIFY(process.waitForFinished());
        QVERIFY(!train::splatsOfRun(*store::Workspace::open(m_cli.path("w"), store::OpenMode::ReadOnly), 3)->isFinal);
        m_cli.json({"train", "--resume", "3", "--workspace", "w"});
        QVERIFY(finalSplats(3) == finalSplats(2));
    }

    void statisticsOfAFileARunAndTheRoom()
    {
        const auto room = m_cli.json({"scene", "info", "synthetic:room"});
        QCOMPARE(room["gaussians"].get<int>(), 20000);
        std::size_t sum = 0;
        for (const auto& count : room["opacity"]["histogram"]["counts"])
            sum += count.get<std::size_t>();
        QCOMPARE(sum, std::size_t(20000));
        const auto file = m_cli.json({"scene", "info", "scene.ply"}), run = m_cli.json({"scene", "info", "run:1", "--workspace", "w"});
        QVERIFY(file["opacity"] == run["opacity"] && file["bounds"] == run["bounds"]);
        const auto picture = m_cli.json({"scene", "render", "synthetic:room", "--eye", "2,0,1.5", "--target", "0,0,1", "--width", "40", "--height",
                                         "30", "--shape", "ellipsoid", "--out", "room"});
        QCOMPARE(io::readImage(m_cli.path("room/00000_rgb.png")).height, 30);
    }

    void saysWhatIsWrong()
    {
        const auto in = [](QStringList arguments) { return arguments + QStringList{"--workspace", "w"}; };
        VERIFY_REFUSED(m_cli.run(in({"scene", "export", "run:1", "--out", "x.ply", "--kind", "mesh"})), 2, "which have no surface");
        VERIFY_REFUSED(m_cli.run(in({"scene", "export", "run:1", "--out", "x.obj"})), 2, "expected a .ply file for Gaussians");
        VERIFY_REFUSED(m_cli.run(in({"scene", "eval", "run:1@7", "--data", "set"})), 2, "has no weights of step 7");
        VERIFY_REFUSED(m_cli.run(in({"scene", "render", "run:9", "--cameras", "set/transforms.json", "--out", "x"})), 2, "9");
        VERIFY_REFUSED(m_cli.run(in({"scene", "render", "scene.ply", "--out", "x"})), 2, "expected --cameras FILE or --eye");
        VERIFY_REFUSED(m_cli.run(in({"scene", "render", "scene.ply", "--eye", "1,1", "--width", "9", "--height", "9", "--out", "x"})), 2,
                       "--eye: expected three numbers");
        VERIFY_REFUSED(m_cli.run(in({"scene", "render", "scene.ply", "--eye", "0,0,0", "--width", "9", "--height", "9", "--out", "x"})), 2,
                       "--eye, --target, --up");
        VERIFY_REFUSED(m_cli.run(in({"lens", "run:1", "--sample", "0", "--kind", "logit_lens"})), 2, "needs a value with the canonical name");
        VERIFY_REFUSED(m_cli.run(in({"evaluate", "run:1", "--data", "digits"})), 2, "expected [batch, 18] for the model's input \"camera\"");
        VERIFY_REFUSED(m_cli.run(in({"scene", "distill", "run:1", "--out", "x.safetensors"})), 2, "expected a radiance field");
        VERIFY_REFUSED(m_cli.run(in({"scene", "train", "short.json", "--set", "train.optimizer=sgd"})), 2,
                       "expected splat_adam, since the model is splats");
        VERIFY_REFUSED(m_cli.run(in({"scene", "train", "short.json", "--set", "data.path=nowhere"})), 2, "nowhere");
        m_cli.write("nan.json", [&] {
            auto text = m_cli.read("set/transforms.json");
            const auto at = text.find("\"transform_matrix\"");
            const auto number = text.find_first_of("-0123456789", at);
            return text.replace(number, text.find_first_of(",]", number) - number, "NaN");
        }());
        VERIFY_REFUSED(m_cli.run(in({"scene", "train", "short.json", "--set", "data.path=nan.json"})), 2, "nan.json");
        m_cli.write("cut.ply", m_cli.read("scene.ply").substr(0, 2000));
        VERIFY_REFUSED(m_cli.run({"scene", "info", "cut.ply"}), 2, "cut.ply");
        VERIFY_REFUSED(m_cli.run({"scene", "info", "zoo:mlp"}), 2, "expected points or Gaussians");
    }
};

QTEST_GUILESS_MAIN(CliSplatsTest)
#include "cli_splats_test.moc"
