#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include <core/base/json.h>
#include <core/data/loader.h>
#include <core/graph/weights.h>

namespace orrery::train {

/// Everything a training needs to go on to the last bit. Random operators need no state: they draw from (seed, step, node).
struct Checkpoint {
    std::int64_t step = 0;     ///< optimizer steps taken
    data::LoaderState loader;  ///< behind the last batch used
    graph::Weights weights;    ///< parameters and buffers
    std::map<std::string, at::Tensor> optimizer;
    graph::Weights average;  ///< EMA; empty without
    graph::Weights best;     ///< the best weights so far; empty if there are none
    std::int64_t bestStep = -1;
    double bestValue = 0;
    std::vector<std::int64_t> kept;  ///< steps of the checkpoints that are kept, this one last
    std::string documentHash;        ///< experimentHash of the document it belongs to
};

/// One safetensors file: tensors `weights/NAME`, `optimizer/NAME`, `average/NAME`, `best/NAME`; the rest is JSON in the metadata `orrery.checkpoint`.
void writeCheckpoint(const Checkpoint& checkpoint, const std::function<void(std::string_view)>& write);
/// Tensors are copied out of `bytes`. @throws core::FormatError naming `name`.
Checkpoint readCheckpoint(std::string_view bytes, const std::string& name);

}  // namespace orrery::train
