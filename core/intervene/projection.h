#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

#include <core/base/registry.h>

#include "activations.h"

namespace orrery::intervene {

/// Rows of a representation as points of a few axes.
struct Projection {
    at::Tensor points;   ///< [row, axis] double
    core::Json details;  ///< what the method reports: pca {"explained_variance_ratio": [...]}; umap {"a", "b", "epochs"}
};
/// @param features [row, feature]. `control.partial` gets the points as they move (umap), [row, axis].
using ProjectionMethod =
    std::function<Projection(const at::Tensor& features, const core::Json& parameters, std::uint64_t seed, const Control& control)>;

/// Family "projection": `pca`, `umap`. One line each in projection.cpp.
const core::Registry<ProjectionMethod>& projectionRegistry();
/// Checks the parameters and the rows and projects. @throws core::InputError for too few rows, numbers that are not finite, more axes than there can be;
/// core::DocumentError; core::Cancelled. Any thread.
Projection project(const std::string& method, const at::Tensor& features, const core::Json& parameters = core::Json::object(), std::uint64_t seed = 0,
                   const Control& control = {});

}  // namespace orrery::intervene
