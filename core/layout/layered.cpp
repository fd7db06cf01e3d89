#include "layered.h"

#include <algorithm>
#include <cmath>

#include <core/base/error.h>

#include "layers.h"

namespace orrery::layout {
namespace {

/// The picture being put together from layers and positions.
class Assembler {
public:
    Assembler(const LayeredProblem& problem, const Layers& layers) : m_problem(problem), m_layers(layers)
    {
        m_picture.centres.resize(problem.boxes.size());
        m_picture.routes.resize(problem.links.size());
    }
    LayeredPicture run()
    {
        if (!m_layers.order.empty()) {
            m_x = placeAcross(m_layers, m_problem.spacing);
            placeDown();
            for (std::size_t i = 0; i < m_problem.links.size(); ++i)
                m_picture.routes[i] = route(i);
        }
        placeUnlinked();
        for (std::size_t i = 0; i < m_problem.links.size(); ++i)
            m_picture.upward.push_back(leadsUp(m_problem.links[i]));
        m_picture.crossings = allCrossings(m_layers);
        return std::move(m_picture);
    }

private:
    bool leadsUp(const Link& link) const { return m_layers.rank[std::size_t(link.from)] >= m_layers.rank[std::size_t(link.to)]; }
    // Lines that run far across get more room to do so.
    double gapBelow(std::size_t layer) const
    {
        double farthest = 0;
        for (const int vertex : m_layers.order[layer])
            for (const int index : m_layers.down[std::size_t(vertex)])
                farthest = std::max(farthest, std::abs(m_x[std::size_t(vertex)] - m_x[std::size_t(m_layers.stretches[std::size_t(index)].lower)]));
        // Ports lie at a frame's edge: little room does.
        const bool toEdge = isEdge(layer) || (layer + 1 < m_layers.order.size() && isEdge(layer + 1));
        return m_problem.spacing.down * (toEdge ? 0.5 : 1) + std::min(60.0, farthest * 0.05);
    }
    bool isEdge(std::size_t layer) const
    {
        const auto& order = m_layers.order[layer];
        return std::all_of(order.begin(), order.end(), [this](int vertex) { return m_layers.height[std::size_t(vertex)] == 0; });
    }
    void placeDown()
    {
        double y = 0;
        for (std::size_t layer = 0; layer < m_layers.order.size(); ++layer) {
            double height = 0;
            for (const int vertex : m_layers.order[layer])
                height = std::max(height, m_layers.height[std::size_t(vertex)]);
            for (const int vertex : m_layers.order[layer]) {
                if (!m_layers.isBend(vertex))
                    m_picture.centres[std::size_t(vertex)] = {m_x[std::size_t(vertex)], y + height / 2};
                m_picture.size.width = std::max(m_picture.size.width, m_x[std::size_t(vertex)] + m_layers.width[std::size_t(vertex)] / 2);
            }
            m_tops.push_back(y);
            m_bottoms.push_back(y + height);
            y += height + gapBelow(layer);
        }
        m_picture.size.height = m_bottoms.back();
    }
    Point below(int box, double offset) const
    {
        const Point centre = m_picture.centres[std::size_t(box)];
        return {centre.x + offset, centre.y + m_problem.boxes[std::size_t(box)].height / 2};
    }
    Point above(int box, double offset) const
    {
        const Point centre = m_picture.centres[std::size_t(box)];
        return {centre.x + offset, centre.y - m_problem.boxes[std::size_t(box)].height / 2};
    }
    std::vector<Point> route(std::size_t index) const
    {
        const auto& link = m_problem.links[index];
        const bool turned = m_layers.rank[std::size_t(link.from)] > m_layers.rank[std::size_t(link.to)];
        const int top = turned ? link.to : link.from, bottom = turned ? link.from : link.to;
        std::vector<Point> points;
        if (m_layers.rank[std::size_t(link.from)] == m_layers.rank[std::size_t(link.to)])
            return points;  // from a box to itself or to its neighbour: there is nothing to lead around
        const auto add = [&](Point point) {
            if (points.empty() || std::abs(points.back().x - point.x) > 1e-9 || std::abs(points.back().y - point.y) > 1e-9)
                points.push_back(point);
        };
        const auto layerOf = [&](int vertex) { return std::size_t(m_layers.rank[std::size_t(vertex)]); };
        const double topOffset = turned ? link.toOffset : link.fromOffset, bottomOffset = turned ? link.fromOffset : link.toOffset;
        add(below(top, topOffset));
        add({points.back().x, m_bottoms[layerOf(top)]});
        for (const int bend : m_layers.ways[index]) {
            add({m_x[std::size_t(bend)], m_tops[layerOf(bend)]});
            add({m_x[std::size_t(bend)], m_bottoms[layerOf(bend)]});
        }
        const Point end = above(bottom, bottomOffset);
        add({end.x, m_tops[layerOf(bottom)]});
        add(end);
        if (turned)
            std::reverse(points.begin(), points.end());
        return points;
    }
    // Boxes without links in rows, about as wide as the rest or as a square of them.
    void placeUnlinked()
    {
        double area = 0, widest = 0;
        std::vector<std::size_t> boxes;
        const auto& spacing = m_problem.spacing;
        for (std::size_t box = 0; box < m_problem.boxes.size(); ++box)
            if (m_layers.rank[box] < 0) {
                boxes.push_back(box);
                area += (m_problem.boxes[box].width + spacing.across) * (m_problem.boxes[box].height + spacing.across);
                widest = std::max(widest, m_problem.boxes[box].width);
            }
        if (boxes.empty())
            return;
        const double limit = std::max({m_picture.size.width, widest, std::sqrt(area * 1.6)});
        double x = 0, y = m_picture.size.height > 0 ? m_picture.size.height + spacing.down : 0, height = 0;
        for (const auto box : boxes) {
            const auto size = m_problem.boxes[box];
            if (x > 0 && x + size.width > limit) {
                x = 0;
                y += height + spacing.across;
                height = 0;
            }
            m_picture.centres[box] = {x + size.width / 2, y + size.height / 2};
            height = std::max(height, size.height);
            m_picture.size.width = std::max(m_picture.size.width, x + size.width);
            x += size.width + spacing.across;
        }
        m_picture.size.height = y + height;
    }

    const LayeredProblem& m_problem;
    const Layers& m_layers;
    LayeredPicture m_picture;
    std::vector<double> m_x, m_tops, m_bottoms;
};

}  // namespace

LayeredPicture layoutLayered(const LayeredProblem& problem, std::stop_token stop)
{
    auto layers = makeLayers(problem);
    orderLayers(layers, stop);
    if (stop.stop_requested())
        throw core::Cancelled();
    return Assembler(problem, layers).run();
}

}  // namespace orrery::layout
