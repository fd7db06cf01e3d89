#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <core/graph/weights.h>
#include <core/io/exported_program.h>
#include <core/models/weights/mapped_tensors.h>

/// Internal to core/models/pt2.
namespace orrery::models {

/// What a .pt2 archive holds. Both layouts: `models/NAME.json` with raw tensors (PyTorch from 2.8 on), `serialized_exported_program.json` with pickles (older).
struct ExportedArchive {
    io::ExportedProgram program;
    graph::Weights tensors;                         ///< parameters, buffers and constants by dotted name, mapped
    std::vector<at::Tensor> sampleInputs;           ///< tensors among the inputs it was exported with, in order; empty if there are none
    std::map<std::string, std::string> extraFiles;  ///< what the user put in, by name
    std::set<std::string> notes;
};

/// True if these names are those of a .pt2 archive with a program inside. Never throws.
bool isExportedArchive(const std::vector<std::string>& names);

/// Every entry's checksum is verified. @throws core::FormatError naming file, entry and what is wrong.
ExportedArchive readExportedArchive(const Mapping& file, const std::string& name);

}  // namespace orrery::models
