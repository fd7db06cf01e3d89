#pragma once
#include <ATen/ATen.h>
#include <torch/library.h>

#include <string>
#include <vector>

/// Internal to core/kernels: what operators of ONNX need beyond libtorch's own. Each is a function of tensors that is put together from libtorch's operators, so that
/// gradients flow through it; they are registered as `orrery::onnx_...` and are ordinary nodes of a graph.
namespace orrery::kernels {

using IntList = std::vector<std::int64_t>;

/// An axis counted from the front. @throws c10::Error if it is out of range.
std::int64_t frontAxis(std::int64_t axis, std::int64_t rank);
/// A vector along one axis, so that it broadcasts against a tensor of `rank` axes. Scalars and tensors of more axes stay.
at::Tensor alongAxis(const at::Tensor& vector, std::int64_t axis, std::int64_t rank);
IntList intsOf(const at::Tensor& tensor);
std::vector<double> floatsOf(const at::Tensor& tensor);
/// Reverses the first `lengths[b]` steps of each sequence.
at::Tensor reverseSequences(const at::Tensor& x, const at::Tensor& lengths, std::int64_t timeAxis, std::int64_t batchAxis);
/// Negative indices count from the end.
at::Tensor wrapIndices(const at::Tensor& indices, std::int64_t count);

// Each family adds its operators.
void registerOnnxIndices(torch::Library& library);
void registerOnnxQuantised(torch::Library& library);
void registerOnnxRecurrent(torch::Library& library);
void registerOnnxResize(torch::Library& library);
void registerOnnxShapes(torch::Library& library);
void registerOnnxVision(torch::Library& library);
void registerOnnxWindows(torch::Library& library);

}  // namespace orrery::kernels
