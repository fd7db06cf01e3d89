#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/graph/runnable.h>
#include <core/models/exporter.h>

#include "onnx_writer.h"

namespace orrery::models {
namespace {

constexpr std::int64_t kMaxOnnxBytes = (std::int64_t(1) << 31) - (1 << 20);  // readers of protocol buffers refuse more than 2 GiB

void writeOnnx(const std::filesystem::path& file, const graph::Model& model, const ExportOptions& options)
{
    graph::requireProgram(*model.graph);
    if (model.weights.bytes() > kMaxOnnxBytes)
        throw core::InputError(
            fmt::format("expected weights below 2 GiB for an ONNX file, found {}", core::formatBytes(std::uint64_t(model.weights.bytes()))));
    auto plain = model;
    plain.graph = onnx::withoutTuples(model.graph);
    onnx::OnnxWriter writer(plain, options.parameters.at("opset").get<std::int64_t>(), options.example);
    core::writeFileAtomically(file, io::onnxBytes(writer.write()));
    if (options.note && model.graph->data().training)
        options.note("dropout and batch normalisation were written as they work in inference");
}

}  // namespace

void registerOnnxExporter(ExporterRegistry& registry)
{
    registry.add({"onnx",
                  "ONNX (.onnx)",
                  "For ONNX Runtime and others; the sizes of inputs stay open, names and modules are kept. Operators without a form there are named.",
                  "ONNX, docs/IR.md and docs/Operators.md",
                  withLowRank({core::integer("opset", 17, "Operator set of ai.onnx to write.")
                                   .range(double(onnx::kLeastWrittenOpset), double(onnx::kLatestWrittenOpset))}),
                  {},
                  {}},
                 {writeOnnx, false, ".onnx"});
}

}  // namespace orrery::models
