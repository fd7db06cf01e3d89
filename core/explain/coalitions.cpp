#include "coalitions.h"

namespace orrery::explain {

FeatureGame::FeatureGame(const ScalarFunction& function, const core::Json& parameters, const std::string& method)
    : m_function(function), m_features((requireFinite(function, method), function.value()), parameters, method),
      m_perBatch(perturbationsPerBatch(parameters, function.value().size(0))), m_full(function.outputs().to(at::kCPU, at::kDouble))
{
    m_empty = values(at::zeros({1, count()}, at::kBool))[0];
}

at::Tensor FeatureGame::values(const at::Tensor& on)
{
    m_evaluations += on.size(0);
    return m_function.at(m_features.masked(on), on.size(0)).to(at::kCPU, at::kDouble).reshape({on.size(0), batch()});
}

AttributionResult FeatureGame::result(const at::Tensor& perFeature) const
{
    AttributionResult result;
    result.attribution = m_features.spread(perFeature);
    const auto baseline = m_empty.contiguous(), sums = perFeature.to(at::kCPU, at::kDouble).sum(1).contiguous();
    result.details = {{"features", count()},
                      {"evaluations", evaluations()},
                      {"sum_over_features", std::vector<double>(sums.data_ptr<double>(), sums.data_ptr<double>() + sums.numel())},
                      {"baseline_outputs", std::vector<double>(baseline.data_ptr<double>(), baseline.data_ptr<double>() + baseline.numel())}};
    return result;
}

AttributionResult FeatureGame::completeResult(const at::Tensor& perFeature) const
{
    auto made = result(perFeature);
    made.completenessError = perFeature.sum(1) - (m_full - m_empty);
    return made;
}

CoalitionValues::CoalitionValues(FeatureGame& game) : m_game(game), m_batch(std::size_t(game.batch()))
{
    clear();
}

void CoalitionValues::clear()
{
    m_coalitions.clear();
    m_numbers.clear();
    m_values.clear();
    for (const bool full : {false, true}) {
        add(Coalition(std::size_t(m_game.count()), full));
        const auto known = (full ? m_game.full() : m_game.empty()).contiguous();
        m_values.insert(m_values.end(), known.data_ptr<double>(), known.data_ptr<double>() + known.numel());
    }
    m_evaluated = m_coalitions.size();
}

std::size_t CoalitionValues::add(const Coalition& coalition)
{
    const auto [place, isNew] = m_numbers.try_emplace(coalition, m_coalitions.size());
    if (isNew)
        m_coalitions.push_back(coalition);
    return place->second;
}

void CoalitionValues::evaluateBatch()
{
    const auto rows = std::min(std::size_t(m_game.perBatch()), m_coalitions.size() - m_evaluated);
    const auto values = m_game.values(coalitionMatrix(std::span(m_coalitions).subspan(m_evaluated, rows), at::kBool)).contiguous();
    m_values.insert(m_values.end(), values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
    m_evaluated += rows;
}

at::Tensor coalitionMatrix(std::span<const Coalition> coalitions, at::ScalarType dtype)
{
    const auto count = coalitions.empty() ? 0 : coalitions[0].size();
    auto matrix = at::empty({std::int64_t(coalitions.size()), std::int64_t(count)}, at::kBool);
    auto* out = matrix.data_ptr<bool>();
    for (const auto& coalition : coalitions)
        out = std::copy(coalition.begin(), coalition.end(), out);
    return matrix.to(dtype);
}

}  // namespace orrery::explain
