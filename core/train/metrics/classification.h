#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "../metric.h"

namespace orrery::train {

/// A mean of nothing.
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
/// Logits [batch, ..., class] against class indices.
const std::vector<core::Port>& classPorts();

/// Mann-Whitney: the share of (positive, negative) pairs in which the positive has the higher score, ties one half; NaN without either or where a score is NaN.
/// Exact, O(n log n). Source: Hanley & McNeil (1982), doi:10.1148/radiology.143.1.7063747.
double areaUnderCurve(const std::vector<double>& scores, const std::vector<std::int64_t>& targets, std::int64_t positive);

/// Counts [true class][predicted class]; grows to the number of logits.
class ConfusionCounts {
public:
    void add(const MetricBatch& batch, const char* metric);
    std::int64_t classes() const { return m_classes; }
    std::int64_t at(std::int64_t truth, std::int64_t predicted) const { return m_counts[std::size_t(truth * m_classes + predicted)]; }
    std::int64_t total() const { return m_total; }

private:
    std::int64_t m_classes = 0, m_total = 0;
    std::vector<std::int64_t> m_counts;
};

}  // namespace orrery::train
