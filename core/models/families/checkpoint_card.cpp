#include "checkpoint_card.h"

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/io/json_memory.h>
#include <core/text/tokenizer_files.h>

namespace orrery::models::families {
namespace {

constexpr std::uint64_t kMaxSideFileBytes = std::uint64_t(64) << 20;
constexpr const char* kConfigKey = "checkpoint_config";
constexpr const char* kGenerationKey = "generation_config";
constexpr const char* kGenerationFile = "generation_config.json";

/// A JSON object beside the config; an empty one if the file is not there.
Config sideFile(const std::filesystem::path& folder, const char* name)
{
    const auto file = folder / name;
    std::error_code error;
    if (!std::filesystem::exists(file, error))
        return {core::Json::object(), file.string()};
    core::Json json = io::parseJson(core::readFile(file, kMaxSideFileBytes), file.string());
    if (!json.is_object())
        throw core::FormatError(fmt::format("{}: expected an object, found {}", file.string(), json.type_name()));
    return {std::move(json), file.string()};
}

bool isTokenNumber(const core::Json& value)
{
    return value.is_number_integer() && value.get<double>() >= 0 && value.get<double>() < 1e9;
}

/// One number or several.
void copyTokens(core::Json& into, const char* as, const Config& from, const char* key)
{
    if (into.contains(as) || !from.has(key))
        return;
    const auto& value = from.json().at(key);
    if (isTokenNumber(value))
        into[as] = value;
    else if (value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), isTokenNumber))
        into[as] = value;
}

core::Json specialTokens(const std::filesystem::path& folder, const Config& config)
{
    core::Json tokens = core::Json::object();
    const Config generation = sideFile(folder, kGenerationFile);
    for (const Config* source : {&generation, &config}) {
        copyTokens(tokens, "begin", *source, "bos_token_id");
        copyTokens(tokens, "end", *source, "eos_token_id");
        copyTokens(tokens, "padding", *source, "pad_token_id");
        copyTokens(tokens, "decoder_begin", *source, "decoder_start_token_id");
        copyTokens(tokens, "mask", *source, "mask_token_id");
    }
    return tokens;
}

std::optional<std::int64_t> imageSize(const Config& config)
{
    for (const char* key : {"crop_size", "size"}) {
        if (!config.has(key) || (std::string_view(key) == "crop_size" && !config.flag("do_center_crop", false)))
            continue;
        const auto& size = config.json().at(key);
        if (size.is_number_integer())
            return config.count(key);
        const Config parts = config.section(key);
        return parts.count(parts.firstOf({"height", "shortest_edge"}));
    }
    return std::nullopt;
}

void completeImage(graph::ModelCard::Input& input, const std::filesystem::path& folder, const std::function<void(const std::string&)>& note)
{
    const Config config = sideFile(folder, "preprocessor_config.json");
    const auto numbers = [&](const char* key) {
        const auto& value = config.json().at(key);
        if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), [](const auto& each) { return each.is_number(); }))
            config.fail(key, "a list of numbers");
        return value;
    };
    if (config.flag("do_normalize", true) && config.has("image_mean") && config.has("image_std"))
        input.preprocessing = {{"mean", numbers("image_mean")}, {"std", numbers("image_std")}, {"range", {0, 1}}};
    const auto size = imageSize(config);
    for (std::size_t axis = 2; size && axis < input.shape.size(); ++axis)
        if (input.shape[axis] == "size")
            input.shape[axis] = std::to_string(*size);
    if (note && (config.has("crop_pct") || config.flag("do_center_crop", false)))
        note("pictures are resized to the model's size as a whole; the checkpoint's own preparation crops their middle");
}

}  // namespace

void completeCard(graph::Model& model, const std::filesystem::path& folder, const Config& config, const std::function<void(const std::string&)>& note)
{
    graph::ModelCard& card = model.card;
    if (card.task.ends_with("classification"))
        card.classNames = config.labelNames();
    bool readsText = false;
    for (auto& input : card.inputs) {
        if (input.kind == "image")
            completeImage(input, folder, note);
        if (input.kind == "tokens")
            input.preprocessing = specialTokens(folder, config);
        readsText = readsText || input.kind == "tokens";
    }
    if (readsText)
        card.tokenizer = text::folderTokenizerCard(folder);
    if (card.inputs.empty())
        return;
    keepCheckpointConfig(card, config.json());
    if (const auto generation = sideFile(folder, kGenerationFile).json(); !generation.empty())
        card.inputs[0].preprocessing[kGenerationKey] = generation;
}

void keepCheckpointConfig(graph::ModelCard& card, const core::Json& config)
{
    card.inputs.at(0).preprocessing[kConfigKey] = config;
}

namespace {

core::Json keptWith(const graph::ModelCard& card, const char* key)
{
    if (card.inputs.empty() || !card.inputs[0].preprocessing.is_object())
        return nullptr;
    return card.inputs[0].preprocessing.value(key, core::Json());
}

}  // namespace

core::Json checkpointConfig(const graph::ModelCard& card)
{
    return keptWith(card, kConfigKey);
}

core::Json generationConfig(const graph::ModelCard& card)
{
    return keptWith(card, kGenerationKey);
}

}  // namespace orrery::models::families
