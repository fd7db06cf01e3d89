#include "kd_tree.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

namespace orrery::scene {
namespace {

constexpr std::uint32_t kLeaf = 12;

int widestAxis(std::span<const float> positions, std::span<const std::uint32_t> points)
{
    std::array<float, 3> low, high;
    low.fill(std::numeric_limits<float>::max());
    high.fill(std::numeric_limits<float>::lowest());
    for (const auto point : points)
        for (std::size_t k = 0; k < 3; ++k) {
            low[k] = std::min(low[k], positions[3 * point + k]);
            high[k] = std::max(high[k], positions[3 * point + k]);
        }
    int widest = 0;
    for (std::size_t k = 1; k < 3; ++k)
        if (double(high[k]) - double(low[k]) > double(high[std::size_t(widest)]) - double(low[std::size_t(widest)]))
            widest = int(k);
    return widest;
}

}  // namespace

KdTree::KdTree(std::span<const float> positions) : m_index(positions.size() / 3), m_positions(positions.size())
{
    std::iota(m_index.begin(), m_index.end(), 0u);
    m_nodes.reserve(2 * m_index.size() / (kLeaf / 2) + 1);
    build(positions, 0, std::uint32_t(m_index.size()));
    for (std::size_t i = 0; i < m_index.size(); ++i)
        std::copy_n(positions.begin() + std::ptrdiff_t(3 * std::size_t(m_index[i])), 3, m_positions.begin() + std::ptrdiff_t(3 * i));
}

void KdTree::build(std::span<const float> positions, std::uint32_t begin, std::uint32_t end)
{
    const std::size_t node = m_nodes.size();
    m_nodes.push_back({0, -1, 0, begin, end});
    if (end - begin <= kLeaf)
        return;
    const int axis = widestAxis(positions, std::span(m_index).subspan(begin, end - begin));
    const std::uint32_t middle = begin + (end - begin) / 2;
    const auto coordinate = [&](std::uint32_t point) { return positions[3 * std::size_t(point) + std::size_t(axis)]; };
    std::nth_element(m_index.begin() + begin, m_index.begin() + middle, m_index.begin() + end,
                     [&](std::uint32_t a, std::uint32_t b) { return coordinate(a) < coordinate(b); });
    m_nodes[node].axis = axis;
    m_nodes[node].split = coordinate(m_index[middle]);
    build(positions, begin, middle);
    m_nodes[node].other = std::uint32_t(m_nodes.size());
    build(positions, middle, end);
}

double KdTree::squaredTo(const float* at, std::uint32_t place) const
{
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) {
        const double difference = double(at[k]) - double(m_positions[3 * std::size_t(place) + k]);
        sum += difference * difference;
    }
    return sum;
}

// Leaves in order of nearness, as far as a point within `limit` (squared) may be in them; `leaf` may lower it.
template <class Leaf>
void KdTree::visit(std::uint32_t at, const float* place, double& limit, const Leaf& leaf) const
{
    const Node& node = m_nodes[at];
    if (node.axis < 0) {
        leaf(node);
        return;
    }
    const double side = double(place[node.axis]) - double(node.split);
    visit(side < 0 ? at + 1 : node.other, place, limit, leaf);
    if (side * side <= limit)
        visit(side < 0 ? node.other : at + 1, place, limit, leaf);
}

void KdTree::nearest(const float* at, std::size_t count, std::vector<Neighbour>& out) const
{
    out.clear();
    if (count == 0 || m_index.empty())
        return;
    double limit = std::numeric_limits<double>::infinity();
    visit(0, at, limit, [&](const Node& node) {
        for (auto i = node.begin; i < node.end; ++i) {
            const Neighbour found{m_index[i], squaredTo(at, i)};
            if (out.size() == count && !(found < out.front()))
                continue;
            if (out.size() == count) {
                std::pop_heap(out.begin(), out.end());
                out.pop_back();
            }
            out.push_back(found);
            std::push_heap(out.begin(), out.end());
            if (out.size() == count)
                limit = out.front().squared;
        }
    });
    std::sort_heap(out.begin(), out.end());
}

void KdTree::within(const float* at, double radius, std::vector<Neighbour>& out) const
{
    out.clear();
    if (m_index.empty())
        return;
    double limit = radius * radius;
    visit(0, at, limit, [&](const Node& node) {
        for (auto i = node.begin; i < node.end; ++i)
            if (const double squared = squaredTo(at, i); squared <= limit)
                out.push_back({m_index[i], squared});
    });
    std::sort(out.begin(), out.end());
}

}  // namespace orrery::scene
