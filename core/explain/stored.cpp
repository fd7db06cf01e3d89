#include "stored.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fmt/format.h>

#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/text/card_tokenizer.h>

namespace orrery::explain {
namespace {

bool isTokenModel(const AttributionResult& result, const graph::ModelCard& card)
{
    return !card.inputs.empty() && card.inputs[0].kind == "tokens" && result.site != card.inputs[0].name && result.attribution.dim() >= 3;
}

at::Tensor oneRow(const at::Tensor& tensor, std::int64_t row)
{
    const at::Tensor plain = tensor.detach().to(at::kCPU);
    return plain.dim() > 0 ? plain.select(0, row) : plain;
}

core::Json numberAt(const at::Tensor& tensor, std::int64_t row)
{
    return tensor.defined() ? core::Json(tensor.to(at::kCPU, at::kDouble).reshape(-1)[row].item<double>()) : core::Json();
}

const char* const kSumOverFeatures = "sum_over_features";

}  // namespace

bool repeatsFeatures(const core::Json& details)
{
    return details.is_object() && details.contains(kSumOverFeatures);
}

std::vector<double> attributionSums(const AttributionResult& result)
{
    const auto rows = std::int64_t(result.targets.size());
    if (repeatsFeatures(result.details))
        if (auto sums = result.details.at(kSumOverFeatures).get<std::vector<double>>(); std::int64_t(sums.size()) == rows)
            return sums;
    const at::Tensor whole = result.attribution.detach().to(at::kCPU, at::kDouble);
    const bool isByRow = whole.dim() > 0 && whole.size(0) == rows;
    const at::Tensor sums = (isByRow ? whole.reshape({rows, -1}).sum(1) : whole.sum().reshape({1})).contiguous();
    return {sums.data_ptr<double>(), sums.data_ptr<double>() + sums.numel()};
}

at::Tensor together(const at::Tensor& attribution, std::int64_t axis, const core::Json& details)
{
    return repeatsFeatures(details) ? attribution.mean(axis) : attribution.sum(axis);
}

at::Tensor forDisplay(const AttributionResult& result, const graph::ModelCard& card, std::int64_t row)
{
    at::Tensor shown = oneRow(result.attribution, row).to(at::kFloat);
    if (isTokenModel(result, card))
        shown = together(shown.to(at::kDouble), -1, result.details).to(at::kFloat);
    return shown.contiguous();
}

at::Tensor inputForDisplay(const AttributionResult& result, const graph::ModelCard& card, std::int64_t row)
{
    return isTokenModel(result, card) ? at::Tensor() : oneRow(result.value, row).to(at::kFloat).contiguous();
}

std::vector<std::string> attributedNames(const graph::ModelCard& card, const at::Tensor& input, std::int64_t row)
{
    const bool tokens = !card.inputs.empty() && card.inputs[0].kind == "tokens" && card.tokenizer.is_object();
    if (!tokens)
        return card.featureNames;
    const auto tokenizer = text::requiredTokenizer(card);
    const at::Tensor numbers = oneRow(input, row).to(at::kLong).contiguous();
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < numbers.numel(); ++i)
        names.push_back(tokenizer->tokenText(numbers.data_ptr<std::int64_t>()[i]));
    return names;
}

std::int64_t storeAttribution(store::Workspace& workspace, store::RunId run, const std::string& method, const core::Json& parameters,
                              const AttributionOrigin& origin, const AttributionResult& result, const graph::ModelCard& card, double seconds,
                              std::int64_t row)
{
    // A text of a batch is kept without what filled it up.
    if (!result.rows.empty())
        return storeAttribution(workspace, run, method, parameters, origin, result.rows.at(std::size_t(row)), card, seconds, 0);
    store::NewAnalysis analysis;
    analysis.run = run;
    analysis.method = method;
    analysis.parameters = parameters;
    analysis.seconds = seconds;
    analysis.inputs = {{"model", origin.model}};
    if (!origin.data.is_null())
        analysis.inputs.update({{"data", origin.data}, {"split", origin.split}});
    if (origin.sample)
        analysis.inputs["sample"] = *origin.sample;
    if (!origin.input.empty())
        analysis.inputs["input"] = origin.input;
    analysis.inputs.update(train::textDocument(origin.texts));
    if (origin.position)
        analysis.inputs["position"] = *origin.position;
    if (const auto target = result.targets.at(std::size_t(row)); target >= 0)
        analysis.inputs["target"] = target;
    if (!origin.features.empty())
        analysis.inputs["features"] = origin.features;
    if (!origin.at.empty())
        analysis.inputs["at"] = origin.at;
    const at::Tensor shown = forDisplay(result, card, row);
    analysis.results = {{"site", result.site}, {"output", numberAt(result.outputs, row)}, {"sum", attributionSums(result).at(std::size_t(row))}};
    if (result.completenessError.defined())
        analysis.results["completeness_error"] = numberAt(result.completenessError, row);
    if (result.standardError.defined())
        analysis.results["standard_error"] = result.standardError.select(0, row).to(at::kDouble).max().item<double>();
    if (result.targets.size() > 1)
        analysis.results["row"] = row;  // the details are those of all samples
    if (!result.details.is_null())
        analysis.results["details"] = result.details;
    if (!origin.targetName.empty())
        analysis.results["target_name"] = origin.targetName;
    const std::int64_t id = workspace.addAnalysis(analysis);
    workspace.addAnalysisArtifact(id, {"attribution", "application/x-npy", {}}, io::npyBytes(io::toArray(shown)));
    if (const at::Tensor input = inputForDisplay(result, card, row); input.defined())
        workspace.addAnalysisArtifact(id, {"input", "application/x-npy", {}}, io::npyBytes(io::toArray(input)));
    return id;
}

namespace {

constexpr const char* kMetrics = "metrics";

const store::Artifact* findArtifact(const store::Analysis& analysis, const std::string& name)
{
    const auto found = std::find_if(analysis.artifacts.begin(), analysis.artifacts.end(), [&](const auto& one) { return one.name == name; });
    return found == analysis.artifacts.end() ? nullptr : &*found;
}

core::Json metricsOf(const store::Workspace& workspace, const store::Analysis& analysis)
{
    const auto* artifact = findArtifact(analysis, kMetrics);
    if (!artifact)
        return core::Json::object();
    const auto metrics = core::Json::parse(workspace.readArtifact(*artifact), nullptr, false);
    if (!metrics.is_object())
        throw core::FormatError(fmt::format("analysis {}, metrics: expected a JSON object", analysis.id));
    return metrics;
}

}  // namespace

void storeMetrics(store::Workspace& workspace, std::int64_t analysis, const std::vector<MeasuredMetric>& metrics)
{
    if (metrics.empty())
        return;
    const auto record = workspace.analysis(analysis);
    auto all = core::Json::object();
    try {
        all = metricsOf(workspace, record);
    } catch (const core::FormatError&) {
        // Damaged: what is measured now takes its place.
    } catch (const core::StorageError&) {
    }
    for (const auto& metric : metrics)
        all[metric.id] = toJson(metric);
    workspace.addAnalysisArtifact(analysis, {kMetrics, "application/json", {}}, all.dump());
}

StoredAttribution readAttribution(const store::Workspace& workspace, std::int64_t analysis)
{
    StoredAttribution stored;
    stored.analysis = workspace.analysis(analysis);
    const auto* artifact = findArtifact(stored.analysis, "attribution");
    if (!artifact)
        throw core::InputError(fmt::format("analysis {}: expected an attribution, found {}", analysis, stored.analysis.method));
    stored.attribution = io::toTensor(io::parseNpy(workspace.readArtifact(*artifact), fmt::format("analysis {}, attribution", analysis)));
    stored.metrics = metricsOf(workspace, stored.analysis);
    return stored;
}

}  // namespace orrery::explain
