#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::debug {

/// Where the names of an expression come from.
struct ValueScope {
    std::function<bool(const std::string& name)> exists;          ///< is there a value of that name, loop steps included
    std::function<at::Tensor(const std::string& name)> value;     ///< @throws core::InputError
    std::function<at::Tensor(const std::string& name)> gradient;  ///< may be empty: `grad(...)` is refused
};

/// A value as people write it at the prompt:
///
///     blocks.0.attn.softmax            the whole tensor
///     logits[0, -1, :5]                a part, as NumPy writes slices: numbers, from:to:step, ...
///     cell[3][0]                       a part of step 3 of a loop
///     grad(fc.weight)[0]               the gradient of the last backward pass
///     "dense-1"[0] * 2                 a name that holds other signs, in quotes; where it is all there is, it needs none
///     max(logits[0]) - mean(logits)    statistics (max, min, absmax, mean, std, norm, sum, zeros) and the arithmetic of core::Expression, element by element
///
/// A plain value keeps its dtype and shares memory; arithmetic is done in double. Autograd follows it.
/// @throws core::InputError for text that is none of this, an index out of range, or a name that `scope` refuses.
at::Tensor evaluateValue(std::string_view text, const ValueScope& scope);
/// The values an expression reads, each once; nothing is computed.
std::vector<std::string> valuesOf(std::string_view text, const std::function<bool(const std::string&)>& exists);

/// A part of a tensor: "0, 1:5, ..., -1". Shares memory. @throws core::InputError naming the axis and its size.
at::Tensor sliced(const at::Tensor& tensor, std::string_view slice);

/// "NAME[slice]" as name and slice; loop steps belong to the name.
struct ValueReference {
    std::string name, slice;
    bool hasSlice = false;
};
ValueReference parseReference(std::string_view text, const std::function<bool(const std::string&)>& exists);

}  // namespace orrery::debug
