// The one list of importers, in the order they are tried.
#include "importer.h"

namespace orrery::models {

const ImporterRegistry& importerRegistry()
{
    static const ImporterRegistry registry = [] {
        ImporterRegistry list("importer", "Model formats");
        registerModelFileImporter(list);
        registerExportedProgramImporter(list);
        registerTorchScriptImporter(list);
        registerOnnxImporter(list);
        registerCheckpointImporter(list);
        registerGgufImporter(list);
        registerStateDictImporter(list);
        return list;
    }();
    return registry;
}

}  // namespace orrery::models
