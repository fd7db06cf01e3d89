#include "stored.h"

#include <ATen/ATen.h>

#include <core/data/vocabulary.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

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

}  // namespace

at::Tensor forDisplay(const AttributionResult& result, const graph::ModelCard& card, std::int64_t row)
{
    at::Tensor shown = oneRow(result.attribution, row).to(at::kFloat);
    if (isTokenModel(result, card))
        shown = shown.to(at::kDouble).sum(-1).to(at::kFloat);
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
    const auto vocabulary = data::Vocabulary::fromJson(card.tokenizer);
    const at::Tensor numbers = oneRow(input, row).to(at::kLong).contiguous();
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < numbers.numel(); ++i)
        names.push_back(vocabulary.tokenText(numbers.data_ptr<std::int64_t>()[i]));
    return names;
}

std::int64_t storeAttribution(store::Workspace& workspace, store::RunId run, const std::string& method, const core::Json& parameters,
                              const AttributionOrigin& origin, const AttributionResult& result, const graph::ModelCard& card, double seconds,
                              std::int64_t row)
{
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
    if (const auto target = result.targets.at(std::size_t(row)); target >= 0)
        analysis.inputs["target"] = target;
    if (!origin.features.empty())
        analysis.inputs["features"] = origin.features;
    const at::Tensor shown = forDisplay(result, card, row);
    analysis.results = {{"site", result.site}, {"output", numberAt(result.outputs, row)}, {"sum", shown.to(at::kDouble).sum().item<double>()}};
    if (result.completenessError.defined())
        analysis.results["completeness_error"] = numberAt(result.completenessError, row);
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

}  // namespace orrery::explain
