#pragma once
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

/// Internal to core/scene/field: what kernels ask of their tensors.
namespace orrery::scene {

/// A contiguous float copy or the tensor itself. @param sizes  -1: any. @throws core::ShapeError naming `what`, both shapes and the type.
inline at::Tensor floats(const at::Tensor& tensor, const char* what, std::vector<std::int64_t> sizes)
{
    bool fits = tensor.dim() == std::int64_t(sizes.size()) && tensor.scalar_type() == at::kFloat && (tensor.is_cpu() || tensor.is_cuda());
    for (std::size_t i = 0; fits && i < sizes.size(); ++i)
        fits = sizes[i] < 0 || tensor.size(std::int64_t(i)) == sizes[i];
    if (!fits)
        throw core::ShapeError(fmt::format("{}: expected float32 {} on the CPU or a CUDA device, got {} {}", what, core::formatShape(sizes),
                                           at::toString(tensor.scalar_type()), core::formatShape({tensor.sizes().data(), tensor.sizes().size()})));
    return tensor.detach().contiguous();
}

/// @throws core::ShapeError unless all lie on one device.
inline void requireOneDevice(const char* what, std::initializer_list<at::Tensor> tensors)
{
    for (const at::Tensor& tensor : tensors)
        if (tensor.device() != tensors.begin()->device())
            throw core::ShapeError(
                fmt::format("{}: expected all tensors on one device, got {} and {}", what, tensors.begin()->device().str(), tensor.device().str()));
}

inline at::Tensor integers(const at::Tensor& tensor, const char* what)
{
    if (tensor.dim() != 1 || tensor.scalar_type() != at::kLong || !(tensor.is_cpu() || tensor.is_cuda()))
        throw core::ShapeError(fmt::format("{}: expected int64 [any], got {} {}", what, at::toString(tensor.scalar_type()),
                                           core::formatShape({tensor.sizes().data(), tensor.sizes().size()})));
    return tensor.contiguous();
}

}  // namespace orrery::scene
