#include "torch_reason.h"

#include <c10/util/Exception.h>

#include <core/base/text.h>

namespace orrery::models {

static constexpr std::size_t kMaxReasonLength = 600;

std::string torchReason(const std::exception& error)
{
    const auto* c10Error = dynamic_cast<const c10::Error*>(&error);
    std::string text = c10Error ? c10Error->what_without_backtrace() : error.what();
    for (const char* tail : {"\nException raised from", "Exception raised from"})
        if (const auto at = text.find(tail); at != std::string::npos)
            text.resize(at);
    text = std::string(core::trim(text));
    if (text.size() > kMaxReasonLength)
        text.replace(kMaxReasonLength, std::string::npos, " ...");
    return text;
}

}  // namespace orrery::models
