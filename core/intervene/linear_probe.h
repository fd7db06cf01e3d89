#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <core/base/registry.h>

#include "activations.h"

/// Linear probes: what can be read off a value by a linear map.
namespace orrery::intervene {

/// Two ends, inclusive.
struct Interval {
    double low = 0, high = 1;
};
/// Wilson score interval of a share, 95 %: better than the normal one near 0 and 1.
/// Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference", doi:10.1080/01621459.1927.10502953.
Interval wilsonInterval(double successes, double trials);

/// A fitted probe: outputs = ((x - mean) / scale) * weight^T + bias. Double, CPU. The argmax of the outputs is the class; a regression gives the numbers themselves.
struct LinearProbe {
    std::string value;    ///< where in the model
    std::string kind;     ///< "logistic", "ridge"
    std::string pooling;  ///< as `poolingText`
    std::string label;    ///< as `labelName`
    std::vector<std::string> classNames;
    at::Tensor mean, scale;   ///< [feature], of the training rows; scale is 1 where a feature is constant
    at::Tensor weight, bias;  ///< [output, feature], [output]
    double loss = 0;          ///< of the training rows, penalty included
    double gradient = 0;      ///< largest entry of its gradient (logistic)
    int iterations = 0;
    bool converged = true;
    /// [row, output] double. @throws core::ShapeError if the number of features differs; the message gives both.
    at::Tensor apply(const at::Tensor& features) const;
};

/// How probes are fitted, and to what. One schema for the form, the command line and the stored analysis.
/// `kind` (auto: logistic for classes, ridge for numbers), `l2`, `max_iterations`, `tolerance`, `control`, `control_clusters`.
const core::Schema& probeSchema();

/// Multinomial logistic regression: minimises mean cross-entropy + l2 / 2 * |weight|^2 over the standardised features, by L-BFGS in double from zero (bias not
/// penalised). Deterministic; `converged` says whether the gradient became smaller than `tolerance`.
/// @param features [row, feature]. @param labels [row] int64 in 0..classes-1.
/// @throws core::InputError for no rows, fewer than two classes, labels outside, numbers that are not finite.
/// Source: Alain & Bengio (2016), "Understanding intermediate layers using linear classifier probes", arXiv:1610.01644.
LinearProbe fitLogistic(const at::Tensor& features, const at::Tensor& labels, std::int64_t classes, const core::Json& parameters,
                        const Control& control = {});
/// Ridge regression: minimises |y - x weight^T - bias|^2 / (2 rows) + l2 / 2 * |weight|^2 over the standardised features, in closed form (eigenvalues of the
/// smaller of the two products). @param targets [row, output].
/// Source: Hoerl & Kennard (1970), "Ridge regression: biased estimation for nonorthogonal problems", doi:10.1080/00401706.1970.10488634.
LinearProbe fitRidge(const at::Tensor& features, const at::Tensor& targets, const core::Json& parameters, const Control& control = {});

/// Labels of a control task: every type (a word; for data without words a cluster of inputs) gets one label at random, drawn from the labels of the training
/// rows, so that only a probe that memorises types can know them.
/// With token positions a type is the token there, as in the paper. Elsewhere, which the paper does not treat, the model's own inputs (of a whole text: counts of its tokens) are clustered
/// (k-means with k-means++ on the training rows, `clusters` of them); a held-out row belongs to the nearest centre.
/// @return  Labels of the training and of the held-out rows, shaped like `train.labels` and `test.labels`.
/// Source: Hewitt & Liang (2019), "Designing and Interpreting Probes with Control Tasks", arXiv:1909.03368, section 2.
std::pair<at::Tensor, at::Tensor> controlLabels(const Activations& train, const Activations& test, std::int64_t clusters, std::uint64_t seed,
                                                const Control& control = {});

/// What one probe found at one value.
struct ProbeResult {
    LinearProbe probe;
    std::int64_t features = 0, trainRows = 0, testRows = 0;
    double train = 0, test = 0;        ///< accuracy, or R^2 (mean over the outputs) of a regression
    std::optional<Interval> interval;  ///< of the held-out accuracy, 95 %
    std::optional<double> baseline;    ///< held-out accuracy of always naming the most frequent training class
    std::optional<double> control;     ///< held-out accuracy (R^2) on the control task
    std::optional<Interval> controlInterval;
    std::optional<double> selectivity() const { return control ? std::optional(test - *control) : std::nullopt; }
    core::Json toJson() const;
};

/// Fits one probe a value on `train` and measures it on `test`; results come in the order of the values, each also as it is ready.
/// @throws core::InputError if there are no labels or parts have other features; core::DocumentError, core::Cancelled.
std::vector<ProbeResult> probeValues(const Activations& train, const Activations& test, const core::Json& parameters, std::uint64_t seed,
                                     const Control& control = {}, const std::function<void(const ProbeResult&)>& ready = {});

/// Accuracy (R^2) of a probe on rows, and the interval where it has one.
std::pair<double, std::optional<Interval>> scoreProbe(const LinearProbe& probe, const at::Tensor& features, const at::Tensor& labels);

/// Several probes in one `.safetensors` file: tensors `N.weight`, `N.bias`, `N.mean`, `N.scale`; the rest as metadata. Loading gives back every bit.
/// @throws core::StorageError, core::FormatError if the file holds no probes.
void saveProbes(const std::filesystem::path& file, const std::vector<LinearProbe>& probes);
std::vector<LinearProbe> loadProbes(const std::filesystem::path& file);
std::string probesBytes(const std::vector<LinearProbe>& probes);

}  // namespace orrery::intervene
