#pragma once
#include <optional>
#include <string>
#include <vector>

#include "connection.h"
#include "run_filter.h"

/// Internal to the query language of runs: what the names in a query stand for.
namespace orrery::store {

struct BoundField {
    enum class Kind { Number, Text, Date, Hash, Status, Tag, Metric, Document };
    enum class Statistic { Last, Minimum, Maximum, First };
    Kind kind = Kind::Text;
    std::string column;  ///< Number, Text, Date, Hash: the column of `runs`
    std::string metric;
    Statistic statistic = Statistic::Last;
    std::int64_t path = 0;  ///< Document: id of the path
};

/// The names that the runs of a workspace know, read once for a query.
class FieldNames {
public:
    explicit FieldNames(Connection& connection);
    /// Nothing where there is no run at all: then no name can be wrong.
    /// @throws InputError `no field "optimzer.lr"; did you mean "optimizer.lr"?`, or naming the paths that end so.
    std::optional<BoundField> bind(const std::string& query, const RunFilter::Node& condition) const;

private:
    std::optional<BoundField> metricField(const std::string& name) const;
    std::vector<std::size_t> pathsEndingIn(const std::string& name) const;
    [[noreturn]] void failUnknown(const std::string& query, const RunFilter::Node& condition) const;

    bool m_hasRuns = false;
    std::vector<std::string> m_metrics, m_paths;
    std::vector<std::int64_t> m_pathIds;
};

}  // namespace orrery::store
