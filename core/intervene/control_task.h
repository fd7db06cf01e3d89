#pragma once
#include <ATen/core/Tensor.h>

#include <core/explain/attribution.h>

namespace orrery::intervene {

/// Lloyd's k-means from k-means++ centres, in float, at most 25 rounds; deterministic for a seed.
/// @param rows [row, feature]. @return centres [cluster, feature]; `clusters` is cut to the number of rows.
/// Source: Arthur & Vassilvitskii (2007), "k-means++: the advantages of careful seeding", SODA, pages 1027-1035.
at::Tensor kMeans(const at::Tensor& rows, std::int64_t clusters, std::uint64_t seed, const explain::Control& control = {});
/// Number of the nearest centre, [row] int64; ties go to the lower number.
at::Tensor nearestCentre(const at::Tensor& rows, const at::Tensor& centres);

}  // namespace orrery::intervene
