#pragma once
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <core/base/json.h>

/// A model is a graph: immutable plain data. Nothing here knows a file format, a panel or a method.
namespace orrery::graph {

/// Index into `GraphData::values`.
using ValueId = std::int32_t;

/// What a node computes or a graph takes. Each value is defined once (inside a loop: once a step).
struct Value {
    /// Unique path: module path + operator ("blocks.0.attn.softmax"); second call of one module `relu#2`; second output `lstm:1`;
    /// a value written in place `name@2`. While running, a value inside a loop has its step appended: `cell[3]`.
    std::string name;
    std::string type = "Tensor";  ///< as TorchScript writes annotations: "Tensor", "int", "List[int]", "Optional[Tensor]"
};

/// An input of a node: a value, or a literal (None, bool, int, float, string, device, lists, tuples; never a tensor).
struct Operand {
    ValueId value = -1;
    c10::IValue constant;
    bool isConstant() const { return value < 0; }
    static Operand of(ValueId id) { return Operand{id, {}}; }
    static Operand literal(c10::IValue constant) { return Operand{-1, std::move(constant)}; }
};

struct Node;

/// A straight list of nodes. `inputs` are the block's own parameters (loop counter and carried values).
struct Block {
    std::vector<ValueId> inputs;
    std::vector<Node> nodes;
    std::vector<Operand> outputs;
};

/// One operation. `op` is the name libtorch knows it by ("aten::softmax"), `overload` its overload ("int").
/// Own operators: prim::ListConstruct, prim::ListUnpack, prim::TupleConstruct, prim::TupleUnpack, prim::TupleIndex, prim::DictConstruct,
/// prim::If (input: condition; two blocks), prim::Loop (inputs: limit, first condition, carried...; one block whose first output is the next condition).
struct Node {
    std::string name;  ///< unique; equals the name of its first output, if it has one
    std::string op, overload;
    std::string module;           ///< path of the module it belongs to; empty for the root
    std::vector<Operand> inputs;  ///< one for each argument of the operator's schema, defaults filled in
    std::vector<ValueId> outputs;
    std::vector<Block> blocks;
    std::string source;  ///< where it comes from in the user's source, if known
    std::string qualifiedOp() const { return overload.empty() ? op : op + "." + overload; }
};

/// A tensor that the graph reads from its Weights.
struct Parameter {
    enum class Kind {
        Parameter,  ///< optimised
        Buffer,     ///< state, such as running statistics
        Constant    ///< a literal tensor of the source
    };
    std::string name;
    ValueId value = -1;
    Kind kind = Kind::Parameter;
    std::vector<std::int64_t> shape;
    at::ScalarType dtype = at::kFloat;
    core::Json init;  ///< how it starts: {"kind": "kaiming_uniform", "a": 2.236}; null if unknown (weights come from a file)
};

struct Input {
    std::string name;
    ValueId value = -1;
};

/// After a training step, buffer `buffer` becomes `value` (how importers keep writes to module state).
struct BufferUpdate {
    std::string buffer;
    ValueId value = -1;
};

struct Module {
    std::string path;  ///< "blocks.0.attn"; the root is ""
    std::string type;  ///< "Linear", "MultiheadAttention", "Block"
};

/// The plain data of a graph: fill it, then make a Graph of it.
struct GraphData {
    std::string name;
    std::vector<Value> values;
    std::vector<Input> inputs;
    std::optional<ValueId> training;  ///< the one boolean value that dropout and batch norm read
    std::vector<Parameter> parameters;
    std::map<std::string, std::string> aliases;  ///< tied names: alias -> name of the parameter that is stored
    Block body;                                  ///< its outputs are the graph's
    std::vector<std::string> outputNames;        ///< as many as body.outputs
    std::vector<BufferUpdate> bufferUpdates;
    std::vector<Module> modules;
};

/// An immutable, validated graph with look-up tables. Any thread.
class Graph {
public:
    /// @throws core::FormatError naming the node: a value used before it is defined or defined twice, a repeated name, an id out of range.
    explicit Graph(GraphData data);

    const GraphData& data() const { return m_data; }
    const std::vector<Node>& nodes() const { return m_data.body.nodes; }
    const Value& value(ValueId id) const { return m_data.values[std::size_t(id)]; }
    std::optional<ValueId> findValue(std::string_view name) const;
    const Parameter* findParameter(std::string_view name) const;  ///< aliases are followed
    const Parameter* parameterOf(ValueId id) const;
    const Node* producer(ValueId id) const;  ///< null for inputs and parameters; nodes in nested blocks, too
    const std::vector<const Node*>& users(ValueId id) const;
    /// What a module gives: the values made inside it that are used outside it (or are outputs), in order. Empty for an unknown path.
    std::vector<ValueId> moduleOutputs(std::string_view path) const;

    /// All values a pattern names. A pattern is: a value's exact name; a module's path (its outputs); a glob over names (`blocks.*.attn.softmax`);
    /// `op:softmax` or `op:aten::softmax` (every output of such nodes). A step suffix `[3]` or `[*]` is cut off first (see `splitStep`).
    /// @throws core::InputError if nothing fits; the message names the nearest names.
    std::vector<ValueId> resolve(std::string_view pattern) const;

    /// 32 hexadecimal digits over structure, names and literals; equal graphs have equal hashes. Weights are not part of it.
    const std::string& hash() const { return m_hash; }
    /// One line a node, blocks indented.
    std::string print() const;
    /// Every node including those in nested blocks, in order.
    const std::vector<const Node*>& allNodes() const { return m_allNodes; }

private:
    void index(const Block& block);
    GraphData m_data;
    std::unordered_map<std::string, ValueId> m_byName;
    std::vector<const Node*> m_producers;
    std::vector<std::vector<const Node*>> m_users;
    std::vector<std::int32_t> m_parameterOf;
    std::vector<const Node*> m_allNodes;
    std::string m_hash;
};

using GraphPtr = std::shared_ptr<const Graph>;

/// "cell[3][0]" -> {"cell", "[3][0]"}; text without a step gives an empty second part.
std::pair<std::string_view, std::string_view> splitStep(std::string_view name);

/// How two graphs differ, one sentence a difference (nodes matched by name); empty if they are the same structure.
std::vector<std::string> structuralDifferences(const Graph& a, const Graph& b, std::size_t limit = 100);

/// The same graph with device and dtype literals rewritten, so that it runs on `device` (dtype: floating literals only, if given).
GraphPtr moved(const GraphPtr& graph, c10::Device device, std::optional<at::ScalarType> dtype = {});

/// JSON form, version 1. `fromJson` migrates older versions. @throws core::FormatError with the place of the fault.
core::Json toJson(const Graph& graph);
GraphPtr fromJson(const core::Json& json, const std::string& name);
/// Literals as JSON: numbers, strings, true/false/null, lists; other kinds as objects {"$device": "cpu"}, {"$float": "nan"}, {"$tuple": [...]}, {"$list": "int", "items": [...]}.
core::Json constantToJson(const c10::IValue& constant);
c10::IValue constantFromJson(const core::Json& json);

/// "torch.float32" names without the prefix: float32, bfloat16, int64, bool ...
std::string dtypeName(at::ScalarType dtype);
/// @throws core::InputError naming the known dtypes.
at::ScalarType dtypeFromName(std::string_view name);

}  // namespace orrery::graph
