#pragma once
#include <set>

#include "connection.h"
#include "types.h"

namespace orrery::store {

/// `Workspace::runs` on one connection. `dead`: runs in work whose process is gone; they count as interrupted.
RunList listRuns(Connection& connection, const RunQuery& query, const std::set<RunId>& dead);
std::optional<RunSummary> findSummary(Connection& connection, RunId run, const std::set<RunId>& dead);

}  // namespace orrery::store
