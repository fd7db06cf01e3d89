#pragma once
#include <functional>
#include <vector>

#include "attribution.h"
#include "quadrature.h"

/// What the methods that integrate along the straight path from a baseline share.
namespace orrery::explain {

/// Their parameters, named as in Captum: n_steps, method, baseline, tolerance, max_steps, internal_batch_size.
std::vector<core::Parameter> pathParameters();
/// `tolerance` and the limit of doubling (`max_steps`, `max_samples`): converged mode.
std::vector<core::Parameter> convergenceParameters(const char* limit, std::int64_t defaultLimit, const char* unit);
core::Parameter internalBatchSizeParameter();
/// `baseline_at`: see `siteBaseline`.
core::Parameter baselineAtParameter();
/// The schema of a path method: its own parameters before those of the path.
core::Schema pathSchema(std::vector<core::Parameter> own = {});

/// How many copies of the batch are evaluated together to make `internal_batch_size` rows; at least one.
std::int64_t copiesPerBatch(const ScalarFunction& function, const core::Json& parameters);

/// The straight path in one value of the graph.
struct Path {
    std::string value;       ///< its exact name
    at::Tensor start, stop;  ///< [batch, ...]: the baseline and what is explained
    at::Tensor difference() const { return stop - start; }
};
/// The path at the function's site (from `siteBaseline`), or at the model's own input.
Path sitePath(const ScalarFunction& function, const core::Json& parameters);
Path originPath(const ScalarFunction& function, const core::Json& parameters);

/// The baseline at the function's site. `baseline_at` site: the constant `baseline`. input: what the site holds while the model's own input is constant,
/// as Captum's LayerIntegratedGradients.
at::Tensor siteBaseline(const ScalarFunction& function, const core::Json& parameters);

/// Consecutive points of the path and the weights of the rule.
struct PathPoints {
    std::int64_t count = 0;  ///< how many; `points` has count * batch rows, copy-major
    at::Tensor points;
    at::Tensor weights;  ///< [count], double
    /// [count * batch, ...] -> [count, batch, ...] in double, each point multiplied by its weight.
    at::Tensor weighted(const at::Tensor& rows) const;
};
/// [copies * batch, ...] -> [copies, batch, ...] in double. @throws core::ShapeError if the first axis is not made of copies.
at::Tensor stacked(const at::Tensor& rows, std::int64_t copies);
/// Walks along the path, `perBatch` points at a time; reports progress and honours a stop before each batch.
/// `share` is the sum of the rule's weights so far, this batch included.
void walk(const Path& path, const Quadrature& rule, std::int64_t perBatch, const Control& control,
          const std::function<void(const PathPoints& points, double share)>& visit);

/// Shows a partial sum scaled to the whole path, if somebody looks.
void showPartial(const Control& control, const at::Tensor& sum, double share, at::ScalarType dtype);

/// Converged mode: `compute(n)` with n = first, 2 first, ... until the completeness error of every sample is at most `tolerance` or n reaches `limit`;
/// without a tolerance once. Details get `unit`: n, and `converged` with a tolerance.
AttributionResult refined(int first, int limit, const core::Json& tolerance, const char* unit,
                          const std::function<AttributionResult(int n)>& compute);
/// The same for `n_steps` and `max_steps`, counted as "steps".
AttributionResult refinedSteps(const core::Json& parameters, const std::function<AttributionResult(int n)>& compute);

/// Numbers of a result's details.
std::vector<double> listOf(const at::Tensor& numbers);

}  // namespace orrery::explain
