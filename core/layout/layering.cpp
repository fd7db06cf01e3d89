#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include <core/base/error.h>

#include "layers.h"

namespace orrery::layout {
namespace {

/// Beyond this many bends long lines are drawn without: nobody can follow them then.
constexpr std::size_t kBendsAtMost = 400'000;

void checkLinks(const LayeredProblem& problem)
{
    const int count = int(problem.boxes.size());
    for (const auto& link : problem.links)
        if (link.from < 0 || link.to < 0 || link.from >= count || link.to >= count)
            throw core::InputError(fmt::format("layout: expected boxes 0..{} in a link, got {} and {}", count - 1, link.from, link.to));
    if (!problem.places.empty() && problem.places.size() != problem.boxes.size())
        throw core::InputError(fmt::format("layout: expected {} places, got {}", count, problem.places.size()));
}

Place placeOf(const LayeredProblem& problem, int box)
{
    return problem.places.empty() ? Place::Free : problem.places[std::size_t(box)];
}

/// Boxes in an order in which links lead forward. Where a cycle leaves no box without open predecessors, the first that is left goes on, and what still
/// leads to it leads upward.
class Sorter {
public:
    Sorter(const LayeredProblem& problem, std::vector<bool>& upward) : m_problem(problem), m_upward(upward)
    {
        const std::size_t count = problem.boxes.size();
        m_out.resize(count);
        m_in.resize(count);
        m_open.assign(count, 0);
        for (std::size_t i = 0; i < problem.links.size(); ++i) {
            const auto& link = problem.links[i];
            if (link.backward || link.from == link.to) {
                upward[i] = true;
                continue;
            }
            m_out[std::size_t(link.from)].push_back(int(i));
            m_in[std::size_t(link.to)].push_back(int(i));
            ++m_open[std::size_t(link.to)];
        }
    }
    std::vector<int> sorted()
    {
        std::vector<int> order;
        std::set<int> ready, left;
        for (int box = 0; box < int(m_open.size()); ++box)
            (m_open[std::size_t(box)] == 0 ? ready : left).insert(box);
        while (!ready.empty() || !left.empty()) {
            const bool isCycle = ready.empty();
            const int box = isCycle ? *left.begin() : *ready.begin();
            if (isCycle)
                breakCycle(box, left);
            ready.erase(box);
            left.erase(box);
            order.push_back(box);
            for (const int link : m_out[std::size_t(box)]) {
                const int to = m_problem.links[std::size_t(link)].to;
                if (!m_upward[std::size_t(link)] && --m_open[std::size_t(to)] == 0 && left.erase(to))
                    ready.insert(to);
            }
        }
        return order;
    }

private:
    void breakCycle(int box, const std::set<int>& left)
    {
        for (const int link : m_in[std::size_t(box)])
            if (left.count(m_problem.links[std::size_t(link)].from))
                m_upward[std::size_t(link)] = true;
        m_open[std::size_t(box)] = 0;
    }

    const LayeredProblem& m_problem;
    std::vector<bool>& m_upward;
    std::vector<std::vector<int>> m_out, m_in;
    std::vector<int> m_open;
};

/// Ranks of linked boxes by the longest way from above; boxes that have more lines out than in move down to what they feed.
class Ranker {
public:
    Ranker(const LayeredProblem& problem, Layers& layers) : m_problem(problem), m_layers(layers) {}
    void run(const std::vector<int>& order)
    {
        m_layers.rank.assign(m_problem.boxes.size(), -1);
        m_above.resize(m_problem.boxes.size());
        m_below.resize(m_problem.boxes.size());
        bool hasTop = false;
        for (std::size_t i = 0; i < m_problem.links.size(); ++i) {
            const auto& link = m_problem.links[i];
            m_layers.rank[std::size_t(link.from)] = m_layers.rank[std::size_t(link.to)] = 0;
            if (m_layers.upward[i])
                continue;
            m_below[std::size_t(link.from)].push_back(link.to);
            m_above[std::size_t(link.to)].push_back(link.from);
        }
        for (std::size_t box = 0; box < m_problem.boxes.size(); ++box) {
            hasTop |= placeOf(m_problem, int(box)) == Place::Top;
            if (placeOf(m_problem, int(box)) != Place::Free)
                m_layers.rank[box] = 0;
        }
        const int first = hasTop ? 1 : 0;
        for (const int box : order)
            if (isFree(box))
                m_layers.rank[std::size_t(box)] = lowest(box, first);
        pullDown(order);
        putBottom();
        closeGaps();
    }

private:
    bool isFree(int box) const { return m_layers.rank[std::size_t(box)] >= 0 && placeOf(m_problem, box) == Place::Free; }
    int lowest(int box, int first) const
    {
        int rank = first;
        for (const int above : m_above[std::size_t(box)])
            rank = std::max(rank, m_layers.rank[std::size_t(above)] + 1);
        return rank;
    }
    void pullDown(const std::vector<int>& order)
    {
        for (auto it = order.rbegin(); it != order.rend(); ++it) {
            const auto& below = m_below[std::size_t(*it)];
            if (!isFree(*it) || m_above[std::size_t(*it)].size() >= std::max<std::size_t>(below.size(), 1))
                continue;
            int rank = std::numeric_limits<int>::max();
            for (const int to : below)
                if (placeOf(m_problem, to) == Place::Free)
                    rank = std::min(rank, m_layers.rank[std::size_t(to)] - 1);
            if (rank != std::numeric_limits<int>::max())
                m_layers.rank[std::size_t(*it)] = std::max(rank, m_layers.rank[std::size_t(*it)]);
        }
    }
    void putBottom()
    {
        int last = 0;
        for (std::size_t box = 0; box < m_problem.boxes.size(); ++box)
            if (placeOf(m_problem, int(box)) != Place::Bottom)
                last = std::max(last, m_layers.rank[box]);
        for (std::size_t box = 0; box < m_problem.boxes.size(); ++box)
            if (placeOf(m_problem, int(box)) == Place::Bottom)
                m_layers.rank[box] = last + 1;
    }
    // A layer that everything was pulled out of is none.
    void closeGaps()
    {
        std::set<int> used(m_layers.rank.begin(), m_layers.rank.end());
        used.erase(-1);
        std::map<int, int> number;
        for (const int rank : used)
            number.emplace(rank, int(number.size()));
        for (auto& rank : m_layers.rank)
            if (rank >= 0)
                rank = number[rank];
    }

    const LayeredProblem& m_problem;
    Layers& m_layers;
    std::vector<std::vector<int>> m_above, m_below;
};

/// Puts a bend into each layer that a line passes. Lines of one bundle share their bends.
class Bender {
public:
    Bender(const LayeredProblem& problem, Layers& layers) : m_problem(problem), m_layers(layers) {}
    void run()
    {
        m_layers.ways.resize(m_problem.links.size());
        for (std::size_t i = 0; i < m_problem.links.size(); ++i)
            bend(i);
        m_layers.up.resize(m_layers.rank.size());
        m_layers.down.resize(m_layers.rank.size());
        for (std::size_t i = 0; i < m_layers.stretches.size(); ++i) {
            m_layers.down[std::size_t(m_layers.stretches[i].upper)].push_back(int(i));
            m_layers.up[std::size_t(m_layers.stretches[i].lower)].push_back(int(i));
        }
    }

private:
    void bend(std::size_t index)
    {
        const auto& link = m_problem.links[index];
        const bool turned = m_layers.rank[std::size_t(link.from)] > m_layers.rank[std::size_t(link.to)];
        const int top = turned ? link.to : link.from, bottom = turned ? link.from : link.to;
        const int from = m_layers.rank[std::size_t(top)], to = m_layers.rank[std::size_t(bottom)];
        const double topShare = share(top, turned ? link.toOffset : link.fromOffset),
                     bottomShare = share(bottom, turned ? link.fromOffset : link.toOffset);
        if (from == to || (m_layers.rank.size() > m_problem.boxes.size() + kBendsAtMost && to - from > 1))
            return;
        int at = top;
        double atShare = topShare;
        auto& way = m_layers.ways[index];
        for (int rank = from + 1; rank < to; ++rank) {
            const int next = bendOf(link, turned, rank);
            connect(at, next, atShare, 0);
            way.push_back(next);
            at = next;
            atShare = 0;
        }
        connect(at, bottom, atShare, bottomShare);
    }
    double share(int box, double offset) const
    {
        const double width = m_problem.boxes[std::size_t(box)].width;
        return width > 0 ? std::clamp(offset / width, -0.49, 0.49) : 0;
    }
    int bendOf(const Link& link, bool turned, int rank)
    {
        if (link.bundle >= 0 && !turned) {
            const auto [it, isNew] = m_shared.try_emplace({link.from, link.bundle, rank}, int(m_layers.rank.size()));
            if (!isNew)
                return it->second;
        }
        m_layers.rank.push_back(rank);
        m_layers.width.push_back(0);
        m_layers.height.push_back(0);
        return int(m_layers.rank.size()) - 1;
    }
    void connect(int upper, int lower, double upperShare, double lowerShare)
    {
        if (m_layers.isBend(lower) && !m_joined.insert({upper, lower}).second)
            return;
        m_layers.stretches.push_back({upper, lower, upperShare, lowerShare});
    }

    const LayeredProblem& m_problem;
    Layers& m_layers;
    std::map<std::tuple<int, std::int64_t, int>, int> m_shared;
    std::set<std::pair<int, int>> m_joined;
};

}  // namespace

void Layers::setOrder(std::size_t layer, std::vector<int> vertices)
{
    for (std::size_t i = 0; i < vertices.size(); ++i)
        position[std::size_t(vertices[i])] = int(i);
    order[layer] = std::move(vertices);
}

Layers makeLayers(const LayeredProblem& problem)
{
    checkLinks(problem);
    Layers layers;
    layers.boxes = int(problem.boxes.size());
    layers.upward.assign(problem.links.size(), false);
    for (const auto& box : problem.boxes) {
        layers.width.push_back(box.width);
        layers.height.push_back(box.height);
    }
    const auto sorted = Sorter(problem, layers.upward).sorted();
    Ranker(problem, layers).run(sorted);
    Bender(problem, layers).run();
    int last = -1;
    for (const int rank : layers.rank)
        last = std::max(last, rank);
    layers.order.resize(std::size_t(last + 1));
    layers.position.assign(layers.rank.size(), 0);
    for (std::size_t vertex = 0; vertex < layers.rank.size(); ++vertex)
        if (layers.rank[vertex] >= 0) {
            auto& layer = layers.order[std::size_t(layers.rank[vertex])];
            layers.position[vertex] = int(layer.size());
            layer.push_back(int(vertex));
        }
    return layers;
}

}  // namespace orrery::layout
