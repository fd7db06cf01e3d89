#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <core/scene/cloud/cloud.h>
#include <core/scene/cloud/points.h>

namespace orrery::viewers {

enum class ColourBy { Plain, Colours, Height, Normals, Field };

/// How points get their colours.
struct CloudStyle {
    ColourBy by = ColourBy::Plain;
    std::string field;                               ///< ColourBy::Field
    std::string map = "viridis";                     ///< a name of report::colourMapNames
    std::optional<std::pair<double, double>> range;  ///< of the colour map; nothing: smallest and largest finite value
    int upAxis = 2;                                  ///< ColourBy::Height: 0 x, 1 y, 2 z
    bool operator==(const CloudStyle&) const = default;
};

/// The colours of a picture's points.
struct CloudColours {
    CloudStyle style;
    std::vector<std::uint8_t> rgb;  ///< red, green, blue a point, in the order of drawing
    double low = 0, high = 0;       ///< of the colour map, where one was used
};

/// A cloud made ready for drawing: immutable, shared by the view and those who made it.
struct CloudPicture {
    std::shared_ptr<const scene::TriangleMesh> mesh;
    std::vector<std::uint32_t> order;             ///< drawing order: every prefix is a spatially even subset
    std::vector<float> positions;                 ///< in drawing order
    std::vector<std::uint32_t> triangles, edges;  ///< in numbers of the drawing order
    scene::Bounds bounds;                         ///< relative to the cloud's origin, as `positions` are
};

/// The style that shows most of a cloud: its colours, else normals, else height.
CloudStyle defaultStyle(const scene::PointCloud& cloud);
/// Any thread. @throws core::Cancelled, core::InputError for a cloud without points.
std::shared_ptr<const CloudPicture> cloudPicture(std::shared_ptr<const scene::TriangleMesh> mesh, std::stop_token stop = {});
/// Values that are NaN get the colour of "no value". Any thread.
/// @throws core::InputError if the cloud does not have what the style asks for.
std::shared_ptr<const CloudColours> cloudColours(const CloudPicture& picture, const CloudStyle& style);
/// Bytes that a picture of so many points takes in memory, its upload included: what is compared with the machine's memory before it is made.
std::size_t pictureBytes(std::size_t points, std::size_t triangles, std::size_t edges);

}  // namespace orrery::viewers
