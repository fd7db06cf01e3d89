#pragma once
#include <filesystem>
#include <stop_token>

#include <core/graph/model.h>

#include "divergence.h"

namespace orrery::debug {

/// What opening an exported model again showed.
struct ExportCheck {
    std::string notCompared;  ///< why nothing was compared, as a sentence; empty: something was
    /// "outputs", or "tensors" where weights alone were written.
    std::string what = "outputs";
    std::vector<ValueDifference> values;  ///< one an output or tensor, in the order of the original
    bool agrees() const;
    /// One sentence: "2 outputs of the file agree with the model's, the largest difference is 1.2e-07".
    std::string text() const;
    core::Json toJson() const;
};

/// Opens what `models::exportModel` has written and compares it with the original: the outputs of both on `example` (within the tolerance of the coarser dtype, see `Tolerance`),
/// or, where the file holds weights alone, each tensor to the last bit. Outputs of tuples and lists are compared one by one.
/// @param exporter  The format that was written; one that cannot be opened here is not compared.
/// @param example   Inputs in the order of the graph's; empty: the model card's example.
/// @throws core::Cancelled; what opening the file or running the models throws. Any thread.
ExportCheck checkExport(const graph::Model& original, const std::string& exporter, const std::filesystem::path& written,
                        std::vector<c10::IValue> example = {}, std::stop_token stop = {});

}  // namespace orrery::debug
