#include "client_document.h"

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/executor.h>
#include <core/io/json_memory.h>

namespace orrery::models {
namespace {

constexpr double kEqual = 1e-4;  ///< of the largest output

at::Tensor tensorOf(const core::Json& json, const std::string& dtype)
{
    const auto shape = json.at("shape").get<std::vector<std::int64_t>>();
    const auto values = json.at("values").get<std::vector<double>>();
    double elements = 1;
    for (const auto size : shape) {
        if (size < 0)
            throw core::FormatError(fmt::format("expected sizes of at least 0, found {}", size));
        elements *= double(size);
    }
    if (elements != double(values.size()))
        throw core::FormatError(fmt::format("expected {} numbers for shape {}, found {}", elements, core::formatShape(shape), values.size()));
    return at::tensor(values, at::kDouble).to(graph::dtypeFromName(dtype)).reshape(shape);
}

void mergeCard(graph::ModelCard& card, const core::Json& json)
{
    const auto given = graph::ModelCard::fromJson(json);
    if (!given.title.empty())
        card.title = given.title;
    if (!given.task.empty())
        card.task = given.task;
    card.classNames = given.classNames;
    card.featureNames = given.featureNames;
    card.tokenizer = given.tokenizer;
    card.canonicalNames = given.canonicalNames;
    for (const auto& input : given.inputs)
        for (auto& own : card.inputs)
            if (own.name == input.name) {
                own.preprocessing = input.preprocessing;
                if (input.kind != "float")
                    own.kind = input.kind;
                if (own.shape.empty())
                    own.shape = input.shape;
            }
}

/// The largest difference relative to the largest value; infinite where shapes differ.
double difference(const at::Tensor& ours, const at::Tensor& theirs)
{
    if (ours.sizes() != theirs.sizes())
        return std::numeric_limits<double>::infinity();
    if (ours.numel() == 0)
        return 0;
    const auto a = ours.to(at::kDouble), b = theirs.to(at::kDouble);
    const double scale = std::max(1.0, b.abs().max().item<double>());
    return (a - b).abs().max().item<double>() / scale;
}

std::string checkedExample(ImportedModel& imported, const core::Json& example)
{
    auto& model = imported.model;
    graph::RunRequest request;
    core::Json stored = core::Json::object();
    const auto& inputs = model.graph->data().inputs;
    const auto& given = example.at("inputs");
    if (!given.is_array() || given.size() != inputs.size())
        throw core::FormatError(fmt::format("expected {} inputs, found {}", inputs.size(), given.size()));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        request.inputs.emplace_back(tensorOf(given[i], given[i].value("dtype", "float32")));
        stored[inputs[i].name] = {{"shape", given[i].at("shape")}, {"values", given[i].at("values")}};
    }
    model.card.example = std::move(stored);
    const auto result = graph::Executor(model.graph).run(model.weights, request);
    const auto& outputs = example.at("outputs");
    if (!outputs.is_array() || outputs.size() != result.outputs.size())
        throw core::FormatError(fmt::format("expected {} outputs, found {}", result.outputs.size(), outputs.size()));
    double farthest = 0;
    for (std::size_t i = 0; i < outputs.size(); ++i)
        if (result.outputs[i].isTensor())
            farthest = std::max(farthest, difference(result.outputs[i].toTensor(), tensorOf(outputs[i], "float64")));
    if (farthest <= kEqual)
        return fmt::format("output of the example: equal to {:.1g}", farthest);
    return fmt::format("output of the example: differs by {:.2g} of its largest value from what the model gave in Python", farthest);
}

}  // namespace

void applyClientDocument(ImportedModel& imported, std::string_view text)
{
    const auto note = [&](const std::string& what) { imported.notes.push_back(what); };
    try {
        const auto document = io::parseGuarded<core::Json>(text, io::JsonMemory(kClientDocument, io::fileMemory(text.size())));
        if (document.contains("card"))
            mergeCard(imported.model.card, document["card"]);
        if (document.contains("example") && document["example"].is_object())
            note(checkedExample(imported, document["example"]));
    } catch (const nlohmann::json::exception& error) {
        note(fmt::format("{} in the archive is broken and was not used: {}", kClientDocument, error.what()));
    } catch (const core::Error& error) {
        note(fmt::format("the example in the archive was not checked: {}", error.what()));
    }
}

}  // namespace orrery::models
