#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "array.h"

namespace orrery::io {

/// A tensor of an ONNX file. `data` lies in the file's bytes where the file holds it raw, else in `decoded`; tensors of text have `strings` instead; external data has
/// `external` and no bytes.
struct OnnxTensor {
    struct External {
        std::string location;  ///< as written: a path relative to the model's folder; not checked here
        std::uint64_t offset = 0;
        std::optional<std::uint64_t> length;
    };
    std::string name;
    ElementType type = ElementType::Float32;
    bool isText = false;
    std::vector<std::int64_t> shape;
    std::string_view raw;
    std::string decoded;
    std::vector<std::string> strings;
    std::optional<External> external;
    std::string_view data() const { return decoded.empty() ? raw : std::string_view(decoded); }
};

/// What a value is declared to be.
struct OnnxValueInfo {
    enum class Kind { Unknown, Tensor, Sequence, Optional, Other };
    /// A size, the name of a size, or neither.
    struct Dimension {
        std::optional<std::int64_t> size;
        std::string name;
    };
    std::string name;
    Kind kind = Kind::Unknown;
    bool optionalSequence = false;  ///< an optional that holds a sequence
    int elementType = 0;            ///< TensorProto.DataType of the tensor (of sequences: of their members); 0: not said
    std::optional<std::vector<Dimension>> shape;
};

struct OnnxGraph;

struct OnnxAttribute {
    std::string name, reference;  ///< reference: the function's attribute it stands for
    std::optional<float> real;
    std::optional<std::int64_t> integer;
    std::optional<std::string> text;
    std::shared_ptr<const OnnxTensor> tensor;
    std::shared_ptr<const OnnxGraph> graph;
    std::vector<float> reals;
    std::vector<std::int64_t> integers;
    std::vector<std::string> texts;
    bool isOther = false;  ///< sparse tensors, types, lists of tensors and graphs: known to be there, not read
};

struct OnnxNode {
    std::string name, op, domain;  ///< domain: "" for ai.onnx
    std::string doc;               ///< what the exporter says of it, its first `kMostOnnxDoc` bytes; empty where that is no UTF-8
    std::vector<std::string> inputs, outputs;
    std::vector<OnnxAttribute> attributes;
    const OnnxAttribute* find(std::string_view attribute) const;
};

struct OnnxGraph {
    std::string name;
    std::vector<OnnxNode> nodes;
    std::vector<OnnxTensor> initialisers;
    std::vector<OnnxValueInfo> inputs, outputs, values;
};

/// A function that the file itself defines: a node of that name and domain stands for its nodes.
struct OnnxFunction {
    std::string name, domain;
    std::vector<std::string> inputs, outputs, attributes;
    std::vector<OnnxNode> nodes;
    std::map<std::string, std::int64_t> opsets;
};

struct OnnxModel {
    std::int64_t irVersion = 0;
    std::string producer, producerVersion;
    std::map<std::string, std::int64_t> opsets;  ///< domain -> version; "" is ai.onnx
    OnnxGraph graph;
    std::vector<OnnxFunction> functions;
    std::vector<std::pair<std::string, std::string>> metadata;
};

inline constexpr std::size_t kMaxOnnxName = 1 << 16;  ///< bytes of one name
inline constexpr std::size_t kMostOnnxDoc = 400;
inline constexpr std::size_t kMaxOnnxItems = 2'000'000;  ///< nodes, attributes, names, tensors in all
inline constexpr int kMaxOnnxDepth = 32;                 ///< graphs in attributes of nodes in graphs ...
inline constexpr std::size_t kMaxOnnxRank = 64;

/// True if these can be the bytes of an ONNX model: a version, a producer or operator sets, and a graph. Never throws; looks at the outermost fields alone.
bool looksLikeOnnx(std::string_view bytes);

/// Reads a model. Texts are copied; raw tensor data stays where it is, so `bytes` has to outlive the result.
/// @throws core::FormatError naming file and place: cut off, names or lists beyond the limits above, a tensor whose bytes do not fit its shape, negative sizes, element types
///         that are unknown, no graph, no operator set.
/// Source: ONNX IR specification (github.com/onnx/onnx, docs/IR.md) and onnx.proto, IR versions 3 to 10.
OnnxModel parseOnnx(std::string_view bytes, std::string_view name);

/// A single tensor message, as test cases keep their inputs and outputs. @throws as `parseOnnx`.
OnnxTensor parseOnnxTensor(std::string_view bytes, std::string_view name);
/// A sequence of tensors (SequenceProto); an optional (OptionalProto) that holds one gives its members, an empty one nothing. @throws as `parseOnnx`.
std::vector<OnnxTensor> parseOnnxSequence(std::string_view bytes, std::string_view name);
/// The tensor or sequence inside an OptionalProto: its bytes and whether it is a sequence; nothing if it is empty.
std::optional<std::pair<std::string_view, bool>> parseOnnxOptional(std::string_view bytes, std::string_view name);

/// The numbers of TensorProto.DataType. Nothing for text and for unknown numbers.
std::optional<ElementType> onnxElementType(int dataType);
/// @throws core::InputError for types that ONNX does not have.
int onnxDataType(ElementType type);

/// The file that `parseOnnx` reads as the same model. Tensors are written raw. Attributes that are `isOther` are not kept.
std::string onnxBytes(const OnnxModel& model);

}  // namespace orrery::io
