#include "onnx_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include <core/base/error.h>

#include "memory_budget.h"
#include "protobuf.h"
#include "utf8.h"

namespace orrery::io {
namespace {

using FieldWire = ProtobufField::Wire;

constexpr int kTextType = 8;
constexpr std::pair<int, ElementType> kDataTypes[] = {
    {1, ElementType::Float32},     {2, ElementType::UInt8},       {3, ElementType::Int8},      {4, ElementType::UInt16},
    {5, ElementType::Int16},       {6, ElementType::Int32},       {7, ElementType::Int64},     {9, ElementType::Bool},
    {10, ElementType::Float16},    {11, ElementType::Float64},    {12, ElementType::UInt32},   {13, ElementType::UInt64},
    {14, ElementType::Complex64},  {15, ElementType::Complex128}, {16, ElementType::BFloat16}, {17, ElementType::Float8E4M3},
    {19, ElementType::Float8E5M2},
};

bool isAscii(std::string_view text)
{
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// Numbers of a tensor written one by one, in the field that its type calls for.
enum class TypedField { Float = 4, Int32 = 5, Int64 = 7, Double = 10, UInt64 = 11 };

TypedField typedField(ElementType type)
{
    switch (type) {
    case ElementType::Float32:
    case ElementType::Complex64: return TypedField::Float;
    case ElementType::Int64: return TypedField::Int64;
    case ElementType::Float64:
    case ElementType::Complex128: return TypedField::Double;
    case ElementType::UInt32:
    case ElementType::UInt64: return TypedField::UInt64;
    default: return TypedField::Int32;
    }
}

/// Reads one file. Each function takes the bytes of one message.
class OnnxReader {
public:
    OnnxReader(std::string_view file, std::string_view name) : m_file(file), m_name(name), m_budget(fileMemory(file.size())) {}
    OnnxModel model();
    OnnxTensor tensor(std::string_view message);
    ProtobufReader reader(std::string_view message) const { return {message, m_file, m_name}; }

private:
    OnnxGraph graph(std::string_view message);
    OnnxNode node(std::string_view message);
    OnnxAttribute attribute(std::string_view message);
    OnnxFunction function(std::string_view message);
    OnnxValueInfo valueInfo(std::string_view message);
    void readType(std::string_view message, OnnxValueInfo& info, int depth);
    std::vector<OnnxValueInfo::Dimension> shape(std::string_view message);
    OnnxTensor::External external(const std::vector<std::string_view>& entries);
    void finishTensor(OnnxTensor& tensor, int type, const std::vector<ProtobufField>& typed);
    void decode(OnnxTensor& tensor, const std::vector<ProtobufField>& typed);
    void addInt(std::vector<std::int64_t>& list, const ProtobufField& field);
    void addReal(std::vector<float>& list, const ProtobufField& field);
    std::string text(const ProtobufField& field);
    std::string name(const ProtobufField& field);
    std::string doc(const ProtobufField& field);
    std::pair<std::string, std::int64_t> opset(std::string_view message);
    std::pair<std::string, std::string> entry(std::string_view message);
    std::string_view bytesOf(const ProtobufField& field) const;
    /// @param memory  What the part takes at most, with the room that its list keeps for more.
    void count(std::uint64_t memory);
    void take(std::uint64_t memory);
    [[noreturn]] void fail(const std::string& sentence) const { throw core::FormatError(fmt::format("{}: {}", m_name, sentence)); }

    std::string_view m_file, m_name;
    MemoryBudget m_budget;
    std::size_t m_items = 0;
    int m_depth = 0;
};

void OnnxReader::count(std::uint64_t memory)
{
    if (++m_items > kMaxOnnxItems)
        fail(fmt::format("expected at most {} nodes, attributes and names, found more", kMaxOnnxItems));
    take(memory);
}

void OnnxReader::take(std::uint64_t memory)
{
    if (!m_budget.take(memory))
        fail(m_budget.refusal());
}

std::string_view OnnxReader::bytesOf(const ProtobufField& field) const
{
    if (field.wire != FieldWire::Bytes)
        fail(fmt::format("at byte {}: expected bytes in field {}, found a number", field.offset, field.number));
    return field.bytes;
}

std::string OnnxReader::text(const ProtobufField& field)
{
    count(3 * sizeof(std::string) + bytesOf(field).size());
    return std::string(bytesOf(field));
}

std::string OnnxReader::name(const ProtobufField& field)
{
    if (bytesOf(field).size() > kMaxOnnxName)
        fail(fmt::format("at byte {}: expected a name of at most {} bytes, found {}", field.offset, kMaxOnnxName, field.bytes.size()));
    if (!isAscii(field.bytes))
        decodeUtf8(field.bytes, fmt::format("{}: the name at byte {}", m_name, field.offset));
    return text(field);
}

std::string OnnxReader::doc(const ProtobufField& field)
{
    auto bytes = bytesOf(field);
    if (bytes.size() > kMostOnnxDoc) {
        std::size_t end = kMostOnnxDoc;
        while (end > 0 && (std::uint8_t(bytes[end]) & 0xc0) == 0x80)  // not in the middle of a character
            --end;
        bytes = bytes.substr(0, end);
    }
    try {
        decodeUtf8(bytes, m_name);
    } catch (const core::FormatError&) {
        return {};  // a remark: a model does not depend on it
    }
    take(bytes.size());
    return std::string(bytes);
}

void OnnxReader::addInt(std::vector<std::int64_t>& list, const ProtobufField& field)
{
    if (field.wire == FieldWire::Varint)
        return list.push_back(field.asInt());
    auto packed = reader(bytesOf(field));
    for (std::uint64_t value = 0; packed.nextVarint(value);) {
        take(3 * sizeof value);
        list.push_back(std::int64_t(value));
    }
}

void OnnxReader::addReal(std::vector<float>& list, const ProtobufField& field)
{
    if (field.wire == FieldWire::Fixed32)
        return list.push_back(field.asFloat());
    auto packed = reader(bytesOf(field));
    for (std::uint64_t value = 0; packed.nextFixed(value, 4);)
        list.push_back(std::bit_cast<float>(std::uint32_t(value)));
}

std::pair<std::string, std::string> OnnxReader::entry(std::string_view message)
{
    count(3 * sizeof(std::pair<std::string, std::string>));
    std::pair<std::string, std::string> pair;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);)
        if (field.number == 1)
            pair.first = name(field);
        else if (field.number == 2)
            pair.second = text(field);
    return pair;
}

std::pair<std::string, std::int64_t> OnnxReader::opset(std::string_view message)
{
    std::pair<std::string, std::int64_t> set;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);)
        if (field.number == 1)
            set.first = name(field);
        else if (field.number == 2)
            set.second = field.asInt();
    if (set.first == "ai.onnx")
        set.first.clear();
    return set;
}

OnnxTensor::External OnnxReader::external(const std::vector<std::string_view>& entries)
{
    OnnxTensor::External found;
    const auto number = [&](const std::string& key, const std::string& value) {
        const bool isNumber =
            !value.empty() && value.size() < 19 && std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (!isNumber)
            fail(fmt::format("external data: expected a number as {}, found \"{}\"", key, value.substr(0, 40)));
        return std::uint64_t(std::stoull(value));
    };
    for (const auto bytes : entries) {
        const auto [key, value] = entry(bytes);
        if (key == "location")
            found.location = value;
        else if (key == "offset")
            found.offset = number(key, value);
        else if (key == "length")
            found.length = number(key, value);
    }
    return found;
}

OnnxTensor OnnxReader::tensor(std::string_view message)
{
    count(3 * sizeof(OnnxTensor));
    OnnxTensor tensor;
    int type = 0;
    bool isExternal = false;
    std::vector<ProtobufField> typed;
    std::vector<std::string_view> entries;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);)
        switch (field.number) {
        case 1: addInt(tensor.shape, field); break;
        case 2: type = int(field.asInt()); break;
        case 4:
        case 5:
        case 7:
        case 10:
        case 11:
            take(3 * sizeof field);
            typed.push_back(field);
            break;
        case 6: tensor.strings.push_back(text(field)); break;
        case 8: tensor.name = name(field); break;
        case 9: tensor.raw = bytesOf(field); break;
        case 13: entries.push_back(bytesOf(field)); break;
        case 14: isExternal = field.value == 1; break;
        default: break;
        }
    if (isExternal)
        tensor.external = external(entries);
    finishTensor(tensor, type, typed);
    return tensor;
}

void OnnxReader::finishTensor(OnnxTensor& tensor, int type, const std::vector<ProtobufField>& typed)
{
    const auto place = fmt::format("tensor \"{}\"", tensor.name);
    if (tensor.shape.size() > kMaxOnnxRank)
        fail(fmt::format("{}: expected at most {} dimensions, found {}", place, kMaxOnnxRank, tensor.shape.size()));
    tensor.isText = type == kTextType;
    const auto element = onnxElementType(type);
    if (!element && !tensor.isText)
        fail(fmt::format("{}: expected a known element type, found number {}", place, type));
    const auto size = checkedByteSize(tensor.shape, tensor.isText ? 1 : elementSize(*element), fmt::format("{}: {}", m_name, place));
    if (tensor.isText) {
        if (size != tensor.strings.size())
            fail(fmt::format("{}: expected {} texts, found {}", place, size, tensor.strings.size()));
        return;
    }
    tensor.type = *element;
    if (tensor.external)
        return;
    if (tensor.raw.empty() && !typed.empty())
        decode(tensor, typed);
    if (tensor.data().size() != size)
        fail(fmt::format("{}: expected {} bytes for its shape, found {}", place, size, tensor.data().size()));
}

// Numbers written one by one; float16 and bfloat16 stand as their bits in int32_data, narrow integers as int32.
void OnnxReader::decode(OnnxTensor& tensor, const std::vector<ProtobufField>& typed)
{
    const auto wanted = typedField(tensor.type);
    const bool isReal = wanted == TypedField::Float || wanted == TypedField::Double;
    const std::size_t realSize = wanted == TypedField::Float ? 4 : 8;
    const std::size_t size = isReal ? realSize : elementSize(tensor.type);
    const auto add = [&](std::uint64_t value) {
        take(2 * size);
        char bytes[8];
        std::memcpy(bytes, &value, 8);
        tensor.decoded.append(bytes, size);
    };
    for (const auto& field : typed) {
        if (field.number != std::uint32_t(wanted))
            continue;
        if (field.wire != FieldWire::Bytes) {
            add(field.value);
            continue;
        }
        if (isReal && field.bytes.size() % realSize == 0) {
            tensor.decoded.append(field.bytes);
            continue;
        }
        auto packed = reader(field.bytes);
        for (std::uint64_t value = 0; isReal ? packed.nextFixed(value, realSize) : packed.nextVarint(value);)
            add(value);
    }
}

std::vector<OnnxValueInfo::Dimension> OnnxReader::shape(std::string_view message)
{
    std::vector<OnnxValueInfo::Dimension> sizes;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);) {
        if (field.number != 1)
            continue;
        count(3 * sizeof(OnnxValueInfo::Dimension));
        OnnxValueInfo::Dimension dimension;
        auto parts = reader(bytesOf(field));
        for (ProtobufField part; parts.next(part);)
            if (part.number == 1)
                dimension.size = part.asInt();
            else if (part.number == 2)
                dimension.name = name(part);
        sizes.push_back(std::move(dimension));
    }
    if (sizes.size() > kMaxOnnxRank)
        fail(fmt::format("expected at most {} dimensions, found {}", kMaxOnnxRank, sizes.size()));
    return sizes;
}

void OnnxReader::readType(std::string_view message, OnnxValueInfo& info, int depth)
{
    if (depth > kMaxOnnxDepth)
        fail(fmt::format("value \"{}\": types are nested more than {} deep", info.name, kMaxOnnxDepth));
    using Kind = OnnxValueInfo::Kind;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);) {
        const auto kind = field.number == 1 ? Kind::Tensor : field.number == 4 ? Kind::Sequence : field.number == 9 ? Kind::Optional : Kind::Other;
        if (field.number == 6)
            continue;
        if (depth == 0)
            info.kind = kind;
        else if (info.kind == Kind::Optional && kind == Kind::Sequence)
            info.optionalSequence = true;
        auto parts = reader(bytesOf(field));
        for (ProtobufField part; parts.next(part);)
            if (kind == Kind::Tensor && part.number == 1)
                info.elementType = int(part.asInt());
            else if (kind == Kind::Tensor && part.number == 2 && depth == 0)
                info.shape = shape(bytesOf(part));
            else if ((kind == Kind::Sequence || kind == Kind::Optional) && part.number == 1)
                readType(bytesOf(part), info, depth + 1);
    }
}

OnnxValueInfo OnnxReader::valueInfo(std::string_view message)
{
    count(3 * sizeof(OnnxValueInfo));
    OnnxValueInfo info;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);)
        if (field.number == 1)
            info.name = name(field);
        else if (field.number == 2)
            readType(bytesOf(field), info, 0);
    return info;
}

OnnxAttribute OnnxReader::attribute(std::string_view message)
{
    count(3 * sizeof(OnnxAttribute));
    OnnxAttribute attribute;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);)
        switch (field.number) {
        case 1: attribute.name = name(field); break;
        case 21: attribute.reference = name(field); break;
        case 2: attribute.real = field.asFloat(); break;
        case 3: attribute.integer = field.asInt(); break;
        case 4: attribute.text = text(field); break;
        case 5: attribute.tensor = std::make_shared<OnnxTensor>(tensor(bytesOf(field))); break;
        case 6: attribute.graph = std::make_shared<OnnxGraph>(graph(bytesOf(field))); break;
        case 7: addReal(attribute.reals, field); break;
        case 8: addInt(attribute.integers, field); break;
        case 9: attribute.texts.push_back(text(field)); break;
        case 10:
        case 11:
        case 14:
        case 15:
        case 22:
        case 23: attribute.isOther = true; break;
        default: break;
        }
    return attribute;
}

OnnxNode OnnxReader::node(std::string_view message)
{
    count(3 * sizeof(OnnxNode));
    OnnxNode node;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);)
        switch (field.number) {
        case 1: node.inputs.push_back(name(field)); break;
        case 2: node.outputs.push_back(name(field)); break;
        case 3: node.name = name(field); break;
        case 4: node.op = name(field); break;
        case 5: node.attributes.push_back(attribute(bytesOf(field))); break;
        case 6: node.doc = doc(field); break;
        case 7: node.domain = name(field); break;
        default: break;
        }
    if (node.op.empty())
        fail(fmt::format("node \"{}\": expected an operator, found none", node.name));
    if (node.domain == "ai.onnx")
        node.domain.clear();
    return node;
}

OnnxGraph OnnxReader::graph(std::string_view message)
{
    if (++m_depth > kMaxOnnxDepth)
        fail(fmt::format("graphs are nested more than {} deep", kMaxOnnxDepth));
    OnnxGraph graph;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);)
        switch (field.number) {
        case 1: graph.nodes.push_back(node(bytesOf(field))); break;
        case 2: graph.name = name(field); break;
        case 5: graph.initialisers.push_back(tensor(bytesOf(field))); break;
        case 11: graph.inputs.push_back(valueInfo(bytesOf(field))); break;
        case 12: graph.outputs.push_back(valueInfo(bytesOf(field))); break;
        case 13: graph.values.push_back(valueInfo(bytesOf(field))); break;
        case 15: fail("sparse initialisers are not supported; expected dense ones"); break;
        default: break;
        }
    --m_depth;
    return graph;
}

OnnxFunction OnnxReader::function(std::string_view message)
{
    count(3 * sizeof(OnnxFunction));
    OnnxFunction function;
    auto fields = reader(message);
    for (ProtobufField field; fields.next(field);)
        switch (field.number) {
        case 1: function.name = name(field); break;
        case 4: function.inputs.push_back(name(field)); break;
        case 5: function.outputs.push_back(name(field)); break;
        case 6: function.attributes.push_back(name(field)); break;
        case 7: function.nodes.push_back(node(bytesOf(field))); break;
        case 9: function.opsets.insert(opset(bytesOf(field))); break;
        case 10: function.domain = name(field); break;
        default: break;
        }
    return function;
}

OnnxModel OnnxReader::model()
{
    OnnxModel model;
    bool hasGraph = false;
    auto fields = reader(m_file);
    for (ProtobufField field; fields.next(field);)
        switch (field.number) {
        case 1: model.irVersion = field.asInt(); break;
        case 2: model.producer = name(field); break;
        case 3: model.producerVersion = name(field); break;
        case 7:
            model.graph = graph(bytesOf(field));
            hasGraph = true;
            break;
        case 8: model.opsets.insert(opset(bytesOf(field))); break;
        case 14: model.metadata.push_back(entry(bytesOf(field))); break;
        case 25: model.functions.push_back(function(bytesOf(field))); break;
        default: break;
        }
    if (!hasGraph)
        fail("expected an ONNX model with a graph, found none");
    return model;
}

}  // namespace

const OnnxAttribute* OnnxNode::find(std::string_view attribute) const
{
    const auto found = std::find_if(attributes.begin(), attributes.end(), [&](const OnnxAttribute& each) { return each.name == attribute; });
    return found == attributes.end() ? nullptr : &*found;
}

std::optional<ElementType> onnxElementType(int dataType)
{
    for (const auto& [number, type] : kDataTypes)
        if (number == dataType)
            return type;
    return {};
}

int onnxDataType(ElementType type)
{
    for (const auto& [number, element] : kDataTypes)
        if (element == type)
            return number;
    throw core::InputError(fmt::format("ONNX has no element type {}", elementName(type)));
}

bool looksLikeOnnx(std::string_view bytes)
{
    bool hasVersion = false, hasGraph = false, hasMore = false;
    try {
        ProtobufReader fields(bytes, bytes, "");
        for (ProtobufField field; fields.next(field);) {
            const bool isNumber = field.number == 1 || field.number == 5;
            const bool isKnown = field.number <= 8 || field.number == 14 || field.number == 20 || field.number == 25 || field.number == 26;
            if (!isKnown || (isNumber != (field.wire == FieldWire::Varint)))
                return false;
            if (field.number == 1 && (field.value == 0 || field.value > 1000))
                return false;
            hasVersion |= field.number == 1;
            hasGraph |= field.number == 7;
            hasMore |= field.number == 8 || field.number == 2;
        }
    } catch (const core::Error&) {
        return hasVersion && hasMore;  // cut off: its reader says where
    }
    return hasGraph && (hasVersion || hasMore);
}

OnnxModel parseOnnx(std::string_view bytes, std::string_view name)
{
    return OnnxReader(bytes, name).model();
}

OnnxTensor parseOnnxTensor(std::string_view bytes, std::string_view name)
{
    return OnnxReader(bytes, name).tensor(bytes);
}

std::optional<std::pair<std::string_view, bool>> parseOnnxOptional(std::string_view bytes, std::string_view name)
{
    constexpr std::uint32_t kTensorValue = 3, kSequenceValue = 5;
    ProtobufReader fields(bytes, bytes, name);
    for (ProtobufField field; fields.next(field);)
        if (field.wire == FieldWire::Bytes && (field.number == kTensorValue || field.number == kSequenceValue))
            return std::pair(field.bytes, field.number == kSequenceValue);
    return {};
}

std::vector<OnnxTensor> parseOnnxSequence(std::string_view bytes, std::string_view name)
{
    constexpr std::uint32_t kTensorValues = 3;
    OnnxReader reader(bytes, name);
    std::vector<OnnxTensor> tensors;
    auto fields = reader.reader(bytes);
    for (ProtobufField field; fields.next(field);)
        if (field.number == kTensorValues && field.wire == FieldWire::Bytes)
            tensors.push_back(reader.tensor(field.bytes));
    return tensors;
}

}  // namespace orrery::io
