#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <core/graph/model.h>
#include <core/models/torchscript.h>

namespace orrery::models {

/// Opens an ONNX model (operator sets 1 to 23 of ai.onnx; exporters write 7 to 21) as a graph of libtorch's operators, so that everything that runs, differentiates or
/// explains a model works on it. Initialisers become parameters under their own names, mapped from the file where they lie aligned; slashes in names of nodes become
/// dots: "/layers/0/attn/MatMul" is value `layers.0.attn.MatMul` in module `layers.0.attn`. What depends on constants alone is computed here; the sizes of inputs stay
/// open. Unsigned integers of 16, 32 and 64 bits are held in the next wider signed type.
///
/// A node whose operator is not known (or not in the form it has here) stays as `onnx::NAME`: the model opens, is shown and compared, and a note names the node; running
/// it says so.
/// Source: ONNX operator specification (github.com/onnx/onnx, docs/Operators.md).
/// @throws core::StorageError; core::FormatError naming the node or tensor: a damaged file, values that nothing defines or that are defined twice (a cycle, too), text
///         tensors, external data outside the model's folder, an operator set that is not known. Any thread.
ImportedModel importOnnx(const std::filesystem::path& file);

}  // namespace orrery::models
