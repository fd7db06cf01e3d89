#pragma once
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "features.h"

namespace orrery::explain {

/// The game that features play for a number: v(S) is the explained output with the features outside S at the baseline.
/// One thread; `function` must outlive it.
class FeatureGame {
public:
    /// Reads `feature_mask`, `baseline` and `perturbations_per_eval`. @throws core::InputError (also for NaN in the input or output).
    FeatureGame(const ScalarFunction& function, const core::Json& parameters, const std::string& method);

    const Features& features() const { return m_features; }
    std::int64_t count() const { return m_features.count(); }
    std::int64_t batch() const { return m_features.batch(); }
    std::int64_t perBatch() const { return m_perBatch; }  ///< coalitions evaluated at a time
    const at::Tensor& full() const { return m_full; }     ///< v of all features, [batch], double
    const at::Tensor& empty() const { return m_empty; }   ///< v of none, [batch], double
    std::int64_t evaluations() const { return m_evaluations; }
    /// v of each row. @param on  bool [n, count]. @return [n, batch], double, on the CPU.
    at::Tensor values(const at::Tensor& on);
    /// A result whose numbers for each feature are `perFeature` [batch, count]; `details` say how many features and evaluations.
    AttributionResult result(const at::Tensor& perFeature) const;
    /// The same with the completeness error: the sum over features - (v(all) - v(none)).
    AttributionResult completeResult(const at::Tensor& perFeature) const;

private:
    const ScalarFunction& m_function;
    Features m_features;
    std::int64_t m_perBatch, m_evaluations = 0;
    at::Tensor m_full, m_empty;
};

/// Which features are present, one entry a feature.
using Coalition = std::vector<bool>;

/// Values of coalitions, each evaluated once however often it is asked for. Numbers count up in the order of first asking, and are evaluated in that order.
/// The empty and the full coalition are known from the start.
class CoalitionValues {
public:
    explicit CoalitionValues(FeatureGame& game);
    /// The number of a coalition.
    std::size_t add(const Coalition& coalition);
    std::size_t evaluated() const { return m_evaluated; }  ///< numbers below it have values
    bool pending() const { return m_evaluated < m_coalitions.size(); }
    /// Evaluates the next `game.perBatch()` pending coalitions.
    void evaluateBatch();
    /// v for each sample of the batch.
    std::span<const double> at(std::size_t number) const { return {m_values.data() + number * m_batch, m_batch}; }
    /// Forgets all but the empty and the full coalition. Nothing may be pending.
    void clear();
    std::size_t size() const { return m_coalitions.size(); }

private:
    FeatureGame& m_game;
    std::size_t m_batch, m_evaluated = 0;
    std::vector<Coalition> m_coalitions;
    std::unordered_map<Coalition, std::size_t> m_numbers;
    std::vector<double> m_values;  // [number, sample]
};

/// [rows, count] of 0 and 1. @tparam dtype  at::kBool or at::kDouble.
at::Tensor coalitionMatrix(std::span<const Coalition> coalitions, at::ScalarType dtype);

}  // namespace orrery::explain
