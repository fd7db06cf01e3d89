#include <algorithm>

#include <core/jobs/worker_program.h>

#include "importer.h"
#include "isolated_reading.h"
#include "torchscript.h"
#include "zip_check.h"

namespace orrery::models {
namespace {

bool isTorchScript(const ModelSource& source)
{
    if (source.bytes.substr(0, 4) != "PK\x03\x04")
        return false;
    const auto names = zipEntryNames(source.bytes);
    if (names.size() == 1)  // cut off: TorchScript files begin with NAME/data.pkl or NAME/data/0
        return names[0].find("/data") != std::string::npos;
    return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.find("/code/") != std::string::npos; });
}

graph::Model openTorchScript(const ModelSource& source, const OpenOptions& options)
{
    const TorchScriptOptions read{options.keepInputs, options.method};
    const bool isApart = options.foreignFiles == OpenOptions::ForeignFiles::OwnProcess && jobs::findWorkerProgram();
    auto imported = isApart ? readIsolated(source.file, read) : importTorchScript(source.file, read);
    if (options.note)
        std::for_each(imported.notes.begin(), imported.notes.end(), options.note);
    return std::move(imported.model);
}

}  // namespace

void registerTorchScriptImporter(ImporterRegistry& registry)
{
    registry.add({"torchscript",
                  "TorchScript (torch.jit.save)",
                  "Scripted and traced modules of PyTorch, with control flow; outputs equal libtorch's to the last bit.",
                  "PyTorch, torch/csrc/jit/docs/serialization.md",
                  {},
                  {},
                  {}},
                 {isTorchScript, openTorchScript});
}

}  // namespace orrery::models
