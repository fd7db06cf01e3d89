#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <core/base/json.h>

/// Searching for good settings: sweeps over experiment documents and how they choose.
namespace orrery::search {

/// One parameter of a sweep: a range of numbers, or a list of choices. Plain data; any thread.
struct Dimension {
    std::string path;  ///< into the experiment document: `train.optimizer.lr`
    // A range, ends included:
    double low = 0, high = 0;
    bool isLog = false, isInteger = false;
    std::int64_t points = 0;  ///< how many a grid takes of it; 0: as its sampler says
    // Choices:
    std::vector<core::Json> choices;  ///< empty: a range

    bool isChoice() const { return !choices.empty(); }
    /// The value at a place of [0, 1]: a choice by equal parts; a number along the (logarithmic) range, of reals six significant digits.
    /// Ends of a range are met exactly at 0 and 1. Whole numbers have equal parts, too (of the logarithmic range around them, where it is one).
    core::Json valueAt(double place) const;
    /// How many different values there are at most; 0: as many as one likes.
    std::int64_t count() const;
};

using Space = std::vector<Dimension>;

/// A place in the space: one number of [0, 1] a dimension.
using Place = std::vector<double>;

/// The experiment document with the values of a place set.
core::Json documentAt(core::Json document, const Space& space, const Place& place);

}  // namespace orrery::search
