#include "process_end.h"

#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <fmt/format.h>

#include <core/base/text.h>

namespace orrery::jobs {
namespace {

constexpr const char* kKept = "What it had stored is kept, and a training goes on from its last checkpoint.";

std::string signalText(int signal)
{
    const char* const name = ::sigabbrev_np(signal);
    return name ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal);
}

std::string describeSignal(int signal, bool systemWasOutOfMemory)
{
    const std::string name = signalText(signal);
    switch (signal) {
    case SIGKILL:
        if (systemWasOutOfMemory)
            return fmt::format(
                "the machine ran out of memory, and the system ended the job's process ({}). Try a smaller batch or model, fewer jobs at "
                "a time, or a memory limit. {}",
                name, kKept);
        return fmt::format(
            "the job's process was ended from outside by {}, as happens when memory runs out. Try a smaller batch or model, or fewer jobs "
            "at a time. {}",
            name, kKept);
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
        return fmt::format(
            "the job's process crashed: {} ({}). Try it once more, with one thread (--threads 1) or on the CPU; if it comes back, please "
            "report it with the run's document. {}",
            name, ::strsignal(signal), kKept);
    case SIGABRT: return fmt::format("the job's process gave up: {} (a check inside it failed, or memory could not be had). {}", name, kKept);
    case SIGXCPU:
    case SIGXFSZ: return fmt::format("the job's process met a limit of the system: {} ({}); see ulimit -a. {}", name, ::strsignal(signal), kKept);
    default: return fmt::format("the job's process was ended by {} ({}). {}", name, ::strsignal(signal), kKept);
    }
}

std::string whatHappened(const ProcessEnd& end)
{
    if (end.memory > 0)
        return fmt::format("the job's process took {} of memory, more than its limit of {}, and was ended. Try a smaller batch or model, or a higher "
                           "limit. {}",
                           core::formatBytes(end.memory), core::formatBytes(end.limit), kKept);
    if (end.wasSilent)
        return fmt::format("the job's process did not stop when it was asked to, and was ended. {}", kKept);
    if (!end.rubbish.empty())
        return fmt::format("the job's process sent something that is no message ({}), and was ended: is it the orrery-cli of this version? {}",
                           end.rubbish, kKept);
    if (WIFSIGNALED(end.waitStatus))
        return describeSignal(WTERMSIG(end.waitStatus), end.systemWasOutOfMemory);
    return fmt::format("the job's process exited with status {} in the middle of the job. {}", WEXITSTATUS(end.waitStatus), kKept);
}

}  // namespace

std::string describeEnd(const ProcessEnd& end)
{
    const std::string text = whatHappened(end);
    return end.lastWords.empty() ? text : fmt::format("{} Its last words: {}", text, end.lastWords);
}

}  // namespace orrery::jobs
