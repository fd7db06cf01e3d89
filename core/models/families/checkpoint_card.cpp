#include "checkpoint_card.h"

#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/io/json_memory.h>
#include <core/io/resample.h>
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

/// How a checkpoint's own library makes a picture ready, read from preprocessor_config.json. Source: transformers, the image processors of the families.
class PictureRecipe {
public:
    explicit PictureRecipe(const Config& config)
        : m_config(config), m_type(config.text("image_processor_type", config.text("feature_extractor_type", "")))
    {
        if (config.json().empty())
            return;
        if (config.flag("do_resize", true) && config.has("size"))
            isConvNext() ? readConvNext() : readResize();
        if (!isConvNext() && config.flag("do_center_crop", isCutFromShortest()) && config.has("crop_size"))
            m_recipe["center_crop"] = box("crop_size");
        if (m_recipe.contains("resize"))
            m_recipe["resample"] = io::filterName(filter());
        readNumbers();
    }

    const core::Json& json() const { return m_recipe; }
    /// Null without a size of its own: the picture's sides decide.
    core::Json finalSize() const
    {
        if (m_recipe.contains("center_crop"))
            return m_recipe["center_crop"];
        const bool hasSides = m_recipe.contains("resize") && m_recipe["resize"].contains("height");
        return hasSides ? m_recipe["resize"] : core::Json();
    }

private:
    bool is(std::initializer_list<std::string_view> beginnings) const
    {
        return std::any_of(beginnings.begin(), beginnings.end(), [&](std::string_view each) { return m_type.starts_with(each); });
    }
    /// By default: the shortest edge is fitted, then the middle is cut out.
    bool isCutFromShortest() const { return is({"CLIP", "ChineseCLIP", "Bit", "MobileNet"}); }
    bool isConvNext() const { return is({"ConvNext"}) || m_config.has("crop_pct"); }

    static core::Json square(std::int64_t side) { return {{"height", side}, {"width", side}}; }

    /// 224, or {"height": 224, "width": 224}.
    core::Json box(const char* key) const
    {
        if (m_config.json().at(key).is_number_integer())
            return square(m_config.count(key));
        const Config parts = m_config.section(key);
        return {{"height", parts.count("height")}, {"width", parts.count("width")}};
    }

    /// Pictures of less than 384 are cut out of somewhat larger ones, others are squeezed.
    void readConvNext()
    {
        if (!m_config.json().at("size").is_number_integer() && !m_config.section("size").has("shortest_edge"))
            return readResize();
        const std::int64_t side =
            m_config.json().at("size").is_number_integer() ? m_config.count("size") : m_config.section("size").count("shortest_edge");
        const double part = m_config.real("crop_pct", 224.0 / 256);
        if (!(part > 0 && part <= 1))
            m_config.fail("crop_pct", "a number above 0, at most 1");
        if (side < 384) {
            m_recipe["resize"] = {{"shortest_edge", std::int64_t(double(side) / part)}};
            m_recipe["center_crop"] = square(side);
        } else {
            m_recipe["resize"] = square(side);
        }
    }

    void readResize()
    {
        if (m_config.json().at("size").is_number_integer()) {
            const bool isShortest = isCutFromShortest() || (m_type.empty() && m_config.flag("do_center_crop", false));
            m_recipe["resize"] = isShortest ? core::Json{{"shortest_edge", m_config.count("size")}} : square(m_config.count("size"));
            return;
        }
        const Config size = m_config.section("size");
        m_recipe["resize"] = size.has("shortest_edge") ? core::Json{{"shortest_edge", size.count("shortest_edge")}} : box("size");
    }

    io::Filter filter() const
    {
        const auto usual = is({"CLIP", "ChineseCLIP", "Bit", "DeiT", "Siglip"}) ? io::Filter::Bicubic : io::Filter::Bilinear;
        if (!m_config.has("resample"))
            return usual;
        const auto number = m_config.number("resample");
        const auto found = number ? io::filterFromNumber(*number) : std::nullopt;
        if (!found)
            m_config.fail("resample", "a filter from 0 to 5");
        return *found;
    }

    core::Json numbers(const char* key) const
    {
        const auto& value = m_config.json().at(key);
        if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), [](const auto& each) { return each.is_number(); }))
            m_config.fail(key, "a list of numbers");
        return value;
    }

    void readNumbers()
    {
        const double factor = m_config.flag("do_rescale", true) ? m_config.real("rescale_factor", 1.0 / 255) : 1.0, largest = factor * 255;
        const double offset = m_config.flag("rescale_offset", false) ? -1 : 0;
        if (offset == 0 && std::abs(largest - 1) < 1e-9)
            m_recipe["range"] = {0, 1};
        else
            m_recipe["range"] = {offset, largest + offset};
        if (m_config.flag("do_normalize", true) && m_config.has("image_mean") && m_config.has("image_std")) {
            m_recipe["mean"] = numbers("image_mean");
            m_recipe["std"] = numbers("image_std");
            // EfficientNet's processor divides by the deviation a second time.
            if (is({"EfficientNet"}) && m_config.flag("include_top", true))
                for (core::Json& deviation : m_recipe["std"])
                    deviation = deviation.get<double>() * deviation.get<double>();
        }
    }

    const Config& m_config;
    std::string m_type;
    core::Json m_recipe;
};

void completeImage(graph::ModelCard::Input& input, const std::filesystem::path& folder, const std::function<void(const std::string&)>& note)
{
    const Config config = sideFile(folder, "preprocessor_config.json");
    const PictureRecipe recipe(config);
    if (!recipe.json().is_null())
        input.preprocessing = recipe.json();
    const core::Json size = recipe.finalSize();
    for (std::size_t axis = 2; size.is_object() && axis < std::min<std::size_t>(input.shape.size(), 4); ++axis)
        if (input.shape[axis] == "size")
            input.shape[axis] = std::to_string(size.at(axis == 2 ? "height" : "width").get<std::int64_t>());
    if (note && config.has("size") && config.json().at("size").is_object() && config.json().at("size").contains("longest_edge"))
        note("pictures are resized to a shortest edge alone; the checkpoint's own preparation bounds the longest one, too");
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
