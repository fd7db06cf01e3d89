#include <algorithm>
#include <queue>

#include "graph_items.h"

namespace orrery::layout {
namespace {

/// Everything that can be reached along the edges (or against them) from the leaves of `start`. What lies in an If or Loop that is reached itself, too.
std::vector<bool> reachable(const ItemTree& tree, int start, bool forward)
{
    std::vector<bool> seen(tree.items().size(), false);
    std::vector<int> stack;
    const auto visit = [&](int item) {
        if (!seen[std::size_t(item)]) {
            seen[std::size_t(item)] = true;
            stack.push_back(item);
        }
    };
    for (std::size_t i = 0; i < tree.items().size(); ++i)
        if (tree.isInside(int(i), start))
            visit(int(i));
    while (!stack.empty()) {
        const int at = stack.back();
        stack.pop_back();
        for (const int index : forward ? tree.outgoing(at) : tree.incoming(at))
            visit(forward ? tree.edges()[std::size_t(index)].to : tree.edges()[std::size_t(index)].from);
        // A condition decides over everything inside.
        if (tree.item(at).kind == Item::Kind::Node || tree.item(at).kind == Item::Kind::Block) {
            if (forward)
                for (const int child : tree.item(at).children)
                    visit(child);
        }
        const int parent = tree.item(at).parent;
        if (!forward && parent > 0 && tree.item(parent).kind != Item::Kind::Module)
            visit(parent);
    }
    return seen;
}

}  // namespace

std::vector<int> openedAtFirst(const ItemTree& tree, int wanted)
{
    std::vector<int> opened;
    int shown = int(tree.item(0).children.size());
    std::queue<int> groups;
    groups.push(0);
    while (!groups.empty()) {
        const int group = groups.front();
        groups.pop();
        for (const int child : tree.item(group).children) {
            const int inside = int(tree.item(child).children.size());
            // A frame around one node says less than the closed box.
            const bool single = inside == 1 && !tree.item(tree.item(child).children[0]).isGroup();
            if (inside == 0 || single || shown - 1 + inside > wanted)
                continue;
            shown += inside - 1;
            opened.push_back(child);
            groups.push(child);
        }
    }
    return opened;
}

std::vector<bool> itemsBetween(const ItemTree& tree, int from, int to)
{
    const auto after = reachable(tree, from, true), before = reachable(tree, to, false);
    std::vector<bool> between(tree.items().size(), false);
    bool joined = false;
    for (std::size_t i = 0; i < between.size(); ++i) {
        between[i] = after[i] && before[i] && !tree.items()[i].isGroup();
        joined |= between[i] && tree.isInside(int(i), to);
    }
    if (!joined)
        between.assign(between.size(), false);
    return between;
}

}  // namespace orrery::layout
