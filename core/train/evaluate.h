#pragma once
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include <core/data/dataset.h>
#include <core/graph/executor.h>
#include <core/graph/model.h>

#include "catalogue.h"

namespace orrery::train {

/// What an evaluation found.
struct Evaluation {
    std::vector<std::pair<std::string, double>> values;  ///< "accuracy": 0.98, in the order of the metrics
    std::map<std::string, core::Json> details;           ///< by metric id: {"confusion_matrix": {"counts": ...}}
    /// One sample each (empty unless asked for, and for sequences): class or number, probability of that class (NaN for numbers).
    std::vector<std::int64_t> indices;
    std::vector<double> targets, predicted, confidence;
    std::int64_t samples = 0;
    double value(const std::string& name) const;  ///< NaN if there is none
};

struct EvaluateOptions {
    std::int64_t batchSize = 256;
    std::int64_t maxSamples = 0;  ///< 0: all; else evenly spread over the part
    bool predictions = false;
    core::Json loss;  ///< for evaluateModel: resolved component or id; null: by the data's task
    std::stop_token stop;
    std::function<void(std::int64_t done, std::int64_t total)> progress;  ///< samples
};

/// Samples of a part, at most `maxSamples` of them, evenly spread.
std::vector<std::int64_t> spreadSamples(const std::vector<std::int64_t>& part, std::int64_t maxSamples);

/// Runs the samples through the model in inference mode and feeds the metrics. Weights decide device and dtype.
/// @param metricDocuments  Resolved components or ids. A metric whose ports do not take the task is the caller's fault: it throws core::ShapeError.
/// @throws core::Cancelled within a node of being asked to stop.
Evaluation evaluate(const graph::Executor& executor, const graph::Weights& weights, const data::DataSet& data, std::span<const std::int64_t> samples,
                    const Loss& loss, const core::Json& metricDocuments, const EvaluateOptions& options = {});

/// As the command line does it: loss and metrics by the data's task unless given (a list of ids or components; null); one number a sample is the logit of the
/// second of two classes. Outputs that are probabilities already (see graph::outputKind) are read as such.
/// @throws core::InputError if the model does not take the data: what it takes and what the data gives.
Evaluation evaluateModel(const graph::Model& model, const data::DataSet& data, data::Split part, const core::Json& metricDocuments = nullptr,
                         const EvaluateOptions& options = {});

/// {"classes": [...], "counts": [[...]], "split": "test"}: how a confusion matrix is stored.
core::Json confusionDocument(const Evaluation& evaluation, const data::DataInfo& info, std::string_view split);
/// {"split": "test", "samples": [...], "targets": [...], "predicted": [...], "confidence": [...]}; null where there are no predictions.
core::Json predictionsDocument(const Evaluation& evaluation, std::string_view split);

/// Weights' device; dtype of the first floating tensor.
c10::TensorOptions optionsOf(const graph::Weights& weights);
/// Tensors on a device; floating ones in its dtype.
at::Tensor moved(const at::Tensor& tensor, const c10::TensorOptions& options);

}  // namespace orrery::train
