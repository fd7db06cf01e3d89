#pragma once
#include <span>
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

/// What was measured of one attribution ({ID: as `explain::toJson` gives}), as blocks behind its picture.
/// @throws core::FormatError for something else, core::ShapeError for curves whose lists differ in length.
void addQuality(Section& section, const std::string& title, const core::Json& metrics);

}  // namespace orrery::report
