#include <core/base/error.h>
#include <core/base/text.h>
#include <core/zoo/zoo.h>

#include "importer.h"
#include "model_file.h"
#include "zip_check.h"

namespace orrery::models {
namespace {

constexpr std::size_t kMaxNames = 8;

// A safetensors file begins with the length of a JSON object.
bool isStateDict(const ModelSource& source)
{
    if (source.bytes.size() > 9 && source.bytes[8] == '{')
        return true;
    if (source.bytes.substr(0, 4) != "PK\x03\x04")
        return false;
    const auto names = zipEntryNames(source.bytes);
    return !names.empty() && std::all_of(names.begin(), names.end(), [](const std::string& name) { return name.ends_with(".npy"); });
}

std::string firstNames(std::vector<std::string> names)
{
    const auto count = names.size();
    names.resize(std::min(count, kMaxNames));
    return core::join(names, ", ") + (count > kMaxNames ? fmt::format(" and {} more", count - kMaxNames) : std::string());
}

graph::Model openStateDict(const ModelSource& source, const OpenOptions& options)
{
    if (options.architecture.empty()) {
        std::vector<std::string> names;
        const auto tensors = loadTensors(source.file);
        for (const auto& [name, tensor] : tensors.tensors())
            names.push_back(name);
        throw core::InputError(fmt::format("{}: expected an architecture for a file of weights alone (--arch NAME?key=value); found tensors {}",
                                           source.file.string(), firstNames(names)));
    }
    const auto prefix = zoo::isZooReference(options.architecture) ? "" : "zoo:";
    const auto reference = zoo::parseZooReference(prefix + options.architecture);
    auto model = zoo::buildGraph(reference.id, reference.parameters);
    auto loaded = loadWeights(*model.graph, source.file);
    if (!loaded.missing.empty())
        throw core::InputError(fmt::format("{}: expected all parameters of {}, missing {}{}", source.file.string(), options.architecture,
                                           firstNames(loaded.missing),
                                           loaded.extra.empty() ? std::string() : "; unexpected " + firstNames(loaded.extra)));
    if (options.note && !loaded.extra.empty())
        options.note(fmt::format("not used: {}", firstNames(loaded.extra)));
    if (options.note && !loaded.prefix.empty())
        options.note(fmt::format("prefix {} was taken off every name", loaded.prefix));
    model.weights = std::move(loaded.weights);
    return model;
}

}  // namespace

void registerStateDictImporter(ImporterRegistry& registry)
{
    registry.add({"state_dict",
                  "weights alone (.safetensors, .npz) with --arch NAME",
                  "A state dictionary for one of the built-in architectures.",
                  "safetensors format description, version 0.4",
                  {},
                  {},
                  {}},
                 {isStateDict, openStateDict});
}

}  // namespace orrery::models
