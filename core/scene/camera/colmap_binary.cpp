// COLMAP's binary model: cameras.bin, images.bin, points3D.bin, little-endian, unpadded.
#include <fmt/format.h>

#include <cstring>

#include <core/base/error.h>

#include "colmap.h"

namespace orrery::scene {
namespace {

class Bytes {
public:
    Bytes(std::string_view bytes, std::string name) : m_bytes(bytes), m_name(std::move(name)) {}
    template <class T>
    T take()
    {
        T value{};
        std::memcpy(&value, need(sizeof(T)), sizeof(T));
        return value;
    }
    /// A number of entries of at least `bytesEach`: no more than the file has room for.
    std::uint64_t count(std::uint64_t bytesEach)
    {
        const auto value = take<std::uint64_t>();
        if (value > (m_bytes.size() - m_at) / bytesEach)
            throw core::FormatError(fmt::format("{}: byte {}: expected a number of entries that fit into the file, got {}", m_name, m_at - 8, value));
        return value;
    }
    void skip(std::uint64_t bytes) { need(bytes); }
    std::string text()
    {
        const auto end = m_bytes.find('\0', m_at);
        if (end == std::string_view::npos)
            throw core::FormatError(fmt::format("{}: byte {}: expected a name that ends with a zero byte", m_name, m_at));
        std::string text(m_bytes.substr(m_at, end - m_at));
        m_at = end + 1;
        return text;
    }
    std::string place() const { return fmt::format("{}: byte {}", m_name, m_at); }

private:
    const char* need(std::uint64_t size)
    {
        if (size > m_bytes.size() - m_at)
            throw core::FormatError(fmt::format("{}: expected {} more bytes at {}, the file has {}", m_name, size, m_at, m_bytes.size()));
        const char* const at = m_bytes.data() + m_at;
        m_at += size;
        return at;
    }
    std::string_view m_bytes;
    std::string m_name;
    std::size_t m_at = 0;
};

std::map<std::int64_t, Camera> readCameras(Bytes bytes)
{
    std::map<std::int64_t, Camera> cameras;
    const std::uint64_t count = bytes.count(24);
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto place = bytes.place();
        const auto id = bytes.take<std::int32_t>();
        const auto number = bytes.take<std::int32_t>();
        const ColmapModel* model = colmapModel(number);
        if (!model)
            throw core::FormatError(
                fmt::format("{}: expected the camera model {} (undistort the pictures first: colmap image_undistorter), got number {}", place,
                            colmapModelNames(), number));
        const auto width = bytes.take<std::uint64_t>(), height = bytes.take<std::uint64_t>();
        std::vector<double> parameters(model->parameters);
        for (double& value : parameters)
            value = bytes.take<double>();
        cameras[id] = colmapCamera(*model, double(width), double(height), parameters, place);
    }
    return cameras;
}

void readImages(PosedSet& set, Bytes bytes, const std::map<std::int64_t, Camera>& cameras)
{
    const std::uint64_t count = bytes.count(4 + 56 + 4 + 1 + 8);
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto place = bytes.place();
        bytes.take<std::int32_t>();
        ColmapImage image;
        for (double& value : image.rotation)
            value = bytes.take<double>();
        for (double& value : image.translation)
            value = bytes.take<double>();
        image.camera = bytes.take<std::int32_t>();
        image.name = bytes.text();
        bytes.skip(bytes.count(24) * 24);
        addColmapImage(set, image, cameras, place);
    }
}

void readPoints(PosedSet& set, Bytes bytes)
{
    const std::uint64_t count = bytes.count(8 + 24 + 3 + 8 + 8);
    set.points.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        bytes.take<std::uint64_t>();
        Vector3 p{};
        for (double& value : p)
            value = bytes.take<double>();
        ScenePoint point{fromColmapWorld(p), {}};
        for (auto& value : point.colour)
            value = bytes.take<std::uint8_t>();
        bytes.take<double>();
        bytes.skip(bytes.count(8) * 8);
        set.points.push_back(point);
    }
}

}  // namespace

PosedSet parseColmapBinary(const ColmapFiles& files, std::string_view name)
{
    PosedSet set;
    set.format = "colmap binary";
    const auto cameras = readCameras(Bytes{files.cameras, fmt::format("{}/cameras.bin", name)});
    readImages(set, Bytes{files.images, fmt::format("{}/images.bin", name)}, cameras);
    if (!files.points.empty())
        readPoints(set, Bytes{files.points, fmt::format("{}/points3D.bin", name)});
    finishColmap(set, name);
    return set;
}

}  // namespace orrery::scene
