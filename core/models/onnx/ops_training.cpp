// Steps of optimizers (ai.onnx.preview.training): R (learning rate) and T (step), then for each tensor its value, gradient and state.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace training {

/// One step for each tensor of the node. @param states  State tensors of each.
Operator step(const char* op, std::size_t states, std::vector<std::pair<const char*, double>> numbers)
{
    return [=](Call& c) {
        const std::size_t each = 2 + states;
        if (c.count() < 2 + each || (c.count() - 2) % each != 0)
            c.fail(fmt::format("expected 2 inputs and {} of each tensor, found {}", each, c.count()));
        const std::size_t tensors = (c.count() - 2) / each;
        for (std::size_t i = 0; i < tensors; ++i) {
            std::vector<Term> args = {c.in(0), c.in(1)};
            for (std::size_t k = 0; k < each; ++k)
                args.push_back(c.in(2 + k * tensors + i));
            for (const auto& [name, otherwise] : numbers)
                args.push_back(Term(c.real(name, otherwise)));
            if (std::string(op) == "orrery::onnx_momentum")
                args.push_back(Term(c.text("mode", "standard") == "nesterov"));
            const auto results = c.emitAll(op, args);
            for (std::size_t k = 0; k < results.size(); ++k)
                c.out(k * tensors + i, results[k]);
        }
    };
}

}  // namespace training

std::span<const Entry> trainingOperators()
{
    using namespace training;
    static const Entry kEntries[] = {
        {"Adagrad", step("orrery::onnx_adagrad", 1, {{"decay_factor", 0}, {"norm_coefficient", 0}, {"epsilon", 1e-6}})},
        {"Adam",
         step("orrery::onnx_adam", 2, {{"alpha", 0.9}, {"beta", 0.999}, {"norm_coefficient", 0}, {"norm_coefficient_post", 0}, {"epsilon", 1e-6}})},
        {"Momentum", step("orrery::onnx_momentum", 1, {{"alpha", 0}, {"beta", 0}, {"norm_coefficient", 0}})},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
