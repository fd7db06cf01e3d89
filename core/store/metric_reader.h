#pragma once
#include <string>

#include "connection.h"
#include "types.h"

namespace orrery::store {

/// `Workspace::metricSeries` on one connection. Opens a read transaction, so that a chunk being packed is seen before or after, never in between.
MetricSeries readSeries(Connection& connection, RunId run, const std::string& name, std::int64_t stepFrom, std::int64_t stepTo,
                        std::size_t maxPoints);
/// The value recorded first; NaN if there is none.
double readFirstValue(Connection& connection, std::int64_t series);

}  // namespace orrery::store
