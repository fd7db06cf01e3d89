// Positions within the layers: Brandes & Koepf (2002). Vertices are joined into upright blocks with a median neighbour, four times (from above and below,
// leaning left and right); the blocks are packed by a longest-way search over "stands right of", which replaces the paper's classes and their shifts.
#include <algorithm>
#include <array>
#include <limits>

#include "layers.h"

namespace orrery::layout {
namespace {

/// A stretch between two bends: straight lines are wanted there most.
bool isInner(const Layers& layers, const Stretch& stretch)
{
    return layers.isBend(stretch.upper) && layers.isBend(stretch.lower);
}

/// Stretches that cross an inner one: no block runs along them.
std::vector<bool> crossingInner(const Layers& layers)
{
    std::vector<bool> marked(layers.stretches.size(), false);
    for (std::size_t layer = 0; layer + 1 < layers.order.size(); ++layer) {
        const auto& below = layers.order[layer + 1];
        const auto innerAbove = [&](int vertex) {
            for (const int index : layers.up[std::size_t(vertex)])
                if (isInner(layers, layers.stretches[std::size_t(index)]))
                    return layers.position[std::size_t(layers.stretches[std::size_t(index)].upper)];
            return -1;
        };
        int left = 0;
        std::size_t from = 0;
        for (std::size_t i = 0; i < below.size(); ++i) {
            const int inner = innerAbove(below[i]);
            if (inner < 0 && i + 1 < below.size())
                continue;
            const int right = inner >= 0 ? inner : int(layers.order[layer].size()) - 1;
            for (; from <= i; ++from)
                for (const int index : layers.up[std::size_t(below[from])]) {
                    const auto& stretch = layers.stretches[std::size_t(index)];
                    const int at = layers.position[std::size_t(stretch.upper)];
                    if ((at < left || at > right) && !isInner(layers, stretch))
                        marked[std::size_t(index)] = true;
                }
            left = right;
        }
    }
    return marked;
}

/// One of the four placements.
class OnePlacement {
public:
    OnePlacement(const Layers& layers, const std::vector<bool>& marked, const Spacing& spacing, bool fromAbove, bool leftmost)
        : m_layers(layers), m_marked(marked), m_spacing(spacing), m_fromAbove(fromAbove), m_leftmost(leftmost)
    {
    }
    std::vector<double> run()
    {
        align();
        pack();
        std::vector<double> x(m_root.size(), 0);
        for (std::size_t vertex = 0; vertex < x.size(); ++vertex)
            if (m_layers.rank[vertex] >= 0)
                x[vertex] = m_leftmost ? m_x[std::size_t(m_root[vertex])] : -m_x[std::size_t(m_root[vertex])];
        return x;
    }

private:
    std::vector<int> ordered(std::size_t layer) const
    {
        auto order = m_layers.order[layer];
        if (!m_leftmost)
            std::reverse(order.begin(), order.end());
        return order;
    }
    int place(int vertex) const
    {
        const int at = m_layers.position[std::size_t(vertex)];
        return m_leftmost ? at : int(m_layers.order[std::size_t(m_layers.rank[std::size_t(vertex)])].size()) - 1 - at;
    }
    void align()
    {
        const std::size_t count = m_layers.rank.size(), layers = m_layers.order.size();
        m_root.resize(count);
        m_next.resize(count);
        for (std::size_t i = 0; i < count; ++i)
            m_root[i] = m_next[i] = int(i);
        for (std::size_t step = 1; step < layers; ++step) {
            int last = -1;
            for (const int vertex : ordered(m_fromAbove ? step : layers - 1 - step))
                joinMedian(vertex, last);
        }
    }
    void joinMedian(int vertex, int& last)
    {
        std::vector<std::pair<int, int>> neighbours;  // place, stretch
        for (const int index : (m_fromAbove ? m_layers.up : m_layers.down)[std::size_t(vertex)]) {
            const auto& stretch = m_layers.stretches[std::size_t(index)];
            neighbours.emplace_back(place(m_fromAbove ? stretch.upper : stretch.lower), index);
        }
        std::sort(neighbours.begin(), neighbours.end());
        const std::size_t n = neighbours.size();
        for (std::size_t at = n ? (n - 1) / 2 : 1; n && at <= n / 2; ++at) {
            const auto [where, index] = neighbours[at];
            if (m_next[std::size_t(vertex)] != vertex || m_marked[std::size_t(index)] || where <= last)
                continue;
            const auto& stretch = m_layers.stretches[std::size_t(index)];
            const int other = m_fromAbove ? stretch.upper : stretch.lower;
            m_next[std::size_t(other)] = vertex;
            m_root[std::size_t(vertex)] = m_root[std::size_t(other)];
            m_next[std::size_t(vertex)] = m_root[std::size_t(vertex)];
            last = where;
        }
    }
    double distance(int left, int right) const
    {
        const bool line = m_layers.isBend(left) || m_layers.isBend(right);
        return (m_layers.width[std::size_t(left)] + m_layers.width[std::size_t(right)]) / 2 + (line ? m_spacing.line : m_spacing.across);
    }
    void pack()
    {
        const std::size_t count = m_root.size();
        std::vector<std::vector<std::pair<int, double>>> right(count);
        std::vector<int> open(count, 0);
        for (std::size_t layer = 0; layer < m_layers.order.size(); ++layer) {
            const auto order = ordered(layer);
            for (std::size_t i = 0; i + 1 < order.size(); ++i) {
                const int a = m_root[std::size_t(order[i])], b = m_root[std::size_t(order[i + 1])];
                right[std::size_t(a)].emplace_back(b, distance(order[i], order[i + 1]));
                ++open[std::size_t(b)];
            }
        }
        std::vector<int> sorted;
        for (std::size_t i = 0; i < count; ++i)
            if (m_layers.rank[i] >= 0 && m_root[i] == int(i) && open[i] == 0)
                sorted.push_back(int(i));
        m_x.assign(count, 0);
        for (std::size_t i = 0; i < sorted.size(); ++i)
            for (const auto& [to, gap] : right[std::size_t(sorted[i])]) {
                m_x[std::size_t(to)] = std::max(m_x[std::size_t(to)], m_x[std::size_t(sorted[i])] + gap);
                if (--open[std::size_t(to)] == 0)
                    sorted.push_back(to);
            }
        // A block that was only pushed as far as it had to be moves up to its neighbour on the other side.
        for (auto it = sorted.rbegin(); it != sorted.rend(); ++it) {
            double limit = std::numeric_limits<double>::infinity();
            for (const auto& [to, gap] : right[std::size_t(*it)])
                limit = std::min(limit, m_x[std::size_t(to)] - gap);
            if (std::isfinite(limit))
                m_x[std::size_t(*it)] = std::max(m_x[std::size_t(*it)], limit);
        }
    }

    const Layers& m_layers;
    const std::vector<bool>& m_marked;
    const Spacing& m_spacing;
    bool m_fromAbove, m_leftmost;
    std::vector<int> m_root, m_next;
    std::vector<double> m_x;
};

std::pair<double, double> extent(const Layers& layers, const std::vector<double>& x)
{
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (std::size_t i = 0; i < x.size(); ++i)
        if (layers.rank[i] >= 0) {
            low = std::min(low, x[i] - layers.width[i] / 2);
            high = std::max(high, x[i] + layers.width[i] / 2);
        }
    return {low, high};
}

}  // namespace

std::vector<double> placeAcross(const Layers& layers, const Spacing& spacing)
{
    const auto marked = crossingInner(layers);
    std::array<std::vector<double>, 4> all;
    std::array<std::pair<double, double>, 4> extents;
    std::size_t narrowest = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        all[i] = OnePlacement(layers, marked, spacing, i < 2, i % 2 == 0).run();
        extents[i] = extent(layers, all[i]);
        if (extents[i].second - extents[i].first < extents[narrowest].second - extents[narrowest].first)
            narrowest = i;
    }
    std::vector<double> x(layers.rank.size(), 0);
    for (std::size_t vertex = 0; vertex < x.size(); ++vertex) {
        std::array<double, 4> places;
        for (std::size_t i = 0; i < 4; ++i)  // leaning left: common left edge; leaning right: common right edge
            places[i] = all[i][vertex] + (i % 2 == 0 ? extents[narrowest].first - extents[i].first : extents[narrowest].second - extents[i].second);
        std::sort(places.begin(), places.end());
        x[vertex] = (places[1] + places[2]) / 2;
    }
    const double left = extent(layers, x).first;
    for (std::size_t vertex = 0; vertex < x.size(); ++vertex)
        if (layers.rank[vertex] >= 0)
            x[vertex] -= left;
    return x;
}

}  // namespace orrery::layout
