#include <algorithm>

#include "layers.h"

namespace orrery::layout {
namespace {

/// Counts how many of the numbers seen so far are greater (Fenwick's tree).
class GreaterCounter {
public:
    explicit GreaterCounter(std::size_t size) : m_sums(size + 1, 0) {}
    std::int64_t greaterThan(std::size_t number) const
    {
        std::int64_t below = 0;
        for (std::size_t i = number + 1; i > 0; i -= i & (~i + 1))
            below += m_sums[i];
        return m_total - below;
    }
    void add(std::size_t number)
    {
        ++m_total;
        for (std::size_t i = number + 1; i < m_sums.size(); i += i & (~i + 1))
            ++m_sums[i];
    }

private:
    std::vector<std::int64_t> m_sums;
    std::int64_t m_total = 0;
};

}  // namespace

std::int64_t crossingsBelow(const Layers& layers, std::size_t upper)
{
    std::vector<std::pair<double, double>> ends;
    for (const int vertex : layers.order[upper])
        for (const int index : layers.down[std::size_t(vertex)]) {
            const auto& stretch = layers.stretches[std::size_t(index)];
            ends.emplace_back(layers.position[std::size_t(vertex)] + stretch.upperShare,
                              layers.position[std::size_t(stretch.lower)] + stretch.lowerShare);
        }
    std::sort(ends.begin(), ends.end());
    std::vector<double> lower;
    for (const auto& end : ends)
        lower.push_back(end.second);
    std::sort(lower.begin(), lower.end());
    lower.erase(std::unique(lower.begin(), lower.end()), lower.end());
    GreaterCounter counter(lower.size());
    std::int64_t crossings = 0;
    // Lines that start at one point do not cross: they are counted against the earlier points before any of them is added.
    for (std::size_t i = 0; i < ends.size();) {
        std::size_t end = i;
        const auto numberOf = [&](std::size_t k) {
            return std::size_t(std::lower_bound(lower.begin(), lower.end(), ends[k].second) - lower.begin());
        };
        for (; end < ends.size() && ends[end].first == ends[i].first; ++end)
            crossings += counter.greaterThan(numberOf(end));
        for (; i < end; ++i)
            counter.add(numberOf(i));
    }
    return crossings;
}

std::int64_t allCrossings(const Layers& layers)
{
    std::int64_t crossings = 0;
    for (std::size_t layer = 0; layer + 1 < layers.order.size(); ++layer)
        crossings += crossingsBelow(layers, layer);
    return crossings;
}

}  // namespace orrery::layout
