#pragma once
#include <memory>
#include <string>

#include <core/graph/executor.h>
#include <core/train/experiment.h>
#include <core/train/learner.h>
#include <core/train/loss.h>

#include "coordinate_check.h"

/// Internal to this folder: one experiment, resolved once, then trained for a few steps at several widths, seeds and rates.
namespace orrery::scaling {

class WidthTraining {
public:
    /// @throws as `checkCoordinates`.
    WidthTraining(const CoordinateRequest& request, std::stop_token stop);
    WidthTraining(const WidthTraining&) = delete;
    WidthTraining& operator=(const WidthTraining&) = delete;

    const std::string& architecture() const { return m_architecture; }
    const std::string& parametrisation() const { return m_parametrisation; }
    /// Makes the model anew. @param rate  Learning rate; 0: the document's.
    void start(std::int64_t width, int seed, double rate = 0);
    /// One optimizer step. @throws core::Error where the loss is no longer finite, naming width, seed and step.
    void step(std::int64_t taken);
    /// A run on the samples that everything is measured on.
    graph::RunResult measure(graph::RunRequest request) const;
    const graph::Graph& graph() const { return *m_executor->graph(); }
    /// Loss on those samples.
    double loss() const;

private:
    void chooseSamples(std::int64_t count);
    const CoordinateRequest& m_request;
    std::stop_token m_stop;
    std::string m_architecture, m_parametrisation;
    std::int64_t m_baseWidth = 0;
    train::Experiment m_base, m_current;
    train::TrainOptions m_options;
    std::vector<std::int64_t> m_samples;
    std::unique_ptr<train::Learner> m_learner;
    std::unique_ptr<graph::Executor> m_executor;
    std::int64_t m_width = 0;
    int m_seed = 0;
};

/// Least squares slope of log(value) over log(width); NaN if a value is not positive or there are fewer than two widths.
double logSlope(const std::vector<std::int64_t>& widths, const std::vector<double>& values);

/// @throws core::InputError for what `request` says of widths and counts.
void checkRequest(const CoordinateRequest& request);

}  // namespace orrery::scaling
