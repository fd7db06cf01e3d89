#include "projection.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/text.h>

#include "pca.h"
#include "umap.h"

namespace orrery::intervene {
namespace {

std::vector<double> doublesOf(const at::Tensor& tensor)
{
    const at::Tensor plain = tensor.contiguous();
    return {plain.data_ptr<double>(), plain.data_ptr<double>() + plain.numel()};
}

Projection byPca(const at::Tensor& features, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const auto pca = fitPca(features, parameters.at("n_components").get<std::int64_t>(), control);
    return {pca.transform(features),
            {{"explained_variance", doublesOf(pca.explainedVariance)}, {"explained_variance_ratio", doublesOf(pca.explainedVarianceRatio)}}};
}

core::Registry<ProjectionMethod> makeProjections()
{
    core::Registry<ProjectionMethod> registry("projection", "Projections to a few axes");
    registry.add({"pca", "PCA", "Directions of largest variance.",
                  "Jolliffe & Cadima (2016), \"Principal component analysis: a review and recent developments\", doi:10.1098/rsta.2015.0202",
                  core::Schema{core::integer("n_components", 2, "Number of axes.").range(1, 1000)}},
                 byPca);
    registry.add(
        {"umap", "UMAP", "Keeps each sample near its nearest neighbours.",
         "McInnes, Healy & Melville (2018), \"UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction\", arXiv:1802.03426",
         umapSchema()},
        umap);
    return registry;
}

}  // namespace

const core::Registry<ProjectionMethod>& projectionRegistry()
{
    static const auto kRegistry = makeProjections();
    return kRegistry;
}

Projection project(const std::string& method, const at::Tensor& features, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    const at::NoGradGuard noGrad;
    const auto& make = projectionRegistry().factory(method);
    const auto resolved = projectionRegistry().at(method).schema.resolve(parameters, method);
    if (features.dim() != 2)
        throw core::ShapeError(fmt::format("{}: expected [row, feature], got {}", method, core::formatShape(features.sizes())));
    if (features.size(0) < 3)
        throw core::InputError(fmt::format("{}: expected at least 3 rows, got {}", method, features.size(0)));
    requireFinite(features, method);
    return make(features, resolved, seed, control);
}

}  // namespace orrery::intervene
