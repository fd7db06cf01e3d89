// The one list of exporters.
#include "exporter.h"

namespace orrery::models {

const ExporterRegistry& exporterRegistry()
{
    static const ExporterRegistry registry = [] {
        ExporterRegistry list("exporter", "Model formats to write");
        registerModelFileExporter(list);
        registerCheckpointExporter(list);
        registerWeightExporters(list);
        registerTorchScriptExporter(list);
        registerOnnxExporter(list);
        registerCExporter(list);
        return list;
    }();
    return registry;
}

}  // namespace orrery::models
