#include "splat_ply.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/scene/cloud/ply_header.h>
#include <core/scene/cloud/scan.h>

namespace orrery::scene {
namespace {

[[noreturn]] void fail(std::string_view name, const std::string& what)
{
    throw core::FormatError(fmt::format("{}: {}", name, what));
}

/// Where a property of the file goes.
struct Target {
    std::vector<float>* values = nullptr;
    std::size_t width = 1, at = 0;  ///< numbers a Gaussian in the array, and which of them
};

constexpr std::string_view kAxes[] = {"x", "y", "z"};

std::vector<std::string> requiredProperties()
{
    std::vector<std::string> names(std::begin(kAxes), std::end(kAxes));
    for (const char* prefix : {"f_dc_", "scale_", "rot_"})
        for (int k = 0; k < (prefix[0] == 'r' ? 4 : 3); ++k)
            names.push_back(fmt::format("{}{}", prefix, k));
    names.emplace_back("opacity");
    return names;
}

/// Degree 0 to 3 by the number of f_rest_ properties; -1: none of these.
int degreeOf(std::size_t rest)
{
    for (int degree = 0; degree <= 3; ++degree)
        if (rest == 3 * (harmonicsOf(degree) - 1))
            return degree;
    return -1;
}

int checkedDegree(const PlyElement& vertex, std::string_view name)
{
    const auto rest =
        std::size_t(std::count_if(vertex.properties.begin(), vertex.properties.end(), [](const auto& p) { return p.name.starts_with("f_rest_"); }));
    const int degree = degreeOf(rest);
    if (degree < 0)
        fail(name, fmt::format("expected 0, 9, 24 or 45 properties f_rest_*, got {}", rest));
    return degree;
}

const PlyElement& checkedVertex(const PlyHeader& header, std::string_view name)
{
    if (header.encoding != PlyEncoding::BinaryLittleEndian)
        fail(name, fmt::format("expected binary_little_endian, as files of Gaussians are, got {}", plyEncodingName(header.encoding)));
    if (header.elements.size() != 1 || header.elements[0].name != "vertex")
        fail(name, fmt::format("expected one element, vertex, got {}{}", header.elements.size(),
                               header.find("chunk") ? ", with compressed chunks: decompress the file first" : ""));
    const PlyElement& vertex = header.elements[0];
    for (const auto& property : vertex.properties)
        if (property.isList || property.type != PlyType::Float32)
            fail(name, fmt::format("property {}: expected type float", printable(property.name)));
    for (const auto& required : requiredProperties())
        if (vertex.find(required) < 0)
            fail(name, fmt::format("expected a property {}: this is not a file of Gaussians", required));
    return vertex;
}

/// Where the properties of these names go in arrays of this degree; others go to the extras.
class Layout {
public:
    Layout(Splats& splats, const std::vector<std::string>& names, std::vector<std::string>& extras, std::vector<float>& extraValues)
    {
        std::map<std::string, Target> known;
        const std::size_t coefficients = harmonicsOf(splats.degree), width = 3 * coefficients;
        for (std::size_t k = 0; k < 3; ++k) {
            known[std::string(kAxes[k])] = {&splats.means, 3, k};
            known[fmt::format("scale_{}", k)] = {&splats.scales, 3, k};
            known[fmt::format("f_dc_{}", k)] = {&splats.harmonics, width, k};
            // The file has all of red's coefficients, then green's, then blue's.
            for (std::size_t c = 1; c < coefficients; ++c)
                known[fmt::format("f_rest_{}", k * (coefficients - 1) + c - 1)] = {&splats.harmonics, width, 3 * c + k};
        }
        for (std::size_t k = 0; k < 4; ++k)
            known[fmt::format("rot_{}", k)] = {&splats.rotations, 4, k};
        known["opacity"] = {&splats.opacities, 1, 0};
        for (const auto& name : names) {
            const auto found = known.find(name);
            m_targets.push_back(found != known.end() ? found->second : Target{nullptr, 0, extras.size()});
            if (found == known.end())
                extras.push_back(name);
        }
        for (auto& target : m_targets)
            if (!target.values)
                target = {&extraValues, extras.size(), target.at};
    }
    const std::vector<Target>& targets() const { return m_targets; }

private:
    std::vector<Target> m_targets;
};

std::vector<std::string> namesOf(const PlyElement& vertex)
{
    std::vector<std::string> names;
    for (const auto& property : vertex.properties)
        names.push_back(property.name);
    return names;
}

void checkValues(const SplatFile& file, const PlyElement& vertex, const std::vector<Target>& targets, std::string_view name)
{
    for (std::size_t i = 0; i < file.splats.size(); ++i) {
        for (std::size_t k = 0; k < targets.size(); ++k) {
            const float value = (*targets[k].values)[i * targets[k].width + targets[k].at];
            if (!std::isfinite(value))
                fail(name, fmt::format("Gaussian {}: {}: expected a finite number, got {}", i, printable(vertex.properties[k].name), value));
        }
        const float* q = file.splats.rotations.data() + 4 * i;
        if (!(q[0] * double(q[0]) + q[1] * double(q[1]) + q[2] * double(q[2]) + q[3] * double(q[3]) > 0))
            fail(name, fmt::format("Gaussian {}: expected a quaternion rot_0..3 of a length above 0, got 0", i));
    }
}

std::string defaultHeader(int degree)
{
    std::string header = "ply\nformat binary_little_endian 1.0\nelement vertex 0\n";
    const auto add = [&](const std::string& name) { header += "property float " + name + "\n"; };
    for (const char* name : {"x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"})
        add(name);
    for (std::size_t k = 0; k < 3 * (harmonicsOf(degree) - 1); ++k)
        add(fmt::format("f_rest_{}", k));
    for (const char* name : {"opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"})
        add(name);
    return header + "end_header\n";
}

/// The header with another number of Gaussians.
std::string withCount(const std::string& header, std::size_t count)
{
    const std::string mark = "element vertex ";
    const auto at = header.find("\n" + mark);
    if (at == std::string::npos)
        throw core::InputError("splats: expected a header with an element vertex");
    const auto begin = at + 1 + mark.size();
    return header.substr(0, begin) + std::to_string(count) + header.substr(header.find_first_not_of("0123456789", begin));
}

void checkSizes(const SplatFile& file, std::size_t extras)
{
    const auto& s = file.splats;
    const std::size_t n = s.size();
    if (s.means.size() != 3 * n || s.scales.size() != 3 * n || s.rotations.size() != 4 * n || s.harmonics.size() != 3 * harmonicsOf(s.degree) * n)
        throw core::InputError(fmt::format("splats: expected arrays for {} Gaussians of degree {}", n, s.degree));
    if (!file.extraValues.empty() && file.extraValues.size() != extras * n)
        throw core::InputError(
            fmt::format("splats: expected {} values of {} further properties, got {}", extras * n, extras, file.extraValues.size()));
}

}  // namespace

bool isSplatPly(std::string_view bytes)
{
    if (!isPly(bytes))
        return false;
    const auto header = bytes.substr(0, bytes.find("end_header"));
    for (const char* name : {" f_dc_0", " opacity", " scale_0", " rot_0"})
        if (header.find(name) == std::string_view::npos)
            return false;
    return true;
}

SplatFile parseSplatPly(std::string_view bytes, std::string_view name)
{
    const PlyHeader header = parsePlyHeader(bytes, name);
    const PlyElement& vertex = checkedVertex(header, name);
    const std::size_t properties = vertex.properties.size(), available = bytes.size() - header.dataOffset, stride = sizeof(float) * properties;
    if (vertex.count != available / stride || available % stride != 0)
        fail(name, fmt::format("expected {} Gaussians of {} bytes after the header, got {} bytes", vertex.count, stride, available));
    SplatFile file;
    file.header = bytes.substr(0, header.dataOffset);
    const auto count = std::size_t(vertex.count);
    file.splats.resize(count, checkedDegree(vertex, name));
    const Layout layout(file.splats, namesOf(vertex), file.extras, file.extraValues);
    file.extraValues.resize(file.extras.size() * count);
    const char* from = bytes.data() + header.dataOffset;
    for (std::size_t i = 0; i < count; ++i)
        for (const auto& target : layout.targets()) {
            (*target.values)[i * target.width + target.at] = load<float>(from);
            from += sizeof(float);
        }
    checkValues(file, vertex, layout.targets(), name);
    return file;
}

std::string splatPlyBytes(const SplatFile& file)
{
    Splats splats = file.splats;
    std::string bytes = withCount(file.header.empty() ? defaultHeader(splats.degree) : file.header, splats.size());
    const PlyHeader header = parsePlyHeader(bytes, "header");
    const PlyElement& vertex = checkedVertex(header, "header");
    if (checkedDegree(vertex, "header") != splats.degree)
        throw core::InputError(fmt::format("splats: expected degree {} as the header says, got {}", checkedDegree(vertex, "header"), splats.degree));
    std::vector<std::string> extras;
    std::vector<float> extraValues = file.extraValues;
    const Layout layout(splats, namesOf(vertex), extras, extraValues);
    checkSizes(file, extras.size());
    extraValues.resize(extras.size() * splats.size());
    bytes.reserve(bytes.size() + sizeof(float) * vertex.properties.size() * splats.size());
    for (std::size_t i = 0; i < splats.size(); ++i)
        for (const auto& target : layout.targets())
            appendBytes(bytes, (*target.values)[i * target.width + target.at]);
    return bytes;
}

SplatFile readSplatPly(const std::filesystem::path& file)
{
    const core::MappedFile mapped(file);
    return parseSplatPly(mapped.text(), file.string());
}

void writeSplatPly(const std::filesystem::path& file, const SplatFile& content)
{
    core::writeFileAtomically(file, splatPlyBytes(content));
}

}  // namespace orrery::scene
