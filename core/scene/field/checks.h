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
    bool fits = tensor.dim() == std::int64_t(sizes.size()) && tensor.scalar_type() == at::kFloat && tensor.device().is_cpu();
    for (std::size_t i = 0; fits && i < sizes.size(); ++i)
        fits = sizes[i] < 0 || tensor.size(std::int64_t(i)) == sizes[i];
    if (!fits)
        throw core::ShapeError(fmt::format("{}: expected float32 {} on the CPU, got {} {}", what, core::formatShape(sizes),
                                           at::toString(tensor.scalar_type()), core::formatShape({tensor.sizes().data(), tensor.sizes().size()})));
    return tensor.detach().contiguous();
}

inline at::Tensor integers(const at::Tensor& tensor, const char* what)
{
    if (tensor.dim() != 1 || tensor.scalar_type() != at::kLong || !tensor.device().is_cpu())
        throw core::ShapeError(fmt::format("{}: expected int64 [any], got {} {}", what, at::toString(tensor.scalar_type()),
                                           core::formatShape({tensor.sizes().data(), tensor.sizes().size()})));
    return tensor.contiguous();
}

}  // namespace orrery::scene
