// Means of the loss: the loss itself and bits per character.

#include <ATen/ATen.h>
#include <limits>
#include <numbers>

#include <core/data/dataset.h>

#include "classification.h"

namespace orrery::train {
namespace {

class MeanLoss final : public Metric {
public:
    void add(const MetricBatch& batch) override
    {
        m_sum += batch.loss * double(batch.lossCount);
        m_count += batch.lossCount;
    }
    std::vector<std::pair<std::string, double>> values() const override { return {{"loss", m_count ? m_sum / double(m_count) : kNan}}; }

private:
    double m_sum = 0;
    std::int64_t m_count = 0;
};

/// From the logits, not from the loss: label smoothing is no part of it.
class BitsPerCharacter final : public Metric {
public:
    void add(const MetricBatch& batch) override
    {
        const at::Tensor& output = batch.output;
        const at::Tensor rows = output.reshape({-1, output.size(-1)});
        const at::Tensor targets = batch.target.reshape({-1}).to(rows.device());
        if (rows.size(0) != targets.numel())
            throw core::ShapeError("bits_per_character: expected one row of logits a target");
        const at::Tensor nats = at::nll_loss(rows.log_softmax(-1, rows.scalar_type() == at::kDouble ? at::kDouble : at::kFloat), targets, {},
                                             at::Reduction::None, data::kIgnoredTarget);
        m_sum += nats.sum(at::kDouble).item<double>();
        m_count += targets.ne(data::kIgnoredTarget).sum().item<std::int64_t>();
    }
    std::vector<std::pair<std::string, double>> values() const override
    {
        return {{"bits_per_character", m_count ? m_sum / double(m_count) / std::numbers::ln2 : kNan}};
    }

private:
    double m_sum = 0;
    std::int64_t m_count = 0;
};

}  // namespace

void addLossMetric(MetricRegistry& registry)
{
    registry.add({"loss",
                  "Loss",
                  "Mean of the training loss over all targets.",
                  "Definition",
                  {},
                  {{"output", "any", {"batch", "..."}}, {"target", "any", {"batch", "..."}}},
                  {}},
                 [](const core::Json&) { return std::make_unique<MeanLoss>(); });
}

void addBitsPerCharacter(MetricRegistry& registry)
{
    registry.add({"bits_per_character",
                  "Bits per character",
                  "Mean negative log2 likelihood of the next token; characters where a token is a byte or character.",
                  "Graves (2013), \"Generating Sequences With Recurrent Neural Networks\", arXiv:1308.0850, section 3",
                  {},
                  {{"output", "logits", {"batch", "...", "class"}}, {"target", "any", {"batch", "..."}}},
                  {}},
                 [](const core::Json&) { return std::make_unique<BitsPerCharacter>(); });
}

}  // namespace orrery::train
