#pragma once
#include <cstdint>
#include <stop_token>
#include <vector>

/// Where the boxes and lines of a graph's picture lie. Plain geometry: knows neither Qt nor libtorch, except graph_items.h, which reads a graph.
namespace orrery::layout {

struct Point {
    double x = 0, y = 0;
    bool operator==(const Point&) const = default;
};

struct Size {
    double width = 0, height = 0;
    double frame = 0;  ///< least width once it is opened; 0: that of what it holds
    bool operator==(const Size&) const = default;
};

/// A line from the bottom of one box to the top of another.
struct Link {
    int from = 0, to = 0;
    double fromOffset = 0, toOffset = 0;  ///< where it leaves and arrives, to the right of the box's centre
    /// Links of one box with the same number (not negative) carry the same value: they share one way until they part.
    std::int64_t bundle = -1;
    bool backward = false;  ///< known to lead back (a loop's carried value): does not take part in ranking
};

/// Where a box may stand.
enum class Place {
    Free,
    Top,    ///< in the first layer: where values enter a frame
    Bottom  ///< in the last one: where they leave
};

struct Spacing {
    double across = 18;  ///< between neighbours of a layer
    double down = 40;    ///< between layers
    double line = 10;    ///< between a line and its neighbour in a layer
};

struct LayeredProblem {
    std::vector<Size> boxes;
    std::vector<Place> places;  ///< one a box, or empty: all free
    std::vector<Link> links;
    Spacing spacing;
};

struct LayeredPicture {
    std::vector<Point> centres;              ///< one a box
    std::vector<std::vector<Point>> routes;  ///< one a link, from `from` to `to`; between two layers straight, within a layer upright
    std::vector<bool> upward;                ///< one a link: it closes a cycle, so it leads up
    Size size;                               ///< everything lies in [0, width] x [0, height]
    std::int64_t crossings = 0;              ///< of lines between neighbouring layers
};

/// A layered drawing: ranks by the longest way, order within a layer by barycentres and exchanges of neighbours, positions by Brandes and Koepf.
/// Boxes do not overlap, no line runs through a box that it does not belong to, and every line leads down unless it closes a cycle. Boxes without
/// links stand in rows below. Deterministic: depends on the problem alone.
/// @throws core::InputError if a link names a box that is not there; core::Cancelled.
/// Sources: Sugiyama, Tagawa & Toda (1981), "Methods for Visual Understanding of Hierarchical System Structures", doi:10.1109/TSMC.1981.4308636;
/// Brandes & Koepf (2002), "Fast and Simple Horizontal Coordinate Assignment", doi:10.1007/3-540-45848-4_3.
/// Any thread.
LayeredPicture layoutLayered(const LayeredProblem& problem, std::stop_token stop = {});

}  // namespace orrery::layout
