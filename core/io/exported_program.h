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

struct ExportedGraph;

/// An argument of a node, or what a graph takes or gives: a value by its name, a literal, or a list of such.
struct ExportedArgument {
    enum class Kind {
        None,
        Tensor,        ///< `text`: name of the value
        SymInt,        ///< `text`: name of an integer value
        SymFloat,      ///< `text`: name of a number
        SymBool,       ///< `text`: name of a condition
        Int,           ///< `integer`
        Float,         ///< `number`
        Bool,          ///< `integer` 0 or 1
        String,        ///< `text`
        ScalarType,    ///< `integer`: number in torch._export.serde.schema.ScalarType
        MemoryFormat,  ///< `integer`: 1 contiguous, 2 channels last, 3 channels last 3d, 4 preserve
        Layout,        ///< `integer`: 7 strided
        Device,        ///< `text`: "cpu", "cuda:0"
        Complex,       ///< `number`, `imaginary`
        List,          ///< `items`
        Graph,         ///< `text`: its name, `graph`
        Object,        ///< `text`: a value of an own class
        Operator       ///< `text`: an operator as a value
    };
    Kind kind = Kind::None;
    std::string text;
    std::int64_t integer = 0;
    double number = 0, imaginary = 0;
    std::vector<ExportedArgument> items;
    /// What the items of an empty list would be: Tensor, Int, Float, Bool, String.
    Kind itemKind = Kind::Tensor;
    std::shared_ptr<const ExportedGraph> graph;
    /// A name of a value of this graph (Tensor, SymInt, SymFloat, SymBool).
    bool isValue() const { return kind == Kind::Tensor || kind == Kind::SymInt || kind == Kind::SymFloat || kind == Kind::SymBool; }
};

struct ExportedNode {
    struct Input {
        std::string name;  ///< of the argument in the operator's schema; empty for higher-order operators
        ExportedArgument value;
    };
    std::string target;  ///< "torch.ops.aten.linear.default", "_operator.add", "torch.ops.higher_order.cond"
    std::vector<Input> inputs;
    std::vector<ExportedArgument> outputs;
    std::vector<std::pair<std::string, std::string>> modules;  ///< path and class of the modules around it, outermost first
    std::string source;                                        ///< last line of the stack trace: "model.py:12", if known
};

/// Type, sizes and place of a tensor. A size that is not known before the run is -1, its expression in `symbols`.
struct ExportedTensor {
    std::optional<ElementType> type;  ///< nothing for types that have no counterpart
    std::vector<std::int64_t> sizes, strides;
    std::vector<std::string> symbols;  ///< as many as sizes; empty text for a number
    std::int64_t offset = 0;           ///< in elements
};

struct ExportedGraph {
    std::vector<ExportedArgument> inputs, outputs;
    std::vector<ExportedNode> nodes;
    std::map<std::string, ExportedTensor> tensors;
};

/// What one input of the graph stands for, in the graph's order.
struct ExportedInput {
    enum class Kind { User, Parameter, Buffer, Constant, Literal, Object, Token };
    Kind kind = Kind::User;
    ExportedArgument value;  ///< Literal: a literal that was bound when the program was exported
    std::string target;      ///< Parameter, Buffer, Constant: dotted name in the module; Literal: name of the input
    bool isPersistent = true;
};

struct ExportedOutput {
    enum class Kind { User, Loss, BufferMutation, ParameterMutation, InputMutation, Gradient, Token };
    Kind kind = Kind::User;
    ExportedArgument value;
    std::string target;  ///< the buffer, parameter or input that is written
};

/// A program as torch.export writes it, schema version 5 to 8.
struct ExportedProgram {
    ExportedGraph graph;
    std::vector<ExportedInput> inputs;
    std::vector<ExportedOutput> outputs;
    std::vector<std::string> inputNames;   ///< the user's names of the inputs, flattened ("x", "state.0"); empty if they are not told
    std::vector<std::string> outputNames;  ///< "output", "output.1", "logits"; as many as user outputs, or empty
    int schemaMajor = 0, schemaMinor = 0;
    std::string torchVersion;
};

/// Reads `models/NAME.json` (PyTorch from 2.8 on) or `serialized_exported_program.json` (older) of a .pt2 archive. Names are unique within a graph and every value is
/// defined before it is used.
/// @throws core::FormatError naming the place for text that is no JSON, an unknown schema version, kinds of arguments that are not known, missing fields,
///         values used before they are made or made twice, subgraphs nested more than 64 deep.
/// Source: PyTorch, torch/_export/serde/schema.py (schema version 8.17).
ExportedProgram parseExportedProgram(std::string_view json, std::string_view name);

/// Where the tensors of an archive lie: `data/weights/NAME_weights_config.json` and `data/constants/NAME_constants_config.json` (PyTorch from 2.9 on).
struct ExportedPayload {
    std::string file;  ///< in the folder of the config file
    bool isPickle = false;
    ExportedTensor tensor;
};
std::map<std::string, ExportedPayload> parseExportedPayloads(std::string_view json, std::string_view name);

/// The names a `treespec` (JSON) gives to the leaves of nested tuples, lists and dicts, in order: children of dicts by key, others by number, joined by dots.
/// Nothing if it is not understood. `root` is the name of the whole; the first argument of an input spec is taken apart (positional and keyword arguments).
std::vector<std::string> treeLeafNames(std::string_view treespec, std::string_view root);

}  // namespace orrery::io
