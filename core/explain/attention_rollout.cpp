#include <ATen/ATen.h>

#include <core/base/text.h>

#include "methods.h"

namespace orrery::explain {
namespace {

// One matrix a sample from the heads' patterns [batch, head, query, key].
at::Tensor fused(const at::Tensor& pattern, const std::string& fusion)
{
    if (fusion == "max")
        return pattern.amax({1});
    return fusion == "min" ? pattern.amin({1}) : pattern.mean({1});
}

// The weakest links of each sample's matrix are cut.
at::Tensor withoutWeakest(const at::Tensor& matrix, double ratio)
{
    const auto links = matrix.flatten(1);
    const auto count = std::int64_t(ratio * double(links.size(1)));
    if (count == 0)
        return matrix;
    const auto weakest = std::get<1>(links.topk(count, 1, /*largest=*/false));
    return links.scatter(1, weakest, 0).reshape(matrix.sizes());
}

// Rows that sum to one; a row of which nothing is left hands its position on unchanged.
at::Tensor normalised(const at::Tensor& matrix)
{
    const auto sums = matrix.sum(-1, true);
    const auto identity = at::eye(matrix.size(-1), matrix.options()).expand_as(matrix);
    return at::where(sums.gt(0), matrix / sums, identity);
}

std::vector<std::string> patternNames(const ScalarFunction& function, const core::Json& parameters)
{
    const auto& graph = *function.executor().graph();
    std::vector<std::string> names;
    for (const auto id : graph.resolve(parameters.at("attention").get<std::string>()))
        names.push_back(graph.value(id).name);
    const auto start = parameters.at("start").get<std::int64_t>();
    if (start >= std::int64_t(names.size()))
        throw core::InputError(fmt::format("attention_rollout.start: expected 0..{} ({} attention patterns fit \"{}\"), got {}", names.size() - 1,
                                           names.size(), parameters.at("attention").get<std::string>(), start));
    names.erase(names.begin(), names.begin() + start);
    return names;
}

void checkPattern(const std::string& name, const at::Tensor& pattern, const at::Tensor& first)
{
    if (pattern.dim() != 4 || pattern.size(2) != pattern.size(3) || !at::isFloatingType(pattern.scalar_type()))
        throw core::ShapeError(fmt::format("attention_rollout: \"{}\": expected an attention pattern [batch, head, position, position], got {}", name,
                                           core::formatShape(pattern.sizes())));
    if (pattern.size(0) != first.size(0) || pattern.size(2) != first.size(2))
        throw core::ShapeError(fmt::format("attention_rollout: \"{}\": expected as many samples and positions as in the first pattern {}, got {}",
                                           name, core::formatShape(first.sizes()), core::formatShape(pattern.sizes())));
    if (!pattern.isfinite().all().item<bool>())
        throw core::InputError(fmt::format("attention_rollout: \"{}\" is not finite (NaN or infinity); expected finite input", name));
}

std::map<std::string, at::Tensor> patternsOf(const ScalarFunction& function, const std::vector<std::string>& names)
{
    PassRequest request;
    request.values = names;
    return function.forward(function.site(), function.value(), 1, request).values;
}

// A = A_n ... A_1 with A_i = (1 - residual) W_i + residual I, rows normalised: [batch, query, key].
at::Tensor rollout(const std::vector<std::string>& names, const std::map<std::string, at::Tensor>& patterns, const core::Json& parameters,
                   const Control& control)
{
    const auto residual = parameters.at("residual").get<double>(), discarded = parameters.at("discard_ratio").get<double>();
    at::Tensor joint;
    for (std::size_t i = 0; i < names.size(); ++i) {
        control.report(double(i), double(names.size()), "layers");
        const auto& pattern = patterns.at(names[i]);
        checkPattern(names[i], pattern, patterns.at(names[0]));
        const auto matrix = normalised(withoutWeakest(fused(pattern.to(at::kDouble), parameters.at("head_fusion").get<std::string>()), discarded));
        const auto identity = at::eye(matrix.size(-1), matrix.options());
        const auto mixed = (1 - residual) * matrix + residual * identity;
        joint = joint.defined() ? at::matmul(mixed, joint) : mixed;
    }
    control.report(double(names.size()), double(names.size()), "layers");
    return joint;
}

struct PatchGrid {
    std::int64_t rows = 0, columns = 0, leading = 0;  ///< positions before the patches: the class token
};

// Positions that tile the image, after at most one class token.
std::optional<PatchGrid> patchGrid(const at::Tensor& image, std::int64_t positions)
{
    if (image.dim() != 4)
        return {};
    for (const std::int64_t leading : {1, 0})
        for (std::int64_t rows = 1; rows <= positions - leading; ++rows) {
            const auto columns = (positions - leading) / rows;
            const bool tiles = rows * columns == positions - leading && image.size(2) % rows == 0 && image.size(3) % columns == 0 &&
                               image.size(2) / rows == image.size(3) / columns;
            if (tiles)
                return PatchGrid{rows, columns, leading};
        }
    return {};
}

at::Tensor overImage(const at::Tensor& row, const PatchGrid& grid, const at::Tensor& image)
{
    const auto patches = row.narrow(1, grid.leading, grid.rows * grid.columns).reshape({-1, 1, grid.rows, grid.columns});
    const auto scale = image.size(2) / grid.rows;
    return patches.repeat_interleave(scale, 2).repeat_interleave(scale, 3).expand_as(image).contiguous();
}

/// Whose row is taken: one position for all samples, or one each.
std::vector<std::int64_t> queriesOf(const ScalarFunction& function, const core::Json& parameters, std::int64_t positions)
{
    const auto wanted = parameters.at("query");
    if (!wanted.is_null()) {
        if (wanted.get<std::int64_t>() >= positions)
            throw core::InputError(fmt::format("attention_rollout.query: expected 0..{}, got {}", positions - 1, wanted.dump()));
        return {wanted.get<std::int64_t>()};
    }
    // A model of sequences is explained at a position; one answer for the whole sample is read from the first, the class token.
    const auto& output = function.executor().graph()->data().body.outputs.at(function.request().output);
    const bool isSequence = function.valueOf(function.executor().graph()->value(output.value).name).dim() == 3;
    if (!isSequence)
        return {0};
    return function.request().positions.empty() ? std::vector<std::int64_t>{positions - 1} : function.request().positions;
}

AttributionResult attentionRollout(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    at::NoGradGuard noGrad;
    const auto names = patternNames(function, parameters);
    const auto joint = rollout(names, patternsOf(function, names), parameters, control);
    const auto row = atPositions(joint, queriesOf(function, parameters, joint.size(1)));
    const auto& input = function.request().inputs.at(0).toTensor();
    AttributionResult result;
    result.site = function.executor().graph()->data().inputs.at(0).name;
    result.value = input;
    const auto grid = parameters.at("layout") == "auto" ? patchGrid(input, row.size(1)) : std::nullopt;
    result.attribution = grid ? overImage(row.to(input.scalar_type()), *grid, input) : row.to(at::kFloat);
    result.details = {{"patterns", names}, {"positions", row.size(1)}};
    if (grid && grid->leading)
        result.details["class_token_share"] = row.select(1, 0).mean().item<double>();
    return result;
}

}  // namespace

void addAttentionRollout(AttributionRegistry& registry)
{
    core::Component component{
        "attention_rollout",
        "Attention rollout",
        "How much of each position reaches the explained one when attention is followed through all layers, residual path included; the target plays "
        "no part.",
        "Abnar & Zuidema (2020), \"Quantifying Attention Flow in Transformers\", arXiv:2005.00928, section 3",
        {core::text("attention", "blocks.*.attn.softmax",
                    "Values that hold the attention patterns [batch, head, query, key], first layer first: a glob."),
         core::choice("head_fusion", {"mean", "max", "min"}, "mean", "How the heads of a layer become one matrix; the paper takes the mean."),
         core::real("discard_ratio", 0, "Share of each layer's weakest links that are cut.").range(0, 1).below(1),
         core::real("residual", 0.5, "Share of the residual path in each layer.").range(0, 1),
         core::integer("start", 0, "First layer that counts.").atLeast(0),
         core::integer("query", 0, "Position whose row is taken; none: the explained position of a sequence, else 0, the class token.")
             .atLeast(0)
             .noneByDefault(),
         core::choice("layout", {"auto", "positions"}, "auto",
                      "auto: patches are laid over the image they were cut from; positions: one number a position.")}};
    registry.add(std::move(component), attentionRollout);
}

}  // namespace orrery::explain
