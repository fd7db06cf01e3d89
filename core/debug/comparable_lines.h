#pragma once
#include <string>
#include <vector>

#include "affine_units.h"

namespace orrery::debug {

/// A program as another one is compared with it: maps with their channel-wise ends are one line each (the last of them), which reads what the map reads.
class ComparableLines {
public:
    /// @param weights  Null: maps stay in pieces.
    ComparableLines(const ProgramLines& lines, LineValues values, const graph::Weights* weights);

    const ProgramLines& lines() const { return m_lines; }
    int count() const { return m_lines.count(); }
    const graph::Node& node(int line) const { return *m_lines.line(line).node; }
    /// What a line computes: lines of different programs with one name here may be the same.
    const std::string& what(int line) const { return m_what[std::size_t(line)]; }
    /// What a line of the comparison reads.
    const std::vector<graph::Operand>& inputs(int line) const { return m_inputs[std::size_t(line)]; }
    /// Inside a map: no line of the comparison.
    bool isInside(int line) const { return m_unitOf[std::size_t(line)] >= 0 && m_units[std::size_t(m_unitOf[std::size_t(line)])].end() != line; }
    const std::vector<AffineUnit>& units() const { return m_units; }
    /// The map that a line is part of; -1: none.
    int unitOf(int line) const { return m_unitOf[std::size_t(line)]; }
    /// The line of the comparison that a line belongs to.
    int endOf(int line) const { return unitOf(line) < 0 ? line : m_units[std::size_t(unitOf(line))].end(); }
    /// Null: not known.
    const LineValue* value(int line) const;
    /// The weights that the program runs with; null: not known.
    const at::Tensor* tensorOf(graph::ValueId parameter) const;

private:
    const ProgramLines& m_lines;
    LineValues m_values;
    const graph::Weights* m_weights;
    std::vector<AffineUnit> m_units;
    std::vector<int> m_unitOf;
    std::vector<std::string> m_what;
    std::vector<std::vector<graph::Operand>> m_inputs;
};

}  // namespace orrery::debug
