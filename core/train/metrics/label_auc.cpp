// Area under the curve of each label, over the pictures whose label is known.

#include <ATen/ATen.h>
#include <cmath>
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/data/label_tables.h>

#include "classification.h"

namespace orrery::train {
namespace {

class LabelAuc final : public Metric {
public:
    explicit LabelAuc(std::vector<std::string> labels) : m_labels(std::move(labels)) {}
    void add(const MetricBatch& batch) override
    {
        const at::Tensor output = batch.output.detach().to(at::kCPU, at::kDouble).contiguous(),
                         target = batch.target.to(at::kCPU, at::kDouble).contiguous();
        if (output.dim() != 2 || output.sizes() != target.sizes())
            throw core::ShapeError(fmt::format("label_auc: expected output and target [batch, label], got {} and {}",
                                               core::formatShape(output.sizes()), core::formatShape(target.sizes())));
        if (!m_labels.empty() && std::int64_t(m_labels.size()) != output.size(1))
            throw core::ShapeError(fmt::format("label_auc: expected {} labels, as it has names, got {}", m_labels.size(), output.size(1)));
        m_scores.resize(std::size_t(output.size(1)));
        m_targets.resize(m_scores.size());
        for (std::int64_t i = 0; i < output.numel(); ++i) {
            const double known = target.data_ptr<double>()[i];
            if (std::isnan(known))
                continue;
            m_scores[std::size_t(i % output.size(1))].push_back(output.data_ptr<double>()[i]);
            m_targets[std::size_t(i % output.size(1))].push_back(known == 1);
        }
    }
    std::vector<std::pair<std::string, double>> values() const override
    {
        std::vector<std::pair<std::string, double>> out;
        double sum = 0;
        int defined = 0;
        for (std::size_t label = 0; label < m_scores.size(); ++label) {
            const double area = areaUnderCurve(m_scores[label], m_targets[label], 1);
            out.emplace_back("auc_" + (m_labels.empty() ? std::to_string(label) : m_labels[label]), area);
            sum += std::isnan(area) ? 0 : area;
            defined += !std::isnan(area);
        }
        out.emplace(out.begin(), "auc", defined ? sum / defined : kNan);
        return out;
    }

private:
    std::vector<std::string> m_labels;
    std::vector<std::vector<double>> m_scores;  // [label][picture whose label is known]
    std::vector<std::vector<std::int64_t>> m_targets;
};

}  // namespace

void addLabelAuc(MetricRegistry& registry)
{
    registry.add({"label_auc",
                  "ROC AUC of each label",
                  "Area under the curve of each label over the samples whose label is known, and the mean over labels that have both kinds.",
                  "Hanley & McNeil (1982), doi:10.1148/radiology.143.1.7063747; Cohen et al. (2022), arXiv:2111.00595, section 3",
                  {core::list("labels", core::text("", "", ""), core::Json::array(), "Names of the labels: auc_NAME instead of auc_0, auc_1, ...")},
                  {{"output", "any", {"batch", "..."}}, {"target", std::string(data::kLabelsKind), {"batch", "label"}}},
                  {}},
                 [](const core::Json& settings) { return std::make_unique<LabelAuc>(settings.at("labels").get<std::vector<std::string>>()); });
}

}  // namespace orrery::train
