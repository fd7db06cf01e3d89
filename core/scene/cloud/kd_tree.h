#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace orrery::scene {

struct Neighbour {
    std::uint32_t point = 0;
    double squared = 0;  ///< distance, squared
    bool operator<(const Neighbour& other) const { return squared != other.squared ? squared < other.squared : point < other.point; }
};

/// Nearest points by a k-d tree: split at the median of the widest axis, leaves of a dozen points. Immutable; queries from any thread.
/// Building costs O(n log n); 16 bytes a point. Distances are taken in double, so the answers are those of brute force.
class KdTree {
public:
    /// @param positions  x, y, z a point, finite, fewer than 2^32; copied.
    explicit KdTree(std::span<const float> positions);
    std::size_t size() const { return m_index.size(); }
    /// The `count` nearest points to x, y, z (all, if there are fewer), nearest first; of equally far ones those with the smaller index.
    void nearest(const float* at, std::size_t count, std::vector<Neighbour>& out) const;
    /// All points within `radius`, nearest first.
    void within(const float* at, double radius, std::vector<Neighbour>& out) const;

private:
    struct Node {
        float split = 0;
        std::int32_t axis = -1;   ///< -1: a leaf
        std::uint32_t other = 0;  ///< the node of the larger half; the smaller one follows directly
        std::uint32_t begin = 0, end = 0;
    };
    void build(std::span<const float> positions, std::uint32_t begin, std::uint32_t end);
    double squaredTo(const float* at, std::uint32_t place) const;
    template <class Leaf>
    void visit(std::uint32_t node, const float* at, double& limit, const Leaf& leaf) const;

    std::vector<std::uint32_t> m_index;  ///< points in the order of the leaves
    std::vector<float> m_positions;      ///< in that order
    std::vector<Node> m_nodes;
};

}  // namespace orrery::scene
