#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include <core/graph/graph.h>

/// Internal to core/models/onnx.
namespace orrery::models::onnx {

/// What an ONNX value is while its graph is being converted. One of: a value of our graph; a literal (numbers, lists of numbers, None); a tensor that is known
/// already (an initialiser, a constant or what was computed from them), which enters the graph when a node reads it; or a small int64 tensor of which each
/// element is known as an int (sizes), which becomes a tensor only if something needs it as one.
struct Term {
    graph::Operand operand;
    at::Tensor constant;
    std::vector<Term> items;  ///< of a list, or the elements of a tensor of sizes
    bool hasItems = false;
    bool isSize = false;   ///< of an int: the size of an axis, so it is not negative
    bool foldable = true;  ///< of a constant: may be computed with while converting. Weights are not.
    std::string name;      ///< of a constant: the file's
    std::optional<at::ScalarType> dtype;
    std::optional<int> rank;
    std::string type = "Tensor";

    Term() = default;
    Term(graph::ValueId value, std::string valueType) : operand(graph::Operand::of(value)), type(std::move(valueType)) {}
    explicit Term(c10::IValue literal) : operand(graph::Operand::literal(std::move(literal))), type("literal") {}
    Term(bool v) : Term(c10::IValue(v)) {}
    Term(int v) : Term(c10::IValue(std::int64_t(v))) {}
    Term(std::int64_t v) : Term(c10::IValue(v)) {}
    Term(double v) : Term(c10::IValue(v)) {}
    Term(const char* v) : Term(c10::IValue(std::string(v))) {}
    Term(std::vector<std::int64_t> v) : Term(c10::IValue(std::move(v))) {}
    Term(at::ScalarType v) : Term(c10::IValue(std::int64_t(v))) {}
    Term(std::nullptr_t) : Term(c10::IValue()) {}

    bool isConstant() const { return constant.defined(); }
    bool isValue() const { return operand.value >= 0; }
    bool isLiteral() const { return !isValue() && !isConstant() && !hasItems; }
    bool isNone() const { return isLiteral() && operand.constant.isNone(); }
    bool isInt() const { return isLiteral() && operand.constant.isInt(); }
    bool isSequence() const { return type.rfind("List[Tensor", 0) == 0; }
    bool isIntegral() const { return dtype && c10::isIntegralType(*dtype, false); }
};

/// A tensor of sizes. @param rank  0 (one item) or 1.
inline Term sizesTerm(std::vector<Term> items, int rank)
{
    Term term;
    term.items = std::move(items);
    term.hasItems = true;
    term.dtype = at::kLong;
    term.rank = rank;
    return term;
}

inline Term constantTerm(at::Tensor tensor, std::string name = {})
{
    Term term;
    term.dtype = tensor.scalar_type();
    term.rank = int(tensor.dim());
    term.constant = std::move(tensor);
    term.name = std::move(name);
    return term;
}

}  // namespace orrery::models::onnx
