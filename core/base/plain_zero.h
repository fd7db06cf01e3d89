#pragma once
#include <fmt/format.h>

#include <string>

namespace orrery::core {

/// `value`, or 0 where so many decimals would show a negative zero: "-0.000" tells people nothing. NaN stays.
inline double plainZero(double value, int decimals)
{
    return value <= 0 && fmt::format("{:.{}f}", -value, decimals).find_first_not_of("0.") == std::string::npos ? 0.0 : value;
}

}  // namespace orrery::core
