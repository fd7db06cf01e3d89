#pragma once
#include <string>
#include <vector>

#include "graph.h"
#include "model.h"

namespace orrery::graph {

/// Declares a graph in C++: each call adds a node (and its parameters) and gives the value it makes. Modules are scopes:
///
///     Builder builder("mlp");
///     auto x = builder.input("input", "float32", {"batch", "64"}, "table");
///     auto h = builder.relu(builder.linear("fc1", x, 64, 128));
///     auto model = builder.finish({{"logits", builder.linear("fc2", h, 128, 10)}});
///
/// Not thread-safe; one builder a graph.
class Builder {
public:
    /// Handle of a value; copies freely.
    struct Var {
        ValueId id = -1;
    };
    /// An argument of an operator: a value or a literal.
    struct Arg {
        Operand operand;
        Arg(Var var) : operand(Operand::of(var.id)) {}
        Arg(c10::IValue literal) : operand(Operand::literal(std::move(literal))) {}
        Arg(bool v) : Arg(c10::IValue(v)) {}
        Arg(int v) : Arg(c10::IValue(std::int64_t(v))) {}
        Arg(std::int64_t v) : Arg(c10::IValue(v)) {}
        Arg(double v) : Arg(c10::IValue(v)) {}
        Arg(const char* v) : Arg(c10::IValue(std::string(v))) {}
        Arg(std::vector<std::int64_t> v) : Arg(c10::IValue(std::move(v))) {}
        Arg(std::nullptr_t) : Arg(c10::IValue()) {}
    };
    /// Leaves its module at the end of the C++ scope.
    class Scope {
    public:
        explicit Scope(Builder& builder) : m_builder(builder) {}
        ~Scope() { m_builder.leave(); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        Builder& m_builder;
    };

    explicit Builder(std::string name);

    Var input(const std::string& name, const std::string& dtype, std::vector<std::string> shape, const std::string& kind = "float");
    /// The boolean that says whether the run trains.
    Var training();
    /// Opens a module below the current one; `type` as PyTorch names it ("Linear").
    [[nodiscard]] Scope module(const std::string& name, const std::string& type);
    Var parameter(const std::string& name, std::vector<std::int64_t> shape, core::Json init, Parameter::Kind kind = Parameter::Kind::Parameter,
                  at::ScalarType dtype = at::kFloat);
    /// A second name for an existing parameter ("lm_head.weight" tied to "wte.weight"); full path relative to the current module.
    Var tied(const std::string& name, Var parameter);

    /// Any operator: `op("aten::softmax.int", {x, -1})`. Missing trailing arguments take the schema's defaults. The node is named after the operator unless
    /// `name` is given; a repeated name gets `#2`. An in-place operator's value is named after the value it writes: `x@2`.
    /// @throws core::InputError if libtorch has no such operator or an argument without default is missing.
    Var op(const std::string& qualifiedOp, std::vector<Arg> args, const std::string& name = {});
    std::vector<Var> ops(const std::string& qualifiedOp, std::vector<Arg> args, const std::string& name = {});
    /// A list of values: prim::ListConstruct.
    Var list(std::vector<Var> items, const std::string& elementType = "Tensor");
    /// A list of integers from values and literals: the sizes of a reshape. One list may serve several nodes.
    Var shape(std::vector<Arg> sizes);
    /// The items of a list: prim::ListUnpack. The values are named `names` if given (as many as `count`), else unpack, unpack:1, ...
    std::vector<Var> unpack(Var list, std::size_t count, const std::vector<std::string>& names = {});

    // Modules with the parameters and initialisation of torch.nn, each in a module scope `name`.
    Var linear(const std::string& name, Var x, std::int64_t in, std::int64_t out, bool bias = true);
    Var conv2d(const std::string& name, Var x, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1,
               std::int64_t padding = 0, bool bias = true, std::int64_t groups = 1, std::int64_t dilation = 1);
    Var batchNorm(const std::string& name, Var x, std::int64_t features, double momentum = 0.1, double eps = 1e-5);
    Var layerNorm(const std::string& name, Var x, std::int64_t features, double eps = 1e-5, bool bias = true);
    Var embedding(const std::string& name, Var indices, std::int64_t count, std::int64_t features, double std = 1.0);
    Var dropout(const std::string& name, Var x, double p);  ///< p = 0 adds no node
    // Plain operators under the names papers use.
    Var relu(Var x);
    Var gelu(Var x, const std::string& approximate = "none");
    Var add(Var a, Var b);
    Var matmul(Var a, Var b);
    Var softmax(Var x, std::int64_t dim);
    Var maxPool2d(Var x, std::int64_t kernel, std::int64_t stride = 0, std::int64_t padding = 0);
    Var avgPool2d(Var x, std::int64_t kernel, std::int64_t stride = 0);
    Var adaptiveAvgPool2d(Var x, std::int64_t size);
    Var flatten(Var x, std::int64_t from = 1, std::int64_t to = -1);
    Var reshape(Var x, std::vector<Arg> shape);  ///< sizes may be values (`size(x, 0)`) or literals
    Var transpose(Var x, std::int64_t a, std::int64_t b);
    Var size(Var x, std::int64_t dim);

    /// Changes how a parameter starts (a path as in `parameter`, or a glob over full names).
    void setInit(const std::string& pattern, const core::Json& init);
    ModelCard& card() { return m_card; }
    /// Ends the graph. The builder is empty afterwards. Weights are not drawn here (see `initialize`).
    Model finish(std::vector<std::pair<std::string, Var>> outputs);

private:
    friend class Scope;
    void leave();
    std::string path(const std::string& name) const;
    std::string uniqueName(const std::string& base);
    ValueId newValue(std::string name, std::string type = "Tensor");
    GraphData m_data;
    ModelCard m_card;
    std::vector<std::string> m_scopes;
    std::map<std::string, int> m_nameCounts;
};

}  // namespace orrery::graph
