// Every example document goes through the command line, cut short.
#include "../experiment_documents.h"
#include "cli_runner.h"
#include <cmath>

using namespace orrery;

class CliProjectsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void isTrainedAndReadBack_data() { test::addExperimentDocuments(); }
    void isTrainedAndReadBack()
    {
        QFETCH(QString, file);
        const test::Cli cli;
        // As it stands it is complete and right.
        const auto document = cli.json({"train", file, "--check"});
        QVERIFY(document.at("tags") == core::Json({"example"}));
        const QString batch = file.contains("splats") ? "1" : "8";  // a step of Gaussians is one picture
        const auto result =
            cli.json({"train", file, "--workspace", "w", "--set", "train.epochs=null", "--set", "train.steps=2", "--set", "train.warmup=0", "--set",
                      "train.evaluate_samples=16", "--set", "train.batch_size=" + batch, "--set", "data.limit=64"});
        QCOMPARE(result.at("status").get<std::string>(), std::string("finished"));
        QVERIFY(result.at("metrics").contains("test/loss"));
        const auto run = cli.json({"runs", "show", "1", "--workspace", "w"});
        QVERIFY(run.at("document").at("name") == document.at("name"));
        QVERIFY(run.at("document").at("model") == document.at("model"));
        QVERIFY(cli.json({"inspect", "run:1", "--workspace", "w"}).at("parameters").get<int>() > 100);
        // Files beside the document are found from there, not from where a description is typed.
        const bool hasFiles = file.contains("x-ray") || file.contains("domain-text");
        QVERIFY(hasFiles ||
                cli.json({"evaluate", "run:1", "--workspace", "w", "--data", QString::fromStdString(document.at("data").dump()), "--limit", "8"})
                    .at("metrics")
                    .contains("loss"));
        // A run is measured with its own data, loss and metrics: its numbers come out again.
        for (const core::Json evaluated = cli.json({"evaluate", "run:1", "--workspace", "w"});
             const auto& [name, value] : evaluated.at("metrics").items()) {
            const auto stored = result.at("metrics").at("test/" + name).get<double>();
            QVERIFY2(std::abs(value.get<double>() - stored) <= 1e-5 * std::abs(stored) + 1e-7, name.c_str());
        }
    }
};

QTEST_GUILESS_MAIN(CliProjectsTest)
#include "cli_projects_test.moc"
