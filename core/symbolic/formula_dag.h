#pragma once
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "formula.h"

/// Internal to core/symbolic: terms being put together.
namespace orrery::symbolic {

/// Terms of which no two are equal. Sums and products of the same two terms in either order are equal. Not thread-safe.
class FormulaDag {
public:
    explicit FormulaDag(std::map<std::string, Shape> variables) : m_variables(std::move(variables)) {}

    /// The term, made if it is not there yet. @throws core::InputError if the shapes of its arguments do not fit.
    std::size_t add(Term term);
    std::size_t number(double value) { return add({TermKind::Number, value, {}, {}, 0}); }
    std::size_t variable(const std::string& name) { return add({TermKind::Variable, 0, name, {}, 0}); }
    std::size_t call(const std::string& name, std::vector<std::size_t> arguments) { return add({TermKind::Call, 0, name, std::move(arguments), 0}); }
    std::size_t negate(std::size_t a) { return add({TermKind::Negate, 0, {}, {a}, 0}); }
    std::size_t plus(std::size_t a, std::size_t b) { return add({TermKind::Add, 0, {}, {a, b}, 0}); }
    std::size_t minus(std::size_t a, std::size_t b) { return add({TermKind::Subtract, 0, {}, {a, b}, 0}); }
    std::size_t times(std::size_t a, std::size_t b) { return add({TermKind::Multiply, 0, {}, {a, b}, 0}); }
    std::size_t over(std::size_t a, std::size_t b) { return add({TermKind::Divide, 0, {}, {a, b}, 0}); }
    std::size_t power(std::size_t a, std::size_t b) { return add({TermKind::Power, 0, {}, {a, b}, 0}); }

    std::size_t size() const { return m_terms.size(); }
    const Term& term(std::size_t id) const { return m_terms[id]; }
    const Shape& shape(std::size_t id) const { return m_shapes[id]; }
    const std::map<std::string, Shape>& variables() const { return m_variables; }
    bool is(std::size_t id, TermKind kind) const { return m_terms[id].kind == kind; }
    bool isCall(std::size_t id, std::string_view name) const { return m_terms[id].kind == TermKind::Call && m_terms[id].name == name; }
    std::size_t argument(std::size_t id, std::size_t index) const { return m_terms[id].arguments[index]; }

    /// The number that every element of a term is, if that is known: a number, or one that is broadcast.
    std::optional<double> constant(std::size_t id) const;
    bool isConstant(std::size_t id, double value) const;
    /// `value` in the shape of the term `like`.
    std::size_t filled(double value, std::size_t like);

    /// The terms that the outputs need, as plain data.
    Formula formula(const std::vector<Formula::Output>& outputs) const;

private:
    using Key = std::tuple<TermKind, std::uint64_t, std::string, std::vector<std::size_t>>;
    static Key keyOf(const Term& term);
    std::map<std::string, Shape> m_variables;
    std::vector<Term> m_terms;
    std::vector<Shape> m_shapes;
    std::map<Key, std::size_t> m_known;
};

/// The shape of what a term makes. @throws core::InputError with the column if the arguments do not fit.
Shape shapeOf(const Term& term, const std::vector<Shape>& arguments, const std::map<std::string, Shape>& variables);
/// The axis that the second argument of sum, mean, count names, counted from the front. @throws core::InputError.
std::int64_t axisOf(const Term& term, const Term& axis, std::size_t axes);
/// Which terms the outputs need.
std::vector<bool> neededTerms(const Formula& formula);

}  // namespace orrery::symbolic
