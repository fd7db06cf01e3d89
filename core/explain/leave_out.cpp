#include "leave_out.h"

#include <ATen/ATen.h>

#include <core/base/text.h>

#include "attribution.h"

namespace orrery::explain {
namespace {

at::Tensor withBaseline(const at::Tensor& value, const LeaveOut& what)
{
    const auto count = elementsOf(value.sizes());
    at::Tensor changed = value.detach().clone();
    for (const auto element : what.elements) {
        if (element < 0 || element >= count)
            throw core::InputError(
                fmt::format("element: expected 0..{} (\"{}\" is {}), got {}", count - 1, what.site, core::formatShape(value.sizes()), element));
        if (value.dim() == 4)
            changed.select(3, element % value.size(3)).select(2, element / value.size(3)).fill_(what.baseline);
        else
            changed.select(1, element).fill_(what.baseline);
    }
    return changed;
}

}  // namespace

std::string defaultSite(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs, std::stop_token stop)
{
    AttributionRequest request;
    request.inputs = inputs;
    Control control;
    control.stop = stop;
    return ScalarFunction(executor, weights, request, control).site();
}

std::int64_t elementsOf(at::IntArrayRef shape)
{
    if (shape.size() < 2)
        throw core::ShapeError("leave out: expected a value [batch, element, ...], got " + core::formatShape(shape));
    return shape.size() == 4 ? shape[2] * shape[3] : shape[1];
}

at::Tensor outputWithout(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs, const LeaveOut& what,
                         std::stop_token stop)
{
    graph::RunRequest request;
    request.inputs = inputs;
    request.stop = stop;
    const auto& declared = executor.graph()->data().inputs;
    const auto input = std::find_if(declared.begin(), declared.end(), [&](const auto& one) { return one.name == what.site; });
    if (input != declared.end()) {
        auto& value = request.inputs.at(std::size_t(input - declared.begin()));
        value = withBaseline(value.toTensor(), what);
        return executor.run(weights, request).tensor();
    }
    graph::RunRequest plain = request;
    plain.keep = plain.targets = {what.site};
    request.changed[what.site] = withBaseline(executor.run(weights, plain).value(what.site), what);
    return executor.run(weights, request).tensor();
}

}  // namespace orrery::explain
