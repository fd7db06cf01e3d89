// Peak signal-to-noise ratio of colours.

#include <ATen/ATen.h>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include <core/base/text.h>

#include "../metric.h"

namespace orrery::train {
namespace {

class Psnr final : public Metric {
public:
    void add(const MetricBatch& batch) override
    {
        if (batch.output.sizes() != batch.target.sizes())
            throw core::ShapeError(fmt::format("psnr: expected colours and target of one shape, got {} and {}",
                                               core::formatShape(batch.output.sizes()), core::formatShape(batch.target.sizes())));
        m_sum += (batch.output.to(at::kDouble) - batch.target.to(at::kDouble)).square().sum().item<double>();
        m_count += batch.output.numel();
    }
    /// Equal pictures have no noise: 120 dB stands for that.
    std::vector<std::pair<std::string, double>> values() const override
    {
        const double value = m_count ? -10 * std::log10(std::max(m_sum / double(m_count), 1e-12)) : std::numeric_limits<double>::quiet_NaN();
        return {{"psnr", value}};
    }

private:
    double m_sum = 0;
    std::int64_t m_count = 0;
};

}  // namespace

void addPsnr(MetricRegistry& registry)
{
    registry.add({"psnr",
                  "Peak signal-to-noise ratio",
                  "-10 log10 of the mean squared error over all values, in decibels, for values between 0 and 1.",
                  "Wang, Bovik, Sheikh & Simoncelli (2004), \"Image Quality Assessment: From Error Visibility to Structural Similarity\", "
                  "doi:10.1109/TIP.2003.819861",
                  {},
                  {{"output", "any", {"batch", "..."}}, {"target", "float", {"batch", "..."}}},
                  {}},
                 [](const core::Json&) { return std::make_unique<Psnr>(); });
}

}  // namespace orrery::train
