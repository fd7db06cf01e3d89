#include "padded_batch.h"

#include <ATen/ATen.h>

#include <core/base/text.h>

#include "features.h"

namespace orrery::explain {
namespace {

bool hasShapeOf(const c10::IValue& value, const at::Tensor& tokens)
{
    return value.isTensor() && value.toTensor().sizes() == tokens.sizes();
}

// An encoder-decoder's second text may happen to be as long as its first; the mask says nothing about it.
bool followsTheMask(const std::string& name)
{
    return !name.starts_with("decoder");
}

std::vector<c10::IValue> inputsOfRow(const graph::Graph& graph, const std::vector<c10::IValue>& inputs, std::int64_t row, std::int64_t tokens)
{
    const auto whole = inputs[0].toTensor();
    std::vector<c10::IValue> out;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const bool hasRows = inputs[i].isTensor() && inputs[i].toTensor().dim() > 0 && inputs[i].toTensor().size(0) == whole.size(0);
        auto value = inputs[i];
        if (hasRows)
            value = inputs[i].toTensor().narrow(0, row, 1);
        if (hasRows && hasShapeOf(inputs[i], whole) && followsTheMask(graph.data().inputs[i].name))
            value = value.toTensor().narrow(1, 0, tokens);
        out.push_back(std::move(value));
    }
    return out;
}

core::Json nestedList(const at::Tensor& tensor)
{
    if (tensor.dim() == 0)
        return tensor.item<double>();
    auto list = core::Json::array();
    for (std::int64_t i = 0; i < tensor.size(0); ++i)
        list.push_back(nestedList(tensor[i]));
    return list;
}

// The parameters of methods that are shaped like a sample.
constexpr const char* kArrays[] = {"baseline", "feature_mask"};

bool isArray(const core::Json& parameters, const char* name)
{
    const auto found = parameters.find(name);
    return found != parameters.end() && (found->is_array() || found->is_string());
}

// Axes that are longer in the batch than in the row alone end where the row's do.
at::Tensor cut(at::Tensor array, at::IntArrayRef whole, at::IntArrayRef alone)
{
    for (std::int64_t axis = 0; axis < array.dim(); ++axis)
        if (array.size(axis) == whole[std::size_t(axis)])
            array = array.narrow(axis, 0, std::min(array.size(axis), alone[std::size_t(axis)]));
    return array;
}

void cutArrays(core::Json& parameters, const at::Tensor& whole, const at::Tensor& alone)
{
    for (const char* name : kArrays) {
        if (!isArray(parameters, name))
            continue;
        const auto array = parameterArray(parameters.at(name), name);
        if (array.dim() == whole.dim() - 1)
            parameters[name] = nestedList(cut(array, whole.sizes().slice(1), alone.sizes().slice(1)));
    }
}

// Filled with zeros at the end of each axis to `sizes`.
at::Tensor filledTo(const at::Tensor& tensor, const std::vector<std::int64_t>& sizes)
{
    auto out = at::zeros(sizes, tensor.options());
    auto part = out;
    for (std::int64_t axis = 0; axis < tensor.dim(); ++axis)
        part = part.narrow(axis, 0, tensor.size(axis));
    part.copy_(tensor);
    return out;
}

// One row's result, as large as it is in the batch. An attribution may have one channel for all: what counts is by how much the values differ.
at::Tensor asInBatch(const at::Tensor& ofRow, const at::Tensor& rowValue, const at::Tensor& value)
{
    auto sizes = ofRow.sizes().vec();
    for (std::size_t axis = 1; axis < sizes.size() && std::int64_t(axis) < value.dim() && value.dim() == rowValue.dim(); ++axis)
        sizes[axis] += value.size(std::int64_t(axis)) - rowValue.size(std::int64_t(axis));
    return filledTo(ofRow, sizes);
}

// Undefined where some row has none.
template <class Part>
at::Tensor joined(const std::vector<AttributionResult>& rows, const Part& part)
{
    std::vector<at::Tensor> parts;
    for (const auto& row : rows)
        if (const at::Tensor one = part(row); one.defined())
            parts.push_back(one);
    return parts.size() == rows.size() ? at::cat(parts) : at::Tensor();
}

core::Json mergedDetail(const std::vector<core::Json>& rows)
{
    const bool lists = std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.is_array() && row.size() == 1; });
    if (!lists && std::all_of(rows.begin(), rows.end(), [&](const auto& row) { return row == rows[0]; }))
        return rows[0];
    auto list = core::Json::array();
    for (const auto& row : rows)
        list.push_back(lists ? row[0] : row);
    return list;
}

}  // namespace

std::optional<std::vector<std::int64_t>> tokensOfRows(const graph::Graph& graph, const std::vector<c10::IValue>& inputs)
{
    if (inputs.empty() || !inputs[0].isTensor() || inputs[0].toTensor().dim() != 2 || inputs[0].toTensor().scalar_type() != at::kLong)
        return {};
    for (std::size_t i = 1; i < inputs.size() && i < graph.data().inputs.size(); ++i) {
        if (graph.data().inputs[i].name != "attention_mask" || !hasShapeOf(inputs[i], inputs[0].toTensor()))
            continue;
        const auto read = inputs[i].toTensor().to(at::kCPU).ne(0).to(at::kLong);
        const auto counts = read.sum(1);
        const auto filled = at::arange(read.size(1)).unsqueeze(0).lt(counts.unsqueeze(1)).to(at::kLong);
        if (!read.equal(filled) || counts.eq(0).any().item<bool>() || counts.eq(read.size(1)).all().item<bool>())
            return {};
        return std::vector<std::int64_t>(counts.data_ptr<std::int64_t>(), counts.data_ptr<std::int64_t>() + counts.numel());
    }
    return {};
}

std::vector<AttributionRequest> rowsAlone(const graph::Executor& executor, const graph::Weights& weights, const AttributionRequest& request,
                                          const std::vector<std::int64_t>& tokens)
{
    if (request.positions.size() > 1 && request.positions.size() != tokens.size())
        throw core::InputError(
            fmt::format("position: expected one for all samples or {}, one each, got {}", tokens.size(), request.positions.size()));
    const bool hasArrays = std::any_of(std::begin(kArrays), std::end(kArrays), [&](auto name) { return isArray(request.parameters, name); });
    std::optional<at::Tensor> whole;
    std::vector<AttributionRequest> rows;
    for (std::size_t row = 0; row < tokens.size(); ++row) {
        auto alone = request;
        alone.inputs = inputsOfRow(*executor.graph(), request.inputs, std::int64_t(row), tokens[row]);
        if (request.positions.size() > 1)
            alone.positions = {request.positions[row]};
        if (hasArrays) {
            if (!whole)
                whole = valueAt(executor, weights, request);
            cutArrays(alone.parameters, *whole, valueAt(executor, weights, alone));
        }
        rows.push_back(std::move(alone));
    }
    return rows;
}

AttributionResult stacked(std::vector<AttributionResult> rows, const at::Tensor& value)
{
    AttributionResult out;
    out.site = rows.at(0).site;
    out.value = value;
    const auto enlarged = [&](at::Tensor AttributionResult::*member) {
        return joined(rows, [&](const AttributionResult& row) {
            const at::Tensor one = row.*member;
            return one.defined() ? asInBatch(one, row.value, value) : one;
        });
    };
    out.attribution = enlarged(&AttributionResult::attribution);
    out.standardError = enlarged(&AttributionResult::standardError);
    out.outputs = joined(rows, [](const AttributionResult& row) { return row.outputs; });
    out.completenessError = joined(rows, [](const AttributionResult& row) { return row.completenessError; });
    std::vector<core::Json> details;
    for (const auto& row : rows) {
        out.targets.insert(out.targets.end(), row.targets.begin(), row.targets.end());
        out.positions.insert(out.positions.end(), row.positions.begin(), row.positions.end());
        details.push_back(row.details);
    }
    out.details = mergedDetails(details);
    out.rows = std::move(rows);
    return out;
}

core::Json mergedDetails(const std::vector<core::Json>& rows)
{
    if (!std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.is_object(); }))
        return mergedDetail(rows);
    std::set<std::string> keys;
    for (const auto& row : rows)
        for (const auto& [key, value] : row.items())
            keys.insert(key);
    auto merged = core::Json::object();
    for (const auto& key : keys) {
        std::vector<core::Json> each;
        for (const auto& row : rows)
            each.push_back(row.value(key, core::Json()));
        merged[key] = mergedDetail(each);
    }
    return merged;
}

void ofRow(std::size_t row, std::int64_t tokens, const std::function<void()>& work)
{
    try {
        work();
    } catch (const core::InputError& error) {
        throw core::InputError(fmt::format("row {} ({} tokens): {}", row, tokens, error.what()));
    }
}

Control controlOfRow(const Control& control, std::size_t row, std::size_t count)
{
    Control part;
    part.stop = control.stop;
    if (control.progress)
        part.progress = [progress = control.progress, row, count](double done, double total, const char*) {
            progress(double(row) + (total > 0 ? done / total : 0), double(count), "rows");
        };
    return part;
}

}  // namespace orrery::explain
