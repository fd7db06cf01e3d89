#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

/// Point clouds and meshes as plain arrays. Free of libtorch.
namespace orrery::scene {

/// A named number for each point: intensity, classification, curvature ...
struct PointField {
    std::string name;
    std::vector<float> values;  ///< one a point
    double offset = 0;          ///< added to a value in double gives the file's number: GPS times keep their microseconds
};

/// Points with what a file says of them. Every array is empty or has its full length.
struct PointCloud {
    std::vector<float> positions;  ///< x, y, z a point, relative to `origin`
    /// Added to a position in double gives the file's coordinates: georeferenced clouds keep their millimetres.
    std::array<double, 3> origin{};
    std::vector<float> normals;         ///< nx, ny, nz a point, length 1
    std::vector<std::uint8_t> colours;  ///< red, green, blue a point
    std::vector<PointField> fields;

    std::size_t size() const { return positions.size() / 3; }
    bool hasNormals() const { return !normals.empty(); }
    bool hasColours() const { return !colours.empty(); }
};

/// Triangles and edges over points: `triangles` holds three indices of points a triangle, counter-clockwise seen from outside, `edges` two an edge.
/// A plain cloud has neither.
struct TriangleMesh {
    PointCloud points;
    std::vector<std::uint32_t> triangles;
    std::vector<std::uint32_t> edges;

    std::size_t triangleCount() const { return triangles.size() / 3; }
    std::size_t edgeCount() const { return edges.size() / 2; }
};

}  // namespace orrery::scene
