#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/expression.h>

/// Formulas on tensors as graphs: typed in the language of core::Expression, rewritten by named rules, differentiated by rules, and made a model like any other.
/// Source of the idea: Theano Development Team (2016), "Theano: A Python framework for fast computation of mathematical expressions", arXiv:1605.02688.
namespace orrery::symbolic {

using Shape = std::vector<std::int64_t>;
using Term = core::Expression::Node;
using TermKind = core::Expression::Kind;

/// A formula as plain data: terms, arguments before their users. A term may have several users. Shapes broadcast from the right, as tensor libraries have it.
struct Formula {
    struct Output {
        std::string name;
        std::size_t term = 0;
    };
    std::vector<Term> terms;
    std::vector<Shape> shapes;  ///< of the terms
    std::vector<Output> outputs;
    std::map<std::string, Shape> variables;  ///< all of them, used or not

    /// Terms that compute: neither number nor variable.
    int operations() const;
    const Output& output(std::string_view name) const;  ///< @throws core::InputError naming those there are
};

/// The functions of core::Expression, and: sin, cos, erf, softplus, step (1 above 0, else 0); matmul(a, b) of matrices or batches of them; transpose(x) of the last
/// two axes; sum(x), mean(x) of everything, sum(x, axis), mean(x, axis) with the axis kept at size 1; count(x), count(x, axis): how many elements;
/// expand_like(a, b): `a` broadcast to the shape of `b`; sum_like(a, b): `a` summed to the shape of `b`, which broadcasts to it.
const std::map<std::string, int>& formulaFunctions();

/// Reads a formula; one output, "value". Nothing is shared yet, but for equal variables: what stands twice in the text is there twice.
/// @param variables  Shapes of the variables; those that are used and missing here are single numbers.
/// @throws core::InputError with the column: what parseExpression refuses, shapes that do not fit, names with an index or a dot.
Formula parseFormula(std::string_view text, const std::map<std::string, Shape>& variables = {});

/// A term as text that `parseFormula` reads, longer than `limit` characters cut with an ellipsis.
std::string toText(const Formula& formula, std::size_t term, std::size_t limit = 4000);
/// The formula line by line: what is used more than once has a line of its own, "t1 = exp(x)"; the outputs come last, "value = t1 / (1 + t1)".
std::vector<std::string> toLines(const Formula& formula);

/// How often a rule was used.
struct RuleCount {
    std::string rule, explanation;
    int count = 0;
};
/// One use of a rule, as text.
struct RewriteStep {
    std::string rule, before, after;
};
struct Rewritten {
    Formula formula;
    std::vector<RuleCount> rules;    ///< those that were used, in the order of the table of rules
    std::vector<RewriteStep> steps;  ///< the first hundred
    int before = 0, after = 0;       ///< operations
};
/// Shares equal subexpressions, folds constants and applies algebraic rules until nothing changes. Wherever the formula and all its
/// parts are finite numbers, the rewritten one gives the same up to rounding; it may give a number where the formula gave none (x / x at 0). The shapes are taken as given: constants that take
/// their place have exactly that shape.
Rewritten rewrite(const Formula& formula);
/// The rules by name, with a sentence each: "shared subexpressions", "constant folding", ...
std::vector<RuleCount> rewriteRules();

/// The gradient of the sum over all elements of an output with respect to variables, by the chain rule backwards over the terms; outputs "d_NAME", behind those
/// of `formula` if `keepOutputs`. Of elementwise formulas this is the derivative of each element. At kinks: relu, abs and step have 0, max and min share equally.
/// It can be differentiated again. @throws core::InputError for an unknown output or variable.
Formula derivative(const Formula& formula, const std::vector<std::string>& variables, std::string_view output = "value", bool keepOutputs = false);

}  // namespace orrery::symbolic
