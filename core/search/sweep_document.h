#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <core/train/experiment.h>

#include "sampler.h"

namespace orrery::search {

/// A sweep ready to run: an experiment document with a section `sweep`, checked.
struct Sweep {
    core::Json document;           ///< as given, with `sweep`
    std::filesystem::path folder;  ///< what paths in it are relative to
    core::Json settings;           ///< the section, resolved
    train::Experiment base;        ///< the experiment with none of the parameters changed
    Space space;
    std::string metric;  ///< "val/accuracy"
    bool isMaximized = false;
    std::int64_t trials = 0;
    std::uint64_t seed = 0;
    std::shared_ptr<const Sampler> sampler;
    std::vector<Rung> rungs;

    /// A metric's value as something to be made small.
    double lossOf(double value) const { return isMaximized ? -value : value; }
};

/// `sampler, parameters, metric, goal, trials, seed`: the one definition of the section.
const core::Schema& sweepSchema();

/// Checks the experiment, then the section: each parameter must be one of the experiment's, each end of a range and each choice a value that its own schema takes.
/// @throws core::DocumentError with every issue found and its place (`sweep.parameters.train.optimizer.lr.range[0]`); what train::resolveExperiment throws.
Sweep resolveSweep(const core::Json& document, const std::filesystem::path& folder = {});

/// Reads a JSON or YAML file, as train::readExperiment.
Sweep readSweep(const std::filesystem::path& file, const std::vector<std::string>& assignments = {});

/// The experiment document (not resolved) of a place.
core::Json experimentAt(const Sweep& sweep, const Place& place);

/// The last step of a trial in a rung: the part of its own length, up to the next evaluation if the metric is measured there. Nothing: it trains in full.
std::optional<std::int64_t> lastStepIn(const Sweep& sweep, const Rung& rung, const train::Experiment& trial);

}  // namespace orrery::search
