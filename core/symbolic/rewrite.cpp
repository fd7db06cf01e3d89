#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include <core/base/error.h>

#include "rewrite_rules.h"

namespace orrery::symbolic {
namespace {

constexpr int kMostPasses = 200;
constexpr std::size_t kMostSteps = 100;
constexpr std::size_t kStepText = 160;

std::optional<std::size_t> foldConstants(FormulaDag& dag, std::size_t id)
{
    std::vector<double> numbers;
    for (const auto argument : dag.term(id).arguments) {
        const auto number = dag.constant(argument);
        if (!number)
            return std::nullopt;
        numbers.push_back(*number);
    }
    const auto value = numbers.empty() ? std::nullopt : foldedNumber(dag.term(id), numbers);
    if (!value || !std::isfinite(*value))
        return std::nullopt;
    return dag.filled(*value, id);
}

const RewriteRule kShared{"shared subexpressions", "What stands there twice is computed once.", nullptr};
const RewriteRule kFolding{"constant folding", "Arithmetic of numbers is done beforehand.", foldConstants};

std::vector<const RewriteRule*> allRules()
{
    std::vector<const RewriteRule*> rules = {&kShared, &kFolding};
    for (const auto family : {shapeRules(), sumRules(), productRules()})
        for (const auto& rule : family)
            rules.push_back(&rule);
    return rules;
}

class Rewriter {
public:
    explicit Rewriter(const Formula& formula) : m_rules(allRules()), m_counts(m_rules.size()) { m_result.formula = formula; }
    Rewritten run()
    {
        m_result.before = m_result.formula.operations();
        for (int pass = 0; pass < kMostPasses; ++pass)
            if (!onePass())
                break;
        m_result.after = m_result.formula.operations();
        for (std::size_t i = 0; i < m_rules.size(); ++i)
            if (m_counts[i] > 0)
                m_result.rules.push_back({m_rules[i]->name, m_rules[i]->explanation, m_counts[i]});
        return std::move(m_result);
    }

private:
    /// @return Whether anything was rewritten.
    bool onePass()
    {
        const Formula& formula = m_result.formula;
        FormulaDag dag(formula.variables);
        const auto needed = neededTerms(formula);
        bool changed = false;
        std::vector<std::size_t> place(formula.terms.size());
        for (std::size_t i = 0; i < formula.terms.size(); ++i) {
            if (!needed[i])
                continue;
            Term term = formula.terms[i];
            for (auto& argument : term.arguments)
                argument = place[argument];
            const bool computes = !term.arguments.empty();
            const std::size_t known = dag.size();
            const std::size_t made = dag.add(std::move(term));
            if (computes && made < known && m_entered.contains(made)) {
                count(0, dag, made, made);
                changed = true;
            }
            m_entered.insert(made);
            place[i] = simplified(dag, made, changed);
        }
        m_entered.clear();
        std::vector<Formula::Output> outputs;
        for (const auto& output : formula.outputs)
            outputs.push_back({output.name, place[output.term]});
        m_result.formula = dag.formula(outputs);
        return changed;
    }
    std::size_t simplified(FormulaDag& dag, std::size_t id, bool& changed)
    {
        // Each use of a rule makes the term smaller or moves a constant outwards; the bound is for mistakes.
        for (int uses = 0; uses < 50; ++uses) {
            const std::size_t before = id;
            for (std::size_t rule = 1; rule < m_rules.size() && id == before; ++rule) {
                const auto made = m_rules[rule]->apply(dag, id);
                if (!made || *made == id)
                    continue;
                count(rule, dag, id, *made);
                id = *made;
            }
            if (id == before)
                return id;
            changed = true;
        }
        return id;
    }
    void count(std::size_t rule, const FormulaDag& dag, std::size_t before, std::size_t after)
    {
        ++m_counts[rule];
        if (m_result.steps.size() >= kMostSteps)
            return;
        const auto text = [&](std::size_t id) {
            const Formula part = dag.formula({{"", id}});
            return toText(part, part.outputs[0].term, kStepText);
        };
        m_result.steps.push_back({m_rules[rule]->name, text(before), text(after)});
    }
    std::vector<const RewriteRule*> m_rules;
    std::vector<int> m_counts;
    std::set<std::size_t> m_entered;  // places of the terms of this pass
    Rewritten m_result;
};

}  // namespace

std::optional<std::size_t> inPlaceOf(FormulaDag& dag, std::size_t id, std::size_t made)
{
    if (dag.shape(made) == dag.shape(id))
        return made;
    const auto number = dag.constant(made);
    return number ? std::optional(dag.filled(*number, id)) : std::nullopt;
}

std::optional<double> foldedNumber(const Term& term, const std::vector<double>& arguments)
{
    if (term.kind == TermKind::Call && !core::expressionFunctions().contains(term.name)) {
        const double x = arguments[0];
        if (term.name == "sin")
            return std::sin(x);
        if (term.name == "cos")
            return std::cos(x);
        if (term.name == "erf")
            return std::erf(x);
        if (term.name == "softplus")
            return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
        return term.name == "step" ? std::optional(double(x > 0)) : std::nullopt;
    }
    core::Expression expression;
    Term whole = term;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        expression.nodes.push_back({TermKind::Number, arguments[i], {}, {}, 0});
        whole.arguments[i] = i;
    }
    expression.nodes.push_back(std::move(whole));
    return core::evaluate(expression, {});
}

Rewritten rewrite(const Formula& formula)
{
    return Rewriter(formula).run();
}

std::vector<RuleCount> rewriteRules()
{
    std::vector<RuleCount> rules;
    for (const auto* rule : allRules())
        rules.push_back({rule->name, rule->explanation, 0});
    return rules;
}

}  // namespace orrery::symbolic
