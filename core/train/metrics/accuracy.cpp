// Accuracy and top-k accuracy.

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <limits>

#include "classification.h"

namespace orrery::train {
namespace {

/// Right if fewer than k classes have a higher logit, or an equal one and a smaller index: for k = 1 that is argmax, which takes the first of equals. A NaN is wrong.
class TopK final : public Metric {
public:
    TopK(std::string name, std::int64_t k) : m_name(std::move(name)), m_k(k) {}
    void add(const MetricBatch& batch) override
    {
        const ClassRows rows = classRows(batch, m_name.c_str());
        const std::int64_t classes = rows.logits.size(1);
        const double* row = rows.logits.data_ptr<double>();
        const std::int64_t* target = rows.targets.data_ptr<std::int64_t>();
        for (std::int64_t i = 0, count = rows.targets.numel(); i < count; ++i, row += classes)
            m_right += rank(row, classes, target[i]) < m_k;
        m_total += rows.targets.numel();
    }
    std::vector<std::pair<std::string, double>> values() const override
    {
        return {{m_name, m_total ? double(m_right) / double(m_total) : std::numeric_limits<double>::quiet_NaN()}};
    }

private:
    static std::int64_t rank(const double* row, std::int64_t classes, std::int64_t target)
    {
        std::int64_t before = 0;
        for (std::int64_t c = 0; c < classes; ++c)
            before += c != target && !(row[c] < row[target] || (row[c] == row[target] && c > target));
        return before;
    }
    std::string m_name;
    std::int64_t m_k, m_right = 0, m_total = 0;
};

}  // namespace

void addAccuracy(MetricRegistry& registry)
{
    registry.add({"accuracy",
                  "Accuracy",
                  "Share of targets whose class has the highest logit (the first of equals counts).",
                  "Definition",
                  {},
                  classPorts(),
                  {}},
                 [](const core::Json&) { return std::make_unique<TopK>("accuracy", 1); });
}

void addTopK(MetricRegistry& registry)
{
    registry.add({"top_k",
                  "Top-k accuracy",
                  "Share of targets whose class is among the k highest logits; the metric is named top_5 for k = 5.",
                  "Definition",
                  {core::integer("k", 5, "How many classes count").atLeast(1)},
                  classPorts(),
                  {}},
                 [](const core::Json& settings) {
                     const auto k = settings.at("k").get<std::int64_t>();
                     return std::make_unique<TopK>(fmt::format("top_{}", k), k);
                 });
}

}  // namespace orrery::train
