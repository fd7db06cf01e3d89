#pragma once
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <core/io/onnx_file.h>

#include "emitter.h"
#include "tensors.h"

namespace orrery::models::onnx {

/// Thrown by an operator's function: this node has no form here. The model opens all the same; its graph shows the node and names it.
struct Unsupported {
    std::string reason;
};

class Converter;

/// One node being converted, as the functions of the operators see it.
class Call {
public:
    Call(Converter& converter, Emitter& emitter, const io::OnnxNode& node, std::vector<Term> inputs, std::int64_t opset)
        : m_converter(converter), m_emitter(emitter), m_node(node), m_inputs(std::move(inputs)), m_outputs(node.outputs.size()),
          m_given(node.outputs.size()), m_opset(opset)
    {
    }
    const io::OnnxNode& node() const { return m_node; }
    Converter& converter() { return m_converter; }
    Emitter& emitter() { return m_emitter; }
    std::int64_t opset() const { return m_opset; }

    std::size_t count() const { return m_inputs.size(); }
    /// Given and not left empty.
    bool has(std::size_t input) const { return input < m_inputs.size() && !m_inputs[input].isNone(); }
    /// @throws core::FormatError if it is missing.
    const Term& in(std::size_t input) const;
    /// The input, or None.
    Term optional(std::size_t input) const { return has(input) ? m_inputs[input] : Term(nullptr); }
    const std::vector<Term>& inputs() const { return m_inputs; }
    bool wants(std::size_t output) const { return output < m_node.outputs.size() && !m_node.outputs[output].empty(); }

    bool hasAttribute(const std::string& name) const { return m_node.find(name) != nullptr; }
    std::int64_t integer(const std::string& name, std::int64_t otherwise) const;
    double real(const std::string& name, double otherwise) const;
    std::string text(const std::string& name, const std::string& otherwise) const;
    std::vector<std::int64_t> integers(const std::string& name, std::vector<std::int64_t> otherwise = {}) const;
    std::vector<double> reals(const std::string& name, std::vector<double> otherwise = {}) const;
    std::vector<std::string> texts(const std::string& name) const;
    /// @throws core::FormatError if there is none.
    const io::OnnxGraph& graph(const std::string& name) const;
    at::Tensor tensor(const std::string& name) const;

    Term emit(const std::string& op, const std::vector<Term>& args) { return m_emitter.emit(op, args); }
    std::vector<Term> emitAll(const std::string& op, const std::vector<Term>& args) { return m_emitter.emitAll(op, args); }
    Term list(const std::vector<Term>& items, const std::string& type = "Tensor") { return m_emitter.list(items, type); }
    void out(std::size_t output, Term term);
    void out(Term term) { out(0, std::move(term)); }

    /// The numbers of an input, if they are known now.
    std::optional<std::vector<std::int64_t>> known(std::size_t input) const;
    std::optional<std::vector<double>> knownReals(std::size_t input) const;
    /// A tensor of sizes as List[int]; of one size as int.
    Term ints(const Term& term);
    Term oneInt(const Term& term);
    /// The elements of a tensor of sizes, each an int; nothing if their number is not known.
    std::optional<std::vector<Term>> items(const Term& term) const;
    /// Axes as an attribute (older operator sets) or as input `index`: a list of ints. Nothing: not given.
    std::optional<Term> axes(std::size_t index);
    /// Counted from the front. @throws Unsupported if the number of dimensions is not known and the axis counts from the back.
    std::int64_t fromFront(std::int64_t axis, const Term& of) const;

    [[noreturn]] void unsupported(const std::string& reason) const { throw Unsupported{reason}; }
    [[noreturn]] void fail(const std::string& sentence) const;

private:
    friend class Converter;
    Converter& m_converter;
    Emitter& m_emitter;
    const io::OnnxNode& m_node;
    std::vector<Term> m_inputs, m_outputs;
    std::vector<bool> m_given;  ///< which outputs the operator's function has given
    std::int64_t m_opset;
};

/// To the type of that number of TensorProto.DataType. @throws Unsupported for text.
Term castTo(Call& call, const Term& term, int dataType);

using Operator = std::function<void(Call&)>;
struct Entry {
    const char* name;
    Operator convert;
};

/// The operators of ai.onnx, by family. A new one is one line in its family's list.
std::span<const Entry> mathOperators();
std::span<const Entry> shapeOperators();
std::span<const Entry> indexOperators();
std::span<const Entry> convOperators();
std::span<const Entry> normOperators();
std::span<const Entry> reduceOperators();
std::span<const Entry> recurrentOperators();
std::span<const Entry> controlOperators();
std::span<const Entry> sequenceOperators();
std::span<const Entry> quantiseOperators();
std::span<const Entry> visionOperators();
std::span<const Entry> randomOperators();
std::span<const Entry> signalOperators();
std::span<const Entry> lossOperators();
std::span<const Entry> trainingOperators();
/// Of com.microsoft: what ONNX Runtime's quantiser and optimiser write.
std::span<const Entry> microsoftOperators();
/// Null: not known.
const Operator* findOnnxOperator(const std::string& domain, const std::string& name);

/// Walks an ONNX graph once, in its order, and writes what it meets.
class Converter {
public:
    Converter(const io::OnnxModel& model, TensorReader& tensors, std::string title);
    /// @throws core::FormatError naming the node: values that nothing defines or that are defined twice, a cycle, missing attributes, an operator set that is not known.
    graph::GraphData convert();
    graph::Weights weights() const { return m_emitter.weights(); }
    std::vector<std::string> notes() const;
    const io::OnnxModel& model() const { return m_model; }
    TensorReader& tensors() { return m_tensors; }

    /// A size that the file declares for a value or that an initialiser has.
    std::optional<std::int64_t> declaredSize(const std::string& value, std::size_t axis) const;

    /// A graph inside a node: its values see those outside. `bound` are its inputs.
    std::vector<Term> convertInner(const io::OnnxGraph& graph, const std::vector<Term>& bound, graph::Block* block);

private:
    struct Scope {
        std::map<std::string, Term> values;
        bool isFunction = false;  ///< sees nothing outside
        std::map<std::string, std::int64_t> opsets;
    };
    void addInputs();
    void addInitialisers(const io::OnnxGraph& graph);
    void addDeclared(const std::vector<io::OnnxValueInfo>& infos);
    void convertNode(const io::OnnxNode& node);
    void convertAny(const io::OnnxNode& node);
    void convertKnown(const io::OnnxNode& node, const Operator& convert);
    void convertFunction(const io::OnnxNode& node, const io::OnnxFunction& function);
    void convertUnknown(const io::OnnxNode& node, const std::string& reason);
    const io::OnnxFunction* findFunction(const io::OnnxNode& node) const;
    const Term* lookUp(const std::string& name) const;
    std::vector<Term> inputsOf(const io::OnnxNode& node) const;
    void define(const std::string& name, Term term, const std::string& place);
    void defineOutputs(const io::OnnxNode& node, std::vector<Term> outputs);
    std::string pathFor(const io::OnnxNode& node) const;
    std::int64_t opsetOf(const io::OnnxNode& node) const;

    const io::OnnxModel& m_model;
    TensorReader& m_tensors;
    Emitter m_emitter;
    std::vector<Scope> m_scopes;
    std::map<std::string, const io::OnnxValueInfo*> m_declared;
    std::map<std::string, std::set<std::string>> m_missing;  ///< operator and reason -> nodes
    std::string m_functionPath;
    int m_depth = 0;
};

}  // namespace orrery::models::onnx
