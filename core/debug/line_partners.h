#pragma once
#include <functional>
#include <optional>
#include <unordered_map>

#include "alignment_of_lines.h"

namespace orrery::debug {

/// Which lines and values of two programs belong together, by the pairs there are.
class LinePartners {
public:
    LinePartners(const ComparableLines& a, const ComparableLines& b);

    const ComparableLines& a() const { return m_a; }
    const ComparableLines& b() const { return m_b; }
    const std::vector<LinePair>& pairs() const { return m_pairs; }
    void add(LinePair pair);
    /// Two maps, line by line.
    void addMaps(int unitA, int unitB, MatchedBy by);
    /// A line or, where it is the end of a map, the whole map.
    void addLines(int lineA, int lineB, MatchedBy by);
    void removeIf(const std::function<bool(const LinePair&)>& wrong);
    bool isPairedA(int line) const { return m_ofA[std::size_t(line)] >= 0; }
    bool isPairedB(int line) const { return m_ofB[std::size_t(line)] >= 0; }
    /// Neither the line nor the map that it is part of has a partner.
    bool isOpenA(int line) const { return !isPairedA(line) && !hasPairedMap(m_a, m_ofA, line); }
    bool isOpenB(int line) const { return !isPairedB(line) && !hasPairedMap(m_b, m_ofB, line); }
    /// The same, of lines of the comparison.
    bool isFreeA(int line) const { return isOpenA(line) && !m_a.isInside(line); }
    bool isFreeB(int line) const { return isOpenB(line) && !m_b.isInside(line); }

    /// Equal operator, kind and shape, as far as they are known.
    bool sameOperator(int lineA, int lineB) const;
    /// The same value, as far as the pairs say.
    bool belong(graph::ValueId left, graph::ValueId right) const;
    /// The value of `b` that a value of `a` certainly is.
    std::optional<graph::ValueId> partnerOf(graph::ValueId left) const;
    /// Both have a partner, and it is another one.
    bool contradict(graph::ValueId left, graph::ValueId right) const;
    /// The value that dropout and copies without a partner hand on.
    graph::ValueId behindCopiesA(graph::ValueId value) const { return behindCopies(m_a, m_ofA, value); }
    graph::ValueId behindCopiesB(graph::ValueId value) const { return behindCopies(m_b, m_ofB, value); }

private:
    static graph::ValueId behindCopies(const ComparableLines& lines, const std::vector<int>& partners, graph::ValueId value);
    static bool hasPairedMap(const ComparableLines& lines, const std::vector<int>& partners, int line);
    bool sameParameter(graph::ValueId left, graph::ValueId right) const;
    const ComparableLines &m_a, &m_b;
    std::vector<LinePair> m_pairs;
    std::vector<int> m_ofA, m_ofB;
    std::unordered_map<graph::ValueId, graph::ValueId> m_inputs;
};

}  // namespace orrery::debug
