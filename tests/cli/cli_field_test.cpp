// A field from pictures to a mesh by the command line: synthesize, train, eval, export.
#include <core/io/image.h>

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
        // The mesh can be looked at from everywhere: posed images of it.
        const auto again =
            m_cli.json({"scene", "synthesize", "again", "--from", "mesh.ply", "--views", "2", "--val", "0", "--test", "0", "--size", "16"});
        QCOMPARE(again["views"].get<int>(), 2);
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
