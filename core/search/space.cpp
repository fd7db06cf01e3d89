#include "space.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <core/base/schema.h>

namespace orrery::search {
namespace {

double rounded(double value)
{
    return std::stod(fmt::format("{:.6g}", value));
}

double along(double low, double high, bool isLog, double place)
{
    return isLog ? std::exp(std::log(low) + place * (std::log(high) - std::log(low))) : low + place * (high - low);
}

}  // namespace

core::Json Dimension::valueAt(double place) const
{
    place = std::clamp(place, 0.0, 1.0);
    if (isChoice())
        return choices[std::min(choices.size() - 1, std::size_t(place * double(choices.size())))];
    if (isInteger)
        return std::int64_t(std::clamp(std::round(along(low - 0.5, high + 0.5, isLog, place)), low, high));
    if (place == 0 || place == 1)
        return place == 0 ? low : high;
    return std::clamp(rounded(along(low, high, isLog, place)), low, high);
}

std::int64_t Dimension::count() const
{
    if (isChoice())
        return std::int64_t(choices.size());
    return isInteger ? std::int64_t(high - low) + 1 : low == high ? 1 : 0;
}

core::Json documentAt(core::Json document, const Space& space, const Place& place)
{
    for (std::size_t i = 0; i < space.size(); ++i)
        core::setByPath(document, space[i].path + "=" + space[i].valueAt(place[i]).dump());
    return document;
}

}  // namespace orrery::search
