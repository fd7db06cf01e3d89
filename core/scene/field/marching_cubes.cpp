#include "marching_cubes.h"

#include <fmt/format.h>

#include <vector>

#include <core/base/error.h>

namespace orrery::scene {
namespace {

/// Corner c of a cube lies at (c & 1, c >> 1 & 1, c >> 2). An edge: its lower corner and the axis it follows.
struct CubeEdge {
    int corner, axis;
};
constexpr int kEdges = 12;
/// Corners of the six faces, counter-clockwise seen from outside.
constexpr int kFaces[6][4] = {{0, 4, 6, 2}, {1, 3, 7, 5}, {0, 1, 5, 4}, {2, 6, 7, 3}, {0, 2, 3, 1}, {4, 5, 7, 6}};

struct Cases {
    CubeEdge edges[kEdges];
    std::array<std::vector<int>, 256> triangles;  // three numbers of edges a triangle

    Cases()
    {
        int count = 0;
        for (int axis = 0; axis < 3; ++axis)
            for (int corner = 0; corner < 8; ++corner)
                if (!(corner >> axis & 1))
                    edges[count++] = {corner, axis};
        for (int inside = 0; inside < 256; ++inside) {
            auto& made = triangles[std::size_t(inside)];
            made = trianglesOf(inside);
            std::reverse(made.begin(), made.end());  // counter-clockwise seen from outside
        }
    }
    int edgeBetween(int a, int b) const
    {
        for (int e = 0; e < kEdges; ++e)
            if (edges[e].corner == (a & b) && (1 << edges[e].axis) == (a ^ b))
                return e;
        return -1;
    }
    /// On each face a run of inside corners is cut off by a segment from the edge behind it to the edge before it; segments make closed loops.
    std::vector<int> trianglesOf(int inside) const
    {
        int next[kEdges];
        std::fill(std::begin(next), std::end(next), -1);
        for (const auto& face : kFaces)
            for (int i = 0; i < 4; ++i) {
                if (!(inside >> face[i] & 1) || inside >> face[(i + 3) % 4] & 1)
                    continue;  // not the first of a run
                int last = i;
                while (inside >> face[(last + 1) % 4] & 1)
                    ++last;
                next[edgeBetween(face[last % 4], face[(last + 1) % 4])] = edgeBetween(face[(i + 3) % 4], face[i]);
            }
        std::vector<int> out;
        for (int start = 0; start < kEdges; ++start) {
            std::vector<int> loop;
            for (int e = start; e >= 0 && next[e] >= 0;) {
                loop.push_back(e);
                const int to = next[e];
                next[e] = -1;
                e = to;
            }
            for (std::size_t i = 2; i < loop.size(); ++i)
                out.insert(out.end(), {loop[0], loop[i - 1], loop[i]});
        }
        return out;
    }
};

const Cases& cases()
{
    static const Cases instance;
    return instance;
}

class Marcher {
public:
    Marcher(std::span<const float> values, int edge, float level, const std::array<double, 3>& low, double spacing)
        : m_values(values), m_edge(edge), m_level(level), m_low(low), m_spacing(spacing), m_vertices(3 * values.size(), -1)
    {
    }
    TriangleMesh run()
    {
        for (int x = 0; x + 1 < m_edge; ++x)
            for (int y = 0; y + 1 < m_edge; ++y)
                for (int z = 0; z + 1 < m_edge; ++z)
                    cube(x, y, z);
        return std::move(m_mesh);
    }

private:
    std::size_t index(int x, int y, int z) const
    {
        return (std::size_t(x) * std::size_t(m_edge) + std::size_t(y)) * std::size_t(m_edge) + std::size_t(z);
    }
    void cube(int x, int y, int z)
    {
        int inside = 0;
        for (int c = 0; c < 8; ++c)
            inside |= int(m_values[index(x + (c & 1), y + (c >> 1 & 1), z + (c >> 2))] > m_level) << c;
        for (const int e : cases().triangles[std::size_t(inside)]) {
            const CubeEdge edge = cases().edges[e];
            m_mesh.triangles.push_back(vertex(x + (edge.corner & 1), y + (edge.corner >> 1 & 1), z + (edge.corner >> 2), edge.axis));
        }
    }
    std::uint32_t vertex(int x, int y, int z, int axis)
    {
        std::int32_t& known = m_vertices[3 * index(x, y, z) + std::size_t(axis)];
        if (known < 0) {
            known = std::int32_t(m_mesh.points.size());
            const float a = m_values[index(x, y, z)], b = m_values[index(x + (axis == 0), y + (axis == 1), z + (axis == 2))];
            const double t = double(m_level - a) / double(b - a), place = t >= 0 && t <= 1 ? t : 0.5;  // infinities and NaN: in the middle
            const double at[3] = {x + (axis == 0 ? place : 0), y + (axis == 1 ? place : 0), z + (axis == 2 ? place : 0)};
            for (std::size_t k = 0; k < 3; ++k)
                m_mesh.points.positions.push_back(float(m_low[k] + m_spacing * at[k]));
        }
        return std::uint32_t(known);
    }
    std::span<const float> m_values;
    int m_edge;
    float m_level;
    std::array<double, 3> m_low;
    double m_spacing;
    std::vector<std::int32_t> m_vertices;  // by lower corner and axis; -1: not made yet
    TriangleMesh m_mesh;
};

}  // namespace

TriangleMesh marchingCubes(std::span<const float> values, int edge, float level, const std::array<double, 3>& low, double spacing)
{
    if (edge < 2 || edge > 1024 || values.size() != std::size_t(edge) * std::size_t(edge) * std::size_t(edge))
        throw core::ShapeError(fmt::format("marching cubes: expected edge^3 values with an edge of 2 to 1024, got {} and {}", values.size(), edge));
    return Marcher(values, edge, level, low, spacing).run();
}

}  // namespace orrery::scene
