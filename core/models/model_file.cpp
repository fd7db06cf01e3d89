#include "model_file.h"

#include <cstdint>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/json_memory.h>
#include <core/io/safetensors.h>
#include <core/io/tensors.h>

#include "weights/mapped_tensors.h"
#include "weights/weight_file.h"

namespace orrery::models {
namespace {

constexpr std::string_view kVersionKey = "orrery.version", kGraphKey = "orrery.graph", kCardKey = "orrery.card";
constexpr std::size_t kNamesInMessage = 8;

/// Tensors ready to be written: the bytes stay where the tensors are.
struct Prepared {
    std::vector<at::Tensor> tensors;
    std::vector<io::SafetensorsItem> items;
};

Prepared prepare(const std::map<std::string, at::Tensor>& weights)
{
    Prepared prepared;
    for (const auto& [name, tensor] : weights) {
        if (!tensor.defined() || tensor.layout() != at::kStrided || tensor.is_quantized())
            throw core::InputError(
                fmt::format("tensor {}: expected a dense tensor of a plain type, found {}", name, tensor.defined() ? tensor.toString() : "none"));
        prepared.tensors.push_back(tensor.detach().cpu().contiguous());
        const auto& flat = prepared.tensors.back();
        const std::string_view bytes(static_cast<const char*>(flat.numel() ? flat.data_ptr() : nullptr), std::size_t(flat.nbytes()));
        prepared.items.push_back({name, io::toElementType(flat.scalar_type()), flat.sizes().vec(), bytes});
    }
    return prepared;
}

std::string someNames(const std::vector<std::string>& names)
{
    const std::vector<std::string> first(names.begin(), names.begin() + std::ptrdiff_t(std::min(names.size(), kNamesInMessage)));
    return core::join(first, ", ") + (names.size() > first.size() ? fmt::format(" and {} more", names.size() - first.size()) : std::string());
}

int versionOf(const io::SafetensorsHeader& header, const std::string& file)
{
    const auto* text = header.findMetadata(kVersionKey);
    const auto isDigit = [](unsigned char c) { return std::isdigit(c) != 0; };
    if (!text || text->empty() || text->size() > 6 || !std::all_of(text->begin(), text->end(), isDigit))
        throw core::FormatError(fmt::format("{}: expected a version number in metadata {}, found \"{}\"", file, kVersionKey, text ? *text : ""));
    const int version = std::stoi(*text);
    if (version > kModelFileVersion)
        throw core::FormatError(fmt::format("{}: expected a model file of version {} or older, found version {}; a newer Orrery reads it", file,
                                            kModelFileVersion, version));
    return version;
}

core::Json parsed(const std::string& text, const std::string& file, std::string_view key)
{
    return io::parseJson(text, fmt::format("{}: metadata {}", file, key));
}

// Version 0: no card; one is made of what the graph says. (What changed inside the graph's JSON, graph::fromJson knows.)
graph::ModelCard cardOf(const io::SafetensorsHeader& header, int version, const graph::Graph& graph, const std::string& file)
{
    if (const auto* text = header.findMetadata(kCardKey)) {
        try {
            return graph::ModelCard::fromJson(parsed(*text, "metadata", kCardKey));
        } catch (const core::FormatError& error) {
            throw core::FormatError(fmt::format("{}: {}", file, error.what()));
        }
    }
    if (version >= 1)
        throw core::FormatError(fmt::format("{}: expected a model card in metadata {}, found none", file, kCardKey));
    graph::ModelCard card;
    card.title = graph.data().name;
    for (const auto& input : graph.data().inputs)
        card.inputs.push_back({input.name, "float", "float32", {}, {}});
    return card;
}

const at::Tensor* tensorFor(const graph::Graph& graph, const std::string& parameter, const std::map<std::string, at::Tensor>& tensors)
{
    if (const auto found = tensors.find(parameter); found != tensors.end())
        return &found->second;
    for (const auto& [alias, name] : graph.data().aliases)
        if (name == parameter)
            if (const auto found = tensors.find(alias); found != tensors.end())
                return &found->second;
    return nullptr;
}

std::map<std::string, at::Tensor> withoutPrefix(const std::map<std::string, at::Tensor>& tensors, const std::string& prefix)
{
    std::map<std::string, at::Tensor> renamed;
    for (const auto& [name, tensor] : tensors)
        if (name.rfind(prefix, 0) == 0)
            renamed[name.substr(prefix.size())] = tensor;
    return renamed;
}

LoadedWeights fitted(const graph::Graph& graph, const std::map<std::string, at::Tensor>& tensors, const std::string& file)
{
    LoadedWeights loaded;
    for (const auto& parameter : graph.data().parameters) {
        const auto* tensor = tensorFor(graph, parameter.name, tensors);
        if (!tensor) {
            loaded.missing.push_back(parameter.name);
            continue;
        }
        if (tensor->sizes() != at::IntArrayRef(parameter.shape))
            throw core::ShapeError(fmt::format("{}: tensor {}: expected shape {}, found {}", file, parameter.name, core::formatShape(parameter.shape),
                                               core::formatShape(tensor->sizes())));
        loaded.weights.set(parameter.name, *tensor);
    }
    for (const auto& [name, tensor] : tensors)
        if (!graph.findParameter(name))
            loaded.extra.push_back(name);
    return loaded;
}

}  // namespace

void saveModel(const std::filesystem::path& file, const graph::Model& model)
{
    graph::checkWeights(*model.graph, model.weights);
    std::map<std::string, at::Tensor> stored;
    for (const auto& parameter : model.graph->data().parameters)
        stored[parameter.name] = model.weights.at(parameter.name);
    const auto prepared = prepare(stored);
    io::writeSafetensors(file, prepared.items,
                         {{std::string(kVersionKey), std::to_string(kModelFileVersion)},
                          {std::string(kGraphKey), graph::toJson(*model.graph).dump()},
                          {std::string(kCardKey), model.card.toJson().dump()}});
}

graph::Model loadModel(const std::filesystem::path& file)
{
    const auto mapped = std::make_shared<core::MappedFile>(file);
    const auto name = file.string();
    const auto header = io::parseSafetensors(mapped->text(), name);
    const auto* graphText = header.findMetadata(kGraphKey);
    if (!graphText)
        throw core::FormatError(
            fmt::format("{}: expected a graph in metadata {}, found weights alone; give their architecture (--arch NAME)", name, kGraphKey));
    const int version = versionOf(header, name);
    graph::Model model;
    try {
        model.graph = graph::fromJson(parsed(*graphText, name, kGraphKey), name);
    } catch (const nlohmann::json::exception& error) {
        throw core::FormatError(fmt::format("{}: graph: {}", name, error.what()));
    }
    model.card = cardOf(header, version, *model.graph, name);
    model.origin = name;
    try {
        auto loaded = fitted(*model.graph, mappedTensors(mapped, header).tensors(), name);
        if (!loaded.missing.empty() || !loaded.extra.empty())
            throw core::FormatError(fmt::format("{}: tensors do not fit the graph inside: missing {}; unexpected {}", name,
                                                loaded.missing.empty() ? "none" : someNames(loaded.missing),
                                                loaded.extra.empty() ? "none" : someNames(loaded.extra)));
        model.weights = std::move(loaded.weights);
    } catch (const core::ShapeError& error) {
        throw core::FormatError(error.what());
    }
    return model;
}

bool holdsGraph(std::string_view bytes)
{
    try {
        return io::parseSafetensors(bytes, "").findMetadata(kGraphKey) != nullptr;
    } catch (const core::Error&) {
        return false;
    }
}

graph::Weights loadTensors(const std::filesystem::path& file)
{
    return readWeightFile(file).tensors;
}

LoadedWeights fitWeights(const graph::Graph& graph, const graph::Weights& weights, const std::string& origin)
{
    const auto& tensors = weights.tensors();
    const auto anyFits = std::any_of(tensors.begin(), tensors.end(), [&](const auto& entry) { return graph.findParameter(entry.first) != nullptr; });
    if (!anyFits)
        for (const std::string prefix : {"module.", "model.", "_orig_mod."}) {
            const auto renamed = withoutPrefix(tensors, prefix);
            if (renamed.size() != tensors.size() || renamed.empty())
                continue;
            auto loaded = fitted(graph, renamed, origin);
            loaded.prefix = prefix;
            return loaded;
        }
    return fitted(graph, tensors, origin);
}

LoadedWeights loadWeights(const graph::Graph& graph, const std::filesystem::path& file)
{
    return fitWeights(graph, loadTensors(file), file.string());
}

void saveWeights(const std::filesystem::path& file, const graph::Weights& weights)
{
    const auto prepared = prepare(weights.tensors());
    io::writeSafetensors(file, prepared.items, {{"format", "pt"}});
}

}  // namespace orrery::models
