#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <core/graph/model.h>
#include <core/graph/probe.h>
#include <core/io/onnx_file.h>

/// Internal to core/models/onnx: our graph as an ONNX model.
namespace orrery::models::onnx {

/// Operator sets that can be written: LayerNormalization came with 17, the last one is what exporters of PyTorch 2 write by default at most.
inline constexpr std::int64_t kLeastWrittenOpset = 17, kLatestWrittenOpset = 21;

/// What one run on an example showed of a value.
struct SeenValue {
    std::int64_t rank = -1;  ///< -1: not a tensor, or the model has no example
    at::ScalarType dtype = at::kFloat;
};

/// Walks a graph once. Ints are written as int64 vectors of one element, lists of ints as vectors, so that sizes stay sizes: nothing is fixed to the example's.
class OnnxWriter {
public:
    /// @param example  Inputs of a run that shows dimensions and types; empty: zeros as the model card says.
    OnnxWriter(const graph::Model& model, std::int64_t opset, std::vector<c10::IValue> example = {});
    OnnxWriter(const OnnxWriter&) = delete;
    OnnxWriter& operator=(const OnnxWriter&) = delete;
    /// @throws core::InputError naming node and operator that have no form.
    io::OnnxModel write();

    // For the functions of the operators.
    std::int64_t opset() const { return m_opset; }
    const SeenValue& seen(const graph::Operand& operand) const;
    at::ScalarType typeOf(const graph::Node& node, std::size_t input = 0) const { return seen(node.inputs.at(input)).dtype; }
    /// What an output was on the example; float32 without one.
    at::ScalarType resultType(const graph::Node& node, std::size_t output = 0) const
    {
        return seen(graph::Operand::of(node.outputs.at(output))).dtype;
    }
    /// What is known while writing: a literal, or a value that depends neither on the inputs' numbers nor on the weights (ranks, dtypes, tables, what follows from them). Else null.
    const c10::IValue* known(const graph::Operand& operand) const;
    const c10::IValue* known(const graph::Node& node, std::size_t input) const { return known(node.inputs.at(input)); }
    /// Dimensions. @throws core::InputError if no example run told them.
    std::int64_t rankOf(const graph::Node& node, std::size_t input) const;
    /// A size of a tensor as the example showed it, for what ONNX wants as an attribute; nothing if it changed on the way.
    std::optional<std::int64_t> sizeOf(const graph::Operand& operand, std::size_t axis) const;
    /// An axis counted from the front.
    std::int64_t axis(const graph::Node& node, std::size_t axisInput, std::size_t tensorInput) const;
    /// The name of an operand in the ONNX graph; literals become initialisers of that dtype.
    std::string use(const graph::Operand& operand, at::ScalarType numbers = at::kFloat);
    std::string ints(const std::vector<std::int64_t>& numbers);
    std::string scalar(double number, at::ScalarType dtype);
    /// Literals. @throws core::InputError naming the node if the argument is computed.
    std::int64_t literalInt(const graph::Node& node, std::size_t input) const;
    double literalReal(const graph::Node& node, std::size_t input) const;
    bool literalBool(const graph::Node& node, std::size_t input) const;
    std::vector<std::int64_t> literalInts(const graph::Node& node, std::size_t input) const;
    bool isNone(const graph::Node& node, std::size_t input) const { return known(node, input) && known(node, input)->isNone(); }
    /// A tensor or number as an operand of a pointwise operator: of that dtype, a number without dimensions.
    std::string operand(const graph::Node& node, std::size_t input, at::ScalarType dtype);
    std::string cast(const std::string& name, at::ScalarType to);
    /// A tensor that is not in the graph, as an initialiser of its own.
    std::string tensor(const std::string& name, const at::Tensor& tensor) { return initialiser(fresh(name), tensor); }
    /// A weight, or what is computed from weights alone; null for others.
    const at::Tensor* weightOf(const graph::Operand& operand) const;

    /// Adds a node that makes a value of its own; its name goes back.
    std::string add(const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes = {});
    /// The same for a node of several values.
    std::vector<std::string> addAll(const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes,
                                    std::size_t count);
    /// Adds the node that makes output `output` of `node`, under its name.
    void give(const graph::Node& node, const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes = {},
              std::size_t output = 0);
    /// One node that makes the first `count` outputs of `node`.
    void giveAll(const graph::Node& node, const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes,
                 std::size_t count);
    /// The node that was made last belongs to another domain of operators.
    void inDomain(const std::string& domain, std::int64_t version);
    /// Output `output` is another value that is there already.
    void alias(const graph::Node& node, const std::string& value, std::size_t output = 0);
    [[noreturn]] void refuse(const graph::Node& node, const std::string& reason) const;

    /// The parts of a list that a later unpacking takes apart.
    std::map<graph::ValueId, std::vector<std::string>> parts;
    /// A list that a loop made longer by one tensor a step.
    struct GrownList {
        std::vector<std::string> first;  ///< what was in it before
        std::string added;               ///< what was added, along a new first axis
        graph::Operand item;             ///< inside the loop: what a step adds
    };
    std::map<graph::ValueId, GrownList> grown;
    std::map<graph::ValueId, std::string> sequences;  ///< other lists of tensors: names of sequences
    /// A list of tensors as a sequence, put together where it is not one yet. Nothing for other values.
    std::optional<std::string> sequence(const graph::Operand& list);
    /// A number or tensor of one element, without dimensions.
    std::string withoutAxes(const std::string& name) { return add("Reshape", {name, ints({})}); }
    const graph::Graph& graph() const { return *m_model.graph; }

private:
    void runExamples();
    bool run(const std::vector<c10::IValue>& inputs, const std::vector<graph::Probe>& probes);
    bool runAs(const graph::GraphPtr& graph, std::map<std::string, at::Tensor> weights, const std::vector<c10::IValue>& inputs,
               const std::vector<graph::Probe>& probes) const;
    /// What stands for the sizes that a card leaves open.
    struct OpenSizes {
        std::int64_t batch, length, picture;
    };
    /// Zeros of those sizes; empty if the example does not fit the card.
    std::vector<c10::IValue> exampleOf(const OpenSizes& sizes) const;
    /// Sizes that are the same whatever the sizes are that the card leaves open.
    void findSteadySizes();
    bool isFixed(const graph::Node& node) const;
    void see(bool isFirstRun, graph::ValueId id, const c10::IValue& value);
    bool mayGrow(const graph::Operand& list) const;
    bool readsKnownOnly(const graph::Block& block, std::set<graph::ValueId> inside = {}) const;
    void need(const graph::Operand& operand);
    void writeBranches(const graph::Node& node);
    std::shared_ptr<const io::OnnxGraph> branch(const graph::Node& node, std::size_t number);
    void writeLoop(const graph::Node& node);
    std::string carriedStart(const graph::Node& node, std::size_t number);
    const graph::Node* growthOf(const graph::Node& loop, std::size_t number);
    std::shared_ptr<io::OnnxGraph> loopBody(const graph::Node& node, std::vector<std::size_t>& carried, std::vector<std::size_t>& growing);
    /// Of numbers and lists of them, which are written as vectors; nothing for tensors.
    std::optional<at::ScalarType> numberType(graph::ValueId id) const;
    io::OnnxValueInfo described(const std::string& name, graph::ValueId like) const;
    std::string literal(const c10::IValue& constant, at::ScalarType numbers, const std::string& name);
    void addInputs();
    void addWeights();
    void writeNode(const graph::Node& node);
    void nameOutput(graph::ValueId id);
    void addOutputs();
    std::string emptySequence(at::ScalarType type);
    std::string initialiser(const std::string& name, const at::Tensor& tensor);
    std::string fresh(const std::string& base);

    const graph::Model& m_model;
    std::int64_t m_opset;
    std::vector<c10::IValue> m_example;
    io::OnnxModel m_out;
    std::map<graph::ValueId, std::string> m_names;
    std::map<graph::ValueId, SeenValue> m_seen;
    std::map<graph::ValueId, c10::IValue> m_fixed;
    std::map<graph::ValueId, c10::IValue> m_ofWeights;            ///< computed from weights alone
    std::set<graph::ValueId> m_unsteady;                          ///< what a loop changes from step to step, though its kind does not show it
    std::map<graph::ValueId, std::vector<std::int64_t>> m_sizes;  ///< of tensors on the first run
    std::set<graph::ValueId> m_varying;                           ///< tensors whose sizes a loop changes from step to step
    std::set<const graph::Node*> m_growing;                       ///< nodes that make a list longer, written as an output of their loop
    bool m_hasRun = false;                                        ///< an example has shown dimensions and types
    bool m_halvesAreStoodIn = false;                              ///< the example ran in bfloat16, where this libtorch lacks operators in float16
    std::set<graph::ValueId> m_needed;                            ///< what outputs depend on
    std::vector<io::OnnxNode>* m_nodes = &m_out.graph.nodes;      ///< of the graph or branch being written
    std::set<std::string> m_own;                                  ///< values that only the writer knows
    std::map<std::string, int> m_counts;
    std::map<std::string, std::string> m_literals;
    std::string m_node;  ///< path of the node being written
    std::vector<at::Tensor> m_kept;
};

/// A size of a card that is a number, not a name.
bool isNumber(const std::string& text);
io::OnnxAttribute attributeOf(const std::string& name, std::int64_t value);
io::OnnxAttribute attributeOf(const std::string& name, double value);
io::OnnxAttribute attributeOf(const std::string& name, const std::string& value);
io::OnnxAttribute attributeOf(const std::string& name, std::vector<std::int64_t> value);
io::OnnxAttribute attributeOf(const std::string& name, const std::vector<double>& value);
io::OnnxAttribute attributeOf(const std::string& name, const at::Tensor& value);
/// The same graph without tuples that loops carry or branches give: their parts are carried and given one by one, and what takes a tuple apart that the graph puts together reads its parts.
graph::GraphPtr withoutTuples(const graph::GraphPtr& graph);
/// A reduction of x over axes, all of them where none are given; its name. The axes are an input or an attribute, as the operator set wants it.
std::string reduced(OnnxWriter& w, const std::string& op, const std::string& x, const std::vector<std::int64_t>& axes, bool keep);

using OperatorWriter = std::function<void(OnnxWriter&, const graph::Node&)>;
using WriterTable = std::unordered_map<std::string, OperatorWriter>;
/// Null: no form. A new operator is one line in the table of its family.
const OperatorWriter* findOperatorWriter(const std::string& op);

// The families.
void addLayerWriters(WriterTable& table);
void addMathWriters(WriterTable& table);
void addShapeWriters(WriterTable& table);
void addIndexWriters(WriterTable& table);
void addRecurrentWriters(WriterTable& table);
void addFurtherWriters(WriterTable& table);
void addImportedWriters(WriterTable& table);  ///< what importers of ONNX made of its operators

}  // namespace orrery::models::onnx
