#pragma once
#include "explain_bench.h"

namespace orrery::test {

/// y = V tanh(W x + b) + c in double, with its pieces by formula.
struct Net {
    graph::Model model = zooModel("mlp", {{"features", 5}, {"hidden", {6}}, {"classes", 3}, {"activation", "tanh"}}, 8);
    at::Tensor weight = model.weights.at("fc1.weight"), bias = model.weights.at("fc1.bias"), head = model.weights.at("out.weight");
    std::string before = "fc1", after;
    Net() { after = model.graph->value(model.graph->resolve("op:tanh").at(0)).name; }
    at::Tensor hidden(const at::Tensor& x) const { return at::linear(x, weight, bias).tanh(); }
    at::Tensor slope(const at::Tensor& x) const { return 1 - hidden(x).square(); }  // tanh'
    at::Tensor output(const at::Tensor& x, std::int64_t target) const
    {
        return at::linear(hidden(x), head, model.weights.at("out.bias")).select(1, target);
    }
};

/// Parameters of a path method.
inline core::Json path(int steps, const char* rule, double baseline = 0)
{
    return {{"n_steps", steps}, {"method", rule}, {"baseline", baseline}};
}

}  // namespace orrery::test
