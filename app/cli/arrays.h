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

/// A line on standard error where floating numbers are NaN or infinite.
void warnOfOddValues(const at::Tensor& tensor, const std::string& place);

/// What is wrong with the ending of a file to be written, or nothing: a check of `--out` before anything is computed.
std::string arrayEndingProblem(const std::string& file);
/// What keeps a file from being written, or nothing: a folder that is not there, so that no work is lost to a wrong name.
std::string folderProblem(const std::string& file);
/// Both: for arrays. What passes is remembered as a file to be written: reading it as an input, or as a model, is refused from then on.
std::string outFileProblem(const std::string& file);
/// @throws core::InputError if this command is going to write the file.
void refuseToOverwrite(const std::string& input);
/// @throws core::InputError unless it is there and no folder: `--spec none.json: no such file`.
void requireFile(const std::string& file, const std::string& option);
/// Makes the folder for several files. @throws core::InputError if something else has that name, or it cannot be made.
void makeFolder(const std::string& folder, const char* option);

/// The `--input` arguments (`FILE` or `NAME=FILE`) in the order of the model's inputs, moved to `device`: whole numbers where the model reads them, else numbers in its own dtype.
/// An input that is one number or truth value takes the word itself, too: `steps=5`, `flag=true`.
/// NaN and infinities are warned of. @throws core::InputError for an unknown name, too many or too few, numbers of another kind, and tokens that the model does not read;
/// core::ShapeError where the model card says another shape. @param option  What the arguments belong to, for messages.
std::vector<c10::IValue> readInputs(const std::vector<std::string>& arguments, const graph::Model& model, c10::Device device,
                                    const std::string& option = "--input");
/// "blocks.0/attn" -> a name that is safe for a file.
std::string fileName(const std::string& valueName);

}  // namespace orrery::cli
