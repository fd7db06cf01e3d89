#include "importer.h"
#include "model_file.h"

namespace orrery::models {

void registerModelFileImporter(ImporterRegistry& registry)
{
    registry.add({"orrery",
                  "Orrery model (.safetensors with the graph inside)",
                  "A model as Orrery saves it: weights, graph and model card in one file, mapped when read.",
                  "safetensors format description, version 0.4",
                  {},
                  {},
                  {}},
                 {[](const ModelSource& source) { return holdsGraph(source.bytes); },
                  [](const ModelSource& source, const OpenOptions&) { return loadModel(source.file); }});
}

}  // namespace orrery::models
