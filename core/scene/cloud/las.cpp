#include "las.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <core/base/error.h>

#include "points.h"
#include "scan.h"

namespace orrery::scene {
namespace {

// By point format 0 to 10: bytes of a record at least, and where GPS time, colour and near infrared stand (0: nowhere).
struct LasLayout {
    std::size_t bytes, gpsTime, colour, infrared;
};
constexpr std::array<LasLayout, 11> kLayouts = {{{20, 0, 0, 0},
                                                 {28, 20, 0, 0},
                                                 {26, 0, 20, 0},
                                                 {34, 20, 28, 0},
                                                 {57, 20, 0, 0},
                                                 {63, 20, 28, 0},
                                                 {30, 22, 0, 0},
                                                 {36, 22, 30, 0},
                                                 {38, 22, 30, 36},
                                                 {59, 22, 0, 0},
                                                 {67, 22, 30, 36}}};

struct LasHeader {
    int minor = 0, format = 0;
    std::uint64_t points = 0;
    std::size_t dataOffset = 0, recordBytes = 0;
    std::array<double, 3> scale{}, offset{};
    std::uint64_t variableRecords = 0;
};

LasHeader parseHeader(std::string_view bytes, std::string_view name)
{
    const auto fail = [&](const std::string& what) { throw core::FormatError(fmt::format("{}: {}", name, what)); };
    if (!isLas(bytes))
        fail("expected a LAS file (it begins with \"LASF\")");
    if (bytes.size() < 227)
        fail(fmt::format("expected a header of at least 227 bytes, but the file has {}", bytes.size()));
    const char* at = bytes.data();
    LasHeader header;
    const int major = load<std::uint8_t>(at + 24);
    header.minor = load<std::uint8_t>(at + 25);
    if (major != 1 || header.minor > 4)
        fail(fmt::format("expected LAS version 1.0 to 1.4, got {}.{}", major, header.minor));
    const int format = load<std::uint8_t>(at + 104);
    if (format & 0xc0)
        fail("its points are compressed (LAZ), which is not supported; decompress it first, with laszip for one");
    if (format >= int(kLayouts.size()))
        fail(fmt::format("expected a point format from 0 to 10, got {}", format));
    header.format = format;
    header.dataOffset = load<std::uint32_t>(at + 96);
    header.recordBytes = load<std::uint16_t>(at + 105);
    header.variableRecords = load<std::uint32_t>(at + 100);
    header.points = load<std::uint32_t>(at + 107);
    if (header.minor >= 4 && bytes.size() < 375)
        fail(fmt::format("expected a header of 375 bytes of LAS 1.4, but the file has {}", bytes.size()));
    if (header.minor >= 4)
        header.points = load<std::uint64_t>(at + 247);
    for (std::size_t k = 0; k < 3; ++k) {
        header.scale[k] = load<double>(at + 131 + 8 * k);
        header.offset[k] = load<double>(at + 155 + 8 * k);
        if (!std::isfinite(header.scale[k]) || !std::isfinite(header.offset[k]) || header.scale[k] == 0)
            fail(fmt::format("expected a finite scale other than 0 and a finite offset of axis {}, got {} and {}", "xyz"[k], header.scale[k],
                             header.offset[k]));
    }
    if (header.recordBytes < kLayouts[std::size_t(format)].bytes)
        fail(fmt::format("expected records of at least {} bytes for point format {}, got {}", kLayouts[std::size_t(format)].bytes, format,
                         header.recordBytes));
    if (header.dataOffset > bytes.size() || header.points > (bytes.size() - header.dataOffset) / header.recordBytes)
        fail(fmt::format("{} points of {} bytes are announced from byte {}, but the file has {} bytes", header.points, header.recordBytes,
                         header.dataOffset, bytes.size()));
    if (header.points > std::numeric_limits<std::uint32_t>::max())
        fail(fmt::format("{} points are announced; at most 4294967295 can be read", header.points));
    return header;
}

class LasReader {
public:
    LasReader(std::string_view bytes, const LasHeader& header, PointCloud& cloud, std::stop_token stop)
        : m_header(header), m_stop(std::move(stop)), m_layout(kLayouts[std::size_t(header.format)]), m_first(bytes.data() + header.dataOffset),
          m_cloud(cloud)
    {
    }

    void read()
    {
        readPositions();
        if (m_layout.colour)
            readColours();
        const bool isNew = m_header.format >= 6;
        field("intensity", [](const char* at) { return double(load<std::uint16_t>(at + 12)); });
        field("return_number", [=](const char* at) { return double(load<std::uint8_t>(at + 14) & (isNew ? 15 : 7)); });
        field("number_of_returns", [=](const char* at) { return double(load<std::uint8_t>(at + 14) >> (isNew ? 4 : 3) & (isNew ? 15 : 7)); });
        if (isNew) {
            field("classification", [](const char* at) { return double(load<std::uint8_t>(at + 16)); });
            field("scan_angle", [](const char* at) { return load<std::int16_t>(at + 18) * 0.006; });
            field("user_data", [](const char* at) { return double(load<std::uint8_t>(at + 17)); });
            field("point_source_id", [](const char* at) { return double(load<std::uint16_t>(at + 20)); });
        } else {
            field("classification", [](const char* at) { return double(load<std::uint8_t>(at + 15) & 31); });
            field("scan_angle", [](const char* at) { return double(load<std::int8_t>(at + 16)); });
            field("user_data", [](const char* at) { return double(load<std::uint8_t>(at + 17)); });
            field("point_source_id", [](const char* at) { return double(load<std::uint16_t>(at + 18)); });
        }
        if (m_layout.gpsTime)
            field("gps_time", [this](const char* at) { return load<double>(at + m_layout.gpsTime); });
        if (m_layout.infrared)
            field("near_infrared", [this](const char* at) { return double(load<std::uint16_t>(at + m_layout.infrared)); });
    }

private:
    const char* record(std::size_t i) const { return m_first + i * m_header.recordBytes; }
    void readPositions()
    {
        std::vector<double> coordinates(3 * m_header.points);
        double largest = 0, extent = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            double low = 0, high = 0;
            for (std::size_t i = 0; i < m_header.points; ++i) {
                const double relative = load<std::int32_t>(record(i) + 4 * k) * m_header.scale[k];
                coordinates[3 * i + k] = m_header.offset[k] + relative;
                low = i == 0 ? relative : std::min(low, relative);
                high = i == 0 ? relative : std::max(high, relative);
            }
            extent = std::max(extent, high - low);
            largest = std::max({largest, std::abs(low), std::abs(high)});
        }
        // The file's own offset is the origin, if float is exact enough around it.
        setPositions(m_cloud, coordinates, largest <= 16 * extent || m_header.points == 1 ? std::optional(m_header.offset) : std::nullopt);
    }
    void readColours()
    {
        throwIfStopped(m_stop);
        m_cloud.colours.resize(3 * m_header.points);
        const auto colour = [this](std::size_t i, std::size_t k) { return load<std::uint16_t>(record(i) + m_layout.colour + 2 * k); };
        int largest = 0;
        for (std::size_t i = 0; i < 3 * m_header.points; ++i)
            largest = std::max<int>(largest, colour(i / 3, i % 3));
        const int shift = largest > 255 ? 8 : 0;  // some programs write 8 bits against the specification
        for (std::size_t i = 0; i < 3 * m_header.points; ++i)
            m_cloud.colours[i] = std::uint8_t(colour(i / 3, i % 3) >> shift);
    }
    template <class Value>
    void field(const char* name, const Value& value)
    {
        throwIfStopped(m_stop);
        m_values.resize(m_header.points);
        bool isZero = true;
        for (std::size_t i = 0; i < m_header.points; ++i) {
            m_values[i] = value(record(i));
            isZero &= m_values[i] == 0;
        }
        if (!isZero)
            m_cloud.fields.push_back(makeField(name, m_values));
    }

    const LasHeader& m_header;
    std::stop_token m_stop;
    const LasLayout& m_layout;
    const char* m_first;
    PointCloud& m_cloud;
    std::vector<double> m_values;
};

}  // namespace

bool isLas(std::string_view bytes)
{
    return bytes.starts_with("LASF");
}

CloudFile parseLas(std::string_view bytes, std::string_view name, std::stop_token stop)
{
    const auto header = parseHeader(bytes, name);
    CloudFile file;
    file.format = "las";
    file.encoding = fmt::format("LAS 1.{}, point format {}", header.minor, header.format);
    if (header.variableRecords > 0)
        file.leftOut.push_back(fmt::format("{} variable-length records", header.variableRecords));
    if (const auto extra = header.recordBytes - kLayouts[std::size_t(header.format)].bytes; extra > 0)
        file.leftOut.push_back(fmt::format("{} extra bytes of each point", extra));
    LasReader(bytes, header, file.mesh.points, std::move(stop)).read();
    finish(file, name);
    return file;
}

}  // namespace orrery::scene
