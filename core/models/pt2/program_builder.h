#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include <core/graph/weights.h>
#include <core/io/exported_program.h>
#include <core/models/script_program.h>

/// Internal to core/models/pt2.
namespace orrery::models {

/// Writes a program of torch.export down as TorchScript, which ScriptConverter walks: control flow becomes `If` and `Loop`, Python's operators on sizes become
/// TorchScript's, arguments that were left out get their defaults, names of newer operators are replaced by what libtorch has.
class ProgramBuilder {
public:
    /// @param tensors  Parameters, buffers and constants by their dotted names.
    ProgramBuilder(const io::ExportedProgram& program, const graph::Weights& tensors);
    /// @throws core::FormatError for what cannot be expressed, naming it.
    ts::Module build();
    /// Names of the module's inputs and of its outputs, in order.
    const std::vector<std::string>& inputNames() const { return m_inputNames; }
    const std::vector<std::string>& outputNames() const { return m_outputNames; }
    const std::set<std::string>& notes() const { return m_notes; }
    /// Operators that this libtorch does not have, as "aten::name.overload".
    const std::set<std::string>& unknownOperators() const { return m_unknown; }

private:
    using Values = std::map<std::string, ts::Value*>;
    /// One argument of an operator as its schema wants it; null if it does not fit.
    struct Fitted {
        std::vector<ts::Value*> inputs;
        bool fits = true;
    };

    // program_builder.cpp
    void declareModules(const io::ExportedGraph& graph);
    void declareTensors();
    void bindInputs(Values& values);
    void finishOutputs(const Values& values, std::vector<ts::Value*>& outputs);
    void addNodes(const io::ExportedGraph& graph, Values& values);
    void addNode(const io::ExportedNode& node, Values& values);
    void bindOutputs(const io::ExportedNode& node, ts::Node& made, Values& values);
    std::string moduleOf(const io::ExportedNode& node) const;
    ts::Node& insert(const std::string& op, std::vector<ts::Value*> inputs, const std::vector<c10::TypePtr>& outputs);
    ts::Value* insertOne(const std::string& op, std::vector<ts::Value*> inputs, const c10::TypePtr& output);
    [[noreturn]] void fail(const io::ExportedNode& node, const std::string& reason) const;

    // program_arguments.cpp: values and literals as a schema wants them
    ts::Value* value(const io::ExportedArgument& argument, const Values& values);
    ts::Value* plain(const io::ExportedArgument& argument, const Values& values);
    ts::Value* fitted(const io::ExportedArgument& argument, const c10::TypePtr& type, const Values& values);
    ts::Value* fittedList(const io::ExportedArgument& argument, const c10::TypePtr& element, const Values& values);
    std::optional<std::vector<ts::Value*>> arguments(const io::ExportedNode& node, const c10::FunctionSchema& schema, const Values& values);
    static c10::TypePtr typeOf(const io::ExportedArgument& argument);

    // program_operators.cpp: operators
    void addOperator(const io::ExportedNode& node, Values& values);
    bool addSizeOperator(const io::ExportedNode& node, Values& values);
    bool addReplacement(const io::ExportedNode& node, const std::string& op, Values& values);
    bool addSchemaOperator(const io::ExportedNode& node, const std::string& op, const std::string& overload, Values& values);
    void addUnknown(const io::ExportedNode& node, const std::string& op, const std::string& overload, Values& values);

    // program_control.cpp: operators that hold graphs
    void addHigherOrder(const io::ExportedNode& node, Values& values);
    void addCondition(const io::ExportedNode& node, Values& values);
    void addWhile(const io::ExportedNode& node, Values& values);
    void addScan(const io::ExportedNode& node, Values& values);
    void addInlined(const io::ExportedNode& node, Values& values);
    std::vector<ts::Value*> runGraph(const io::ExportedGraph& graph, const std::vector<ts::Value*>& arguments);
    std::vector<ts::Value*> listOf(const io::ExportedArgument& argument, const Values& values);
    static std::vector<const io::ExportedArgument*> outputsOf(const io::ExportedNode& node);
    void bindAll(const io::ExportedNode& node, const std::vector<ts::Value*>& results, Values& values);

    const io::ExportedProgram& m_program;
    const graph::Weights& m_tensors;
    ScriptProgram m_script;
    std::map<std::string, std::string> m_moduleTypes;
    std::map<const ts::Value*, std::string> m_weightOf;  ///< value -> name of the tensor
    const io::ExportedNode* m_node = nullptr;            ///< whose parts are being added
    std::string m_module, m_moduleType;
    bool m_ownLayout = false;  ///< results lie in memory in another order than where it was exported, so that `view` may not fit
    std::vector<std::string> m_inputNames, m_outputNames;
    std::set<std::string> m_notes, m_unknown;
};

}  // namespace orrery::models
