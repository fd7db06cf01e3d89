#include "export_check.h"

#include <algorithm>

#include <core/base/plural.h>
#include <core/graph/inspect.h>
#include <core/graph/runnable.h>
#include <core/models/exporter.h>
#include <core/models/open_model.h>

namespace orrery::debug {
namespace {

/// The values inside tuples, lists and dictionaries, in order.
void appendLeaves(std::vector<c10::IValue>& out, const c10::IValue& value)
{
    if (value.isTuple())
        for (const auto& element : value.toTupleRef().elements())
            appendLeaves(out, element);
    else if (value.isList())
        for (const auto& element : value.toListRef())
            appendLeaves(out, element);
    else if (value.isGenericDict())
        for (const auto& entry : value.toGenericDict())
            appendLeaves(out, entry.value());
    else
        out.push_back(value);
}

std::vector<c10::IValue> outputsOf(const graph::Model& model, const std::vector<c10::IValue>& example, std::stop_token stop)
{
    graph::RunRequest request;
    request.inputs = example;
    request.stop = stop;
    std::vector<c10::IValue> leaves;
    for (const auto& output : graph::Executor(model.graph).run(model.weights, request).outputs)
        appendLeaves(leaves, output);
    return leaves;
}

ExportCheck compareWeights(const graph::Model& original, const graph::Weights& written)
{
    ExportCheck check;
    check.what = "tensors";
    for (const auto& parameter : original.graph->data().parameters) {
        const at::Tensor* const again = written.find(parameter.name);
        ValueDifference difference;
        if (again) {
            // NumPy has no bfloat16: such tensors come back as float32, with the same numbers.
            difference = compareValues(original.weights.at(parameter.name), *again, {.relative = 0, .absolute = 0, .equalNan = true});
        } else {
            difference.problem = "is not in the file";
        }
        difference.a = difference.b = parameter.name;
        check.values.push_back(std::move(difference));
    }
    if (check.values.empty())
        check.notCompared = "the model has no weights";
    return check;
}

ExportCheck compareOutputs(const graph::Model& original, const graph::Model& again, const std::vector<c10::IValue>& example, std::stop_token stop)
{
    ExportCheck check;
    const auto a = outputsOf(original, example, stop), b = outputsOf(again, example, stop);
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
        ValueDifference difference;
        if (i < a.size() && i < b.size())
            difference = compareValues(a[i], b[i], {.relative = {}, .absolute = {}, .equalNan = true});
        else
            difference.problem = i < a.size() ? "is not in the file" : "is in the file only";
        const auto& names = original.graph->data().outputNames;
        difference.a = difference.b = a.size() == names.size() && i < names.size() ? names[i] : fmt::format("output {}", i);
        check.values.push_back(std::move(difference));
    }
    return check;
}

}  // namespace

bool ExportCheck::agrees() const
{
    return notCompared.empty() && std::all_of(values.begin(), values.end(), [](const ValueDifference& value) { return value.isWithin(); });
}

std::string ExportCheck::text() const
{
    if (!notCompared.empty())
        return "not compared with the model: " + notCompared;
    const auto bad = std::find_if(values.begin(), values.end(), [](const ValueDifference& value) { return !value.isWithin(); });
    if (bad != values.end()) {
        const std::string how = bad->problem.empty() ? fmt::format("{} of {} elements beyond the tolerance, largest difference {:.3g}", bad->beyond,
                                                                   bad->elements, bad->maxAbsolute)
                                                     : bad->problem;
        return fmt::format("the file does not agree with the model: {}: {}", bad->a, how);
    }
    double largest = 0;
    for (const auto& value : values)
        largest = std::max(largest, value.maxAbsolute);
    const std::string count = core::counted(std::int64_t(values.size()), what == "tensors" ? "tensor" : "output");
    return largest == 0 ? fmt::format("opened again: {}, equal to the last bit", count)
                        : fmt::format("opened again: {}, the largest difference is {:.3g}", count, largest);
}

core::Json ExportCheck::toJson() const
{
    core::Json document = {{"agrees", agrees()}, {"what", what}, {"values", core::Json::array()}};
    if (!notCompared.empty())
        document["not_compared"] = notCompared;
    for (const auto& value : values)
        document["values"].push_back(value.toJson());
    return document;
}

ExportCheck checkExport(const graph::Model& original, const std::string& exporter, const std::filesystem::path& written,
                        std::vector<c10::IValue> example, std::stop_token stop)
{
    ExportCheck check;
    if (!models::exporterRegistry().factory(exporter).opensAgain) {
        check.notCompared = "this format is not read here";
        return check;
    }
    const auto again = models::openModel(written.string());
    if (graph::isWeightsAlone(*again.graph))
        return compareWeights(original, again.weights);
    if (example.empty())
        example = graph::exampleInputs(original);
    if (example.empty() && !original.graph->data().inputs.empty()) {
        check.notCompared = "the model's card does not say what its inputs look like";
        return check;
    }
    return compareOutputs(original, again, example, stop);
}

}  // namespace orrery::debug
