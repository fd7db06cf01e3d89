#pragma once
#include <QString>

#include <core/base/plain_zero.h>

namespace orrery::widgets {

/// A number for people to read: six significant digits. Tooltips, copies and files have all digits.
inline QString shownNumber(double value, int digits = 6)
{
    return QString::number(value == 0 ? 0.0 : value, 'g', digits);
}

/// A number for people to read with so many decimals; what rounds to zero has no sign.
inline QString fixedNumber(double value, int decimals)
{
    return QString::number(core::plainZero(value, decimals), 'f', decimals);
}

}  // namespace orrery::widgets
