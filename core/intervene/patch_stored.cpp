#include "patch_stored.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

#include "residual.h"
#include "results.h"

namespace orrery::intervene {
namespace {

bool takesTokens(const graph::ModelCard& card)
{
    return !card.inputs.empty() && card.inputs[0].kind == "tokens";
}

bool holdsTokens(const std::vector<c10::IValue>& inputs)
{
    return !inputs.empty() && inputs[0].isTensor() && inputs[0].toTensor().dim() == 2 && !at::isFloatingType(inputs[0].toTensor().scalar_type());
}

}  // namespace

std::string answerName(const graph::ModelCard& card, std::int64_t index)
{
    if (index >= 0 && std::size_t(index) < card.classNames.size())
        return card.classNames[std::size_t(index)];
    return answersAreTokens(card) ? tokenName(card, index) : std::to_string(index);
}

std::int64_t answerNumber(const graph::ModelCard& card, const std::string& text)
{
    const auto named = std::find(card.classNames.begin(), card.classNames.end(), text);
    if (named != card.classNames.end())
        return named - card.classNames.begin();
    if (answersAreTokens(card))
        return tokenNumber(card, text);
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
        throw core::InputError(fmt::format("\"{}\": expected the name or the number of a class{}", text, core::didYouMean(text, card.classNames)));
    return std::stoll(text);
}

std::vector<std::int64_t> differingPositions(const PatchRequest& request)
{
    std::vector<std::int64_t> positions;
    if (!holdsTokens(request.clean) || !holdsTokens(request.corrupted) ||
        request.clean[0].toTensor().sizes() != request.corrupted[0].toTensor().sizes())
        return positions;
    const at::Tensor differs = request.clean[0].toTensor()[0].ne(request.corrupted[0].toTensor()[0]).to(at::kCPU);
    for (std::int64_t i = 0; i < differs.size(0); ++i)
        if (differs[i].item<bool>())
            positions.push_back(i);
    return positions;
}

std::vector<std::string> columnLabels(const graph::ModelCard& card, const PatchRequest& request, const PatchMap& map)
{
    std::vector<std::string> labels, clean, corrupted;
    if (map.unit == "position" && takesTokens(card) && holdsTokens(request.clean) && holdsTokens(request.corrupted)) {
        clean = tokenNames(card, request.clean[0].toTensor()[0]);
        corrupted = tokenNames(card, request.corrupted[0].toTensor()[0]);
    }
    for (const auto column : map.columns) {
        const auto index = std::size_t(column);
        if (column < 0)
            labels.push_back("all");
        else if (index >= clean.size() || index >= corrupted.size())
            labels.push_back(std::to_string(column));
        else
            labels.push_back(clean[index] == corrupted[index] ? clean[index] : clean[index] + " \u2192 " + corrupted[index]);
    }
    return labels;
}

std::int64_t storePatching(store::Workspace& workspace, store::RunId run, const PatchOrigin& origin, const PatchResult& result)
{
    store::NewAnalysis analysis;
    analysis.run = run;
    analysis.method = "patching";
    analysis.inputs = {{"model", origin.model}, {"clean", origin.clean}, {"corrupted", origin.corrupted}};
    analysis.parameters = result.settings;
    analysis.results = result.summary();
    analysis.results.erase("settings");
    analysis.seconds = result.seconds;
    const auto id = workspace.addAnalysis(analysis);
    for (std::size_t i = 0; i < result.maps.size(); ++i)
        workspace.addAnalysisArtifact(id, {fmt::format("patching_{}", i), "application/x-npy", {}}, io::npyBytes(io::toArray(result.maps[i].cells)));
    return id;
}

}  // namespace orrery::intervene
