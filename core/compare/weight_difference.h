#pragma once
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include <core/graph/weights.h>

#include "graph_difference.h"

namespace orrery::compare {

/// How one tensor differs between two models. Everything is computed in double over all elements; a pair that is not finite in both and not equal counts
/// in `notFinite` and enters no other number.
struct TensorDifference {
    std::string first, second;  ///< names; empty where there is none
    std::vector<std::int64_t> firstShape, secondShape;
    std::string firstType, secondType;  ///< "float32"
    Change change = Change::Same;       ///< Changed: values or shape differ
    std::int64_t count = 0;             ///< elements compared; 0 where the shapes differ
    std::int64_t differing = 0;         ///< elements with |a - b| > tolerance
    std::int64_t notFinite = 0;
    double largest = 0;                   ///< max |a - b|
    double mean = 0;                      ///< mean |a - b|
    double relative = 0;                  ///< ||a - b|| / ||a||; 0 where both are zero, infinite where only a is
    double cosine = 1;                    ///< <a, b> / (||a|| ||b||); 1 where both are zero, 0 where one is
    double norm = 0;                      ///< ||a||
    double low = 0, high = 0;             ///< of a - b
    std::vector<std::int64_t> histogram;  ///< of a - b: equal bins over [low, high]
    bool sameShape() const { return firstShape == secondShape; }
    core::Json toJson() const;
};

struct WeightOptions {
    double tolerance = 0;  ///< |a - b| up to this is the same
    int bins = 64;
};

/// One tensor against another. @throws core::ShapeError if the shapes differ, core::Cancelled.
TensorDifference compareTensors(const at::Tensor& first, const at::Tensor& second, const WeightOptions& options = {}, std::stop_token stop = {});

/// Every tensor of both, in the order of names; `partners` names what belongs together (empty: equal names). A tensor is read piece by piece, so that
/// mapped weights need no memory of their size. Any thread. @throws core::Cancelled.
std::vector<TensorDifference> compareWeights(const graph::Weights& first, const graph::Weights& second,
                                             const std::map<std::string, std::string>& partners = {}, const WeightOptions& options = {},
                                             std::stop_token stop = {});

}  // namespace orrery::compare
