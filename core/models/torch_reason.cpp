#include "torch_reason.h"

#include <core/base/plain_reason.h>

namespace orrery::models {

static constexpr std::size_t kMaxReasonLength = 600;

std::string torchReason(const std::exception& error)
{
    std::string text = core::plainReason(error);
    // A check inside the library that a damaged file ran into is no bug to report to anybody.
    constexpr std::string_view kReport = "please report a bug to PyTorch. ";
    if (const auto at = text.find(kReport); at != std::string::npos && text.find("INTERNAL ASSERT FAILED") < at)
        text = "the file is damaged (" + text.substr(at + kReport.size()) + ")";
    if (text.size() > kMaxReasonLength)
        text.replace(kMaxReasonLength, std::string::npos, " ...");
    return text;
}

}  // namespace orrery::models
