#include "step_inputs.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/train/evaluate.h>

namespace orrery::generation {
namespace {

/// Tables are computed for two lengths, to see which of their axes are positions.
constexpr std::int64_t kShortLength = 3, kLongLength = 5;

}  // namespace

StepInputs::StepInputs(const graph::Model& model, const CachedGraph& parts, at::Tensor source)
    : m_model(&model), m_parts(&parts), m_whole(model.graph), m_source(std::move(source)), m_device(train::optionsOf(model.weights).device())
{
    const auto shortTables = computed(parts.tables, kShortLength), longTables = computed(parts.tables, kLongLength);
    for (std::size_t i = 0; i < parts.tables.size(); ++i)
        m_axes.push_back(axesOf(shortTables[i].toTensor(), longTables[i].toTensor(), parts.tables[i]));
    m_constants = computed(parts.constants, 1);
}

void StepInputs::makeTables(std::int64_t capacity)
{
    m_tables = computed(m_parts->tables, capacity);
}

std::vector<c10::IValue> StepInputs::values(const at::Tensor& tokens, std::int64_t past, std::int64_t total) const
{
    std::vector<c10::IValue> inputs = {tokens, past};
    inputs.insert(inputs.end(), m_constants.begin(), m_constants.end());
    for (std::size_t i = 0; i < m_tables.size(); ++i)
        inputs.push_back(tableRows(i, past, total));
    return inputs;
}

std::vector<c10::IValue> StepInputs::computed(const std::vector<std::string>& names, std::int64_t length) const
{
    if (names.empty())
        return {};
    graph::RunRequest request;
    request.targets = names;
    if (m_source.defined())
        request.inputs.push_back(m_source);
    request.inputs.push_back(at::zeros({1, length}, at::TensorOptions().dtype(at::kLong).device(m_device)));
    return m_whole.run(m_model->weights, request).outputs;
}

StepInputs::TableAxes StepInputs::axesOf(const at::Tensor& few, const at::Tensor& many, const std::string& name)
{
    TableAxes axes;
    at::Tensor beginning = many;
    for (std::int64_t axis = 0; axis < few.dim(); ++axis) {
        if (few.dim() != many.dim() || few.size(axis) == many.size(axis))
            continue;
        if (few.size(axis) != kShortLength || many.size(axis) != kLongLength || axes.key)
            throw core::InputError(fmt::format("the size of {} does not follow the number of positions", name));
        beginning = beginning.slice(axis, 0, kShortLength);
        const bool onlyKeys = !axes.query && axis == few.dim() - 1 && few.dim() > 1;
        (axes.query || onlyKeys ? axes.key : axes.query) = axis;
    }
    if (!at::equal(beginning, few))
        throw core::InputError(fmt::format("{} for few positions is not the beginning of {} for more", name, name));
    return axes;
}

at::Tensor StepInputs::tableRows(std::size_t index, std::int64_t past, std::int64_t total) const
{
    at::Tensor rows = m_tables[index].toTensor();
    if (m_axes[index].query)
        rows = rows.narrow(*m_axes[index].query, past, total - past);
    return m_axes[index].key ? rows.narrow(*m_axes[index].key, 0, total) : rows;
}

}  // namespace orrery::generation
