#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include <core/graph/model.h>

namespace orrery::cli {

/// Reads one array by the file's ending: .npy; .npz, .safetensors (one array, or the one called `entry`); .csv (numbers, header row skipped); .png, .jpg, .webp ([1, channel, height, width] float, 0..1).
/// @throws core::InputError for another ending, core::FormatError, core::StorageError.
at::Tensor readArray(const std::string& file, const std::string& entry = {});
/// Writes by ending: .npy; .safetensors (entry "tensor"); .csv (up to two axes); .png (two axes, or [channel, height, width] with 1 or 3 channels, scaled from its minimum to its maximum).
void writeArray(const std::string& file, const at::Tensor& tensor);

/// What is wrong with the ending of a file to be written, or nothing: a check of `--out` before anything is computed.
std::string arrayEndingProblem(const std::string& file);

/// An axis that the model card gives as a number must have that length; a word (batch, height) fits any.
/// @throws core::ShapeError: "--input x.npy: expected [batch, 3] for the model's input "table", got [1, 2]".
void checkShape(at::IntArrayRef shape, const graph::ModelCard::Input& expected, const std::string& place);

/// The `--input` arguments (`FILE` or `NAME=FILE`) in the order of the model's inputs, floating arrays in the model's own dtype, moved to `device`.
/// NaN and infinities are warned of. @throws core::InputError for an unknown name, too many or too few, core::ShapeError where the model card says another shape; core::InputError for
/// more tokens than the model reads.
std::vector<c10::IValue> readInputs(const std::vector<std::string>& arguments, const graph::Model& model, c10::Device device);
/// "blocks.0/attn" -> a name that is safe for a file.
std::string fileName(const std::string& valueName);

}  // namespace orrery::cli
