#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/store/types.h>

namespace orrery::train {

/// A number over several runs. NaN values are left out; of none all are NaN.
struct Spread {
    std::size_t count = 0;
    double mean = 0;
    double deviation = 0;  ///< standard deviation with n - 1; NaN for a single value
    double minimum = 0, maximum = 0;
};
Spread spreadOf(std::span<const double> values);

/// Runs that share the value of a field.
struct RunGroup {
    std::string value;                      ///< as text; "none" for runs without the field
    std::vector<store::RunId> runs;         ///< in the order given
    std::map<std::string, Spread> metrics;  ///< last values of every metric that some run has
};

/// Groups runs by a field: `name status seed parent tags`, a metric's name (its last value), or a path into the document, which must be among the runs' columns
/// (`RunQuery::columns`). Groups stand in the order of their values: numbers by size, then texts by the alphabet, then "none".
std::vector<RunGroup> groupRuns(std::span<const store::RunSummary> runs, const std::string& field);

/// The mean of several curves and how far they spread.
struct MeanCurve {
    std::vector<double> steps, mean, deviation;  ///< deviation: 0 where one curve alone has a value
    std::vector<std::size_t> counts;             ///< curves with a value at that step
};
/// On the steps of the curve with the most points; the others are interpolated linearly between theirs, and count from their first to their last step only.
/// NaN points do not count.
MeanCurve meanCurve(std::span<const store::MetricSeries> curves);

}  // namespace orrery::train
