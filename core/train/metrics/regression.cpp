// Mean absolute error, root mean squared error, coefficient of determination.

#include <ATen/ATen.h>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include <core/base/text.h>

#include "classification.h"

namespace orrery::train {
namespace {

/// The sums behind all three. Mean and spread of the targets, of each output by itself, are updated by Chan's rule, so that large targets lose no digits.
class Regression final : public Metric {
public:
    enum class Kind { Mae, Rmse, R2 };
    explicit Regression(Kind kind) : m_kind(kind) {}
    void add(const MetricBatch& batch) override
    {
        at::Tensor output = batch.output.detach();
        if (output.dim() == batch.target.dim() + 1 && output.size(-1) == 1)
            output = output.squeeze(-1);
        if (output.sizes() != batch.target.sizes())
            throw core::ShapeError(fmt::format("{}: expected output and target of one shape, got {} and {}", name(),
                                               core::formatShape(output.sizes()), core::formatShape(batch.target.sizes())));
        if (output.numel() == 0)
            return;
        const at::Tensor target = batch.target.to(at::kCPU, at::kDouble), error = output.to(at::kCPU, at::kDouble) - target;
        m_absolute += error.abs().sum().item<double>();
        m_squared += error.square().sum().item<double>();
        m_count += double(target.numel());
        if (m_kind == Kind::R2)
            addSpread(target, error);
    }
    std::vector<std::pair<std::string, double>> values() const override { return {{name(), value()}}; }

private:
    void addSpread(const at::Tensor& target, const at::Tensor& error)
    {
        const at::Tensor y = target.dim() == 0 ? target.reshape({1, 1}) : target.reshape({target.size(0), -1});
        const at::Tensor mean = y.mean(0), spread = (y - mean).square().sum(0), squared = error.reshape(y.sizes()).square().sum(0);
        const double count = double(y.size(0)), total = m_rows + count;
        if (!m_mean.defined()) {
            m_mean = at::zeros_like(mean);
            m_spread = at::zeros_like(mean);
            m_error = at::zeros_like(mean);
        }
        if (m_mean.sizes() != mean.sizes())
            throw core::ShapeError(fmt::format("r2: expected {} outputs as before, got {}", m_mean.numel(), mean.numel()));
        const at::Tensor shift = mean - m_mean;
        m_error += squared;
        m_spread += spread + shift.square() * (m_rows * count / total);
        m_mean += shift * (count / total);
        m_rows = total;
    }
    const char* name() const { return m_kind == Kind::Mae ? "mae" : m_kind == Kind::Rmse ? "rmse" : "r2"; }
    double value() const
    {
        if (m_count == 0)
            return kNan;
        if (m_kind == Kind::Mae)
            return m_absolute / m_count;
        if (m_kind == Kind::Rmse)
            return std::sqrt(m_squared / m_count);
        const at::Tensor varying = m_spread > 0;
        return varying.any().item<bool>() ? (1 - m_error / m_spread).masked_select(varying).mean().item<double>() : kNan;
    }
    Kind m_kind;
    double m_count = 0, m_absolute = 0, m_squared = 0, m_rows = 0;
    at::Tensor m_mean, m_spread, m_error;  ///< double, one an output
};

MetricFactory factory(Regression::Kind kind)
{
    return [kind](const core::Json&) { return std::make_unique<Regression>(kind); };
}

}  // namespace

void addRegressionMetrics(MetricRegistry& registry)
{
    const std::vector<core::Port> ports{{"output", "any", {"batch", "..."}}, {"target", "float", {"batch", "..."}}};
    registry.add({"mae", "Mean absolute error", "Mean of |output - target|.", "Definition", {}, ports, {}}, factory(Regression::Kind::Mae));
    registry.add({"rmse", "Root mean squared error", "Square root of the mean of (output - target)^2.", "Definition", {}, ports, {}},
                 factory(Regression::Kind::Rmse));
    registry.add({"r2",
                  "R2",
                  "1 - squared error over the spread of the targets about their mean; of several outputs the mean of theirs, those with equal "
                  "targets left out.",
                  "Definition",
                  {},
                  ports,
                  {}},
                 factory(Regression::Kind::R2));
}

}  // namespace orrery::train
