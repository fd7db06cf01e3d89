#include <ATen/ATen.h>

#include <QtTest>

#include <core/base/error.h>
#include <core/base/hash.h>
#include <core/graph/executor.h>
#include <core/zoo/zoo.h>

#include "../message_of.h"

using namespace orrery;

namespace {

at::Tensor tokens(std::int64_t batch, std::int64_t length, std::int64_t vocabulary)
{
    return at::randint(vocabulary, {batch, length}, at::kLong);
}

const std::string kTinyGpt = "zoo:gpt?vocabulary=40&block_length=12&layers=2&heads=2&width=16";

at::Tensor forward(const graph::Model& model, const at::Tensor& input)
{
    return graph::Executor(model.graph).forward(model.weights, {input});
}

void addSmallModels()
{
    QTest::addColumn<QString>("reference");
    QTest::newRow("mlp") << "zoo:mlp?features=12&batch_norm=true";
    QTest::newRow("lenet") << "zoo:lenet";
    QTest::newRow("resnet") << "zoo:resnet?depth=8";
    QTest::newRow("densenet") << "zoo:densenet?blocks=2,2&growth=4&width=8&stem=small&image_size=8";
    QTest::newRow("lstm") << "zoo:lstm?vocabulary=40&width=8";
    QTest::newRow("vit") << "zoo:vit?image_size=8&channels=1&patch_size=2&layers=2&heads=4&width=32&mlp_width=64&classes=10";
    QTest::newRow("gpt") << QString::fromStdString(kTinyGpt);
    QTest::newRow("gravnet") << "zoo:gravnet?width=16";
    QTest::newRow("gravnet, nearest") << "zoo:gravnet?width=16&graph=nearest";
    QTest::newRow("nerf") << "zoo:nerf?width=16&samples=8&importance_samples=8";
    QTest::newRow("hash_field") << "zoo:hash_field?log2_entries=8&width=16&occupancy_resolution=8&steps=32";
    QTest::newRow("kilo_nerf") << "zoo:kilo_nerf?grid=2&width=8&occupancy_resolution=8&steps=32";
}

/// Seven samples of what the card says the model takes.
at::Tensor exampleInput(const graph::Model& model)
{
    std::vector<std::int64_t> shape{7};
    for (const std::string& size : model.card.inputs[0].shape)
        if (size != "batch")
            shape.push_back(size == "position" ? 9 : std::stoll(size));
    return model.card.inputs[0].kind == "tokens" ? tokens(7, 9, 40) : at::randn(shape);
}

}  // namespace

class ZooTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void parameterCountIsThePublishedOne_data()
    {
        QTest::addColumn<QString>("reference");
        QTest::addColumn<qint64>("count");
        QTest::newRow("LeNet-5, dense second convolution") << "zoo:lenet" << qint64(61'706);
        QTest::newRow("ResNet-20, shortcut A") << "zoo:resnet" << qint64(269'722);
        QTest::newRow("ResNet-20, shortcut B") << "zoo:resnet?shortcut=B" << qint64(272'474);
        QTest::newRow("ResNet-32, shortcut A") << "zoo:resnet?depth=32" << qint64(464'154);
        QTest::newRow("ResNet-56, shortcut A") << "zoo:resnet?depth=56" << qint64(853'018);
        QTest::newRow("ResNet-110, shortcut A") << "zoo:resnet?depth=110" << qint64(1'727'962);
        QTest::newRow("ResNet-18 (torchvision)") << "zoo:resnet?layout=imagenet&depth=18&classes=1000&image_size=224" << qint64(11'689'512);
        QTest::newRow("ResNet-34 (torchvision)") << "zoo:resnet?layout=imagenet&depth=34&classes=1000&image_size=224" << qint64(21'797'672);
        QTest::newRow("ResNet-50 (torchvision)") << "zoo:resnet?layout=imagenet&depth=50&classes=1000&image_size=224" << qint64(25'557'032);
        QTest::newRow("DenseNet-121 (torchvision)") << "zoo:densenet" << qint64(7'978'856);
        QTest::newRow("DenseNet-169 (torchvision)") << "zoo:densenet?blocks=6,12,32,32" << qint64(14'149'480);
        QTest::newRow("DenseNet-161 (torchvision)") << "zoo:densenet?blocks=6,12,36,24&growth=48&width=96" << qint64(28'681'000);
        // Table, then in each layer two matrices and two biases of four gates.
        QTest::newRow("LSTM, by hand") << "zoo:lstm?vocabulary=100&width=64&layers=3" << qint64(100 * 64 + 3 * (2 * 4 * 64 * 64 + 2 * 4 * 64));
        QTest::newRow("ViT-B/16 (torchvision)") << "zoo:vit" << qint64(86'567'656);
        QTest::newRow("ViT-B/32 (torchvision)") << "zoo:vit?patch_size=32" << qint64(88'224'232);
        QTest::newRow("ViT-L/16 (torchvision)") << "zoo:vit?layers=24&heads=16&width=1024&mlp_width=4096" << qint64(304'326'632);
        QTest::newRow("GPT-2 small, tied head") << "zoo:gpt" << qint64(124'439'808);
        QTest::newRow("GPT-2 medium, tied head") << "zoo:gpt?layers=24&heads=16&width=1024" << qint64(354'823'168);
        // vocabulary and positions, then a layer of norm, four projections with biases, and the last norm
        QTest::newRow("attention only, by hand") << "zoo:gpt?vocabulary=64&block_length=48&layers=2&heads=4&width=32&mlp=false"
                                                 << qint64(64 * 32 + 48 * 32 + 2 * (2 * 32 + 4 * (32 * 32 + 32)) + 2 * 32);
        QTest::newRow("attention only, no norm, no bias")
            << "zoo:gpt?vocabulary=64&block_length=48&layers=2&heads=4&width=32&mlp=false&norm=false&bias=false"
            << qint64(64 * 32 + 48 * 32 + 2 * 4 * 32 * 32);
        QTest::newRow("MLP 784-300-100-10") << "zoo:mlp?features=784&hidden=300,100" << qint64(266'610);
    }
    void parameterCountIsThePublishedOne()
    {
        QFETCH(QString, reference);
        QFETCH(qint64, count);
        const zoo::ZooReference parsed = zoo::parseZooReference(reference.toStdString());
        QCOMPARE(graph::parameterCount(*zoo::buildGraph(parsed.id, parsed.parameters).graph), std::int64_t(count));
    }

    void attentionOnlyBlocksAreInputPlusAttention()
    {
        for (const char* const norm : {"true", "false"}) {
            const graph::Model model =
                zoo::openZoo(std::string("zoo:gpt?vocabulary=20&block_length=8&layers=2&heads=2&width=16&mlp=false&norm=") + norm, 3);
            const graph::Executor executor(model.graph);
            QVERIFY(!model.card.canonicalNames.contains("blocks.0.resid_mid") && !model.card.canonicalNames.contains("blocks.0.mlp_out"));
            QCOMPARE(model.card.canonicalNames.contains("ln_final"), std::string(norm) == "true");
            graph::RunRequest request;
            request.inputs = {at::arange(8, at::kLong).unsqueeze(0)};
            request.keep = {"**"};
            const auto run = executor.run(model.weights, request);
            const auto value = [&](const std::string& canonical) { return run.value(model.card.canonicalNames.at(canonical)); };
            QVERIFY(at::equal(value("blocks.0.resid_pre"), value("embed") + value("pos_embed")));
            for (const char* const block : {"blocks.0.", "blocks.1."})
                QVERIFY(at::equal(value(std::string(block) + "resid_post"),
                                  value(std::string(block) + "resid_pre") + value(std::string(block) + "attn_out")));
            QVERIFY(at::equal(value("blocks.0.resid_post"), value("blocks.1.resid_pre")));
            if (std::string(norm) == "false")
                QVERIFY(at::allclose(run.tensor(), at::matmul(value("blocks.1.resid_post"), model.weights.at("wte.weight").t()), 1e-5, 1e-6));
        }
    }

    /// One layer of encoder and decoder, head by head with plain matrix products.
    void seq2seqEqualsItsFormulas()
    {
        constexpr std::int64_t kWidth = 8, kHeads = 2, kHead = kWidth / kHeads;
        const graph::Model model = zoo::openZoo("zoo:seq2seq?vocabulary=11&block_length=9&layers=1&heads=2&width=8", 5);
        graph::Weights weights = model.weights;
        for (const auto& [name, tensor] : model.weights.tensors())  // biases and norms start trivial: random ones show mistakes
            weights.set(name, tensor + 0.3 * at::randn(tensor.sizes(), at::detail::createCPUGenerator(core::hash64(name))));
        const auto w = [&](const std::string& name) { return weights.at(name); };
        const auto linear = [&](const at::Tensor& x, const std::string& name) { return at::matmul(x, w(name + ".weight").t()) + w(name + ".bias"); };
        const auto norm = [&](const at::Tensor& x, const std::string& name) {
            const at::Tensor centred = x - x.mean(-1, true);
            return centred / (centred.square().mean(-1, true) + 1e-5).sqrt() * w(name + ".weight") + w(name + ".bias");
        };
        const auto attention = [&](const at::Tensor& x, const at::Tensor& memory, const at::Tensor& mask, const std::string& name) {
            const at::Tensor q = linear(x, name + ".q_proj"), k = linear(memory, name + ".k_proj"), v = linear(memory, name + ".v_proj");
            std::vector<at::Tensor> heads;
            for (std::int64_t h = 0; h < kHeads; ++h) {
                const auto part = [&](const at::Tensor& all) { return all.slice(-1, h * kHead, (h + 1) * kHead); };
                heads.push_back(at::matmul((at::matmul(part(q), part(k).transpose(1, 2)) / std::sqrt(double(kHead)) + mask).softmax(-1), part(v)));
            }
            return linear(at::cat(heads, -1), name + ".proj");
        };
        const auto perceptron = [&](const at::Tensor& x, const std::string& name) { return linear(linear(x, name + ".fc").relu(), name + ".proj"); };
        const auto embed = [&](const at::Tensor& t, const std::string& name) {
            return w("tokens.weight").index_select(0, t.flatten()).view({t.size(0), t.size(1), kWidth}) +
                   w(name + ".positions").slice(0, 0, t.size(1));
        };
        at::Tensor source = tokens(3, 6, 10) + 1;
        const at::Tensor target = tokens(3, 4, 10) + 1;
        source.slice(1, 4, 6).zero_();  // padding
        const at::Tensor padding = at::where(source.eq(0), at::full({}, -1e9), at::zeros({})).unsqueeze(1), causal = at::full({4, 4}, -1e9).triu(1);
        at::Tensor x = embed(source, "source_embed"), y = embed(target, "target_embed");
        const at::Tensor first = norm(x, "encoder.0.ln_1");
        x = x + attention(first, first, padding, "encoder.0.attn");
        x = x + perceptron(norm(x, "encoder.0.ln_2"), "encoder.0.mlp");
        const at::Tensor memory = norm(x, "ln_encoder"), second = norm(y, "decoder.0.ln_1");
        y = y + attention(second, second, causal, "decoder.0.attn");
        y = y + attention(norm(y, "decoder.0.ln_2"), memory, padding, "decoder.0.cross_attn");
        y = y + perceptron(norm(y, "decoder.0.ln_3"), "decoder.0.mlp");
        const at::Tensor expected = at::matmul(norm(y, "ln_f"), w("lm_head.weight").t());
        const at::Tensor logits = graph::Executor(model.graph).forward(weights, {source, target});
        QVERIFY((logits - expected).abs().max().item<double>() < 1e-4);
        QVERIFY(expected.abs().max().item<double>() > 0.1);
    }

    void everyModelSaysWhatItTakes()
    {
        QCOMPARE(zoo::zooRegistry().ids(), (std::vector<std::string>{"mlp", "lenet", "resnet", "densenet", "vit", "gpt", "bert", "lstm", "seq2seq",
                                                                     "nerf", "hash_field", "splats", "gravnet", "kilo_nerf"}));
        for (const core::Component& component : zoo::zooRegistry().components()) {
            QVERIFY2(!component.title.empty() && !component.summary.empty() && !component.source.empty(), component.id.c_str());
            const std::size_t inputs = component.id == "seq2seq" ? 2 : 1;
            QCOMPARE(component.inputs.size(), inputs);
            QCOMPARE(component.outputs.size(), std::size_t(1));
            const graph::Model model = zoo::buildGraph(component.id, core::Json::object());
            QCOMPARE(model.origin, "zoo:" + component.id);
            QVERIFY2(model.weights.empty(), "a graph alone allocates no weights");
            QCOMPARE(model.card.inputs.size(), inputs);
            QCOMPARE(model.card.inputs[0].name, component.inputs[0].name);
            QCOMPARE(model.card.inputs[0].shape.size(), component.inputs[0].axes.size());
            QVERIFY(!model.card.task.empty());
            for (const auto& [canonical, path] : model.card.canonicalNames)
                QVERIFY2(model.graph->findValue(path), canonical.c_str());
        }
    }

    void wrongParametersAreNamed_data()
    {
        QTest::addColumn<QString>("reference");
        QTest::addColumn<QString>("message");
        QTest::newRow("unknown model") << "zoo:resnett"
                                       << "unknown model \"resnett\"; did you mean \"resnet\"?";
        QTest::newRow("no model") << "zoo:"
                                  << "unknown model \"\"";
        QTest::newRow("not a reference") << "model.pt"
                                         << "expected zoo:NAME?key=value&key=value, got \"model.pt\"";
        QTest::newRow("typo") << "zoo:mlp?hiden=3"
                              << "hiden: unknown key; did you mean \"hidden\"?";
        QTest::newRow("no value") << "zoo:mlp?features"
                                  << "expected key=value in \"zoo:mlp?features\", got \"features\"";
        QTest::newRow("given twice") << "zoo:mlp?features=3&features=4"
                                     << "\"features\" is given twice in \"zoo:mlp?features=3&features=4\"";
        QTest::newRow("not a number") << "zoo:mlp?features=many"
                                      << "features: expected an integer";
        QTest::newRow("out of range") << "zoo:mlp?features=0"
                                      << "features:";
        QTest::newRow("list item out of range") << "zoo:mlp?hidden=8,-1"
                                                << "hidden";
        QTest::newRow("unknown choice") << "zoo:mlp?activation=rleu"
                                        << "relu";
        QTest::newRow("dropout of 1") << "zoo:mlp?dropout=1"
                                      << "dropout:";
        QTest::newRow("does not apply") << "zoo:resnet?layout=imagenet&depth=18&shortcut=A"
                                        << "shortcut: applies only where layout is \"cifar\"";
        QTest::newRow("no such cifar depth") << "zoo:resnet?depth=18"
                                             << "resnet: layout cifar: expected depth 6n+2 (8, 14, 20, 26, 32, ...), got 18";
        QTest::newRow("no such imagenet depth") << "zoo:resnet?layout=imagenet"
                                                << "resnet: layout imagenet: expected depth 18, 34 or 50, got 20";
        QTest::newRow("patches") << "zoo:vit?image_size=8&patch_size=3"
                                 << "vit: expected an image size that is a multiple of the patch size, got image size 8 with patch size 3";
        QTest::newRow("heads") << "zoo:gpt?heads=5&width=16"
                               << "expected a width that the number of heads divides, got width 16 with 5 heads";
        QTest::newRow("labels of another number") << "zoo:densenet?labels=chest_x_ray"
                                                  << "densenet: labels chest_x_ray: expected classes 18, got 1000";
        QTest::newRow("image too small for the blocks") << "zoo:densenet?image_size=16"
                                                        << "densenet: expected an image_size of at least 32 for 4 blocks, got 16";
        QTest::newRow("image too small") << "zoo:lenet?image_size=8"
                                         << "lenet: an image of 8 px is too small for kernel 5 with padding 0";
    }
    void wrongParametersAreNamed()
    {
        QFETCH(QString, reference);
        QFETCH(QString, message);
        const std::string found = messageOf([&] { zoo::openZoo(reference.toStdString(), 0); });
        QVERIFY2(QString::fromStdString(found).contains(message), found.c_str());
    }

    void referencesReadBack_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("shortest");
        QTest::newRow("defaults") << "zoo:mlp"
                                  << "zoo:mlp";
        QTest::newRow("empty query") << "zoo:mlp?"
                                     << "zoo:mlp";
        QTest::newRow("defaults are left out") << "zoo:mlp?features=64&classes=3"
                                               << "zoo:mlp?classes=3";
        QTest::newRow("list with commas") << "zoo:mlp?hidden=8,4"
                                          << "zoo:mlp?hidden=8,4";
        QTest::newRow("list as JSON") << "zoo:mlp?hidden=[8,4]"
                                      << "zoo:mlp?hidden=8,4";
        QTest::newRow("list of one") << "zoo:mlp?hidden=8"
                                     << "zoo:mlp?hidden=8";
        QTest::newRow("empty list") << "zoo:mlp?hidden="
                                    << "zoo:mlp?hidden=[]";
        QTest::newRow("order of the schema") << "zoo:gpt?gelu=none&bias=false&dropout=0.1"
                                             << "zoo:gpt?bias=false&gelu=none&dropout=0.1";
    }
    void referencesReadBack()
    {
        QFETCH(QString, text);
        QFETCH(QString, shortest);
        const zoo::ZooReference parsed = zoo::parseZooReference(text.toStdString());
        const std::string written = zoo::zooReference(parsed.id, parsed.parameters);
        QCOMPARE(QString::fromStdString(written), shortest);
        QCOMPARE(zoo::parseZooReference(written).parameters.dump(), parsed.parameters.dump());
    }

    void equalSeedsGiveEqualWeights()
    {
        const graph::Model a = zoo::openZoo(kTinyGpt, 3), b = zoo::openZoo(kTinyGpt, 3), c = zoo::openZoo(kTinyGpt, 4);
        QCOMPARE(a.graph->hash(), b.graph->hash());
        for (const auto& [name, tensor] : a.weights.tensors())
            QVERIFY2(at::equal(tensor, b.weights.at(name)), name.c_str());
        QVERIFY(!at::equal(a.weights.at("wte.weight"), c.weights.at("wte.weight")));
    }

    void anotherBlockChangesNoOtherWeight()
    {
        const graph::Model small = zoo::openZoo(kTinyGpt, 3),
                           deep = zoo::openZoo("zoo:gpt?vocabulary=40&block_length=12&layers=3&heads=2&width=16", 3);
        QVERIFY(at::equal(small.weights.at("blocks.1.attn.qkv.weight"), deep.weights.at("blocks.1.attn.qkv.weight")));
    }

    void gptStartsAsGpt2()
    {
        const graph::Model model = zoo::openZoo("zoo:gpt?vocabulary=256&block_length=64&layers=8&heads=4&width=128", 5);
        const auto deviation = [&](const std::string& name) { return model.weights.at(name).std().item<double>(); };
        QVERIFY(std::abs(deviation("wte.weight") - 0.02) < 0.0005);
        QVERIFY(std::abs(deviation("blocks.3.attn.qkv.weight") - 0.02) < 0.0005);
        QVERIFY(std::abs(deviation("blocks.3.attn.proj.weight") - 0.02 / 4) < 0.0002);
        QVERIFY(std::abs(deviation("blocks.3.mlp.proj.weight") - 0.02 / 4) < 0.0002);
        QCOMPARE(model.weights.at("blocks.3.mlp.fc.bias").abs().max().item<double>(), 0.0);
        // A fresh model knows nothing: its loss is that of guessing, ln 256.
        const at::Tensor input = tokens(4, 64, 256), logits = forward(model, input);
        const double loss = at::cross_entropy_loss(logits.reshape({-1, 256}), tokens(4, 64, 256).reshape({-1})).item<double>();
        QVERIFY2(std::abs(loss - std::log(256.0)) < 0.1, qPrintable(QString::number(loss)));
    }

    void resnetStartsAsTorchvision()
    {
        const graph::Model model = zoo::openZoo("zoo:resnet?layout=imagenet&depth=18&classes=1000", 5);
        const at::Tensor& weight = model.weights.at("layer3.1.conv2.weight");
        QVERIFY(std::abs(weight.std().item<double>() - std::sqrt(2.0 / (256 * 9))) < 0.0002);
        QCOMPARE(model.weights.at("layer3.1.bn2.weight").min().item<double>(), 1.0);
        const double bound = 1 / std::sqrt(512.0), largest = model.weights.at("fc.weight").abs().max().item<double>();
        QVERIFY(largest <= bound && largest > 0.99 * bound);
    }

    void vitStartsWithAHeadOfZeros()
    {
        const graph::Model model = zoo::openZoo("zoo:vit?image_size=8&channels=1&patch_size=2&layers=1&heads=4&width=32&mlp_width=64&classes=10", 5);
        QCOMPARE(forward(model, at::randn({3, 1, 8, 8})).abs().max().item<double>(), 0.0);
        const double bound = std::sqrt(6.0 / (32 + 96));
        const double largest = model.weights.at("blocks.0.attn.qkv.weight").abs().max().item<double>();
        QVERIFY(largest <= bound && largest > 0.98 * bound);
    }

    void batchSizesAreFree_data() { addSmallModels(); }
    void batchSizesAreFree()
    {
        QFETCH(QString, reference);
        const graph::Model model = zoo::openZoo(reference.toStdString(), 0);
        const at::Tensor input = exampleInput(model), all = forward(model, input);
        QCOMPARE(all.size(0), std::int64_t(7));
        for (const std::int64_t row : {0, 6}) {
            const at::Tensor one = forward(model, input.narrow(0, row, 1));
            QVERIFY(at::allclose(one[0], all[row], 1e-4, 1e-5));
        }
        QCOMPARE(forward(model, input.narrow(0, 0, 0)).size(0), std::int64_t(0));
    }

    void graphsReadBackFromJson_data() { addSmallModels(); }
    void graphsReadBackFromJson()
    {
        QFETCH(QString, reference);
        const graph::Model model = zoo::openZoo(reference.toStdString(), 0);
        graph::Model read = model;
        read.graph = graph::fromJson(core::Json::parse(graph::toJson(*model.graph).dump()), "test");
        QCOMPARE(read.graph->hash(), model.graph->hash());
        QCOMPARE(graph::ModelCard::fromJson(model.card.toJson()).toJson().dump(), model.card.toJson().dump());
        const at::Tensor input = exampleInput(model);
        QVERIFY(at::equal(forward(read, input), forward(model, input)));
        // Buffers and initial values are part of the graph: fresh weights of the read one are the same.
        const graph::Weights again = graph::initialize(*read.graph, 0);
        for (const auto& [name, tensor] : model.weights.tensors())
            QVERIFY2(at::equal(tensor, again.at(name)), name.c_str());
    }

    void attentionIsNeverFused()
    {
        for (const char* const id : {"vit", "gpt"}) {
            const graph::Model model = zoo::buildGraph(id, core::Json::object());
            QCOMPARE(model.graph->resolve("op:softmax").size(), std::size_t(12));
            for (const graph::Node* node : model.graph->allNodes())
                for (const char* const fused : {"attention", "transformer", "multi_head"})
                    QVERIFY2(node->op.find(fused) == std::string::npos, node->op.c_str());
        }
    }

    void gptRunsAnyLengthAndNeverLooksAhead()
    {
        const graph::Model model = zoo::openZoo(kTinyGpt, 2);
        const at::Tensor input = tokens(2, 12, 40), all = forward(model, input);
        for (const std::int64_t length : {1, 5, 11})
            QVERIFY(at::allclose(forward(model, input.narrow(1, 0, length)), all.narrow(1, 0, length), 1e-4, 1e-6));
        const std::string message = messageOf([&] { forward(model, tokens(1, 13, 40)); });
        QVERIFY2(message.find("13") != std::string::npos && message.find("12") != std::string::npos, message.c_str());
    }

    void attentionValuesHaveTheirNamesAndShapes()
    {
        const graph::Model model = zoo::openZoo(kTinyGpt, 2);
        graph::RunRequest request;
        request.inputs = {tokens(3, 7, 40)};
        request.keep = {"blocks.*.attn.*", "blocks.*.resid_*"};
        const graph::RunResult run = graph::Executor(model.graph).run(model.weights, request);
        for (const char* const name : {"q", "k", "v", "z"})
            QCOMPARE(run.value(std::string("blocks.1.attn.") + name).sizes().vec(), (std::vector<std::int64_t>{3, 2, 7, 8}));
        const at::Tensor pattern = run.value("blocks.0.attn.softmax"), scores = run.value("blocks.0.attn.scores");
        QCOMPARE(pattern.sizes().vec(), (std::vector<std::int64_t>{3, 2, 7, 7}));
        QVERIFY(at::allclose(pattern.sum(-1), at::ones({3, 2, 7})));
        QCOMPARE(pattern.triu(1).abs().max().item<double>(), 0.0);
        const at::Tensor products = at::matmul(run.value("blocks.0.attn.q"), run.value("blocks.0.attn.k").transpose(-2, -1)) / std::sqrt(8.0);
        QVERIFY(at::allclose(scores.tril(), products.tril(), 1e-4, 1e-6));
        QVERIFY(at::allclose(run.value("blocks.0.attn.z"), at::matmul(pattern, run.value("blocks.0.attn.v")), 1e-4, 1e-6));
        QCOMPARE(model.card.canonicalNames.at("blocks.1.attn.pattern"), std::string("blocks.1.attn.softmax"));
        QCOMPARE(model.graph->resolve("blocks.*.attn.softmax").size(), std::size_t(2));
    }

    void dropoutActsInTrainingOnly()
    {
        const graph::Model model = zoo::openZoo(kTinyGpt + "&dropout=0.3", 2);
        const graph::Executor executor(model.graph);
        graph::RunRequest request;
        request.inputs = {tokens(2, 9, 40)};
        const at::Tensor quiet = executor.run(model.weights, request).tensor();
        QVERIFY(at::equal(quiet, executor.run(model.weights, request).tensor()));
        request.training = true;
        request.seed = 4;
        const at::Tensor noisy = executor.run(model.weights, request).tensor();
        QVERIFY(!at::allclose(quiet, noisy));
        QVERIFY(at::equal(noisy, executor.run(model.weights, request).tensor()));
    }

    void tiedHeadIsAnAliasOfTheEmbedding()
    {
        const graph::Model tied = zoo::openZoo(kTinyGpt, 2), untied = zoo::openZoo(kTinyGpt + "&tied_head=false", 2);
        QCOMPARE(tied.graph->data().aliases.at("lm_head.weight"), std::string("wte.weight"));
        QVERIFY(!tied.weights.find("lm_head.weight"));
        QCOMPARE(graph::parameterCount(*untied.graph) - graph::parameterCount(*tied.graph), std::int64_t(40 * 16));
    }
};

QTEST_APPLESS_MAIN(ZooTest)
#include "zoo_test.moc"
