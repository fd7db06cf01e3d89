#include "predict.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

#include "evaluate.h"

namespace orrery::train {

at::Tensor predict(const graph::Model& model, const std::vector<at::Tensor>& inputs, std::int64_t batchSize, std::stop_token stop)
{
    if (inputs.empty() || inputs[0].dim() == 0)
        throw core::ShapeError("expected inputs with a batch axis first");
    const std::int64_t rows = inputs[0].size(0);
    for (const at::Tensor& input : inputs)
        if (input.dim() == 0 || input.size(0) != rows)
            throw core::ShapeError(fmt::format("expected inputs with {} rows each, got {}", rows, core::formatShape(input.sizes())));
    const at::NoGradGuard noGrad;
    const graph::Executor executor(model.graph);
    const c10::TensorOptions where = optionsOf(model.weights);
    std::vector<at::Tensor> outputs;
    for (std::int64_t begin = 0; begin < std::max<std::int64_t>(rows, 1); begin += batchSize) {
        graph::RunRequest request;
        request.stop = stop;
        for (const at::Tensor& input : inputs)
            request.inputs.emplace_back(moved(input.slice(0, begin, std::min(rows, begin + batchSize)), where));
        outputs.push_back(executor.run(model.weights, request).tensor().detach());
    }
    return outputs.size() == 1 ? outputs[0] : at::cat(outputs, 0);
}

std::vector<std::vector<ClassScore>> topClasses(const at::Tensor& output, const graph::ModelCard& card, std::size_t count, graph::OutputKind kind)
{
    if (output.dim() != 2)
        throw core::ShapeError(fmt::format("expected an output [batch, class], got {}", core::formatShape(output.sizes())));
    const bool separate = card.task == "multi_label" || (kind == graph::OutputKind::EachProbability && output.size(1) > 1);
    const at::Tensor numbers = output.detach().to(at::kCPU, at::kDouble);
    at::Tensor wide = separate ? graph::eachLogit(numbers, kind) : graph::classLogits(numbers, kind);
    if (wide.size(1) == 1 && !separate)
        wide = at::cat({at::zeros_like(wide), wide}, 1);
    const auto [probability, order] = (separate ? wide.sigmoid() : wide.softmax(1)).sort(1, true);
    std::vector<std::vector<ClassScore>> out(std::size_t(wide.size(0)));
    for (std::int64_t row = 0; row < wide.size(0); ++row)
        for (std::int64_t i = 0; i < std::min(wide.size(1), std::int64_t(count)); ++i) {
            const std::int64_t index = order[row][i].item<std::int64_t>();
            out[std::size_t(row)].push_back(
                {index, std::size_t(index) < card.classNames.size() ? card.classNames[std::size_t(index)] : "", probability[row][i].item<double>()});
        }
    return out;
}

}  // namespace orrery::train
