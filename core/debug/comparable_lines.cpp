#include "comparable_lines.h"

#include <core/base/text.h>

namespace orrery::debug {

ComparableLines::ComparableLines(const ProgramLines& lines, LineValues values, const graph::Weights* weights)
    : m_lines(lines), m_values(std::move(values)), m_weights(weights), m_unitOf(std::size_t(lines.count()), -1)
{
    if (weights)
        m_units = affineUnits(lines, m_values, *weights);
    for (std::size_t unit = 0; unit < m_units.size(); ++unit)
        for (const int line : m_units[unit].lines)
            m_unitOf[std::size_t(line)] = int(unit);
    for (int i = 0; i < count(); ++i) {
        const bool isMap = m_unitOf[std::size_t(i)] >= 0;
        const AffineUnit* unit = isMap ? &m_units[std::size_t(m_unitOf[std::size_t(i)])] : nullptr;
        m_what.push_back(isMap ? unit->what + " " + core::formatShape(unit->shape) : canonicalOperator(node(i)));
        m_inputs.push_back(isMap ? std::vector{graph::Operand::of(unit->reads)} : node(i).inputs);
    }
}

const LineValue* ComparableLines::value(int line) const
{
    const bool known = std::size_t(line) < m_values.size() && !m_values[std::size_t(line)].kind.empty();
    return known ? &m_values[std::size_t(line)] : nullptr;
}

const at::Tensor* ComparableLines::tensorOf(graph::ValueId parameter) const
{
    const auto* found = m_lines.graph()->parameterOf(parameter);
    return m_weights && found ? m_weights->find(found->name) : nullptr;
}

}  // namespace orrery::debug
