#include "job.h"

#include <array>

namespace orrery::jobs {

std::string_view statusName(JobStatus status)
{
    constexpr std::array<std::string_view, 6> names{"queued", "running", "paused", "finished", "failed", "cancelled"};
    return names.at(std::size_t(status));
}

bool hasEnded(JobStatus status)
{
    return status == JobStatus::Finished || status == JobStatus::Failed || status == JobStatus::Cancelled;
}

}  // namespace orrery::jobs
