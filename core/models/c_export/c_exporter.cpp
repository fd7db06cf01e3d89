#include <core/base/files.h>
#include <core/base/text.h>
#include <core/graph/runnable.h>
#include <core/models/exporter.h>

#include "c_program.h"

namespace orrery::models {
namespace {

void writeCFile(const std::filesystem::path& path, const graph::Model& model, const ExportOptions& options)
{
    graph::requireProgram(*model.graph);
    const CProgram program(model, options.parameters.at("batch").get<std::int64_t>(), options.parameters.at("length").get<std::int64_t>());
    core::writeFileAtomically(path, program.source());
    if (!options.note)
        return;
    const auto& plan = program.plan();
    options.note(fmt::format("arena of {} for {} buffers, {}", core::formatBytes(std::uint64_t(plan.arena) * 4), plan.buffers.size(),
                             plan.arena == plan.peakLive ? "as much as lives at one time"
                                                         : "of which " + core::formatBytes(std::uint64_t(plan.peakLive) * 4) + " live at one time"));
}

}  // namespace

void registerCExporter(ExporterRegistry& registry)
{
    registry.add(
        {"c",
         "C source (.c)",
         "One C99 file with weights, a memory plan and one function, for machines without any library: MLPs, CNNs and transformers in float32; "
         "tokens are given as floats.",
         "Pisarchyk & Lee (2020), \"Efficient Memory Management for Deep Neural Net Inference\", arXiv:2001.03288",
         withLowRank({core::integer("batch", 1, "Size of the batch axis; a C file has fixed sizes.").range(1, 1024),
                      core::integer("length", 0,
                                    "Size of every other axis that the model leaves open, such as the length of a text; 0: such a model is refused.")
                          .range(0, 65536)}),
         {},
         {}},
        {writeCFile, false, ".c", false});
}

}  // namespace orrery::models
