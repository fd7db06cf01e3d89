#include "results.h"

#include <ATen/ATen.h>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/text/card_tokenizer.h>
#include <core/text/unicode.h>

namespace orrery::intervene {
namespace {

using core::Json;

constexpr std::string_view kPrefix = "interventions/";
constexpr std::int64_t kLargestInside = 1'000'000;

double largestOf(const at::Tensor& tensor)
{
    return tensor.numel() ? tensor.abs().max().item<double>() : 0.0;
}

Json describeValues(const InterventionResult& result)
{
    auto list = Json::array();
    for (const auto& [name, pair] : result.values) {
        Json json = {{"name", name}, {"shape", pair.second.sizes().vec()}};
        if (pair.first.sizes() == pair.second.sizes()) {
            const auto before = pair.first.to(at::kDouble), difference = pair.second.to(at::kDouble) - before;
            const double size = before.norm().item<double>();
            json["largest_difference"] = largestOf(difference);
            json["relative_difference"] = size > 0 ? Json(difference.norm().item<double>() / size) : Json();
        }
        list.push_back(std::move(json));
    }
    return list;
}

Json describeChanges(const std::vector<OutputChange>& changes, const graph::ModelCard& card, graph::OutputKind kind)
{
    const std::string number = kind == graph::OutputKind::Logits ? "logit" : "log_probability";
    auto list = Json::array();
    for (const auto& change : changes)
        list.push_back({{"class", change.index},
                        {"name", outputName(card, change.index)},
                        {"before", change.before},
                        {"after", change.after},
                        {number + "_before", change.logitBefore},
                        {number + "_after", change.logitAfter}});
    return list;
}

Json numbers(const at::Tensor& tensor)
{
    const auto flat = tensor.to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
}

Json describeSample(const InterventionResult& result, const graph::ModelCard& card, std::size_t top, std::int64_t sample,
                    std::optional<std::int64_t> position)
{
    const auto before = outputRow(result.plain, sample, position), after = outputRow(result.intervened, sample, position);
    if (!result.divergence.defined())
        return {{"before", numbers(before)}, {"after", numbers(after)}};
    auto divergence = result.divergence.select(0, sample);
    if (divergence.dim() == 1)
        divergence = divergence.select(0, position.value_or(divergence.size(0) - 1));
    return {{"divergence", divergence.item<double>()},
            {"changes",
             describeChanges(topChanges(graph::classLogits(before, result.kind), graph::classLogits(after, result.kind), top), card, result.kind)}};
}

Json nestedList(const at::Tensor& tensor)
{
    if (tensor.dim() == 0)
        return tensor.item<double>();
    auto list = Json::array();
    for (std::int64_t i = 0; i < tensor.size(0); ++i)
        list.push_back(nestedList(tensor[i]));
    return list;
}

store::ArtifactSpec documentSpec(const std::string& name)
{
    if (core::trim(name).empty() || name.find('/') != std::string::npos)
        throw core::InputError(fmt::format("name of a kept document: expected some letters without \"/\", got \"{}\"", name));
    return {std::string(kPrefix) + name, "application/json", {}};
}

}  // namespace

bool answersAreTokens(const graph::ModelCard& card)
{
    return card.task == "language_model" || card.task == "masked_language_model" || card.task == "sequence_to_sequence";
}

std::string outputName(const graph::ModelCard& card, std::int64_t index)
{
    if (index >= 0 && std::size_t(index) < card.classNames.size())
        return card.classNames[std::size_t(index)];
    const auto tokenizer = answersAreTokens(card) ? text::tokenizerOf(card) : nullptr;
    return tokenizer ? tokenizer->tokenText(index) : std::to_string(index);
}

Json describeResult(const InterventionResult& result, const graph::ModelCard& card, std::size_t top, std::optional<std::int64_t> position,
                    const std::vector<std::int64_t>& answers)
{
    const auto positionOf = [&](std::int64_t sample) {
        const bool isKnown = std::size_t(sample) < answers.size() && result.plain.dim() == 3 && answers[std::size_t(sample)] < result.plain.size(1);
        return !position && isKnown ? std::optional(answers[std::size_t(sample)]) : position;
    };
    Json json = {{"changed", result.changed}, {"shape", result.intervened.sizes().vec()}, {"samples", Json::array()}};
    for (std::int64_t sample = 0; result.plain.dim() > 0 && sample < result.plain.size(0); ++sample) {
        const auto at = positionOf(sample);
        json["samples"].push_back(describeSample(result, card, top, sample, at));
        if (result.plain.dim() == 3)
            json["samples"].back()["position"] = at.value_or(result.plain.size(1) - 1);
    }
    json["values"] = describeValues(result);
    return json;
}

Json describeGeneration(const GenerationResult& result, const graph::ModelCard& card)
{
    Json json = {{"text", nullptr}, {"tokens", Json::array()}, {"stopped", result.stopped}};
    if (const auto tokenizer = text::tokenizerOf(card))
        json["text"] = text::withReplacements(tokenizer->decode(result.newTokens()));
    for (const auto& token : result.tokens)
        json["tokens"].push_back({{"token", token.token}, {"text", outputName(card, token.token)}, {"probability", token.probability}});
    return json;
}

std::int64_t storeIntervention(store::Workspace& workspace, store::RunId run, const InterventionDocument& document, const Json& inputs,
                               const Json& results, const at::Tensor& plain, const at::Tensor& intervened, double seconds)
{
    store::NewAnalysis analysis;
    analysis.run = run;
    analysis.method = "intervene";
    analysis.inputs = inputs;
    analysis.parameters = document.toJson();
    analysis.results = results;
    analysis.seconds = seconds;
    const auto id = workspace.addAnalysis(analysis);
    workspace.addAnalysisArtifact(id, {"interventions", "application/json", {}}, document.toJson().dump(2));
    for (const auto& [name, tensor] : {std::pair{"plain", plain}, {"intervened", intervened}})
        if (tensor.defined())
            workspace.addAnalysisArtifact(id, {name, "application/x-npy", {}}, io::npyBytes(io::toArray(tensor)));
    return id;
}

void saveDocument(store::Workspace& workspace, store::RunId run, const std::string& name, const InterventionDocument& document)
{
    workspace.addArtifact(run, documentSpec(name), document.toJson().dump(2));
}

std::vector<std::string> documentsOfRun(const store::Workspace& workspace, store::RunId run)
{
    std::vector<std::string> names;
    for (const auto& artifact : workspace.artifacts(run))
        if (artifact.name.starts_with(kPrefix))
            names.push_back(artifact.name.substr(kPrefix.size()));
    return names;
}

InterventionDocument documentOfRun(const store::Workspace& workspace, store::RunId run, const std::string& name)
{
    const auto artifact = workspace.findArtifact(run, documentSpec(name).name);
    if (!artifact) {
        const auto names = documentsOfRun(workspace, run);
        throw core::InputError(fmt::format("run {} keeps no interventions \"{}\"{}; {}", run, name, core::didYouMean(name, names),
                                           names.empty() ? "it keeps none" : "it keeps " + core::join(names, ", ")));
    }
    const auto json = Json::parse(workspace.readArtifact(*artifact), nullptr, false);
    if (json.is_discarded())
        throw core::FormatError(fmt::format("run {}, interventions \"{}\": expected JSON", run, name));
    return InterventionDocument::fromJson(json);
}

InterventionDocument withArraysInside(InterventionDocument document, const std::filesystem::path& folder)
{
    for (auto& intervention : document.interventions)
        for (const char* key : {"value", "directions"}) {
            if (!intervention.parameters.contains(key) || !intervention.parameters[key].is_string())
                continue;
            const auto file = intervention.parameters[key].get<std::string>();
            const auto tensor = io::toTensor(io::readNpy(core::resolvePath(file, folder))).to(at::kDouble);
            if (tensor.numel() > kLargestInside)
                throw core::InputError(
                    fmt::format("{}: expected at most {} numbers to be kept inside a document, got {}", file, kLargestInside, tensor.numel()));
            intervention.parameters[key] = nestedList(tensor);
        }
    return document;
}

}  // namespace orrery::intervene
