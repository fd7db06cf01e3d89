#pragma once
#include <core/jobs/job.h>
#include <core/scaling/points.h>

#include "../cli.h"

namespace orrery::cli {

/// Where a command takes its points from: a CSV file, or runs of the workspace.
struct TableArgument {
    std::string file;
    std::optional<std::string> runs;           ///< --runs
    std::vector<std::string> columns, scales;  ///< --column, --scale
    std::string x;                             ///< --x

    void declare(CLI::App& app);
    /// --column, --x and --scale taken apart. @throws core::InputError
    scaling::ColumnMap map() const;
    /// Reads the file or the runs. @param wanted  Columns that runs must give, each by --column or a usual source. @throws core::InputError
    scaling::Table open(const Session& session, const std::vector<std::string>& wanted) const;
    /// {"file": ...} or {"query": ..., "sources": {...}}: for the store.
    core::Json document() const;
};

/// A context that shows its progress on standard error, with the threads of --threads.
jobs::DirectContext progressContext(Session& session);
/// "12.3 %"
std::string percentText(double share);
/// At most six figures.
std::string numberText(double value);

}  // namespace orrery::cli
