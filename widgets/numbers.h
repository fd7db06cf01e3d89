#pragma once
#include <QString>

namespace orrery::widgets {

/// A number for people to read: six significant digits. Tooltips, copies and files have all digits.
inline QString shownNumber(double value)
{
    return QString::number(value, 'g', 6);
}

}  // namespace orrery::widgets
