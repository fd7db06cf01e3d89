#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <core/graph/model.h>

namespace orrery::models {

struct TorchScriptOptions {
    /// Inputs of `forward` with a default value are bound to it, unless they are named here.
    std::set<std::string> keepInputs;
    std::string method = "forward";  ///< the method to open
};

struct ImportedModel {
    graph::Model model;
    /// What was changed or left out on the way, one sentence each: inputs bound to their defaults, frozen training flags that now follow the run,
    /// input checks (`raise`) left out, writes that stay in place, fused operators whose inside cannot be seen.
    std::vector<std::string> notes;
};

/// Opens a scripted or traced TorchScript file (`torch.jit.save`) as a graph, on the CPU, in the dtypes of the file.
///
/// Calls are inlined by walking them, so each node knows the exact path of its module and each parameter has its exact dotted name. `self.training` becomes
/// GraphData::training; a trace's frozen `False` in dropout and batch norm is replaced by it (a note says where). What depends on the model's own constants alone is
/// computed here (an `if self.bias is not None` leaves no trace); what depends on inputs, sizes included, stays. Branches that only raise are left out.
/// Writes in place become new values; writes through views (select, slice, transpose, view ...) become scatters into the viewed value, called `name@2`; what may
/// share memory in a way that cannot be decided here stays an operator in place. A mixed-dtype write (`float.add_(double)`) gives the promoted dtype.
/// Writes to buffers become GraphData::bufferUpdates. Tuple, list and dict outputs are flattened: `output.0`, or the dict's keys.
///
/// Outputs and gradients equal those of `torch::jit::Module::forward` to the last bit.
///
/// @throws core::StorageError if the file cannot be read; core::FormatError if it is damaged, no TorchScript, calls operators that this libtorch does not have, or
///         uses what a graph cannot express (Python operators, objects of own classes as values): the message names it. Any thread.
/// Every archive entry's checksum is verified before libtorch sees the file: libtorch 1.13 itself dies by signal on some damaged files.
ImportedModel importTorchScript(const std::filesystem::path& file, const TorchScriptOptions& options = {});

}  // namespace orrery::models
