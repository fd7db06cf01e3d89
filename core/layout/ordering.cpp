#include <algorithm>
#include <core/base/error.h>
#include <core/base/stop.h>
#include <numeric>
#include <random>

#include "layers.h"

namespace orrery::layout {
namespace {

/// Where the neighbours of a vertex in the layer above (or below) touch.
void neighbourPlaces(const Layers& layers, int vertex, bool above, std::vector<double>& places)
{
    places.clear();
    for (const int index : (above ? layers.up : layers.down)[std::size_t(vertex)]) {
        const auto& stretch = layers.stretches[std::size_t(index)];
        const int other = above ? stretch.upper : stretch.lower;
        places.push_back(layers.position[std::size_t(other)] + (above ? stretch.upperShare : stretch.lowerShare));
    }
}

/// Sorts a layer by the mean (or median) of its neighbours' places; vertices without neighbours keep theirs.
void sortLayer(Layers& layers, std::size_t layer, bool above, bool byMedian, bool turnTies)
{
    core::throwIfStopped();
    const auto& order = layers.order[layer];
    std::vector<std::pair<double, int>> keyed;
    std::vector<bool> keeps(order.size(), false);
    std::vector<double> places;
    for (std::size_t i = 0; i < order.size(); ++i) {
        neighbourPlaces(layers, order[i], above, places);
        if (places.empty()) {
            keeps[i] = true;
            continue;
        }
        std::sort(places.begin(), places.end());
        const std::size_t n = places.size();
        const double key = byMedian ? (places[(n - 1) / 2] + places[n / 2]) / 2 : std::accumulate(places.begin(), places.end(), 0.0) / double(n);
        keyed.emplace_back(key, order[i]);
    }
    if (turnTies)
        std::reverse(keyed.begin(), keyed.end());
    std::stable_sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<int> sorted;
    std::size_t next = 0;
    for (std::size_t i = 0; i < order.size(); ++i)
        sorted.push_back(keeps[i] ? order[i] : keyed[next++].second);
    layers.setOrder(layer, std::move(sorted));
}

/// Crossings of the lines of two neighbours with each other: as they stand, and the other way round.
class PairCrossings {
public:
    std::pair<std::int64_t, std::int64_t> of(const Layers& layers, int left, int right)
    {
        std::int64_t now = 0, turned = 0;
        for (const bool above : {true, false}) {
            neighbourPlaces(layers, left, above, m_left);
            neighbourPlaces(layers, right, above, m_right);
            for (const double a : m_left)
                for (const double b : m_right) {
                    now += a > b;
                    turned += a < b;
                }
        }
        return {now, turned};
    }

private:
    std::vector<double> m_left, m_right;
};

/// Exchanges neighbours where that takes crossings away; with `alsoEqual` also where it changes nothing, to get off a plateau. True if any went away.
bool exchangeNeighbours(Layers& layers, bool alsoEqual)
{
    bool any = false;
    PairCrossings crossings;
    for (std::size_t layer = 0; layer < layers.order.size(); ++layer)
        for (std::size_t i = 0; i + 1 < layers.order[layer].size(); ++i) {
            core::throwIfStopped();
            const int left = layers.order[layer][i], right = layers.order[layer][i + 1];
            const auto [now, turned] = crossings.of(layers, left, right);
            if (now < turned || (now == turned && !alsoEqual))
                continue;
            std::swap(layers.order[layer][i], layers.order[layer][i + 1]);
            std::swap(layers.position[std::size_t(left)], layers.position[std::size_t(right)]);
            any |= now > turned;
        }
    return any;
}

/// The order in which a walk down the lines meets the vertices: close to how a person would write the graph.
void orderByWalk(Layers& layers)
{
    std::vector<std::vector<int>> order(layers.order.size());
    std::vector<bool> seen(layers.rank.size(), false);
    std::vector<int> stack;
    for (const auto& layer : layers.order)
        for (const int start : layer) {
            stack.push_back(start);
            while (!stack.empty()) {
                const int vertex = stack.back();
                stack.pop_back();
                if (seen[std::size_t(vertex)])
                    continue;
                seen[std::size_t(vertex)] = true;
                order[std::size_t(layers.rank[std::size_t(vertex)])].push_back(vertex);
                const auto& down = layers.down[std::size_t(vertex)];
                for (auto it = down.rbegin(); it != down.rend(); ++it)
                    stack.push_back(layers.stretches[std::size_t(*it)].lower);
            }
        }
    for (std::size_t layer = 0; layer < order.size(); ++layer)
        layers.setOrder(layer, std::move(order[layer]));
}

/// The best order found so far.
struct Best {
    std::vector<std::vector<int>> order;
    std::int64_t crossings = 0;
    bool take(const Layers& layers)
    {
        const auto found = allCrossings(layers);
        if (!order.empty() && found >= crossings)
            return false;
        order = layers.order;
        crossings = found;
        return true;
    }
};

void sweep(Layers& layers, int round)
{
    const bool above = round % 2 == 0, byMedian = round % 4 >= 2, turnTies = round % 8 >= 4;
    const std::size_t count = layers.order.size();
    for (std::size_t i = 1; i < count; ++i)
        sortLayer(layers, above ? i : count - 1 - i, above, byMedian, turnTies);
}

constexpr std::size_t kExchangeAtMost = 3000, kSeveralStartsAtMost = 300, kManyStartsAtMost = 100;

/// Sweeps from the order that the layers have now, as long as that helps.
void improve(Layers& layers, Best& best, int rounds, std::stop_token stop)
{
    best.take(layers);
    int without = 0;
    for (int round = 0; round < rounds && best.crossings > 0 && without < 9; ++round) {
        if (stop.stop_requested())
            throw core::Cancelled();
        sweep(layers, round);
        if (layers.stretches.size() <= kExchangeAtMost) {
            if (round % 3 == 2)
                exchangeNeighbours(layers, true);
            for (int i = 0; i < 8 && exchangeNeighbours(layers, false); ++i) {
            }
        }
        without = best.take(layers) ? 0 : without + 1;
    }
}

}  // namespace

void orderLayers(Layers& layers, std::stop_token stop)
{
    if (layers.stretches.empty())
        return;
    const auto given = layers.order;
    const int rounds = int(std::clamp<std::size_t>(8'000 / layers.stretches.size(), 4, 24));
    Best best;
    orderByWalk(layers);
    improve(layers, best, rounds, stop);
    // What is small is tried from other starts as well: a local optimum is seen there most. The shuffles are the same every time.
    const int starts = layers.stretches.size() <= kManyStartsAtMost ? 16 : layers.stretches.size() <= kSeveralStartsAtMost ? 2 : 0;
    std::mt19937 random(1);
    for (int start = 0; start < starts && best.crossings > 0; ++start) {
        for (std::size_t layer = 0; layer < given.size(); ++layer) {
            auto order = given[layer];
            if (start == 1)
                std::reverse(order.begin(), order.end());
            for (std::size_t i = order.size(); start > 1 && i > 1; --i)
                std::swap(order[i - 1], order[random() % i]);
            layers.setOrder(layer, std::move(order));
        }
        improve(layers, best, rounds, stop);
    }
    for (std::size_t layer = 0; layer < best.order.size(); ++layer)
        layers.setOrder(layer, std::move(best.order[layer]));
}

}  // namespace orrery::layout
