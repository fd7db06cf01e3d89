#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>

#include <core/graph/model.h>

/// Arrays that are given to a model as its inputs.
namespace orrery::models {

/// An axis that the model card gives as a number must have that length; a word (batch, height) fits any.
/// @throws core::ShapeError: "--input x.npy: expected [batch, 3] for the model's input "table", got [1, 2]".
void checkShape(at::IntArrayRef shape, const graph::ModelCard::Input& expected, const std::string& place);

/// An array as input `index` of a model: whole numbers where the model reads them; where the card does not know the dtype, floating numbers become the model's own and others stay.
/// @param place  What was given, for messages. @throws core::InputError for numbers of another kind, core::ShapeError where the card says another shape.
at::Tensor asModelReads(const at::Tensor& tensor, const graph::Model& model, std::size_t index, const std::string& place);

/// An input that is no tensor but one number or truth value, as a TorchScript file declares it: "int", "float" or "bool"; empty for tensors.
std::string scalarKind(const graph::Model& model, std::size_t index);
/// Such an input of a word: 5, 0.25, true. Nothing if the word is none of that kind.
std::optional<c10::IValue> scalarFromWord(const std::string& word, const std::string& kind);
/// Such an input of an array with one element. @throws core::InputError for more elements or another kind of number.
c10::IValue scalarFromArray(const at::Tensor& tensor, const std::string& kind, const std::string& place);

/// How many elements are NaN or infinite.
std::int64_t notFinite(const at::Tensor& tensor);

}  // namespace orrery::models
