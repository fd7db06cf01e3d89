#include "study.h"

#include <ATen/ATen.h>

#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/debug/prompt_text.h>
#include <core/graph/executor.h>

namespace orrery::symbolic {
namespace {

constexpr std::int64_t kMostChecked = 200;
constexpr std::int64_t kMostListed = 1000;
constexpr double kStep = 1e-5;

void throwIfAsked(const std::stop_token& stop)
{
    if (stop.stop_requested())
        throw core::Cancelled();
}

at::Tensor onlyValue(const Formula& formula, const std::map<std::string, at::Tensor>& values)
{
    return evaluateAt(formula, values).at(formula.outputs.front().name);
}

StudiedFormula studied(Formula formula, const std::map<std::string, at::Tensor>& values)
{
    StudiedFormula part;
    part.formula = std::move(formula);
    part.rewritten = rewrite(part.formula);
    part.value = onlyValue(part.formula, values);
    const at::Tensor after = onlyValue(part.rewritten.formula, values);
    const at::Tensor both = part.value.isfinite().logical_and(after.isfinite());
    const at::Tensor apart = at::where(both, (part.value - after).abs() / (1 + part.value.abs()), at::zeros_like(part.value));
    part.difference = apart.numel() ? apart.max().item<double>() : 0;
    part.gained = after.isfinite().logical_and(part.value.isfinite().logical_not()).sum().item<std::int64_t>();
    return part;
}

/// Central differences of the sum of a formula by single elements of a variable.
void checkByDifferences(StudiedDerivative& part, const Formula& before, std::map<std::string, at::Tensor> values, const std::stop_token& stop)
{
    const graph::Model model = toModel(before);
    const graph::Executor executor(model.graph);
    const std::string& name = part.by.back();
    const at::Tensor place = values.at(name), slopes = part.part.value.reshape(-1);
    const auto sumAt = [&](std::int64_t element, double change) {
        at::Tensor moved = place.clone();
        moved.view(-1)[element] += change;
        values[name] = moved;
        std::vector<c10::IValue> inputs;
        for (const auto& [variable, shape] : before.variables)
            inputs.emplace_back(values.at(variable));
        return executor.forward(model.weights, inputs).sum().item<double>();
    };
    const std::int64_t elements = std::min(place.numel(), kMostChecked);
    for (std::int64_t i = 0; i < elements; ++i) {
        throwIfAsked(stop);
        const double step = kStep * (1 + std::abs(place.view(-1)[i].item<double>()));
        const double expected = (sumAt(i, step) - sumAt(i, -step)) / (2 * step), found = slopes[i].item<double>();
        if (!std::isfinite(expected) || !std::isfinite(found))
            continue;
        ++part.checked;
        part.centralDifference = std::max(part.centralDifference, std::abs(expected - found) / (1 + std::abs(expected)));
    }
}

StudiedDerivative differentiated(const Formula& formula, const std::vector<std::string>& by, const std::map<std::string, at::Tensor>& values,
                                 const std::stop_token& stop)
{
    if (by.empty())
        throw core::InputError("derivative: expected at least one variable");
    StudiedDerivative made;
    made.by = by;
    made.name = "d_" + core::join(by, "_");
    Formula before = formula, after;
    for (std::size_t i = 0; i < by.size(); ++i) {
        after = derivative(before, {by[i]}, before.outputs.front().name);
        if (i + 1 < by.size())
            before = after;
    }
    after.outputs.front().name = made.name;
    made.part = studied(std::move(after), values);
    checkByDifferences(made, before, values, stop);
    return made;
}

core::Json toJson(const StudiedFormula& part)
{
    core::Json rules = core::Json::array(), steps = core::Json::array();
    for (const auto& rule : part.rewritten.rules)
        rules.push_back({{"rule", rule.rule}, {"explanation", rule.explanation}, {"count", rule.count}});
    for (const auto& step : part.rewritten.steps)
        steps.push_back({{"rule", step.rule}, {"before", step.before}, {"after", step.after}});
    core::Json json = {{"lines", toLines(part.formula)},
                       {"operations", part.rewritten.before},
                       {"shape", part.value.sizes().vec()},
                       {"value", part.value.numel() <= kMostListed ? debug::tensorJson(part.value) : core::Json()},
                       {"rewritten",
                        {{"lines", toLines(part.rewritten.formula)},
                         {"operations", part.rewritten.after},
                         {"largest_difference", part.difference},
                         {"numbers_gained", part.gained}}}};
    json["rewritten"]["rules"] = std::move(rules);
    json["rewritten"]["steps"] = std::move(steps);
    return json;
}

}  // namespace

Study studyFormula(const StudyRequest& request, std::stop_token stop)
{
    Study study;
    study.original = studied(parseFormula(request.text, shapesOf(request.values)), request.values);
    for (const auto& by : request.derivatives) {
        throwIfAsked(stop);
        study.derivatives.push_back(differentiated(study.original.formula, by, request.values, stop));
    }
    return study;
}

core::Json Study::toJson() const
{
    core::Json json = symbolic::toJson(original);
    json["variables"] = core::Json::object();
    for (const auto& [name, shape] : original.formula.variables)
        json["variables"][name] = shape;
    json["derivatives"] = core::Json::array();
    for (const auto& each : derivatives) {
        core::Json part = symbolic::toJson(each.part);
        part["name"] = each.name;
        part["by"] = each.by;
        part["central_differences"] = {{"elements", each.checked}, {"largest_difference", each.centralDifference}};
        json["derivatives"].push_back(std::move(part));
    }
    return json;
}

graph::Model studyModel(const Study& study, bool rewritten, const std::map<std::string, at::Tensor>& values)
{
    std::vector<std::string> by;
    for (const auto& each : study.derivatives)
        if (each.by.size() == 1)
            by.push_back(each.by.front());
    Formula whole = derivative(study.original.formula, by, "value", true);
    if (rewritten)
        whole = rewrite(whole).formula;
    return toModel(whole, "formula", values);
}

FormulaCurves curvesOver(const Study& study, const std::map<std::string, at::Tensor>& values, const std::string& variable, double from, double to,
                         int points, std::stop_token stop)
{
    if (!study.original.formula.variables.contains(variable))
        throw core::InputError(fmt::format("the formula has no variable \"{}\"", variable));
    if (points < 2 || !(from < to) || !std::isfinite(from) || !std::isfinite(to))
        throw core::InputError(fmt::format("curve over {}: expected two points or more from a smaller to a larger number, got {} from {} to {}",
                                           variable, points, from, to));
    FormulaCurves made;
    for (int i = 0; i < points; ++i)
        made.x.push_back(from + (to - from) * i / (points - 1));
    const auto follow = [&](const std::string& name, const Formula& formula) {
        const graph::Model model = toModel(formula);
        const graph::Executor executor(model.graph);
        FormulaCurve curve{name, {}};
        for (const double x : made.x) {
            throwIfAsked(stop);
            std::vector<c10::IValue> inputs;
            for (const auto& [each, shape] : formula.variables)
                inputs.emplace_back(each == variable ? at::full_like(values.at(each), x) : values.at(each));
            const double y = executor.forward(model.weights, inputs).sum().item<double>();
            curve.y.push_back(std::isfinite(y) ? y : std::nan(""));
        }
        made.curves.push_back(std::move(curve));
    };
    follow("value", study.original.rewritten.formula);
    for (const auto& each : study.derivatives)
        follow(each.name, each.part.rewritten.formula);
    return made;
}

std::pair<std::string, std::string> splitAssignment(const std::string& text, const std::string& option)
{
    const auto equals = text.find('=');
    const std::string name(core::trim(text.substr(0, equals)));
    if (equals == std::string::npos || name.empty())
        throw core::InputError(fmt::format("{}: expected NAME=VALUE, got \"{}\"", option, text));
    return {name, text.substr(equals + 1)};
}

}  // namespace orrery::symbolic
