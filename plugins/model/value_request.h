#pragma once
#include <QString>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "model_tree.h"
#include "tensor_detail.h"

namespace orrery::store {
class Workspace;
}

namespace orrery::plugins {

/// What values are computed on: the chosen sample, else the card's example. A value: background work has its own.
struct ValueRequest {
    OpenedModelPtr opened;
    QString path;  ///< of the value that is wanted
    core::Json data;
    std::optional<qint64> run;
    QString split;
    std::vector<std::int64_t> samples;
    std::shared_ptr<store::Workspace> workspace;
};

/// Inputs to run a model on, and what they are called.
struct ShownInputs {
    std::vector<c10::IValue> inputs;
    QString where;  ///< "sample 3 of test", "the card's example input"
};
/// The chosen sample where the model takes it, else the card's example; without inputs if there is neither. Any thread.
ShownInputs exampleFor(const ValueRequest& request);

/// The value of `path`. Any thread. @throws core::InputError where there is nothing to run it on, or the model cannot be run; what running throws.
ShownTensor computeValue(const ValueRequest& request, std::stop_token stop);

/// Statistics of everything that one run computes, one entry a node of Graph::allNodes(); NaN where a node gives no tensor or was not run.
struct RunStatistics {
    std::vector<double> meanMagnitude, deviation, zeros, notFinite;  ///< mean |x|, standard deviation, share of zeros, number of NaN and infinities
    std::vector<double> seconds, bytes;                              ///< of each node
    QString where;                                                   ///< "sample 3 of test"
};
/// Of the card's example where the model cannot be run on the chosen sample: `where` says so.
RunStatistics computeRunStatistics(const ValueRequest& request, std::stop_token stop);

}  // namespace orrery::plugins
