#include <core/base/error.h>
#include <core/io/json_memory.h>
#include <core/models/importer.h>

#include "converter.h"
#include "onnx.h"

namespace orrery::models {
namespace {

using io::OnnxValueInfo;

// Sizes as people write them: a number, the file's own name, or a name after the axis.
std::vector<std::string> symbolicShape(const OnnxValueInfo& info)
{
    std::vector<std::string> shape;
    if (!info.shape)
        return shape;
    for (std::size_t i = 0; i < info.shape->size(); ++i) {
        const auto& size = (*info.shape)[i];
        const bool isBatch = i == 0 && (!size.size || *size.size <= 0);
        shape.push_back(isBatch                        ? "batch"
                        : size.size && *size.size >= 0 ? std::to_string(*size.size)
                        : size.name.empty()            ? fmt::format("size{}", i)
                                                       : size.name);
    }
    return shape;
}

std::string kindOf(const OnnxValueInfo& info, const std::string& dtype, const std::vector<std::string>& shape)
{
    if (dtype == "int64" && shape.size() == 2 && info.name.find("mask") == std::string::npos)
        return "tokens";
    const bool isImage = dtype.rfind("float", 0) == 0 && shape.size() == 4 && (shape[1] == "1" || shape[1] == "3");
    return isImage ? "image" : "float";
}

graph::ModelCard::Input describeOnnxInput(const OnnxValueInfo& info)
{
    graph::ModelCard::Input input;
    input.name = info.name;
    input.dtype = graph::dtypeName(onnx::scalarTypeOf(info.elementType).value_or(at::kFloat));
    input.shape = symbolicShape(info);
    input.kind = kindOf(info, input.dtype, input.shape);
    return input;
}

// Files that we wrote hold their card.
std::optional<graph::ModelCard> keptCard(const io::OnnxModel& model)
{
    for (const auto& [key, value] : model.metadata)
        if (key == "orrery.card") {
            core::Json json;
            try {
                json = io::parseGuarded<core::Json>(value, io::JsonMemory(key, io::fileMemory(value.size())));
            } catch (const core::Json::exception&) {
                continue;  // no card of ours
            }
            return graph::ModelCard::fromJson(json);
        }
    return {};
}

bool isOnnx(const ModelSource& source)
{
    return io::looksLikeOnnx(source.bytes);
}

graph::Model openOnnx(const ModelSource& source, const OpenOptions& options)
{
    auto imported = importOnnx(source.file);
    if (options.note)
        std::for_each(imported.notes.begin(), imported.notes.end(), options.note);
    return std::move(imported.model);
}

}  // namespace

ImportedModel importOnnx(const std::filesystem::path& file)
{
    const auto mapped = std::make_shared<core::MappedFile>(file);
    const auto parsed = io::parseOnnx(mapped->text(), file.string());
    onnx::TensorReader tensors(mapped, file);
    try {
        onnx::Converter converter(parsed, tensors, parsed.graph.name.empty() ? file.stem().string() : parsed.graph.name);
        auto data = converter.convert();
        ImportedModel imported;
        imported.model.weights = converter.weights();
        imported.notes = converter.notes();
        graph::Weights kept;
        for (const auto& parameter : data.parameters)
            kept.set(parameter.name, imported.model.weights.at(parameter.name));
        imported.model.weights = std::move(kept);
        imported.model.graph = std::make_shared<const graph::Graph>(std::move(data));
        imported.model.origin = file.string();
        if (auto card = keptCard(parsed)) {
            imported.model.card = std::move(*card);
            return imported;
        }
        imported.model.card.title = file.stem().string();
        for (const auto& input : imported.model.graph->data().inputs)
            for (const auto& info : parsed.graph.inputs)
                if (info.name == input.name)
                    imported.model.card.inputs.push_back(describeOnnxInput(info));
        return imported;
    } catch (const core::Error& error) {
        const std::string text = error.what();
        throw core::FormatError(text.rfind(file.string(), 0) == 0 ? text : file.string() + ": " + text);
    }
}

void registerOnnxImporter(ImporterRegistry& registry)
{
    registry.add({"onnx",
                  "ONNX",
                  "Models of the ai.onnx operators as exporters of every framework write them, with external data, If, Loop and Scan.",
                  "ONNX, docs/IR.md and docs/Operators.md",
                  {},
                  {},
                  {}},
                 {isOnnx, openOnnx});
}

}  // namespace orrery::models
