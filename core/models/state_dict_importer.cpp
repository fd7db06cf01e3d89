#include <regex>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/zoo/zoo.h>

#include "checkpoint_folder.h"
#include "importer.h"
#include "model_file.h"
#include "weights/weight_browser.h"
#include "weights/weight_file.h"

namespace orrery::models {
namespace {

constexpr std::size_t kMaxNames = 8;

bool isStateDict(const ModelSource& source)
{
    return source.folder.empty() ? isWeightFile(source.bytes) : isCheckpointFolder(source.folder);
}

std::string firstNames(std::vector<std::string> names)
{
    const auto count = names.size();
    names.resize(std::min(count, kMaxNames));
    return core::join(names, ", ") + (count > kMaxNames ? fmt::format(" and {} more", count - kMaxNames) : std::string());
}

void note(const OpenOptions& options, const std::string& text)
{
    if (options.note)
        options.note(text);
}

/// Until version 0.3 torchvision's DenseNets called the parts of a layer norm.1, conv.2 (norm1, conv2 since), and many files still do.
graph::Weights withTodaysNames(const graph::Weights& tensors)
{
    static const std::regex old(R"((denselayer\d+\.(?:norm|conv))\.([12])\.)");
    graph::Weights out;
    for (const auto& [name, tensor] : tensors.tensors())
        out.set(std::regex_replace(name, old, "$1$2."), tensor);
    return out;
}

graph::Model openWithArchitecture(const WeightFile& file, const ModelSource& source, const OpenOptions& options)
{
    const auto prefix = zoo::isZooReference(options.architecture) ? "" : "zoo:";
    const auto reference = zoo::parseZooReference(prefix + options.architecture);
    auto model = zoo::buildGraph(reference.id, reference.parameters);
    auto loaded = fitWeights(*model.graph, reference.id == "densenet" ? withTodaysNames(file.tensors) : file.tensors, source.name());
    if (!loaded.missing.empty())
        throw core::InputError(fmt::format("{}: expected all parameters of {}, missing {}{}", source.name(), options.architecture,
                                           firstNames(loaded.missing),
                                           loaded.extra.empty() ? std::string() : "; unexpected " + firstNames(loaded.extra)));
    // How often a norm was updated: nothing reads that while its momentum is given.
    std::erase_if(loaded.extra, [](const std::string& name) { return name.ends_with(".num_batches_tracked"); });
    if (!loaded.extra.empty())
        note(options, fmt::format("not used: {}", firstNames(loaded.extra)));
    if (!loaded.prefix.empty())
        note(options, fmt::format("prefix {} was taken off every name", loaded.prefix));
    model.weights = std::move(loaded.weights);
    return model;
}

/// The file's or the folder's own name, without the way to it.
std::string lastName(const ModelSource& source)
{
    const auto path = source.folder.empty() ? source.file : source.folder;
    return (path.has_filename() ? path : path.parent_path()).filename().string();
}

graph::Model openBrowser(WeightFile file, const ModelSource& source, const OpenOptions& options)
{
    const auto type = source.folder.empty() ? std::string() : checkpointModelType(source.folder);
    if (!type.empty())
        note(options, fmt::format("model_type \"{}\" is not among the architectures that can be run", type));
    note(options, fmt::format("{} tensors and no architecture: they can be looked at; to run them, give one (--arch NAME?key=value)",
                              file.tensors.tensors().size()));
    return weightBrowser(std::move(file), lastName(source));
}

graph::Model openStateDict(const ModelSource& source, const OpenOptions& options)
{
    auto file = source.folder.empty() ? readWeightFile(source.file) : readFolderWeights(readCheckpointFolder(source.folder));
    for (const auto& text : file.notes)
        note(options, text);
    return options.architecture.empty() ? openBrowser(std::move(file), source, options) : openWithArchitecture(file, source, options);
}

}  // namespace

void registerStateDictImporter(ImporterRegistry& registry)
{
    registry.add({"state_dict",
                  "weights alone (.safetensors, .npz, torch.save, GGUF, checkpoint folder), run with --arch NAME",
                  "A state dictionary: for one of the built-in architectures, or to look at the tensors.",
                  "safetensors format description, version 0.4",
                  {},
                  {},
                  {}},
                 {isStateDict, openStateDict});
}

}  // namespace orrery::models
