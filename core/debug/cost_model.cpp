#include "cost_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <core/explain/metrics/rank.h>

namespace orrery::debug {
namespace {

constexpr std::size_t kFewestRows = 10;
constexpr std::size_t kFewestOfOperator = 5;
constexpr int kStumps = 80;
constexpr double kShrinkage = 0.3;
constexpr std::size_t kFewestInLeaf = 5;
constexpr double kShortest = 1e-8;  ///< s: no prediction below

CostModel::Features featuresOf(const CostRow& row)
{
    const double moved = std::max(row.bytes, 1.0);
    return {std::log1p(row.flops), std::log1p(row.bytes),          std::log1p(row.elements),
            std::log1p(row.width), std::log1p(row.parameterBytes), std::log((row.flops + 1) / moved)};
}

/// The three columns of a row, divided by its time: errors count relatively.
std::array<double, 3> columnsOf(const CostRow& row)
{
    return {1 / row.seconds, row.flops / row.seconds, row.bytes / row.seconds};
}

/// Solves the normal equations over the columns in `chosen`; nothing if they are singular.
std::optional<CostModel::Rates> solved(const std::array<std::array<double, 3>, 3>& products, const std::array<double, 3>& sums, unsigned chosen)
{
    std::vector<std::size_t> columns;
    for (std::size_t i = 0; i < 3; ++i)
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

/// Non-negative least squares of relative errors: three columns allow all seven choices of those that are not zero to be tried.
CostModel::Rates fitRates(const std::vector<const CostRow*>& rows)
{
    std::array<double, 3> scale{};
    for (const auto* row : rows)
        for (std::size_t i = 0; i < 3; ++i)
            scale[i] = std::max(scale[i], columnsOf(*row)[i]);
    std::array<std::array<double, 3>, 3> products{};
    std::array<double, 3> sums{};
    for (const auto* row : rows) {
        const auto columns = columnsOf(*row);
        for (std::size_t i = 0; i < 3; ++i) {
            const double left = scale[i] > 0 ? columns[i] / scale[i] : 0;
            sums[i] += left;
            for (std::size_t k = 0; k < 3; ++k)
                products[i][k] += left * (scale[k] > 0 ? columns[k] / scale[k] : 0);
        }
    }
    CostModel::Rates best{};
    double least = INFINITY;
    for (unsigned chosen = 1; chosen < 8; ++chosen) {
        const auto rates = solved(products, sums, chosen);
        if (!rates || std::any_of(rates->begin(), rates->end(), [](double rate) { return rate < 0; }))
            continue;
        double error = double(rows.size());
        for (std::size_t i = 0; i < 3; ++i) {
            error -= 2 * (*rates)[i] * sums[i];
            for (std::size_t k = 0; k < 3; ++k)
                error += (*rates)[i] * (*rates)[k] * products[i][k];
        }
        if (error < least) {
            least = error;
            best = *rates;
        }
    }
    for (std::size_t i = 0; i < 3; ++i)
        best[i] = scale[i] > 0 ? best[i] / scale[i] : 0;
    return best;
}

double ratedSeconds(const CostModel::Rates& rates, const CostRow& row)
{
    return std::max(kShortest, rates[0] + rates[1] * row.flops + rates[2] * row.bytes);
}

/// The split of one feature that explains most of the residuals: the first of equally good ones.
struct Split {
    CostModel::Stump stump;
    double gain = 0;
};

void tryFeature(std::size_t feature, const std::vector<CostModel::Features>& features, const std::vector<double>& residuals, Split& best)
{
    std::vector<std::size_t> order(features.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return features[a][feature] < features[b][feature]; });
    double total = 0, left = 0;
    for (const double each : residuals)
        total += each;
    const double count = double(order.size());
    for (std::size_t i = 0; i + 1 < order.size(); ++i) {
        left += residuals[order[i]];
        const double here = features[order[i]][feature], next = features[order[i + 1]][feature];
        const std::size_t below = i + 1, above = order.size() - below;
        if (here == next || below < kFewestInLeaf || above < kFewestInLeaf)
            continue;
        const double gain = left * left / double(below) + (total - left) * (total - left) / double(above) - total * total / count;
        if (gain > best.gain + 1e-12)
            best = {{feature, (here + next) / 2, left / double(below), (total - left) / double(above)}, gain};
    }
}

double correction(const std::vector<CostModel::Stump>& stumps, const CostModel::Features& features)
{
    double sum = 0;
    for (const auto& stump : stumps)
        sum += features[stump.feature] <= stump.threshold ? stump.below : stump.above;
    return sum;
}

std::vector<CostModel::Stump> fitStumps(const std::vector<CostRow>& rows, std::vector<double> residuals)
{
    std::vector<CostModel::Features> features;
    for (const auto& row : rows)
        features.push_back(featuresOf(row));
    std::vector<CostModel::Stump> stumps;
    for (int i = 0; i < kStumps; ++i) {
        Split best;
        for (std::size_t feature = 0; feature < CostModel::kFeatures; ++feature)
            tryFeature(feature, features, residuals, best);
        if (best.gain <= 0)
            break;
        best.stump.below *= kShrinkage;
        best.stump.above *= kShrinkage;
        for (std::size_t row = 0; row < rows.size(); ++row)
            residuals[row] -= correction({best.stump}, features[row]);
        stumps.push_back(best.stump);
    }
    return stumps;
}

[[noreturn]] void damaged(const std::string& name, const std::string& what)
{
    throw core::FormatError(fmt::format("{}: cost model: expected {}", name, what));
}

double numberAt(const core::Json& json, const char* key, const std::string& name)
{
    if (!json.is_object() || !json.contains(key) || !json[key].is_number())
        damaged(name, fmt::format("a number \"{}\"", key));
    return json[key].get<double>();
}

CostModel::Rates ratesFrom(const core::Json& json, const std::string& name)
{
    if (!json.is_array() || json.size() != 3)
        damaged(name, "three rates an operator");
    CostModel::Rates rates{};
    for (std::size_t i = 0; i < 3; ++i) {
        if (!json[i].is_number() || json[i].get<double>() < 0)
            damaged(name, "rates that are numbers, none negative");
        rates[i] = json[i].get<double>();
    }
    return rates;
}

double medianRelativeError(const std::vector<CostRow>& rows, const std::vector<double>& predicted)
{
    std::vector<double> errors;
    for (std::size_t i = 0; i < rows.size(); ++i)
        errors.push_back(std::abs(predicted[i] / rows[i].seconds - 1));
    return medianOf(std::move(errors));
}

}  // namespace

CostRow costRowOf(const NodeCost& node)
{
    CostRow row{node.op, double(node.flops), double(node.bytes()), double(node.parameterBytes), 1, 1, node.seconds};
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
    model.m_all = fitRates(all);
    for (const auto& [op, members] : byOperator)
        if (members.size() >= kFewestOfOperator)
            model.m_operators[op] = fitRates(members);
    std::vector<double> residuals;
    for (const auto& row : rows)
        residuals.push_back(std::log(row.seconds / model.combined(row)));
    model.m_stumps = fitStumps(rows, std::move(residuals));
    return model;
}

double CostModel::combined(const CostRow& row) const
{
    const auto known = m_operators.find(row.op);
    return ratedSeconds(known == m_operators.end() ? m_all : known->second, row);
}

double CostModel::predict(const CostRow& row) const
{
    return std::max(kShortest, combined(row) * std::exp(correction(m_stumps, featuresOf(row))));
}

core::Json CostModel::toJson() const
{
    core::Json json = {{"all", m_all}, {"operators", m_operators}, {"stumps", core::Json::array()}};
    for (const auto& stump : m_stumps)
        json["stumps"].push_back({{"feature", stump.feature}, {"threshold", stump.threshold}, {"below", stump.below}, {"above", stump.above}});
    return json;
}

CostModel CostModel::fromJson(const core::Json& json, const std::string& name)
{
    if (!json.is_object() || !json.contains("all") || !json.contains("operators") || !json["operators"].is_object() || !json.contains("stumps") ||
        !json["stumps"].is_array())
        damaged(name, "all, operators and stumps");
    CostModel model;
    model.m_all = ratesFrom(json["all"], name);
    for (const auto& [op, rates] : json["operators"].items())
        model.m_operators[op] = ratesFrom(rates, name);
    for (const auto& stump : json["stumps"]) {
        const double feature = numberAt(stump, "feature", name);
        if (!(feature >= 0 && feature < double(kFeatures)))
            damaged(name, fmt::format("a feature below {}", kFeatures));
        model.m_stumps.push_back(
            {std::size_t(feature), numberAt(stump, "threshold", name), numberAt(stump, "below", name), numberAt(stump, "above", name)});
    }
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
        part.push_back(seen[row.op]++ % kParts);
    std::vector<double> predicted(rows.size());
    for (int held = 0; held < kParts; ++held) {
        std::vector<CostRow> others;
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (part[i] != held)
                others.push_back(rows[i]);
        const CostModel model = CostModel::fit(others);
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (part[i] == held)
                predicted[i] = model.predict(rows[i]);
    }
    return comparePredictions(rows, predicted);
}

core::Json HeldOut::toJson() const
{
    return {{"rows", rows}, {"rank_correlation", {{"model", model}, {"flops", flops}, {"bytes", bytes}}}, {"median_relative_error", medianError}};
}

}  // namespace orrery::debug
