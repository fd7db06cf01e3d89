#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <core/base/registry.h>
#include <core/graph/model.h>

#include "open_model.h"

namespace orrery::models {

/// A file or a folder somebody wants to open as a model.
struct ModelSource {
    std::filesystem::path file;    ///< empty for a folder
    std::string_view bytes;        ///< the whole file, mapped; empty for a folder
    std::filesystem::path folder;  ///< a checkpoint folder (see checkpoint_folder.h), or empty
    /// What it is called in messages.
    std::string name() const { return (folder.empty() ? file : folder).string(); }
};

/// How one format is recognised and read. `recognises` looks at content only, never throws, and is cheap; the first importer that says yes opens the file.
struct Importer {
    std::function<bool(const ModelSource&)> recognises;
    std::function<graph::Model(const ModelSource&, const OpenOptions&)> open;
};

using ImporterRegistry = core::Registry<Importer>;

/// Family "importer": the formats that can be opened, in the order they are tried. A new one is one file with a `register...` function and one line in importers.cpp.
const ImporterRegistry& importerRegistry();

void registerTorchScriptImporter(ImporterRegistry& registry);
void registerExportedProgramImporter(ImporterRegistry& registry);
void registerModelFileImporter(ImporterRegistry& registry);
void registerOnnxImporter(ImporterRegistry& registry);
void registerStateDictImporter(ImporterRegistry& registry);
void registerCheckpointImporter(ImporterRegistry& registry);
void registerGgufImporter(ImporterRegistry& registry);

}  // namespace orrery::models
