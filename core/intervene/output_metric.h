#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

#include <core/base/registry.h>

namespace orrery::intervene {

/// The logits a metric compares with, [class], double, at the position that is read.
struct MetricReference {
    at::Tensor clean, corrupted;
};

/// One number for each row of logits [row, class], double -> [row], double.
using OutputMetric = std::function<at::Tensor(const at::Tensor& logits)>;
/// Makes a metric from its parameters as `resolvedMetric` gives them.
using OutputMetricFactory = std::function<OutputMetric(const core::Json& parameters, const MetricReference& reference)>;

/// What a run's output is worth, for sweeps over changed runs: family "output_metric". Every metric has, besides its own, the parameters
/// `position` (of the output that is read; -1 the last) and `normalised` (clean = 1 and corrupted = 0).
const core::Registry<OutputMetricFactory>& outputMetrics();

/// The parameters with every default that depends on the runs filled in: `answer` is what the clean run says, `wrong` the largest other class of the corrupted run.
/// @param document  {"id": ..., parameter: ...}, or the id alone.
/// @throws core::DocumentError, core::InputError for a class that the output does not have.
core::Json resolvedMetric(const core::Json& document, const MetricReference& reference);

/// A metric bound to one pair of runs.
class BoundMetric {
public:
    /// @throws as `resolvedMetric`; core::InputError if it is not finite for one of the two runs, or normalised although both give the same.
    BoundMetric(const core::Json& document, const MetricReference& reference);
    const core::Json& document() const { return m_document; }  ///< resolved
    double clean() const { return m_clean; }                   ///< of the two runs, not normalised
    double corrupted() const { return m_corrupted; }
    bool isNormalised() const { return m_normalised; }
    /// [row, class] in any dtype, on any device -> [row], double, CPU.
    at::Tensor operator()(const at::Tensor& logits) const;

private:
    core::Json m_document;
    OutputMetric m_metric;
    double m_clean = 0, m_corrupted = 0;
    bool m_normalised = true;
};

/// The index a possibly negative position means. @throws core::InputError: `position 64: expected -64..63`.
std::int64_t positionIndex(std::int64_t position, std::int64_t length);
/// The logits of every row at a position: [row, class] from [row, class] or [row, position, class]. @throws core::ShapeError for other shapes.
at::Tensor logitsAt(const at::Tensor& output, std::int64_t position);

}  // namespace orrery::intervene
