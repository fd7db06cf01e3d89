#pragma once
#include <optional>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/store/workspace.h>

namespace orrery::train {

struct LeaderboardOptions {
    std::string metric = "test/accuracy";
    std::optional<bool> lowerIsBetter;  ///< nothing: as the metric's name says (loss, error, perplexity and the like)
    std::size_t perData = 10;           ///< most entries of one data set
    std::string where;                  ///< a query over runs (store/run_filter.h); empty: all
    bool finishedOnly = true;
};

/// The best runs on one data set. Runs are comparable if their data has the same content.
struct Leaderboard {
    std::string data;      ///< id, and file if it has one: "digits", "table wine.csv"
    std::string dataHash;  ///< of its content
    struct Entry {
        std::size_t rank = 1;  ///< equal values share one
        store::RunSummary run;
        double value = 0;
        std::string model;
    };
    std::vector<Entry> entries;  ///< best first; equal values in the order of their ids
    std::size_t runs = 0;        ///< that have the metric, before `perData`
};

/// True if smaller values of such a metric are better: test/loss, val/mae, test/perplexity.
bool isLowerBetter(const std::string& metric);

/// One board for each data set that some run was measured on, by name. Runs whose value is NaN come last. @throws core::InputError as the query language; if no run has
/// the metric, naming the nearest that there is.
std::vector<Leaderboard> leaderboards(const store::Workspace& workspace, const LeaderboardOptions& options);

core::Json toJson(const std::vector<Leaderboard>& boards, const LeaderboardOptions& options);

}  // namespace orrery::train
