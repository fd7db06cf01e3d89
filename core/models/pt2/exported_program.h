#pragma once
#include <filesystem>

#include <core/models/torchscript.h>

namespace orrery::models {

/// Opens a program of torch.export (`.pt2`) as a graph, on the CPU, in the dtypes of the file.
///
/// The archive is parsed here; its calls of ATen operators become nodes, written in place where the program says so, with the module paths and source lines that it
/// tells. `cond`, `while_loop` and `scan` become branches and loops; sizes that were exported as symbols stay free. Operators that this libtorch lacks are
/// replaced (compat_operators.cpp); what stays unknown is a node that cannot be run, and a note names it. Weights lie in a private mapping of the file.
/// @throws core::StorageError if the file cannot be read; core::FormatError naming the entry and what is wrong. Any thread.
ImportedModel importExportedProgram(const std::filesystem::path& file);

}  // namespace orrery::models
