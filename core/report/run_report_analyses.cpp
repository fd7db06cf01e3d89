#include <algorithm>
#include <cmath>
#include <optional>

#include <core/base/error.h>
#include <core/base/text.h>
#include <fmt/format.h>

#include "document_diff.h"
#include "plot.h"
#include "run_report_parts.h"
#include "stored_arrays.h"

namespace orrery::report {

using core::Json;
using store::RunRecord;

namespace {

/// Runs `make`; what is wrong with one artifact becomes a warning in its place.
template <class Make>
void addOrWarn(Section& section, const std::string& what, Make make)
{
    try {
        make();
    } catch (const core::Error& error) {
        section.blocks.emplace_back(Paragraph{fmt::format("{}: {}", what, error.what()), TextStyle::Warning});
    }
}

ConfusionMatrix confusionFrom(const std::string& text)
{
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("counts"))
        throw core::FormatError("expected a JSON object with \"counts\"");
    ConfusionMatrix matrix;
    try {
        matrix.counts = json["counts"].get<std::vector<std::vector<std::int64_t>>>();
        matrix.split = json.value("split", "");
        if (json.contains("classes"))
            for (const Json& name : json["classes"])
                matrix.classes.push_back(name.is_string() ? name.get<std::string>() : name.dump());
    } catch (const Json::exception& error) {
        throw core::FormatError(
            fmt::format("expected lists of whole numbers as \"counts\", a list of names as \"classes\", text as \"split\": {}", error.what()));
    }
    for (std::size_t i = matrix.classes.size(); !json.contains("classes") && i < matrix.counts.size(); ++i)
        matrix.classes.push_back(std::to_string(i));
    return matrix;
}

bool isConfusionMatrix(const std::string& name)
{
    return name == "confusion_matrix" || name.starts_with("confusion_matrix/");
}

/// The three most frequent mistakes, in words.
std::string commonMistakes(const ConfusionMatrix& matrix)
{
    struct Mistake {
        std::int64_t count;
        std::size_t from, to;
    };
    std::vector<Mistake> mistakes;
    for (std::size_t row = 0; row < matrix.counts.size(); ++row)
        for (std::size_t column = 0; column < matrix.counts[row].size(); ++column)
            if (row != column && matrix.counts[row][column] > 0)
                mistakes.push_back({matrix.counts[row][column], row, column});
    std::ranges::stable_sort(mistakes, [](const Mistake& a, const Mistake& b) { return a.count > b.count; });
    mistakes.resize(std::min<std::size_t>(3, mistakes.size()));
    std::vector<std::string> parts;
    for (const Mistake& mistake : mistakes)
        parts.push_back(fmt::format("{} taken for {} ({})", matrix.classes[mistake.from], matrix.classes[mistake.to], mistake.count));
    return parts.empty() ? "No mistakes." : "Most frequent mistakes: " + core::join(parts, ", ") + ".";
}

Picture confusionPicture(const RunRecord& run, const ConfusionMatrix& matrix)
{
    Drawing drawing = drawConfusionMatrix(matrix);
    const std::string split = matrix.split.empty() ? "" : fmt::format(", {}", matrix.split);
    return {
        std::move(drawing), fmt::format("{}{}: counts of samples; colour: share of the true class", runTitle(run), split),
        fmt::format("Confusion matrix of {} classes, accuracy {}. {}", matrix.classes.size(), shortNumber(accuracy(matrix)), commonMistakes(matrix))};
}

/// Channels of equal size; `shape` without its leading ones is [height, width] or [channel, height, width].
struct Planes {
    std::int64_t channels = 0, height = 0, width = 0;
    std::vector<double> values;
};

std::optional<Planes> planesOf(const io::Array& array)
{
    const auto shape = trimmedShape(array, 2);
    // [1, features] is a table row; a picture has more than one line.
    if (shape.size() == 2 && shape[0] > 1)
        return Planes{1, shape[0], shape[1], valuesOf(array)};
    if (shape.size() == 3)
        return Planes{shape[0], shape[1], shape[2], valuesOf(array)};
    return std::nullopt;
}

Grid summedOverChannels(const Planes& planes)
{
    const auto size = static_cast<std::size_t>(planes.height * planes.width);
    Grid grid{int(planes.width), int(planes.height), std::vector<double>(size)};
    for (std::size_t i = 0; i < planes.values.size(); ++i)
        grid.values[i % size] += planes.values[i];
    return grid;
}

/// Grey for one channel, RGB for three, stretched from the least to the greatest value; nothing for other counts.
std::optional<io::Image> imageOf(const Planes& planes)
{
    if ((planes.channels != 1 && planes.channels != 3) || planes.values.empty())
        return std::nullopt;
    const auto [low, high] = std::ranges::minmax(planes.values);
    const auto channels = static_cast<std::size_t>(planes.channels), size = static_cast<std::size_t>(planes.height * planes.width);
    io::Image image{int(planes.width), int(planes.height), int(channels), std::vector<std::uint8_t>(channels * size)};
    for (std::size_t channel = 0; channel < channels; ++channel)
        for (std::size_t i = 0; i < size; ++i) {
            const double share = high > low ? (planes.values[channel * size + i] - low) / (high - low) : 0.5;
            image.pixels[i * channels + channel] = static_cast<std::uint8_t>(std::lround(255 * std::clamp(share, 0.0, 1.0)));
        }
    return image;
}

std::string featureName(const store::Analysis& analysis, std::size_t index)
{
    for (const Json* place : {&analysis.inputs, &analysis.results})
        if (place->is_object() && place->contains("features") && (*place)["features"].is_array() && index < (*place)["features"].size())
            return plainText((*place)["features"][index]);
    return fmt::format("feature {}", index);
}

Picture picturedGrid(const Planes& planes, const std::optional<io::Array>& input, const std::string& title)
{
    AttributionPicture picture;
    picture.attribution = summedOverChannels(planes);
    if (const auto inputPlanes = input ? planesOf(*input) : std::nullopt)
        picture.input = imageOf(*inputPlanes);
    double sum = 0;
    for (const double value : planes.values)
        sum += value;
    return {drawAttribution(picture), title,
            fmt::format("Attribution of {} x {} pixels{}, sum {}.", planes.height, planes.width, planes.channels > 1 ? ", summed over channels" : "",
                        shortNumber(sum))};
}

Picture picturedBars(const io::Array& array, const store::Analysis& analysis, const std::string& title)
{
    const std::vector<double> values = valuesOf(array);
    const auto shape = trimmedShape(array, 1);
    if (shape.size() != 1 || values.empty())
        throw core::ShapeError(fmt::format("expected an attribution of shape [feature], [height, width] or [channel, height, width], got {}",
                                           core::formatShape(array.shape)));
    std::vector<Bar> bars;
    for (std::size_t i = 0; i < values.size(); ++i)
        bars.push_back({featureName(analysis, i), values[i]});
    const auto largest = std::ranges::max_element(bars, {}, [](const Bar& bar) { return std::abs(bar.value); });
    return {drawBars(bars, "attribution"), title,
            fmt::format("Attribution of {} features; the largest is {} with {}.", bars.size(), largest->name, shortNumber(largest->value))};
}

KeyValues settingsOf(const store::Analysis& analysis)
{
    KeyValues list;
    for (const auto& [path, value] : flattened(analysis.parameters))
        list.entries.emplace_back(path, plainText(value));
    for (const auto& [path, value] : flattened(analysis.results))
        if (!value.is_structured() && path.find('.') == std::string::npos)
            list.entries.emplace_back(path, value.is_number_float() ? shortNumber(value.get<double>()) : plainText(value));
    return list;
}

void addAttribution(Section& section, const store::Workspace& workspace, const RunRecord& run, const store::Analysis& analysis)
{
    const std::string title = fmt::format("{}: {}", runTitle(run), attributionTitle(analysis));
    addOrWarn(section, title, [&] { addAttributionBlocks(section, workspace, analysis, title); });
}

}  // namespace

bool isAttribution(const store::Analysis& analysis)
{
    return findArtifact(analysis, "attribution") != nullptr;
}

std::string attributionTitle(const store::Analysis& analysis)
{
    std::string title = analysis.method;
    for (const char* key : {"sample", "target"})
        for (const Json* place : {&analysis.inputs, &analysis.results})
            if (place->is_object() && place->contains(key) && !(*place)[key].is_structured()) {
                title += fmt::format(", {} {}", key, plainText((*place)[key]));
                break;
            }
    return title;
}

void addAttributionBlocks(Section& section, const store::Workspace& workspace, const store::Analysis& analysis, const std::string& title)
{
    const auto attribution = arrayOf(workspace, analysis, "attribution");
    if (!attribution)
        throw core::FormatError(fmt::format("analysis {}: expected an artifact \"attribution\"", analysis.id));
    const auto planes = planesOf(*attribution);
    section.blocks.emplace_back(planes ? picturedGrid(*planes, arrayOf(workspace, analysis, "input"), title)
                                       : picturedBars(*attribution, analysis, title));
    if (KeyValues settings = settingsOf(analysis); !settings.entries.empty())
        section.blocks.emplace_back(std::move(settings));
    if (const auto metrics = jsonOf(workspace, analysis, "metrics"))
        addQuality(section, title, *metrics);
}

Section confusionSection(const store::Workspace& workspace, RunRecords runs)
{
    Section section{"Confusion matrices", {}};
    for (const RunRecord& run : runs)
        for (const store::Artifact& artifact : workspace.artifacts(run.id))
            if (isConfusionMatrix(artifact.name))
                addOrWarn(section, fmt::format("{}, {}", runTitle(run), artifact.name),
                          [&] { section.blocks.emplace_back(confusionPicture(run, confusionFrom(workspace.readArtifact(artifact)))); });
    return section;
}

Section attributionSection(const store::Workspace& workspace, RunRecords runs, const RunReportOptions& options)
{
    Section section{"Attributions", {}};
    for (const RunRecord& run : runs) {
        std::size_t shown = 0, left = 0;
        for (const store::Analysis& analysis : workspace.analyses(run.id)) {
            if (!isAttribution(analysis))
                continue;
            if (shown < options.attributions)
                addAttribution(section, workspace, run, analysis), ++shown;
            else
                ++left;
        }
        if (left > 0)
            section.blocks.emplace_back(Paragraph{fmt::format("{}: {} older attributions are not shown.", runTitle(run), left), TextStyle::Note});
    }
    return section;
}

}  // namespace orrery::report
