#pragma once
#include <string>

#include <core/intervene/lens_checkpoints.h>
#include <core/intervene/lens_methods.h>

namespace orrery::cli {

/// A lens' result as text: a table with one line a position (grids), part (attributions) or head.
std::string lensTable(const intervene::LensResult& result, const graph::ModelCard& card);
/// One line for one checkpoint: step, losses, and what stands out.
std::string checkpointLine(std::int64_t step, const intervene::CheckpointLoss& loss, const intervene::LensResult& result,
                           const graph::ModelCard& card);
/// null where JSON has no number.
core::Json jsonNumber(double value);

}  // namespace orrery::cli
