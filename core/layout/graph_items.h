#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <core/graph/graph.h>

namespace orrery::layout {

/// A box of the picture: what a graph holds, as a tree. Modules and control flow hold others and can be opened.
struct Item {
    enum class Kind {
        Root,
        Module,     ///< one call of a module: a module that is called twice gives two items of one path
        Node,       ///< `number`: in Graph::allNodes(). With blocks (If, Loop) it holds items
        Block,      ///< a branch of an If; `number`: which
        Input,      ///< `number`: in GraphData::inputs
        Output,     ///< `number`: in the graph's outputs
        Parameter,  ///< `number`: in GraphData::parameters; only in graphs without nodes
    };
    Kind kind = Kind::Root;
    int number = -1;  ///< Module: in GraphData::modules
    int parent = -1;
    std::string path;   ///< module path, name of the node, input, output or parameter; empty for the root
    std::string title;  ///< what the box says: the path's last part within the parent; "relu (2)" for a second call
    std::string type;   ///< operator without its namespace, or the module's type
    std::vector<int> children;
    int leaves = 1;  ///< boxes inside when everything is open
    bool isGroup() const { return !children.empty(); }
};

/// A value that goes from one item to another; both are leaves, or an If or Loop that reads it itself.
struct ItemEdge {
    int from = 0, to = 0;
    graph::ValueId value = -1;
    bool backward = false;  ///< a value that a loop carries into its next step
};

struct ItemOptions {
    bool arithmetic =
        false;  ///< also nodes that compute no tensors: sizes, lists of integers, conditions; left out, what they read in a tensor is still a line
};

/// A graph as a tree of items with edges between its leaves. Item 0 is the root. Immutable once made; any thread.
class ItemTree {
public:
    ItemTree(std::vector<Item> items, std::vector<ItemEdge> edges);
    const std::vector<Item>& items() const { return m_items; }
    const std::vector<ItemEdge>& edges() const { return m_edges; }
    const Item& item(int index) const { return m_items[std::size_t(index)]; }
    /// Edges (by index) that start or end at an item.
    const std::vector<int>& outgoing(int item) const { return m_outgoing[std::size_t(item)]; }
    const std::vector<int>& incoming(int item) const { return m_incoming[std::size_t(item)]; }
    /// Edges whose both ends lie in this group but in different children of it.
    const std::vector<int>& inside(int group) const { return m_inside[std::size_t(group)]; }
    /// Edges that enter or leave this group.
    const std::vector<int>& entering(int group) const { return m_entering[std::size_t(group)]; }
    const std::vector<int>& leaving(int group) const { return m_leaving[std::size_t(group)]; }
    /// The item of a node, input, output or parameter, else of a module (the first call); -1 if there is none.
    int find(const std::string& path) const;
    /// The same for what can be opened: a module, else an If or Loop.
    int findGroup(const std::string& path) const;
    /// The child of `group` that holds `item` (or is it); -1 if it is not inside.
    int childHolding(int group, int item) const;
    bool isInside(int item, int group) const;

private:
    void sortEdges();
    std::vector<Item> m_items;
    std::vector<ItemEdge> m_edges;
    std::vector<std::vector<int>> m_outgoing, m_incoming, m_inside, m_entering, m_leaving;
    std::vector<int> m_depth;
    std::map<std::string, int> m_byPath, m_modules;
};
using ItemTreePtr = std::shared_ptr<const ItemTree>;

/// Nodes in their modules, control flow with its blocks, inputs and outputs. A module that is left and entered again is one item as long as nothing that
/// it gives comes back to it; else each call is one. A graph without nodes gives its parameters in their modules.
ItemTreePtr itemsOf(const graph::Graph& graph, const ItemOptions& options = {});

/// The groups to open so that about `wanted` boxes are seen at first: outer ones first, and none that would show more.
std::vector<int> openedAtFirst(const ItemTree& tree, int wanted = 40);

/// Every leaf on some way along the edges from `from` to `to` (or from a leaf inside them to one inside), both ends included; false everywhere if there is
/// none. One entry an item.
std::vector<bool> itemsBetween(const ItemTree& tree, int from, int to);

}  // namespace orrery::layout
