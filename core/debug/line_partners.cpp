#include "line_partners.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace orrery::debug {
namespace {

std::size_t placeOf(const ComparableLines& lines, int line, graph::ValueId value)
{
    const auto& outputs = lines.node(line).outputs;
    return std::size_t(std::find(outputs.begin(), outputs.end(), value) - outputs.begin());
}

bool equalNumbers(const at::Tensor* left, const at::Tensor* right)
{
    return left && right && left->defined() && right->defined() && left->device() == right->device() && left->scalar_type() == right->scalar_type() &&
           at::equal(*left, *right);
}

}  // namespace

LinePartners::LinePartners(const ComparableLines& a, const ComparableLines& b)
    : m_a(a), m_b(b), m_ofA(std::size_t(a.count()), -1), m_ofB(std::size_t(b.count()), -1)
{
    const auto &left = a.lines().graph()->data().inputs, &right = b.lines().graph()->data().inputs;
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i)
        m_inputs[left[i].value] = right[i].value;
}

void LinePartners::add(LinePair pair)
{
    m_pairs.push_back(pair);
    m_ofA[std::size_t(pair.a)] = pair.b;
    m_ofB[std::size_t(pair.b)] = pair.a;
}

void LinePartners::addMaps(int unitA, int unitB, MatchedBy by)
{
    const AffineUnit &left = m_a.units()[std::size_t(unitA)], &right = m_b.units()[std::size_t(unitB)];
    for (const auto& [i, k] : samePlaces(m_a.lines(), left, m_b.lines(), right))
        add({left.lines[i], right.lines[k],
             by == MatchedBy::Name && m_a.node(left.lines[i]).name != m_b.node(right.lines[k]).name ? MatchedBy::Weights : by});
}

void LinePartners::addLines(int lineA, int lineB, MatchedBy by)
{
    if (m_a.unitOf(lineA) >= 0 && m_b.unitOf(lineB) >= 0)
        addMaps(m_a.unitOf(lineA), m_b.unitOf(lineB), by);
    else
        add({lineA, lineB, by});
}

void LinePartners::removeIf(const std::function<bool(const LinePair&)>& wrong)
{
    std::erase_if(m_pairs, [&](const LinePair& pair) {
        const bool goes = wrong(pair);
        if (goes)
            m_ofA[std::size_t(pair.a)] = m_ofB[std::size_t(pair.b)] = -1;
        return goes;
    });
}

bool LinePartners::hasPairedMap(const ComparableLines& lines, const std::vector<int>& partners, int line)
{
    if (lines.unitOf(line) < 0)
        return false;
    const auto& unit = lines.units()[std::size_t(lines.unitOf(line))].lines;
    return std::any_of(unit.begin(), unit.end(), [&](int each) { return partners[std::size_t(each)] >= 0; });
}

bool LinePartners::sameOperator(int lineA, int lineB) const
{
    if (m_a.what(lineA) != m_b.what(lineB) ||
        (m_a.node(lineA).op == m_b.node(lineB).op && m_a.node(lineA).outputs.size() != m_b.node(lineB).outputs.size()))
        return false;
    const LineValue *left = m_a.value(lineA), *right = m_b.value(lineB);
    return !left || !right || (left->kind == right->kind && left->shape == right->shape);
}

bool LinePartners::belong(graph::ValueId left, graph::ValueId right) const
{
    left = behindCopiesA(left);
    right = behindCopiesB(right);
    const int lineA = m_a.lines().lineOf(left), lineB = m_b.lines().lineOf(right);
    if (lineA >= 0 && lineB >= 0)
        return m_ofA[std::size_t(lineA)] == lineB && placeOf(m_a, lineA, left) == placeOf(m_b, lineB, right);
    if (lineA >= 0 || lineB >= 0)
        return false;
    const auto input = m_inputs.find(left);
    return input != m_inputs.end() ? input->second == right : sameParameter(left, right);
}

std::optional<graph::ValueId> LinePartners::partnerOf(graph::ValueId left) const
{
    left = behindCopiesA(left);
    if (const int line = m_a.lines().lineOf(left); line >= 0) {
        const int other = m_ofA[std::size_t(line)];
        const std::size_t place = placeOf(m_a, line, left);
        const bool there = other >= 0 && place < m_b.node(other).outputs.size();
        return there ? std::optional(m_b.node(other).outputs[place]) : std::nullopt;
    }
    if (const auto input = m_inputs.find(left); input != m_inputs.end())
        return input->second;
    const auto* parameter = m_a.lines().graph()->parameterOf(left);
    const auto* same = parameter ? m_b.lines().graph()->findParameter(parameter->name) : nullptr;
    return same ? std::optional(same->value) : std::nullopt;
}

bool LinePartners::contradict(graph::ValueId left, graph::ValueId right) const
{
    left = behindCopiesA(left);
    right = behindCopiesB(right);
    const int lineA = m_a.lines().lineOf(left), lineB = m_b.lines().lineOf(right);
    if (lineA >= 0 && lineB >= 0)
        return isPairedA(lineA) && isPairedB(lineB) && m_ofA[std::size_t(lineA)] != lineB;
    const auto *first = m_a.lines().graph()->parameterOf(left), *second = m_b.lines().graph()->parameterOf(right);
    if (first && second)
        return first->name != second->name && (m_b.lines().graph()->findParameter(first->name) || m_a.lines().graph()->findParameter(second->name));
    return (lineA >= 0 && isPairedA(lineA) && lineB < 0) || (lineB >= 0 && isPairedB(lineB) && lineA < 0);
}

graph::ValueId LinePartners::behindCopies(const ComparableLines& lines, const std::vector<int>& partners, graph::ValueId value)
{
    for (;;) {
        const int line = lines.lines().lineOf(value);
        if (line < 0 || partners[std::size_t(line)] >= 0 || !isCopy(lines.node(line)) || lines.node(line).inputs.empty() ||
            lines.node(line).inputs[0].isConstant() || lines.node(line).outputs[0] != value)
            return value;
        value = lines.node(line).inputs[0].value;
    }
}

bool LinePartners::sameParameter(graph::ValueId left, graph::ValueId right) const
{
    const auto *first = m_a.lines().graph()->parameterOf(left), *second = m_b.lines().graph()->parameterOf(right);
    if (!first || !second)
        return false;
    if (first->name == second->name || equalNumbers(m_a.tensorOf(left), m_b.tensorOf(right)))
        return true;
    return first->shape == second->shape && !m_b.lines().graph()->findParameter(first->name) && !m_a.lines().graph()->findParameter(second->name);
}

}  // namespace orrery::debug
