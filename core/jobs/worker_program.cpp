#include "worker_program.h"

#include <core/base/files.h>

namespace orrery::jobs {

std::optional<std::filesystem::path> findWorkerProgram()
{
    const std::filesystem::path folder = core::executableFolder();
    for (const auto& candidate : {folder / "orrery-cli", folder.parent_path() / "orrery-cli"}) {
        std::error_code ignored;
        if (std::filesystem::is_regular_file(candidate, ignored))
            return candidate;
    }
    return std::nullopt;
}

}  // namespace orrery::jobs
