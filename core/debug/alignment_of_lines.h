#pragma once
#include <vector>

#include "program_lines.h"

namespace orrery::debug {

/// Two lines of two programs that are taken to compute the same.
struct LinePair {
    int a = 0, b = 0;
    bool sameName = false;
};

/// Pairs of lines in the order of `a`: those with equal names first; what lies between two pairs that are in the same order in both is matched by operator, as the
/// longest common subsequence. Each line stands in one pair at most.
std::vector<LinePair> alignLines(const ProgramLines& a, const ProgramLines& b);

}  // namespace orrery::debug
