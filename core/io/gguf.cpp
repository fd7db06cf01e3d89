#include "gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <unordered_set>

#include <core/base/error.h>

#include "array.h"
#include "utf8.h"

namespace orrery::io {
namespace {

constexpr std::string_view kGgufMagic = "GGUF", kAlignmentKey = "general.alignment";
constexpr std::uint64_t kDefaultAlignment = 32, kMaxAlignment = 1 << 20, kMaxName = 65535;
constexpr std::uint32_t kMaxTensorAxes = 4;
constexpr std::int64_t kBlock = kGgufBlock;

constexpr std::uint64_t kValueSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};  // 0: has a length of its own

/// Every type that ggml has had, so that a refusal can name it; `read` ones with the bytes of a block of `elements`.
struct TensorTypeInfo {
    const char* name;
    std::uint64_t bytes = 0;  // 0: not read
    std::int64_t elements = 1;
};
constexpr TensorTypeInfo kTensorTypes[] = {{"F32", 4},     {"F16", 2},     {"Q4_0", 18, kBlock},
                                           {"Q4_1"},       {"Q4_2"},       {"Q4_3"},
                                           {"Q5_0"},       {"Q5_1"},       {"Q8_0", 34, kBlock},
                                           {"Q8_1"},       {"Q2_K"},       {"Q3_K"},
                                           {"Q4_K"},       {"Q5_K"},       {"Q6_K"},
                                           {"Q8_K"},       {"IQ2_XXS"},    {"IQ2_XS"},
                                           {"IQ3_XXS"},    {"IQ1_S"},      {"IQ4_NL"},
                                           {"IQ3_S"},      {"IQ2_S"},      {"IQ4_XS"},
                                           {"I8", 1},      {"I16", 2},     {"I32", 4},
                                           {"I64", 8},     {"F64", 8},     {"IQ1_M"},
                                           {"BF16", 2},    {"Q4_0_4_4"},   {"Q4_0_4_8"},
                                           {"Q4_0_8_8"},   {"TQ1_0"},      {"TQ2_0"},
                                           {"IQ4_NL_4_4"}, {"IQ4_NL_4_8"}, {"IQ4_NL_8_8"},
                                           {"MXFP4"}};

const TensorTypeInfo& infoOf(GgufTensorType type)
{
    return kTensorTypes[std::size_t(type)];
}

/// From the first byte on, each step checked against the end.
class GgufReader {
public:
    GgufReader(std::string_view bytes, std::string_view name) : m_bytes(bytes), m_name(name) {}
    GgufFile wholeFile();

private:
    [[noreturn]] void fail(const std::string& what) const { throw core::FormatError(fmt::format("{}: byte {}: {}", m_name, m_at, what)); }
    std::string_view take(std::uint64_t length, std::string_view what)
    {
        if (length > m_bytes.size() - m_at)
            fail(fmt::format("{} of {} bytes reaches past the end ({} bytes)", what, length, m_bytes.size()));
        const auto part = m_bytes.substr(m_at, std::size_t(length));
        m_at += std::size_t(length);
        return part;
    }
    template <class T>
    T number(std::string_view what)
    {
        T value;
        std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
        return value;
    }
    std::string_view text(std::string_view what) { return take(number<std::uint64_t>(what), what); }
    std::string_view key(std::string_view what);
    /// A count of things that take at least `least` bytes each.
    std::uint64_t count(std::uint64_t least, std::string_view what);
    GgufValueType valueType();
    GgufValue value();
    GgufValue list();
    void readMetadata(std::uint64_t pairs);
    GgufTensor tensor();
    void placeTensors();
    std::uint64_t alignment() const;

    std::string_view m_bytes, m_name;
    std::size_t m_at = 0;
    GgufFile m_file;
};

std::string_view GgufReader::key(std::string_view what)
{
    const auto name = text(what);
    if (name.empty() || name.size() > kMaxName)
        fail(fmt::format("{} of {} bytes; expected 1 to {}", what, name.size(), kMaxName));
    try {
        decodeUtf8(name, m_name);
    } catch (const core::FormatError&) {
        fail(fmt::format("{}: expected a text (UTF-8)", what));
    }
    return name;
}

std::uint64_t GgufReader::count(std::uint64_t least, std::string_view what)
{
    const auto number = this->number<std::uint64_t>(what);
    if (number > (m_bytes.size() - m_at) / least)
        fail(fmt::format("{} {} do not fit into {} bytes", number, what, m_bytes.size()));
    return number;
}

GgufValueType GgufReader::valueType()
{
    const auto type = number<std::uint32_t>("a type");
    if (type > std::uint32_t(GgufValueType::Float64))
        fail(fmt::format("metadata of unknown type {}", type));
    return GgufValueType(type);
}

GgufValue GgufReader::list()
{
    GgufValue made{GgufValueType::List, valueType(), 0, {}};
    if (made.elementType == GgufValueType::List)
        fail("lists of lists are not read");
    const auto size = kValueSizes[std::size_t(made.elementType)];
    made.count = count(size ? size : 8, "elements");
    const auto start = m_at;
    if (size)
        take(made.count * size, "a list");
    else
        for (std::uint64_t i = 0; i < made.count; ++i)
            text("a text");
    made.bytes = m_bytes.substr(start, m_at - start);
    return made;
}

GgufValue GgufReader::value()
{
    const auto type = valueType();
    if (type == GgufValueType::List)
        return list();
    if (type == GgufValueType::Text)
        return {type, type, 1, text("a text")};
    return {type, type, 1, take(kValueSizes[std::size_t(type)], "a value")};
}

void GgufReader::readMetadata(std::uint64_t pairs)
{
    std::unordered_set<std::string_view> keys;
    for (std::uint64_t i = 0; i < pairs; ++i) {
        const auto name = key("a key");
        if (!keys.insert(name).second)
            fail(fmt::format("key {} is there twice", name));
        m_file.metadata.emplace_back(name, value());
    }
}

GgufTensor GgufReader::tensor()
{
    GgufTensor made;
    made.name = key("the name of a tensor");
    const auto axes = number<std::uint32_t>("a number of axes");
    if (axes > kMaxTensorAxes)
        fail(fmt::format("tensor {}: expected at most {} axes, found {}", made.name, kMaxTensorAxes, axes));
    for (std::uint32_t i = 0; i < axes; ++i)
        made.shape.insert(made.shape.begin(), number<std::int64_t>("a size"));
    const auto type = number<std::uint32_t>("a type");
    const bool isKnown = type < std::size(kTensorTypes);
    if (!isKnown || kTensorTypes[type].bytes == 0)
        fail(fmt::format("tensor {}: type {} is not read (expected F32, F16, BF16, F64, I8 to I64, Q8_0 or Q4_0)", made.name,
                         isKnown ? kTensorTypes[type].name : std::to_string(type)));
    made.type = GgufTensorType(type);
    const auto& info = infoOf(made.type);
    // Sizes are checked as if every element took as many bytes as a block, so that nothing below overflows.
    const std::uint64_t most = std::max<std::uint64_t>(info.bytes, 8);
    const std::uint64_t elements = checkedByteSize(made.shape, std::size_t(most), fmt::format("{}: tensor {}", m_name, made.name)) / most;
    if (info.elements > 1 && (made.shape.empty() || made.shape.back() % info.elements != 0))
        fail(fmt::format("tensor {}: rows of {} have to be made of {} elements each", made.name, info.name, info.elements));
    made.begin = number<std::uint64_t>("an offset");
    made.end = elements / info.elements * info.bytes;  // its length, until it is placed
    return made;
}

std::uint64_t GgufReader::alignment() const
{
    const auto* value = m_file.find(kAlignmentKey);
    if (!value)
        return kDefaultAlignment;
    std::uint32_t bytes = 0;
    if (value->type != GgufValueType::UInt32)
        fail("general.alignment: expected a number of 32 bits");
    std::memcpy(&bytes, value->bytes.data(), sizeof bytes);
    if (bytes == 0 || bytes > kMaxAlignment || !std::has_single_bit(bytes))
        fail(fmt::format("general.alignment: expected a power of two up to {}, found {}", kMaxAlignment, bytes));
    return bytes;
}

/// Offsets count from the aligned end of the header.
void GgufReader::placeTensors()
{
    const auto step = alignment(), start = (std::uint64_t(m_at) + step - 1) / step * step;
    std::unordered_set<std::string_view> names;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
    for (auto& tensor : m_file.tensors) {
        if (!names.insert(tensor.name).second)
            fail(fmt::format("tensor {} is there twice", tensor.name));
        if (tensor.begin % step != 0)
            fail(fmt::format("tensor {}: expected an offset that is a multiple of {}, found {}", tensor.name, step, tensor.begin));
        if (start > m_bytes.size() || tensor.begin > m_bytes.size() - start || tensor.end > m_bytes.size() - start - tensor.begin)
            fail(fmt::format("tensor {}: {} bytes from {} on reach past the end ({} bytes)", tensor.name, tensor.end, start + tensor.begin,
                             m_bytes.size()));
        tensor.begin += start;
        tensor.end += tensor.begin;
        if (tensor.begin < tensor.end)
            places.emplace_back(tensor.begin, tensor.end);
    }
    std::sort(places.begin(), places.end());
    for (std::size_t i = 1; i < places.size(); ++i)
        if (places[i].first < places[i - 1].second)
            fail(fmt::format("two tensors overlap at byte {}", places[i].first));
}

GgufFile GgufReader::wholeFile()
{
    if (take(kGgufMagic.size(), "the magic word") != kGgufMagic)
        fail("expected the word GGUF at the start");
    m_file.version = number<std::uint32_t>("the version");
    if (m_file.version == 0x02000000 || m_file.version == 0x03000000)
        fail("big-endian files are not read");
    if (m_file.version != 2 && m_file.version != 3)
        fail(fmt::format("expected version 2 or 3, found {}", m_file.version));
    constexpr std::uint64_t kLeastTensor = 8 + 1 + 4 + 4 + 8, kLeastPair = 8 + 1 + 4 + 1;
    const auto tensors = count(kLeastTensor, "tensors"), pairs = count(kLeastPair, "values of metadata");
    readMetadata(pairs);
    for (std::uint64_t i = 0; i < tensors; ++i)
        m_file.tensors.push_back(tensor());
    placeTensors();
    return std::move(m_file);
}

core::Json textJson(std::string_view text)
{
    try {
        decodeUtf8(text, "");
        return std::string(text);
    } catch (const core::FormatError&) {
        return fmt::format("{} bytes", text.size());
    }
}

template <class T>
T readAs(std::string_view bytes)
{
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

core::Json realJson(double value)
{
    return std::isfinite(value) ? core::Json(value) : core::Json(fmt::format("{}", value));
}

/// The shortest decimal number that is this float: 1e-05, not 9.999999747378752e-06.
core::Json singleJson(float value)
{
    const auto text = fmt::format("{}", value);
    double shortest = 0;
    std::from_chars(text.data(), text.data() + text.size(), shortest);
    return std::isfinite(value) ? core::Json(shortest) : core::Json(text);
}

core::Json elementJson(GgufValueType type, std::string_view bytes)
{
    switch (type) {
    case GgufValueType::UInt8: return readAs<std::uint8_t>(bytes);
    case GgufValueType::Int8: return readAs<std::int8_t>(bytes);
    case GgufValueType::UInt16: return readAs<std::uint16_t>(bytes);
    case GgufValueType::Int16: return readAs<std::int16_t>(bytes);
    case GgufValueType::UInt32: return readAs<std::uint32_t>(bytes);
    case GgufValueType::Int32: return readAs<std::int32_t>(bytes);
    case GgufValueType::UInt64: return readAs<std::uint64_t>(bytes);
    case GgufValueType::Int64: return readAs<std::int64_t>(bytes);
    case GgufValueType::Bool: return readAs<std::uint8_t>(bytes) != 0;
    case GgufValueType::Float32: return singleJson(readAs<float>(bytes));
    case GgufValueType::Float64: return realJson(readAs<double>(bytes));
    case GgufValueType::Text: return textJson(bytes);
    case GgufValueType::List: break;
    }
    return nullptr;
}

/// The float32 of a half-precision number.
float fromHalf(std::uint16_t half)
{
    const int exponent = (half >> 10) & 31, mantissa = half & 1023;
    const float size = exponent == 0    ? std::ldexp(float(mantissa), -24)
                       : exponent == 31 ? (mantissa ? std::nanf("") : INFINITY)
                                        : std::ldexp(float(mantissa + 1024), exponent - 25);
    return half & 0x8000 ? -size : size;
}

}  // namespace

const GgufValue* GgufFile::find(std::string_view key) const
{
    const auto found = std::find_if(metadata.begin(), metadata.end(), [&](const auto& pair) { return pair.first == key; });
    return found == metadata.end() ? nullptr : &found->second;
}

bool isGguf(std::string_view bytes)
{
    return bytes.starts_with(kGgufMagic);
}

GgufFile parseGguf(std::string_view bytes, std::string_view name)
{
    return GgufReader(bytes, name).wholeFile();
}

core::Json toJson(const GgufValue& value, std::size_t maxItems)
{
    if (value.type != GgufValueType::List)
        return elementJson(value.type, value.bytes);
    if (value.count > maxItems)
        return fmt::format("{} {}", value.count, value.elementType == GgufValueType::Text ? "texts" : "numbers");
    core::Json list = core::Json::array();
    auto rest = value.bytes;
    const auto size = kValueSizes[std::size_t(value.elementType)];
    for (std::uint64_t i = 0; i < value.count; ++i) {
        const auto skip = size ? 0 : sizeof(std::uint64_t);
        const auto length = size ? size : readAs<std::uint64_t>(rest);
        list.push_back(elementJson(value.elementType, rest.substr(skip, length)));
        rest.remove_prefix(skip + length);
    }
    return list;
}

std::int64_t ggufInteger(const GgufFile& file, const std::string& key, std::string_view name)
{
    const auto* value = file.find(key);
    const auto json = value ? toJson(*value) : core::Json();
    if (!json.is_number_integer() || (json.is_number_unsigned() && json.get<std::uint64_t>() > std::uint64_t(INT64_MAX)))
        throw core::FormatError(fmt::format("{}: expected a whole number as {}, found {}", name, key, value ? json.dump() : "none"));
    return json.get<std::int64_t>();
}

double ggufReal(const GgufFile& file, const std::string& key, double otherwise, std::string_view name)
{
    const auto* value = file.find(key);
    if (!value)
        return otherwise;
    const auto json = toJson(*value);
    if (!json.is_number())
        throw core::FormatError(fmt::format("{}: expected a number as {}, found {}", name, key, json.dump()));
    return json.get<double>();
}

std::string ggufText(const GgufFile& file, const std::string& key)
{
    const auto* value = file.find(key);
    return value && value->type == GgufValueType::Text ? std::string(value->bytes) : std::string();
}

std::string_view ggufTypeName(GgufTensorType type)
{
    return infoOf(type).name;
}

bool isQuantised(GgufTensorType type)
{
    return infoOf(type).elements > 1;
}

std::int64_t ggufBlockBytes(GgufTensorType type)
{
    return std::int64_t(infoOf(type).bytes);
}

void dequantise(GgufTensorType type, std::string_view bytes, std::span<float> out)
{
    const bool isByte = type == GgufTensorType::Q8_0;
    const auto blockBytes = std::size_t(infoOf(type).bytes);
    for (std::size_t block = 0; block < out.size() / kBlock; ++block) {
        const char* data = bytes.data() + block * blockBytes;
        const float scale = fromHalf(readAs<std::uint16_t>({data, 2}));
        float* values = out.data() + block * kBlock;
        const char* q = data + 2;
        if (isByte) {
            for (int i = 0; i < kBlock; ++i)
                values[i] = scale * float(std::int8_t(q[i]));
            continue;
        }
        for (int i = 0; i < kBlock / 2; ++i) {
            values[i] = scale * float(int(std::uint8_t(q[i]) & 15) - 8);
            values[i + kBlock / 2] = scale * float(int(std::uint8_t(q[i]) >> 4) - 8);
        }
    }
}

}  // namespace orrery::io
