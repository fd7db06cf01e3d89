#include "probe_text.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/text.h>

#include "layout.h"
#include "lens_documents.h"
#include "residual.h"

namespace orrery::intervene {
namespace {

/// [row, feature] from the value's [1, ...]: a row a position, or one for all of them.
at::Tensor rowsOf(const at::Tensor& value, std::size_t axis, const Pooling& pooling)
{
    const at::Tensor rows = value.detach().to(at::kCPU, at::kFloat).movedim(std::int64_t(axis), 1).flatten(2)[0];
    switch (pooling.kind) {
    case Pooling::Kind::Mean: return rows.mean(0, true);
    case Pooling::Kind::Flatten: return rows.reshape({1, -1});
    default: return rows;
    }
}

std::string className(const LinearProbe& probe, std::int64_t index)
{
    return std::size_t(index) < probe.classNames.size() ? probe.classNames[std::size_t(index)] : std::to_string(index);
}

}  // namespace

TextReading readText(const graph::Model& model, const graph::Executor& executor, const LinearProbe& probe, const at::Tensor& tokens,
                     const Control& control)
{
    const Pooling pooling = poolingFromText(probe.pooling);
    graph::RunRequest request;
    request.inputs = {tokens};
    request.stop = control.stop;
    request.targets = {resolveOne(*model.graph, model.card, probe.value)};
    const at::Tensor value = executor.run(model.weights, request).tensor();
    const auto axis = findAxis(axesOf(*model.graph, model.card, request.targets[0], std::size_t(value.dim())), Axis::Position);
    if (!axis || value.dim() < 3)
        throw core::InputError(fmt::format("\"{}\" {} has no positions that a text could be read at", probe.value, core::formatShape(value.sizes())));
    const at::Tensor rows = rowsOf(value, *axis, pooling);
    requireFinite(rows, probe.value);
    TextReading reading;
    reading.byPosition = pooling.kind != Pooling::Kind::Mean && pooling.kind != Pooling::Kind::Flatten;
    reading.outputs = probe.apply(rows);
    if (probe.kind != "ridge")
        std::tie(reading.probability, reading.read) = reading.outputs.softmax(1).max(1);
    return reading;
}

core::Json readingDocument(const TextReading& reading, const LinearProbe& probe, const graph::ModelCard& card, const at::Tensor& tokens)
{
    const auto names = tokenNames(card, tokens);
    core::Json rows = core::Json::array();
    for (std::int64_t row = 0; row < reading.outputs.size(0); ++row) {
        core::Json line = core::Json::object();
        if (reading.byPosition)
            line.update({{"position", row}, {"token", tokens[0][row].item<std::int64_t>()}, {"name", names[std::size_t(row)]}});
        if (reading.read.defined()) {
            const auto read = reading.read[row].item<std::int64_t>();
            line.update({{"read", read}, {"read_name", className(probe, read)}, {"probability", reading.probability[row].item<double>()}});
        } else {
            line["outputs"] = nested(reading.outputs[row]);
        }
        rows.push_back(std::move(line));
    }
    return {{"value", probe.value}, {"kind", probe.kind}, {"label", probe.label}, {"rows", std::move(rows)}};
}

}  // namespace orrery::intervene
