// Area under the receiver operating characteristic.

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "classification.h"

namespace orrery::train {

double areaUnderCurve(const std::vector<double>& scores, const std::vector<std::int64_t>& targets, std::int64_t positive)
{
    // A NaN score has no place in an order.
    if (std::any_of(scores.begin(), scores.end(), [](double score) { return std::isnan(score); }))
        return kNan;
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
    double wins = 0, negativesBelow = 0, positives = 0;
    for (std::size_t i = 0; i < order.size();) {
        double tiedPositives = 0, tiedNegatives = 0;
        const double score = scores[order[i]];
        for (; i < order.size() && scores[order[i]] == score; ++i)
            (targets[order[i]] == positive ? tiedPositives : tiedNegatives) += 1;
        wins += tiedPositives * (negativesBelow + tiedNegatives / 2);
        negativesBelow += tiedNegatives;
        positives += tiedPositives;
    }
    return positives > 0 && negativesBelow > 0 ? wins / (positives * negativesBelow) : kNan;
}

namespace {

/// Keeps every score: the exact area needs all of them at once.
class RocAuc final : public Metric {
public:
    void add(const MetricBatch& batch) override
    {
        const ClassRows rows = classRows(batch, "roc_auc");
        const at::Tensor scores =
            rows.logits.size(1) == 2 ? (rows.logits.select(1, 1) - rows.logits.select(1, 0)).unsqueeze(1) : rows.logits.softmax(1);
        m_scores.resize(std::size_t(scores.size(1)));
        for (std::size_t c = 0; c < m_scores.size(); ++c) {
            const at::Tensor column = scores.select(1, std::int64_t(c)).contiguous();
            m_scores[c].insert(m_scores[c].end(), column.data_ptr<double>(), column.data_ptr<double>() + column.numel());
        }
        m_targets.insert(m_targets.end(), rows.targets.data_ptr<std::int64_t>(), rows.targets.data_ptr<std::int64_t>() + rows.targets.numel());
    }
    std::vector<std::pair<std::string, double>> values() const override
    {
        double sum = 0;
        for (std::size_t c = 0; c < m_scores.size(); ++c)
            sum += areaUnderCurve(m_scores[c], m_targets, m_scores.size() == 1 ? 1 : std::int64_t(c));
        return {{"roc_auc", m_scores.empty() ? kNan : sum / double(m_scores.size())}};
    }

private:
    std::vector<std::vector<double>> m_scores;  // [class][row]; one column for two classes
    std::vector<std::int64_t> m_targets;
};

}  // namespace

void addRocAuc(MetricRegistry& registry)
{
    registry.add({"roc_auc",
                  "ROC AUC",
                  "Probability that a positive scores higher than a negative (ties one half); more than two classes: mean of one against the rest.",
                  "Hanley & McNeil (1982), doi:10.1148/radiology.143.1.7063747",
                  {},
                  {{"output", "logits", {"batch", "...", "class"}}, {"target", "class_index", {"batch", "..."}}},
                  {}},
                 [](const core::Json&) { return std::make_unique<RocAuc>(); });
}

}  // namespace orrery::train
