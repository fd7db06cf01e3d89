#include <algorithm>

#include "graph_items.h"

namespace orrery::layout {

ItemTree::ItemTree(std::vector<Item> items, std::vector<ItemEdge> edges) : m_items(std::move(items)), m_edges(std::move(edges))
{
    m_depth.assign(m_items.size(), 0);
    // Parents stand before their children.
    for (std::size_t i = 1; i < m_items.size(); ++i)
        m_depth[i] = m_depth[std::size_t(m_items[i].parent)] + 1;
    for (auto& item : m_items)
        item.leaves = item.isGroup() ? 0 : 1;
    for (std::size_t i = m_items.size(); i-- > 1;)
        m_items[std::size_t(m_items[i].parent)].leaves += m_items[i].leaves;
    for (std::size_t i = 1; i < m_items.size(); ++i)
        if (m_items[i].kind != Item::Kind::Block)
            (m_items[i].kind == Item::Kind::Module ? m_modules : m_byPath).emplace(m_items[i].path, int(i));
    sortEdges();
}

void ItemTree::sortEdges()
{
    for (auto* list : {&m_outgoing, &m_incoming, &m_inside, &m_entering, &m_leaving})
        list->resize(m_items.size());
    const auto parent = [&](int item) { return m_items[std::size_t(item)].parent; };
    for (std::size_t i = 0; i < m_edges.size(); ++i) {
        const auto& edge = m_edges[i];
        m_outgoing[std::size_t(edge.from)].push_back(int(i));
        m_incoming[std::size_t(edge.to)].push_back(int(i));
        int from = edge.from, to = edge.to;
        while (parent(from) != parent(to)) {
            if (m_depth[std::size_t(from)] >= m_depth[std::size_t(to)]) {
                from = parent(from);
                m_leaving[std::size_t(from)].push_back(int(i));
            } else {
                to = parent(to);
                m_entering[std::size_t(to)].push_back(int(i));
            }
        }
        if (from == to)  // from a group to what lies inside it
            continue;
        m_inside[std::size_t(parent(from))].push_back(int(i));
    }
}

int ItemTree::find(const std::string& path) const
{
    for (const auto* names : {&m_byPath, &m_modules})
        if (const auto found = names->find(path); found != names->end())
            return found->second;
    return -1;
}

int ItemTree::findGroup(const std::string& path) const
{
    for (const auto* names : {&m_modules, &m_byPath})
        if (const auto found = names->find(path); found != names->end() && item(found->second).isGroup())
            return found->second;
    return -1;
}

int ItemTree::childHolding(int group, int item) const
{
    while (item >= 0 && item != group) {
        const int above = m_items[std::size_t(item)].parent;
        if (above == group)
            return item;
        item = above;
    }
    return -1;
}

bool ItemTree::isInside(int item, int group) const
{
    while (item >= 0 && item != group)
        item = m_items[std::size_t(item)].parent;
    return item == group;
}

}  // namespace orrery::layout
