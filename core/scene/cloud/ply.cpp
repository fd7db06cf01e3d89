#include "ply.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include <core/base/error.h>

#include "points.h"
#include "scan.h"

namespace orrery::scene {
namespace {

/// Where the values of one property go, converted on the way.
struct Target {
    enum class Kind { None, Float, Double, Colour };
    Kind kind = Kind::None;
    void* first = nullptr;   ///< place of entry 0
    std::size_t step = 1;    ///< from one entry to the next, in values
    double colourScale = 1;  ///< Colour: 255 over the type's largest value

    template <class Number>
    void store(std::size_t entry, Number value) const
    {
        switch (kind) {
        case Kind::None: break;
        case Kind::Float: static_cast<float*>(first)[entry * step] = float(value); break;
        case Kind::Double: static_cast<double*>(first)[entry * step] = double(value); break;
        case Kind::Colour: static_cast<std::uint8_t*>(first)[entry * step] = colour(double(value)); break;
        }
    }
    std::uint8_t colour(double value) const
    {
        value = value * colourScale + 0.5;
        return value >= 255 ? 255 : value > 0 ? std::uint8_t(value) : std::uint8_t(0);
    }
};

double colourScaleOf(PlyType type)
{
    if (type == PlyType::UInt16)
        return 255.0 / 65535;
    return type == PlyType::Float32 || type == PlyType::Float64 ? 255 : 1;
}

bool fitsFloat(PlyType type)
{
    return type != PlyType::Float64 && type != PlyType::Int32 && type != PlyType::UInt32;
}

template <class Number, std::endian order>
void copyColumn(const char* at, std::size_t stride, std::size_t count, const Target& target)
{
    // The usual pairs without a switch for each value.
    if (target.kind == Target::Kind::Float)
        for (std::size_t i = 0; i < count; ++i)
            static_cast<float*>(target.first)[i * target.step] = float(load<Number, order>(at + i * stride));
    else if (target.kind == Target::Kind::Colour && sizeof(Number) == 1 && std::is_unsigned_v<Number>)
        for (std::size_t i = 0; i < count; ++i)
            static_cast<std::uint8_t*>(target.first)[i * target.step] = std::uint8_t(load<Number, order>(at + i * stride));
    else
        for (std::size_t i = 0; i < count; ++i)
            target.store(i, load<Number, order>(at + i * stride));
}

template <std::endian order>
void copyColumnOf(PlyType type, const char* at, std::size_t stride, std::size_t count, const Target& target)
{
    switch (type) {
    case PlyType::Int8: return copyColumn<std::int8_t, order>(at, stride, count, target);
    case PlyType::UInt8: return copyColumn<std::uint8_t, order>(at, stride, count, target);
    case PlyType::Int16: return copyColumn<std::int16_t, order>(at, stride, count, target);
    case PlyType::UInt16: return copyColumn<std::uint16_t, order>(at, stride, count, target);
    case PlyType::Int32: return copyColumn<std::int32_t, order>(at, stride, count, target);
    case PlyType::UInt32: return copyColumn<std::uint32_t, order>(at, stride, count, target);
    case PlyType::Float32: return copyColumn<float, order>(at, stride, count, target);
    case PlyType::Float64: return copyColumn<double, order>(at, stride, count, target);
    }
}

template <std::endian order>
double loadAs(PlyType type, const char* at)
{
    switch (type) {
    case PlyType::Int8: return load<std::int8_t, order>(at);
    case PlyType::UInt8: return load<std::uint8_t, order>(at);
    case PlyType::Int16: return load<std::int16_t, order>(at);
    case PlyType::UInt16: return load<std::uint16_t, order>(at);
    case PlyType::Int32: return load<std::int32_t, order>(at);
    case PlyType::UInt32: return load<std::uint32_t, order>(at);
    case PlyType::Float32: return double(load<float, order>(at));
    case PlyType::Float64: return load<double, order>(at);
    }
    return 0;
}

/// The data behind the header, element by element.
class Body {
public:
    Body(std::string_view bytes, std::string_view name, const PlyHeader& header, const std::stop_token& stop)
        : m_bytes(bytes), m_name(name), m_header(header), m_stop(stop), m_words(bytes, name, header.dataOffset, stop), m_at(header.dataOffset)
    {
    }

    void startElement(const PlyElement& element)
    {
        m_element = &element;
        m_entry = 0;
        checkPlyCount(element, m_header.encoding, m_bytes.size() - at(), m_name);
    }
    void skip(const PlyElement& element) { readScalars(element, std::vector<Target>(element.properties.size())); }
    /// Reads all entries; lists are passed over.
    void readScalars(const PlyElement& element, const std::vector<Target>& targets)
    {
        if (!isText() && !element.hasList())
            return readColumns(element, targets);
        for (m_entry = 0; m_entry < element.count && !element.properties.empty(); ++m_entry)
            for (std::size_t k = 0; k < targets.size(); ++k)
                if (element.properties[k].isList)
                    passList(element.properties[k]);
                else
                    targets[k].store(m_entry, value(element.properties[k].type));
    }
    /// Reads all entries; `take` is given the values of the list `wanted` for each.
    template <class Take>
    void readLists(const PlyElement& element, std::size_t wanted, const Take& take)
    {
        std::vector<double> values;
        for (m_entry = 0; m_entry < element.count; ++m_entry) {
            if (m_entry % 4096 == 0)
                throwIfStopped(m_stop);
            for (std::size_t k = 0; k < element.properties.size(); ++k) {
                const auto& property = element.properties[k];
                if (!property.isList)
                    value(property.type);
                else if (k != wanted)
                    passList(property);
                else {
                    const auto corners = length(property);
                    if (corners > kMaxCorners)
                        throw core::FormatError(fmt::format("{}: element {} {}: expected a list of at most {} numbers, got {}", m_name,
                                                            printable(element.name), m_entry, kMaxCorners, corners));
                    values.resize(corners);
                    for (double& each : values)
                        each = value(property.type);
                    take(m_entry, values);
                }
            }
        }
    }

private:
    bool isText() const { return m_header.encoding == PlyEncoding::Ascii; }
    std::size_t at() const { return isText() ? m_words.at() : m_at; }
    [[noreturn]] void failAtEnd() const
    {
        throw core::FormatError(
            fmt::format("{}: the file ends in entry {} of {} of element {}", m_name, m_entry + 1, m_element->count, printable(m_element->name)));
    }
    double value(PlyType type)
    {
        if (isText()) {
            double out = 0;
            if (!m_words.number(out))
                m_words.fail(fmt::format("a number of entry {} of element {}", m_entry + 1, printable(m_element->name)));
            return out;
        }
        const std::size_t size = sizeOf(type);
        if (m_bytes.size() - m_at < size)
            failAtEnd();
        const char* place = m_bytes.data() + m_at;
        m_at += size;
        return m_header.encoding == PlyEncoding::BinaryLittleEndian ? loadAs<std::endian::little>(type, place)
                                                                    : loadAs<std::endian::big>(type, place);
    }
    // The length of a list, checked against what is left of the file.
    std::size_t length(const PlyProperty& property)
    {
        const double count = value(property.countType);
        const double most = double(m_bytes.size() - at()) / double(isText() ? 2 : sizeOf(property.type)) + isText();
        if (!(count >= 0) || count != std::floor(count) || count > most)
            throw core::FormatError(fmt::format("{}: entry {} of element {}: a list of {} values cannot stand in the {} bytes that are left", m_name,
                                                m_entry + 1, printable(m_element->name), count, m_bytes.size() - at()));
        return std::size_t(count);
    }
    void passList(const PlyProperty& property)
    {
        const std::size_t count = length(property);
        if (isText())
            for (std::size_t i = 0; i < count; ++i)
                value(property.type);
        else
            m_at += count * sizeOf(property.type);
    }
    void readColumns(const PlyElement& element, const std::vector<Target>& targets)
    {
        const std::size_t stride = element.bytes();
        const char* column = m_bytes.data() + m_at;
        for (std::size_t k = 0; k < targets.size(); ++k) {
            const auto type = element.properties[k].type;
            if (targets[k].kind != Target::Kind::None && m_header.encoding == PlyEncoding::BinaryLittleEndian)
                copyColumnOf<std::endian::little>(type, column, stride, element.count, targets[k]);
            else if (targets[k].kind != Target::Kind::None)
                copyColumnOf<std::endian::big>(type, column, stride, element.count, targets[k]);
            column += sizeOf(type);
        }
        m_at += stride * element.count;  // checked by startElement
    }

    std::string_view m_bytes, m_name;
    const PlyHeader& m_header;
    std::stop_token m_stop;
    Scanner m_words;
    std::size_t m_at;
    const PlyElement* m_element = nullptr;
    std::uint64_t m_entry = 0;
};

/// Which properties of `vertex` are what, and where they go.
class VertexReader {
public:
    VertexReader(const PlyElement& element, CloudFile& file, std::string_view name) : m_element(element), m_cloud(file.mesh.points)
    {
        m_positions = triple({"x", "y", "z"});
        if (m_positions[0] < 0)
            throw core::FormatError(fmt::format("{}: expected the properties x, y and z of element vertex, got {}", name, propertyNames()));
        m_normals = triple({"nx", "ny", "nz"});
        m_colours = triple({"red", "green", "blue"});
        if (m_colours[0] < 0)
            m_colours = triple({"diffuse_red", "diffuse_green", "diffuse_blue"});
        if (m_colours[0] < 0)
            m_colours = triple({"r", "g", "b"});
        for (const auto& property : element.properties)
            if (property.isList)
                file.leftOut.push_back(fmt::format("list {} of element vertex", printable(property.name)));
    }

    void read(Body& body, const Frame& frame)
    {
        m_targets.resize(m_element.properties.size());
        const std::size_t count = m_element.count;
        const bool isPlain = std::all_of(m_positions.begin(), m_positions.end(), [&](int k) { return fitsFloat(typeOf(k)); });
        std::vector<double> coordinates(isPlain ? 0 : 3 * count);
        m_cloud.positions.resize(isPlain ? 3 * count : 0);
        if (isPlain)
            aim(m_positions, Target::Kind::Float, m_cloud.positions.data());
        else
            aim(m_positions, Target::Kind::Double, coordinates.data());
        if (m_normals[0] >= 0) {
            m_cloud.normals.resize(3 * count);
            aim(m_normals, Target::Kind::Float, m_cloud.normals.data());
        }
        if (m_colours[0] >= 0) {
            m_cloud.colours.resize(3 * count);
            aim(m_colours, Target::Kind::Colour, m_cloud.colours.data());
        }
        aimFields(count);
        body.readScalars(m_element, m_targets);
        if (!isPlain)
            setPositions(m_cloud, coordinates, frame.origin);
        for (auto& [field, values] : m_wide)
            m_cloud.fields[field] = makeField(m_cloud.fields[field].name, values, frame.offset(m_cloud.fields[field].name));
    }

private:
    std::array<int, 3> triple(const std::array<const char*, 3>& names) const
    {
        std::array<int, 3> out{};
        for (std::size_t k = 0; k < 3; ++k) {
            out[k] = m_element.find(names[k]);
            if (out[k] < 0 || m_element.properties[std::size_t(out[k])].isList)
                return {-1, -1, -1};
        }
        return out;
    }
    PlyType typeOf(int property) const { return m_element.properties[std::size_t(property)].type; }
    std::string propertyNames() const
    {
        std::string names;
        for (const auto& property : m_element.properties)
            names += (names.empty() ? "" : ", ") + printable(property.name);
        return names.empty() ? "none" : names;
    }
    template <class Value>
    void aim(const std::array<int, 3>& properties, Target::Kind kind, Value* first)
    {
        for (std::size_t k = 0; k < 3; ++k)
            m_targets[std::size_t(properties[k])] = {kind, first ? first + k : nullptr, 3, colourScaleOf(typeOf(properties[k]))};  // no points: null
    }
    void aimFields(std::size_t count)
    {
        for (std::size_t k = 0; k < m_targets.size(); ++k) {
            const auto& property = m_element.properties[k];
            if (property.isList || m_targets[k].kind != Target::Kind::None)
                continue;
            const bool isFloat = fitsFloat(property.type);
            m_cloud.fields.push_back({property.name, std::vector<float>(isFloat ? count : 0), 0});
            if (isFloat)
                m_targets[k] = {Target::Kind::Float, m_cloud.fields.back().values.data(), 1, 1};
            else {
                m_wide.emplace_back(m_cloud.fields.size() - 1, std::vector<double>(count));
                m_targets[k] = {Target::Kind::Double, m_wide.back().second.data(), 1, 1};
            }
        }
    }

    const PlyElement& m_element;
    PointCloud& m_cloud;
    std::array<int, 3> m_positions, m_normals, m_colours;
    std::vector<Target> m_targets;
    std::vector<std::pair<std::size_t, std::vector<double>>> m_wide;  ///< fields that need double on the way
};

std::uint32_t pointIndex(double value, std::string_view name, std::string_view element, std::uint64_t entry)
{
    if (!(value >= 0) || value > double(std::numeric_limits<std::uint32_t>::max()) || value != std::floor(value))
        throw core::FormatError(fmt::format("{}: entry {} of element {}: expected the index of a point, got {}", name, entry + 1, element, value));
    return std::uint32_t(value);
}

void readFaces(Body& body, const PlyElement& element, CloudFile& file, std::string_view name)
{
    int list = element.find("vertex_indices");
    if (list < 0)
        list = element.find("vertex_index");
    if (list < 0 || !element.properties[std::size_t(list)].isList) {
        file.leftOut.push_back(fmt::format("element face ({} entries without vertex_indices)", element.count));
        return body.skip(element);
    }
    std::size_t degenerate = 0;
    auto& triangles = file.mesh.triangles;
    body.readLists(element, std::size_t(list), [&](std::uint64_t entry, const std::vector<double>& corners) {
        degenerate += corners.size() < 3;
        for (std::size_t i = 2; i < corners.size(); ++i)
            for (const double corner : {corners[0], corners[i - 1], corners[i]})
                triangles.push_back(pointIndex(corner, name, "face", entry));
    });
    if (degenerate > 0)
        file.leftOut.push_back(fmt::format("{} faces with fewer than three corners", degenerate));
    for (std::size_t k = 0; k < element.properties.size(); ++k)
        if (k != std::size_t(list))
            file.leftOut.push_back(fmt::format("property {} of element face", printable(element.properties[k].name)));
}

void readEdges(Body& body, const PlyElement& element, CloudFile& file, std::string_view name)
{
    if (element.count == 0)
        return body.skip(element);
    std::vector<Target> targets(element.properties.size());
    const int first = element.find("vertex1"), second = element.find("vertex2");
    if (first < 0 || second < 0 || element.properties[std::size_t(first)].isList || element.properties[std::size_t(second)].isList) {
        file.leftOut.push_back(fmt::format("element edge ({} entries without vertex1 and vertex2)", element.count));
        return body.skip(element);
    }
    std::vector<double> ends(2 * element.count);
    targets[std::size_t(first)] = {Target::Kind::Double, ends.data(), 2, 1};
    targets[std::size_t(second)] = {Target::Kind::Double, ends.data() + 1, 2, 1};
    body.readScalars(element, targets);
    for (std::size_t i = 0; i < ends.size(); ++i)
        file.mesh.edges.push_back(pointIndex(ends[i], name, "edge", i / 2));
    for (std::size_t k = 0; k < targets.size(); ++k)
        if (targets[k].kind == Target::Kind::None)
            file.leftOut.push_back(fmt::format("property {} of element edge", printable(element.properties[k].name)));
}

}  // namespace

CloudFile parsePly(std::string_view bytes, std::string_view name, std::stop_token stop)
{
    const auto header = parsePlyHeader(bytes, name);
    CloudFile file;
    file.format = "ply";
    file.encoding = plyEncodingName(header.encoding);
    file.comments = header.comments;
    if (!header.find("vertex"))
        throw core::FormatError(fmt::format("{}: expected an element vertex, got none", name));
    Body body(bytes, name, header, stop);
    for (const auto& element : header.elements) {
        body.startElement(element);
        if (element.name == "vertex")
            VertexReader(element, file, name).read(body, frameOf(file.comments));
        else if (element.name == "face")
            readFaces(body, element, file, name);
        else if (element.name == "edge")
            readEdges(body, element, file, name);
        else {
            file.leftOut.push_back(fmt::format("element {} ({} entries)", printable(element.name), element.count));
            body.skip(element);
        }
    }
    finish(file, name);
    return file;
}

}  // namespace orrery::scene
