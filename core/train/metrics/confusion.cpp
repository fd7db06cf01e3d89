// Confusion matrix and F1.

#include "classification.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <limits>

namespace orrery::train {

const std::vector<core::Port>& classPorts()
{
    static const std::vector<core::Port> ports{{"output", "logits", {"batch", "...", "class"}}, {"target", "class_index", {"batch", "..."}}};
    return ports;
}

void ConfusionCounts::add(const MetricBatch& batch, const char* metric)
{
    const ClassRows rows = classRows(batch, metric);
    if (m_classes == 0) {
        m_classes = rows.logits.size(1);
        m_counts.assign(std::size_t(m_classes * m_classes), 0);
    }
    if (rows.logits.size(1) != m_classes)
        throw core::ShapeError(fmt::format("{}: expected {} classes as in the batches before, got {}", metric, m_classes, rows.logits.size(1)));
    const at::Tensor predictions = rows.logits.argmax(1);
    const std::int64_t* predicted = predictions.data_ptr<std::int64_t>();
    const std::int64_t* truth = rows.targets.data_ptr<std::int64_t>();
    for (std::int64_t i = 0, count = rows.targets.numel(); i < count; ++i)
        ++m_counts[std::size_t(truth[i] * m_classes + predicted[i])];
    m_total += rows.targets.numel();
}

namespace {

class ConfusionMatrix final : public Metric {
public:
    void add(const MetricBatch& batch) override { m_counts.add(batch, "confusion_matrix"); }
    std::vector<std::pair<std::string, double>> values() const override { return {}; }
    core::Json detail() const override
    {
        core::Json counts = core::Json::array();
        for (std::int64_t truth = 0; truth < m_counts.classes(); ++truth) {
            core::Json row = core::Json::array();
            for (std::int64_t predicted = 0; predicted < m_counts.classes(); ++predicted)
                row.push_back(m_counts.at(truth, predicted));
            counts.push_back(std::move(row));
        }
        return {{"counts", counts}};
    }

private:
    ConfusionCounts m_counts;
};

class F1 final : public Metric {
public:
    explicit F1(std::string average) : m_average(std::move(average)) {}
    void add(const MetricBatch& batch) override { m_counts.add(batch, "f1"); }
    std::vector<std::pair<std::string, double>> values() const override
    {
        if (m_counts.total() == 0)
            return {{"f1", kNan}};
        std::vector<std::pair<std::string, double>> out;
        std::int64_t hits = 0, predicted = 0, present = 0;
        double sum = 0;
        for (std::int64_t c = 0; c < m_counts.classes(); ++c) {
            std::int64_t p = 0, t = 0;
            for (std::int64_t other = 0; other < m_counts.classes(); ++other) {
                p += m_counts.at(other, c);
                t += m_counts.at(c, other);
            }
            const std::int64_t hit = m_counts.at(c, c);
            const double f1 = p + t > 0 ? 2.0 * double(hit) / double(p + t) : 0;
            hits += hit, predicted += p, present += t, sum += f1;
            out.emplace_back(fmt::format("f1_{}", c), f1);
        }
        const double macro = sum / double(m_counts.classes()), micro = 2.0 * double(hits) / double(predicted + present);
        if (m_average != "per_class")
            return {{"f1", m_average == "macro" ? macro : micro}};
        out.emplace(out.begin(), "f1", macro);
        return out;
    }

private:
    std::string m_average;
    ConfusionCounts m_counts;
};

}  // namespace

void addConfusionMatrix(MetricRegistry& registry)
{
    registry.add({"confusion_matrix",
                  "Confusion matrix",
                  "Counts of true class (row) against predicted class (column); kept as an artifact, not as a curve.",
                  "Definition",
                  {},
                  classPorts(),
                  {}},
                 [](const core::Json&) { return std::make_unique<ConfusionMatrix>(); });
}

void addF1(MetricRegistry& registry)
{
    registry.add({"f1",
                  "F1",
                  "Harmonic mean of precision and recall; a class that is neither present nor predicted counts 0 in the macro average.",
                  "van Rijsbergen (1979), \"Information Retrieval\", chapter 7; averages as in scikit-learn's f1_score",
                  {core::choice("average", {"macro", "micro", "per_class"}, "macro",
                                "Mean over classes, over all decisions, or the macro mean with each class beside it (f1_0, f1_1, ...)")},
                  classPorts(),
                  {}},
                 [](const core::Json& settings) { return std::make_unique<F1>(settings.at("average").get<std::string>()); });
}

}  // namespace orrery::train
