// orrery-cli probe and compare-representations: on models whose layers are known, and on a trained run with checkpoints.
#include <ATen/ATen.h>

#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "../core/intervene/hand_built.h"
#include "cli_process.h"
#include "cli_runner.h"
#include "small_training.h"

using namespace orrery;
using core::Json;

class CliRepresentationsTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    QStringList iris(const char* command, const QStringList& more) const
    {
        return QStringList{command, "iris.safetensors"} + more + QStringList{"--data", "iris"};
    }
private Q_SLOTS:
    void initTestCase()
    {
        // fc1 hands the four features on, the second layer throws all but noise of rounding away: nothing can be read off it.
        auto model = zoo::buildModel("mlp", {{"features", 4}, {"hidden", {4, 3}}, {"classes", 3}}, 0);
        model.weights.set("fc1.weight", at::eye(4));
        model.weights.set("fc1.bias", at::zeros({4}));
        model.weights.set("fc2.weight", at::zeros({3, 4}));
        model.weights.set("fc2.bias", at::ones({3}));
        models::saveModel(m_cli.path("iris.safetensors"), model);
        m_cli.write("small.yaml", test::kSmallTraining);
        const auto trained = m_cli.json({"train", "small.yaml", "--workspace", "w", "--set", "train.checkpoint.keep=3"});
        QCOMPARE(trained.at("status").get<std::string>(), std::string("finished"));
    }

    void probesTellLayersApart()
    {
        const auto document = m_cli.json(iris("probe", {"--at", "fc*", "--out", "p.safetensors", "--control"}));
        const auto& probes = document.at("probes");
        QCOMPARE(probes.size(), std::size_t(2));
        QCOMPARE(probes[0].at("value").get<std::string>(), std::string("fc1.linear"));
        const double first = probes[0].at("accuracy").get<double>(), second = probes[1].at("accuracy").get<double>();
        QVERIFY2(first > 0.85, qPrintable(QString::number(first)));
        QCOMPARE(second, probes[1].at("baseline").get<double>());  // constant: the most frequent class
        QVERIFY(probes[0].at("interval")[0].get<double>() < first && first < probes[0].at("interval")[1].get<double>());
        QCOMPARE(probes[0].at("selectivity").get<double>(), first - probes[0].at("control_accuracy").get<double>());
        QVERIFY(probes[0].at("converged").get<bool>());
        QVERIFY(!document.contains("analysis"));
        // The file gives the same accuracy again, twice the same bytes of it the same numbers.
        const auto again = m_cli.json(iris("probe", {"--apply", "p.safetensors"}));
        QCOMPARE(again.at("probes")[0].at("accuracy").get<double>(), first);
        QCOMPARE(again.at("probes")[1].at("accuracy").get<double>(), second);
        QVERIFY(m_cli.json(iris("probe", {"--at", "fc*", "--out", "p.safetensors", "--control"})).at("probes") == probes);
    }

    void aTypedTextIsRead()
    {
        models::saveModel(m_cli.path("copying.safetensors"), intervene::copyingModel(6, 12));
        const QString data = R"({"id": "repeated_sequences", "vocabulary": 6, "length": 6, "shortest": 3, "samples": 200})";
        const auto fitted = m_cli.json({"probe", "copying.safetensors", "--data", data, "--at", "blocks.0.resid_post", "--label", "token",
                                        "--position", "each", "--out", "tokens.safetensors"});
        QCOMPARE(fitted.at("probes")[0].at("accuracy").get<double>(), 1.0);
        const auto read = m_cli.json({"probe", "copying.safetensors", "--apply", "tokens.safetensors", "--text", "fade"});
        const auto& rows = read.at("probes")[0].at("rows");
        QCOMPARE(rows.size(), std::size_t(4));
        for (const auto& row : rows)
            QCOMPARE(row.at("read").get<int>(), row.at("token").get<int>());
        QCOMPARE(rows[0].at("name").get<std::string>(), std::string("f"));
        QVERIFY(m_cli.compute({"probe", "copying.safetensors", "--apply", "tokens.safetensors", "--text", "fade"}).out.contains("blocks.0"));
        VERIFY_REFUSED(m_cli.compute({"probe", "copying.safetensors", "--apply", "tokens.safetensors", "--text", "abcabcabcabca"}), 2,
                       "expected at most 12 tokens");
        VERIFY_REFUSED(m_cli.compute({"probe", "copying.safetensors", "--at", "blocks.0.resid_post", "--text", "ab"}), 2, "expected with --apply");
        VERIFY_REFUSED(m_cli.compute({"probe", "copying.safetensors", "--apply", "tokens.safetensors", "--text", "ab", "--data", data}), 2,
                       "expected without --data");
        VERIFY_REFUSED(m_cli.compute({"probe", "iris.safetensors", "--apply", "tokens.safetensors", "--text", "ab"}), 2, "takes no text");
    }

    void pwccaSaysWhoseFeaturesWeigh()
    {
        const QStringList both = iris("compare-representations", {"--at-a", "fc1", "--at-b", "relu", "--metric", "pwcca"});
        const auto rows = m_cli.json(both), columns = m_cli.json(both + QStringList{"--set", "weighted_by=columns"});
        QCOMPARE(rows.at("parameters").at("weighted_by").get<std::string>(), std::string("rows"));
        QVERIFY(rows.at("matrix")[0][0].get<double>() > 0.5 && rows.at("matrix")[0][0].get<double>() <= 1);
        const auto swapped = m_cli.json(iris("compare-representations", {"--at-a", "relu", "--at-b", "fc1", "--metric", "pwcca"}));
        QVERIFY(std::abs(swapped.at("matrix")[0][0].get<double>() - columns.at("matrix")[0][0].get<double>()) < 1e-12);
        const auto text = m_cli.compute(both);
        QVERIFY2(text.out.contains("weighted by the features of the rows"), qPrintable(text.out));
    }

    void textTellsTheSame()
    {
        const auto answer = m_cli.compute(iris("probe", {"--at", "fc1"}));
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.out.contains("accuracy [95 %]") && answer.out.contains("fc1.linear"), qPrintable(answer.out));
        const auto compared = m_cli.compute(iris("compare-representations", {"--at", "fc1"}));
        QCOMPARE(compared.status, 0);
        QVERIFY2(compared.out.contains("column 0: fc1.linear") && compared.out.contains("1.000"), qPrintable(compared.out));
        QCOMPARE(m_cli.run({"probe", "--help"}).status, 0);
        QVERIFY(m_cli.run({"compare-representations", "--help"}).out.contains("rbf_cka"));
    }

    void projectionsAreWritten()
    {
        const auto pca = m_cli.json(iris("probe", {"--at", "fc1", "--project", "pca", "--out", "pca.npy", "--split", "train"}));
        const auto rows = pca.at("rows").get<std::int64_t>();
        QCOMPARE(m_cli.array("pca.npy").sizes().vec(), (std::vector<std::int64_t>{rows, 2}));
        QCOMPARE(pca.at("samples").size(), std::size_t(rows));
        const auto ratio = pca.at("details").at("explained_variance_ratio").get<std::vector<double>>();
        QVERIFY(ratio[0] > ratio[1] && ratio[0] + ratio[1] <= 1);
        QVERIFY(pca.at("trustworthiness").get<double>() > 0.8);
        const QStringList umap = iris("probe", {"--at", "fc1", "--project", "umap", "--set", "n_epochs=50", "--split", "train"});
        const auto first = m_cli.json(umap + QStringList{"--out", "a.npy"}), second = m_cli.json(umap + QStringList{"--seed", "1"});
        QVERIFY(std::abs(first.at("details").at("a").get<double>() - 1.577) < 1e-3);
        QCOMPARE(second.at("points").size(), std::size_t(rows));
        m_cli.json(umap + QStringList{"--out", "b.npy"});
        QVERIFY(at::equal(m_cli.array("a.npy"), m_cli.array("b.npy")));
    }

    void aModelIsLikeItself()
    {
        const auto document = m_cli.json(iris("compare-representations", {"iris.safetensors", "--at", "fc1", "--out", "m.npy"}));
        QVERIFY(std::abs(document.at("matrix")[0][0].get<double>() - 1) < 1e-12);
        QCOMPARE(m_cli.array("m.npy").item<double>(), document.at("matrix")[0][0].get<double>());
        // A layer that does not vary has no similarity.
        const auto all = m_cli.json(iris("compare-representations", {}));
        QCOMPARE(all.at("rows").size(), std::size_t(3));
        QVERIFY(all.at("matrix")[0][1].is_null());
        const auto svcca =
            m_cli.json(iris("compare-representations", {"--at-a", "fc1", "--at-b", "relu", "--metric", "svcca", "--set", "variance=1"}));
        QVERIFY(svcca.at("matrix")[0][0].get<double>() > 0);
    }

    void runsKeepTheirResults()
    {
        const QStringList workspace{"--workspace", "w", "--limit", "100"};
        const auto probes = m_cli.json(QStringList{"probe", "run:1", "--at", "relu*"} + workspace);
        QVERIFY(probes.at("analysis").get<int>() >= 1);
        const auto compared = m_cli.json(QStringList{"compare-representations", "run:1", "--checkpoints", "--at", "fc1"} + workspace);
        const auto steps = compared.at("rows").size();
        QVERIFY2(steps >= 3, qPrintable(QString::number(steps)));
        QCOMPARE(compared.at("rows").back().get<std::string>(), std::string("final"));
        for (std::size_t i = 0; i < steps; ++i)
            QVERIFY(std::abs(compared.at("matrix")[i][i].get<double>() - 1) < 1e-12);
        const auto many = m_cli.json(QStringList{"compare-representations", "run:1", "--checkpoints"} + workspace);
        QVERIFY(many.at("rows").size() > 1 && many.at("columns").size() == steps);
        QVERIFY(std::abs(many.at("matrix")[0].back().get<double>() - 1) < 1e-12);
        QVERIFY(many.at("analysis").get<int>() > compared.at("analysis").get<int>());
        const auto listed = m_cli.json({"compare-representations", "run:1", "run:1", "--at", "fc1", "--workspace", "w", "--limit", "50"});
        QVERIFY(std::abs(listed.at("matrix")[0][0].get<double>() - 1) < 1e-12);
    }

    void badRequestsAreStatusTwo_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        const QString model = "iris.safetensors";
        QTest::newRow("no data") << QStringList{"probe", model, "--at", "fc1"} << "expected --data";
        QTest::newRow("no value") << QStringList{"probe", model, "--data", "iris"} << "expected --at VALUE|GLOB";
        QTest::newRow("unknown value") << QStringList{"probe", model, "--data", "iris", "--at", "fc9"} << "did you mean";
        QTest::newRow("unknown set") << QStringList{"probe", model, "--data", "irsi", "--at", "fc1"} << "iris";
        QTest::newRow("other data") << QStringList{"probe", model, "--data", "digits", "--at", "fc1"}
                                    << "the model does not take the data \"digits\"";
        QTest::newRow("positions of a table") << QStringList{"probe", model, "--data", "iris", "--at", "fc1", "--position", "last"}
                                              << "has no positions";
        QTest::newRow("unknown positions") << QStringList{"probe", model, "--data", "iris", "--at", "fc1", "--position", "first"}
                                           << "expected auto, last";
        QTest::newRow("parameter out of range") << QStringList{"probe", model, "--data", "iris", "--at", "fc1", "--set", "l2=-1"}
                                                << "probe.l2: expected a number > 0";
        QTest::newRow("unknown parameter") << QStringList{"probe", model, "--data", "iris", "--at", "fc1", "--set", "l3=1"}
                                           << "probe.l3: unknown key";
        QTest::newRow("one part for both") << QStringList{"probe", model, "--data", "iris", "--at", "fc1", "--split", "train"}
                                           << "expected two parts";
        QTest::newRow("probes as picture") << QStringList{"probe", model, "--data", "iris", "--at", "fc1", "--out", "p.png"}
                                           << "ending in .safetensors";
        QTest::newRow("unknown projection") << QStringList{"probe", model, "--data", "iris", "--at", "fc1", "--project", "tsne"}
                                            << "unknown projection \"tsne\"";
        QTest::newRow("several values") << QStringList{"probe", model, "--data", "iris", "--at", "fc*", "--project", "pca"}
                                        << "expected --at to name one value";
        QTest::newRow("too many neighbours") << QStringList{"probe", model,       "--data", "iris",  "--at",
                                                            "fc1",   "--project", "umap",   "--set", "n_neighbors=500"}
                                             << "umap.n_neighbors: expected at most the number of rows";
        QTest::newRow("no such file") << QStringList{"probe", model, "--data", "iris", "--apply", "none.safetensors"} << "none.safetensors";
        QTest::newRow("no probes") << QStringList{"probe", model, "--data", "iris", "--apply", model} << "expected a file of linear probes";
        QTest::newRow("unknown metric") << QStringList{"compare-representations", model, "--data", "iris", "--metric", "ckaa"}
                                        << "did you mean \"cka\"?";
        QTest::newRow("no run") << QStringList{"compare-representations", model, "--data", "iris", "--checkpoints"} << "expected a model run:ID";
        QTest::newRow("both") << QStringList{"compare-representations", model, model, "--data", "iris", "--checkpoints"} << "got both";
        QTest::newRow("too few samples")
            << QStringList{"compare-representations", model, "--data", "iris", "--at", "fc1", "--limit", "2", "--set", "debiased=true"}
            << "at least 4 rows";
        QTest::newRow("matrix as text") << QStringList{"compare-representations", model, "--data", "iris", "--out", "m.txt"}
                                        << "m.txt: expected a file ending in";
    }
    void badRequestsAreStatusTwo()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(arguments);
        VERIFY_REFUSED(answer, 2, message);
        QCOMPARE(answer.out, QString());
    }

    void notFiniteIsNamed()
    {
        auto model = zoo::buildModel("mlp", {{"features", 4}, {"hidden", {4}}, {"classes", 3}}, 0);
        model.weights.set("fc1.bias", at::full({4}, std::nanf("")));
        models::saveModel(m_cli.path("nan.safetensors"), model);
        VERIFY_REFUSED(m_cli.compute({"probe", "nan.safetensors", "--data", "iris", "--at", "fc1"}), 2, "rows hold numbers that are not finite");
    }

    void anInterruptEndsIt()
    {
        QProcess process;
        m_cli.start(process, iris("probe", {"--at", "fc1", "--project", "umap", "--set", "n_epochs=100000", "--limit", "0", "--split", "train",
                                            "--out", "never.npy", "--threads", "1"}));
        QVERIFY(process.waitForStarted());
        // Loading takes half a second of computing; beyond two it is in the middle of its rounds.
        QTRY_VERIFY_WITH_TIMEOUT(test::computedSeconds(process.processId()) > 2, 120000);
        process.terminate();
        const auto answer = test::answerOf(process);
        QCOMPARE(answer.status, 130);
        QVERIFY(!m_cli.has("never.npy"));
    }
};

QTEST_GUILESS_MAIN(CliRepresentationsTest)
#include "cli_representations_test.moc"
