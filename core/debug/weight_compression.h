#pragma once
#include <core/graph/model.h>

/// Weights kept in fewer bits: small compressors that random graphs are sent through, each with a bound of what it does to a weight and with what its weights stand for.
namespace orrery::debug {

enum class WeightForm {
    Float16,   ///< rounded to the nearest of 11 bits: |w' - w| <= 2^-11 |w|, or 2^-25 below 2^-14
    BFloat16,  ///< rounded to the nearest of 8 bits: |w' - w| <= 2^-8 |w|
    Int8,  ///< matrices and filters as whole numbers -127..127 with a scale for each row: |w' - w| <= scale / 2 (and float's rounding), scale = max |row| / 127
    Pruned,  ///< matrices and filters times a mask that leaves out the smaller half: |w' - w| <= median |w|
    Masked,  ///< times a mask that leaves out nothing: w' = w
    LowRank  ///< weights of layers as products of two thin matrices, of rank 2: |W' - W|_F is the root of the sum of the squared singular values left out, |w' - w| at most that
};
std::string weightFormName(WeightForm form);

/// The model with weights kept so. Float16 and BFloat16 change the weights alone: they are widened again before a run. LowRank takes layers apart (graph::lowRank). The others put a node between the kept tensors and the value that the
/// weight was: orrery::onnx_dequantize, aten::mul. Numbers of other types than float32 stay. @throws core::InputError for a weight beyond the range of float16.
graph::Model compressed(const graph::Model& model, WeightForm form);

/// The weights that a compressed model stands for, under the names of `model`, worked out number by number without libtorch's arithmetic.
/// @throws core::Error naming the weight if one is farther from what it was than the form's bound.
graph::Weights weightsMeant(const graph::Model& model, WeightForm form);

}  // namespace orrery::debug
