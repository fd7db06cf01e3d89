#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

#include <core/base/json.h>

#include "alignment_of_lines.h"
#include "stepper.h"

namespace orrery::debug {

/// One of two runs that are compared.
struct RunSide {
    std::shared_ptr<const graph::Executor> executor;
    graph::Weights weights;
    std::vector<c10::IValue> inputs;
    int threads = 0;  ///< libtorch's threads while this side runs; 0: as they are
    std::uint64_t seed = 0;
};

/// As `torch.allclose`: |a - b| <= absolute + relative * |b|. What is not given depends on the coarser dtype of the two, as in `torch.testing.assert_close`:
/// float64 1e-7 and 1e-7, float32 1.3e-6 and 1e-5, float16 1e-3 and 1e-5, bfloat16 1.6e-2 and 1e-5, integers and booleans 0 and 0. Minus infinity equals what is below
/// half the lowest number of the other's dtype: masks of attention are written in both ways.
struct Tolerance {
    std::optional<double> relative, absolute;
    bool equalNan = false;  ///< NaN at the same place counts as equal
};

/// How one value differs between the runs.
struct ValueDifference {
    std::string a, b, op, module;  ///< names in both; operator and module in `a`
    std::string opB;               ///< the operator in `b`, which is another one where one side computes in pieces or folded
    MatchedBy by = MatchedBy::Name;
    int lineA = 0, lineB = 0;
    std::vector<std::int64_t> shape;
    std::string dtypeA, dtypeB;
    std::int64_t elements = 0, beyond = 0;    ///< `beyond`: outside the tolerance
    double maxAbsolute = 0, maxRelative = 0;  ///< relative to |b|; infinite where one is NaN or infinite and the other is not the same
    double rmsA = 0, rmsB = 0;                ///< over elements that are finite in both
    double rmsDifference = 0;                 ///< over the same; infinite where maxAbsolute is
    std::vector<std::int64_t> worst;          ///< index of the worst element
    double valueA = 0, valueB = 0;            ///< there
    double relative = 0, absolute = 0;        ///< the tolerance that was used
    std::string problem;                      ///< what cannot be compared: other shapes, not both tensors; empty: nothing
    bool isWithin() const { return problem.empty() && beyond == 0; }
    /// rmsDifference over rmsB: to the second, as maxRelative and the tolerance are; 0 where nothing differs.
    double relativeRms() const;
    core::Json toJson() const;
};

/// Compares two values. Numbers are compared in double, on the CPU.
ValueDifference compareValues(const c10::IValue& a, const c10::IValue& b, const Tolerance& tolerance = {});

struct DivergenceOptions {
    Tolerance tolerance;
    bool all = false;                                         ///< go on behind the first difference
    std::int64_t keepBytes = std::int64_t(64) << 20;          ///< values that are kept of each side while they are compared
    std::function<void(double done, double total)> progress;  ///< in lines of `a`; may be empty
};

struct Divergence {
    std::vector<ValueDifference> values;      ///< compared, in the order of `a`
    std::optional<std::size_t> first;         ///< the first beyond the tolerance
    std::vector<std::string> onlyA, onlyB;    ///< nodes without a counterpart: folded into others, in pieces on one side, or not there
    std::size_t byName = 0, byStructure = 0;  ///< matched lines
    bool sameGraph = false;                   ///< equal hashes
    std::string failureA, failureB;           ///< a node that failed, with what was compared before it; empty: none
    /// True if the graphs have values and none of one has a counterpart in the other: that nothing differs says nothing then.
    bool comparedNothing() const { return values.empty() && !(onlyA.empty() && onlyB.empty()); }
    core::Json toJson() const;
};

/// Runs both side by side, a few lines at a time, and compares each value as soon as both runs have it; values that both are done with are let go. What is compared is
/// what means the same (`alignLines`): a convolution with a batch norm folded into it with the batch norm of the other.
/// Loops and branches are compared by their results. @throws core::Cancelled.
Divergence compareRuns(const RunSide& a, const RunSide& b, const DivergenceOptions& options, std::stop_token stop = {});

}  // namespace orrery::debug
