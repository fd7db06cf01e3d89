#include "levels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include <core/base/error.h>

namespace orrery::scene {
namespace {

constexpr int kDepth = 16;  // octree levels: cells of 1/65536 of the cube's edge
constexpr int kRadixBits = 12;

struct CodedPoint {
    std::uint64_t code;
    std::uint32_t point;
};

void stopIfAsked(const std::stop_token& stop)
{
    if (stop.stop_requested())
        throw core::Cancelled();
}

// The 16 bits of `value` moved to every third place.
std::uint64_t spread(std::uint64_t value)
{
    value = (value | value << 16) & 0x0000'0000'ff00'00ffULL;
    value = (value | value << 8) & 0x0000'00f0'0f00'f00fULL;
    value = (value | value << 4) & 0x0000'0c30'c30c'30c3ULL;
    value = (value | value << 2) & 0x0000'2492'4924'9249ULL;
    return value;
}

// The 48 bits of the cell of each point on the Morton curve through the bounding cube.
std::vector<CodedPoint> codes(std::span<const float> positions)
{
    const std::size_t count = positions.size() / 3;
    std::array<float, 3> low, high;
    low.fill(std::numeric_limits<float>::max());
    high.fill(std::numeric_limits<float>::lowest());
    for (std::size_t i = 0; i < count; ++i)
        for (std::size_t k = 0; k < 3; ++k) {
            low[k] = std::min(low[k], positions[3 * i + k]);
            high[k] = std::max(high[k], positions[3 * i + k]);
        }
    double edge = 0;
    for (std::size_t k = 0; k < 3; ++k)
        edge = std::max(edge, double(high[k]) - double(low[k]));
    constexpr double kCells = 1 << kDepth;
    const double scale = edge > 0 ? kCells / edge : 0;
    const auto cell = [&](std::size_t i, std::size_t k) {
        return std::uint64_t(std::min((double(positions[3 * i + k]) - double(low[k])) * scale, kCells - 1));
    };
    std::vector<CodedPoint> coded(count);
    for (std::size_t i = 0; i < count; ++i)
        coded[i] = {spread(cell(i, 0)) << 2 | spread(cell(i, 1)) << 1 | spread(cell(i, 2)), std::uint32_t(i)};
    return coded;
}

// Stable radix sort by code: four passes of 12 bits.
void sortByCode(std::vector<CodedPoint>& points, const std::stop_token& stop)
{
    std::vector<CodedPoint> other(points.size());
    for (int shift = 0; shift < 3 * kDepth; shift += kRadixBits) {
        stopIfAsked(stop);
        std::vector<std::size_t> starts((1 << kRadixBits) + 1);
        const auto digit = [&](const CodedPoint& point) { return (point.code >> shift) & ((1 << kRadixBits) - 1); };
        for (const auto& point : points)
            ++starts[digit(point) + 1];
        std::partial_sum(starts.begin(), starts.end(), starts.begin());
        for (const auto& point : points)
            other[starts[digit(point)]++] = point;
        points.swap(other);
    }
}

// The coarsest level whose cell a point is the first of, given the one before it on the curve.
int levelOf(std::uint64_t code, std::uint64_t before)
{
    const std::uint64_t difference = code ^ before;
    if (difference == 0)
        return kDepth + 1;
    const int highest = 63 - std::countl_zero(difference);
    return (3 * kDepth - 1 - highest) / 3 + 1;
}

std::size_t reversed(std::size_t value, int bits)
{
    std::size_t out = 0;
    for (int i = 0; i < bits; ++i)
        out |= (value >> i & 1) << (bits - 1 - i);
    return out;
}

// The members of one level, every second one before those between them, at every scale.
void appendBitReversed(std::span<const std::uint32_t> members, std::vector<std::uint32_t>& order)
{
    const int bits = int(std::bit_width(members.empty() ? 0 : members.size() - 1));
    for (std::size_t i = 0; i < std::size_t(1) << bits; ++i)
        if (const std::size_t at = reversed(i, bits); at < members.size())
            order.push_back(members[at]);
}

}  // namespace

Levels makeLevels(std::span<const float> positions, std::stop_token stop)
{
    Levels levels;
    auto coded = codes(positions);
    if (coded.empty())
        return levels;
    sortByCode(coded, stop);
    std::array<std::vector<std::uint32_t>, kDepth + 2> members;
    members[0].push_back(coded[0].point);
    for (std::size_t i = 1; i < coded.size(); ++i)
        members[std::size_t(levelOf(coded[i].code, coded[i - 1].code))].push_back(coded[i].point);
    stopIfAsked(stop);
    std::vector<CodedPoint>().swap(coded);
    levels.order.reserve(positions.size() / 3);
    for (const auto& level : members) {
        appendBitReversed(level, levels.order);
        levels.ends.push_back(levels.order.size());
        if (levels.order.size() == positions.size() / 3)
            break;
    }
    return levels;
}

std::optional<PickedPoint> pickPoint(std::span<const float> positions, const PickCone& cone)
{
    std::optional<PickedPoint> best;
    double bestScore = std::numeric_limits<double>::infinity();
    const auto& d = cone.direction;
    for (std::size_t i = 0; i + 2 < positions.size(); i += 3) {
        const std::array<double, 3> at = {positions[i], positions[i + 1], positions[i + 2]};
        const double x = at[0] - cone.origin[0], y = at[1] - cone.origin[1], z = at[2] - cone.origin[2];
        const double depth = x * d[0] + y * d[1] + z * d[2];
        const double reach = cone.radius + cone.slope * depth;
        const double squared = x * x + y * y + z * z - depth * depth;
        if (!(depth > 0) || !(squared <= reach * reach))
            continue;
        const auto isOutside = [&](std::size_t k) { return at[k] < (*cone.box)[0][k] || at[k] > (*cone.box)[1][k]; };
        if (cone.box && (isOutside(0) || isOutside(1) || isOutside(2)))
            continue;
        const double distance = std::sqrt(std::max(squared, 0.0));
        const double score = depth + distance;
        if (score < bestScore) {
            bestScore = score;
            best = PickedPoint{std::uint32_t(i / 3), depth, distance};
        }
    }
    return best;
}

}  // namespace orrery::scene
