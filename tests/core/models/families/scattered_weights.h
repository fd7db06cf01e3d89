#pragma once
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>

#include <core/graph/model.h>

namespace orrery::tests {

/// The weights that `tests/data/hf/make_hf.py` gives its models (function `scatter`), drawn again from the same generator, so that no file of weights is needed: parameters in the order of
/// their names, then running statistics. Matrices are noise; vectors are noise around the value they start with, which is 1 for gains and 0 for biases.
inline graph::Weights scatteredWeights(const graph::Graph& graph)
{
    const at::NoGradGuard noGrad;
    const auto generator = at::detail::createCPUGenerator(7);
    auto parameters = graph.data().parameters;
    std::sort(parameters.begin(), parameters.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    graph::Weights weights;
    for (const auto& parameter : parameters) {
        if (parameter.kind != graph::Parameter::Kind::Parameter)
            continue;
        const at::Tensor noise = at::randn(parameter.shape, generator, at::TensorOptions().dtype(at::kFloat));
        const auto kind = parameter.init.value("kind", "");
        if (parameter.shape.size() <= 1) {
            const double start = kind == "ones" ? 1.0 : kind == "constant" ? parameter.init.at("value").get<double>() : 0.0;
            weights.set(parameter.name, start + 0.1 * noise);
        } else {
            const double width = double(noise.numel() / noise.size(0));
            weights.set(parameter.name, noise * (0.5 / std::max(1.0, std::sqrt(width))) + 0.02 * noise);
        }
    }
    for (const auto& parameter : parameters) {
        if (parameter.name.ends_with("running_mean"))
            weights.set(parameter.name, 0.1 * at::randn(parameter.shape, generator, at::TensorOptions().dtype(at::kFloat)));
        if (parameter.name.ends_with("running_var"))
            weights.set(parameter.name, 1 + 0.3 * at::rand(parameter.shape, generator, at::TensorOptions().dtype(at::kFloat)));
        if (parameter.name == "final_logits_bias")
            weights.set(parameter.name, 0.1 * at::randn(parameter.shape, generator, at::TensorOptions().dtype(at::kFloat)));
    }
    return weights;
}

}  // namespace orrery::tests
