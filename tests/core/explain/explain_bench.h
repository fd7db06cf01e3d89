#pragma once
#include <core/zoo/zoo.h>

#include "explain_test_support.h"

/// What the tests of core/explain share: small models in double, one call of a method, comparisons.
namespace orrery::test {

using explain::largest;
using explain::noise;

inline graph::Model doubled(graph::Model model)
{
    model.weights = model.weights.to(c10::kCPU, at::kDouble);
    model.graph = graph::moved(model.graph, c10::kCPU, at::kDouble);
    return model;
}

/// A zoo model in double.
inline graph::Model zooModel(const char* id, const core::Json& parameters, std::uint64_t seed)
{
    return doubled(zoo::buildModel(id, parameters, seed));
}

/// A model of a builder, its weights drawn and in double.
inline graph::Model finished(graph::Builder& builder, graph::Builder::Var output, std::uint64_t seed)
{
    auto model = builder.finish({{"y", output}});
    model.weights = graph::initialize(*model.graph, seed);
    return doubled(std::move(model));
}

/// Options of `attribute`.
struct Ask {
    core::Json parameters = core::Json::object();
    std::optional<std::int64_t> target = {};
    std::string site = {};
    std::uint64_t seed = 0;
};

inline explain::AttributionResult attributionOf(const graph::Model& model, const char* method, std::vector<c10::IValue> inputs, Ask ask = {},
                                                const explain::Control& control = {})
{
    explain::AttributionRequest request;
    request.inputs = std::move(inputs);
    request.parameters = std::move(ask.parameters);
    request.target = ask.target;
    request.site = ask.site;
    request.seed = ask.seed;
    return explain::attribute(graph::Executor(model.graph), model.weights, method, request, control);
}

inline double size(const at::Tensor& a)
{
    return a.to(at::kDouble).abs().max().item<double>();
}

}  // namespace orrery::test
