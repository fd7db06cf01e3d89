#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <core/graph/model.h>
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
    OnnxWriter(const graph::Model& model, std::int64_t opset);
    /// @throws core::InputError naming node and operator that have no form.
    io::OnnxModel write();

    // For the functions of the operators.
    std::int64_t opset() const { return m_opset; }
    const SeenValue& seen(const graph::Operand& operand) const;
    /// Dimensions. @throws core::InputError if no example run told them.
    std::int64_t rankOf(const graph::Node& node, std::size_t input) const;
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
    bool isNone(const graph::Node& node, std::size_t input) const
    {
        return node.inputs.at(input).isConstant() && node.inputs[input].constant.isNone();
    }

    /// Adds a node that makes a value of its own; its name goes back.
    std::string add(const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes = {});
    /// Adds the node that makes output `output` of `node`, under its name.
    void give(const graph::Node& node, const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes = {},
              std::size_t output = 0);
    /// Output `output` is another value that is there already.
    void alias(const graph::Node& node, const std::string& value, std::size_t output = 0);
    [[noreturn]] void refuse(const graph::Node& node, const std::string& reason) const;

    /// The parts of a list that a later unpacking takes apart.
    std::map<graph::ValueId, std::vector<std::string>> parts;
    const graph::Graph& graph() const { return *m_model.graph; }

private:
    void runExample();
    void addInputs();
    void addWeights();
    void writeNode(const graph::Node& node);
    void addOutputs();
    std::string initialiser(const std::string& name, const at::Tensor& tensor);
    std::string fresh(const std::string& base);

    const graph::Model& m_model;
    std::int64_t m_opset;
    io::OnnxModel m_out;
    std::map<graph::ValueId, std::string> m_names;
    std::map<graph::ValueId, SeenValue> m_seen;
    std::map<std::string, int> m_counts;
    std::map<std::string, std::string> m_literals;
    std::string m_node;  ///< path of the node being written
    std::vector<at::Tensor> m_kept;
};

io::OnnxAttribute attributeOf(const std::string& name, std::int64_t value);
io::OnnxAttribute attributeOf(const std::string& name, double value);
io::OnnxAttribute attributeOf(const std::string& name, const std::string& value);
io::OnnxAttribute attributeOf(const std::string& name, std::vector<std::int64_t> value);

using OperatorWriter = std::function<void(OnnxWriter&, const graph::Node&)>;
/// Null: no form. A new operator is one line in the list of onnx_writer_operators.cpp.
const OperatorWriter* findOperatorWriter(const std::string& op);

}  // namespace orrery::models::onnx
