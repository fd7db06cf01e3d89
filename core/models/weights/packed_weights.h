#pragma once
#include <map>
#include <string>

#include <core/graph/model.h>

/// Quantised weights that stay as they lie in the file: a node of the graph unpacks each matrix where it is used, so that one of them at a time takes its full size.
namespace orrery::models {

/// Blocks of a GGUF file (see io::dequantise).
struct PackedTensor {
    at::Tensor blocks;        ///< uint8 [rows, bytes of a row]
    std::string type;         ///< "Q8_0", "Q4_0"
    bool transposed = false;  ///< the weight is [columns, rows]
};

/// The model with these weights kept packed: parameter NAME becomes NAME_q8_0 (uint8, not optimised), and in front of each node that reads it a node `orrery::unpack_blocks` called NAME, NAME#2, ...
/// gives its numbers. Names that the graph does not have, and weights that are outputs of the model, are left alone.
graph::Model withPackedWeights(graph::Model model, const std::map<std::string, PackedTensor>& packed);

}  // namespace orrery::models
