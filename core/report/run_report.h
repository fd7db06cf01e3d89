#pragma once
#include <span>
#include <string>

#include <core/store/types.h>

#include "blocks.h"

namespace orrery::store {
class Workspace;
}

namespace orrery::report {

struct RunReportOptions {
    std::string title;              ///< empty: from the runs' names
    std::string written;            ///< when the report is made (`core::isoTimeNow()`); empty: not said. Appears in the section "Dates" alone
    std::size_t curvePoints = 400;  ///< most points of a curve before neighbours are put together (then the band is minimum and maximum)
    std::size_t attributions = 12;  ///< most attributions shown of one run, newest first
};

/// The report about some runs of a workspace: summary, what differs between their documents, curves, last values of all metrics, confusion matrices,
/// attributions, environment, the commands that run them again with the whole documents, and dates. Same workspace, runs and options, same blocks;
/// all dates and durations stand in the last section, and nowhere else.
///
/// What is read from the store:
/// - confusion matrices: artifacts of the run named "confusion_matrix" (also "confusion_matrix/..."), JSON
///   `{"classes": ["0", ...], "counts": [[...], ...], "split": "test"}`; classes and split may be missing;
/// - attributions: analyses of the run with an artifact "attribution" (`.npy`: [height, width], [channel, height, width], which is summed over
///   channels, or [feature]; leading sizes of 1 are dropped) and, if there is one, "input" (`.npy`, of the same shape). Names of features stand in
///   `inputs.features` or `results.features`; `inputs.sample`, `inputs.target`, `parameters` and the plain values of `results` are listed beside it.
/// An artifact that is damaged or has another shape yields a warning in its place.
/// @throws core::InputError if there is no run or one is not in the workspace; StorageError as the workspace. Any thread.
Report buildRunReport(const store::Workspace& workspace, std::span<const store::RunId> runs, const RunReportOptions& options = {});

/// `run 3: name`, or `run 3` without a name.
std::string runTitle(const store::RunSummary& run);

/// The command lines that start the runs again: the first from its whole document, saved as run-ID.json; the others from the same file with `--set` for what
/// differs, or from their own document where a value of the first is missing in them.
std::string reproductionCommands(std::span<const store::RunRecord> runs);
/// As a POSIX shell reads it back: unchanged if it needs no quotes, else in single quotes.
std::string shellQuoted(std::string_view text);

}  // namespace orrery::report
