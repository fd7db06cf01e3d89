#pragma once
#include <cstdint>
#include <string>

namespace orrery::jobs {

/// How a worker's process ended that never said how its job did.
struct ProcessEnd {
    int waitStatus = 0;                   ///< as waitpid gives it
    std::uint64_t memory = 0, limit = 0;  ///< bytes: what it took when it was ended for it, and what it might have; memory 0: it was not
    bool systemWasOutOfMemory = false;    ///< the kernel killed some process for lack of memory while this one ran
    bool wasSilent = false;               ///< was asked to stop, gave no sign of life, and was ended
    std::string rubbish;                  ///< what was wrong with its messages; empty: nothing
    std::string lastWords;                ///< the last line on its standard error; may be empty
};

/// What happened, in words, and what to try: "the job's process was ended by SIGSEGV (a segmentation fault) ...".
std::string describeEnd(const ProcessEnd& end);

}  // namespace orrery::jobs
