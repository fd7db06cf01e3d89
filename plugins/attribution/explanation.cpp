#include "explanation.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>

#include <core/base/text.h>
#include <core/explain/stored.h>
#include <widgets/commands.h>
#include <widgets/model_source.h>

namespace orrery::plugins {
namespace {

std::vector<double> doubles(const at::Tensor& tensor)
{
    const at::Tensor flat = tensor.detach().to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

double largest(const std::vector<double>& values)
{
    double most = 0;
    for (const double value : values)
        if (std::isfinite(value))
            most = std::max(most, std::abs(value));
    return most;
}

/// Brings an attribution into one of the shapes that can be looked at.
void setValues(Explanation& made, const at::Tensor& attribution)
{
    const PreparedSubject& subject = *made.subject;
    at::Tensor shown = attribution.detach().to(at::kCPU, at::kDouble);
    shown = shown.dim() > 0 ? shown.select(0, 0) : shown;
    const auto named = std::int64_t(subject.names.empty() ? subject.values.size() : subject.names.size());
    const bool isInput = !subject.sites.empty() && made.site == subject.sites.front().name;
    if (subject.kind == InputKind::Tokens && shown.dim() == 2 && shown.size(0) == named && named > 0)
        shown = shown.sum(-1);  // a token's share: the sum over the width of its vector
    if (shown.dim() == 3 && isInput) {
        shown = shown.sum(0);
        made.shape = ResultShape::Picture;
        made.rows = int(shown.size(0));
        made.columns = int(shown.size(1));
    } else if (shown.dim() >= 2) {
        shown = shown.reshape({-1, shown.size(-2), shown.size(-1)});
        made.shape = ResultShape::Channels;
        made.channels = int(shown.size(0));
        made.rows = int(shown.size(1));
        made.columns = int(shown.size(2));
    }
    made.values = doubles(shown);
    made.ofElements = made.shape == ResultShape::List && std::int64_t(made.values.size()) == named && (isInput || subject.kind == InputKind::Tokens);
    made.magnitude = largest(made.values);
    // Of the whole attribution, as the command line sums.
    made.sum = attribution.to(at::kDouble).sum().item<double>();
}

Explanation emptyExplanation(const PreparedPtr& subject, const MethodSettings& settings, const Question& question)
{
    Explanation made;
    made.subject = subject;
    made.settings = settings;
    made.question = question;
    made.title = explain::attributionRegistry().at(settings.method).title;
    made.site = question.site.empty() && !subject->sites.empty() ? subject->sites.front().name : question.site;
    return made;
}

void setTarget(Explanation& made, std::int64_t target)
{
    made.target = target;
    const Answer& answer = made.subject->answer;
    if (answer.outputs.size() == 1 && answer.probabilities.size() == 2)
        target = 1;  // a single logit is that of the second class
    if (target >= 0 && std::size_t(target) < made.subject->classes.size())
        made.targetName = made.subject->classes[std::size_t(target)];
}

void storeExplanation(Explanation& made, const explain::AttributionResult& result, const std::shared_ptr<store::Workspace>& workspace)
{
    const ExplainSubject& subject = made.subject->subject;
    const auto run = widgets::runOfArgument(subject.model);
    if (!workspace || !run || workspace->isReadOnly())
        return;
    explain::AttributionOrigin origin;
    origin.model = subject.model.toStdString();
    if (made.subject->data) {
        origin.data = made.subject->dataDocument;
        origin.split = subject.split.toStdString();
        origin.sample = subject.sample;
    }
    origin.input = subject.image.toStdString();
    if (made.ofElements)
        origin.features = made.subject->names;
    origin.targetName = made.targetName;
    try {
        made.analysis = explain::storeAttribution(*workspace, *run, made.settings.method, made.parameters, origin, result, made.subject->model->card,
                                                  made.seconds);
    } catch (const core::Error& error) {
        // The numbers are there all the same: a full disk does not take them from the screen.
        made.whyNotStored = error.what();
    }
}

QString valueText(const core::Json& value)
{
    return QString::fromStdString(value.is_string() ? value.get<std::string>() : value.dump());
}

}  // namespace

QString titleOf(const MethodSettings& settings)
{
    const auto* component = explain::attributionRegistry().find(settings.method);
    return QString::fromStdString(component ? component->title : settings.method);
}

QString summaryOf(const MethodSettings& settings)
{
    const auto* component = explain::attributionRegistry().find(settings.method);
    QStringList parts;
    if (settings.parameters.is_object())
        for (const auto& [key, value] : settings.parameters.items()) {
            const auto* parameter = component ? component->schema.find(key) : nullptr;
            if (!parameter || parameter->defaultValue != value)
                parts << QString::fromStdString(key) + QLatin1Char(' ') + valueText(value);
        }
    return parts.join(QStringLiteral(", "));
}

Explanation partialExplanation(const PreparedPtr& subject, const MethodSettings& settings, const Question& question, const at::Tensor& attribution)
{
    Explanation made = emptyExplanation(subject, settings, question);
    made.partial = true;
    setTarget(made, question.target.value_or(subject->answer.predicted));
    made.output = NAN;
    setValues(made, attribution);
    return made;
}

explain::AttributionRequest requestOf(const PreparedSubject& subject, const MethodSettings& settings, const Question& question)
{
    explain::AttributionRequest request;
    request.inputs = subject.inputs;
    request.target = question.target;
    request.site = question.site;
    request.parameters = explain::attributionRegistry().at(settings.method).schema.resolve(settings.parameters, settings.method);
    return request;
}

Explanation explainSubject(const PreparedPtr& subject, const MethodSettings& settings, const Question& question,
                           const std::shared_ptr<store::Workspace>& workspace, const explain::Control& control)
{
    const auto started = std::chrono::steady_clock::now();
    const auto request = requestOf(*subject, settings, question);
    const auto result = explain::attribute(*subject->executor, subject->model->weights, settings.method, request, control);
    Explanation made = emptyExplanation(subject, settings, question);
    made.parameters = request.parameters;
    made.site = result.site;
    setTarget(made, result.targets.at(0));
    made.output = doubles(result.outputs).at(0);
    if (result.completenessError.defined())
        made.completenessError = doubles(result.completenessError).at(0);
    if (result.standardError.defined())
        made.standardError = result.standardError.to(at::kDouble).max().item<double>();
    setValues(made, result.attribution);
    made.raw = std::make_shared<const explain::AttributionResult>(result);
    made.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    storeExplanation(made, result, workspace);
    return made;
}

QString attributeCommand(const ExplainSubject& subject, const core::Json& data, const MethodSettings& settings, const Question& question,
                         const QString& workspace)
{
    QStringList words{QStringLiteral("attribute"), subject.model};
    const auto run = widgets::runOfArgument(subject.model);
    if (!subject.image.isEmpty()) {
        words << QStringLiteral("--image") << subject.image;
    } else {
        // The run's own data need no description: the command line takes them from the run, with their folder.
        if (!(subject.data.is_null() && run && run == subject.run))
            words << QStringLiteral("--data") << widgets::dataArgument(data);
        words << QStringLiteral("--split") << subject.split << QStringLiteral("--sample") << QString::number(subject.sample);
    }
    words << QStringLiteral("--method") << QString::fromStdString(settings.method);
    if (question.target)
        words << QStringLiteral("--target") << QString::number(*question.target);
    if (!question.site.empty())
        words << QStringLiteral("--at") << QString::fromStdString(question.site);
    if (settings.parameters.is_object())
        for (const auto& [key, value] : settings.parameters.items())
            words << QStringLiteral("--set") << QString::fromStdString(key) + QLatin1Char('=') + valueText(value);
    if (run)
        words << QStringLiteral("--workspace") << workspace;
    return widgets::cliCommand(words);
}

QString fullNumber(double value)
{
    return QString::fromStdString(core::formatNumber(value));
}

}  // namespace orrery::plugins
