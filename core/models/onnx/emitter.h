#pragma once
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <core/graph/weights.h>
#include <core/models/script_finish.h>

#include "term.h"

namespace orrery::models::onnx {

/// Writes operators into a graph. What depends on constants alone is computed at once and leaves no node, so that the arithmetic on shapes that exporters write ends as
/// literals wherever the shapes allow it.
class Emitter {
public:
    explicit Emitter(std::string graphName);

    /// One operator of libtorch; missing trailing arguments take the schema's defaults. Constants and tensors of sizes among the arguments become values.
    /// @throws core::FormatError if libtorch has no such operator or an argument is missing; c10::Error if computing at once fails.
    std::vector<Term> emitAll(const std::string& qualifiedOp, const std::vector<Term>& args);
    Term emit(const std::string& qualifiedOp, const std::vector<Term>& args) { return emitAll(qualifiedOp, args).at(0); }
    /// A node as it is, without looking its operator up.
    std::vector<Term> emitOpaque(const std::string& op, const std::vector<Term>& args, std::size_t outputs);
    /// A list of ints or of tensors. Ints that are all known give a literal.
    Term list(const std::vector<Term>& items, const std::string& elementType);
    /// As an argument of a node.
    graph::Operand use(const Term& term);
    /// A tensor whatever it is now: sizes become one.
    Term asTensor(const Term& term);

    graph::ValueId newValue(std::string base, std::string type);
    /// Writes a changed type of a value down.
    void setType(const Term& term) { m_data.values.at(std::size_t(term.operand.value)).type = term.type; }
    Term addInput(const std::string& name, const std::string& type);
    void addOutput(const std::string& name, const Term& term);
    /// Running statistics: kept, not optimised.
    void markBuffer(const Term& term);

    /// A place to write into: blocks of If and Loop. The one before is handed back.
    graph::Block* enter(graph::Block* block) { return std::exchange(m_block, block); }
    graph::Block& block() { return *m_block; }
    bool isInBranch() const { return m_block != &m_data.body; }

    /// Says which node of the file is being written: its name is the path of what it makes.
    void begin(const std::string& path);
    const std::string& path() const { return m_path; }
    /// Makes what a node of the file has become since `from` (nodes of the block then) a module of its own, where that is much: an LSTM is one box and one line of a profile.
    void boxNode(const std::string& path, const std::string& type, std::size_t from);
    /// What the file says of the node that is being written, kept with all that it becomes. What was said before is handed back.
    std::string exchangeSource(std::string source) { return std::exchange(m_source, std::move(source)); }
    /// Calls a value after the file's node instead of after its own operator, if it was made since `begin`.
    void nameAfterNode(const Term& term, const std::string& suffix);

    /// Ends the graph. The emitter is empty afterwards.
    graph::GraphData finish();
    graph::Weights weights() const { return graph::Weights(m_tensors); }

private:
    std::vector<Term> fold(const std::string& op, const std::string& overload, const std::vector<Term>& args,
                           const std::vector<c10::IValue>& defaults);
    graph::ValueId parameter(const Term& term);
    void addModule(const std::string& path);

    graph::GraphData m_data;
    std::vector<ValueNote> m_notes;
    graph::Block* m_block = nullptr;
    std::map<std::string, at::Tensor> m_tensors;
    std::unordered_map<const void*, graph::ValueId> m_known;  ///< constants that are in the graph, by their tensor
    std::set<std::string> m_modulePaths;
    std::string m_path, m_module, m_source;
    graph::ValueId m_firstOfNode = 0;
};

/// What is known of the results of an operator from its arguments: element type and number of dimensions.
void inferTypes(const std::string& op, const std::vector<Term>& args, std::vector<Term>& results);

/// "/layers/0/attn/MatMul" -> "layers.0.attn.MatMul": the path a name stands for. Characters that patterns give a meaning are replaced.
std::string pathOf(const std::string& name);

}  // namespace orrery::models::onnx
