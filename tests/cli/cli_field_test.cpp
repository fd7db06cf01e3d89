// A field from pictures to a mesh by the command line: synthesize, train, eval, export.
#include <csignal>

#include <core/io/image.h>
#include <core/scene/cloud/formats.h>

#include "cli_runner.h"

using namespace orrery;
using test::Cli;

class CliFieldTest : public QObject {
    Q_OBJECT

    Cli m_cli;

    void writeDocument() const
    {
        m_cli.write(
            "field.json",
            R"({"name": "field", "model": "zoo:hash_field?levels=6&log2_entries=12&finest_resolution=64&width=16&occupancy_resolution=16&steps=64",
            "data": {"id": "rays", "path": "set"},
            "train": {"steps": 120, "batch_size": 512, "loss": "photometric", "metrics": ["loss", "psnr"], "optimizer": {"id": "adam", "lr": 0.01},
                      "evaluate_every": 60}})");
    }

private Q_SLOTS:
    void goesFromPicturesToAMesh()
    {
        const auto made = m_cli.json({"scene", "synthesize", "set", "--views", "10", "--val", "1", "--test", "2", "--size", "24"});
        QCOMPARE(made["views"].get<int>(), 13);
        QCOMPARE(m_cli.array("set/depth/train_000.npy").sizes().vec(), (std::vector<std::int64_t>{24, 24}));
        writeDocument();
        const auto trained = m_cli.json({"scene", "train", "field.json", "--workspace", "w"});
        QCOMPARE(trained["status"].get<std::string>(), std::string("finished"));
        for (const char* name : {"train/psnr", "val/psnr", "test/psnr"})
            QVERIFY2(trained["metrics"].contains(name), name);
        const auto eval = m_cli.json({"scene", "eval", "run:1", "--workspace", "w", "--data", "set", "--out", "pictures"});
        QCOMPARE(eval["views"].size(), std::size_t(2));
        // The views are of one size, so the mean of squared errors over them is that of all rays.
        double error = 0;
        for (const auto& view : eval["views"])
            error += std::pow(10, -0.1 * view["psnr"].get<double>()) / 2;
        QVERIFY(std::abs(-10 * std::log10(error) - trained["metrics"]["test/psnr"].get<double>()) < 0.1);
        QCOMPARE(io::readImage(m_cli.path("pictures/test_001.png")).width, 24);
        const auto mesh = m_cli.json({"scene", "export", "run:1", "--workspace", "w", "--out", "mesh.ply", "--resolution", "32", "--density", "3"});
        QVERIFY(mesh["triangles"].get<int>() > 50);
        QVERIFY(m_cli.read("mesh.ply").starts_with("ply\n"));
        // A crop of nothing leaves the background of a field; one of everything leaves all.
        const QStringList draw{"scene", "render", "run:1",    "--workspace", "w",         "--cameras", "set/transforms.json",
                               "--out", "drawn",  "--format", "npy",         "--outputs", "alpha"};
        m_cli.json(draw);
        const auto opacity = m_cli.array("drawn/00000_alpha.npy");
        m_cli.json(draw + QStringList{"--crop", "-50,-50,-50,50,50,50"});
        QVERIFY((m_cli.array("drawn/00000_alpha.npy") - opacity).abs().max().item<double>() < 1e-6);
        m_cli.json(draw + QStringList{"--crop", "40,40,40,50,50,50"});
        QVERIFY(opacity.max().item<double>() > 0.5);
        QVERIFY(m_cli.array("drawn/00000_alpha.npy").max().item<double>() < 1e-6);
        // The mesh can be looked at from everywhere: posed images of it.
        const auto again =
            m_cli.json({"scene", "synthesize", "again", "--from", "mesh.ply", "--views", "2", "--val", "0", "--test", "0", "--size", "16"});
        QCOMPARE(again["views"].get<int>(), 2);
    }

    void aFieldIsDistilled()
    {
        const QStringList sizes{"--set", "grid=3",        "--set", "width=16",         "--set", "steps=64",  "--set", "occupancy_resolution=16",
                                "--set", "points=8000",   "--set", "distill_steps=60", "--set", "rays=2048", "--set", "refine_steps=30",
                                "--set", "batch_rays=256"};
        const auto made = m_cli.json(QStringList{"scene", "distill", "run:1", "--workspace", "w", "--out", "student.safetensors"} + sizes);
        QCOMPARE(made["views"].get<int>(), 2);
        QCOMPARE(made["analysis"].get<int>(), 1);
        QVERIFY(made["psnr"].get<double>() > 12 && made["psnr"].get<double>() < 60);
        QVERIFY(std::abs(made["ratio"].get<double>() - made["teacher_seconds"].get<double>() / made["student_seconds"].get<double>()) < 1e-9);
        // The file is a model: measured on its own it is as good as the command said.
        const auto eval = m_cli.json({"scene", "eval", "student.safetensors", "--data", "set"});
        QVERIFY(std::abs(eval["psnr"].get<double>() - made["student_psnr"].get<double>()) < 0.05);
        const auto teacher = m_cli.json({"scene", "eval", "run:1", "--workspace", "w", "--data", "set"});
        QVERIFY(std::abs(teacher["psnr"].get<double>() - made["teacher_psnr"].get<double>()) < 0.05);
        // From a file, without pictures: views from all around, and words instead of JSON.
        const auto again = m_cli.compute(
            QStringList{"scene", "distill", "student.safetensors", "--out", "second.safetensors", "--size", "16", "--views", "1"} + sizes);
        QVERIFY2(again.status == 0 && again.out.contains("PSNR against the teacher") && again.out.contains("times as fast"),
                 qPrintable(again.error + again.out));
        QVERIFY(!again.out.contains("against the pictures"));
    }

    void distillationSaysWhatIsWrong()
    {
        const auto distil = [&](const QStringList& more) {
            return m_cli.compute(QStringList{"scene", "distill"} + more + QStringList{"--out", "x.safetensors"});
        };
        VERIFY_REFUSED(distil({"zoo:mlp"}), 2, "expected a radiance field");
        VERIFY_REFUSED(distil({"nothing.safetensors"}), 2, "nothing.safetensors");
        VERIFY_REFUSED(distil({"run:1", "--workspace", "w", "--set", "grid=0"}), 2, "grid");
        VERIFY_REFUSED(distil({"run:1", "--workspace", "w", "--set", "gird=4"}), 2, "grid");
        VERIFY_REFUSED(distil({"run:1", "--workspace", "w", "--data", "nowhere"}), 2, "nowhere");
        const auto whole = m_cli.read("student.safetensors");
        m_cli.write("half.safetensors", std::string_view(whole).substr(0, whole.size() / 2));
        VERIFY_REFUSED(distil({"half.safetensors"}), 2, "half.safetensors");
        QVERIFY(!m_cli.has("x.safetensors"));
    }

    void aDistillationIsInterrupted()
    {
        // Before the program has its handler a signal ends it as any other: then once more, later.
        int status = 0;
        for (const int later : {3000, 10000, 30000}) {
            QProcess process;
            m_cli.start(process, {"scene", "distill", "run:1", "--workspace", "w", "--threads", "1", "--out", "x.safetensors", "--set",
                                  "distill_steps=1000000"});
            QVERIFY(process.waitForStarted());
            QVERIFY(!process.waitForFinished(later));
            ::kill(pid_t(process.processId()), SIGINT);
            status = test::answerOf(process).status;
            if (status == 130 || status == -SIGSEGV || status == -SIGABRT)
                break;
        }
        QCOMPARE(status, 130);
        QVERIFY(!m_cli.has("x.safetensors"));
    }

    // Twelve points in two groups that stay apart: edges stay inside the groups where the reach is short.
    void aLearnedGraphIsACloudWithEdges()
    {
        const auto points = at::cat({at::randn({1, 6, 3}) * 0.01 + 4, at::randn({1, 6, 3}) * 0.01 - 4}, 1);
        m_cli.writeArray("points.npy", points);
        const auto written =
            m_cli.json({"scene", "graph", "zoo:gravnet?input=points&reach=0.3", "--input", "points.npy", "--top", "5", "--out", "e.ply"});
        QCOMPARE(written["points"].get<int>(), 12);
        QCOMPARE(written["edges"].get<int>(), 60);
        QVERIFY(written["effective_neighbours"].get<double>() >= 1 && written["effective_neighbours"].get<double>() <= 12);
        const auto cloud = scene::readCloud(m_cli.path("e.ply"));
        QCOMPARE(cloud.mesh.edges.size(), std::size_t(120));
        for (std::size_t i = 0; i < cloud.mesh.edges.size(); i += 2) {
            QVERIFY(cloud.mesh.edges[i] != cloud.mesh.edges[i + 1]);
            QCOMPARE(cloud.mesh.edges[i] < 6, cloud.mesh.edges[i + 1] < 6);
        }
        for (std::size_t i = 0; i < 36; ++i)
            QCOMPARE(cloud.mesh.points.positions[i], points.flatten()[std::int64_t(i)].item<float>());
        VERIFY_REFUSED(m_cli.run({"scene", "graph", "zoo:lenet", "--data", "digits", "--sample", "0", "--out", "x.ply"}), 2,
                       "learns a graph between points");
        VERIFY_REFUSED(m_cli.run({"scene", "graph", "zoo:gravnet", "--data", "digits", "--sample", "0", "--layer", "7", "--out", "x.ply"}), 2,
                       "expected a layer of 0, 1, got 7");
        VERIFY_REFUSED(m_cli.run({"scene", "graph", "zoo:gravnet", "--data", "digits", "--sample", "0", "--out", "x.stl"}), 2, "extension");
    }

    void saysWhatIsWrong()
    {
        VERIFY_REFUSED(m_cli.run({"scene", "synthesize", "x", "--views", "0"}), 2, "at least one view");
        VERIFY_REFUSED(m_cli.run({"scene", "synthesize", "x", "--size", "9000"}), 2, "1 to 8192 pixels");
        VERIFY_REFUSED(m_cli.run({"scene", "eval", "zoo:mlp", "--data", "synthetic:shapes"}), 2, "expected a radiance field");
        VERIFY_REFUSED(m_cli.run({"scene", "export", "zoo:mlp", "--out", "x.ply"}), 2, "expected a radiance field");
        VERIFY_REFUSED(m_cli.run({"scene", "train", "nothing.yaml"}), 2, "no such file");
        VERIFY_REFUSED(m_cli.run({"scene", "eval", "run:9", "--workspace", "none", "--data", "synthetic:shapes"}), 2, "none");
    }
};

QTEST_GUILESS_MAIN(CliFieldTest)
#include "cli_field_test.moc"
