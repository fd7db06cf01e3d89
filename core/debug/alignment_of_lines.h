#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "program_lines.h"

namespace orrery::debug {

/// Two lines of two programs that are taken to compute the same.
struct LinePair {
    int a = 0, b = 0;
    bool sameName = false;
};

/// Shape of the first output of each line; nothing where it is no tensor or unknown. Empty: none is known.
using LineShapes = std::vector<std::optional<std::vector<std::int64_t>>>;

/// Pairs of lines in the order of `a`. Equal names first. Then lines of equal operator and shape that read what belongs together: partners, the graph's inputs in
/// their order, parameters of one name (of one shape, where neither graph knows the other's name). What lies between two pairs that are in the same order in both is matched by
/// operator and shape, as the longest common subsequence; of these, pairs that read values which have other partners are given up. Each line stands in one pair at most.
std::vector<LinePair> alignLines(const ProgramLines& a, const ProgramLines& b, const LineShapes& shapesA = {}, const LineShapes& shapesB = {});

}  // namespace orrery::debug
