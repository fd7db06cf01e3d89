#include "union_items.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace orrery::compare {
namespace {

using layout::Item;
using layout::ItemEdge;
using layout::ItemTree;

class Joiner {
public:
    Joiner(const graph::Graph& first, const ItemTree& mine, const ItemTree& theirs, const GraphDifference& difference)
        : m_first(first), m_mine(mine), m_theirs(theirs), m_items(mine.items()), m_edges(mine.edges()), m_changes(mine.items().size(), Change::Same)
    {
        for (const auto& node : difference.nodes) {
            if (node.change == Change::Added)
                continue;
            const int item = mine.find(node.first);
            if (item >= 0)
                m_changes[std::size_t(item)] = node.change;
            if (!node.second.empty())
                m_partner.emplace(node.second, item);
        }
    }
    UnionItems join()
    {
        m_of.assign(m_theirs.items().size(), -1);
        m_of[0] = 0;
        for (std::size_t i = 1; i < m_theirs.items().size(); ++i)
            if (!isFrame(m_theirs.items()[i]))
                m_of[i] = itemFor(int(i));
        for (const auto& edge : m_edges)
            m_known.insert({edge.from, edge.to});
        const int offset = int(m_first.data().values.size());
        for (const auto& edge : m_theirs.edges()) {
            const int from = m_of[std::size_t(edge.from)], to = m_of[std::size_t(edge.to)];
            if (from >= 0 && to >= 0 && from != to && m_known.insert({from, to}).second)
                m_edges.push_back({from, to, edge.value + offset, edge.backward});
        }
        for (std::size_t i = m_items.size(); i-- > 0;)  // what is inside stands behind what holds it
            if (m_items[i].isGroup())
                m_changes[i] = changeOfGroup(i);
        return {std::make_shared<const ItemTree>(std::move(m_items), std::move(m_edges)), int(m_mine.items().size()), std::move(m_changes)};
    }

private:
    /// A module or branch is what all of it is, and has changed where that differs; an If or Loop is what it is itself unless only its inside has changed.
    Change changeOfGroup(std::size_t index) const
    {
        const Item& item = m_items[index];
        const auto changeOf = [this](int child) { return m_changes[std::size_t(child)]; };
        const Change first = changeOf(item.children.front());
        const bool alike = std::all_of(item.children.begin(), item.children.end(), [&](int child) { return changeOf(child) == first; });
        if (isFrame(item))
            return alike ? first : Change::Changed;
        return m_changes[index] == Change::Same && !(alike && first == Change::Same) ? Change::Changed : m_changes[index];
    }
    static bool isFrame(const Item& item) { return item.kind == Item::Kind::Module || item.kind == Item::Kind::Block; }
    int itemFor(int index)
    {
        const Item& theirs = m_theirs.item(index);
        if (theirs.kind == Item::Kind::Node) {
            const auto found = m_partner.find(theirs.path);
            return found != m_partner.end() ? found->second : add(theirs);
        }
        for (const int item : m_mine.item(0).children)  // inputs and outputs by their place
            if (theirs.kind != Item::Kind::Parameter && m_mine.item(item).kind == theirs.kind && m_mine.item(item).number == theirs.number)
                return item;
        if (const int same = m_mine.find(theirs.path); same >= 0 && m_mine.item(same).kind == theirs.kind)
            return same;
        return add(theirs);
    }
    /// The frame in which something of the second is drawn: made where the first has none like it.
    int frameFor(int index)
    {
        if (index <= 0)
            return 0;
        if (m_of[std::size_t(index)] >= 0)
            return m_of[std::size_t(index)];
        const Item& theirs = m_theirs.item(index);
        const int parent = frameFor(theirs.parent);
        int frame = -1;
        for (const int child : m_items[std::size_t(parent)].children) {
            const Item& item = m_items[std::size_t(child)];
            if (frame < 0 && item.kind == theirs.kind && item.title == theirs.title)
                frame = child;
        }
        return m_of[std::size_t(index)] = frame >= 0 ? frame : append(theirs, parent, Change::Added);
    }
    int add(const Item& theirs) { return append(theirs, frameFor(theirs.parent), Change::Added); }
    int append(const Item& theirs, int parent, Change change)
    {
        Item item = theirs;
        item.children.clear();
        item.parent = parent;
        m_items.push_back(std::move(item));
        const int number = int(m_items.size()) - 1;
        m_items[std::size_t(parent)].children.push_back(number);
        m_changes.push_back(change);
        return number;
    }

    const graph::Graph& m_first;
    const ItemTree &m_mine, &m_theirs;
    std::vector<Item> m_items;
    std::vector<ItemEdge> m_edges;
    std::vector<Change> m_changes;
    std::map<std::string, int> m_partner;  ///< node of the second -> item of the first
    std::vector<int> m_of;                 ///< per item of the second: item of the union
    std::set<std::pair<int, int>> m_known;
};

}  // namespace

UnionItems unionItems(const graph::Graph& first, const graph::Graph& second, const GraphDifference& difference, const layout::ItemOptions& options)
{
    const auto mine = layout::itemsOf(first, options), theirs = layout::itemsOf(second, options);
    return Joiner(first, *mine, *theirs, difference).join();
}

}  // namespace orrery::compare
