#include "random_paths.h"

#include <ATen/ATen.h>

#include <cstring>
#include <fstream>

#include <core/base/process.h>
#include <core/base/text.h>
#include <core/graph/executor.h>
#include <core/models/exporter.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>

#include "divergence.h"
#include "output_bounds.h"
#include "random_graphs.h"
#include "weight_compression.h"

namespace orrery::debug {
namespace {

const Tolerance kPathTolerance{1e-4, 1e-5, true};
constexpr auto kCompileLimit = std::chrono::seconds(60);

std::vector<at::Tensor> plainOutputs(const graph::Model& model, const std::vector<c10::IValue>& inputs)
{
    graph::RunRequest request;
    request.inputs = inputs;
    std::vector<at::Tensor> outputs;
    for (const auto& output : graph::Executor(model.graph).run(model.weights, request).outputs)
        outputs.push_back(output.toTensor());
    return outputs;
}

/// Written by an exporter, opened as any file is.
graph::Model readAgain(const graph::Model& model, const std::filesystem::path& folder, const std::string& exporter)
{
    const auto file = folder / ("graph" + models::exporterRegistry().factory(exporter).ending);
    models::exportModel(file, model, exporter);
    models::OpenOptions options;
    options.foreignFiles = models::OpenOptions::ForeignFiles::ThisProcess;
    try {
        return models::openModel(file.string(), options);
    } catch (const core::InputError& error) {
        throw core::Error(error.what());  // what was written must be read
    }
}

std::vector<at::Tensor> throughFile(const graph::Model& model, const std::vector<c10::IValue>& inputs, const std::filesystem::path& folder,
                                    const std::string& exporter)
{
    return plainOutputs(readAgain(model, folder, exporter), inputs);
}

/// In fewer bits on the way through a file; what is narrower than a run needs is widened again.
std::vector<at::Tensor> throughCompressedFile(const graph::Model& model, const std::vector<c10::IValue>& inputs, const std::filesystem::path& folder,
                                              WeightForm form, const std::string& exporter)
{
    graph::Model read = readAgain(compressed(model, form), folder, exporter);
    read.weights = read.weights.to(at::kCPU, at::kFloat);
    return plainOutputs(read, inputs);
}

std::vector<at::Tensor> throughWeights(const graph::Model& model, const std::vector<c10::IValue>& inputs, const std::filesystem::path& folder)
{
    if (model.graph->data().parameters.empty())
        throw core::InputError("a model without weights");
    const auto file = folder / "weights.npz";
    models::exportModel(file, model, "npz");
    graph::Model read = model;
    const auto loaded = models::loadWeights(*model.graph, file);
    if (!loaded.missing.empty())
        throw core::Error(loaded.missing.front() + ": was not read again");
    read.weights = loaded.weights;
    return plainOutputs(read, inputs);
}

void writeFloats(const std::filesystem::path& file, const std::vector<c10::IValue>& inputs)
{
    std::ofstream out(file, std::ios::binary);
    for (const auto& input : inputs) {
        const at::Tensor flat = input.toTensor().contiguous();
        out.write(static_cast<const char*>(flat.data_ptr()), std::streamsize(flat.nbytes()));
    }
}

/// As a C file, compiled and run as a program of its own.
std::vector<at::Tensor> throughC(const graph::Model& model, const std::vector<c10::IValue>& inputs, const std::filesystem::path& folder)
{
    const auto source = folder / "graph.c", program = folder / "graph", input = folder / "input.bin";
    models::exportModel(source, model, "c");
    const auto compiled = core::runProcess({"cc", "-std=c99", "-O1", "-DMODEL_MAIN", source.string(), "-o", program.string(), "-lm"}, kCompileLimit);
    if (!compiled || compiled->exitStatus != 0)
        throw core::Error("the C file does not compile");
    writeFloats(input, inputs);
    const auto ran = core::runProcess({"sh", "-c", "\"$0\" < \"$1\"", program.string(), input.string()}, kCompileLimit);
    if (!ran || ran->exitStatus != 0)
        throw core::Error("the compiled C file does not run");
    std::vector<at::Tensor> outputs = plainOutputs(model, inputs);
    std::size_t at = 0;
    for (auto& output : outputs) {
        const std::size_t bytes = std::size_t(output.numel()) * sizeof(float);
        if (at + bytes > ran->output.size())
            throw core::Error(fmt::format("the compiled C file gives {} bytes, fewer than its outputs have", ran->output.size()));
        at::Tensor read = at::empty(output.sizes(), at::TensorOptions(at::kFloat));
        std::memcpy(read.data_ptr(), ran->output.data() + at, bytes);
        output = read;
        at += bytes;
    }
    return outputs;
}

bool hasCompiler()
{
    static const bool kHas = [] {
        const auto result = core::runProcess({"cc", "--version"}, std::chrono::seconds(20));
        return result && result->exitStatus == 0;
    }();
    return kHas;
}

/// What a path does of a model: outputs, or why not.
struct PathResult {
    std::vector<at::Tensor> outputs;
    std::string refusal, failure;
};

PathResult taken(const GraphPath& path, const graph::Model& model, const std::vector<c10::IValue>& inputs, const std::filesystem::path& folder)
{
    PathResult result;
    try {
        result.outputs = path.run(model, inputs, folder);
    } catch (const core::InputError& error) {
        result.refusal = error.what();
    } catch (const core::Error& error) {
        result.failure = error.what();
    }
    return result;
}

/// What is wrong with what a path gives; empty: nothing.
std::string wrongWith(const GraphPath& path, const PathResult& result, const graph::Model& model, const std::vector<c10::IValue>& inputs)
{
    if (!result.failure.empty())
        return result.failure;
    std::vector<at::Tensor> expected;
    try {
        expected = plainOutputs(path.meant ? path.meant(model) : model, inputs);
    } catch (const core::Error& error) {
        return error.what();  // a weight beyond its bound
    }
    if (expected.size() != result.outputs.size())
        return fmt::format("expected {} outputs, got {}", expected.size(), result.outputs.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto difference = compareValues(expected[i], result.outputs[i], kPathTolerance);
        if (!difference.isWithin())
            return fmt::format("output {}: {}", i,
                               difference.problem.empty() ? fmt::format("{:.6g} against {:.6g} at {}", difference.valueA, difference.valueB,
                                                                        core::formatShape(difference.worst))
                                                          : difference.problem);
    }
    return {};
}

/// Of all outputs, where both are numbers.
double largestChange(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& plain)
{
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < std::min(outputs.size(), plain.size()); ++i) {
        if (plain[i].numel() == 0 || outputs[i].sizes() != plain[i].sizes())
            continue;
        difference = std::max(difference, (outputs[i] - plain[i]).abs().nan_to_num(0, 0, 0).max().item<double>());
        size = std::max(size, plain[i].abs().nan_to_num(0, 0, 0).max().item<double>());
    }
    return size > 0 ? difference / size : 0;
}

/// Outputs that other weights take farther than is possible; empty: none. Counts the bound, if there is one.
std::string beyondBound(const RandomGraph& graph, const GraphPath& path, PathCount& count)
{
    const OutputChange found = outputChange(graph.model, path.meant(graph.model).weights, graph.inputs);
    if (found.bound) {
        count.bounds.push_back(*found.bound);
        count.bounded.push_back(found.change);
    }
    return found.exceeded;
}

/// Sentences name nodes and values: without them the same reason is the same text.
std::string withoutNames(const std::string& sentence)
{
    const auto colon = sentence.find("aten::");
    return colon == std::string::npos ? sentence : sentence.substr(colon);
}

/// The first value whose own model disagrees.
graph::Model shrunkOn(const RandomGraph& graph, const GraphPath& path, const std::filesystem::path& folder)
{
    for (const auto& node : graph.model.graph->nodes()) {
        if (node.outputs.size() != 1 || graph.model.graph->value(node.outputs[0]).type != "Tensor")
            continue;
        graph::Model cut = cutTo(graph.model, node.name);
        const PathResult result = taken(path, cut, graph.inputs, folder);
        if (result.refusal.empty() && !wrongWith(path, result, cut, graph.inputs).empty())
            return cut;
    }
    return graph.model;
}

}  // namespace

std::vector<GraphPath> graphPaths(int everyC)
{
    std::vector<GraphPath> paths;
    for (const auto& [name, exporter] : {std::pair("file", "orrery"), std::pair("onnx", "onnx"), std::pair("torchscript", "torchscript")})
        paths.push_back({name, [exporter = std::string(exporter)](const auto& model, const auto& inputs, const auto& folder) {
                             return throughFile(model, inputs, folder, exporter);
                         }});
    if (hasCompiler())
        paths.push_back({"c", throughC, everyC});
    return paths;
}

std::vector<GraphPath> compressedPaths()
{
    std::vector<GraphPath> paths;
    const auto add = [&](const std::string& name, WeightForm form, const std::string& exporter) {
        GraphPath path{name, [form, exporter](const auto& model, const auto& inputs, const auto& folder) {
                           return throughCompressedFile(model, inputs, folder, form, exporter);
                       }};
        path.meant = [form](const graph::Model& model) {
            graph::Model meant = model;
            meant.weights = weightsMeant(model, form);
            return meant;
        };
        paths.push_back(std::move(path));
    };
    for (const auto form : {WeightForm::Float16, WeightForm::BFloat16, WeightForm::Int8, WeightForm::Pruned, WeightForm::Masked, WeightForm::LowRank})
        add(weightFormName(form), form, "orrery");
    for (const auto form : {WeightForm::Int8, WeightForm::Pruned, WeightForm::LowRank})
        add(weightFormName(form) + "-onnx", form, "onnx");
    paths.push_back({"npz", throughWeights});
    return paths;
}

std::vector<Disagreement> checkPath(const RandomGraph& graph, std::uint64_t seed, const GraphPath& path, const std::filesystem::path& folder,
                                    PathCount& count)
{
    const at::NoGradGuard noGrad;
    const PathResult result = taken(path, graph.model, graph.inputs, folder);
    if (!result.refusal.empty()) {
        ++count.refused;
        ++count.reasons[withoutNames(result.refusal)];
        return {};
    }
    ++count.taken;
    std::string wrong = wrongWith(path, result, graph.model, graph.inputs);
    if (path.meant && result.failure.empty()) {
        count.changes.push_back(largestChange(result.outputs, plainOutputs(graph.model, graph.inputs)));
        if (wrong.empty())
            wrong = beyondBound(graph, path, count);
    }
    if (wrong.empty())
        return {};
    return {{seed, path.name, std::move(wrong), shrunkOn(graph, path, folder), graph.inputs}};
}

}  // namespace orrery::debug
