#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <core/graph/weights.h>

#include "line_values.h"

namespace orrery::debug {

/// A weight with its bias as a few numbers: random projections (signs on rows and columns) of [W | b]. The root mean square of the differences of two is about the
/// Frobenius norm of the difference of what they stand for (Johnson and Lindenstrauss, 1984, with signs as in Achlioptas, 2003).
struct WeightSketch {
    static constexpr std::int64_t kCount = 8;
    std::array<double, std::size_t(kCount)> projections{};
    double norm = 0;
    /// Relative to the larger norm; 0 for two zeros.
    double distance(const WeightSketch& other) const;
};

/// A linear map or convolution with what follows it channel by channel (a bias added, a factor, a batch norm in evaluation): what exporters fold into one node.
/// `W x`, then `+ b`, then a batch norm is the map of one weight and one bias after each of its lines.
struct AffineUnit {
    std::string what;                    ///< "linear", "conv2d", "conv_transpose1d": the map without its channel-wise ends
    std::vector<std::int64_t> shape;     ///< of the weight, [out, in, ...]
    graph::ValueId reads = -1;           ///< the value that is mapped
    std::vector<int> lines;              ///< the map, then what follows; inner values are read by the next line alone
    std::vector<WeightSketch> sketches;  ///< of the weight and bias in effect after each line
    int end() const { return lines.back(); }
};

/// All of a program, in order of their first lines. Weights must be floating; what is not is left out.
std::vector<AffineUnit> affineUnits(const ProgramLines& lines, const LineValues& values, const graph::Weights& weights);

/// How far two maps are apart at the closest pair of lines; nothing where kind or shape differ.
std::optional<double> distanceOf(const AffineUnit& a, const AffineUnit& b);

/// Lines of two units that have the same weight and bias in effect: index by index where the operators are the same, else by what they compute. With weights that
/// agree nowhere, the closest pair. Indices into `lines`.
std::vector<std::pair<std::size_t, std::size_t>> samePlaces(const ProgramLines& linesA, const AffineUnit& a, const ProgramLines& linesB,
                                                            const AffineUnit& b);

}  // namespace orrery::debug
