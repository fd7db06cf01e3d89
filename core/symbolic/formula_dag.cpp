#include "formula_dag.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::symbolic {
namespace {

[[noreturn]] void refuse(const Term& term, const std::string& reason)
{
    throw core::InputError(term.column > 0 ? fmt::format("formula, column {}: {}", term.column, reason) : "formula: " + reason);
}

std::string symbolOf(const Term& term)
{
    switch (term.kind) {
    case TermKind::Add: return "+";
    case TermKind::Subtract: return "-";
    case TermKind::Multiply: return "*";
    case TermKind::Divide: return "/";
    case TermKind::Power: return "^";
    default: return term.name;
    }
}

Shape broadcastTogether(const Term& term, const Shape& a, const Shape& b)
{
    Shape out(std::max(a.size(), b.size()));
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::int64_t left = i < a.size() ? a[a.size() - 1 - i] : 1, right = i < b.size() ? b[b.size() - 1 - i] : 1;
        if (left != right && left != 1 && right != 1)
            refuse(term, fmt::format("{} of {} and {}: axis {} from the right has {} and {} elements", symbolOf(term), core::formatShape(a),
                                     core::formatShape(b), i + 1, left, right));
        out[out.size() - 1 - i] = left == 1 ? right : left;
    }
    return out;
}

Shape multiplied(const Term& term, const Shape& a, const Shape& b)
{
    if (a.size() < 2 || b.size() < 2)
        refuse(term, fmt::format("matmul: expected matrices (two axes or more), got {} and {}", core::formatShape(a), core::formatShape(b)));
    if (a.back() != b[b.size() - 2])
        refuse(term, fmt::format("matmul of {} and {}: the first has {} columns, the second {} rows", core::formatShape(a), core::formatShape(b),
                                 a.back(), b[b.size() - 2]));
    Shape out = broadcastTogether(term, Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
    out.push_back(a[a.size() - 2]);
    out.push_back(b.back());
    return out;
}

/// `from` broadcasts to `to`.
bool fits(const Shape& from, const Shape& to)
{
    if (from.size() > to.size())
        return false;
    for (std::size_t i = 0; i < from.size(); ++i)
        if (from[from.size() - 1 - i] != 1 && from[from.size() - 1 - i] != to[to.size() - 1 - i])
            return false;
    return true;
}

Shape transposed(const Term& term, Shape shape)
{
    if (shape.size() < 2)
        refuse(term, "transpose: expected two axes or more, got " + core::formatShape(shape));
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
    return shape;
}

Shape calledShape(const Term& term, const std::vector<Shape>& arguments)
{
    const std::string& name = term.name;
    if (name == "matmul")
        return multiplied(term, arguments[0], arguments[1]);
    if (name == "transpose")
        return transposed(term, arguments[0]);
    if (name == "sum_like" || name == "expand_like") {
        const bool sums = name == "sum_like";
        if (!fits(arguments[sums ? 1 : 0], arguments[sums ? 0 : 1]))
            refuse(term, fmt::format("{}: {} does not broadcast to {}", name, core::formatShape(arguments[sums ? 1 : 0]),
                                     core::formatShape(arguments[sums ? 0 : 1])));
        return arguments[1];
    }
    Shape shape = arguments[0];
    for (std::size_t i = 1; i < arguments.size(); ++i)
        shape = broadcastTogether(term, shape, arguments[i]);
    return shape;
}

bool reduces(const std::string& name)
{
    return name == "sum" || name == "mean" || name == "count";
}

}  // namespace

std::int64_t axisOf(const Term& term, const Term& axis, std::size_t axes)
{
    const bool negative = axis.kind == TermKind::Number && axis.number < 0;
    const double number = negative ? axis.number + double(axes) : axis.number;
    if (axis.kind != TermKind::Number || number != std::floor(number) || number < 0 || number >= double(axes))
        refuse(term, fmt::format("{}: expected the number of one of {} axes (-1: the last){}", term.name, axes,
                                 axis.kind == TermKind::Number ? fmt::format(", got {}", axis.number) : ", got something computed"));
    return std::int64_t(number);
}

Shape shapeOf(const Term& term, const std::vector<Shape>& arguments, const std::map<std::string, Shape>& variables)
{
    switch (term.kind) {
    case TermKind::Number: return {};
    case TermKind::Variable: return variables.at(term.name);
    case TermKind::Negate: return arguments[0];
    case TermKind::Call: return calledShape(term, arguments);
    default: return broadcastTogether(term, arguments[0], arguments[1]);
    }
}

FormulaDag::Key FormulaDag::keyOf(const Term& term)
{
    std::vector<std::size_t> arguments = term.arguments;
    const bool commutes =
        term.kind == TermKind::Add || term.kind == TermKind::Multiply || (term.kind == TermKind::Call && (term.name == "min" || term.name == "max"));
    if (commutes)
        std::sort(arguments.begin(), arguments.end());
    return {term.kind, std::bit_cast<std::uint64_t>(term.number), term.name, std::move(arguments)};
}

std::size_t FormulaDag::add(Term term)
{
    Key key = keyOf(term);
    if (const auto known = m_known.find(key); known != m_known.end())
        return known->second;
    Shape shape;
    if (term.kind == TermKind::Call && reduces(term.name)) {
        if (term.arguments.size() > 2)
            refuse(term, fmt::format("{} takes a value and an axis, got {} arguments", term.name, term.arguments.size()));
        shape = m_shapes[term.arguments[0]];
        const bool whole = term.arguments.size() == 1;
        if (!whole)
            shape[std::size_t(axisOf(term, m_terms[term.arguments[1]], shape.size()))] = 1;
        if (whole || term.name == "count")
            shape.clear();
    } else {
        std::vector<Shape> shapes;
        for (const auto argument : term.arguments)
            shapes.push_back(m_shapes[argument]);
        shape = shapeOf(term, shapes, m_variables);
    }
    m_terms.push_back(std::move(term));
    m_shapes.push_back(std::move(shape));
    return m_known[std::move(key)] = m_terms.size() - 1;
}

std::optional<double> FormulaDag::constant(std::size_t id) const
{
    while (isCall(id, "expand_like"))
        id = argument(id, 0);
    return is(id, TermKind::Number) ? std::optional(m_terms[id].number) : std::nullopt;
}

bool FormulaDag::isConstant(std::size_t id, double value) const
{
    return constant(id) == value;
}

std::size_t FormulaDag::filled(double value, std::size_t like)
{
    const Shape shape = m_shapes[like];
    const std::size_t made = number(value);
    if (shape.empty())
        return made;
    // A variable of that shape is there anyway; the term itself would have to be computed.
    for (const auto& [name, variableShape] : m_variables)
        if (variableShape == shape)
            return call("expand_like", {made, variable(name)});
    while (isCall(like, "expand_like"))
        like = argument(like, 1);
    return call("expand_like", {made, like});
}

Formula FormulaDag::formula(const std::vector<Formula::Output>& outputs) const
{
    Formula whole{m_terms, m_shapes, outputs, m_variables};
    const std::vector<bool> needed = neededTerms(whole);
    Formula made;
    made.variables = m_variables;
    std::vector<std::size_t> place(m_terms.size());
    for (std::size_t i = 0; i < m_terms.size(); ++i) {
        if (!needed[i])
            continue;
        place[i] = made.terms.size();
        made.terms.push_back(m_terms[i]);
        made.shapes.push_back(m_shapes[i]);
        for (auto& argument : made.terms.back().arguments)
            argument = place[argument];
    }
    for (const auto& output : outputs)
        made.outputs.push_back({output.name, place[output.term]});
    return made;
}

std::vector<bool> neededTerms(const Formula& formula)
{
    std::vector<bool> needed(formula.terms.size());
    for (const auto& output : formula.outputs)
        needed[output.term] = true;
    for (std::size_t i = formula.terms.size(); i-- > 0;)
        if (needed[i])
            for (const auto argument : formula.terms[i].arguments)
                needed[argument] = true;
    return needed;
}

}  // namespace orrery::symbolic
