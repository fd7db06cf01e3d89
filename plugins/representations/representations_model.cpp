#include "representations_model.h"

#include <ATen/ATen.h>

#include <QRegularExpression>
#include <algorithm>
#include <chrono>
#include <map>

#include <core/base/text.h>
#include <core/intervene/layout.h>
#include <core/intervene/neighbours.h>
#include <core/train/samples.h>
#include <widgets/commands.h>
#include <widgets/model_source.h>

namespace orrery::plugins {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kShownClasses = 21;
constexpr std::int64_t kTrustRows = 3000;

std::vector<double> doubles(const at::Tensor& tensor)
{
    const at::Tensor flat = tensor.detach().to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

std::vector<ValueName> valuesOf(const graph::Model& model, const graph::Executor& executor, const data::DataSet& data, std::stop_token stop)
{
    std::vector<std::int64_t> first;
    for (int part = 2; part >= 0 && first.empty(); --part)
        first = data.split(data::Split(part));
    first.resize(std::min<std::size_t>(2, first.size()));
    graph::RunRequest request;
    request.inputs = train::sampleInputs(model, data, first);
    request.keep = {"**"};
    request.stop = stop;
    const auto result = executor.run(model.weights, request);
    std::vector<std::pair<graph::ValueId, ValueName>> found;
    for (const auto& [name, value] : result.values) {
        const auto id = model.graph->findValue(name);
        if (!id || !value.isTensor() || !value.toTensor().defined())
            continue;
        const at::Tensor tensor = value.toTensor();
        if (!at::isFloatingType(tensor.scalar_type()) || tensor.dim() < 2 || tensor.size(0) != std::int64_t(first.size()))
            continue;
        const auto canonical = intervene::canonicalNameOf(model.card, name);
        found.push_back({*id, {QString::fromStdString(name), QString::fromStdString(canonical.value_or(name))}});
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<ValueName> out;
    for (auto& [id, name] : found)
        out.push_back(std::move(name));
    return out;
}

/// Numbers of classes as categories: as they are where they are few, else by falling frequency, the rest -1.
std::vector<int> categoriesOf(const at::Tensor& numbers, const intervene::Activations& activations, std::map<std::int64_t, int>& known,
                              QStringList& names)
{
    const auto nameOf = [&](std::int64_t number) {
        return std::size_t(number) < activations.classNames.size() ? QString::fromStdString(activations.classNames[std::size_t(number)])
                                                                   : QString::number(number);
    };
    if (known.empty() && std::size_t(activations.classes) <= kShownClasses) {
        for (std::int64_t number = 0; number < activations.classes; ++number) {
            known[number] = int(number);
            names << nameOf(number);
        }
    } else if (known.empty()) {
        const at::Tensor order = std::get<1>(at::bincount(numbers.to(at::kLong), {}, activations.classes).sort(true, 0, true));
        for (std::size_t i = 0; i < kShownClasses; ++i) {
            const auto number = order[std::int64_t(i)].item<std::int64_t>();
            known[number] = int(i);
            names << nameOf(number);
        }
    }
    std::vector<int> out;
    for (const double number : doubles(numbers)) {
        const auto at = known.find(std::int64_t(number));
        out.push_back(at == known.end() ? -1 : at->second);
    }
    return out;
}

intervene::StudyOrigin originOf(const OpenedSubject& subject, const QString& part, Clock::time_point started)
{
    return {subject.subject.model.toStdString(), subject.document, part.toStdString(), std::chrono::duration<double>(Clock::now() - started).count()};
}

/// Stores by `store(workspace, run)` where the subject is a run. The numbers are there all the same: a full disk does not take them from the screen.
template <class Outcome, class Store>
void storeIfRun(Outcome& outcome, const OpenedSubject& subject, const std::shared_ptr<store::Workspace>& workspace, Store store)
{
    const auto run = widgets::runOfArgument(subject.subject.model);
    if (!workspace || !run || workspace->isReadOnly())
        return;
    try {
        outcome.analysis = store(*workspace, *run);
    } catch (const core::Error& error) {
        outcome.whyNotStored = QString::fromUtf8(error.what());
    }
}

std::vector<std::string> strings(const QStringList& list)
{
    std::vector<std::string> out;
    for (const QString& text : list)
        out.push_back(text.toStdString());
    return out;
}

intervene::ComparisonStudy studyOf(const RowChoice& choice, const ComparisonChoice& wanted)
{
    intervene::ComparisonStudy study;
    study.pooling = intervene::poolingFromText(choice.position.toStdString());
    study.part = data::splitFromName(choice.part.toStdString());
    study.limit = choice.limit;
    study.metric = wanted.metric;
    study.parameters = wanted.parameters;
    return study;
}

void addRows(QStringList& words, const OpenedSubject& subject, const RowChoice& choice, const QString& part)
{
    const auto run = widgets::runOfArgument(subject.subject.model);
    // The run's own data need no description: the command line takes them from the run, with their folder.
    if (!(subject.subject.data.is_null() && run && run == subject.subject.run))
        words << QStringLiteral("--data") << widgets::dataArgument(subject.document);
    words << QStringLiteral("--split") << part << QStringLiteral("--position") << choice.position << QStringLiteral("--limit")
          << QString::number(choice.limit);
}

void addSettings(QStringList& words, const core::Json& parameters)
{
    if (parameters.is_object())
        for (const auto& [key, value] : parameters.items())
            words << QStringLiteral("--set") << QString::fromStdString(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
}

QString finished(QStringList words, const OpenedSubject& subject, const QString& workspace)
{
    if (widgets::runOfArgument(subject.subject.model))
        words << QStringLiteral("--workspace") << workspace;
    return widgets::cliCommand(words);
}

// A probe is never measured on the part it is fitted on.
QString probePart(const RowChoice& choice)
{
    return choice.part == QLatin1String("train") ? QStringLiteral("test") : choice.part;
}

}  // namespace

OpenedPtr openSubject(const Subject& subject, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop)
{
    auto made = std::make_shared<OpenedSubject>();
    made->subject = subject;
    const core::Json ofRun = subject.run && workspace ? workspace->run(*subject.run).document.value("data", core::Json()) : core::Json();
    // The run's data are opened from the run where both are the same: relative paths in its document start at its folder.
    const bool asRun = subject.run && workspace && (subject.data.is_null() || subject.data == ofRun);
    if (asRun)
        made->subject.data = nullptr;
    else if (subject.data.is_null())
        throw core::InputError("no data are chosen: choose a data set in Data");
    made->document = asRun ? ofRun : subject.data;
    made->data = asRun ? train::dataOfRun(*workspace, *subject.run) : data::openData(subject.data);
    made->model = std::make_shared<const graph::Model>(widgets::openModelArgument(subject.model, workspace));
    made->executor = std::make_shared<const graph::Executor>(made->model->graph);
    made->values = valuesOf(*made->model, *made->executor, *made->data, stop);
    return made;
}

QString ScatterRows::labelOf(int row) const
{
    if (!activations.labels.defined())
        return {};
    if (activations.classes == 0)
        return QString::number(activations.labels[row][0].item<double>(), 'g', 6);
    const auto number = activations.labels[row].item<std::int64_t>();
    return std::size_t(number) < activations.classNames.size() ? QString::fromStdString(activations.classNames[std::size_t(number)])
                                                               : QString::number(number);
}

QString ScatterRows::predictedOf(int row) const
{
    if (!activations.predicted.defined())
        return {};
    const auto number = std::int64_t(activations.predicted[row].item<double>());
    return std::size_t(number) < activations.classNames.size() ? QString::fromStdString(activations.classNames[std::size_t(number)])
                                                               : QString::number(number);
}

ScatterRowsPtr collectRows(const OpenedPtr& subject, const RowChoice& choice, const intervene::Control& control)
{
    auto rows = std::make_shared<ScatterRows>();
    rows->subject = subject;
    rows->choice = choice;
    intervene::CollectRequest request;
    request.places = {choice.value.toStdString()};
    request.pooling = intervene::poolingFromText(choice.position.toStdString());
    request.limit = choice.limit;
    request.answers = true;
    const bool byPosition = subject->data->info().task == data::Task::NextToken;
    // A picture of whole texts needs no label a position.
    if (byPosition && (request.pooling.kind == intervene::Pooling::Kind::Mean || request.pooling.kind == intervene::Pooling::Kind::Flatten)) {
        request.label = intervene::Label::None;
        request.answers = false;
    }
    rows->activations = intervene::collectActivations(*subject->model, *subject->executor, *subject->data,
                                                      data::splitFromName(choice.part.toStdString()), request, control);
    auto& activations = rows->activations;
    std::map<std::int64_t, int> known;
    if (activations.labels.defined() && activations.classes > 0)
        rows->labels = categoriesOf(activations.labels, activations, known, rows->labelNames);
    if (activations.predicted.defined() && !rows->labels.empty()) {
        rows->predicted = categoriesOf(activations.predicted, activations, known, rows->labelNames);
        const std::vector<double> predicted = doubles(activations.predicted), labels = doubles(activations.labels);
        for (std::size_t row = 0; row < labels.size(); ++row)
            rows->wrong.push_back(predicted[row] != labels[row]);
    }
    if (activations.labels.defined() && activations.classes == 0)
        rows->numbers = doubles(activations.labels.select(1, 0));
    if (activations.confidence.defined())
        rows->confidence = doubles(activations.confidence);
    return rows;
}

std::vector<std::vector<double>> axesOfPoints(const at::Tensor& points)
{
    std::vector<std::vector<double>> axes;
    for (std::int64_t axis = 0; axis < points.size(1); ++axis)
        axes.push_back(doubles(points.select(1, axis)));
    return axes;
}

ScatterResult makeScatter(const OpenedPtr& subject, const RowChoice& choice, const std::string& method, const core::Json& parameters,
                          const std::shared_ptr<store::Workspace>& workspace, intervene::Control control,
                          const std::function<void(ScatterRowsPtr, std::vector<std::vector<double>>)>& streamed)
{
    const auto started = Clock::now();
    ScatterResult result;
    result.method = method;
    result.parameters = intervene::projectionRegistry().at(method).schema.resolve(parameters, method);
    result.rows = collectRows(subject, choice, control);
    const auto& features = result.rows->activations.features.front();
    control.partial = [&](const at::Tensor& points) { streamed(result.rows, axesOfPoints(points)); };
    const auto made = intervene::project(method, features, result.parameters, 0, control);
    control.partial = nullptr;
    result.axes = axesOfPoints(made.points);
    result.details = made.details;
    if (features.size(0) > 31 && features.size(0) <= kTrustRows)
        result.trustworthiness = intervene::trustworthiness(features, made.points, 15, control);
    storeIfRun(result, *subject, workspace, [&](store::Workspace& to, store::RunId run) {
        return intervene::storeProjection(to, run, originOf(*subject, choice.part, started), choice.value.toStdString(), method, result.parameters, 0,
                                          made, result.rows->activations);
    });
    return result;
}

intervene::ProbeStudy probeStudy(const RowChoice& choice, const QStringList& places, const core::Json& parameters)
{
    intervene::ProbeStudy study;
    study.places = strings(places);
    study.pooling = intervene::poolingFromText(choice.position.toStdString());
    study.test = data::splitFromName(probePart(choice).toStdString());
    study.limit = choice.limit;
    study.parameters = parameters;
    return study;
}

ProbeOutcome runProbes(const OpenedPtr& subject, const intervene::ProbeStudy& study, const std::shared_ptr<store::Workspace>& workspace,
                       const intervene::Control& control, const std::function<void(const intervene::ProbeResult&)>& ready)
{
    const auto started = Clock::now();
    intervene::ProbeStudy wanted = study;
    if (wanted.places.empty())
        wanted.places = intervene::layerPlaces(*subject->model);
    ProbeOutcome outcome;
    outcome.results = intervene::probeModel(*subject->model, *subject->executor, *subject->data, wanted, control, ready);
    storeIfRun(outcome, *subject, workspace, [&](store::Workspace& to, store::RunId run) {
        return intervene::storeProbes(to, run, originOf(*subject, QString::fromLatin1(data::splitName(wanted.test).data()), started), wanted,
                                      outcome.results);
    });
    return outcome;
}

ComparisonOutcome runComparison(const OpenedPtr& subject, const RowChoice& choice, const ComparisonChoice& wanted,
                                const std::shared_ptr<store::Workspace>& workspace, const intervene::Control& control,
                                const intervene::ComparisonReady& ready)
{
    const auto started = Clock::now();
    const auto study = studyOf(choice, wanted);
    const intervene::ComparedModel first{subject->model.get(), subject->executor.get(), strings(wanted.places)};
    ComparisonOutcome outcome;
    const auto run = widgets::runOfArgument(subject->subject.model);
    if (wanted.checkpoints) {
        if (!workspace || !run)
            throw core::InputError("checkpoints: expected a run of the workspace as model");
        outcome.comparison = intervene::compareCheckpoints(*workspace, *run, strings(wanted.places), *subject->data, study, control, ready);
    } else if (wanted.other.isEmpty()) {
        const auto& second = wanted.otherPlaces.isEmpty() ? wanted.places : wanted.otherPlaces;
        outcome.comparison = intervene::compareModels(first, {first.model, first.executor, strings(second)}, *subject->data, study, control, ready);
    } else {
        const graph::Model model = widgets::openModelArgument(wanted.other, workspace);
        const graph::Executor executor(model.graph);
        const auto& second = wanted.otherPlaces.isEmpty() ? wanted.places : wanted.otherPlaces;
        outcome.comparison = intervene::compareModels(first, {&model, &executor, strings(second)}, *subject->data, study, control, ready);
    }
    storeIfRun(outcome, *subject, workspace, [&](store::Workspace& to, store::RunId id) {
        const QString other = wanted.checkpoints ? QString() : wanted.other.isEmpty() ? subject->subject.model : wanted.other;
        return intervene::storeComparison(to, id, originOf(*subject, choice.part, started), other.toStdString(), study, outcome.comparison);
    });
    return outcome;
}

QString scatterCommand(const OpenedSubject& subject, const RowChoice& choice, const QString& method, const core::Json& parameters,
                       const QString& workspace)
{
    QStringList words{QStringLiteral("probe"), subject.subject.model};
    addRows(words, subject, choice, choice.part);
    words << QStringLiteral("--at") << choice.value << QStringLiteral("--project") << method;
    const bool byPosition = subject.data->info().task == data::Task::NextToken;
    if (byPosition && (choice.position == QLatin1String("mean") || choice.position == QLatin1String("flatten")))
        words << QStringLiteral("--label") << QStringLiteral("none");
    addSettings(words, parameters);
    words << QStringLiteral("--out") << QStringLiteral("points.npy");
    return finished(words, subject, workspace);
}

QString probeCommand(const OpenedSubject& subject, const RowChoice& choice, const QStringList& places, const core::Json& parameters,
                     const QString& workspace)
{
    QStringList words{QStringLiteral("probe"), subject.subject.model};
    addRows(words, subject, choice, probePart(choice));
    QStringList chosen = places;
    if (chosen.isEmpty())
        for (const auto& place : intervene::layerPlaces(*subject.model))
            chosen << QString::fromStdString(place);
    for (const QString& place : chosen)
        words << QStringLiteral("--at") << place;
    addSettings(words, parameters);
    return finished(words, subject, workspace);
}

QString comparisonCommand(const OpenedSubject& subject, const RowChoice& choice, const ComparisonChoice& wanted, const QString& workspace)
{
    QStringList words{QStringLiteral("compare-representations"), subject.subject.model};
    if (wanted.checkpoints)
        words << QStringLiteral("--checkpoints");
    else if (!wanted.other.isEmpty())
        words << wanted.other;
    addRows(words, subject, choice, choice.part);
    for (const QString& place : wanted.places)
        words << (wanted.otherPlaces.isEmpty() ? QStringLiteral("--at") : QStringLiteral("--at-a")) << place;
    for (const QString& place : wanted.otherPlaces)
        words << QStringLiteral("--at-b") << place;
    words << QStringLiteral("--metric") << QString::fromStdString(wanted.metric);
    addSettings(words, wanted.parameters);
    return finished(words, subject, workspace);
}

QStringList placesOf(const QString& text)
{
    static const QRegularExpression kSeparators(QStringLiteral("[,\\s]+"));
    return text.split(kSeparators, Qt::SkipEmptyParts);
}

}  // namespace orrery::plugins
