#include <algorithm>

#include <core/models/importer.h>
#include <core/models/zip_check.h>

#include "exported_archive.h"
#include "exported_program.h"

namespace orrery::models {

void registerExportedProgramImporter(ImporterRegistry& registry)
{
    registry.add(
        {"exported_program",
         "torch.export (.pt2)",
         "Programs of torch.export with branches, loops and free sizes; the archive is parsed here.",
         "PyTorch, torch/_export/serde/schema.py, schema version 8.17",
         {},
         {},
         {}},
        {[](const ModelSource& source) { return source.bytes.substr(0, 4) == "PK\x03\x04" && isExportedArchive(zipEntryNames(source.bytes)); },
         [](const ModelSource& source, const OpenOptions& options) {
             auto imported = importExportedProgram(source.file);
             if (options.note)
                 std::for_each(imported.notes.begin(), imported.notes.end(), options.note);
             return std::move(imported.model);
         }});
}

}  // namespace orrery::models
