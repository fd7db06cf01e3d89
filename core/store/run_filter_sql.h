#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "connection.h"
#include "run_filter.h"
#include "types.h"

namespace orrery::store {

/// A condition on the table `runs` with the values of its marks `?1`, `?2`, ...: what people write is always bound, never part of the SQL.
struct FilterSql {
    std::string condition;
    std::vector<std::variant<std::int64_t, double, std::string>> values;

    void bindTo(SQLite::Statement& statement) const;
};

/// @param dead  Runs in work whose process is gone; they count as interrupted.
/// @throws InputError for a field that no run has (none at all: only where there are runs), an end of several paths, and a value that the field cannot have.
FilterSql filterSql(Connection& connection, const RunFilter& filter, const std::set<RunId>& dead);

/// `Workspace::runFields` on one connection.
std::vector<RunField> readRunFields(Connection& connection);

}  // namespace orrery::store
