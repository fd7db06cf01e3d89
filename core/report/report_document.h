#pragma once
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <core/io/image.h>
#include <core/store/reports.h>

#include "blocks.h"

namespace orrery::report {

/// A report document of a workspace, turned into blocks: each item becomes a section with its annotation and what its source shows.
///
/// Items (`store::ReportItem::kind` and `source`):
///   "analysis"     {"analysis": 4}                                    a stored result, as `analysisSection` shows it; pictures and what a panel showed are analyses, too
///   "runs"         {"runs": [1, 2], "show": ["runs", "curves"]}       parts of the run report; without "show": runs, differences, metrics, curves
///   "leaderboard"  {"metric": "test/accuracy", "goal": "maximize", "limit": 10}   the best runs of each data set of the workspace
///   "note"         null                                               the annotation alone
/// An annotation is plain text: a blank line parts paragraphs, `# `, `## ` and `### ` at the start of a line make headings.

struct DocumentOptions {
    std::string written;  ///< when the report is made; stands in its last section; empty: not said
    std::stop_token stop = {};
    std::function<void(double done, double total)> progress = {};  ///< items
};

/// Same workspace, items and options, same blocks. A source that is gone or damaged becomes a warning in its place.
/// @throws core::InputError if there is no item: the message says how to add one; core::Cancelled. Any thread.
Report buildDocument(const store::Workspace& workspace, const store::ReportDocument& document, std::span<const store::ReportItem> items,
                     const DocumentOptions& options = {});
/// One item alone, as in the report: what a preview shows.
Report buildItem(const store::Workspace& workspace, const store::ReportItem& item);
/// The item's title; without one what its source is called. Never throws for a source that is gone.
std::string itemTitle(const store::Workspace& workspace, const store::ReportItem& item);
/// What an item is, in a word for icons: the kind of its analysis ("attribution", "patching", "snapshot", ...), or its own ("runs", "leaderboard", "note").
std::string itemKind(const store::Workspace& workspace, const store::ReportItem& item);
/// An annotation or note as blocks.
std::vector<Block> textBlocks(std::string_view text);

// --- Making items ---

/// @throws core::InputError if there is no such analysis.
store::NewReportItem analysisItem(const store::Workspace& workspace, std::int64_t analysis);
/// @param show  Parts of the run report; empty: the usual four. @throws core::InputError for an unknown run or part, or none at all.
store::NewReportItem runsItem(const store::Workspace& workspace, std::span<const store::RunId> runs, std::span<const std::string> show = {});
/// @throws core::InputError if no run has the metric, with the nearest one, or goal is neither "maximize" nor "minimize".
store::NewReportItem leaderboardItem(const store::Workspace& workspace, const std::string& metric, const std::string& goal, int limit = 10);
/// @throws core::InputError for an empty text.
store::NewReportItem noteItem(const std::string& text);

struct SnapshotPicture {
    io::Image image;
    std::string title;  ///< may be empty
};

/// What a panel shows that is not a stored analysis: pictures, tables, texts, and the command that does the same.
struct Snapshot {
    std::string panel;  ///< id: "beam_search"
    std::string title;
    core::Json inputs;    ///< model, data, file, ...: an object
    std::string command;  ///< may be empty
    std::vector<SnapshotPicture> pictures;
    std::vector<Block> blocks;  ///< no pictures among them
};
/// Stores it as an analysis of method "snapshot". @throws core::InputError if it holds nothing.
store::NewReportItem snapshotItem(store::Workspace& workspace, const Snapshot& snapshot);

/// Largest picture file that is taken into a workspace.
inline constexpr std::uint64_t kMostPictureBytes = std::uint64_t(64) << 20;
/// Stores a PNG, JPEG or WebP file as an analysis of method "picture". Nothing is stored unless it can be decoded.
/// @throws core::FormatError for a file that is damaged, of another kind, or has more than 64 MiB or 64 million pixels; StorageError if it cannot be read.
store::NewReportItem pictureItem(store::Workspace& workspace, const std::filesystem::path& file);

}  // namespace orrery::report
