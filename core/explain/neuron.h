#pragma once
#include "attribution.h"

/// One number inside a model: a unit of a layer's value.
namespace orrery::explain {

/// `layer` (pattern of one value) and `neuron` (index on each axis of one sample's value).
std::vector<core::Parameter> neuronParameters();

struct Neuron {
    std::string layer;                ///< exact name
    std::vector<std::int64_t> index;  ///< one on each axis but the first
    at::Tensor value;                 ///< [batch], at the request's inputs
    /// [rows] of the layer's value [rows, ...].
    at::Tensor of(const at::Tensor& layerValue) const;
    /// The layer among the values of a pass. @throws core::InputError if it takes no part in a backward pass.
    const at::Tensor& layerIn(const std::map<std::string, at::Tensor>& values) const;
};
/// @throws core::InputError for a pattern that does not name one value, an index of the wrong length or out of range, a layer that does not begin with the batch
/// or does not depend on the function's site.
Neuron neuronOf(const ScalarFunction& function, const core::Json& parameters, const char* method);

}  // namespace orrery::explain
