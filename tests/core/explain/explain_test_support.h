#pragma once
#include <ATen/ATen.h>

#include <QString>
#include <functional>

#include <core/base/error.h>
#include <core/explain/attribution.h>
#include <core/graph/builder.h>

/// Small models and helpers that the tests of perturbation methods share. Everything is in double.
namespace orrery::explain {

inline at::Tensor noise(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kDouble));
}

inline double largest(const at::Tensor& a, const at::Tensor& b)
{
    return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// A request for one tensor input; what a test changes is given.
struct Ask {
    at::Tensor x;
    core::Json parameters = core::Json::object();
    std::optional<std::int64_t> target = {};
    std::uint64_t seed = 0;
    std::string site = {};
    Control control = {};
};

inline AttributionResult explained(const graph::Model& model, const char* method, const Ask& ask)
{
    AttributionRequest request;
    request.inputs = {ask.x};
    request.parameters = ask.parameters;
    request.target = ask.target;
    request.seed = ask.seed;
    request.site = ask.site;
    return attribute(graph::Executor(model.graph), model.weights, method, request, ask.control);
}

/// y = W x + b, [batch, features] -> [batch, outputs].
inline graph::Model linearModel(const at::Tensor& weight, const at::Tensor& bias)
{
    graph::Builder builder("linear");
    const auto x = builder.input("x", "float64", {"batch", std::to_string(weight.size(1))});
    auto model = builder.finish({{"y", builder.linear("fc", x, weight.size(1), weight.size(0))}});
    model.weights = graph::Weights({{"fc.weight", weight}, {"fc.bias", bias}});
    return model;
}

/// y = sum over all elements of W * x for samples of any shape, [batch, ...] -> [batch].
inline graph::Model weightedSumModel(const at::Tensor& weight)
{
    graph::Builder builder("weighted_sum");
    const auto x = builder.input("x", "float64", {"batch"});
    const auto w = builder.parameter("w", weight.sizes().vec(), {}, graph::Parameter::Kind::Parameter, at::kDouble);
    const auto product = builder.flatten(builder.op("aten::mul.Tensor", {x, w}));
    auto model = builder.finish({{"y", builder.op("aten::sum.dim_IntList", {product, std::vector<std::int64_t>{1}})}});
    model.weights = graph::Weights({{"w", weight}});
    return model;
}

/// A network of one hidden layer with tanh: every coalition has another value. [batch, features] -> [batch, 2].
inline graph::Model tanhModel(std::int64_t features, std::uint64_t seed)
{
    graph::Builder builder("tanh");
    const auto x = builder.input("x", "float64", {"batch", std::to_string(features)});
    const auto hidden = builder.op("aten::tanh", {builder.linear("fc1", x, features, 8)});
    auto model = builder.finish({{"y", builder.linear("fc2", hidden, 8, 2)}});
    model.weights = graph::Weights({{"fc1.weight", noise({8, features}, seed)},
                                    {"fc1.bias", noise({8}, seed + 1)},
                                    {"fc2.weight", noise({2, 8}, seed + 2)},
                                    {"fc2.bias", noise({2}, seed + 3)}});
    return model;
}

inline at::Tensor numbers(std::vector<double> values)
{
    return at::tensor(values, at::kDouble);
}

/// v(S) of every coalition (bit i: feature i present) for one sample, each evaluated alone on an input made by hand.
inline std::vector<double> game(const graph::Model& model, const at::Tensor& x, double baseline, std::optional<std::int64_t> target)
{
    const graph::Executor executor(model.graph);
    const auto count = x.numel();
    std::vector<double> values;
    for (std::int64_t bits = 0; bits < std::int64_t(1) << count; ++bits) {
        auto each = at::full({1, count}, baseline, at::kDouble);
        for (std::int64_t i = 0; i < count; ++i)
            if (bits >> i & 1)
                each[0][i] = x[i];
        const auto output = executor.forward(model.weights, {each})[0];
        values.push_back((target ? output[*target] : output).item<double>());
    }
    return values;
}

}  // namespace orrery::explain
