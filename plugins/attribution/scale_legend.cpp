#include "scale_legend.h"

#include <widgets/numbers.h>

#include "explanation.h"

namespace orrery::plugins {

void ScaleLegend::setMagnitude(double magnitude)
{
    m_magnitude = magnitude;
    if (magnitude <= 0)
        return setScale(report::coolwarm(), {}, {});
    setScale(report::coolwarm(), {widgets::shownNumber(-magnitude, 4), QStringLiteral("0"), widgets::shownNumber(magnitude, 4)},
             tr("Common scale: %1 (blue, lowers the output) to %2 (red, raises it)").arg(fullNumber(-magnitude), fullNumber(magnitude)));
}

}  // namespace orrery::plugins
