// Share of sequences without a wrong token.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <limits>

#include <core/base/text.h>
#include <core/data/dataset.h>

#include "../metric.h"

namespace orrery::train {
namespace {

class SequenceAccuracy final : public Metric {
public:
    void add(const MetricBatch& batch) override
    {
        if (batch.output.dim() != 3 || batch.target.sizes() != batch.output.sizes().slice(0, 2))
            throw core::ShapeError(
                fmt::format("sequence_accuracy: expected output [batch, position, class] and target [batch, position], got {} and {}",
                            core::formatShape(batch.output.sizes()), core::formatShape(batch.target.sizes())));
        const at::Tensor fine = batch.output.argmax(-1).eq(batch.target).logical_or(batch.target.eq(data::kIgnoredTarget)).all(1);
        m_right += fine.sum().item<std::int64_t>();
        m_total += fine.numel();
    }
    std::vector<std::pair<std::string, double>> values() const override
    {
        return {{"sequence_accuracy", m_total ? double(m_right) / double(m_total) : std::numeric_limits<double>::quiet_NaN()}};
    }

private:
    std::int64_t m_right = 0, m_total = 0;
};

}  // namespace

void addSequenceAccuracy(MetricRegistry& registry)
{
    registry.add({"sequence_accuracy",
                  "Sequence accuracy",
                  "Share of sequences whose every token has the highest logit, each given the true tokens before it; padding is left out.",
                  "Definition",
                  {},
                  {{"output", "logits", {"batch", "position", "class"}}, {"target", "class_index", {"batch", "position"}}},
                  {}},
                 [](const core::Json&) { return std::make_unique<SequenceAccuracy>(); });
}

}  // namespace orrery::train
