// orrery-cli intervene, checked by hand: a linear model whose changed outputs are known, a language model that is compared with `forward` and edited weights.
#include <ATen/ATen.h>

#include <QFloat16>

#include <core/models/model_file.h>
#include <core/zoo/zoo.h>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

namespace {

// Numbers with few bits: their products and sums are exact in float.
const at::Tensor kFirst = at::tensor({0.5f, -1.25f, 2.0f, 3.0f, 0.25f, -0.75f}).reshape({2, 3});
const at::Tensor kSecond = at::tensor({1.0f, 2.0f, -1.0f, 0.5f, 0.25f, 4.0f}).reshape({3, 2});
const at::Tensor kX = at::tensor({1.5f, -2.0f, 0.25f, 4.0f, 8.0f, -0.5f}).reshape({2, 3});

}  // namespace

class CliInterveneTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;

    Json intervene(const QStringList& more) const { return m_cli.json(QStringList{"intervene", "net.safetensors", "--input", "x.npy"} + more); }
    test::Answer refused(const QStringList& more) const
    {
        return m_cli.compute(QStringList{"intervene", "net.safetensors", "--input", "x.npy"} + more);
    }
    at::Tensor hidden() const { return at::relu(kX.matmul(kFirst.t())); }
private Q_SLOTS:
    /// h = Q (a + b, c) with a rotation Q, logits that name a + b + c: the sum a + b lies along one direction of h.
    void alignmentFindsTheDirection()
    {
        const double cosine = std::cos(0.7), sine = std::sin(0.7);
        const at::Tensor rotation = at::tensor({cosine, -sine, sine, cosine}, at::kDouble).reshape({2, 2});
        const at::Tensor parts = at::tensor({1., 1., 0., 0., 0., 1.}, at::kDouble).reshape({2, 3}), number = at::arange(10, at::kDouble);
        auto net = zoo::buildModel("mlp", {{"features", 3}, {"hidden", {2}}, {"classes", 10}}, 0);
        // The relu passes everything: the hidden values are moved up by 20, and the output takes that off again.
        const at::Tensor sum = at::ones({1, 2}, at::kDouble).matmul(rotation.t());
        net.weights.set("fc1.weight", rotation.matmul(parts).to(at::kFloat));
        net.weights.set("fc1.bias", at::full({2}, 20.0f));
        const at::Tensor out = 4 * number.unsqueeze(1) * sum;
        net.weights.set("out.weight", out.to(at::kFloat));
        net.weights.set("out.bias", (-2 * number * number - 20 * out.sum(1)).to(at::kFloat));
        models::saveModel(m_cli.path("sum.safetensors"), net);
        const auto generator = at::detail::createCPUGenerator(3);
        const at::Tensor base = at::randint(0, 4, {200, 3}, generator, at::kFloat), source = at::randint(0, 4, {200, 3}, generator, at::kFloat);
        m_cli.writeArray("align_base.npy", base);
        m_cli.writeArray("align_source.npy", source);
        m_cli.writeArray("align_labels.npy", (source.select(1, 0) + source.select(1, 1) + base.select(1, 2)).to(at::kLong));
        const QStringList common{"intervene", "sum.safetensors", "--input", "align_base.npy", "--source", "source=align_source.npy"};
        const auto found = m_cli.json(common + QStringList{"--at", "relu", "--align", "align_labels.npy", "--set", "dimensions=1", "--out",
                                                           "directions.npy", "--out-spec", "found.json"});
        QVERIFY2(found.at("accuracy").get<double>() > 0.97, found.dump().c_str());
        const at::Tensor direction = m_cli.array("directions.npy").to(at::kDouble).reshape({2});
        QVERIFY(std::abs((direction * rotation.select(1, 0)).sum().item<double>()) > 0.98);
        // The document gives the same answers.
        m_cli.json(common + QStringList{"--spec", "found.json", "--out", "align_y.npy"});
        const auto right = m_cli.array("align_y.npy").argmax(1).eq(m_cli.array("align_labels.npy")).to(at::kDouble).mean().item<double>();
        QCOMPARE(right, found.at("accuracy").get<double>());
        VERIFY_REFUSED(m_cli.compute(common + QStringList{"--at", "relu", "--align", "none.npy"}), 2, "none.npy");
        VERIFY_REFUSED(m_cli.compute(common + QStringList{"--align", "align_labels.npy"}), 2, "--align expects --at PLACE");
        VERIFY_REFUSED(m_cli.compute(common + QStringList{"--at", "relu", "--align", "align_labels.npy", "--set", "dimensions=9"}), 2, "dimensions");
    }

    void initTestCase()
    {
        auto net = zoo::buildModel("mlp", {{"features", 3}, {"hidden", {2}}, {"classes", 3}}, 0);
        net.weights.set("fc1.weight", kFirst);
        net.weights.set("fc1.bias", at::zeros({2}));
        net.weights.set("out.weight", kSecond);
        net.weights.set("out.bias", at::zeros({3}));
        models::saveModel(m_cli.path("net.safetensors"), net);
        m_cli.writeArray("x.npy", kX);
        m_cli.writeArray("source.npy", kX.flip({0}));
        auto gpt = zoo::buildModel("gpt", {{"vocabulary", 256}, {"block_length", 16}, {"layers", 2}, {"heads", 2}, {"width", 8}}, 3);
        gpt.card.tokenizer = {{"kind", "bytes"}};
        models::saveModel(m_cli.path("gpt.safetensors"), gpt);
    }

    void nothingIsChangedByAnEmptyDocument()
    {
        m_cli.write("empty.json", R"({"interventions": []})");
        const auto document = intervene({"--spec", "empty.json", "--out", "y.npy"});
        QVERIFY(at::equal(m_cli.array("y.npy"), hidden().matmul(kSecond.t())));
        QCOMPARE(document.at("samples").size(), std::size_t(2));
        QCOMPARE(document.at("samples")[0].at("divergence").get<double>(), 0.0);
        QVERIFY(document.at("changed").empty());
    }

    void documentsInJsonAndYamlGiveTheSameNumbers()
    {
        m_cli.write("i.json", R"({"interventions": [{"at": "op:relu", "unit": {"feature": 1}, "do": {"id": "scale", "factor": -2}}]})");
        m_cli.write("i.yaml", "interventions:\n  - at: op:relu\n    unit: {feature: 1}\n    do: {id: scale, factor: -2}\n");
        auto changed = hidden();
        changed.select(1, 1).mul_(-2);
        for (const char* file : {"i.json", "i.yaml"}) {
            const auto document = intervene({"--spec", file, "--out", "y.npy", "--probe", "op:relu"});
            QVERIFY(at::equal(m_cli.array("y.npy"), changed.matmul(kSecond.t())));
            const auto& value = document.at("values")[0];
            QCOMPARE(value.at("largest_difference").get<double>(), (hidden() - changed).abs().max().item<double>());
            // Probabilities by hand, and their divergence.
            const auto p = at::softmax(hidden().matmul(kSecond.t()).to(at::kDouble), 1)[0],
                       q = at::softmax(changed.matmul(kSecond.t()).to(at::kDouble), 1)[0];
            const auto& sample = document.at("samples")[0];
            QVERIFY(std::abs(sample.at("divergence").get<double>() - (p * (p / q).log()).sum().item<double>()) < 1e-9);
            for (const auto& change : sample.at("changes")) {
                const auto index = change.at("class").get<std::int64_t>();
                QVERIFY(std::abs(change.at("before").get<double>() - p[index].item<double>()) < 1e-12);
                QVERIFY(std::abs(change.at("after").get<double>() - q[index].item<double>()) < 1e-12);
            }
        }
    }

    void oneInterventionNeedsNoFile()
    {
        intervene({"--at", "op:relu", "--do", "interchange", "--source", "other=source.npy", "--out", "y.npy", "--probe", "op:relu", "--out-dir",
                   "values"});
        QVERIFY(at::equal(m_cli.array("y.npy"), hidden().flip({0}).matmul(kSecond.t())));
        const auto values = intervene({"--spec", R"([{"at": "op:relu", "do": "zero", "unit": {"feature": 0}}])", "--out", "y.npy"});
        auto changed = hidden();
        changed.select(1, 0).zero_();
        QVERIFY(at::equal(m_cli.array("y.npy"), changed.matmul(kSecond.t())));
        const auto text = m_cli.compute({"intervene", "net.safetensors", "--input", "x.npy", "--at", "op:relu", "--do", "add", "--set", "value=[1,2]",
                                         "--unit", "batch=0", "--out", "y.npy"});
        QCOMPARE(text.status, 0);
        QVERIFY2(text.out.contains("KL divergence") && text.out.contains("written to y.npy"), qPrintable(text.out));
        changed = hidden();
        changed[0].add_(at::tensor({1.f, 2.f}));
        QVERIFY(at::equal(m_cli.array("y.npy"), changed.matmul(kSecond.t())));
    }

    void textsAreWrittenBothWays()
    {
        const auto document = m_cli.json({"intervene", "gpt.safetensors", "--text", "In the", "--source", "clean=text:On the", "--spec",
                                          R"([{"at": "blocks.1.resid_pre", "do": "interchange", "source": "clean"}])", "--generate", "1"});
        // Every position of the last block's input is the source's, so the answer is the source's own.
        const auto source = m_cli.json({"predict", "gpt.safetensors", "--text", "On the", "--top", "1"});
        const auto& generated = document.at("generated").at("intervened");
        QCOMPARE(generated.at("tokens")[0].at("token"), source.at("predictions")[0].at("classes")[0].at("class"));
        const auto base = m_cli.json({"predict", "gpt.safetensors", "--text", "In the", "--top", "1"});
        const auto& plain = document.at("generated").at("plain").at("tokens")[0];
        QCOMPARE(plain.at("token"), base.at("predictions")[0].at("classes")[0].at("class"));
        QVERIFY(std::abs(plain.at("probability").get<double>() - base.at("predictions")[0].at("classes")[0].at("probability").get<double>()) < 1e-6);
    }

    void samplingIsSeeded()
    {
        const QStringList arguments = {
            "intervene", "gpt.safetensors", "--text",         "In",         "--at",          "embed",  "--do", "zero", "--generate",
            "8",         "--sampling",      "do_sample=true", "--sampling", "temperature=2", "--seed", "5"};
        const auto first = m_cli.json(arguments).at("generated");
        QCOMPARE(m_cli.json(arguments).at("generated"), first);
        QCOMPARE(first.at("plain").at("tokens").size(), std::size_t(8));
    }

    void faultsAreNamed_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("part");
        QTest::newRow("nothing to do") << QStringList{} << "expected either --spec FILE|run:ID/NAME, or --at PLACE with --do KIND";
        QTest::newRow("half a shortcut") << QStringList{"--at", "op:relu"} << "--at PLACE and --do KIND together";
        QTest::newRow("no such file") << QStringList{"--spec", "nowhere.json"} << "nowhere.json";
        QTest::newRow("broken JSON") << QStringList{"--spec", "{\"interventions\": ["} << "--spec";
        QTest::newRow("place") << QStringList{"--at", "op:rleu", "--do", "zero"} << "did you mean \"relu\"?";
        QTest::newRow("kind") << QStringList{"--at", "op:relu", "--do", "zeros"} << "did you mean \"zero\"?";
        QTest::newRow("unit") << QStringList{"--at", "op:relu", "--do", "zero", "--unit", "feature=2"}
                              << "index 2: expected -2..1, the axis has size 2";
        QTest::newRow("unit form") << QStringList{"--at", "op:relu", "--do", "zero", "--unit", "feature"} << "expected AXIS=INDEX";
        QTest::newRow("shape") << QStringList{"--at", "op:relu", "--do", "add", "--set", "value=[1,2,3]"} << "broadcasts to [2, 2], got [3]";
        QTest::newRow("no source") << QStringList{"--at", "op:relu", "--do", "interchange"} << "expected the name of a source input";
        QTest::newRow("source form") << QStringList{"--at", "op:relu", "--do", "interchange", "--source", "x.npy"} << "expected NAME=FILE.npy";
        QTest::newRow("source file") << QStringList{"--at", "op:relu", "--do", "interchange", "--source", "a=nowhere.npy"} << "nowhere.npy";
        QTest::newRow("source sample") << QStringList{"--at", "op:relu", "--do", "interchange", "--source", "a=sample:x"}
                                       << "expected sample numbers";
        QTest::newRow("text for a table") << QStringList{"--at", "op:relu", "--do", "interchange", "--source", "a=text:x"} << "takes no text";
        QTest::newRow("save without a run") << QStringList{"--at", "op:relu", "--do", "zero", "--save", "a"} << "--save: expected a model run:ID";
        QTest::newRow("generate") << QStringList{"--at", "op:relu", "--do", "zero", "--generate", "2"} << "takes tokens alone";
        QTest::newRow("sampling") << QStringList{"--at", "op:relu", "--do", "zero", "--generate", "2", "--sampling", "top_q=1"} << "generate.top_q";
    }
    void faultsAreNamed()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, part);
        const auto answer = refused(arguments);
        QVERIFY2(answer.error.contains(part), qPrintable(answer.error));
        QVERIFY(answer.status == 2 || answer.status == 1);
        if (QString(QTest::currentDataTag()) != "no such file" && QString(QTest::currentDataTag()) != "source file")
            QCOMPARE(answer.status, 2);
    }

    void resultsAndDocumentsAreKeptWithARun()
    {
        m_cli.write(
            "e.json",
            R"({"name": "iris", "model": {"id": "mlp", "hidden": [4]}, "data": {"id": "iris"}, "train": {"epochs": 1, "optimizer": {"id": "adamw", "lr": 0.01}}})");
        const auto trained = m_cli.json({"train", "e.json", "--workspace", "w"});
        const auto model = QString("run:%1").arg(trained.at("run").get<int>());
        m_cli.writeArray("direction.npy", at::tensor({1.0f, -1.0f, 0.5f, 0.25f}));
        const auto first = m_cli.json({"intervene", model, "--workspace", "w", "--sample", "3", "--at", "op:relu", "--do", "add", "--set",
                                       "value=direction.npy", "--save", "steer", "--out", "first.npy"});
        QVERIFY(first.at("analysis").is_number());
        QCOMPARE(first.at("saved").get<std::string>(), model.toStdString() + "/steer");
        // The kept document holds the vector itself.
        std::filesystem::remove(m_cli.path("direction.npy"));
        const auto second = m_cli.json({"intervene", model, "--workspace", "w", "--sample", "3", "--spec", model + "/steer", "--out", "second.npy"});
        QVERIFY(at::equal(m_cli.array("first.npy"), m_cli.array("second.npy")));
        QCOMPARE(second.at("document").at("interventions")[0].at("do").at("value"), Json({1.0, -1.0, 0.5, 0.25}));
        const auto answer = m_cli.compute({"intervene", model, "--workspace", "w", "--sample", "3", "--spec", model + "/ster"});
        QCOMPARE(answer.status, 2);
        QVERIFY2(answer.error.contains("did you mean \"steer\"?"), qPrintable(answer.error));
        const auto interchange = m_cli.json({"intervene", model, "--workspace", "w", "--sample", "3", "--at", "op:relu", "--do", "interchange",
                                             "--source", "other=sample:7", "--out", "y.npy"});
        m_cli.json({"forward", model, "--workspace", "w", "--sample", "7", "--out", "z.npy"});
        QVERIFY(at::equal(m_cli.array("y.npy"), m_cli.array("z.npy")));
    }
};

QTEST_GUILESS_MAIN(CliInterveneTest)
#include "cli_intervene_test.moc"
