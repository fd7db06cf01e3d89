// A law that people write themselves.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/text.h>

#include "differentiable_expression.h"
#include "law_parts.h"

namespace orrery::scaling {
namespace {

using core::Json;

constexpr std::size_t kMostParameters = 16;

/// Where the search for a parameter starts.
struct Range {
    double low = 1e-2, high = 1e2;
};

/// Coordinates: the logarithm of a parameter whose range lies above 0, else the parameter itself.
class ExpressionLaw : public Law {
public:
    ExpressionLaw(std::string text, const core::Expression& expression, std::vector<std::string> inputs, std::vector<LawParameter> parameters,
                  std::vector<Range> ranges)
        : m_text(std::move(text)), m_inputs(std::move(inputs)), m_parameters(std::move(parameters)), m_ranges(std::move(ranges)),
          m_expression(expression, variableNames())
    {
    }
    const std::vector<std::string>& inputs() const override { return m_inputs; }
    const std::vector<LawParameter>& parameters() const override { return m_parameters; }
    std::string formula() const override { return m_text; }

    void evaluate(const Rows& rows, const double* t, double* values, double* gradient) const override
    {
        const std::size_t inputs = m_inputs.size(), count = m_parameters.size();
        std::vector<double> variables(inputs + count), slopes(inputs + count);
        for (std::size_t k = 0; k < count; ++k)
            variables[inputs + k] = m_parameters[k].positive ? std::exp(t[k]) : t[k];
        DifferentiableExpression::Workspace workspace;
        for (std::size_t i = 0; i < rows.count; ++i) {
            for (std::size_t k = 0; k < inputs; ++k)
                variables[k] = rows.inputs[k][i];
            values[i] = m_expression.evaluate(variables.data(), gradient ? slopes.data() : nullptr, workspace);
            for (std::size_t k = 0; gradient && k < count; ++k)
                *gradient++ = slopes[inputs + k] * (m_parameters[k].positive ? variables[inputs + k] : 1);
        }
    }
    std::vector<double> coordinatesOf(std::span<const double> p, std::span<const double>) const override
    {
        std::vector<double> t(p.begin(), p.end());
        for (std::size_t k = 0; k < t.size(); ++k)
            t[k] = m_parameters[k].positive ? std::log(t[k]) : t[k];
        return t;
    }
    std::vector<double> parametersOf(std::span<const double> t, std::span<const double>) const override
    {
        std::vector<double> p(t.begin(), t.end());
        for (std::size_t k = 0; k < p.size(); ++k)
            p[k] = m_parameters[k].positive ? std::exp(p[k]) : p[k];
        return p;
    }
    // As many values of each as keep the number of starts near a thousand.
    std::vector<std::vector<double>> grid(const Rows&, std::span<const double>) const override
    {
        const int steps = std::clamp(int(std::pow(1000.0, 1.0 / double(m_parameters.size()))), 2, 50);
        const std::size_t stepped = std::min<std::size_t>(m_parameters.size(), 10);
        std::vector<std::vector<double>> choices;
        for (std::size_t k = 0; k < m_parameters.size(); ++k) {
            const auto [low, high] = coordinateRange(k);
            auto& values = choices.emplace_back();
            for (int i = 0; k < stepped && i < steps; ++i)
                values.push_back(low + (high - low) * (i + 0.5) / steps);
            if (values.empty())
                values.push_back((low + high) / 2);
        }
        auto starts = combinations(choices);
        for (auto& start : starts)
            start = parametersOf(start, {});
        return starts;
    }
    std::vector<std::pair<double, double>> coordinateRanges(const Rows&, std::span<const double>) const override
    {
        std::vector<std::pair<double, double>> ranges;
        for (std::size_t k = 0; k < m_parameters.size(); ++k)
            ranges.push_back(coordinateRange(k));
        return ranges;
    }

private:
    std::vector<std::string> variableNames() const
    {
        auto names = m_inputs;
        for (const auto& parameter : m_parameters)
            names.push_back(parameter.name);
        return names;
    }
    std::pair<double, double> coordinateRange(std::size_t k) const
    {
        const auto& range = m_ranges[k];
        return m_parameters[k].positive ? std::pair(std::log(range.low), std::log(range.high)) : std::pair(range.low, range.high);
    }

    std::string m_text;
    std::vector<std::string> m_inputs;
    std::vector<LawParameter> m_parameters;
    std::vector<Range> m_ranges;
    DifferentiableExpression m_expression;
};

Range rangeFrom(const std::string& name, const Json& given)
{
    const bool pair = given.is_array() && given.size() == 2 && given[0].is_number() && given[1].is_number();
    const Range range = pair ? Range{given[0].get<double>(), given[1].get<double>()} : Range{0, 0};
    if (!pair || !(range.low < range.high) || !std::isfinite(range.low) || !std::isfinite(range.high))
        throw core::InputError(fmt::format("expression: range of \"{}\": expected [low, high] with low < high, got {}", name, given.dump()));
    return range;
}

std::map<std::string, Range> rangesFrom(const Json& given, const std::vector<std::string>& parameters)
{
    if (!given.is_object())
        throw core::InputError(fmt::format("expression: ranges: expected an object NAME: [low, high], got {}", given.dump()));
    std::map<std::string, Range> ranges;
    for (const auto& [name, range] : given.items()) {
        if (std::find(parameters.begin(), parameters.end(), name) == parameters.end())
            throw core::InputError(fmt::format("expression: ranges: \"{}\" is no parameter{}; there are {}", name, core::didYouMean(name, parameters),
                                               core::join(parameters, ", ")));
        ranges[name] = rangeFrom(name, range);
    }
    return ranges;
}

LawPtr makeExpressionLaw(const Json& settings, const std::vector<std::string>& columns)
{
    const auto text = settings.at("text").get<std::string>();
    const auto expression = core::parseExpression(text);
    std::vector<std::string> inputs, names;
    for (const auto& name : expression.variables())
        (std::find(columns.begin(), columns.end(), name) != columns.end() ? inputs : names).push_back(name);
    if (inputs.empty())
        throw core::InputError(fmt::format("expression \"{}\": expected the name of a column in it; there are {}", text, core::join(columns, ", ")));
    if (names.empty() || names.size() > kMostParameters)
        throw core::InputError(
            fmt::format("expression \"{}\": expected 1 to {} names that are no columns, to be fitted; got {}", text, kMostParameters, names.size()));
    const auto given = rangesFrom(settings.at("ranges"), names);
    std::vector<LawParameter> parameters;
    std::vector<Range> ranges;
    for (const auto& name : names) {
        ranges.push_back(given.contains(name) ? given.at(name) : Range{});
        parameters.push_back({name, ranges.back().low > 0 ? "Positive." : "Of either sign.", ranges.back().low > 0});
    }
    return std::make_shared<ExpressionLaw>(text, expression, std::move(inputs), std::move(parameters), std::move(ranges));
}

}  // namespace

void addExpressionLaw(LawRegistry& registry)
{
    registry.add(
        {"expression",
         "Own expression",
         "Any formula over columns of the table; its other names are fitted.",
         "Orrery's expressions: + - * / ^, exp, log, sqrt, tanh, sigmoid, min, max, abs, relu, clamp",
         {core::required(core::text("text", "", "The formula: \"E + A / N^alpha\".")),
          core::any(
              "ranges", Json::object(),
              "Where the search for a parameter starts: {\"E\": [0.1, 10]}. A range above 0 keeps the parameter positive; default: [0.01, 100].")},
         {},
         {}},
        makeExpressionLaw);
}

}  // namespace orrery::scaling
