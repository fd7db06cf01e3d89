#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <core/store/workspace.h>

#include "run_report.h"

namespace orrery::report {

/// Sections of the run report; each may be empty (no blocks), and is then left out.
using RunRecords = std::span<const store::RunRecord>;

Section curveSection(const store::Workspace& workspace, RunRecords runs, const RunReportOptions& options);
Section metricSection(RunRecords runs);
Section confusionSection(const store::Workspace& workspace, RunRecords runs);
Section attributionSection(const store::Workspace& workspace, RunRecords runs, const RunReportOptions& options);

/// One section of the run report by name: "runs", "differences", "metrics", "curves", "confusion", "attributions", "environment", "commands", "dates".
struct RunPart {
    std::string_view id;
    Section (*make)(const store::Workspace& workspace, RunRecords runs, const RunReportOptions& options);
};
/// In the order of the report.
std::span<const RunPart> runParts();
/// Each run once, in the order asked for. @throws core::InputError if there is none or one is not in the workspace.
std::vector<store::RunRecord> recordsOf(const store::Workspace& workspace, std::span<const store::RunId> runs);

bool isAttribution(const store::Analysis& analysis);
/// The method with its sample and target.
std::string attributionTitle(const store::Analysis& analysis);
/// Picture or bars, settings with the completeness error, quality. @throws core::Error for an artifact that is damaged or of another shape.
void addAttributionBlocks(Section& section, const store::Workspace& workspace, const store::Analysis& analysis, const std::string& title);

/// What was measured of one attribution ({ID: as `explain::toJson` gives}), as blocks behind its picture.
/// @throws core::FormatError for something else, core::ShapeError for curves whose lists differ in length.
void addQuality(Section& section, const std::string& title, const core::Json& metrics);

}  // namespace orrery::report
