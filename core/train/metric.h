#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <core/base/registry.h>

namespace orrery::train {

/// One evaluated batch.
struct MetricBatch {
    at::Tensor output;           ///< [batch, ..., class] logits, or [batch, ...] numbers; detached
    at::Tensor target;           ///< [batch, ...] class indices (int64) or numbers
    double loss = 0;             ///< mean loss of the batch
    std::int64_t lossCount = 0;  ///< how many targets that mean is over
};

/// Gathers batches, then gives its values over all of them. Sums are kept in double, whatever the dtype of the model. Not thread-safe.
class Metric {
public:
    virtual ~Metric() = default;
    /// @throws core::ShapeError if output and target do not fit.
    virtual void add(const MetricBatch& batch) = 0;
    /// Names (without "val/") and values; NaN where nothing was added or the value is not defined (ROC AUC of one class).
    virtual std::vector<std::pair<std::string, double>> values() const = 0;
    /// More than numbers: the confusion matrix as {"counts": [[...]]}; null: nothing.
    virtual core::Json detail() const { return nullptr; }
};

using MetricFactory = std::function<std::unique_ptr<Metric>(const core::Json& settings)>;
using MetricRegistry = core::Registry<MetricFactory>;

/// Rows [n, class] of double logits and their targets [n] as int64, on the CPU, without padded targets (`data::kIgnoredTarget`). A single logit a row (binary model) becomes the two logits {0, x}.
/// @throws core::ShapeError; core::InputError for a target that is no class.
struct ClassRows {
    at::Tensor logits, targets;
};
ClassRows classRows(const MetricBatch& batch, const char* metric);

void addLossMetric(MetricRegistry& registry);
void addAccuracy(MetricRegistry& registry);
void addTopK(MetricRegistry& registry);
void addConfusionMatrix(MetricRegistry& registry);
void addSequenceAccuracy(MetricRegistry& registry);
void addF1(MetricRegistry& registry);
void addRocAuc(MetricRegistry& registry);
void addLabelAuc(MetricRegistry& registry);           ///< auc and auc_LABEL
void addRegressionMetrics(MetricRegistry& registry);  ///< mae, rmse, r2
void addBitsPerCharacter(MetricRegistry& registry);
void addPsnr(MetricRegistry& registry);

}  // namespace orrery::train
