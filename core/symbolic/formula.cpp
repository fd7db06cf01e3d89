#include "formula.h"

#include <algorithm>

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

#include "formula_dag.h"

namespace orrery::symbolic {
namespace {

void checkName(const Term& variable)
{
    if (variable.name.find_first_of(".[") != std::string::npos)
        throw core::InputError(
            fmt::format("formula, column {}: expected a name of letters, digits and _, got \"{}\"", variable.column, variable.name));
}

/// Terms as they stand in the text, shapes checked by a dag that is thrown away.
class FormulaReader {
public:
    explicit FormulaReader(std::map<std::string, Shape> variables) : m_dag(variables) { m_formula.variables = std::move(variables); }
    Formula read(const core::Expression& expression)
    {
        for (const auto& node : expression.nodes)
            m_place.push_back(placed(node));
        m_formula.outputs = {{"value", m_place.back()}};
        return std::move(m_formula);
    }

private:
    std::size_t placed(Term term)
    {
        for (auto& argument : term.arguments)
            argument = m_place[argument];
        // The parser writes -1 as a sign before a number.
        if (term.kind == TermKind::Negate && m_formula.terms[term.arguments[0]].kind == TermKind::Number)
            term = {TermKind::Number, -m_formula.terms[term.arguments[0]].number, {}, {}, term.column};
        if (term.kind == TermKind::Variable)
            if (const auto known = m_variables.find(term.name); known != m_variables.end())
                return known->second;
        const bool joins = term.kind == TermKind::Call && (term.name == "min" || term.name == "max");
        if (joins && term.arguments.size() == 1)
            return term.arguments[0];
        while (joins && term.arguments.size() > 2) {  // max(a, b, c) is max(max(a, b), c)
            Term inner = term;
            inner.arguments.resize(2);
            term.arguments.erase(term.arguments.begin());
            term.arguments[0] = push(std::move(inner));
        }
        const std::string name = term.kind == TermKind::Variable ? term.name : std::string();
        const std::size_t at = push(std::move(term));
        if (!name.empty())
            m_variables[name] = at;
        return at;
    }
    std::size_t push(Term term)
    {
        Term shared = term;
        for (auto& argument : shared.arguments)
            argument = m_shared[argument];
        m_shared.push_back(m_dag.add(std::move(shared)));
        m_formula.shapes.push_back(m_dag.shape(m_shared.back()));
        m_formula.terms.push_back(std::move(term));
        return m_formula.terms.size() - 1;
    }
    FormulaDag m_dag;
    Formula m_formula;
    std::vector<std::size_t> m_place, m_shared;  // of the expression's nodes in the formula; of the formula's terms in the dag
    std::map<std::string, std::size_t> m_variables;
};

}  // namespace

int Formula::operations() const
{
    const auto needed = neededTerms(*this);
    int count = 0;
    for (std::size_t i = 0; i < terms.size(); ++i)
        count += needed[i] && terms[i].kind != TermKind::Number && terms[i].kind != TermKind::Variable;
    return count;
}

const Formula::Output& Formula::output(std::string_view name) const
{
    const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const auto& each) { return each.name == name; });
    if (found != outputs.end())
        return *found;
    std::vector<std::string> names;
    for (const auto& each : outputs)
        names.push_back(each.name);
    throw core::InputError(fmt::format("the formula has no output \"{}\": it has {}", name, core::join(names, ", ")));
}

const std::map<std::string, int>& formulaFunctions()
{
    static const std::map<std::string, int> kFunctions = [] {
        std::map<std::string, int> functions = core::expressionFunctions();
        functions.insert({{"sin", 1},
                          {"cos", 1},
                          {"erf", 1},
                          {"softplus", 1},
                          {"step", 1},
                          {"matmul", 2},
                          {"transpose", 1},
                          {"sum", -1},
                          {"mean", -1},
                          {"count", -1},
                          {"expand_like", 2},
                          {"sum_like", 2}});
        return functions;
    }();
    return kFunctions;
}

Formula parseFormula(std::string_view text, const std::map<std::string, Shape>& variables)
{
    const core::Expression expression = core::parseExpression(text, {}, formulaFunctions());
    std::map<std::string, Shape> all = variables;
    for (const auto& node : expression.nodes) {
        if (node.kind != TermKind::Variable)
            continue;
        checkName(node);
        all.try_emplace(node.name);
    }
    for (const auto& [name, shape] : all)
        for (const auto size : shape)
            if (size < 1)
                throw core::InputError(fmt::format("variable \"{}\": expected sizes of 1 or more, got {}", name, core::formatShape(shape)));
    return FormulaReader(std::move(all)).read(expression);
}

}  // namespace orrery::symbolic
