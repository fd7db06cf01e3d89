// COLMAP's text model: cameras.txt, images.txt, points3D.txt.
#include <fmt/format.h>

#include <charconv>

#include <core/base/error.h>
#include <core/base/text.h>

#include "colmap.h"

namespace orrery::scene {
namespace {

/// Lines without comments, with their number; words of a line.
class Lines {
public:
    Lines(std::string_view text, std::string name) : m_text(text), m_name(std::move(name)) {}
    /// The next line that is no comment; empty lines count where `keepEmpty` says so (images without points have one).
    bool next(bool keepEmpty)
    {
        while (!m_text.empty()) {
            const auto end = m_text.find('\n');
            m_line = core::trim(m_text.substr(0, end));
            m_text.remove_prefix(end == std::string_view::npos ? m_text.size() : end + 1);
            ++m_number;
            if (!m_line.starts_with('#') && (keepEmpty || !m_line.empty()))
                return true;
        }
        return false;
    }
    std::string_view word()
    {
        const auto begin = m_line.find_first_not_of(" \t");
        if (begin == std::string_view::npos)
            fail("more values", "the end of the line");
        m_line.remove_prefix(begin);
        const auto end = std::min(m_line.find_first_of(" \t"), m_line.size());
        const auto word = m_line.substr(0, end);
        m_line.remove_prefix(end);
        return word;
    }
    bool hasWord() const { return m_line.find_first_not_of(" \t") != std::string_view::npos; }
    std::string_view rest() const { return core::trim(m_line); }
    double number()
    {
        const auto text = word();
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size())
            fail("a number", text);
        return value;
    }
    std::int64_t integer()
    {
        const auto text = word();
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size())
            fail("a whole number", text);
        return value;
    }
    std::string place() const { return fmt::format("{}: line {}", m_name, m_number); }
    [[noreturn]] void fail(std::string_view expected, std::string_view found) const
    {
        throw core::FormatError(fmt::format("{}: expected {}, got \"{}\"", place(), expected, found.substr(0, 40)));
    }

private:
    std::string_view m_text, m_line;
    std::string m_name;
    int m_number = 0;
};

std::map<std::int64_t, Camera> readCameras(Lines lines)
{
    std::map<std::int64_t, Camera> cameras;
    while (lines.next(false)) {
        const std::int64_t id = lines.integer();
        const auto name = lines.word();
        const ColmapModel* model = colmapModel(name);
        if (!model)
            lines.fail("the camera model " + colmapModelNames() + " (undistort the pictures first: colmap image_undistorter)", name);
        const double width = lines.number(), height = lines.number();
        std::vector<double> parameters;
        while (parameters.size() < model->parameters)
            parameters.push_back(lines.number());
        cameras[id] = colmapCamera(*model, width, height, parameters, lines.place());
    }
    return cameras;
}

void readImages(PosedSet& set, Lines lines, const std::map<std::int64_t, Camera>& cameras)
{
    while (lines.next(false)) {
        lines.integer();
        ColmapImage image;
        for (double& value : image.rotation)
            value = lines.number();
        for (double& value : image.translation)
            value = lines.number();
        image.camera = lines.integer();
        if (!lines.hasWord())
            lines.fail("the name of a picture", "the end of the line");
        image.name = lines.rest();
        addColmapImage(set, image, cameras, lines.place());
        lines.next(true);  // the points seen in it
    }
}

void readPoints(PosedSet& set, Lines lines)
{
    while (lines.next(false)) {
        lines.integer();
        Vector3 p{};
        for (double& value : p)
            value = lines.number();
        ScenePoint point{fromColmapWorld(p), {}};
        for (auto& value : point.colour) {
            const std::int64_t channel = lines.integer();
            if (channel < 0 || channel > 255)
                lines.fail("a colour from 0 to 255", std::to_string(channel));
            value = std::uint8_t(channel);
        }
        set.points.push_back(point);
    }
}

}  // namespace

PosedSet parseColmapText(const ColmapFiles& files, std::string_view name)
{
    PosedSet set;
    set.format = "colmap text";
    const auto cameras = readCameras(Lines{files.cameras, fmt::format("{}/cameras.txt", name)});
    readImages(set, Lines{files.images, fmt::format("{}/images.txt", name)}, cameras);
    readPoints(set, Lines{files.points, fmt::format("{}/points3D.txt", name)});
    finishColmap(set, name);
    return set;
}

}  // namespace orrery::scene
