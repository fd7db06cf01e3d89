#include <core/base/error.h>

#include "onnx_file.h"
#include "protobuf.h"

namespace orrery::io {
namespace {

enum AttributeType { kReal = 1, kInteger, kText, kTensor, kGraph, kReals, kIntegers, kTexts };

std::string graphMessage(const OnnxGraph& graph);

std::string tensorMessage(const OnnxTensor& tensor)
{
    ProtobufWriter out;
    for (const auto size : tensor.shape)
        out.number(1, size);
    out.number(2, tensor.isText ? 8 : onnxDataType(tensor.type));
    for (const auto& text : tensor.strings)
        out.bytes(6, text);
    out.bytes(8, tensor.name);
    if (tensor.external) {
        const auto add = [&](std::string_view key, std::string_view value) {
            ProtobufWriter pair;
            pair.bytes(1, key);
            pair.bytes(2, value);
            out.bytes(13, pair.text());
        };
        add("location", tensor.external->location);
        add("offset", std::to_string(tensor.external->offset));
        if (tensor.external->length)
            add("length", std::to_string(*tensor.external->length));
        out.number(14, 1);
    } else if (!tensor.isText) {
        out.bytes(9, tensor.data());
    }
    return out.text();
}

std::string valueMessage(const OnnxValueInfo& value)
{
    ProtobufWriter shape, tensor, type, out;
    for (const auto& dimension : value.shape.value_or(std::vector<OnnxValueInfo::Dimension>())) {
        ProtobufWriter size;
        if (dimension.size)
            size.number(1, *dimension.size);
        else
            size.bytes(2, dimension.name);
        shape.bytes(1, size.text());
    }
    tensor.number(1, value.elementType);
    if (value.shape)
        tensor.bytes(2, shape.text());
    type.bytes(1, tensor.text());
    out.bytes(1, value.name);
    if (value.kind == OnnxValueInfo::Kind::Tensor)
        out.bytes(2, type.text());
    if (value.kind == OnnxValueInfo::Kind::Sequence) {  // TypeProto.sequence_type.elem_type
        ProtobufWriter sequence, outer;
        sequence.bytes(1, type.text());
        outer.bytes(4, sequence.text());
        out.bytes(2, outer.text());
    }
    return out.text();
}

std::string attributeMessage(const OnnxAttribute& attribute)
{
    ProtobufWriter out;
    out.bytes(1, attribute.name);
    int type = 0;
    if (attribute.real)
        out.real(2, *attribute.real), type = kReal;
    if (attribute.integer)
        out.number(3, *attribute.integer), type = kInteger;
    if (attribute.text)
        out.bytes(4, *attribute.text), type = kText;
    if (attribute.tensor)
        out.bytes(5, tensorMessage(*attribute.tensor)), type = kTensor;
    if (attribute.graph)
        out.bytes(6, graphMessage(*attribute.graph)), type = kGraph;
    for (const auto value : attribute.reals)
        out.real(7, value), type = kReals;
    for (const auto value : attribute.integers)
        out.number(8, value), type = kIntegers;
    for (const auto& value : attribute.texts)
        out.bytes(9, value), type = kTexts;
    out.number(20, type == 0 ? kIntegers : type);  // an empty list of anything else is not written by us
    return out.text();
}

std::string nodeMessage(const OnnxNode& node)
{
    ProtobufWriter out;
    for (const auto& input : node.inputs)
        out.bytes(1, input);
    for (const auto& output : node.outputs)
        out.bytes(2, output);
    out.bytes(3, node.name);
    out.bytes(4, node.op);
    for (const auto& attribute : node.attributes)
        out.bytes(5, attributeMessage(attribute));
    if (!node.doc.empty())
        out.bytes(6, node.doc);
    if (!node.domain.empty())
        out.bytes(7, node.domain);
    return out.text();
}

std::string graphMessage(const OnnxGraph& graph)
{
    ProtobufWriter out;
    for (const auto& node : graph.nodes)
        out.bytes(1, nodeMessage(node));
    out.bytes(2, graph.name);
    for (const auto& tensor : graph.initialisers)
        out.bytes(5, tensorMessage(tensor));
    for (const auto& value : graph.inputs)
        out.bytes(11, valueMessage(value));
    for (const auto& value : graph.outputs)
        out.bytes(12, valueMessage(value));
    for (const auto& value : graph.values)
        out.bytes(13, valueMessage(value));
    return out.text();
}

std::string opsetMessage(const std::string& domain, std::int64_t version)
{
    ProtobufWriter out;
    out.bytes(1, domain);
    out.number(2, version);
    return out.text();
}

std::string functionMessage(const OnnxFunction& function)
{
    ProtobufWriter out;
    out.bytes(1, function.name);
    for (const auto& input : function.inputs)
        out.bytes(4, input);
    for (const auto& output : function.outputs)
        out.bytes(5, output);
    for (const auto& attribute : function.attributes)
        out.bytes(6, attribute);
    for (const auto& node : function.nodes)
        out.bytes(7, nodeMessage(node));
    for (const auto& [domain, version] : function.opsets)
        out.bytes(9, opsetMessage(domain, version));
    out.bytes(10, function.domain);
    return out.text();
}

}  // namespace

std::string onnxBytes(const OnnxModel& model)
{
    ProtobufWriter out;
    out.number(1, model.irVersion);
    out.bytes(2, model.producer);
    out.bytes(3, model.producerVersion);
    out.bytes(7, graphMessage(model.graph));
    for (const auto& [domain, version] : model.opsets)
        out.bytes(8, opsetMessage(domain, version));
    for (const auto& [key, value] : model.metadata) {
        ProtobufWriter pair;
        pair.bytes(1, key);
        pair.bytes(2, value);
        out.bytes(14, pair.text());
    }
    for (const auto& function : model.functions)
        out.bytes(25, functionMessage(function));
    return out.text();
}

}  // namespace orrery::io
