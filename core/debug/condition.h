#pragma once
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::debug {

/// When a value is worth stopping at.
///
///     condition = ["grad" "."] ( "nan" | "inf" | "nonfinite" | "shape" | statistic relation number )
///     statistic = max | min | absmax | mean | std | norm | sum | zeros        zeros: the share of elements that are 0
///     relation  = > | >= | < | <= | == | !=
///
/// `shape`: the shape differs from the one in the run before. `grad.`: looked at in the backward pass, on the gradient. Blanks do not matter.
struct Condition {
    enum class Kind { NaN, Infinite, NotFinite, Shape, Statistic };
    enum class Relation { Above, AtLeast, Below, AtMost, Equal, Differs };
    Kind kind = Kind::NaN;
    bool ofGradient = false;
    std::string statistic;
    Relation relation = Relation::Above;
    double threshold = 0;
    std::string text;  ///< as it was written, without blanks
};

/// @throws core::InputError naming what was expected; an unknown word names the nearest.
Condition parseCondition(std::string_view text);

/// What is true of the value, as a sentence ("max 7.25 > 5", "3 NaN in 128 elements"); nothing if the condition does not hold. Values that are no tensors, and
/// empty ones, fulfil only `shape`. NaN fulfils no relation but `!=`.
/// @param before  Shape in the run before; null if there was none.
std::optional<std::string> fulfilled(const Condition& condition, const c10::IValue& value, const std::vector<std::int64_t>* before = nullptr);

/// Names a condition or an expression may use.
const std::vector<std::string>& statisticNames();
/// One statistic of a tensor, in double; NaN for an empty one (0 for norm and sum). @throws core::InputError for an unknown name.
double statisticOf(const std::string& name, const at::Tensor& tensor);

}  // namespace orrery::debug
