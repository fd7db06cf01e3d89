#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/graph/weights.h>

namespace orrery::compare {

/// How far weights have gone at one checkpoint. Norms are Euclidean, computed in double.
struct SequencePoint {
    std::int64_t step = 0;
    double norm = 0;
    double fromFirst = 0;     ///< ||w - w_first||
    double fromPrevious = 0;  ///< ||w - w_previous||
    double cosine = 1;        ///< between w and w_first
};

/// One tensor (or all together) over the checkpoints.
struct SequenceCurve {
    std::string name;
    std::int64_t elements = 0;
    std::vector<SequencePoint> points;
};

struct CheckpointSequence {
    SequenceCurve total;
    std::vector<SequenceCurve> tensors;  ///< floating ones that every checkpoint has in one shape, in the order of names
    core::Json toJson() const;
};

/// The checkpoints of one training as a sequence. At most three sets of weights are held at a time.
/// @param load  The weights after a step; `progress` is told how many are done.
/// @throws core::InputError without steps, core::Cancelled, what `load` throws.
CheckpointSequence followCheckpoints(const std::vector<std::int64_t>& steps, const std::function<graph::Weights(std::int64_t)>& load,
                                     const std::function<void(std::size_t done)>& progress = {}, std::stop_token stop = {});

}  // namespace orrery::compare
