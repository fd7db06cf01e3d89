#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/base/json.h>

namespace orrery::scaling {

inline constexpr std::int64_t kWidestModel = 1 << 16;

/// What a coordinate check trains: one model at several widths and seeds, for a few steps.
struct CoordinateRequest {
    core::Json document;           ///< an experiment; its model is an architecture with a width (zoo::architecturesWithWidth)
    std::filesystem::path folder;  ///< what paths in it are relative to
    std::vector<std::int64_t> widths{64, 128, 256, 512, 1024};
    std::string parametrisation;  ///< empty: as the document says
    std::int64_t baseWidth = 0;   ///< 0: the smallest of the widths
    int seeds = 3, steps = 5;
    std::int64_t samples = 64;  ///< of the training part, on which activations are measured
};

/// Mean size of one layer's output and of its change since the start, after `step` steps.
struct CoordinatePoint {
    std::string layer;
    std::int64_t width = 0;
    int seed = 0, step = 0;
    double activation = 0;  ///< mean |h|; values that are masked out (not finite) left out
    double change = 0;      ///< mean |h - h at step 0|
};

/// Exponent of the growth with the width: least squares of the logarithm (mean over seeds) over log(width). NaN where a mean is 0.
struct CoordinateSlope {
    std::string layer;
    int step = 0;
    double activation = 0, change = 0;
};

struct CoordinateCheck {
    std::string architecture, parametrisation;
    std::vector<std::int64_t> widths;
    std::vector<std::string> layers;  ///< in the order of the model
    int seeds = 0, steps = 0;
    std::vector<CoordinatePoint> points;
    std::vector<CoordinateSlope> slopes;
    /// The last layer but the readout that has a slope: what the model learned as features. Empty if there is none.
    std::string featureLayer() const;
    const CoordinateSlope& slope(const std::string& layer, int step) const;  ///< @throws core::InputError
    /// Mean over the seeds. @throws core::InputError
    double mean(const std::string& layer, std::int64_t width, int step, bool change) const;
    core::Json toJson() const;
};

/// The check of Yang et al. (2022), "Tensor Programs V", arXiv:2203.03466, appendix D.1: if the parametrisation is right, the size of every activation's change
/// after a few steps does not depend on the width. Layers are the products and convolutions with weights, token tables and attention scores. Batches,
/// optimizer and learning rate are the document's; the batches are the same at all widths.
/// @param progress  Called after each step with steps done and all steps.
/// @throws core::InputError for widths or counts that do not fit, core::DocumentError, core::Cancelled; core::Error naming width, seed and step where a loss
///         is no longer finite. Any thread; libtorch's number of threads is the caller's.
CoordinateCheck checkCoordinates(const CoordinateRequest& request, const std::function<void(int, int)>& progress = {}, std::stop_token stop = {});

/// An experiment to check an architecture with, where only a MODEL is given: digits for mlp (as rows) and vit, the bundled text for gpt and lstm.
/// @throws core::InputError for an architecture without a width.
core::Json coordinateDocument(const std::string& model);

/// The row of Table "widths by learning rates": the loss of the training part after `steps` steps, mean over the seeds; NaN where it is no longer finite.
struct RateSweep {
    std::vector<std::int64_t> widths;
    std::vector<double> rates;
    std::vector<std::vector<double>> loss;  ///< [width][rate]
    /// Index of the best rate of a width; -1 if none is finite.
    int best(std::size_t width) const;
    core::Json toJson() const;
};
/// Learning rates that are best at one width and at others: whether they transfer. `request.steps` steps each.
RateSweep sweepRates(const CoordinateRequest& request, const std::vector<double>& rates, const std::function<void(int, int)>& progress = {},
                     std::stop_token stop = {});

}  // namespace orrery::scaling
