#include "explanation.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>

#include <core/base/text.h>
#include <core/explain/stored.h>
#include <widgets/commands.h>
#include <widgets/model_source.h>
#include <widgets/text_fields.h>

namespace orrery::plugins {
namespace {

std::vector<double> doublesOf(const at::Tensor& tensor)
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
/// Of the one sample that is explained; of a stored batch its sum is kept beside the details.
double sumOverFeatures(const core::Json& details)
{
    const core::Json& sums = details.at("sum_over_features");
    return sums.is_array() && sums.size() == 1 && sums[0].is_number() ? sums[0].get<double>() : std::nan("");
}

void setValues(Explanation& made, const at::Tensor& attribution)
{
    const PreparedSubject& subject = *made.subject;
    at::Tensor shown = attribution.detach().to(at::kCPU, at::kDouble);
    shown = shown.dim() > 0 ? shown.select(0, 0) : shown;
    const auto named = std::int64_t(subject.names.empty() ? subject.values.size() : subject.names.size());
    const bool isInput = !subject.sites.empty() && made.site == subject.sites.front().name;
    if (subject.kind == InputKind::Tokens && shown.dim() == 2 && shown.size(0) == named && named > 0)
        shown = explain::together(shown, -1, made.details);  // a token's share: the sum over the width of its vector
    if (shown.dim() == 3 && isInput) {
        shown = explain::together(shown, 0, made.details);
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
    // An input that was found is a picture of its own: no colours of shares lie over the given one.
    if (made.details.is_object() && made.details.value("is_input", false) && made.shape == ResultShape::Picture) {
        const at::Tensor found = attribution.detach()[0];
        if (found.dim() == 3 && found.size(0) == subject.channels && found.size(1) == subject.height && found.size(2) == subject.width)
            made.picture = displayPixels(subject, found);
    }
    made.values = doublesOf(shown);
    made.ofElements = made.shape == ResultShape::List && std::int64_t(made.values.size()) == named && (isInput || subject.kind == InputKind::Tokens);
    made.magnitude = made.picture.empty() ? largest(made.values) : 0;
    // Of the whole attribution, as the command line sums.
    made.sum = explain::repeatsFeatures(made.details) ? sumOverFeatures(made.details) : attribution.to(at::kDouble).sum().item<double>();
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
    origin.texts = subject.texts;
    origin.position = subject.position;
    if (made.ofElements)
        origin.features = made.subject->names;
    origin.targetName = made.targetName;
    origin.at = made.question.site;
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
    // What grows there is an input of the model, wherever its features are matched.
    if (settings.method == "feature_inversion" && !subject->sites.empty()) {
        made.site = subject->sites.front().name;
        made.details = {{"is_input", true}};
    }
    if (explain::attributionRegistry().at(settings.method).schema.find("feature_mask"))
        made.details = {{"sum_over_features", core::Json::array()}};  // not known before the end
    setTarget(made, question.target.value_or(subject->answer.predicted));
    made.output = NAN;
    setValues(made, attribution);
    return made;
}

explain::AttributionRequest requestOf(const PreparedSubject& subject, const MethodSettings& settings, const Question& question)
{
    explain::AttributionRequest request;
    request.inputs = subject.inputs;
    if (const auto position = subject.position())
        request.positions = {*position};
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
    made.details = result.details;
    setTarget(made, result.targets.at(0));
    made.output = doublesOf(result.outputs).at(0);
    if (result.completenessError.defined())
        made.completenessError = doublesOf(result.completenessError).at(0);
    if (result.standardError.defined())
        made.standardError = result.standardError.to(at::kDouble).max().item<double>();
    setValues(made, result.attribution);
    made.raw = std::make_shared<const explain::AttributionResult>(result);
    made.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    storeExplanation(made, result, workspace);
    return made;
}

Explanation storedExplanation(const PreparedPtr& subject, const explain::StoredAttribution& stored)
{
    const auto& analysis = stored.analysis;
    const auto numberOr = [&](const char* key, double standard) {
        return analysis.results.contains(key) && analysis.results[key].is_number() ? analysis.results[key].get<double>() : standard;
    };
    MethodSettings settings{analysis.method, analysis.parameters.is_object() ? analysis.parameters : core::Json::object()};
    Question question;
    if (analysis.inputs.contains("target"))
        question.target = analysis.inputs["target"].get<std::int64_t>();
    question.site = analysis.inputs.value("at", std::string());
    Explanation made = emptyExplanation(subject, settings, question);
    made.parameters = settings.parameters;
    made.site = analysis.results.value("site", made.site);
    setTarget(made, question.target.value_or(-1));
    made.details = analysis.results.value("details", core::Json());
    setValues(made, stored.attribution.unsqueeze(0));
    made.output = numberOr("output", std::nan(""));
    made.sum = numberOr("sum", made.sum);
    if (analysis.results.contains("completeness_error"))
        made.completenessError = numberOr("completeness_error", std::nan(""));
    if (analysis.results.contains("standard_error"))
        made.standardError = numberOr("standard_error", std::nan(""));
    made.row = std::int64_t(numberOr("row", 0));
    made.analysis = analysis.id;
    made.seconds = analysis.seconds;
    return made;
}

namespace {

/// What the commands are asked about: `MODEL --image F`, `MODEL --text T`, or `MODEL [--data D] --split S --sample N`.
QStringList subjectWords(const ExplainSubject& subject, const core::Json& data)
{
    QStringList words{subject.model};
    if (!subject.texts.empty())
        return words + widgets::textArguments(subject.texts);
    if (!subject.image.isEmpty())
        return words << QStringLiteral("--image") << subject.image;
    const auto run = widgets::runOfArgument(subject.model);
    // The run's own data need no description: the command line takes them from the run, with their folder.
    if (!(subject.data.is_null() && run && run == subject.run))
        words << QStringLiteral("--data") << widgets::dataArgument(data);
    return words << QStringLiteral("--split") << subject.split << QStringLiteral("--sample") << QString::number(subject.sample);
}

void addWorkspace(QStringList& words, const ExplainSubject& subject, const QString& workspace)
{
    if (widgets::runOfArgument(subject.model))
        words << QStringLiteral("--workspace") << workspace;
}

void addParameters(QStringList& words, const QString& option, const QString& prefix, const core::Json& parameters)
{
    if (parameters.is_object())
        for (const auto& [key, value] : parameters.items())
            words << option << prefix + QString::fromStdString(key) + QLatin1Char('=') + valueText(value);
}

/// "3,10-14": runs of neighbours as ranges.
QString rangesOf(const std::set<std::int64_t>& elements)
{
    QStringList parts;
    for (auto first = elements.begin(); first != elements.end();) {
        auto last = first, next = std::next(first);
        while (next != elements.end() && *next == *last + 1)
            last = next++;
        parts << (first == last ? QString::number(*first) : QStringLiteral("%1-%2").arg(*first).arg(*last));
        first = next;
    }
    return parts.join(QLatin1Char(','));
}

}  // namespace

QString attributeCommand(const ExplainSubject& subject, const core::Json& data, const MethodSettings& settings, const Question& question,
                         const std::vector<explain::MetricRequest>& metrics, const QString& workspace)
{
    QStringList words{QStringLiteral("attribute")};
    words << subjectWords(subject, data) << QStringLiteral("--method") << QString::fromStdString(settings.method);
    if (question.target)
        words << QStringLiteral("--target") << QString::number(*question.target);
    if (subject.position)
        words << QStringLiteral("--position") << QString::number(*subject.position);
    if (!question.site.empty())
        words << QStringLiteral("--at") << QString::fromStdString(question.site);
    addParameters(words, QStringLiteral("--set"), {}, settings.parameters);
    QStringList ids;
    for (const auto& metric : metrics)
        ids << QString::fromStdString(metric.id);
    if (!ids.isEmpty())
        words << QStringLiteral("--metrics") << ids.join(QLatin1Char(','));
    for (const auto& metric : metrics)
        addParameters(words, QStringLiteral("--metric-set"), QString::fromStdString(metric.id) + QLatin1Char('.'), metric.parameters);
    addWorkspace(words, subject, workspace);
    return widgets::cliCommand(words);
}

QString leaveOutCommand(const ExplainSubject& subject, const core::Json& data, const std::set<std::int64_t>& elements, double baseline,
                        const QString& workspace)
{
    QStringList words{QStringLiteral("predict")};
    words << subjectWords(subject, data);
    if (!elements.empty())
        words << QStringLiteral("--leave-out") << rangesOf(elements);
    if (!elements.empty() && subject.position)
        words << QStringLiteral("--position") << QString::number(*subject.position);
    if (!elements.empty() && baseline != 0)
        words << QStringLiteral("--set-to") << fullNumber(baseline);
    addWorkspace(words, subject, workspace);
    return widgets::cliCommand(words);
}

QString fullNumber(double value)
{
    return QString::fromStdString(core::formatNumber(value));
}

}  // namespace orrery::plugins
