#include "output_metric.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>

#include <core/base/error.h>
#include <core/base/expression.h>
#include <core/base/text.h>

namespace orrery::intervene {
namespace {

core::Parameter answerParameter()
{
    return core::integer("answer", 0, "Token or class that is right; none: what the clean run says.").atLeast(0).noneByDefault();
}

core::Component metric(std::string id, std::string title, std::string summary, std::string source, std::vector<core::Parameter> own)
{
    core::Component component{std::move(id), std::move(title), std::move(summary), std::move(source), {}, {}, {}};
    for (auto& parameter : own)
        component.schema.add(std::move(parameter));
    component.schema.add(
        core::integer("position", -1, "Position of the output that is read; negative numbers count from the end.").range(-(1 << 30), 1 << 30));
    component.schema.add(core::boolean("normalised", true, "Scale so that the clean run gives 1 and the corrupted run 0."));
    return component;
}

at::Tensor column(const at::Tensor& logits, const core::Json& parameters, const char* name)
{
    return logits.select(1, parameters[name].get<std::int64_t>());
}

void addLogitDifference(core::Registry<OutputMetricFactory>& registry)
{
    registry.add(
        metric("logit_difference", "Logit difference", "The logit of the right answer minus that of a wrong one.",
               "Wang et al. (2022), \"Interpretability in the Wild: a Circuit for Indirect Object Identification in GPT-2 small\", arXiv:2211.00593",
               {answerParameter(), core::integer("wrong", 0, "Token or class that is wrong; none: the largest other one of the corrupted run.")
                                       .atLeast(0)
                                       .noneByDefault()}),
        [](const core::Json& parameters, const MetricReference&) -> OutputMetric {
            return [parameters](const at::Tensor& logits) { return column(logits, parameters, "answer") - column(logits, parameters, "wrong"); };
        });
}

void addProbabilities(core::Registry<OutputMetricFactory>& registry)
{
    registry.add(metric("probability", "Probability", "The probability of the answer (softmax over the output).",
                        "Meng et al. (2022), \"Locating and Editing Factual Associations in GPT\", arXiv:2202.05262", {answerParameter()}),
                 [](const core::Json& parameters, const MetricReference&) -> OutputMetric {
                     return [parameters](const at::Tensor& logits) { return column(at::softmax(logits, 1), parameters, "answer"); };
                 });
    registry.add(metric("log_probability", "Log probability", "The natural logarithm of the answer's probability.", "", {answerParameter()}),
                 [](const core::Json& parameters, const MetricReference&) -> OutputMetric {
                     return [parameters](const at::Tensor& logits) { return column(at::log_softmax(logits, 1), parameters, "answer"); };
                 });
}

// Classes that the clean run gives no probability add nothing, whatever the other run says of them.
at::Tensor divergence(const at::Tensor& clean, const at::Tensor& logits)
{
    const at::Tensor from = at::log_softmax(clean, 0), to = at::log_softmax(logits, 1);
    const at::Tensor p = from.exp();
    return at::where(p > 0, p * (from - to), at::zeros_like(to)).sum(1);
}

void addDivergence(core::Registry<OutputMetricFactory>& registry)
{
    registry.add(metric("kl", "KL divergence to the clean output", "KL(clean || run) over the classes, in nats; 0 for the clean run itself.",
                        "Kullback & Leibler (1951), \"On Information and Sufficiency\", doi:10.1214/aoms/1177729694", {}),
                 [](const core::Json&, const MetricReference& reference) -> OutputMetric {
                     return [clean = reference.clean](const at::Tensor& logits) { return divergence(clean, logits); };
                 });
}

/// The vectors an expression may take numbers from.
using Named = std::map<std::string, at::Tensor>;

void addDistribution(Named& named, const std::string& prefix, const at::Tensor& logits)
{
    named[prefix + "logit"] = logits;
    named[prefix + "logprob"] = at::log_softmax(logits, 0);
    named[prefix + "p"] = at::softmax(logits, 0);
}

std::string vectorNames(const Named& named)
{
    std::vector<std::string> names;
    for (const auto& [name, vector] : named)
        names.push_back(name + "[class]");
    return core::join(names, ", ");
}

/// "clean.logit[12]" -> its value.
double numberOf(const Named& named, const std::string& variable)
{
    const auto bracket = variable.find('[');
    const auto vector = named.find(variable.substr(0, bracket));
    if (bracket == std::string::npos || vector == named.end())
        throw core::InputError(fmt::format("expression: unknown name \"{}\"; expected {}", variable, vectorNames(named)));
    const std::string index = variable.substr(bracket + 1, variable.size() - bracket - 2);
    const auto count = vector->second.size(0);
    if (index.empty() || index.size() > 9 || index.find_first_not_of("0123456789") != std::string::npos || std::stoll(index) >= count)
        throw core::InputError(fmt::format("expression: \"{}\": expected a class from 0 to {}", variable, count - 1));
    return vector->second[std::stoll(index)].item<double>();
}

at::Tensor evaluated(const core::Expression& expression, const at::Tensor& logits, const MetricReference& reference)
{
    Named named;
    addDistribution(named, "clean.", reference.clean);
    addDistribution(named, "corrupted.", reference.corrupted);
    const auto variables = expression.variables();
    at::Tensor result = at::empty({logits.size(0)}, at::kDouble);
    for (std::int64_t row = 0; row < logits.size(0); ++row) {
        addDistribution(named, "", logits[row]);
        std::map<std::string, double> values;
        for (const auto& variable : variables)
            values[variable] = numberOf(named, variable);
        result[row] = core::evaluate(expression, values);
    }
    return result;
}

void addExpression(core::Registry<OutputMetricFactory>& registry)
{
    registry.add(metric("expression", "Expression", "Any formula over the output's logits, probabilities (p) and log probabilities (logprob).", "",
                        {core::required(core::text(
                            "expression", "",
                            "Formula over logit[class], p[class], logprob[class] of the run and clean.logit[class], corrupted.p[class] and "
                            "so on of the two reference runs: logit[12] - logit[7]."))}),
                 [](const core::Json& parameters, const MetricReference& reference) -> OutputMetric {
                     const auto expression = core::parseExpression(parameters["expression"].get<std::string>());
                     return [expression, reference](const at::Tensor& logits) { return evaluated(expression, logits, reference); };
                 });
}

void checkClass(const core::Json& document, const char* name, std::int64_t classes)
{
    if (!document.contains(name))
        return;
    if (const auto index = document[name].get<std::int64_t>(); index >= classes)
        throw core::InputError(
            fmt::format("{}.{}: expected a class from 0 to {}, got {}", document["id"].get<std::string>(), name, classes - 1, index));
}

std::int64_t largestOther(const at::Tensor& logits, std::int64_t excluded)
{
    const at::Tensor others = logits.clone();
    others[excluded] = -std::numeric_limits<double>::infinity();
    return others.argmax().item<std::int64_t>();
}

core::Json asObject(const core::Json& document)
{
    return document.is_string() ? core::Json{{"id", document}} : document;
}

}  // namespace

const core::Registry<OutputMetricFactory>& outputMetrics()
{
    static const auto registry = [] {
        auto made = std::make_unique<core::Registry<OutputMetricFactory>>("output_metric", "Metrics of one output");
        addLogitDifference(*made);
        addProbabilities(*made);
        addDivergence(*made);
        addExpression(*made);
        return made;
    }();
    return *registry;
}

core::Json resolvedMetric(const core::Json& document, const MetricReference& reference)
{
    const core::Json given = asObject(document);
    if (!given.is_object() || !given.contains("id") || !given["id"].is_string())
        throw core::InputError("metric: expected the id of an output metric, or an object with \"id\"");
    const auto id = given["id"].get<std::string>();
    core::Json own = given;
    own.erase("id");
    core::Json resolved = {{"id", id}};
    resolved.update(outputMetrics().at(id).schema.resolve(own, "metric"));
    const auto classes = reference.clean.size(0);
    for (const char* const name : {"answer", "wrong"})
        if (resolved.contains(name) && !resolved[name].is_null())
            checkClass(resolved, name, classes);
    if (resolved.contains("answer") && resolved["answer"].is_null())
        resolved["answer"] = reference.clean.argmax().item<std::int64_t>();
    if (resolved.contains("wrong") && resolved["wrong"].is_null()) {
        if (classes < 2)
            throw core::InputError(fmt::format("{}: expected an output of at least 2 classes, got {}", id, classes));
        resolved["wrong"] = largestOther(reference.corrupted, resolved["answer"].get<std::int64_t>());
    }
    return resolved;
}

BoundMetric::BoundMetric(const core::Json& document, const MetricReference& reference) : m_document(resolvedMetric(document, reference))
{
    const auto id = m_document["id"].get<std::string>();
    m_normalised = m_document["normalised"].get<bool>();
    m_metric = outputMetrics().factory(id)(m_document, reference);
    const at::Tensor both = m_metric(at::stack({reference.clean, reference.corrupted}));
    m_clean = both[0].item<double>();
    m_corrupted = both[1].item<double>();
    for (const auto& [run, value] : {std::pair{"clean", m_clean}, {"corrupted", m_corrupted}})
        if (!std::isfinite(value))
            throw core::InputError(
                fmt::format("metric {}: the {} run gives {}, which nothing can be compared with", id, run, core::formatNumber(value)));
    if (m_normalised && std::abs(m_clean - m_corrupted) <= 1e-12 * std::max(std::abs(m_clean), std::abs(m_corrupted)))
        throw core::InputError(
            fmt::format("metric {}: the clean and the corrupted run both give {}, so there is nothing to normalise by; choose inputs with "
                        "different answers, another metric, or normalised=false",
                        id, core::formatNumber(m_clean)));
}

at::Tensor BoundMetric::operator()(const at::Tensor& logits) const
{
    const at::Tensor values = m_metric(logits.detach().to(at::kCPU, at::kDouble));
    return m_normalised ? (values - m_corrupted) / (m_clean - m_corrupted) : values;
}

std::int64_t positionIndex(std::int64_t position, std::int64_t length)
{
    if (length == 0)
        throw core::InputError("expected at least one position, got none: the input is empty");
    if (position < -length || position >= length)
        throw core::InputError(fmt::format("position {}: expected {}..{}", position, -length, length - 1));
    return position < 0 ? position + length : position;
}

at::Tensor logitsAt(const at::Tensor& output, std::int64_t position)
{
    if (output.dim() == 2 && position != -1)
        throw core::InputError(fmt::format("position {}: the output {} has no positions", position, core::formatShape(output.sizes())));
    if (output.dim() == 2)
        return output;
    if (output.dim() != 3)
        throw core::ShapeError("output: expected [batch, class] or [batch, position, class], got " + core::formatShape(output.sizes()));
    return output.select(1, positionIndex(position, output.size(1)));
}

}  // namespace orrery::intervene
