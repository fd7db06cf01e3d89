#include "checkpoint_folder.h"

#include <algorithm>
#include <map>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/stop.h>
#include <core/base/text.h>
#include <core/io/json_tape.h>
#include <core/train/document_file.h>

namespace orrery::models {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxJson = std::uint64_t(64) << 20;
constexpr std::size_t kMaxShards = 10'000;
constexpr std::uint64_t kMapEntryMemory = 150;
constexpr std::string_view kConfigName = "config.json";
// A file alone or the index of its shards, in the order in which they are looked for.
constexpr std::string_view kWholeNames[] = {"model.safetensors", "pytorch_model.bin"};
constexpr std::string_view kWeightEndings[] = {".safetensors", ".bin", ".pt", ".pth", ".gguf"};

// Also a link whose file is gone (a download that broke off) or a folder: reading it says so. To look past it would give a model without its weights.
bool isThere(const fs::path& file)
{
    std::error_code error;
    return fs::exists(fs::symlink_status(file, error));
}

fs::path indexOf(const fs::path& folder, std::string_view wholeName)
{
    return folder / (std::string(wholeName) + ".index.json");
}

// The only file with this ending, or nothing.
std::optional<fs::path> onlyFile(const fs::path& folder, std::string_view ending)
{
    std::optional<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const auto name = it->path().filename().string();
        if (!name.ends_with(ending) || name.starts_with('.') || it->is_directory(error))
            continue;
        if (found)
            return {};
        found = it->path();
    }
    return found;
}

std::optional<fs::path> wholeFile(const fs::path& folder)
{
    for (const auto name : kWholeNames) {
        if (isThere(folder / name))
            return folder / name;
        if (isThere(indexOf(folder, name)))
            return {};
    }
    for (const auto ending : kWeightEndings)
        if (auto file = onlyFile(folder, ending))
            return file;
    return {};
}

fs::path indexFile(const fs::path& folder)
{
    for (const auto name : kWholeNames) {
        if (isThere(folder / name))
            return {};
        if (isThere(indexOf(folder, name)))
            return indexOf(folder, name);
    }
    return {};
}

core::Json readObject(const fs::path& file)
{
    const train::DocumentLimits limits{kMaxJson, 200'000, 64};
    auto json = train::parseJsonDocument(core::readFile(file, kMaxJson), file.string(), limits);
    if (!json.is_object())
        throw core::FormatError(fmt::format("{}: expected an object, found {}", file.string(), json.type_name()));
    return json;
}

bool isPlainName(const std::string& name)
{
    return !name.empty() && name != "." && name != ".." && name.find_first_of("/\\") == std::string::npos && name.find('\0') == std::string::npos;
}

/// Tensor name -> file name, as the index says.
std::map<std::string, std::string> readWeightMap(const fs::path& index)
{
    const auto text = core::readFile(index, kMaxJson);
    io::MemoryBudget budget(io::fileMemory(text.size()));
    const io::JsonTape tape(text, index.string(), budget);  // of 100,000 tensors, where a tree that keeps the order looks through all names for each
    const auto map = tape.root().find("weight_map");
    if (!map || !map->isObject())
        throw core::FormatError(fmt::format("{}: expected an object \"weight_map\", found {}", index.string(), map ? map->typeName() : "none"));
    std::map<std::string, std::string> files;
    for (const io::JsonValue file : *map) {
        if (!file.isText() || !isPlainName(std::string(file.text())))
            throw core::FormatError(
                fmt::format("{}: tensor {}: expected the name of a file in the same folder, found {}", index.string(), file.key(), file.shown()));
        if (!budget.take(kMapEntryMemory + file.key().size() + file.text().size()))
            throw core::FormatError(fmt::format("{}: {}", index.string(), budget.refusal()));
        files[std::string(file.key())] = file.text();
    }
    return files;
}

std::vector<fs::path> shardsOf(const fs::path& index)
{
    std::vector<std::string> names;
    for (const auto& [tensor, file] : readWeightMap(index))
        names.push_back(file);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (names.size() > kMaxShards)
        throw core::FormatError(fmt::format("{}: expected at most {} files, found {}", index.string(), kMaxShards, names.size()));
    std::vector<fs::path> files;
    for (const auto& name : names) {
        files.push_back(index.parent_path() / name);
        if (!isThere(files.back()))
            throw core::FormatError(fmt::format("{}: expected the file {} beside it, found none", index.string(), name));
    }
    return files;
}

void checkAgainstIndex(const fs::path& index, const std::map<std::string, std::string>& foundIn)
{
    for (const auto& [tensor, file] : readWeightMap(index)) {
        const auto found = foundIn.find(tensor);
        if (found == foundIn.end() || found->second != file)
            throw core::FormatError(fmt::format("{}: expected tensor {} in {}, found it {}", index.string(), tensor, file,
                                                found == foundIn.end() ? "nowhere" : "in " + found->second));
    }
}

}  // namespace

std::string CheckpointFolder::modelType() const
{
    const auto found = config.is_object() ? config.find("model_type") : config.end();
    return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool isCheckpointFolder(const fs::path& folder)
{
    std::error_code error;
    return fs::is_directory(folder, error) && (isThere(folder / kConfigName) || wholeFile(folder) || !indexFile(folder).empty());
}

std::string checkpointModelType(const fs::path& folder)
{
    CheckpointFolder result;
    try {
        if (isThere(folder / kConfigName))
            result.config = readObject(folder / kConfigName);
    } catch (const core::Error&) {
        return {};
    }
    return result.modelType();
}

CheckpointFolder readCheckpointFolder(const fs::path& folder)
{
    if (!isCheckpointFolder(folder))
        throw core::InputError(fmt::format("{}: expected a checkpoint folder (config.json, model.safetensors, model.safetensors.index.json, "
                                           "pytorch_model.bin or one other file of weights), found {}",
                                           folder.string(), std::filesystem::is_directory(folder) ? "none of these" : "no folder"));
    CheckpointFolder result;
    result.folder = folder;
    if (isThere(folder / kConfigName))
        result.config = readObject(folder / kConfigName);
    result.indexFile = indexFile(folder);
    if (!result.indexFile.empty())
        result.weightFiles = shardsOf(result.indexFile);
    else if (const auto file = wholeFile(folder))
        result.weightFiles.push_back(*file);
    return result;
}

WeightFile readFolderWeights(const CheckpointFolder& folder)
{
    if (folder.weightFiles.empty())
        throw core::InputError(
            fmt::format("{}: expected a file of weights (model.safetensors, pytorch_model.bin, or shards with an index), found none", folder.name()));
    WeightFile all{{}, "checkpoint folder", folder.config, {}, {}, {}};
    std::map<std::string, std::string> foundIn;
    for (const auto& file : folder.weightFiles) {
        core::throwIfStopped();
        auto shard = readWeightFile(file);
        for (const auto& [name, tensor] : shard.tensors.tensors()) {
            const auto [it, isNew] = foundIn.emplace(name, file.filename().string());
            if (!isNew)
                throw core::FormatError(fmt::format("{}: tensor {} is in {} and in {}", folder.name(), name, it->second, file.filename().string()));
            all.tensors.set(name, tensor);
        }
        all.buffers.merge(shard.buffers);
        std::move(shard.modules.begin(), shard.modules.end(), std::back_inserter(all.modules));
        std::move(shard.notes.begin(), shard.notes.end(), std::back_inserter(all.notes));
    }
    if (!folder.indexFile.empty())
        checkAgainstIndex(folder.indexFile, foundIn);
    return all;
}

graph::Weights loadFolderTensors(const CheckpointFolder& folder)
{
    return readFolderWeights(folder).tensors;
}

}  // namespace orrery::models
