#pragma once
#include "linear_probe.h"

namespace orrery::intervene {

/// What a probe reads at each position of a text; one row for the whole text where the probe was fitted on whole sequences (mean, flatten).
struct TextReading {
    at::Tensor outputs;            ///< [row, output] double: the probe's own numbers
    at::Tensor read, probability;  ///< [row] of a logistic probe: the class and its probability by softmax; undefined for a ridge probe
    bool byPosition = true;
};

/// @param tokens  [1, position].
/// @throws core::InputError if the model lacks the probe's value, the value no positions, or the value holds numbers that are not finite; core::ShapeError for another
///         number of features; what running the model throws; core::Cancelled.
TextReading readText(const graph::Model& model, const graph::Executor& executor, const LinearProbe& probe, const at::Tensor& tokens,
                     const Control& control = {});

/// {"value", "kind", "label", "rows": [{"position", "token", "name", "read", "read_name", "probability"} or {..., "outputs": [...]}]}.
core::Json readingDocument(const TextReading& reading, const LinearProbe& probe, const graph::ModelCard& card, const at::Tensor& tokens);

}  // namespace orrery::intervene
