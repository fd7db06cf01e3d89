#pragma once
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <core/graph/graph.h>

#include "script_values.h"

/// Internal to core/models.
namespace orrery::models {

/// Marks of nodes that ScriptConverter reads (see `ScriptProgram::mark`).
inline const c10::Symbol kModuleMark = c10::Symbol::attr("orrery_module");
inline const c10::Symbol kTypeMark = c10::Symbol::attr("orrery_type");
inline const c10::Symbol kSourceMark = c10::Symbol::attr("orrery_source");
inline const c10::Symbol kUnknownMark = c10::Symbol::attr("orrery_unknown");  ///< overload of an operator that libtorch does not have

/// A TorchScript module made in memory: nested modules with their tensors, and one method `forward` whose nodes the caller adds to `graph()`.
class ScriptProgram {
public:
    explicit ScriptProgram(const std::string& type);
    /// Makes the module, and those above it that are not there yet. Once for each path; "" is the root.
    void addModule(const std::string& path, const std::string& type);
    /// Parameters and buffers become attributes of the module that their dotted name says; constants are literals. The tensor is aliased.
    void addTensor(const std::string& name, const at::Tensor& tensor, graph::Parameter::Kind kind);
    ts::Graph& graph() { return *m_graph; }
    ts::Value* addInput(const std::string& name, const c10::TypePtr& type);
    /// The value of a tensor that was added. It is read where it is first asked for, which has to be outside nested blocks.
    ts::Value* tensor(const std::string& name);
    ts::Value* training();
    /// Writes a buffer, at the place where nodes are inserted now.
    void setTensor(const std::string& name, ts::Value* value);
    /// Literals of any kind a graph holds.
    ts::Value* literal(const c10::IValue& value);
    /// Says which module and line a node comes from.
    static void mark(ts::Node& node, const std::string& module, const std::string& type, const std::string& source);
    /// One output as it is, several as a tuple. Names of inputs that are no identifiers are changed.
    ts::Module finish(const std::vector<ts::Value*>& outputs);

private:
    struct Owner {
        ts::Module module;
        std::string path;
        ts::Value* value = nullptr;  ///< in the graph, once it was read
    };
    Owner& owner(const std::string& path);
    ts::Value* objectOf(const std::string& path);
    std::pair<std::string, std::string> placeOf(const std::string& name);

    ts::Module m_root;
    std::shared_ptr<ts::Graph> m_graph;
    ts::Value* m_self = nullptr;
    ts::Node* m_firstRead = nullptr;
    std::map<std::string, Owner> m_owners;
    std::map<std::string, std::pair<std::string, std::string>> m_places;  ///< tensor -> module path and attribute
    std::map<std::string, at::Tensor> m_literals;
    std::map<std::string, ts::Value*> m_read;
    std::vector<std::pair<std::string, c10::TypePtr>> m_inputs;
    ts::Value* m_training = nullptr;
};

/// "layers.0" -> "layers_0"; letters, digits and `_`, not beginning with a digit.
std::string asIdentifier(const std::string& name);

}  // namespace orrery::models
