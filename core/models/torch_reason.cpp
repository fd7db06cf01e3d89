#include "torch_reason.h"

#include <core/base/plain_reason.h>

namespace orrery::models {

static constexpr std::size_t kMaxReasonLength = 600;

std::string torchReason(const std::exception& error)
{
    std::string text = core::plainReason(error);
    if (text.size() > kMaxReasonLength)
        text.replace(kMaxReasonLength, std::string::npos, " ...");
    return text;
}

}  // namespace orrery::models
