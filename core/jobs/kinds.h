#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "job.h"

namespace orrery::jobs {

/// What another process is told of a job: everything it does follows from this.
struct Task {
    std::string kind;                 ///< JobSpec::kind
    core::Json document;              ///< JobSpec::document
    std::optional<std::int64_t> run;  ///< JobSpec::run
    std::filesystem::path workspace;  ///< empty: none
};

/// A kind of job that can run in another process. Everything but `run` is optional.
struct Kind {
    /// The work itself, in the other process; what it returns is the job's result. Throws as JobFunction.
    std::function<core::Json(const Task&, Context&)> run;
    /// In the process that asked: the job's result as its other engines give it. Without it: the JSON.
    std::function<std::any(const Task&, const core::Json& result)> result;
    /// In the process that asked: the other one is gone without having said how the job ended. Sets right what it left behind (a run's status).
    std::function<void(const Task&, const std::string& message)> died;
    /// A partial result as bytes, in the other process, and back. Without them partial results are not passed on.
    std::function<std::string(const void*)> pack;
    std::function<std::shared_ptr<const void>(std::string_view)> unpack;
};

/// Adds or replaces a kind: core::registerAll() does it for all there are. Any thread, before the first job.
void addKind(const std::string& name, Kind kind);
/// Null if jobs of that kind run in this process only.
std::shared_ptr<const Kind> findKind(const std::string& name);
/// Sorted.
std::vector<std::string> kindNames();

}  // namespace orrery::jobs
