#pragma once
#include <ATen/core/Tensor.h>

#include "activations.h"

namespace orrery::intervene {

/// The nearest rows of every row.
struct Neighbours {
    at::Tensor indices;    ///< [row, k] int64, the row itself left out, nearest first; ties go to the lower number
    at::Tensor distances;  ///< [row, k] double, Euclidean
};
/// Exact: every pair is looked at, in blocks of products; the candidates' distances are computed again in double.
/// @param features [row, feature]. @throws core::InputError unless 1 <= k < rows; core::Cancelled.
Neighbours nearestNeighbours(const at::Tensor& features, std::int64_t k, const Control& control = {});

/// Trustworthiness of a projection: 1 where no row has a neighbour among its `k` nearest on the picture that is far in the features; 0.5 is about chance.
/// Rows that are equally far count by their number. Cost O(rows^2 log rows): meant for a few thousand rows.
/// @throws core::InputError unless 1 <= k < rows / 2.
/// Source: Venna & Kaski (2001), "Neighborhood Preservation in Nonlinear Projection Methods: An Experimental Study", doi:10.1007/3-540-44668-0_68.
double trustworthiness(const at::Tensor& features, const at::Tensor& points, std::int64_t k = 15, const Control& control = {});

}  // namespace orrery::intervene
