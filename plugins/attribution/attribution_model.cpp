#include "attribution_model.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>

#include <core/base/text.h>
#include <core/data/vocabulary.h>
#include <core/explain/stored.h>
#include <core/io/image.h>
#include <core/train/card_inputs.h>
#include <core/train/predict.h>
#include <core/train/samples.h>
#include <widgets/commands.h>
#include <widgets/model_source.h>

namespace orrery::plugins {
namespace {

std::vector<double> doubles(const at::Tensor& tensor)
{
    const at::Tensor flat = tensor.detach().to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

InputKind kindOf(const PreparedSubject& subject)
{
    const at::Tensor input = subject.inputs.at(0).toTensor();
    const std::string kind = subject.model->card.inputs.empty() ? "" : subject.model->card.inputs[0].kind;
    if (kind == "tokens" || !at::isFloatingType(input.scalar_type()))
        return InputKind::Tokens;
    if (input.dim() == 4 && (input.size(1) == 1 || input.size(1) == 3))
        return InputKind::Image;
    return input.dim() == 2 ? InputKind::Table : InputKind::Other;
}

void addPixels(PreparedSubject& subject)
{
    at::Tensor picture = subject.inputs[0].toTensor()[0].to(at::kCPU, at::kFloat);
    subject.channels = int(picture.size(0));
    subject.height = int(picture.size(1));
    subject.width = int(picture.size(2));
    if (subject.data && subject.data->info().kind == data::DataKind::Image) {
        picture = data::toDisplay(subject.data->info(), picture).permute({2, 0, 1}).to(at::kFloat).div(255);
    } else {
        const at::Tensor low = picture.min(), span = (picture.max() - low).clamp_min(1e-12);
        picture = (picture - low) / span;
    }
    picture = picture.contiguous();
    subject.pixels.assign(picture.data_ptr<float>(), picture.data_ptr<float>() + picture.numel());
}

void addValues(PreparedSubject& subject)
{
    subject.values = doubles(subject.inputs[0].toTensor()[0]);
    if (!subject.data)
        return;
    const auto& info = subject.data->info();
    for (std::size_t i = 0; i < subject.values.size() && i < info.mean.size(); ++i)
        subject.values[i] = subject.values[i] * info.std[i] + info.mean[i];
}

/// For models whose card does not name them: from the data, tokens without a vocabulary by number.
std::vector<std::string> namesOfData(const PreparedSubject& subject)
{
    if (subject.kind != InputKind::Tokens)
        return subject.data ? subject.data->info().featureNames : std::vector<std::string>();
    const at::Tensor tokens = subject.inputs[0].toTensor()[0].to(at::kCPU, at::kLong).reshape(-1).contiguous();
    const auto* vocabulary = subject.data ? subject.data->vocabulary() : nullptr;
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < tokens.numel(); ++i) {
        const std::int64_t token = tokens.data_ptr<std::int64_t>()[i];
        names.push_back(vocabulary ? vocabulary->tokenText(token) : std::to_string(token));
    }
    return names;
}

void addAnswer(PreparedSubject& subject, std::stop_token stop)
{
    std::vector<at::Tensor> inputs;
    for (const auto& value : subject.inputs)
        inputs.push_back(value.toTensor());
    at::Tensor output = train::predict(*subject.model, inputs, 1, stop);
    if (output.dim() == 3)
        output = output.select(1, output.size(1) - 1);  // a sequence: what comes next
    if (output.dim() != 2 || subject.model->card.task == "regression")
        return;
    const auto classes = output.size(1);
    subject.probabilities.assign(std::size_t(std::max<std::int64_t>(classes, 1)), 0);
    const auto ranked = train::topClasses(output, subject.model->card, std::size_t(classes)).at(0);
    for (const auto& score : ranked)
        if (std::size_t(score.index) < subject.probabilities.size())
            subject.probabilities[std::size_t(score.index)] = score.probability;
    subject.predicted = output.argmax(1).item<std::int64_t>();
    subject.classes = subject.model->card.classNames;
    if (subject.classes.empty() && subject.data && std::int64_t(subject.data->info().classNames.size()) == classes)
        subject.classes = subject.data->info().classNames;
}

core::Json documentOf(const ExplainSubject& subject, const store::Workspace* workspace)
{
    if (!subject.data.is_null())
        return subject.data;
    return subject.run && workspace ? workspace->run(*subject.run).document.value("data", core::Json()) : core::Json();
}

}  // namespace

struct SubjectOpener::Cache {
    std::mutex mutex;  ///< one subject is prepared at a time
    QString modelName;
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;
    core::Json document;
    std::optional<qint64> run;
    data::DataSetPtr data;
    std::shared_ptr<store::Workspace> workspace;
};

std::shared_ptr<SubjectOpener::Cache> SubjectOpener::cache()
{
    const std::lock_guard lock(m_mutex);
    if (!m_cache)
        m_cache = std::make_shared<Cache>();
    return m_cache;
}

PreparedPtr SubjectOpener::prepare(const ExplainSubject& subject, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop)
{
    const auto cached = cache();
    const std::lock_guard lock(cached->mutex);
    auto made = std::make_shared<PreparedSubject>();
    made->subject = subject;
    if (!cached->model || cached->modelName != subject.model || cached->workspace != workspace) {
        cached->model = std::make_shared<const graph::Model>(widgets::openModelArgument(subject.model, workspace));
        cached->executor = std::make_shared<const graph::Executor>(cached->model->graph);
        cached->modelName = subject.model;
        cached->workspace = workspace;
    }
    made->model = cached->model;
    made->executor = cached->executor;
    if (stop.stop_requested())
        throw core::Cancelled();
    if (!subject.image.isEmpty()) {
        made->inputs = {train::imageInput(made->model->card, io::readImage(subject.image.toStdString()))};
    } else {
        made->dataDocument = documentOf(subject, workspace.get());
        if (!cached->data || cached->document != made->dataDocument || cached->run != subject.run) {
            cached->data =
                subject.data.is_null() && subject.run && workspace ? train::dataOfRun(*workspace, *subject.run) : data::openData(made->dataDocument);
            cached->document = made->dataDocument;
            cached->run = subject.run;
        }
        made->data = cached->data;
        const auto part = data::splitFromName(subject.split.toStdString());
        made->samplesInSplit = std::int64_t(made->data->split(part).size());
        const std::int64_t number = subject.sample;
        const auto indices = train::samplesOfPart(*made->data, part, {&number, 1});
        made->inputs = train::sampleInputs(*made->model, *made->data, indices);
        made->targetText = made->data->info().task == data::Task::NextToken ? std::string() : made->data->targetText(indices[0]);
    }
    made->kind = kindOf(*made);
    made->names = explain::attributedNames(made->model->card, made->inputs[0].toTensor());
    if (made->names.empty())
        made->names = namesOfData(*made);
    if (made->kind == InputKind::Image)
        addPixels(*made);
    else if (made->kind == InputKind::Table)
        addValues(*made);
    addAnswer(*made, stop);
    return made;
}

namespace {

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
    origin.features = made.subject->names;
    origin.targetName = made.targetName;
    try {
        made.analysis =
            explain::storeAttribution(*workspace, *run, made.method, made.parameters, origin, result, made.subject->model->card, made.seconds);
    } catch (const core::Error& error) {
        // The numbers are there all the same: a full disk does not take them from the screen.
        made.whyNotStored = error.what();
    }
}

}  // namespace

Explanation explainSubject(const PreparedPtr& subject, const std::string& method, const core::Json& parameters, std::optional<std::int64_t> target,
                           const std::shared_ptr<store::Workspace>& workspace, const explain::Control& control)
{
    const auto started = std::chrono::steady_clock::now();
    explain::AttributionRequest request;
    request.inputs = subject->inputs;
    request.target = target;
    request.parameters = explain::attributionRegistry().at(method).schema.resolve(parameters, method);
    const auto result = explain::attribute(*subject->executor, subject->model->weights, method, request, control);
    Explanation made;
    made.subject = subject;
    made.method = method;
    made.title = explain::attributionRegistry().at(method).title;
    made.parameters = request.parameters;
    made.target = result.targets.at(0);
    if (made.target >= 0 && std::size_t(made.target) < subject->classes.size())
        made.targetName = subject->classes[std::size_t(made.target)];
    made.output = doubles(result.outputs).at(0);
    if (result.completenessError.defined())
        made.completenessError = doubles(result.completenessError).at(0);
    at::Tensor shown = explain::forDisplay(result, subject->model->card);
    made.sum = shown.to(at::kDouble).sum().item<double>();
    if (shown.dim() == 3) {
        shown = shown.to(at::kDouble).sum(0);
        made.rows = int(shown.size(0));
        made.columns = int(shown.size(1));
    }
    made.values = doubles(shown);
    for (const double value : made.values)
        made.magnitude = std::max(made.magnitude, std::abs(value));
    made.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    storeExplanation(made, result, workspace);
    return made;
}

QString attributeCommand(const ExplainSubject& subject, const core::Json& data, const QString& method, const core::Json& parameters,
                         std::optional<std::int64_t> target, const QString& workspace)
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
    words << QStringLiteral("--method") << method;
    if (target)
        words << QStringLiteral("--target") << QString::number(*target);
    if (parameters.is_object())
        for (const auto& [key, value] : parameters.items())
            words << QStringLiteral("--set") << QString::fromStdString(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
    if (run)
        words << QStringLiteral("--workspace") << workspace;
    return widgets::cliCommand(words);
}

QString fullNumber(double value)
{
    return QString::fromStdString(core::formatNumber(value));
}

}  // namespace orrery::plugins
