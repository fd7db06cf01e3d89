#include "types.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::store {
namespace {

const std::vector<std::string> kNames{"queued", "running", "paused", "finished", "failed", "cancelled", "interrupted"};

}  // namespace

std::string_view statusName(RunStatus status)
{
    return kNames.at(std::size_t(status));
}

RunStatus statusFromName(std::string_view name)
{
    const auto found = std::find(kNames.begin(), kNames.end(), name);
    if (found == kNames.end())
        throw core::InputError(fmt::format("expected a status ({}), got \"{}\"", core::join(kNames, ", "), name));
    return RunStatus(found - kNames.begin());
}

bool hasEnded(RunStatus status)
{
    return status != RunStatus::Queued && status != RunStatus::Running && status != RunStatus::Paused;
}

}  // namespace orrery::store
