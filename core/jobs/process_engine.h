#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"

namespace orrery::jobs {

struct ProcessOptions {
    std::filesystem::path workspace;  ///< that the run of the job belongs to; empty: none
    /// Most memory (resident bytes) the process may take; beyond it the process is ended and the job fails. 0: no limit.
    std::uint64_t memoryLimit = 0;
    /// How long a process that was asked to stop may go on without a sign of life before it is ended.
    std::chrono::milliseconds grace{60'000};
    /// The command that is run; empty: `orrery-cli worker`, found beside the running program. Tests put their own in its place.
    std::vector<std::string> command;
};

/// A process of its own for each job, of the kinds in kinds.h; `JobSpec::function` is not called. The process has its own process group (Ctrl-C does not
/// reach it), ends with the one that started it, and is the first that the system takes when memory runs out.
/// Whatever becomes of it (a segmentation fault, SIGKILL, an exit in the middle, rubbish instead of messages), the job fails with a sentence that says what
/// happened and what to try, and the kind's `died` sets right what it left behind.
/// `start` throws core::InputError for a kind that cannot run in another process, core::Error if the program is not there or cannot be started.
std::shared_ptr<Engine> processEngine(ProcessOptions options = {});

/// What a person chose: where jobs run.
struct EngineChoice {
    std::string name = "thread";      ///< one of engineNames()
    std::filesystem::path workspace;  ///< of the jobs
    std::uint64_t memoryLimit = 0;    ///< bytes; 0: none; only for engines that can watch it
};

/// "thread", "process".
const std::vector<std::string>& engineNames();
/// @throws core::InputError for another name (the message lists them), or for a memory limit with an engine that has none.
std::shared_ptr<Engine> makeEngine(const EngineChoice& choice);

/// Runs one job on an engine in the caller's time, without a queue: what it tells goes to `context`, whose stop token cancels it.
/// @return the job's result. @throws what the job threw; core::Cancelled if it was stopped.
std::any runOn(Engine& engine, JobSpec spec, int threads, Context& context);

}  // namespace orrery::jobs
