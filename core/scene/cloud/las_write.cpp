#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <core/base/error.h>

#include "las.h"
#include "points.h"
#include "scan.h"

namespace orrery::scene {
namespace {

constexpr std::size_t kHeaderBytes = 375, kBytes = 30, kColourBytes = 36;

/// Coordinates as LAS keeps them: integers times a scale behind an offset.
class Quantised {
public:
    explicit Quantised(const PointCloud& cloud) : m_cloud(cloud)
    {
        const auto box = bounds(cloud).value_or(Bounds{});
        double largest = 0, extent = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            extent = std::max(extent, box.extent(k));
            largest = std::max({largest, std::abs(box.low[k] - cloud.origin[k]), std::abs(box.high[k] - cloud.origin[k])});
        }
        // The same rule as the reader's, so that reading and writing again changes nothing.
        const bool isFar = largest > 16 * extent && cloud.size() > 1;
        for (std::size_t k = 0; k < 3; ++k)
            m_offset[k] = isFar ? std::round(box.low[k] / 2 + box.high[k] / 2) : cloud.origin[k];
        if (isFar) {
            largest = 0;
            for (std::size_t k = 0; k < 3; ++k)
                largest = std::max({largest, std::abs(box.low[k] - m_offset[k]), std::abs(box.high[k] - m_offset[k])});
        }
        // A hair less than the largest: rounding to the scale must not lift a round number over the edge when it is read and written again.
        if (largest > 0)
            m_scale = std::pow(10.0, std::ceil(std::log10(largest * (1 - 1e-6) / 1e7)));
    }
    double scale() const { return m_scale; }
    double offset(std::size_t axis) const { return m_offset[axis]; }
    std::int32_t at(std::size_t point, std::size_t axis) const
    {
        const double relative = double(m_cloud.positions[3 * point + axis]) + (m_cloud.origin[axis] - m_offset[axis]);
        return std::int32_t(std::lround(std::clamp(relative / m_scale, -2147483647.0, 2147483647.0)));
    }

private:
    const PointCloud& m_cloud;
    std::array<double, 3> m_offset{};
    double m_scale = 0.001;
};

double clamped(const PointField* field, std::size_t point, double low, double high, double unit = 1)
{
    if (!field)
        return 0;
    const double value = std::round((field->offset + double(field->values[point])) / unit);
    return value >= low ? std::min(value, high) : value < low ? low : 0;  // NaN is 0
}

class LasWriter {
public:
    LasWriter(const PointCloud& cloud, const Append& append) : m_cloud(cloud), m_positions(cloud), m_pieces(append)
    {
        m_intensity = findField(cloud, "intensity");
        m_return = findField(cloud, "return_number");
        m_returns = findField(cloud, "number_of_returns");
        m_class = findField(cloud, "classification");
        m_angle = findField(cloud, "scan_angle");
        m_user = findField(cloud, "user_data");
        m_source = findField(cloud, "point_source_id");
        if (const auto* time = findField(cloud, "gps_time")) {
            // As the reader will give it back.
            std::vector<double> times(cloud.size());
            for (std::size_t i = 0; i < times.size(); ++i)
                times[i] = time->offset + double(time->values[i]);
            m_time = makeField("gps_time", times);
        }
    }

    void write()
    {
        writeHeader();
        for (std::size_t i = 0; i < m_cloud.size(); ++i) {
            writePoint(i);
            m_pieces.passOn();
        }
        m_pieces.passOn(true);
    }

private:
    template <class Number>
    void put(Number value)
    {
        appendBytes(m_pieces.text, value);
    }
    void putText(std::string_view text, std::size_t bytes)
    {
        m_pieces.text += text;
        m_pieces.text.append(bytes - text.size(), '\0');
    }
    void writeHeader()
    {
        putText("LASF", 4);
        put(std::uint16_t(0));       // source
        put(std::uint16_t(1 << 4));  // the coordinate system, if there is one, is in WKT: asked for with formats 6 to 10
        putText("", 16);             // GUID
        put(std::uint8_t(1));
        put(std::uint8_t(4));
        putText("", 32);
        putText("Orrery", 32);
        putText("", 4);  // day and year
        put(std::uint16_t(kHeaderBytes));
        put(std::uint32_t(kHeaderBytes));
        put(std::uint32_t(0));
        put(std::uint8_t(m_cloud.hasColours() ? 7 : 6));
        put(std::uint16_t(m_cloud.hasColours() ? kColourBytes : kBytes));
        putText("", 24);  // the counts of older versions
        for (int k = 0; k < 3; ++k)
            put(m_positions.scale());
        for (std::size_t k = 0; k < 3; ++k)
            put(m_positions.offset(k));
        writeBounds();
        putText("", 20);  // waveforms, extended records
        put(std::uint64_t(m_cloud.size()));
        for (const std::uint64_t count : returnCounts())
            put(count);
    }
    void writeBounds()
    {
        for (std::size_t k = 0; k < 3; ++k) {
            std::int32_t low = m_cloud.size() ? m_positions.at(0, k) : 0, high = low;
            for (std::size_t i = 0; i < m_cloud.size(); ++i) {
                low = std::min(low, m_positions.at(i, k));
                high = std::max(high, m_positions.at(i, k));
            }
            put(m_positions.offset(k) + high * m_positions.scale());
            put(m_positions.offset(k) + low * m_positions.scale());
        }
    }
    std::array<std::uint64_t, 15> returnCounts() const
    {
        std::array<std::uint64_t, 15> counts{};
        for (std::size_t i = 0; i < m_cloud.size(); ++i)
            if (const auto number = std::size_t(clamped(m_return, i, 0, 15)))
                ++counts[number - 1];
        return counts;
    }
    void writePoint(std::size_t i)
    {
        for (std::size_t k = 0; k < 3; ++k)
            put(m_positions.at(i, k));
        put(std::uint16_t(clamped(m_intensity, i, 0, 65535)));
        put(std::uint8_t(std::uint8_t(clamped(m_return, i, 0, 15)) | std::uint8_t(clamped(m_returns, i, 0, 15)) << 4));
        put(std::uint8_t(0));
        put(std::uint8_t(clamped(m_class, i, 0, 255)));
        put(std::uint8_t(clamped(m_user, i, 0, 255)));
        put(std::int16_t(clamped(m_angle, i, -30000, 30000, 0.006)));
        put(std::uint16_t(clamped(m_source, i, 0, 65535)));
        put(m_time.values.empty() ? 0.0 : m_time.offset + double(m_time.values[i]));
        for (std::size_t k = 0; m_cloud.hasColours() && k < 3; ++k)
            put(std::uint16_t(m_cloud.colours[3 * i + k] * 257));
    }

    const PointCloud& m_cloud;
    Quantised m_positions;
    Pieces<Append> m_pieces;
    const PointField *m_intensity, *m_return, *m_returns, *m_class, *m_angle, *m_user, *m_source;
    PointField m_time;
};

}  // namespace

bool isLasField(std::string_view name)
{
    constexpr std::array<std::string_view, 8> kNames = {"intensity",  "return_number", "number_of_returns", "classification",
                                                        "scan_angle", "user_data",     "point_source_id",   "gps_time"};
    return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

void writeLas(const TriangleMesh& mesh, const Append& append)
{
    LasWriter(mesh.points, append).write();
}

}  // namespace orrery::scene
