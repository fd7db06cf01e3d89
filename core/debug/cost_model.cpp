#include "cost_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include <core/base/error.h>
#include <core/explain/metrics/rank.h>

namespace orrery::debug {
namespace {

constexpr std::size_t kFewestRows = 10;
constexpr std::size_t kFewestOfOperator = 5;
constexpr double kShortest = 1e-8;  ///< s: no prediction below
constexpr int kReweightings = 30;
constexpr double kSmallError = 0.15;  ///< in ln: below it errors count squared, above it as they are
constexpr double kKernelWidth = 1.2;  ///< in ln of the features
constexpr double kKernelShrinkage = 0.5;

CostModel::Features featuresOf(const CostRow& row)
{
    return {std::log1p(row.flops), std::log1p(row.bytes), std::log1p(row.elements), std::log1p(row.width), std::log1p(row.parameterBytes)};
}

CostModel::Rates columnsOf(const CostRow& row)
{
    return {1, row.flops, row.bytes, row.elements / std::max(row.width, 1.0)};
}

double ratedSeconds(const CostModel::Rates& rates, const CostRow& row)
{
    const auto columns = columnsOf(row);
    double seconds = 0;
    for (std::size_t i = 0; i < CostModel::kRates; ++i)
        seconds += rates[i] * columns[i];
    return std::max(kShortest, seconds);
}

using Products = std::array<CostModel::Rates, CostModel::kRates>;

/// Solves the normal equations over the columns in `chosen`; nothing if they are singular.
std::optional<CostModel::Rates> solved(const Products& products, const CostModel::Rates& sums, unsigned chosen)
{
    std::vector<std::size_t> columns;
    for (std::size_t i = 0; i < CostModel::kRates; ++i)
        if (chosen >> i & 1u)
            columns.push_back(i);
    const std::size_t n = columns.size();
    std::vector<std::vector<double>> matrix(n, std::vector<double>(n + 1));
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t k = 0; k < n; ++k)
            matrix[i][k] = products[columns[i]][columns[k]];
        matrix[i][n] = sums[columns[i]];
    }
    for (std::size_t i = 0; i < n; ++i) {  // positive semidefinite: no pivoting needed
        if (!(matrix[i][i] > 1e-12))
            return std::nullopt;
        for (std::size_t row = 0; row < n; ++row) {
            if (row == i)
                continue;
            const double factor = matrix[row][i] / matrix[i][i];
            for (std::size_t k = i; k <= n; ++k)
                matrix[row][k] -= factor * matrix[i][k];
        }
    }
    CostModel::Rates rates{};
    for (std::size_t i = 0; i < n; ++i)
        rates[columns[i]] = matrix[i][n] / matrix[i][i];
    return rates;
}

/// Non-negative least squares of weighted errors: four columns allow all choices of those that are not zero to be tried.
CostModel::Rates weightedRates(const std::vector<const CostRow*>& rows, const std::vector<double>& weights)
{
    CostModel::Rates scale{};
    for (std::size_t row = 0; row < rows.size(); ++row)
        for (std::size_t i = 0; i < CostModel::kRates; ++i)
            scale[i] = std::max(scale[i], weights[row] * columnsOf(*rows[row])[i]);
    Products products{};
    CostModel::Rates sums{};
    double squares = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
        auto columns = columnsOf(*rows[row]);
        const double target = weights[row] * rows[row]->seconds;
        squares += target * target;
        for (std::size_t i = 0; i < CostModel::kRates; ++i)
            columns[i] = scale[i] > 0 ? weights[row] * columns[i] / scale[i] : 0;
        for (std::size_t i = 0; i < CostModel::kRates; ++i) {
            sums[i] += columns[i] * target;
            for (std::size_t k = 0; k < CostModel::kRates; ++k)
                products[i][k] += columns[i] * columns[k];
        }
    }
    CostModel::Rates best{};
    double least = INFINITY;
    for (unsigned chosen = 1; chosen < 1u << CostModel::kRates; ++chosen) {
        const auto rates = solved(products, sums, chosen);
        if (!rates || std::any_of(rates->begin(), rates->end(), [](double rate) { return rate < 0; }))
            continue;
        double error = squares;
        for (std::size_t i = 0; i < CostModel::kRates; ++i) {
            error -= 2 * (*rates)[i] * sums[i];
            for (std::size_t k = 0; k < CostModel::kRates; ++k)
                error += (*rates)[i] * (*rates)[k] * products[i][k];
        }
        if (error < least) {
            least = error;
            best = *rates;
        }
    }
    for (std::size_t i = 0; i < CostModel::kRates; ++i)
        best[i] = scale[i] > 0 ? best[i] / scale[i] : 0;
    return best;
}

/// Errors relative to the time alone would let a prediction of next to nothing off lightly, so they are weighted anew: divided by the geometric mean of prediction and time they are those
/// of the logarithms to second order.
CostModel::Rates fitRates(const std::vector<const CostRow*>& rows)
{
    std::vector<double> weights;
    for (const auto* row : rows)
        weights.push_back(1 / row->seconds);
    auto rates = weightedRates(rows, weights);
    for (int i = 0; i < kReweightings; ++i) {
        for (std::size_t row = 0; row < rows.size(); ++row) {
            const double predicted = ratedSeconds(rates, *rows[row]), seconds = rows[row]->seconds;
            weights[row] = 1 / std::sqrt(predicted * seconds * std::max(std::abs(std::log(predicted / seconds)), kSmallError));
        }
        rates = weightedRates(rows, weights);
    }
    return rates;
}

/// Of the rows that move bytes, or that move none; of all where there are too few.
CostModel::Rates fitGroup(const std::vector<const CostRow*>& rows, bool moves)
{
    std::vector<const CostRow*> group;
    for (const auto* row : rows)
        if ((row->bytes > 0) == moves)
            group.push_back(row);
    return fitRates(group.size() >= kFewestOfOperator ? group : rows);
}

[[noreturn]] void damaged(const std::string& name, const std::string& what)
{
    throw core::FormatError(fmt::format("{}: cost model: expected {}", name, what));
}

CostModel::Rates ratesFrom(const core::Json& json, const std::string& name)
{
    if (!json.is_array() || json.size() != CostModel::kRates)
        damaged(name, "four rates an operator");
    CostModel::Rates rates{};
    for (std::size_t i = 0; i < CostModel::kRates; ++i) {
        if (!json[i].is_number() || json[i].get<double>() < 0)
            damaged(name, "rates that are numbers, none negative");
        rates[i] = json[i].get<double>();
    }
    return rates;
}

CostModel::Residual residualFrom(const core::Json& json, const std::string& name)
{
    const auto isNumber = [](const core::Json& each) { return each.is_number() && std::isfinite(each.get<double>()); };
    if (!json.is_array() || json.size() != CostModel::kFeatures + 1 || !std::all_of(json.begin(), json.end(), isNumber))
        damaged(name, fmt::format("residuals of {} numbers", CostModel::kFeatures + 1));
    CostModel::Residual residual;
    for (std::size_t i = 0; i < CostModel::kFeatures; ++i)
        residual.features[i] = json[i].get<double>();
    residual.log = json[CostModel::kFeatures].get<double>();
    return residual;
}

double medianRelativeError(const std::vector<CostRow>& rows, const std::vector<double>& predicted)
{
    std::vector<double> errors;
    for (std::size_t i = 0; i < rows.size(); ++i)
        errors.push_back(std::abs(predicted[i] / rows[i].seconds - 1));
    return medianOf(std::move(errors));
}

/// Times by one column alone: the rate that fits best, as the model's own are fitted.
std::vector<double> byOneColumn(const std::vector<CostRow>& fitted, const std::vector<CostRow>& rows, double CostRow::*column)
{
    std::vector<double> rates;
    for (const auto& row : fitted)
        if (row.*column > 0)
            rates.push_back(row.seconds / row.*column);
    const double rate = rates.empty() ? 0 : medianOf(std::move(rates));
    std::vector<double> predicted;
    for (const auto& row : rows)
        predicted.push_back(std::max(kShortest, rate * row.*column));
    return predicted;
}

}  // namespace

CostRow costRowOf(const NodeCost& node)
{
    CostRow row{node.op, double(node.flops), double(node.bytes()), double(node.parameterBytes), 1, 1, node.quickest};
    for (const auto size : node.shape)
        row.elements *= double(size);
    row.width = node.shape.empty() ? 1 : double(node.shape.back());
    return row;
}

void predictCosts(Profile& profile, const CostModel& model)
{
    for (auto& node : profile.nodes) {
        if (node.op.starts_with("prim::If") || node.op.starts_with("prim::Loop"))
            continue;  // their nodes are predicted
        CostRow row = costRowOf(node);
        const double calls = std::max(node.calls, 1.0);
        row.flops /= calls;
        row.bytes /= calls;
        node.predicted = calls * model.predict(row);
    }
    const auto sum = [&](GroupCost& group, const auto& belongs) {
        group.predicted = 0;
        for (const auto& node : profile.nodes)
            group.predicted += belongs(node) ? node.predicted : 0;
    };
    for (auto& module : profile.modules)
        sum(module, [&](const NodeCost& node) { return isWithinModule(node.module, module.name); });
    for (auto& group : profile.operators)
        sum(group, [&](const NodeCost& node) { return node.op == group.name; });
    for (auto& type : profile.types)
        sum(type, [&](const NodeCost& node) {
            return std::any_of(profile.modules.begin(), profile.modules.end(), [&](const GroupCost& module) {
                return module.type == type.name && !module.name.empty() && isWithinModule(node.module, module.name);
            });
        });
}

CostModel CostModel::fit(const std::vector<CostRow>& rows)
{
    if (rows.size() < kFewestRows)
        throw core::InputError(fmt::format("cost model: expected at least {} timed nodes, got {}", kFewestRows, rows.size()));
    std::map<std::string, std::vector<const CostRow*>> byOperator;
    std::vector<const CostRow*> all;
    for (const auto& row : rows) {
        if (!(row.seconds > 0) || !std::isfinite(row.seconds))
            throw core::InputError(fmt::format("cost model: {}: expected a positive time, got {}", row.op, row.seconds));
        byOperator[row.op].push_back(&row);
        all.push_back(&row);
    }
    CostModel model;
    model.m_moving = fitGroup(all, true);
    model.m_still = fitGroup(all, false);
    for (const auto& [op, members] : byOperator)
        if (members.size() >= kFewestOfOperator)
            model.m_operators[op] = fitRates(members);
    for (const auto& row : rows)
        model.m_residuals[row.op].push_back({featuresOf(row), std::log(row.seconds / ratedSeconds(model.ratesOf(row), row))});
    return model;
}

const CostModel::Rates& CostModel::ratesOf(const CostRow& row) const
{
    const auto known = m_operators.find(row.op);
    return known != m_operators.end() ? known->second : row.bytes > 0 ? m_moving : m_still;
}

double CostModel::correction(const CostRow& row) const
{
    const auto known = m_residuals.find(row.op);
    if (known == m_residuals.end())
        return 0;
    const auto features = featuresOf(row);
    double sum = 0, weights = kKernelShrinkage;
    for (const auto& residual : known->second) {
        double distance = 0;
        for (std::size_t i = 0; i < kFeatures; ++i)
            distance += (features[i] - residual.features[i]) * (features[i] - residual.features[i]);
        const double weight = std::exp(-distance / (2 * kKernelWidth * kKernelWidth));
        sum += weight * residual.log;
        weights += weight;
    }
    return sum / weights;
}

double CostModel::predict(const CostRow& row) const
{
    return std::max(kShortest, ratedSeconds(ratesOf(row), row) * std::exp(correction(row)));
}

core::Json CostModel::toJson() const
{
    core::Json json = {{"moving", m_moving}, {"still", m_still}, {"operators", m_operators}, {"residuals", core::Json::object()}};
    for (const auto& [op, residuals] : m_residuals)
        for (const auto& residual : residuals) {
            core::Json numbers = residual.features;
            numbers.push_back(residual.log);
            json["residuals"][op].push_back(std::move(numbers));
        }
    return json;
}

CostModel CostModel::fromJson(const core::Json& json, const std::string& name)
{
    if (!json.is_object() || !json.contains("moving") || !json.contains("still") || !json.contains("operators") || !json["operators"].is_object() ||
        !json.contains("residuals") || !json["residuals"].is_object())
        damaged(name, "moving, still, operators and residuals");
    CostModel model;
    model.m_moving = ratesFrom(json["moving"], name);
    model.m_still = ratesFrom(json["still"], name);
    for (const auto& [op, rates] : json["operators"].items())
        model.m_operators[op] = ratesFrom(rates, name);
    for (const auto& [op, residuals] : json["residuals"].items())
        for (const auto& residual : residuals)
            model.m_residuals[op].push_back(residualFrom(residual, name));
    return model;
}

HeldOut comparePredictions(const std::vector<CostRow>& rows, const std::vector<double>& predicted)
{
    HeldOut result;
    result.rows = int(rows.size());
    if (rows.empty())
        return result;
    const auto column = [&](auto take) {
        std::vector<double> numbers;
        for (const auto& row : rows)
            numbers.push_back(take(row));
        return at::tensor(numbers, at::kDouble);
    };
    const at::Tensor measured = column([](const CostRow& row) { return row.seconds; });
    result.model = explain::rankCorrelation(at::tensor(predicted, at::kDouble), measured);
    result.flops = explain::rankCorrelation(column([](const CostRow& row) { return row.flops; }), measured);
    result.bytes = explain::rankCorrelation(column([](const CostRow& row) { return row.bytes; }), measured);
    result.medianError = medianRelativeError(rows, predicted);
    return result;
}

HeldOut heldOut(const std::vector<CostRow>& rows)
{
    constexpr int kParts = 5;
    std::map<std::string, int> seen;
    std::vector<int> part;
    for (const auto& row : rows)
        part.push_back((row.round >= 0 ? row.round : seen[row.op]++) % kParts);
    std::vector<double> predicted(rows.size()), byFlops(rows.size()), byBytes(rows.size());
    for (int held = 0; held < kParts; ++held) {
        std::vector<CostRow> others;
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (part[i] != held)
                others.push_back(rows[i]);
        const CostModel model = CostModel::fit(others);
        const auto flops = byOneColumn(others, rows, &CostRow::flops), bytes = byOneColumn(others, rows, &CostRow::bytes);
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (part[i] == held) {
                predicted[i] = model.predict(rows[i]);
                byFlops[i] = flops[i];
                byBytes[i] = bytes[i];
            }
    }
    HeldOut result = comparePredictions(rows, predicted);
    result.flopsError = medianRelativeError(rows, byFlops);
    result.bytesError = medianRelativeError(rows, byBytes);
    return result;
}

core::Json HeldOut::toJson() const
{
    return {{"rows", rows},
            {"rank_correlation", {{"model", model}, {"flops", flops}, {"bytes", bytes}}},
            {"median_relative_error", medianError},
            {"median_relative_error_flops", flopsError},
            {"median_relative_error_bytes", bytesError}};
}

}  // namespace orrery::debug
