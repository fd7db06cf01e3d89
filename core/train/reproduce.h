#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/store/workspace.h>

namespace orrery::train {

/// One metric of a run and of the run that repeats it, point by point.
struct MetricComparison {
    std::string name;
    std::int64_t points = 0, againPoints = 0;
    std::optional<double> last, againLast;        ///< last values; nothing where a run lacks the metric
    std::optional<std::int64_t> firstDifference;  ///< the first step at which the two are not the same bits; nothing if they are all
    double largestDifference = 0;                 ///< over the points that both have; NaN where one of them alone is NaN
    bool isIdentical() const { return points == againPoints && !firstDifference; }
};

/// How a run and its repetition compare.
struct Reproduction {
    store::RunId run = 0, again = 0;
    std::vector<MetricComparison> metrics;  ///< by name
    std::optional<bool> sameWeights;        ///< the stored final weights are the same bytes; nothing unless both have some
    bool sameDocument = true;               ///< the hashes of the documents are equal
    std::vector<std::string> environment;   ///< what differs of the machine: "threads: 2, then 1"
    /// Every point of every metric and the final weights: the same bits.
    bool isIdentical() const;
    core::Json toJson() const;
    /// For people: "bit-identical: 12 metrics, 480 points, final weights", or what differs, a line each.
    std::string summary() const;
};

/// Compares two stored runs. Series of more than `kComparedPoints` points are compared by their buckets. @throws core::InputError for a run that is not there.
Reproduction compareRepetition(const store::Workspace& workspace, store::RunId run, store::RunId again);
inline constexpr std::size_t kComparedPoints = 1'000'000;

/// Adds a run (queued) with the document of a stored one, which becomes its parent. @throws core::DocumentError if its data is not the same any more.
store::RunId createRepetition(store::Workspace& workspace, store::RunId run);

/// The number of threads that a run was trained with: the same number gives the same bits. 0 if that is not known.
int threadsOfRun(const store::RunRecord& run);

inline constexpr const char* kReproductionMethod = "reproduction";
/// Keeps a comparison as an analysis (method "reproduction") of the run that repeats; of one of the same pair that is there already, the newer stays.
void storeReproduction(store::Workspace& workspace, const Reproduction& reproduction);

}  // namespace orrery::train
