#pragma once
#include <ATen/core/ivalue.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <core/graph/graph.h>

namespace torch::jit {
struct Function;
}

/// Internal to core/models: what a TorchScript value stands for while its program is walked.
namespace orrery::models {

namespace ts = torch::jit;

using graph::Operand;
using graph::ValueId;

/// What one TorchScript value is bound to. Modules, functions and tuples exist only while importing; all else is a cell.
struct Binding {
    enum class Kind { Cell, Object, Function, Tuple };
    Kind kind = Kind::Cell;
    int cell = -1;
    c10::IValue object;  ///< Object: the module (or any object of the file)
    std::string path;    ///< Object: its dotted path
    torch::jit::Function* function = nullptr;
    std::vector<Binding> items;  ///< Tuple
    c10::TypePtr type;           ///< Tuple: keeps the names of a NamedTuple
    bool operator==(const Binding& other) const;
};

/// How a view is made from the value it looks into; `inputs[0]` is the place of that value.
struct ViewRecipe {
    std::string op, overload;
    std::vector<Operand> inputs;
    std::string module;
    bool certain = true;  ///< false: may be a copy (reshape, contiguous, to)
};

/// One object of the TorchScript program: a tensor, list, dict or scalar with an identity, whose content may change by writes. `current` is its newest version.
struct Cell {
    Operand current;
    std::string type;
    std::string leaf;  ///< name of the parameter or buffer it came from
    int base = -1;     ///< the cell it is a view of
    ViewRecipe recipe;
    bool stale = false;     ///< the base was written since: to be made anew before the next use
    bool mayAlias = false;  ///< shares memory with something unknown
    bool escaped = false;   ///< held by a list, dict or tuple
    bool apart = false;     ///< a root some of whose views hold newer versions in memory of their own
    /// Known contents, in order; keys for a dict.
    std::optional<std::vector<std::pair<c10::IValue, Binding>>> items;
};

/// Everything that a branch or a loop step may change, so that it can be put back.
struct Variables {
    std::vector<Cell> cells;
    std::map<std::string, Binding> attributes;  ///< dotted path -> what it holds now
};

/// Equal literals (same kind, same value).
bool sameLiteral(const c10::IValue& a, const c10::IValue& b);
bool sameOperand(const Operand& a, const Operand& b);
/// True for None, bool, int, float, string, device, and lists, tuples of them.
bool isLiteral(const c10::IValue& value);
/// "__torch__.torch.nn.modules.linear.___torch_mangle_0.Linear" -> "Linear".
std::string shortTypeName(const c10::Type& type);
/// "aten::relu_" -> "relu", "prim::ListConstruct" -> "list".
std::string shortOpName(const std::string& op);

}  // namespace orrery::models
