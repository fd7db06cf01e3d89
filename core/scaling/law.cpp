#include "law.h"

#include <fmt/format.h>

#include <cmath>

#include "law_parts.h"

namespace orrery::scaling {
namespace {

double geometricMean(const std::vector<double>& values)
{
    double sum = 0;
    for (const double value : values)
        sum += std::log(value);
    return values.empty() ? 1 : std::exp(sum / double(values.size()));
}

LawRegistry makeLaws()
{
    LawRegistry registry("law", "Scaling laws");
    addPowerLaw(registry);
    addPowerLawFloor(registry);
    addChinchilla(registry);
    addBrokenLaw(registry);
    addExpressionLaw(registry);
    return registry;
}

}  // namespace

Rows makeRows(std::vector<std::vector<double>> inputs, std::vector<double> centre)
{
    Rows rows;
    rows.count = inputs.empty() ? 0 : inputs.front().size();
    rows.inputs = std::move(inputs);
    rows.centre = std::move(centre);
    for (std::size_t i = 0; i < rows.inputs.size(); ++i) {
        if (rows.centre.size() <= i)
            rows.centre.push_back(geometricMean(rows.inputs[i]));
        auto& logs = rows.logs.emplace_back();
        logs.reserve(rows.count);
        for (const double value : rows.inputs[i])
            logs.push_back(std::log(value / rows.centre[i]));
    }
    return rows;
}

std::vector<double> Law::predict(std::span<const double> values, const std::vector<std::vector<double>>& places) const
{
    if (values.size() != parameters().size() || places.size() != inputs().size())
        throw core::InputError(fmt::format("{}: expected {} parameters and {} inputs, got {} and {}", formula(), parameters().size(), inputs().size(),
                                           values.size(), places.size()));
    const Rows rows = makeRows(places);
    const auto coordinates = coordinatesOf(values, rows.centre);
    std::vector<double> out(rows.count);
    evaluate(rows, coordinates.data(), out.data(), nullptr);
    return out;
}

double Law::at(std::span<const double> values, std::span<const double> input) const
{
    std::vector<std::vector<double>> places;
    for (const double value : input)
        places.push_back({value});
    return predict(values, places).at(0);
}

const LawRegistry& lawRegistry()
{
    static const LawRegistry registry = makeLaws();
    return registry;
}

LawPtr makeLaw(const core::Json& document, const std::vector<std::string>& columns)
{
    const core::Schema schema{core::component("law", "law", nullptr, "The law.")};
    core::addFamily(lawRegistry());
    auto resolved = schema.resolve({{"law", document}}).at("law");
    const std::string id = resolved.at("id").get<std::string>();
    resolved.erase("id");
    return lawRegistry().factory(id)(resolved, columns);
}

std::vector<std::vector<double>> combinations(const std::vector<std::vector<double>>& choices)
{
    std::vector<std::vector<double>> all = {{}};
    for (const auto& values : choices) {
        std::vector<std::vector<double>> longer;
        longer.reserve(all.size() * values.size());
        for (const auto& start : all)
            for (const double value : values) {
                longer.push_back(start);
                longer.back().push_back(value);
            }
        all = std::move(longer);
    }
    return all;
}

LossRange lossRange(std::span<const double> loss)
{
    LossRange range{INFINITY, 0, 1};
    double sum = 0;
    for (const double value : loss) {
        range.low = std::min(range.low, value);
        range.high = std::max(range.high, value);
        sum += std::log(value);
    }
    if (!loss.empty())
        range.middle = std::exp(sum / double(loss.size()));
    return range;
}

}  // namespace orrery::scaling
