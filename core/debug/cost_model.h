#pragma once
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/base/json.h>

#include "profile.h"

namespace orrery::debug {

/// What is known of a node before it is timed, and its time.
struct CostRow {
    std::string op;
    double flops = 0, bytes = 0, parameterBytes = 0;
    double elements = 0, width = 0;  ///< of its first tensor output: all, and its last axis
    double seconds = 0;              ///< measured; 0: unknown
};
CostRow costRowOf(const NodeCost& node);

/// Seconds of a node from its operator, FLOPs, bytes and shape. For each operator a non-negative combination of a fixed time, FLOPs and bytes (least squares of relative
/// errors), times a correction by boosted stumps over the logarithms of the features; an operator that was never timed takes the combination of all.
/// The same rows give the same model. Predictions are positive.
/// Source of the idea: a learned cost model of a compiler's operations, here with hand-made features: Das & Mannarswamy (2023), "ML-driven Hardware Cost Model for MLIR",
/// arXiv:2302.11405. Stumps: Friedman (2001), "Greedy function approximation: a gradient boosting machine", doi:10.1214/aos/1013203451.
class CostModel {
public:
    /// @throws core::InputError for fewer than ten rows, or a row whose time is not positive.
    static CostModel fit(const std::vector<CostRow>& rows);
    double predict(const CostRow& row) const;
    /// Was the operator among the rows?
    bool knows(const std::string& op) const { return m_operators.contains(op); }
    core::Json toJson() const;
    /// @throws core::FormatError naming the field.
    static CostModel fromJson(const core::Json& json, const std::string& name);

    static constexpr std::size_t kFeatures = 6;
    using Features = std::array<double, kFeatures>;
    /// A fixed time, seconds a FLOP, seconds a byte.
    using Rates = std::array<double, 3>;
    struct Stump {
        std::size_t feature = 0;
        double threshold = 0, below = 0, above = 0;
    };

private:
    double combined(const CostRow& row) const;
    Rates m_all{};
    std::map<std::string, Rates> m_operators;
    std::vector<Stump> m_stumps;
};

/// Fills the predictions of a profile's nodes, modules, operators and types; of nodes in loops, a step's times their number.
void predictCosts(Profile& profile, const CostModel& model);

/// How well times are told beforehand, on rows that were not fitted: each fifth of the rows is predicted by a model of the others.
struct HeldOut {
    int rows = 0;
    double model = 0, flops = 0,
           bytes = 0;        ///< Spearman's rank correlation of the prediction, of FLOPs alone, of bytes alone with the measured times
    double medianError = 0;  ///< of |predicted / measured - 1|
    core::Json toJson() const;
};
/// Rows of one operator are dealt to the fifths in turn. @throws as CostModel::fit.
HeldOut heldOut(const std::vector<CostRow>& rows);
/// The same numbers for rows and predictions of them.
HeldOut comparePredictions(const std::vector<CostRow>& rows, const std::vector<double>& predicted);

struct TimingOptions {
    int cases = 20;  ///< shapes an operator
    int runs = 5;    ///< the median counts
    std::uint64_t seed = 1;
    std::function<void(double done, double total)> progress;  ///< in cases; may be empty
};
/// Times operators that networks are made of on this machine, each over shapes drawn at random, with the calling thread's thread count. @throws core::Cancelled.
std::vector<CostRow> timeOperators(const TimingOptions& options, std::stop_token stop = {});

/// A cost model with where it holds.
struct StoredCostModel {
    CostModel model;
    std::vector<CostRow> rows;
    HeldOut heldOut;
    std::string date;  ///< ISO 8601, UTC
    core::Json machine;
    core::Json toJson() const;
};
/// Processor, its level and cores, libtorch, matrix product, threads: what a cost model holds for.
core::Json machineSignature();
/// Times and fits for this machine. @throws as timeOperators.
StoredCostModel makeCostModel(const TimingOptions& options, std::stop_token stop = {});
/// `$XDG_CACHE_HOME/orrery/cost-model.json`, else `~/.cache/orrery/cost-model.json`. @throws core::StorageError without a home.
std::filesystem::path costModelFile();
void saveCostModel(const StoredCostModel& model, const std::filesystem::path& file);
/// Nothing if there is no file. @throws core::FormatError for a damaged one, core::StorageError.
std::optional<StoredCostModel> loadCostModel(const std::filesystem::path& file);
/// In which fields a model's machine is another than this one: "threads: 2, fitted with 4"; empty if in none.
std::string machineDifference(const core::Json& machine);

}  // namespace orrery::debug
