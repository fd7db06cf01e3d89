#include "torch_models.h"

#include <c10/util/ThreadLocalDebugInfo.h>

#include <QtTest>

#include <core/graph/executor.h>
#include <core/zoo/zoo.h>

using namespace orrery;

namespace {

/// Counts the live bytes that libtorch's allocator reports on this thread, and their maximum.
class MemoryMeter : public c10::MemoryReportingInfoBase {
public:
    bool memoryProfilingEnabled() const override { return true; }
#if TORCH_VERSION_MAJOR >= 2
    void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device) override
    {
        count(bytes);
    }
#else
    void reportMemoryUsage(void*, std::int64_t bytes, std::int64_t, std::int64_t, c10::Device) override
    {
        count(bytes);
    }
#endif
    std::int64_t peak() const
    {
        return m_peak;
    }

private:
    void count(std::int64_t bytes)
    {
        m_live += bytes;
        m_peak = std::max(m_peak, m_live);
    }
    std::int64_t m_live = 0, m_peak = 0;
};

std::int64_t peakBytes(const std::function<void()>& work)
{
    const auto meter = std::make_shared<MemoryMeter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    work();
    return meter->peak();
}

struct Case {
    std::string reference;
    std::function<std::shared_ptr<reference::Net>()> make;
    std::vector<std::int64_t> shape;  ///< of the input
    std::int64_t vocabulary = 0;      ///< above 0: the input is tokens
    bool textbook = false;
};

using reference::Shortcut;

std::vector<std::pair<const char*, Case>> cases()
{
    const auto resnet = [](bool imagenet, std::vector<std::int64_t> blocks, bool bottleneck, Shortcut shortcut, std::int64_t classes) {
        return [=] { return std::make_shared<reference::ResNet>(imagenet, blocks, bottleneck, shortcut, classes); };
    };
    const auto gpt = [](std::int64_t layers, std::int64_t heads, std::int64_t width, bool bias, bool tied, std::string gelu) {
        return [=] { return std::make_shared<reference::Gpt>(97, 24, layers, heads, width, bias, tied, gelu); };
    };
    using Hidden = std::vector<std::int64_t>;
    return {
        {"mlp",
         {"zoo:mlp?features=13&hidden=32,16&classes=3",
          [] {
              return std::make_shared<reference::Mlp>(13, Hidden{32, 16}, 3, false);
          },
          {7, 13}}},
        {"mlp with batch norm",
         {"zoo:mlp?features=13&hidden=32,16&classes=3&batch_norm=true",
          [] {
              return std::make_shared<reference::Mlp>(13, Hidden{32, 16}, 3, true);
          },
          {7, 13}}},
        {"lenet", {"zoo:lenet", [] { return std::make_shared<reference::LeNet>(); }, {4, 1, 32, 32}}},
        {"lenet for digits",
         {"zoo:lenet?image_size=8&maps=8,16&kernel=3&padding=1&hidden=32&activation=relu&pooling=max&batch_norm=true",
          [] { return std::make_shared<reference::DigitsLeNet>(); },
          {9, 1, 8, 8}}},
        {"resnet 20 A", {"zoo:resnet", resnet(false, {3, 3, 3}, false, Shortcut::A, 10), {3, 3, 32, 32}}},
        {"resnet 14 B", {"zoo:resnet?depth=14&shortcut=B", resnet(false, {2, 2, 2}, false, Shortcut::B, 10), {3, 3, 32, 32}}},
        {"resnet 18", {"zoo:resnet?layout=imagenet&depth=18&classes=7", resnet(true, {2, 2, 2, 2}, false, Shortcut::B, 7), {2, 3, 64, 64}}},
        {"resnet 34", {"zoo:resnet?layout=imagenet&depth=34&classes=7", resnet(true, {3, 4, 6, 3}, false, Shortcut::B, 7), {2, 3, 64, 64}}},
        {"resnet 50", {"zoo:resnet?layout=imagenet&depth=50&classes=7", resnet(true, {3, 4, 6, 3}, true, Shortcut::B, 7), {2, 3, 64, 64}}},
        {"densenet of three blocks",
         {"zoo:densenet?blocks=3,2,2&growth=8&width=12&classes=18&channels=1&labels=chest_x_ray",
          [] {
              return std::make_shared<reference::DenseNet>(1, 12, 8, Hidden{3, 2, 2}, 18);
          },
          {2, 1, 48, 48}}},
        {"densenet of two blocks",
         {"zoo:densenet?blocks=2,3&growth=8&width=16&classes=5",
          [] {
              return std::make_shared<reference::DenseNet>(3, 16, 8, Hidden{2, 3}, 5);
          },
          {3, 3, 40, 40}}},
        {"lstm, tied", {"zoo:lstm?vocabulary=31&width=24&layers=2", [] { return std::make_shared<reference::Lstm>(31, 24, 2, true); }, {3, 11}, 31}},
        {"lstm, one layer",
         {"zoo:lstm?vocabulary=31&width=20&layers=1&tied_head=false",
          [] { return std::make_shared<reference::Lstm>(31, 20, 1, false); },
          {2, 9},
          31}},
        {"vit for digits",
         {"zoo:vit?image_size=8&channels=1&patch_size=2&layers=3&heads=4&width=32&mlp_width=64&classes=10",
          [] { return std::make_shared<reference::Vit>(1, 8, 2, 3, 4, 32, 64, 10); },
          {5, 1, 8, 8},
          0,
          true}},
        {"vit with large patches",
         {"zoo:vit?image_size=64&patch_size=16&layers=2&heads=4&width=128&mlp_width=256&classes=11",
          [] { return std::make_shared<reference::Vit>(3, 64, 16, 2, 4, 128, 256, 11); },
          {2, 3, 64, 64},
          0,
          true}},
        {"gpt tied, tanh", {"zoo:gpt?vocabulary=97&block_length=24&layers=3&heads=4&width=32", gpt(3, 4, 32, true, true, "tanh"), {3, 19}, 97, true}},
        {"gpt untied, exact, no bias",
         {"zoo:gpt?vocabulary=97&block_length=24&layers=2&heads=2&width=64&bias=false&tied_head=false&gelu=none",
          gpt(2, 2, 64, false, false, "none"),
          {2, 24},
          97,
          true}},
    };
}

torch::Tensor inputOf(const Case& test)
{
    return test.vocabulary > 0 ? torch::randint(test.vocabulary, test.shape, torch::kLong) : torch::randn(test.shape);
}

/// Weights nowhere near their start: zeros and ones (a head of zeros, running statistics) would hide mistakes.
graph::Weights randomWeights(const graph::Graph& graph)
{
    graph::Weights weights;
    for (const graph::Parameter& parameter : graph.data().parameters) {
        torch::Tensor tensor = torch::randn(parameter.shape) * (parameter.shape.size() > 1 ? 0.2 : 0.1);
        if (parameter.shape.size() == 1 && parameter.name.ends_with("weight"))
            tensor += 1;
        if (parameter.name.ends_with("running_var"))
            tensor = tensor.abs() + 0.5;
        weights.set(parameter.name, tensor.requires_grad_(parameter.kind == graph::Parameter::Kind::Parameter));
    }
    return weights;
}

/// Copies the weights into the reference; gives the names that only one side has.
std::vector<std::string> copyInto(torch::nn::Module& net, const graph::Weights& weights)
{
    const torch::NoGradGuard noGrad;
    std::set<std::string> left;
    for (const auto& [name, tensor] : weights.tensors())
        left.insert(name);
    std::vector<std::string> unmatched;
    const auto copy = [&](const std::string& name, torch::Tensor target) {
        const torch::Tensor* const source = weights.find(name);
        if (source && source->sizes() == target.sizes())
            target.copy_(*source);
        else
            unmatched.push_back("torch: " + name);
        left.erase(name);
    };
    for (const auto& item : net.named_parameters())
        copy(item.key(), item.value());
    for (const auto& item : net.named_buffers())
        if (!item.key().ends_with("num_batches_tracked"))
            copy(item.key(), item.value());
    for (const std::string& name : left)
        unmatched.push_back("zoo: " + name);
    return unmatched;
}

/// One model of the zoo and its counterpart with equal weights.
struct Pair {
    graph::Model model;
    graph::Weights weights;
    std::shared_ptr<reference::Net> net;
    torch::Tensor input;
    std::vector<std::string> unmatched;

    explicit Pair(const Case& test) : model(zoo::openZoo(test.reference, 1))
    {
        torch::manual_seed(11);
        weights = randomWeights(*model.graph);
        net = test.make();
        unmatched = copyInto(*net, weights);
        input = inputOf(test);
    }
    graph::RunResult run(graph::Gradients gradients, bool training) const
    {
        graph::RunRequest request;
        request.inputs = {input};
        request.gradients = gradients;
        request.training = training;
        return graph::Executor(model.graph).run(weights, request);
    }
};

torch::Tensor lossOf(const torch::Tensor& logits)
{
    const torch::Tensor flat = logits.reshape({-1, logits.size(-1)});
    return torch::cross_entropy_loss(flat, torch::arange(flat.size(0), torch::kLong) % flat.size(1));
}

void addCases()
{
    QTest::addColumn<int>("index");
    int index = 0;
    for (const auto& [name, ignored] : cases())
        QTest::newRow(name) << index++;
}

Case currentCase()
{
    QFETCH_GLOBAL(int, index);
    return cases()[std::size_t(index)].second;
}

}  // namespace

class ZooTorchTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase_data() { addCases(); }
    void initTestCase() { at::set_num_threads(1); }

    void namesAndShapesAreThoseOfTheTorchModule()
    {
        const Pair pair(currentCase());
        QCOMPARE(pair.unmatched, std::vector<std::string>());
    }

    void outputIsEqualToTheLastBit()
    {
        Pair pair(currentCase());
        pair.net->eval();
        const torch::NoGradGuard noGrad;
        const torch::Tensor expected = pair.net->forward(pair.input), found = pair.run(graph::Gradients::None, false).tensor();
        QCOMPARE(found.sizes().vec(), expected.sizes().vec());
        QVERIFY2(torch::equal(found, expected), qPrintable(QString("largest difference %1").arg((found - expected).abs().max().item<double>())));
        QVERIFY(!found.requires_grad());
    }

    void gradientsAreEqualToTheLastBit()
    {
        for (const bool training : {false, true}) {
            Pair pair(currentCase());
            pair.net->train(training);
            lossOf(pair.net->forward(pair.input)).backward();
            lossOf(pair.run(graph::Gradients::Parameters, training).tensor()).backward();
            for (const auto& item : pair.net->named_parameters()) {
                const torch::Tensor found = pair.weights.at(item.key()).grad();
                QVERIFY2(found.defined(), qPrintable(QString::fromStdString(item.key() + " has no gradient")));
                QVERIFY2(torch::equal(found, item.value().grad()), qPrintable(QString("%1 (training %2)").arg(item.key().c_str()).arg(training)));
                QVERIFY2(found.abs().max().item<double>() > 0, item.key().c_str());
            }
        }
    }

    void batchNormUpdatesItsBuffersAsTorchDoes()
    {
        Pair pair(currentCase());
        const graph::Weights before = pair.weights.clone();
        pair.net->train(true);
        const torch::NoGradGuard noGrad;
        const torch::Tensor expected = pair.net->forward(pair.input);
        const graph::RunResult run = pair.run(graph::Gradients::None, true);
        QVERIFY(torch::equal(run.tensor(), expected));
        std::size_t buffers = 0;
        for (const auto& item : pair.net->named_buffers())
            if (!item.key().ends_with("num_batches_tracked")) {
                ++buffers;
                QVERIFY2(run.bufferUpdates.count(item.key()), item.key().c_str());
                QVERIFY2(torch::equal(run.bufferUpdates.at(item.key()), item.value()), item.key().c_str());
                QVERIFY2(!torch::equal(before.at(item.key()), item.value()), item.key().c_str());
                QVERIFY2(torch::equal(before.at(item.key()), pair.weights.at(item.key())), "the run itself must not write the buffer");
            }
        QCOMPARE(run.bufferUpdates.size(), buffers);
    }

    void agreesWithTheTextbookFormula()
    {
        const Case test = currentCase();
        if (!test.textbook)
            return;
        Pair pair(test);
        const torch::NoGradGuard noGrad;
        const auto vit = std::dynamic_pointer_cast<reference::Vit>(pair.net);
        const torch::Tensor expected = vit ? vit->textbook(pair.input) : std::dynamic_pointer_cast<reference::Gpt>(pair.net)->textbook(pair.input);
        const torch::Tensor found = pair.run(graph::Gradients::None, false).tensor();
        QVERIFY2(torch::allclose(found, expected, 1e-4, 1e-5),
                 qPrintable(QString("largest difference %1").arg((found - expected).abs().max().item<double>())));
    }

    void inferencePeaksAtMostATenthAboveTorch()
    {
        Pair pair(currentCase());
        pair.net->eval();
        const torch::NoGradGuard noGrad;
        const graph::Executor executor(pair.model.graph);
        const std::int64_t theirs = peakBytes([&] { pair.net->forward(pair.input); });
        const std::int64_t ours = peakBytes([&] { executor.forward(pair.weights, {pair.input}); });
        QVERIFY(theirs > 0);
        QVERIFY2(double(ours) <= 1.1 * double(theirs), qPrintable(QString("expected at most 1.1 x %1 bytes, got %2").arg(theirs).arg(ours)));
    }
};

QTEST_APPLESS_MAIN(ZooTorchTest)
#include "zoo_torch_test.moc"
