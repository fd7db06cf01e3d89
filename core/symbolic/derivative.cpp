#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <optional>

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

#include "formula_dag.h"

namespace orrery::symbolic {
namespace {

/// What flows backwards through the terms, as terms of the same dag.
class BackwardPass {
public:
    BackwardPass(FormulaDag& dag, std::size_t output, const std::vector<std::string>& variables) : m_dag(dag), m_output(output), m_depends(dag.size())
    {
        for (std::size_t i = 0; i < m_depends.size(); ++i) {
            const Term& term = dag.term(i);
            m_depends[i] = term.kind == TermKind::Variable && std::find(variables.begin(), variables.end(), term.name) != variables.end();
            for (const auto argument : term.arguments)
                m_depends[i] = m_depends[i] || m_depends[argument];
        }
        m_flow.resize(m_depends.size());
    }
    void run()
    {
        m_flow[m_output] = m_dag.filled(1, m_output);
        for (std::size_t i = m_output + 1; i-- > 0;)
            if (m_flow[i] && m_depends[i])
                pass(i, *m_flow[i]);
    }
    std::size_t gradient(std::size_t variable)
    {
        return variable < m_flow.size() && m_flow[variable] ? *m_flow[variable] : m_dag.filled(0, variable);
    }

private:
    /// Adds to what flows into argument `index` of a term, summed where the argument was broadcast.
    void give(std::size_t term, std::size_t index, const std::function<std::size_t()>& part)
    {
        const std::size_t to = m_dag.argument(term, index);
        if (!m_depends[to])
            return;
        std::size_t made = part();
        if (m_dag.shape(made) != m_dag.shape(to))
            made = m_dag.call("sum_like", {made, to});
        m_flow[to] = m_flow[to] ? m_dag.plus(*m_flow[to], made) : made;
    }
    void pass(std::size_t term, std::size_t flow)
    {
        const Term each = m_dag.term(term);
        if (each.kind == TermKind::Number || each.kind == TermKind::Variable)
            return;
        const auto in = [&](std::size_t index) { return each.arguments[index]; };
        switch (each.kind) {
        case TermKind::Negate: return give(term, 0, [&] { return m_dag.negate(flow); });
        case TermKind::Add: give(term, 0, [&] { return flow; }); return give(term, 1, [&] { return flow; });
        case TermKind::Subtract: give(term, 0, [&] { return flow; }); return give(term, 1, [&] { return m_dag.negate(flow); });
        case TermKind::Multiply:
            give(term, 0, [&] { return m_dag.times(flow, in(1)); });
            return give(term, 1, [&] { return m_dag.times(flow, in(0)); });
        case TermKind::Divide:
            give(term, 0, [&] { return m_dag.over(flow, in(1)); });
            return give(term, 1, [&] { return m_dag.negate(m_dag.over(m_dag.times(flow, term), in(1))); });
        case TermKind::Power: return passPower(term, flow);
        default: return passCall(term, flow, each.name);
        }
    }
    void passPower(std::size_t term, std::size_t flow)
    {
        const std::size_t base = m_dag.argument(term, 0), exponent = m_dag.argument(term, 1);
        give(term, 0, [&] {
            const auto number = m_dag.is(exponent, TermKind::Number) ? std::optional(m_dag.term(exponent).number) : std::nullopt;
            const std::size_t less = number ? m_dag.number(*number - 1) : m_dag.minus(exponent, m_dag.number(1));
            return m_dag.times(flow, m_dag.times(exponent, m_dag.power(base, less)));
        });
        give(term, 1, [&] { return m_dag.times(flow, m_dag.times(term, m_dag.call("log", {base}))); });
    }
    void passCall(std::size_t term, std::size_t flow, const std::string& name)
    {
        if (name == "min" || name == "max")
            return passExtreme(term, flow, name == "max");
        if (name == "clamp")
            return passClamp(term, flow);
        if (name == "matmul" || name == "transpose" || name == "sum" || name == "mean" || name == "sum_like" || name == "expand_like")
            return passShaped(term, flow, name);
        if (name != "sign" && name != "step" && name != "count")
            give(term, 0, [&] { return m_dag.times(flow, slope(term, name)); });
    }
    /// The derivative of a function of one number at its argument.
    std::size_t slope(std::size_t term, const std::string& name)
    {
        const std::size_t x = m_dag.argument(term, 0);
        const auto one = [this] { return m_dag.number(1); };
        if (name == "relu")
            return m_dag.call("step", {x});
        if (name == "abs")
            return m_dag.call("sign", {x});
        if (name == "exp")
            return term;
        if (name == "log")
            return m_dag.over(one(), x);
        if (name == "sqrt")
            return m_dag.over(m_dag.number(0.5), term);
        if (name == "tanh")
            return m_dag.minus(one(), m_dag.power(term, m_dag.number(2)));
        if (name == "sigmoid")
            return m_dag.times(term, m_dag.minus(one(), term));
        if (name == "sin")
            return m_dag.call("cos", {x});
        if (name == "cos")
            return m_dag.negate(m_dag.call("sin", {x}));
        if (name == "softplus")
            return m_dag.call("sigmoid", {x});
        if (name == "erf")
            return m_dag.times(m_dag.number(2 / std::sqrt(std::numbers::pi)), m_dag.call("exp", {m_dag.negate(m_dag.power(x, m_dag.number(2)))}));
        throw core::InputError(fmt::format("formula: {} has no derivative", name));
    }
    /// 1 where `a` is larger than `b`, 0 where it is smaller, a half where they are equal.
    std::size_t larger(std::size_t a, std::size_t b)
    {
        return m_dag.times(m_dag.number(0.5), m_dag.plus(m_dag.number(1), m_dag.call("sign", {m_dag.minus(a, b)})));
    }
    void passExtreme(std::size_t term, std::size_t flow, bool largest)
    {
        const std::size_t a = m_dag.argument(term, 0), b = m_dag.argument(term, 1);
        give(term, 0, [&] { return m_dag.times(flow, largest ? larger(a, b) : larger(b, a)); });
        give(term, 1, [&] { return m_dag.times(flow, largest ? larger(b, a) : larger(a, b)); });
    }
    /// clamp(x, low, high) is min(max(x, low), high).
    void passClamp(std::size_t term, std::size_t flow)
    {
        const std::size_t x = m_dag.argument(term, 0), low = m_dag.argument(term, 1), high = m_dag.argument(term, 2);
        const std::size_t raised = m_dag.call("max", {x, low});
        const auto through = [&] { return m_dag.times(flow, larger(high, raised)); };
        give(term, 0, [&] { return m_dag.times(through(), larger(x, low)); });
        give(term, 1, [&] { return m_dag.times(through(), larger(low, x)); });
        give(term, 2, [&] { return m_dag.times(flow, larger(raised, high)); });
    }
    void passShaped(std::size_t term, std::size_t flow, const std::string& name)
    {
        const std::size_t x = m_dag.argument(term, 0);
        if (name == "matmul") {
            const std::size_t y = m_dag.argument(term, 1);
            give(term, 0, [&] { return m_dag.call("matmul", {flow, m_dag.call("transpose", {y})}); });
            return give(term, 1, [&] { return m_dag.call("matmul", {m_dag.call("transpose", {x}), flow}); });
        }
        if (name == "transpose")
            return give(term, 0, [&] { return m_dag.call("transpose", {flow}); });
        if (name == "expand_like")
            return give(term, 0, [&] { return m_dag.call("sum_like", {flow, x}); });
        give(term, 0, [&] {
            if (name != "mean")
                return m_dag.call("expand_like", {flow, x});
            return m_dag.call("expand_like", {m_dag.over(flow, m_dag.call("count", m_dag.term(term).arguments)), x});
        });
    }

    FormulaDag& m_dag;
    std::size_t m_output;
    std::vector<bool> m_depends;
    std::vector<std::optional<std::size_t>> m_flow;
};

/// The terms of a formula in a dag; gives their places.
std::vector<std::size_t> enter(FormulaDag& dag, const Formula& formula)
{
    std::vector<std::size_t> place;
    for (Term term : formula.terms) {
        for (auto& argument : term.arguments)
            argument = place[argument];
        place.push_back(dag.add(std::move(term)));
    }
    return place;
}

}  // namespace

Formula derivative(const Formula& formula, const std::vector<std::string>& variables, std::string_view output, bool keepOutputs)
{
    FormulaDag dag(formula.variables);
    const auto place = enter(dag, formula);
    const std::size_t value = place[formula.output(output).term];
    std::vector<std::string> known;
    for (const auto& [name, shape] : formula.variables)
        known.push_back(name);
    std::vector<std::size_t> at;
    for (const auto& name : variables) {
        if (!formula.variables.contains(name))
            throw core::InputError(fmt::format("the formula has no variable \"{}\"{}", name, core::didYouMean(name, known)));
        at.push_back(dag.variable(name));
    }
    BackwardPass pass(dag, value, variables);
    pass.run();
    std::vector<Formula::Output> outputs;
    for (const auto& each : formula.outputs)
        if (keepOutputs)
            outputs.push_back({each.name, place[each.term]});
    for (std::size_t i = 0; i < variables.size(); ++i)
        outputs.push_back({"d_" + variables[i], pass.gradient(at[i])});
    return dag.formula(outputs);
}

}  // namespace orrery::symbolic
