#include "fold_layout.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include <core/base/error.h>

namespace orrery::layout {

using graph::ValueId;

struct GroupLayout {
    Size size;                                 ///< of the frame
    std::vector<Point> corners;                ///< of the children, upper left, within the frame
    std::vector<PlacedRoute> routes;           ///< within the frame
    std::map<ValueId, double> enters, leaves;  ///< where a value crosses the frame's edge: to the right of its centre
};

namespace {

/// The problem of one frame: its children, and a place at the edge for every value that comes in or goes out.
class FrameProblem {
public:
    using SizeOf = std::function<Size(int)>;
    using PortOf = std::function<double(int child, ValueId value, bool enters)>;

    FrameProblem(const ItemTree& tree, int group, Size closed, const SizeOf& sizeOf, const PortOf& portOf)
        : m_tree(tree), m_group(group), m_closed(closed), m_portOf(portOf)
    {
        const auto& children = tree.item(group).children;
        for (std::size_t i = 0; i < children.size(); ++i) {
            m_numbers.emplace(children[i], int(i));
            m_problem.boxes.push_back(sizeOf(children[i]));
            m_problem.places.push_back(Place::Free);
        }
        for (const int index : tree.inside(group))
            addInside(tree.edges()[std::size_t(index)]);
        for (const int index : tree.entering(group))
            addEntering(tree.edges()[std::size_t(index)]);
        for (const int index : tree.leaving(group))
            addLeaving(tree.edges()[std::size_t(index)]);
    }
    GroupLayout solve(std::stop_token stop) const;

private:
    int child(int item) const { return m_tree.childHolding(m_group, item); }
    int port(std::map<ValueId, int>& ports, ValueId value, Place place)
    {
        const auto [it, isNew] = ports.try_emplace(value, int(m_problem.boxes.size()));
        if (isNew) {
            m_problem.boxes.push_back({});
            m_problem.places.push_back(place);
        }
        return it->second;
    }
    void link(int from, int to, const ItemEdge& edge, int fromItem, int toItem)
    {
        if (from == to || !m_added.insert({from, to, edge.value}).second)
            return;
        Link link{from, to, 0, 0, edge.value, edge.backward};
        if (fromItem >= 0)
            link.fromOffset = m_portOf(fromItem, edge.value, false);
        if (toItem >= 0)
            link.toOffset = m_portOf(toItem, edge.value, true);
        // Beside the line that leads down between the same two boxes.
        if (edge.backward) {
            link.fromOffset += m_problem.boxes[std::size_t(from)].width * 0.3;
            link.toOffset += m_problem.boxes[std::size_t(to)].width * 0.3;
        }
        m_problem.links.push_back(link);
        m_ends.emplace_back(fromItem, toItem);
    }
    void addInside(const ItemEdge& edge)
    {
        const int from = child(edge.from), to = child(edge.to);
        link(m_numbers.at(from), m_numbers.at(to), edge, from, to);
    }
    void addEntering(const ItemEdge& edge)
    {
        const int to = child(edge.to);
        if (to >= 0)
            link(port(m_enters, edge.value, Place::Top), m_numbers.at(to), edge, -1, to);
    }
    void addLeaving(const ItemEdge& edge)
    {
        const int from = child(edge.from);
        if (from >= 0)
            link(m_numbers.at(from), port(m_leaves, edge.value, Place::Bottom), edge, from, -1);
    }

    const ItemTree& m_tree;
    int m_group;
    Size m_closed;  ///< of the group's box
    const PortOf& m_portOf;
    LayeredProblem m_problem;
    std::map<int, int> m_numbers;
    std::map<ValueId, int> m_enters, m_leaves;
    std::set<std::tuple<int, int, ValueId>> m_added;
    std::vector<std::pair<int, int>> m_ends;  ///< per link: its items
};

/// Lines that arrive at (or leave) one box next to each other spread a little, in the order in which they come.
void spreadEnds(const LayeredProblem& problem, const std::vector<std::pair<int, int>>& ends, std::vector<std::vector<Point>>& routes)
{
    std::map<int, std::vector<std::size_t>> arriving;
    for (std::size_t i = 0; i < routes.size(); ++i)
        if (ends[i].second >= 0 && problem.links[i].toOffset == 0 && routes[i].size() >= 2)
            arriving[problem.links[i].to].push_back(i);
    for (auto& [box, links] : arriving) {
        if (links.size() < 2)
            continue;
        // By the last point that is not straight above the end.
        const auto origin = [&](std::size_t link) {
            const auto& points = routes[link];
            std::size_t at = points.size() - 1;
            while (at > 0 && points[at].x == points.back().x)
                --at;
            return points[at].x;
        };
        std::stable_sort(links.begin(), links.end(), [&](auto a, auto b) { return origin(a) < origin(b); });
        const double width = std::min(problem.boxes[std::size_t(box)].width * 0.5, 14.0 * double(links.size() - 1));
        for (std::size_t k = 0; k < links.size(); ++k) {
            auto& points = routes[links[k]];
            const double x = points.back().x + width * (double(k) / double(links.size() - 1) - 0.5);
            const double end = points.back().x;
            for (std::size_t i = points.size(); i-- > 1 && points[i].x == end;)
                points[i].x = x;
        }
    }
}

GroupLayout FrameProblem::solve(std::stop_token stop) const
{
    auto laid = layoutLayered(m_problem, stop);
    spreadEnds(m_problem, m_ends, laid.routes);
    const bool isRoot = m_group == 0;
    // The frame is not narrower than the closed box, whose title stands in its head.
    const double width = isRoot ? laid.size.width : std::max({laid.size.width, m_closed.width, m_closed.frame - 2 * kFrameMargin});
    const double side = kFrameMargin + (width - laid.size.width) / 2, head = isRoot ? kFrameMargin : kFrameTitle;
    GroupLayout layout;
    layout.size = {laid.size.width + 2 * side, laid.size.height + head + kFrameMargin};
    const std::size_t children = m_tree.item(m_group).children.size();
    for (std::size_t i = 0; i < children; ++i)
        layout.corners.push_back({laid.centres[i].x - m_problem.boxes[i].width / 2 + side, laid.centres[i].y - m_problem.boxes[i].height / 2 + head});
    for (std::size_t i = 0; i < m_problem.links.size(); ++i) {
        PlacedRoute route{ValueId(m_problem.links[i].bundle), m_ends[i].first, m_ends[i].second, m_group, laid.upward[i], {}};
        for (const Point point : laid.routes[i])
            route.points.push_back({point.x + side, point.y + head});
        if (route.points.empty())
            continue;
        // From the frame's very edge and to it.
        if (route.from < 0)
            route.points.insert(route.points.begin(), {route.points.front().x, 0});
        if (route.to < 0)
            route.points.push_back({route.points.back().x, layout.size.height});
        layout.routes.push_back(std::move(route));
    }
    for (const auto& [ports, places] : {std::pair(&m_enters, &layout.enters), {&m_leaves, &layout.leaves}})
        for (const auto& [value, box] : *ports)
            places->emplace(value, laid.centres[std::size_t(box)].x + side - layout.size.width / 2);
    return layout;
}

}  // namespace

FoldedGraph::FoldedGraph(ItemTreePtr tree, std::shared_ptr<const std::vector<Size>> sizes) : m_tree(std::move(tree)), m_sizes(std::move(sizes))
{
    if (m_sizes->size() != m_tree->items().size())
        throw core::InputError(fmt::format("layout: expected {} sizes, got {}", m_tree->items().size(), m_sizes->size()));
    m_open.assign(m_tree->items().size(), false);
    m_open[0] = true;
    m_layouts.resize(m_tree->items().size());
    m_picture = std::make_shared<const Picture>();
}

void FoldedGraph::setOpen(int item, bool open)
{
    if (item <= 0 || m_open[std::size_t(item)] == open || !m_tree->item(item).isGroup())
        return;
    m_open[std::size_t(item)] = open;
    for (int at = m_tree->item(item).parent; at >= 0; at = m_tree->item(at).parent)
        m_layouts[std::size_t(at)].reset();
}

void FoldedGraph::reveal(int item)
{
    for (int at = m_tree->item(item).parent; at > 0; at = m_tree->item(at).parent)
        setOpen(at, true);
}

int FoldedGraph::visible(int item) const
{
    int shown = item;
    for (int at = item; at > 0; at = m_tree->item(at).parent)
        if (const int parent = m_tree->item(at).parent; !m_open[std::size_t(parent)])
            shown = parent;
    return shown;
}

const GroupLayout& FoldedGraph::layoutOf(int group, std::stop_token stop)
{
    auto& kept = m_layouts[std::size_t(group)];
    if (kept)
        return *kept;
    for (const int child : m_tree->item(group).children)
        if (m_open[std::size_t(child)])
            layoutOf(child, stop);
    const auto sizeOf = [&](int child) { return m_open[std::size_t(child)] ? m_layouts[std::size_t(child)]->size : (*m_sizes)[std::size_t(child)]; };
    const auto portOf = [&](int child, ValueId value, bool enters) {
        if (!m_open[std::size_t(child)])
            return 0.0;
        const auto& ports = enters ? m_layouts[std::size_t(child)]->enters : m_layouts[std::size_t(child)]->leaves;
        const auto found = ports.find(value);
        return found == ports.end() ? 0.0 : found->second;
    };
    const FrameProblem::SizeOf sizes = sizeOf;
    const FrameProblem::PortOf ports = portOf;
    kept = std::make_shared<const GroupLayout>(FrameProblem(*m_tree, group, (*m_sizes)[std::size_t(group)], sizes, ports).solve(stop));
    ++m_laidOut;
    return *kept;
}

void FoldedGraph::place(int group, Point origin, Picture& picture) const
{
    const auto& layout = *m_layouts[std::size_t(group)];
    const auto& children = m_tree->item(group).children;
    for (const auto& route : layout.routes) {
        picture.routes.push_back(route);
        for (auto& point : picture.routes.back().points)
            point = {point.x + origin.x, point.y + origin.y};
    }
    for (std::size_t i = 0; i < children.size(); ++i) {
        const int child = children[i];
        const bool open = m_open[std::size_t(child)];
        const Size size = open ? m_layouts[std::size_t(child)]->size : (*m_sizes)[std::size_t(child)];
        const Point corner{origin.x + layout.corners[i].x, origin.y + layout.corners[i].y};
        picture.placeOf[std::size_t(child)] = int(picture.items.size());
        picture.items.push_back({child, corner.x, corner.y, size.width, size.height, open});
        if (open)
            place(child, corner, picture);
    }
}

void FoldedGraph::arrange(std::stop_token stop)
{
    m_laidOut = 0;
    const Size size = layoutOf(0, stop).size;
    auto picture = std::make_shared<Picture>();
    picture->placeOf.assign(m_tree->items().size(), -1);
    picture->size = size;
    place(0, {}, *picture);
    m_picture = std::move(picture);
}

}  // namespace orrery::layout
