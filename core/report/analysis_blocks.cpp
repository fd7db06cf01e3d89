#include "analysis_blocks.h"

#include <core/base/error.h>
#include <core/io/image.h>
#include <fmt/format.h>

#include "blocks_json.h"
#include "document_diff.h"
#include "picture_block.h"
#include "plot.h"
#include "run_report_parts.h"
#include "stored_arrays.h"

namespace orrery::report {

using core::Json;
using store::Analysis;

namespace {

template <const char* Method>
bool isMethod(const Analysis& analysis)
{
    return analysis.method == Method;
}

constexpr char kPatching[] = "patching", kComparison[] = "compare_representations", kProbe[] = "probe", kProjection[] = "projection",
               kIntervene[] = "intervene";

bool isLens(const Analysis& analysis)
{
    return findArtifact(analysis, "lens") != nullptr;
}

bool isSnapshot(const Analysis& analysis)
{
    return analysis.method == "snapshot" || analysis.method == "picture";
}

bool fitsAll(const Analysis&)
{
    return true;
}

/// `inputs.model` and what else names the subject in one word.
std::string subjectTitle(const Analysis& analysis)
{
    std::string title = analysis.method;
    for (const char* key : {"title", "model"})
        if (analysis.inputs.is_object() && analysis.inputs.contains(key) && analysis.inputs[key].is_string() && !analysis.inputs[key].empty())
            return key == std::string_view("title") ? analysis.inputs[key].get<std::string>()
                                                    : title + ": " + analysis.inputs[key].get<std::string>();
    return title;
}

std::string scalingTitle(const Analysis& analysis)
{
    return analysis.results.is_object() && analysis.results.contains("law") ? "Scaling fit: " + cellText(analysis.results["law"]) : analysis.method;
}

void addAttributionKind(Section& section, const store::Workspace& workspace, const Analysis& analysis)
{
    addAttributionBlocks(section, workspace, analysis, attributionTitle(analysis));
}

void addResults(Section& section, const store::Workspace&, const Analysis& analysis)
{
    addJson(section, analysis.results);
}

/// Of a data set its name and size are enough; how it was split stands in the run.
bool isShownOrigin(const std::string& path, const Json& value)
{
    const bool isDataDetail = path.starts_with("data.") && path != "data.id" && path != "data.limit";
    return !path.empty() && path != "features" && path != "title" && !isDataDetail && !value.is_null() && !(value.is_structured() && value.empty());
}

/// What the result is of, and with what settings it was made; an attribution's settings stand beside its picture.
void addOrigin(Section& section, const Analysis& analysis)
{
    KeyValues origin;
    const auto add = [&](const Json& part) {
        for (const auto& [path, value] : flattened(part))
            if (isShownOrigin(path, value) && origin.entries.size() < 40)
                origin.entries.emplace_back(path, cellText(value));
    };
    add(analysis.inputs);
    if (!isAttribution(analysis))
        add(analysis.parameters);
    if (!origin.entries.empty())
        section.blocks.emplace_back(std::move(origin));
}

}  // namespace

std::span<const AnalysisKind> analysisKinds()
{
    static constexpr AnalysisKind kinds[] = {
        {"attribution", isAttribution, attributionTitle, addAttributionKind},
        {"snapshot", isSnapshot, subjectTitle, addSnapshot},
        {"patching", isMethod<kPatching>, subjectTitle, addPatching},
        {"comparison", isMethod<kComparison>, subjectTitle, addComparison},
        {"probe", isMethod<kProbe>, subjectTitle, addProbes},
        {"projection", isMethod<kProjection>, subjectTitle, addProjection},
        {"intervene", isMethod<kIntervene>, subjectTitle, addIntervention},
        {"scaling", isScalingFit, scalingTitle, addScalingFit},
        {"lens", isLens, subjectTitle, addLens},
        {"results", fitsAll, subjectTitle, addResults},
    };
    return kinds;
}

const AnalysisKind& kindOf(const Analysis& analysis)
{
    for (const AnalysisKind& kind : analysisKinds())
        if (kind.fits(analysis))
            return kind;
    return analysisKinds().back();
}

std::string titleOf(const Analysis& analysis)
{
    return kindOf(analysis).title(analysis);
}

Section analysisSection(const store::Workspace& workspace, const Analysis& analysis)
{
    Section section{titleOf(analysis), {}};
    const auto warn = [&](const char* what) {
        section.blocks.emplace_back(Paragraph{fmt::format("analysis {} ({}): {}", analysis.id, analysis.method, what), TextStyle::Warning});
    };
    try {
        kindOf(analysis).add(section, workspace, analysis);
    } catch (const core::Error& error) {
        warn(error.what());
    } catch (const Json::exception& error) {
        warn(error.what());
    }
    addOrigin(section, analysis);
    return section;
}

void addSnapshot(Section& section, const store::Workspace& workspace, const Analysis& analysis)
{
    const Json titles = analysis.results.is_object() ? analysis.results.value("pictures", Json::object()) : Json::object();
    for (const store::Artifact& artifact : analysis.artifacts) {
        if (!artifact.mediaType.starts_with("image/"))
            continue;
        const std::string title = titles.is_object() && titles.contains(artifact.name) ? cellText(titles[artifact.name]) : "";
        const io::Image image = io::decodeImage(contentOf(workspace, analysis, artifact), fmt::format("analysis {}, {}", analysis.id, artifact.name));
        section.blocks.emplace_back(pictureOf(image, title));
    }
    if (const auto blocks = jsonOf(workspace, analysis, "blocks"))
        for (Block& block : blocksFromJson(*blocks, fmt::format("analysis {}, blocks", analysis.id)))
            section.blocks.push_back(std::move(block));
}

}  // namespace orrery::report
