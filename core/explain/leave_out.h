#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include <core/graph/executor.h>
#include <core/graph/model.h>

/// Ablation by hand: parts of the input are left out, and the model answers to the rest.
namespace orrery::explain {

/// What is left out: elements of one value, set to a baseline. An element is a pixel (row * width + column, in all channels) of a value [batch, channel,
/// height, width], else an index of the second axis: a feature, or a position with its whole vector.
struct LeaveOut {
    std::string site;                    ///< exact name; see `defaultSite`
    std::vector<std::int64_t> elements;  ///< any order
    double baseline = 0;                 ///< in the numbers the model sees
};

/// Where methods attribute to by default: the first floating input, else a token model's embedding. Runs the model once.
/// @throws core::InputError for a model without such a value.
std::string defaultSite(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs,
                        std::stop_token stop = {});

/// Number of elements that can be left out of a value of this shape. @throws core::ShapeError without a second axis.
std::int64_t elementsOf(at::IntArrayRef shape);

/// The first output for the whole batch with these elements left out of every sample.
/// @throws core::InputError for an element outside or an unknown site, core::ShapeError, core::Cancelled, and what running the model throws. Any thread.
at::Tensor outputWithout(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs, const LeaveOut& what,
                         std::stop_token stop = {});

}  // namespace orrery::explain
