#pragma once
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "graph_items.h"
#include "layered.h"

namespace orrery::layout {

/// A box of the picture as it lies now.
struct PlacedItem {
    int item = 0;
    double left = 0, top = 0, width = 0, height = 0;
    bool open = false;  ///< a frame around its content
    bool contains(Point point) const { return point.x >= left && point.x < left + width && point.y >= top && point.y < top + height; }
};

/// A stretch of a value's way within one frame: from a box, or from the frame's edge, to a box or to the edge.
struct PlacedRoute {
    graph::ValueId value = -1;
    int from = -1, to = -1;  ///< items; -1: the frame's edge
    int group = 0;           ///< the frame
    bool upward = false;
    std::vector<Point> points;
};

/// What is seen: frames stand before their content.
struct Picture {
    std::vector<PlacedItem> items;
    std::vector<PlacedRoute> routes;
    std::vector<int> placeOf;  ///< per item of the tree: index into `items`, or -1
    Size size;
};

/// One frame's content, laid out. Kept as long as nothing inside changes.
struct GroupLayout;

/// A tree with some groups open and the picture of that. A value: copies share what they have laid out. Any thread, one at a time an object.
class FoldedGraph {
public:
    /// @param sizes  Of every item as a closed box, one an item of the tree.
    FoldedGraph(ItemTreePtr tree, std::shared_ptr<const std::vector<Size>> sizes);
    FoldedGraph() = default;

    const ItemTreePtr& tree() const { return m_tree; }
    bool isOpen(int item) const { return m_open[std::size_t(item)]; }
    /// Items that hold others can be opened; for others nothing happens. The root is always open. What was open inside a closed group is open again when
    /// the group is. The picture is that of before until `arrange`.
    void setOpen(int item, bool open);
    /// Opens every group around an item.
    void reveal(int item);
    /// Lays out what changed: only the groups that were opened or closed and those around them. @throws core::Cancelled.
    void arrange(std::stop_token stop = {});
    const Picture& picture() const { return *m_picture; }
    std::shared_ptr<const Picture> sharedPicture() const { return m_picture; }
    /// The box that stands for an item: itself, or the closed group around it.
    int visible(int item) const;
    /// Groups laid out by the last `arrange`.
    int groupsLaidOut() const { return m_laidOut; }

private:
    const GroupLayout& layoutOf(int group, std::stop_token stop);
    void place(int group, Point origin, Picture& picture) const;

    ItemTreePtr m_tree;
    std::shared_ptr<const std::vector<Size>> m_sizes;
    std::vector<bool> m_open;
    std::vector<std::shared_ptr<const GroupLayout>> m_layouts;
    std::shared_ptr<const Picture> m_picture;
    int m_laidOut = 0;
};

/// Room around a frame's content, and above it for its title.
inline constexpr double kFrameMargin = 14, kFrameTitle = 26;

}  // namespace orrery::layout
