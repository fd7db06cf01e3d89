#pragma once
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <core/graph/graph.h>
#include <core/graph/weights.h>

#include "script_finish.h"
#include "script_values.h"
#include "torchscript.h"

/// Internal to core/models.
namespace orrery::models {

/// Begins the path of an object that the program makes; no attribute's name does.
inline const std::string kObjectPrefix = "%";

/// Walks the program of a TorchScript module once, from `forward` into every call, and writes down the operators it meets. Modules, tuples and functions are
/// followed here; tensors, lists and scalars are cells (see script_values.h), so that a write makes a new version instead of changing memory.
class ScriptConverter {
public:
    ScriptConverter(ts::Module module, const TorchScriptOptions& options) : m_root(std::move(module)), m_options(options) {}
    /// @throws core::FormatError; libtorch's exceptions pass through.
    graph::GraphData convert();
    graph::Weights weights() const { return graph::Weights(m_tensors); }
    std::vector<std::string> notes() const;

private:
    /// Bindings of one graph's values, and where it runs.
    struct Frame {
        std::unordered_map<const ts::Value*, Binding> values;
        std::string module;          ///< path of the module whose code this is
        bool readsTraining = false;  ///< the code asks for self.training: scripted, not traced
        bool trainingAttribute = false;
        std::string moduleType;
    };

    // script_converter.cpp: leaves, inputs, outputs, calls, attributes
    void registerModules();
    void registerWeights();
    void registerLeaf(const std::string& name, const at::Tensor& tensor, graph::Parameter::Kind kind);
    Binding leaf(const at::Tensor& tensor, const std::string& nameIfNew);
    std::vector<Binding> bindInputs(const ts::Function& forward);
    Binding inputOf(const std::string& name, const c10::TypePtr& type);
    void flattenOutput(const Binding& result, const std::string& name);
    void addBufferUpdates();
    Binding call(ts::Function& function, const std::vector<Binding>& arguments, const std::string& module, const Frame* caller);
    Binding bindObject(const c10::IValue& value, const std::string& path);
    Binding getAttribute(const ts::Node& node, Frame& frame);
    void setAttribute(const ts::Node& node, Frame& frame);

    // script_nodes.cpp: one node
    void convertBlock(const ts::Block& block, Frame& frame);
    void convertNode(const ts::Node& node, Frame& frame);
    bool convertOwn(const ts::Node& node, Frame& frame);
    void readMarks(const ts::Node& node, Frame& frame);
    void convertUnknown(const ts::Node& node, Frame& frame);
    bool convertAttention(const ts::Node& node, Frame& frame);  // script_attention.cpp
    Operand causalMask(const Operand& query, const Operand& key);
    void convertContainer(const ts::Node& node, Frame& frame);
    void convertTuple(const ts::Node& node, Frame& frame);
    void convertCall(const ts::Node& node, Frame& frame);
    void convertOperator(const ts::Node& node, Frame& frame);
    Binding newObject(const c10::TypePtr& type);
    Binding uninitialized(const c10::TypePtr& type);
    bool foldNoneCheck(const ts::Node& node, Frame& frame);
    bool foldGetItem(const ts::Node& node, Frame& frame);
    bool fold(const ts::Node& node, const std::vector<Operand>& inputs, Frame& frame);
    void followTraining(const ts::Node& node, std::vector<Operand>& inputs, const Frame& frame);
    void noteOperator(const ts::Node& node);
    std::string place(const ts::Node& node) const;

    // script_blocks.cpp: branches and loops
    void convertIf(const ts::Node& node, Frame& frame);
    void convertLoop(const ts::Node& node, Frame& frame);
    struct Branch {
        graph::Block block;
        std::vector<Binding> outputs;
        Variables after;
    };
    Branch convertBranch(const ts::Block& block, Frame& frame);
    /// The two branches of an `if` and the node being made of them.
    struct Merge {
        Branch first, second;
        graph::Node node;
        Operand condition;
        std::size_t cellsBefore = 0;
        int objectsBefore = 0;
    };
    Operand readIn(Branch& branch, const Binding& binding);
    bool isOuter(const Branch& branch, const Binding& binding, std::size_t cellsBefore) const;
    Operand mergeOperands(Merge& merge, Operand a, Operand b, const std::string& type);
    Binding mergeBindings(Merge& merge, const Binding& a, const Binding& b, const c10::TypePtr& type);
    void mergeCells(Merge& merge);
    void mergeAttributes(Merge& merge);
    Binding attributeBefore(const std::string& path);
    /// An attribute of an object made inside a block, which ends with it.
    static bool isLocal(const std::string& path, int objectsBefore);
    struct Carried {
        std::vector<int> cells;               ///< written in the body
        std::vector<std::string> attributes;  ///< set in the body
    };
    Carried whatLoopWrites(const ts::Node& node, Frame& frame);
    void bindLoopParameters(const ts::Node& node, Frame& frame, const Carried& carried, graph::Block& block);
    void finishLoop(const ts::Node& node, Frame& frame, const Carried& carried, graph::Node made);
    /// New values of a type, tuples item by item, appended to `ids`.
    Binding freshValues(const c10::TypePtr& type, const std::string& name, std::vector<ValueId>& ids);
    void flattenInto(const Binding& binding, const c10::TypePtr& type, std::vector<Operand>& operands);

    // script_writes.cpp: versions, views, writes
    Operand read(const Binding& binding);
    Operand readCell(int cell);
    int newCell(Operand current, std::string type);
    Binding cellBinding(Operand current, std::string type);
    /// Takes tuples apart, so that tuple-typed values are always known item by item.
    Binding bindResult(Operand value, const c10::TypePtr& type, bool mayAlias);
    int familyRoot(int cell) const;
    void markEscaped(const Binding& binding);
    void makeStale(int root, const std::set<int>& except);
    void linkView(const ts::Node& node, Frame& frame, std::size_t output, const Binding& result);
    bool convertWrite(const ts::Node& node, Frame& frame);
    void writeContainer(const ts::Node& node, Frame& frame, int cell);
    bool rebuildContainer(const ts::Node& node, Frame& frame, int cell);
    void makeContainer(int cell, std::vector<std::pair<c10::IValue, Binding>> items);
    bool writeTensor(const ts::Node& node, Frame& frame, int cell);
    void writeInPlace(const ts::Node& node, Frame& frame, int cell);
    std::optional<ValueId> functionalWrite(const ts::Node& node, Frame& frame, int cell);
    bool isFunctional(int cell) const;
    void scatterBack(int cell);
    Operand inverseView(const Cell& view, ValueId written, ValueId base);

    // Emission
    ValueId newValue(std::string base, std::string type, ValueId versionOf = -1);
    ValueId emit(const std::string& op, const std::string& overload, std::vector<Operand> inputs, const std::string& type = "Tensor",
                 ValueId versionOf = -1);
    graph::Node emitNode(const ts::Node& node, std::vector<Operand> inputs, ValueId versionOf = -1);
    std::string baseName(const std::string& op) const;
    Binding get(const ts::Value* value, Frame& frame);
    std::vector<Operand> readInputs(const ts::Node& node, Frame& frame);

    ts::Module m_root;
    TorchScriptOptions m_options;
    graph::GraphData m_data;
    std::vector<ValueNote> m_valueNotes;  ///< one for each of m_data.values
    std::map<std::string, at::Tensor> m_tensors;
    std::map<std::string, std::string> m_leafByIdentity;
    std::map<std::string, int> m_leafCells;
    std::map<std::string, ValueId> m_leafValues;
    Variables m_variables;
    graph::Block* m_block = nullptr;
    std::string m_module;
    std::string m_source;
    int m_depth = 0;
    std::set<std::string> m_notes;
    int m_removedChecks = 0;
    int m_objects = 0;  ///< made by the program itself
};

}  // namespace orrery::models
