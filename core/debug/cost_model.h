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
    double seconds = 0;              ///< measured, undisturbed: the quickest run; 0: unknown
    int round = -1;                  ///< in which round of shapes it was timed: what was timed in one is held out together; -1: unknown
};
CostRow costRowOf(const NodeCost& node);

/// Seconds of a node from its operator, FLOPs, bytes and shape. For each operator a non-negative combination of a fixed time, FLOPs, bytes and rows (elements / width), fitted to the
/// logarithms of the times with a robust loss, times a correction by the operator's own rows near by (a kernel mean of what the combination missed, which fades where there are none). An
/// operator that was never timed takes the combination of all that move bytes, or of all that move none. The same rows give the same model. Predictions are positive.
/// Source of the idea: a learned cost model of a compiler's operations, here with hand-made features: Das & Mannarswamy (2023), "ML-driven Hardware Cost Model for MLIR",
/// arXiv:2302.11405. Kernel mean: Nadaraya (1964), "On estimating regression", doi:10.1137/1109020.
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

    static constexpr std::size_t kRates = 4;
    /// A fixed time, seconds a FLOP, seconds a byte, seconds a row.
    using Rates = std::array<double, kRates>;
    static constexpr std::size_t kFeatures = 5;
    using Features = std::array<double, kFeatures>;
    /// What the combination missed at a timed row: ln(measured / combined).
    struct Residual {
        Features features{};
        double log = 0;
    };

private:
    const Rates& ratesOf(const CostRow& row) const;
    double correction(const CostRow& row) const;
    Rates m_moving{}, m_still{};  ///< of all rows that move bytes, and that move none
    std::map<std::string, Rates> m_operators;
    std::map<std::string, std::vector<Residual>> m_residuals;
};

/// Fills the predictions of a profile's nodes, modules, operators and types; of nodes in loops, a step's times their number.
void predictCosts(Profile& profile, const CostModel& model);

/// How well times are told beforehand, on rows that were not fitted: each fifth of the rows is predicted by a model of the others.
struct HeldOut {
    int rows = 0;
    double model = 0, flops = 0,
           bytes = 0;                       ///< Spearman's rank correlation of the prediction, of FLOPs alone, of bytes alone with the measured times
    double medianError = 0;                 ///< of |predicted / measured - 1|
    double flopsError = 0, bytesError = 0;  ///< the same of one rate a FLOP, one rate a byte, fitted to the same rows; only by heldOut
    core::Json toJson() const;
};
/// Rounds are dealt to the fifths in turn, so that no graph is in two of them; rows without a round by operator in turn. @throws as CostModel::fit.
HeldOut heldOut(const std::vector<CostRow>& rows);
/// The same numbers for rows and predictions of them.
HeldOut comparePredictions(const std::vector<CostRow>& rows, const std::vector<double>& predicted);

struct TimingOptions {
    int cases = 20;  ///< shapes an operator
    int runs = 5;    ///< the median counts
    std::uint64_t seed = 1;
    std::function<void(double done, double total)> progress;  ///< in cases; may be empty
};
/// Times operators that networks are made of on this machine, with the calling thread's thread count: each in a graph of its own over shapes drawn at random, and all those of a small network of the
/// zoo a round, where what runs between leaves them colder caches. @throws core::Cancelled.
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
