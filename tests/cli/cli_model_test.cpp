// Commands that take a MODEL: inspect, forward, evaluate, predict.
#include <ATen/ATen.h>

#include <core/graph/executor.h>
#include <core/io/image.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

const QString kModel = "zoo:mlp?features=3&hidden=[4,5]&classes=2";

}  // namespace

class CliModelTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
    at::Tensor m_x;
private Q_SLOTS:
    void initTestCase()
    {
        m_x = at::arange(12, at::kFloat).reshape({4, 3}).div(7);
        m_cli.writeArray("x.npy", m_x);
        m_cli.writeArray("narrow.npy", at::ones({1, 2}));
        m_cli.writeArray("flat.npy", at::ones({3}));
        auto odd = m_x.clone();
        odd[1][2] = std::nan("");
        m_cli.writeArray("nan.npy", odd);
        m_cli.write("x.csv", "a,b,c\n1,2,3\n4,5,6\n");
        m_cli.write("ragged.csv", "a,b,c\n1,2\n4,5,6\n");
        m_cli.write("words.csv", "a,b,c\n1,two,3\n");
        m_cli.write("cut.npy", m_cli.read("x.npy").substr(0, 130));
        m_cli.write("x.xyz", "1 2 3");
        m_cli.write("garbage.safetensors", "garbage");
        std::filesystem::create_directories(m_cli.path("notes"));
        m_cli.write("notes/read.me", "nothing");
        models::saveModel(m_cli.path("whole.safetensors"), zoo::buildModel("mlp", {{"features", 3}}, 0));
        const auto whole = m_cli.read("whole.safetensors");
        m_cli.write("cut.safetensors", std::string_view(whole).substr(0, whole.size() - 40));
        const auto script = core::readFile(ORRERY_TEST_DATA "/torchscript/mlp_scripted.pt");
        m_cli.write("cut.pt", std::string_view(script).substr(0, script.size() / 2));
    }

    void badInputIsStatusTwo_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        const auto forward = [](const QStringList& more) { return QStringList{"forward", kModel} + more; };
        QTest::newRow("missing array") << forward({"--input", "none.npy"}) << "none.npy: no such file";
        QTest::newRow("cut array") << forward({"--input", "cut.npy"}) << "cut.npy: ";
        QTest::newRow("array of unknown kind") << forward({"--input", "x.xyz"}) << "x.xyz: expected a file ending in .npy";
        QTest::newRow("narrow array") << forward({"--input", "narrow.npy"})
                                      << "--input narrow.npy: expected [batch, 3] for the model's input \"table\", got [1, 2]";
        QTest::newRow("array without batch") << forward({"--input", "flat.npy"}) << "expected [batch, 3] for the model's input \"table\", got [3]";
        QTest::newRow("ragged table") << forward({"--input", "ragged.csv"}) << "ragged.csv: line 2: expected 3 fields, got 2";
        QTest::newRow("table with words") << forward({"--input", "words.csv"}) << "words.csv: column \"b\": expected numbers in every row";
        QTest::newRow("unknown input") << forward({"--input", "tabel=x.npy"}) << "the model has no input \"tabel\"; did you mean \"table\"?";
        QTest::newRow("input twice") << forward({"--input", "x.npy", "x.npy"}) << "expected 1 input (table), got more";
        QTest::newRow("unknown probe") << forward({"--input", "x.npy", "--probe", "fc11"}) << "no value fits \"fc11\"; did you mean \"fc1\"?";
        QTest::newRow("probe that fits nothing") << forward({"--input", "x.npy", "--probe", "attn*"}) << "no value fits \"attn*\"";
        QTest::newRow("unknown ending") << forward({"--input", "x.npy", "--out", "y.txt"})
                                        << "y.txt: expected a file ending in .npy, .safetensors, .csv or .png";
        QTest::newRow("missing model") << QStringList{"inspect", "none.pt"}
                                       << "model none.pt: no such file; expected a file, a checkpoint folder, zoo:NAME or run:ID";
        QTest::newRow("folder without a model") << QStringList{"inspect", "notes"}
                                                << "found a folder with neither config.json nor one file of weights";
        QTest::newRow("garbage as model") << QStringList{"inspect", "garbage.safetensors"} << "garbage.safetensors: expected one of: Orrery model";
        QTest::newRow("cut model file") << QStringList{"inspect", "cut.safetensors"} << "cut.safetensors: ";
        QTest::newRow("cut TorchScript") << QStringList{"inspect", "cut.pt"} << "cut.pt: ";
        QTest::newRow("run without workspace") << QStringList{"inspect", "run:1"} << "orrery-workspace: expected a workspace folder, there is none";
        QTest::newRow("unknown data set") << QStringList{"evaluate", kModel, "--data", "wnie"}
                                          << "expected the id of a data set or a file, got \"wnie\"; did you mean \"wine\"?";
        QTest::newRow("data of another size") << QStringList{"evaluate", kModel, "--data", "wine"}
                                              << "--data wine: expected [batch, 3] for the model's input \"table\", got [36, 13]";
        QTest::newRow("unknown metric") << QStringList{"evaluate", "zoo:mlp?features=13&classes=3", "--data", "wine", "--metrics", "acuracy"}
                                        << "unknown metric \"acuracy\"; did you mean \"accuracy\"?";
        QTest::newRow("parameter of no metric") << QStringList{"evaluate",     "zoo:mlp?features=13&classes=3",
                                                               "--data",       "wine",
                                                               "--metrics",    "accuracy",
                                                               "--metric-set", "top_k.k=2"}
                                                << "--metric-set top_k.k=2: expected ID.name=value with ID one of --metrics (accuracy)";
        QTest::newRow("written over its input") << forward({"--input", "x.npy", "--out", "./x.npy"})
                                                << "--out ./x.npy: expected another name than that of x.npy, which would be lost";
        QTest::newRow("written over its model") << QStringList{"forward", "cut.safetensors", "--input", "x.npy", "--out", "cut.safetensors"}
                                                << "--out cut.safetensors: expected another name than that of cut.safetensors, which would be lost";
        QTest::newRow("kept input that is not there")
            << forward({"--input", "x.npy", "--keep-input", "foo"}) << "--keep-input foo: the model has no input of that name; it has table";
        QTest::newRow("unknown part") << QStringList{"evaluate", "zoo:mlp?features=13&classes=3", "--data", "wine", "--split", "tst"}
                                      << "expected the part train, val or test, got \"tst\"";
        QTest::newRow("nothing to predict") << QStringList{"predict", kModel} << "expected one of --input, --text, --image";
        QTest::newRow("two things to predict") << QStringList{"predict", kModel, "--input", "x.npy", "--text", "a"}
                                               << "expected one of --input, --text, --image";
        QTest::newRow("missing picture") << QStringList{"predict", "zoo:lenet", "--image", "none.png"} << "none.png";
    }
    void badInputIsStatusTwo()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        const auto answer = m_cli.compute(arguments + QStringList{"--json"});
        VERIFY_REFUSED(answer, 2, message);
        QVERIFY(QString::fromStdString(answer.json().at("error").at("message").get<std::string>()).contains(message));
        QVERIFY(!m_cli.has("y.txt"));
    }

    void aPlaceThatCannotBeWrittenIsRefusedBeforeTheWork()
    {
        const auto answer = m_cli.compute({"forward", kModel, "--input", "x.npy", "--out", "no/such/folder/y.npy"});
        VERIFY_REFUSED(answer, 2, "--out: no/such/folder/y.npy: there is no folder no/such/folder");
    }

    void inspectCountsWhatTheModelHas()
    {
        const auto document = m_cli.json({"inspect", kModel});
        QCOMPARE(document.at("parameters").get<int>(), 4 * 3 + 4 + 5 * 4 + 5 + 2 * 5 + 2);
        QCOMPARE(document.at("parameter_list").size(), std::size_t(6));
        QVERIFY(document.at("parameter_list")[0].at("shape") == Json({4, 3}));
        QCOMPARE(document.at("card").at("inputs")[0].at("name").get<std::string>(), std::string("table"));
        QVERIFY(m_cli.compute({"inspect", kModel}).out.contains("fc1.linear  aten::linear"));
        // What the file says of itself.
        QVERIFY(document.at("properties").empty());
        const auto ofFile = m_cli.json({"inspect", ORRERY_TEST_DATA "/onnx/cnn-1.13.onnx"}).at("properties");
        QVERIFY(!ofFile.empty() && ofFile[0].at("name") == "format");
        QVERIFY(m_cli.compute({"inspect", ORRERY_TEST_DATA "/onnx/cnn-1.13.onnx"}).out.contains(QRegularExpression("producer +pytorch 1\\.13")));
        QVERIFY(m_cli.compute({"inspect", kModel, "--text"}).out.contains("aten::linear"));
        // Shapes follow the input that is given.
        QVERIFY(m_cli.compute({"inspect", kModel, "--input", "x.npy"}).out.contains("[4, 5]"));
        QCOMPARE(m_cli.json({"inspect", "zoo:resnet?depth=20"}).at("parameters").get<int>(), 269722);
    }

    void seedChoosesTheWeights()
    {
        const auto output = [&](const QStringList& more) {
            m_cli.json(QStringList{"forward", kModel, "--input", "x.npy", "--out", "seeded.npy"} + more);
            return m_cli.read("seeded.npy");
        };
        QVERIFY(output({"--seed", "1"}) == output({"--seed", "1"}));
        QVERIFY(output({"--seed", "1"}) != output({"--seed", "2"}));
        QVERIFY(output({"--seed", "0"}) == output({}));
    }

    void forwardEqualsTheExecutor()
    {
        const auto document = m_cli.json({"forward", kModel, "--input", "table=x.npy", "--out", "y.npy", "--seed", "3"});
        QVERIFY(document.at("outputs")[0].at("shape") == Json({4, 2}));
        QCOMPARE(document.at("outputs")[0].at("file").get<std::string>(), std::string("y.npy"));
        const auto model = zoo::buildModel("mlp", {{"features", 3}, {"hidden", {4, 5}}, {"classes", 2}}, 3);
        QVERIFY(at::equal(m_cli.array("y.npy"), graph::Executor(model.graph).forward(model.weights, {m_x})));
        // Double precision, and other kinds of file.
        QCOMPARE(m_cli.json({"forward", kModel, "--input", "x.csv", "--dtype", "float64", "--out", "y.csv"})
                     .at("outputs")[0]
                     .at("dtype")
                     .get<std::string>(),
                 std::string("float64"));
        const auto text = m_cli.read("y.csv");
        QCOMPARE(std::count(text.begin(), text.end(), '\n'), 2);
        m_cli.json({"forward", kModel, "--input", "x.npy", "--out", "y.safetensors"});
        m_cli.json({"forward", kModel, "--input", "x.npy", "--out", "y.png"});
        QCOMPARE(io::readImage(m_cli.path("y.png")).width, 2);
    }

    void probesHandOutValues_data()
    {
        QTest::addColumn<QString>("pattern");
        QTest::addColumn<QStringList>("names");
        QTest::newRow("path") << "fc1.linear" << QStringList{"fc1.linear"};
        QTest::newRow("glob") << "fc*" << QStringList{"fc1.linear", "fc2.linear"};
        QTest::newRow("module") << "fc2" << QStringList{"fc2.linear"};
        QTest::newRow("operator") << "op:relu" << QStringList{"relu", "relu#2"};
        QTest::newRow("operator with namespace") << "op:aten::linear" << QStringList{"fc1.linear", "fc2.linear", "out.linear"};
        QTest::newRow("input") << "table" << QStringList{"table"};
    }
    void probesHandOutValues()
    {
        QFETCH(QString, pattern);
        QFETCH(QStringList, names);
        const test::Cli cli;
        cli.writeArray("x.npy", m_x);
        const auto document = cli.json({"forward", kModel, "--input", "x.npy", "--probe", pattern, "--out-dir", "probed"});
        QStringList found;
        for (const auto& probe : document.at("probes")) {
            found << QString::fromStdString(probe.at("name").get<std::string>());
            const auto file = probe.at("file").get<std::string>();
            QCOMPARE(QString::fromStdString(file), "probed/" + found.back() + ".npy");
            QVERIFY(cli.array(file).sizes().vec() == probe.at("shape").get<std::vector<std::int64_t>>());
        }
        std::sort(found.begin(), found.end());
        QCOMPARE(found, names);
        if (names.contains("relu"))
            QVERIFY(cli.array("probed/relu.npy").min().item<float>() >= 0);
        if (names.contains("table"))
            QVERIFY(at::equal(cli.array("probed/table.npy"), m_x));
    }

    void nanInputIsWarnedOfAndGoesThrough()
    {
        const auto answer = m_cli.compute({"forward", kModel, "--input", "nan.npy", "--out", "y.npy", "--json"});
        QCOMPARE(answer.status, 0);
        QVERIFY2(answer.error.contains("warning: --input nan.npy: 1 of 12 values are NaN or infinite"), qPrintable(answer.error));
        answer.json();
        const auto y = m_cli.array("y.npy");
        QVERIFY(y[1].isnan().all().item<bool>() && !y[0].isnan().any().item<bool>());
    }

    void torchScriptRuns()
    {
        m_cli.writeArray("six.npy", at::ones({2, 6}));
        const QString file = ORRERY_TEST_DATA "/torchscript/mlp_scripted.pt";
        const auto before = qgetenv("XDG_CACHE_HOME");
        qputenv("XDG_CACHE_HOME", QByteArray::fromStdString(m_cli.path("cache").string()));
        QVERIFY(m_cli.json({"forward", file, "--input", "six.npy", "--out", "read.npy"}).at("outputs")[0].at("shape") == Json({2, 3}));
        m_cli.json({"forward", file, "--input", "six.npy", "--out", "kept.npy"});  // from the cache
        QVERIFY(at::equal(m_cli.array("read.npy"), m_cli.array("kept.npy")));
        before.isNull() ? qunsetenv("XDG_CACHE_HOME") : qputenv("XDG_CACHE_HOME", before);
        VERIFY_REFUSED(m_cli.compute({"forward", file, "--input", "x.npy"}), 2, "expected [..., 6]");
    }

    void weightsAloneAreLookedAtAndRunWithAnArchitecture()
    {
        auto model = zoo::buildModel("mlp", {{"features", 3}, {"hidden", {4, 5}}, {"classes", 2}}, 9);
        models::saveWeights(m_cli.path("weights.safetensors"), model.weights);
        QCOMPARE(m_cli.compute({"inspect", "weights.safetensors"}).status, 0);
        VERIFY_REFUSED(m_cli.compute({"forward", "weights.safetensors", "--input", "x.npy"}), 2, "--arch");
        m_cli.json({"forward", "weights.safetensors", "--arch", "mlp?features=3&hidden=[4,5]&classes=2", "--input", "x.npy", "--out", "y.npy"});
        QVERIFY(at::equal(m_cli.array("y.npy"), graph::Executor(model.graph).forward(model.weights, {m_x})));
        VERIFY_REFUSED(m_cli.compute({"inspect", "weights.safetensors", "--arch", "mlp?features=7&hidden=[4,5]&classes=2"}), 2, "expected");
    }

    /// This libtorch computes no halves on a processor: the structure is shown all the same.
    void inspectShowsWhatCannotBeRunHere()
    {
        auto model = zoo::buildModel("mlp", {{"features", 3}, {"hidden", {4, 5}}, {"classes", 2}}, 9);
        model.graph = graph::moved(model.graph, at::kCPU, at::kHalf);
        model.weights = model.weights.to(at::kCPU, at::kHalf);
        models::saveModel(m_cli.path("half.safetensors"), model);
        const auto document = m_cli.json({"inspect", "half.safetensors"});
        if (document.at("notes").empty())
            QSKIP("this libtorch computes halves");
        QVERIFY(document.at("notes")[0].get<std::string>().find("--dtype float32") != std::string::npos);
        QCOMPARE(document.at("parameter_list").size(), std::size_t(6));
        VERIFY_REFUSED(m_cli.compute({"inspect", "half.safetensors", "--input", "x.npy"}), 1, "--dtype float32");
        QVERIFY(m_cli.json({"inspect", "half.safetensors", "--dtype", "float32"}).at("notes").empty());
    }

    /// TorchScript programs may take single numbers beside tensors: as a word, or as a file with one element.
    void singleNumbersAreInputs()
    {
        const QString loop = ORRERY_TEST_DATA "/torchscript/rnn_loop.pt", branch = ORRERY_TEST_DATA "/torchscript/in_place.pt";
        const auto model = models::openModel(loop.toStdString());
        const auto width = model.weights.at("cell.weight_ih").size(1);
        const at::Tensor x = at::arange(5 * 2 * width, at::kFloat).div(20).sin().reshape({5, 2, width});
        m_cli.writeArray("loop.npy", x);
        m_cli.writeArray("steps.npy", at::scalar_tensor(3, at::kLong));
        m_cli.writeArray("two.npy", at::ones({2}));
        const auto expected = graph::Executor(model.graph).forward(model.weights, {x, std::int64_t(3)});
        for (const char* steps : {"steps=3", "steps=steps.npy"}) {
            m_cli.json({"forward", loop, "--input", "x=loop.npy", "--input", steps, "--out", "loop_out.npy"});
            QVERIFY(at::equal(m_cli.array("loop_out.npy"), expected));
        }
        VERIFY_REFUSED(m_cli.compute({"forward", loop, "--input", "x=loop.npy", "--input", "steps=many"}), 2,
                       "expected a whole number or a file with one element for the model's input \"steps\", got \"many\"");
        VERIFY_REFUSED(m_cli.compute({"forward", loop, "--input", "x=loop.npy", "--input", "steps=two.npy"}), 2, "expected one element, got [2]");
        VERIFY_REFUSED(m_cli.compute({"forward", branch, "--input", "loop.npy", "--input", "flag=1"}), 2, "expected true, false or a file");
        VERIFY_REFUSED(m_cli.compute({"predict", loop, "--input", "x=loop.npy", "--input", "steps=3"}), 2,
                       "expected a model that takes arrays alone");
    }

    void theSecondInputIsNamed()
    {
        m_cli.writeArray("wide.npy", at::zeros({1, 7}));
        VERIFY_REFUSED(m_cli.compute({"diff-run", kModel, kModel, "--input", "x.npy", "--input-b", "wide.npy"}), 2,
                       "--input-b wide.npy: expected [batch, 3]");
    }

    void numbersThatNumpyLacksAreNotLost()
    {
        const auto plain = m_cli.compute({"forward", kModel, "--input", "x.npy", "--dtype", "bfloat16", "--out", "halves.npy"});
        QVERIFY2(plain.status == 0 && plain.error.contains("halves.npy: written as float32"), qPrintable(plain.error));
        m_cli.json({"forward", kModel, "--input", "x.npy", "--dtype", "bfloat16", "--out", "halves.safetensors"});
        const auto kept = models::loadTensors(m_cli.path("halves.safetensors")).at("tensor");
        QCOMPARE(kept.scalar_type(), at::kBFloat16);
        QVERIFY(at::equal(m_cli.array("halves.npy"), kept.to(at::kFloat)));
    }

    void singleNumbersAreOutputs()
    {
        const QString tuple = ORRERY_TEST_DATA "/torchscript/tuple_out.pt";
        const auto model = models::openModel(tuple.toStdString());
        m_cli.writeArray("tuple.npy", at::ones({3, 2}));
        const auto answer = m_cli.json({"forward", tuple, "--input", "tuple.npy", "--out-dir", "tuple"});
        graph::RunRequest request;
        request.inputs = {at::ones({3, 2})};
        const auto run = graph::Executor(model.graph).run(model.weights, request);
        int numbers = 0;
        for (std::size_t i = 0; i < run.outputs.size(); ++i)
            if (run.outputs[i].isInt()) {
                ++numbers;
                QCOMPARE(answer.at("outputs")[i].at("value").get<std::int64_t>(), run.outputs[i].toInt());
                QCOMPARE(answer.at("outputs")[i].at("kind").get<std::string>(), std::string("int"));
                const auto file = QString::fromStdString(answer.at("outputs")[i].at("file").get<std::string>());
                QCOMPARE(m_cli.array(file.toStdString()).item<std::int64_t>(), run.outputs[i].toInt());
            }
        QVERIFY(numbers > 0);
        VERIFY_REFUSED(m_cli.compute({"forward", kModel, "--input", "x.npy", "--sample", "0"}), 2,
                       "forward: expected one of --input FILE, --sample N");
    }

    void evaluateGivesTheMetricsAskedFor()
    {
        const QString model = "zoo:mlp?features=13&classes=3";
        const auto top = m_cli.json({"evaluate", model, "--data", "wine", "--metrics", "top_k,accuracy", "--metric-set", "top_k.k=1"}).at("metrics");
        QCOMPARE(top.at("top_1").get<double>(), top.at("accuracy").get<double>());
        const auto document = m_cli.json({"evaluate", model, "--data", "wine", "--split", "train", "--metrics", "accuracy,loss"});
        QCOMPARE(document.at("split").get<std::string>(), std::string("train"));
        QCOMPARE(document.at("metrics").size(), std::size_t(2));
        const double accuracy = document.at("metrics").at("accuracy");
        QVERIFY(accuracy >= 0 && accuracy <= 1);
        QCOMPARE(m_cli.json({"evaluate", model, "--data", "wine", "--limit", "7"}).at("samples").get<int>(), 7);
        // The same in pieces of another size.
        QVERIFY(std::abs(m_cli.json({"evaluate", model, "--data", "wine", "--split", "train", "--batch-size", "5"})
                             .at("metrics")
                             .at("accuracy")
                             .get<double>() -
                         accuracy) < 1e-12);
        QVERIFY(m_cli.compute({"evaluate", model, "--data", "wine"}).out.contains("36 samples of wine (test)"));
    }

    void predictSaysClassesWithProbabilities()
    {
        const auto document = m_cli.json({"predict", kModel, "--input", "x.npy", "--out", "p.npy", "--top", "2"});
        QCOMPARE(document.at("predictions").size(), std::size_t(4));
        const auto probabilities = at::softmax(m_cli.array("p.npy").to(at::kDouble), 1);
        for (int i = 0; i < 4; ++i) {
            const auto& classes = document.at("predictions")[std::size_t(i)].at("classes");
            double sum = 0;
            for (const auto& score : classes) {
                QVERIFY(std::abs(score.at("probability").get<double>() - probabilities[i][score.at("class").get<int>()].item<double>()) < 1e-6);
                sum += score.at("probability").get<double>();
            }
            QVERIFY(std::abs(sum - 1) < 1e-6);
            QVERIFY(classes[0].at("probability").get<double>() >= classes[1].at("probability").get<double>());
        }
        io::Image image;
        image.width = image.height = 32;
        image.channels = 1;
        image.pixels.assign(32 * 32, 128);
        io::writePng(m_cli.path("grey.png"), image);
        QCOMPARE(m_cli.json({"predict", "zoo:lenet", "--image", "grey.png"}).at("predictions")[0].at("classes").size(), std::size_t(5));
        VERIFY_REFUSED(m_cli.compute({"predict", kModel, "--image", "grey.png"}), 2, "orrery-cli: ");
        VERIFY_REFUSED(m_cli.compute({"predict", kModel, "--text", "hello"}), 2, "orrery-cli: ");
    }

    void predictSearchesWithBeams()
    {
        const test::Cli cli;
        cli.json({"train", cli.project("reversal/experiment.yaml"), "--workspace", "w", "--set", "train.epochs=null", "--set", "train.steps=20",
                  "--set", "train.warmup=0", "--set", "data.limit=400"});
        const auto found = cli.json({"predict", "run:1", "--workspace", "w", "--text", "abc", "--beam", "3", "--max-length", "6"});
        QCOMPARE(found.at("hypotheses").size(), std::size_t(3));
        QVERIFY(found.at("steps").size() <= 6);
        double before = HUGE_VAL;
        for (const auto& hypothesis : found.at("hypotheses")) {
            QVERIFY(hypothesis.at("score").get<double>() <= before);
            before = hypothesis.at("score").get<double>();
            QVERIFY(std::abs(hypothesis.at("log_probability").get<double>() / double(hypothesis.at("tokens").size()) - before) < 1e-9);
            QVERIFY(hypothesis.at("text").is_string());
        }
        QVERIFY(cli.compute({"predict", "run:1", "--workspace", "w", "--text", "abc", "--beam", "2"}).out.contains("log prob"));
        VERIFY_REFUSED(cli.compute({"predict", "run:1", "--workspace", "w", "--text", "ABC", "--beam", "2"}), 2, "orrery-cli: ");
        VERIFY_REFUSED(cli.compute({"predict", "run:1", "--workspace", "w", "--beam", "2"}), 2, "expected one --text");
        VERIFY_REFUSED(cli.compute({"predict", "run:1", "--workspace", "w", "--text", "abc", "--beam", "0"}), 2, "--beam");
    }

    void threadsChangeNothingButSpeed()
    {
        m_cli.run({"forward", kModel, "--input", "x.npy", "--threads", "1", "--out", "one.npy"});
        m_cli.run({"forward", kModel, "--input", "x.npy", "--threads", "2", "--out", "two.npy"});
        QVERIFY(at::equal(m_cli.array("one.npy"), m_cli.array("two.npy")));
    }
};

QTEST_GUILESS_MAIN(CliModelTest)
#include "cli_model_test.moc"
