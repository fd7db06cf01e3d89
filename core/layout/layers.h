#pragma once
#include "layered.h"

/// Internal to core/layout: a problem in layers. Vertices are the boxes, then the bends of long lines, one in each layer that a line passes.
namespace orrery::layout {

/// A stretch of a line between two neighbouring layers.
struct Stretch {
    int upper = 0, lower = 0;
    double upperShare = 0, lowerShare = 0;  ///< where it touches, as a share of the vertex' width to the right of its centre
};

struct Layers {
    int boxes = 0;
    std::vector<int> rank;                   ///< per vertex; -1: the box has no links
    std::vector<std::vector<int>> order;     ///< per layer: its vertices from left to right
    std::vector<int> position;               ///< per vertex: its place in its layer
    std::vector<Stretch> stretches;          ///< each once, also where several links share it
    std::vector<std::vector<int>> up, down;  ///< per vertex: its stretches to the layer above and below
    std::vector<double> width, height;       ///< per vertex
    std::vector<std::vector<int>> ways;      ///< per link: its bends from top to bottom
    std::vector<bool> upward;                ///< per link

    bool isBend(int vertex) const { return vertex >= boxes; }
    void setOrder(std::size_t layer, std::vector<int> vertices);
};

/// Breaks cycles, gives every linked box its layer, and puts bends into long lines.
Layers makeLayers(const LayeredProblem& problem);

/// Crossings of the stretches between layer `upper` and the one below it.
std::int64_t crossingsBelow(const Layers& layers, std::size_t upper);
std::int64_t allCrossings(const Layers& layers);

/// Orders every layer so that few lines cross.
void orderLayers(Layers& layers, std::stop_token stop);

/// The centre of every vertex across, starting at 0 for the leftmost edge; boxes of a layer keep their distance.
std::vector<double> placeAcross(const Layers& layers, const Spacing& spacing);

}  // namespace orrery::layout
