// Layer-wise relevance propagation against nets worked by hand, dense matrices of contributions, and what must hold: conservation.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/error.h>
#include <core/explain/attribution.h>
#include <core/graph/builder.h>
#include <core/zoo/zoo.h>

#include <QTest>

#include "../message_of.h"

using namespace orrery;
using core::Json;
using explain::AttributionRequest;
using explain::AttributionResult;
using graph::Builder;

namespace {

at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kDouble));
}

at::Tensor numbers(std::vector<double> values, std::vector<std::int64_t> shape)
{
    return at::tensor(values, at::kDouble).reshape(shape);
}

graph::Model inDouble(graph::Model model)
{
    model.graph = graph::moved(model.graph, c10::kCPU, at::kDouble);
    model.weights = model.weights.to(c10::kCPU, at::kDouble);
    return model;
}

AttributionResult relevance(const graph::Model& model, const c10::IValue& x, Json parameters, std::optional<std::int64_t> target = {},
                            const std::string& site = {}, const explain::Control& control = {})
{
    AttributionRequest request;
    request.inputs = {x};
    request.parameters = std::move(parameters);
    request.target = target;
    request.site = site;
    return explain::attribute(graph::Executor(model.graph), model.weights, "lrp", request, control);
}

at::Tensor inputTimesGradient(const graph::Model& model, const at::Tensor& x, std::optional<std::int64_t> target = {})
{
    AttributionRequest request;
    request.inputs = {x};
    request.parameters = Json::object();
    request.target = target;
    return explain::attribute(graph::Executor(model.graph), model.weights, "input_x_gradient", request).attribution;
}

double largest(const at::Tensor& a, const at::Tensor& b)
{
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

double total(const at::Tensor& tensor)
{
    return tensor.to(at::kDouble).sum().item<double>();
}

/// h = relu(W1 x + b1) = (2, 2.5), y = W2 h + b2 = 2 at x = (1, 2).
graph::Model handNet()
{
    Builder builder("hand");
    const auto x = builder.input("x", "float64", {"batch", "2"});
    auto model = builder.finish({{"y", builder.linear("fc2", builder.relu(builder.linear("fc1", x, 2, 2)), 2, 1)}});
    model.weights = graph::Weights({{"fc1.weight", numbers({3, -1, -1, 2}, {2, 2})},
                                    {"fc1.bias", numbers({1, -0.5}, {2})},
                                    {"fc2.weight", numbers({2, -1}, {1, 2})},
                                    {"fc2.bias", numbers({0.5}, {1})}});
    return model;
}

/// The shares of one affine layer by the formulas, contribution by contribution. `weight` [out, in].
std::vector<double> sharesByHand(const std::string& rule, const std::vector<double>& x, const at::Tensor& weight, const at::Tensor& bias,
                                 const std::vector<double>& above, double low, double high)
{
    std::vector<double> shares(x.size(), 0);
    const auto part = [&](double z, const std::string& kind) {
        return kind == "plus" ? std::max(z, 0.0) : kind == "minus" ? std::min(z, 0.0) : kind == "gamma" ? z + 0.25 * std::max(z, 0.0) : z;
    };
    const auto add = [&](const std::string& kind, double factor) {
        for (std::size_t k = 0; k < above.size(); ++k) {
            double sum = kind == "box" ? 0 : part(bias[std::int64_t(k)].item<double>(), kind);
            std::vector<double> z;
            for (std::size_t j = 0; j < x.size(); ++j) {
                const double w = weight[std::int64_t(k)][std::int64_t(j)].item<double>();
                z.push_back(kind == "box" ? x[j] * w - low * std::max(w, 0.0) - high * std::min(w, 0.0) : part(x[j] * w, kind));
                sum += z.back();
            }
            for (std::size_t j = 0; j < x.size(); ++j)
                shares[j] += sum == 0 ? 0 : factor * z[j] / sum * above[k];
        }
    };
    if (rule == "alpha_beta") {
        add("plus", 2);
        add("minus", -1);
    } else {
        add(rule == "z_plus" ? "plus" : rule == "z_box" ? "box" : rule, 1);
    }
    return shares;
}

std::vector<double> listed(const at::Tensor& tensor)
{
    const auto plain = tensor.to(at::kDouble).contiguous();
    return {plain.data_ptr<double>(), plain.data_ptr<double>() + plain.numel()};
}

/// Every bias and running mean to zero: nothing is left that takes relevance.
void removeBiases(graph::Model& model)
{
    for (const auto& [name, tensor] : std::map(model.weights.tensors()))
        if (name.ends_with(".bias") || name.ends_with("running_mean"))
            model.weights.set(name, at::zeros_like(tensor));
}

}  // namespace

class LrpTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void rulesAgreeWithANetWorkedByHand_data();
    void rulesAgreeWithANetWorkedByHand();
    void rulesAgreeWithTheirContributionsOneByOne_data();
    void rulesAgreeWithTheirContributionsOneByOne();
    void aConvolutionIsItsDenseMatrix_data();
    void aConvolutionIsItsDenseMatrix();
    void epsilonZeroWithoutBiasesIsInputTimesGradient();
    void relevanceIsConservedWithoutBiases_data();
    void relevanceIsConservedWithoutBiases();
    void whatIsMissingIsInTheBooks();
    void mergedBatchNormEqualsFoldingByHand_data();
    void mergedBatchNormEqualsFoldingByHand();
    void aBatchNormAloneIsAffine();
    void attentionPatternsAreHeldFixed();
    void layerNormKeepsItsDeviationFixed();
    void gatesPassRelevanceToWhatTheyGate();
    void listsAndSplitsCarryRelevance();
    void transformersRun_data();
    void transformersRun();
    void eachSampleIsExplainedByItself();
    void badRequestsSayWhatWasExpected();
    void stopsWhenAsked();
};

void LrpTest::rulesAgreeWithANetWorkedByHand_data()
{
    QTest::addColumn<Json>("parameters");
    QTest::addColumn<double>("first");
    QTest::addColumn<double>("second");
    QTest::addColumn<double>("bias");
    QTest::newRow("epsilon") << Json{{"rule", "epsilon"}, {"epsilon", 0}} << 7.0 << -8.0 << 3.0;
    // 3.2 and -1.6 at the hidden units; 0.4 to the last bias.
    QTest::newRow("gamma") << Json{{"rule", "gamma"}, {"epsilon", 0}} << 4 + 1.6 / 3.5 << -6.4 / 3 - 8 / 3.5 << 0.4 + 4.0 / 3 + 0.8 / 3.5;
    QTest::newRow("z_plus") << Json{{"rule", "z_plus"}, {"epsilon", 0}} << 4.0 / 3 << 0.0 << 2.0 / 9 + 4.0 / 9;
    QTest::newRow("alpha_beta") << Json{{"rule", "alpha_beta"}, {"epsilon", 0}} << 20.0 / 3 << -68.0 / 9 << 4.0 / 9 + 16.0 / 9 + 2.0 / 3;
    QTest::newRow("z_box, z_plus above") << Json{{"rule", "z_box"}, {"epsilon", 0}, {"low", 0}, {"high", 3}} << 4.0 / 3 << 4.0 / 9 << 2.0 / 9;
    QTest::newRow("composite without a box") << Json{{"rule", "composite"}, {"epsilon", 0}} << 7.0 << -8.0 << 3.0;
    // Hidden units get 4 and -2.5 by epsilon; the box shares 3 : 1 of 4, and -1 + 3 : 4 of 6.
    QTest::newRow("composite with a box") << Json{{"rule", "composite"}, {"epsilon", 0}, {"low", 0}, {"high", 3}} << 3 - 2.5 * 2 / 6
                                          << 1 - 2.5 * 4 / 6 << 0.5;
    QTest::newRow("epsilon 0.5") << Json{{"rule", "epsilon"}, {"epsilon", 0.5}} << 3.2 / 2.5 * 3 + 2.0 / 3 << -3.2 / 2.5 * 2 - 8.0 / 3
                                 << 0.4 + 3.2 / 2.5 + 1.0 / 3;
}

void LrpTest::rulesAgreeWithANetWorkedByHand()
{
    QFETCH(Json, parameters);
    QFETCH(double, first);
    QFETCH(double, second);
    QFETCH(double, bias);
    const auto result = relevance(handNet(), numbers({1, 2}, {1, 2}), parameters);
    const auto attribution = listed(result.attribution);
    QVERIFY2(std::abs(attribution[0] - first) < 1e-12 && std::abs(attribution[1] - second) < 1e-12,
             qPrintable(QString("%1 %2").arg(attribution[0], 0, 'g', 17).arg(attribution[1], 0, 'g', 17)));
    QVERIFY(std::abs(result.details.at("absorbed_by_biases").get<double>() - bias) < 1e-12);
    QVERIFY(std::abs(total(result.completenessError) - (first + second - 2)) < 1e-12);
}

void LrpTest::rulesAgreeWithTheirContributionsOneByOne_data()
{
    QTest::addColumn<std::string>("rule");
    for (const char* rule : {"epsilon", "gamma", "z_plus", "alpha_beta", "z_box"})
        QTest::newRow(rule) << std::string(rule);
}

// One layer with inputs and weights of both signs; z_box with a box wider than the input.
void LrpTest::rulesAgreeWithTheirContributionsOneByOne()
{
    QFETCH(std::string, rule);
    Builder builder("layer");
    const auto x = builder.input("x", "float64", {"batch", "5"});
    auto model = builder.finish({{"y", builder.linear("fc", x, 5, 3)}});
    const auto weight = noise({3, 5}, 1), bias = noise({3}, 2), value = noise({1, 5}, 3);
    model.weights = graph::Weights({{"fc.weight", weight}, {"fc.bias", bias}});
    Json parameters = {{"rule", rule}, {"epsilon", 0}};
    if (rule == "z_box")
        parameters.update({{"low", -4}, {"high", 5}});
    const auto result = relevance(model, value, parameters, 1);
    std::vector<double> above = {0, total(result.outputs), 0};
    const auto expected = sharesByHand(rule, listed(value), weight, bias, above, -4, 5);
    QVERIFY(largest(result.attribution, numbers(expected, {1, 5})) < 1e-10);
}

void LrpTest::aConvolutionIsItsDenseMatrix_data()
{
    rulesAgreeWithTheirContributionsOneByOne_data();
}

void LrpTest::aConvolutionIsItsDenseMatrix()
{
    QFETCH(std::string, rule);
    Builder builder("conv");
    const auto x = builder.input("x", "float64", {"batch", "2", "4", "4"});
    const auto h = builder.conv2d("conv", x, 2, 3, 3, 2, 1);
    auto model = builder.finish({{"y", builder.op("aten::mean.dim", {builder.relu(builder.flatten(h)), std::vector<std::int64_t>{1}})}});
    const auto weight = noise({3, 2, 3, 3}, 4), bias = noise({3}, 5), value = noise({1, 2, 4, 4}, 6);
    model.weights = graph::Weights({{"conv.weight", weight}, {"conv.bias", bias}});
    // Column j of the matrix is the convolution of the j-th unit image.
    const auto units = at::eye(32, at::kDouble).reshape({32, 2, 4, 4});
    const auto matrix = at::conv2d(units, weight, {}, 2, 1).flatten(1).t().contiguous();
    const auto biases = bias.unsqueeze(1).expand({3, 4}).reshape(-1).contiguous();
    const auto hidden = at::relu(at::mv(matrix, value.reshape(-1)) + biases);
    Json parameters = {{"rule", rule}, {"epsilon", 0}};
    if (rule == "z_box")
        parameters.update({{"low", -4}, {"high", 5}});
    const auto expected = sharesByHand(rule, listed(value.reshape(-1)), matrix, biases, listed(hidden / 12), -4, 5);
    QVERIFY(largest(relevance(model, value, parameters).attribution, numbers(expected, {1, 2, 4, 4})) < 1e-10);
}

void LrpTest::epsilonZeroWithoutBiasesIsInputTimesGradient()
{
    auto model = inDouble(zoo::buildModel("mlp", {{"features", 8}, {"hidden", {16, 12}}, {"classes", 4}}, 3));
    removeBiases(model);
    const auto x = noise({3, 8}, 4);
    const auto expected = inputTimesGradient(model, x, 2);
    QVERIFY(largest(relevance(model, x, {{"epsilon", 0}}, 2).attribution, expected) < 1e-12);
    QVERIFY(largest(relevance(model, x, {{"epsilon", 1e-9}}, 2).attribution, expected) < 1e-6);
}

void LrpTest::relevanceIsConservedWithoutBiases_data()
{
    QTest::addColumn<std::string>("architecture");
    QTest::addColumn<Json>("options");
    QTest::addColumn<std::string>("rule");
    for (const char* rule : {"epsilon", "gamma", "composite", "z_plus"}) {
        // z_plus has nothing to share at a residual branch that is negative throughout: there it keeps its books but loses relevance.
        if (std::string(rule) != "z_plus")
            QTest::addRow("resnet-20 A, %s", rule) << std::string("resnet") << Json{{"depth", 20}, {"image_size", 16}} << std::string(rule);
        if (std::string(rule) != "z_plus")
            QTest::addRow("resnet-8 B, %s", rule) << std::string("resnet") << Json{{"depth", 8}, {"shortcut", "B"}, {"image_size", 16}}
                                                  << std::string(rule);
        QTest::addRow("lenet, %s", rule) << std::string("lenet") << Json{{"activation", "relu"}} << std::string(rule);
        QTest::addRow("lenet with max pooling and batch norm, %s", rule)
            << std::string("lenet") << Json{{"activation", "relu"}, {"pooling", "max"}, {"batch_norm", true}} << std::string(rule);
    }
    QTest::addRow("lenet, tanh, epsilon") << std::string("lenet") << Json::object() << std::string("epsilon");
}

void LrpTest::relevanceIsConservedWithoutBiases()
{
    QFETCH(std::string, architecture);
    QFETCH(Json, options);
    QFETCH(std::string, rule);
    auto model = inDouble(zoo::buildModel(architecture, options, 5));
    removeBiases(model);
    const auto size = options.value("image_size", 32);
    const auto x = noise({2, architecture == "resnet" ? 3 : 1, size, size}, 6);
    const auto result = relevance(model, x, {{"rule", rule}, {"epsilon", 0}}, 3);
    const double explained = total(result.outputs), scale = std::max(total(result.attribution.abs()), std::abs(explained));
    QVERIFY(std::abs(explained) > 1e-6);
    QVERIFY2(result.completenessError.abs().max().item<double>() < 1e-9 * scale, qPrintable(QString::number(total(result.completenessError.abs()))));
    for (const auto& crossing : result.details.at("conservation"))
        QVERIFY2(std::abs(crossing.at("relevance").get<double>() - explained) < 1e-9 * scale, crossing.dump().c_str());
    QVERIFY(std::abs(result.details.at("absorbed_by_biases").get<double>()) < 1e-9 * scale);
}

// With biases: what is handed out, what biases took and what else was lost add up to the output.
void LrpTest::whatIsMissingIsInTheBooks()
{
    auto model = inDouble(zoo::buildModel("lenet", {{"activation", "relu"}}, 7));
    const auto x = noise({2, 1, 32, 32}, 8);
    for (const char* rule : {"epsilon", "gamma", "z_plus", "alpha_beta", "z_box", "composite"}) {
        const auto result = relevance(model, x, {{"rule", rule}}, 1);
        const double bias = result.details.at("absorbed_by_biases").get<double>(), other = result.details.at("absorbed_otherwise").get<double>();
        const double scale = std::max(1.0, total(result.attribution.abs()));
        QVERIFY(std::abs(bias) > 1e-6);
        QVERIFY2(std::abs(total(result.completenessError) + bias + other) < 1e-9 * scale, rule);
        QVERIFY2(std::abs(other) < 1e-5 * scale, qPrintable(QString("%1 %2").arg(rule).arg(other)));
    }
}

void LrpTest::mergedBatchNormEqualsFoldingByHand_data()
{
    rulesAgreeWithTheirContributionsOneByOne_data();
}

void LrpTest::mergedBatchNormEqualsFoldingByHand()
{
    QFETCH(std::string, rule);
    const auto build = [](bool norm) {
        Builder builder("folded");
        const auto x = builder.input("x", "float64", {"batch", "2", "6", "6"});
        auto h = builder.conv2d("conv", x, 2, 4, 3, 1, 1);
        if (norm)
            h = builder.batchNorm("bn", h, 4);
        h = builder.flatten(builder.maxPool2d(builder.relu(h), 2));
        h = builder.linear("fc", h, 36, 5);
        if (norm)
            h = builder.batchNorm("bn2", h, 5);
        return builder.finish({{"y", builder.linear("out", builder.relu(h), 5, 2)}});
    };
    auto plain = inDouble(build(false)), merged = inDouble(build(true));
    std::uint64_t seed = 10;
    for (const auto& parameter : merged.graph->data().parameters) {
        const auto value = parameter.shape.empty() ? at::zeros({}, at::kLong) : noise(parameter.shape, ++seed);
        merged.weights.set(parameter.name, parameter.name.ends_with("running_var") ? value.abs() + 0.5 : value);
    }
    for (const auto& parameter : plain.graph->data().parameters)
        plain.weights.set(parameter.name, merged.weights.at(parameter.name));
    for (const auto& [layer, norm] : {std::pair<std::string, std::string>{"conv", "bn"}, {"fc", "bn2"}}) {
        const auto& weights = merged.weights;
        const auto scale = weights.at(norm + ".weight") / (weights.at(norm + ".running_var") + 1e-5).sqrt();
        auto shape = std::vector<std::int64_t>(std::size_t(weights.at(layer + ".weight").dim()), 1);
        shape[0] = -1;
        plain.weights.set(layer + ".weight", weights.at(layer + ".weight") * scale.reshape(shape));
        plain.weights.set(layer + ".bias", (weights.at(layer + ".bias") - weights.at(norm + ".running_mean")) * scale + weights.at(norm + ".bias"));
    }
    const auto x = noise({2, 2, 6, 6}, 9);
    const auto a = relevance(merged, x, {{"rule", rule}}, 0), b = relevance(plain, x, {{"rule", rule}}, 0);
    QVERIFY(largest(a.outputs, b.outputs) < 1e-10);
    QVERIFY(largest(a.attribution, b.attribution) < 1e-8 * std::max(1.0, b.attribution.abs().max().item<double>()));
    QVERIFY(b.attribution.abs().max().item<double>() > 1e-3);
}

void LrpTest::aBatchNormAloneIsAffine()
{
    Builder builder("norm");
    const auto x = builder.input("x", "float64", {"batch", "3"});
    auto model = inDouble(builder.finish({{"y", builder.batchNorm("bn", builder.relu(x), 3)}}));
    model.weights = graph::Weights({{"bn.weight", numbers({2, 1, 1}, {3})},
                                    {"bn.bias", numbers({1, 0, 0}, {3})},
                                    {"bn.running_mean", numbers({0.5, 0, 0}, {3})},
                                    {"bn.running_var", numbers({4 - 1e-5, 1, 1}, {3})},
                                    {"bn.num_batches_tracked", at::zeros({}, at::kLong)}});
    const auto result = relevance(model, numbers({3, 1, 1}, {1, 3}), {{"epsilon", 0}}, 0);
    // y = (3 - 0.5) * 2 / 2 + 1 = 3 x 1 + 0.5: three come from x.
    QVERIFY(largest(result.attribution, numbers({3, 0, 0}, {1, 3})) < 1e-12);
    QVERIFY(std::abs(result.details.at("absorbed_by_biases").get<double>() - 0.5) < 1e-12);
}

void LrpTest::attentionPatternsAreHeldFixed()
{
    Builder builder("attention");
    const auto x = builder.input("x", "float64", {"batch", "4", "3"});
    const auto q = builder.linear("q", x, 3, 3, false), k = builder.linear("k", x, 3, 3, false), v = builder.linear("v", x, 3, 3, false);
    const auto pattern = builder.softmax(builder.matmul(q, builder.transpose(k, 1, 2)), -1);
    const auto mixed = builder.add(x, builder.matmul(builder.dropout("drop", pattern, 0.1), v));
    auto model = builder.finish({{"y", builder.linear("out", mixed, 3, 2, false)}});
    for (const auto& parameter : model.graph->data().parameters)
        model.weights.set(parameter.name, noise(parameter.shape, std::hash<std::string>{}(parameter.name)));
    const auto value = noise({1, 4, 3}, 20);
    const auto& w = model.weights;
    const auto leaf = value.clone().requires_grad_(true);
    const auto scores = at::matmul(at::linear(value, w.at("q.weight")), at::linear(value, w.at("k.weight")).transpose(1, 2));
    const auto output = at::linear(leaf + at::matmul(scores.softmax(-1), at::linear(leaf, w.at("v.weight"))), w.at("out.weight"))[0][3][1];
    const auto expected = value * torch::autograd::grad({output}, {leaf})[0];
    const auto result = relevance(model, value, {{"epsilon", 0}}, 1);
    QVERIFY(largest(result.attribution, expected) < 1e-10);
    QVERIFY(total(result.completenessError.abs()) < 1e-10);
}

void LrpTest::layerNormKeepsItsDeviationFixed()
{
    Builder builder("norm");
    const auto x = builder.input("x", "float64", {"batch", "4"});
    auto model = inDouble(builder.finish({{"y", builder.linear("fc", builder.layerNorm("ln", x, 4), 4, 2, false)}}));
    model.weights = graph::Weights({{"ln.weight", noise({4}, 1)}, {"ln.bias", at::zeros({4}, at::kDouble)}, {"fc.weight", noise({2, 4}, 2)}});
    const auto value = noise({2, 4}, 3);
    const auto result = relevance(model, value, {{"epsilon", 0}}, 0);
    const auto centred = value - value.mean(1, true);
    const auto deviation = (centred.square().mean(1, true) + 1e-5).sqrt();
    const auto coefficients = model.weights.at("fc.weight")[0] * model.weights.at("ln.weight") / deviation;
    QVERIFY(largest(result.attribution, value * (coefficients - coefficients.mean(1, true))) < 1e-10);
    QVERIFY(total(result.completenessError.abs()) < 1e-10);
}

void LrpTest::gatesPassRelevanceToWhatTheyGate()
{
    const auto build = [](const char* gate) {
        Builder builder("gated");
        const auto x = builder.input("x", "float64", {"batch", "2"});
        const auto a = builder.op("aten::slice.Tensor", {x, 1, 0, 1, 1}), b = builder.op("aten::slice.Tensor", {x, 1, 1, 2, 1});
        return builder.finish({{"y", builder.op("aten::mul.Tensor", {*gate ? builder.op(gate, {a}) : a, b})}});
    };
    const auto x = numbers({2, 3}, {1, 2});
    const double sigmoid = 1 / (1 + std::exp(-2.0));
    QVERIFY(largest(relevance(build("aten::sigmoid"), x, {{"epsilon", 0}}, 0).attribution, numbers({0, 3 * sigmoid}, {1, 2})) < 1e-12);
    QVERIFY(largest(relevance(build(""), x, {{"epsilon", 0}}, 0).attribution, numbers({3, 3}, {1, 2})) < 1e-12);
    QVERIFY(largest(relevance(build("aten::tanh"), x, {{"epsilon", 0}}, 0).attribution, 1.5 * std::tanh(2.0) * at::ones({1, 2}, at::kDouble)) <
            1e-12);
    // A square is a product with itself: everything goes to the one value.
    Builder builder("square");
    const auto value = builder.input("x", "float64", {"batch", "2"});
    const auto model = builder.finish({{"y", builder.op("aten::mul.Tensor", {value, value})}});
    QVERIFY(largest(relevance(model, x, {{"epsilon", 0}}, 1).attribution, numbers({0, 9}, {1, 2})) < 1e-12);
}

void LrpTest::listsAndSplitsCarryRelevance()
{
    Builder builder("lists");
    const auto x = builder.input("x", "float64", {"batch", "4"});
    const auto halves = builder.unpack(builder.op("aten::split.Tensor", {x, 2, 1}), 2);
    const auto swapped = builder.op("aten::cat", {builder.list({halves[1], builder.op("aten::relu_", {halves[0]})}), 1});
    auto model = builder.finish({{"y", builder.linear("fc", swapped, 4, 1, false)}});
    model.weights = graph::Weights({{"fc.weight", numbers({1, 10, 100, 1000}, {1, 4})}});
    const auto result = relevance(model, numbers({1, 2, 3, 4}, {1, 4}), {{"epsilon", 0}});
    QVERIFY(largest(result.attribution, numbers({100, 2000, 3, 40}, {1, 4})) < 1e-9);
}

void LrpTest::transformersRun_data()
{
    QTest::addColumn<std::string>("architecture");
    QTest::addColumn<Json>("options");
    QTest::newRow("vit") << std::string("vit") << Json{{"image_size", 8}, {"channels", 1}, {"patch_size", 4}, {"layers", 2},
                                                       {"heads", 2},      {"width", 8},    {"mlp_width", 16}, {"classes", 3}};
    QTest::newRow("gpt") << std::string("gpt") << Json{{"vocabulary", 11}, {"block_length", 8}, {"layers", 2}, {"heads", 2}, {"width", 8}};
}

void LrpTest::transformersRun()
{
    QFETCH(std::string, architecture);
    QFETCH(Json, options);
    auto model = inDouble(zoo::buildModel(architecture, options, 9));
    for (const auto& parameter : model.graph->data().parameters)
        if (parameter.name.rfind("head", 0) == 0)
            model.weights.set(parameter.name, noise(parameter.shape, 4));
    const bool isText = architecture == "gpt";
    const auto x = isText ? at::tensor({1, 5, 3, 7, 2}, at::kLong).unsqueeze(0) : noise({2, 1, 8, 8}, 11);
    for (const char* rule : {"epsilon", "composite"}) {
        const auto result = relevance(model, x, {{"rule", rule}}, 1);
        QCOMPARE(result.attribution.sizes().vec(), isText ? (std::vector<std::int64_t>{1, 5, 8}) : x.sizes().vec());
        QVERIFY(result.attribution.isfinite().all().item<bool>());
        const double taken = result.details.at("absorbed_by_biases").get<double>() + result.details.at("absorbed_otherwise").get<double>();
        QVERIFY(std::abs(total(result.completenessError) + taken) < 1e-8 * std::max(1.0, total(result.attribution.abs())));
    }
}

void LrpTest::eachSampleIsExplainedByItself()
{
    const auto model = inDouble(zoo::buildModel("lenet", {{"activation", "relu"}}, 7));
    const auto x = noise({3, 1, 32, 32}, 8);
    const auto all = relevance(model, x, {{"rule", "gamma"}});
    for (int i = 0; i < 3; ++i)
        QVERIFY(largest(relevance(model, x.narrow(0, i, 1), {{"rule", "gamma"}}).attribution, all.attribution.narrow(0, i, 1)) < 1e-10);
}

void LrpTest::badRequestsSayWhatWasExpected()
{
    const auto x = numbers({1, 2}, {1, 2});
    const auto model = handNet();
    QVERIFY(saidBy([&] { relevance(model, x, {{"rule", "gama"}}); }).contains("gamma"));
    QVERIFY(saidBy([&] { relevance(model, x, {{"gamma", -1}}); }).contains("lrp.gamma: expected a number >= 0"));
    QVERIFY(saidBy([&] { relevance(model, x, {{"rule", "alpha_beta"}, {"alpha", 2}, {"beta", 2}}); }).contains("expected alpha - beta = 1"));
    QVERIFY(saidBy([&] { relevance(model, x, {{"rule", "z_box"}, {"low", 0}, {"high", 1}}); }).contains("outside the box 0..1"));
    QVERIFY(saidBy([&] { relevance(model, x, {{"rule", "z_box"}, {"low", 3}, {"high", 1}}); }).contains("expected low <= high"));
    QVERIFY(saidBy([&] { relevance(model, x * std::nan(""), Json::object()); }).contains("not finite"));
    Builder builder("odd");
    const auto value = builder.input("x", "float64", {"batch", "2"});
    const auto odd = builder.finish({{"y", builder.op("aten::exp", {value})}});
    const auto message = saidBy([&] { relevance(odd, x, Json::object(), 0); });
    QVERIFY2(message.contains("node \"exp\" (aten::exp) has no relevance rule"), qPrintable(message));
}

void LrpTest::stopsWhenAsked()
{
    std::stop_source source;
    explain::Control control;
    control.stop = source.get_token();
    control.progress = [&](double done, double, const char*) {
        if (done >= 1)
            source.request_stop();
    };
    bool cancelled = false;
    try {
        relevance(handNet(), numbers({1, 2}, {1, 2}), Json::object(), {}, {}, control);
    } catch (const core::Cancelled&) {
        cancelled = true;
    }
    QVERIFY(cancelled);
}

QTEST_GUILESS_MAIN(LrpTest)
#include "lrp_test.moc"
