#pragma once
#include <map>
#include <vector>

#include <core/store/workspace.h>

#include "sweep_document.h"

namespace orrery::search {

/// Number of a sweep in its workspace: the analysis that holds its document.
using SweepId = std::int64_t;

/// Keeps a sweep.
/// @param threads  Cores of each trial. They are kept: on more or fewer the last bits of a training differ, and with them what follows from its result.
SweepId addSweep(store::Workspace& workspace, const Sweep& sweep, int threads);

struct StoredSweep {
    SweepId id = 0;
    std::string name, created;
    int threads = 1;
    Sweep sweep;
};

/// @throws core::InputError if there is none of that number; core::DocumentError if the data is not the same any more.
StoredSweep storedSweep(const store::Workspace& workspace, SweepId id);

/// Its line in a table, without reading data.
struct SweepLine {
    SweepId id = 0;
    std::string name, created, sampler, metric;
    std::size_t runs = 0;
};
/// Newest first.
std::vector<SweepLine> sweepLines(const store::Workspace& workspace);

/// Adds the run of a trial. It is tagged `sweep:ID` and `trial:K`: taking the tags off takes the run out of the sweep.
store::RunId addTrialRun(store::Workspace& workspace, SweepId id, std::int64_t trial, const train::Experiment& experiment);

/// The runs of a sweep by trial (the first, should there be two).
std::map<std::int64_t, store::RunSummary> trialRuns(const store::Workspace& workspace, SweepId id, const Space& space);

}  // namespace orrery::search
