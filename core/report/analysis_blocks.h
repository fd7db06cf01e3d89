#pragma once
#include <span>
#include <string>
#include <vector>

#include <core/store/workspace.h>

#include "blocks.h"

namespace orrery::report {

/// One kind of stored result and how a report shows it. A new kind is one function in a file of its own and one line in the list.
struct AnalysisKind {
    const char* id;  ///< for messages and icons: "attribution", "patching", ...
    bool (*fits)(const store::Analysis& analysis);
    std::string (*title)(const store::Analysis& analysis);
    /// Appends blocks. @throws core::Error for content that is damaged.
    void (*add)(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);
};

/// In the order of asking; the last fits everything.
std::span<const AnalysisKind> analysisKinds();
const AnalysisKind& kindOf(const store::Analysis& analysis);
/// What the section is called if nobody named it: the method and what it was applied to.
std::string titleOf(const store::Analysis& analysis);
/// What a report shows of one analysis: pictures, tables of its numbers, then what it was applied to and with what settings. What is damaged becomes a
/// warning in its place. Same analysis, same blocks. Any thread.
Section analysisSection(const store::Workspace& workspace, const store::Analysis& analysis);

// The kinds.
void addPatching(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);
void addComparison(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);
void addLens(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);
void addProbes(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);
void addProjection(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);
void addIntervention(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);
bool isScalingFit(const store::Analysis& analysis);
void addScalingFit(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);
void addSnapshot(Section& section, const store::Workspace& workspace, const store::Analysis& analysis);

/// Numbers and texts of any JSON: plain values as a list of keys and values, lists of objects as tables, longer lists of numbers in words.
void addJson(Section& section, const core::Json& json, const std::string& caption = {});
/// A table of the plain values of a list of objects; columns in the order of first appearance.
Table tableOf(const core::Json& list, std::string caption);
/// A number as stored where it is whole, else five digits; text as it is; short lists as `[1, 2]`.
std::string cellText(const core::Json& value);

}  // namespace orrery::report
