#include <core/graph/autocast.h>
#include <core/graph/executor.h>
#include <core/zoo/zoo.h>

#include <QTest>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/error.h>

using namespace orrery;
using namespace orrery::graph;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kFloat));
}

/// y = W2 relu(W1 x + b1) + b2 by hand in the rounding that mixed precision promises.
at::Tensor rounded(const at::Tensor& x)
{
    return x.to(at::kBFloat16).to(at::kFloat);
}

double relative(const at::Tensor& a, const at::Tensor& b)
{
    return ((a - b).norm() / b.norm()).item<double>();
}

/// Gradients of sum(output * direction) with respect to all parameters.
std::vector<at::Tensor> gradients(const GraphPtr& graph, const Weights& weights, const at::Tensor& x, const at::Tensor& direction)
{
    Weights leaves;
    std::vector<at::Tensor> list;
    for (const auto& parameter : graph->data().parameters) {
        leaves.set(parameter.name, weights.at(parameter.name).detach().clone().requires_grad_(true));
        list.push_back(leaves.at(parameter.name));
    }
    RunRequest request;
    request.inputs = {x};
    request.gradients = Gradients::Parameters;
    const at::AutoGradMode gradMode(true);
    const auto result = Executor(graph).run(leaves, request);
    return torch::autograd::grad({(result.tensor() * direction).sum()}, list);
}

}  // namespace

class AutocastTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void productsAreRoundedAndAllElseIsNot();
    void valuesKeepTheirNamesAndTypes();
    void gradientsAreThoseOfRoundedProducts();
    void everyArchitectureStaysCloseToFloat32();
    void refusesOtherTypes();
};

// Products of bfloat16 numbers are exact in float32: what is left is the order of a sum of 16 terms and one rounding of the result.
void AutocastTest::productsAreRoundedAndAllElseIsNot()
{
    const auto model = zoo::openZoo("zoo:mlp?features=16&hidden=[8]&classes=4", 3);
    const auto x = noise({5, 16}, 1);
    const auto narrow = autocast(model.graph, at::kBFloat16);
    const auto found = Executor(narrow).forward(model.weights, {x});
    const auto& names = model.graph->data().parameters;
    QCOMPARE(names.size(), std::size_t(4));
    const auto w1 = rounded(model.weights.at(names[0].name)), b1 = rounded(model.weights.at(names[1].name));
    const auto w2 = rounded(model.weights.at(names[2].name)), b2 = rounded(model.weights.at(names[3].name));
    const auto hidden = rounded(at::relu(rounded(at::linear(rounded(x).to(at::kDouble), w1.to(at::kDouble), b1.to(at::kDouble)))));
    const auto expected = at::linear(hidden.to(at::kDouble), w2.to(at::kDouble), b2.to(at::kDouble));
    QCOMPARE(found.scalar_type(), at::kFloat);
    // One rounding step of bfloat16 is 2^-8 of the value; a sum that lies near a tie may fall on the other side.
    QVERIFY2(((found - expected).abs() <= expected.abs() * 0.0079 + 1e-3).all().item<bool>(), "expected the rounded products");
    const auto wide = Executor(model.graph).forward(model.weights, {x});
    QVERIFY((found - wide).abs().max().item<float>() > 0);
}

void AutocastTest::valuesKeepTheirNamesAndTypes()
{
    const auto model = zoo::openZoo("zoo:gpt?vocabulary=11&block_length=8&width=16&layers=2&heads=2", 1);
    const auto narrow = autocast(model.graph, at::kBFloat16);
    for (const auto* node : model.graph->allNodes())
        QVERIFY2(narrow->findValue(node->name), node->name.c_str());
    int casts = 0;
    for (const auto* node : narrow->allNodes())
        casts += node->op == "aten::to";
    int linears = 0;
    for (const auto* node : model.graph->allNodes())
        linears += node->op == "aten::linear";
    QVERIFY(linears > 0);
    QVERIFY(casts >= 3 * linears);
    for (std::size_t i = 0; i < model.graph->data().parameters.size(); ++i)
        QCOMPARE(narrow->data().parameters[i].dtype, at::kFloat);
    RunRequest request;
    request.inputs = {at::arange(8).unsqueeze(0)};
    std::size_t seen = 0;
    request.probes.push_back(
        Probe::onValue("op:linear", [&](const std::string&, const c10::IValue& value) { seen += value.toTensor().scalar_type() == at::kBFloat16; }));
    Executor(narrow).run(model.weights, request);
    QCOMPARE(seen, std::size_t(linears));
}

void AutocastTest::gradientsAreThoseOfRoundedProducts()
{
    const auto model = zoo::openZoo("zoo:mlp?features=12&hidden=[]&classes=3", 4);
    const auto x = noise({6, 12}, 2), direction = noise({6, 3}, 3);
    const auto found = gradients(autocast(model.graph, at::kBFloat16), model.weights, x, direction);
    // dL/dW = direction^T x with both rounded; dL/db the column sums of the rounded direction.
    const auto weight = rounded(direction).t().matmul(rounded(x)), bias = rounded(direction).sum(0);
    QVERIFY2(relative(found[0], weight) < 0.004, qPrintable(QString::number(relative(found[0], weight))));
    QVERIFY2(relative(found[1], bias) < 0.004, qPrintable(QString::number(relative(found[1], bias))));
    for (const auto& gradient : found)
        QCOMPARE(gradient.scalar_type(), at::kFloat);
}

void AutocastTest::everyArchitectureStaysCloseToFloat32()
{
    const std::vector<std::pair<std::string, at::Tensor>> cases{
        {"zoo:lenet?image_size=28&channels=1", noise({3, 1, 28, 28}, 5)},
        {"zoo:resnet?depth=8", noise({2, 3, 32, 32}, 6)},
        {"zoo:vit?image_size=8&channels=1&patch_size=4&width=16&layers=2&heads=2&classes=10", noise({2, 1, 8, 8}, 7)},
        {"zoo:gpt?vocabulary=11&block_length=8&width=16&layers=2&heads=2", at::arange(8).unsqueeze(0)}};
    for (const auto& [reference, input] : cases) {
        auto model = zoo::openZoo(reference, 2);
        // A head that starts at zero answers zero in any type.
        for (const auto& [name, tensor] : std::map(model.weights.tensors()))
            if (tensor.scalar_type() == at::kFloat && !tensor.any().item<bool>())
                model.weights.set(name, noise(tensor.sizes().vec(), 8) * 0.1);
        const auto wide = Executor(model.graph).forward(model.weights, {input});
        const auto narrow = Executor(autocast(model.graph, at::kBFloat16)).forward(model.weights, {input});
        const auto error = relative(narrow, wide);
        QVERIFY2(error > 0 && error < 0.03, qPrintable(QString("%1: %2").arg(QString::fromStdString(reference)).arg(error)));
    }
}

void AutocastTest::refusesOtherTypes()
{
    const auto model = zoo::openZoo("zoo:mlp?features=4&hidden=[]&classes=2", 1);
    QVERIFY_THROWS_EXCEPTION(core::InputError, autocast(model.graph, at::kHalf));
}

QTEST_APPLESS_MAIN(AutocastTest)
#include "autocast_test.moc"
