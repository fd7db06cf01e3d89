#include "interventions_model.h"

#include <ATen/ATen.h>

#include <QPointer>
#include <QRegularExpression>
#include <QUndoCommand>
#include <QUndoStack>
#include <chrono>
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/train/samples.h>
#include <widgets/commands.h>
#include <widgets/model_source.h>
#include <widgets/session.h>
#include <widgets/text_fields.h>

namespace orrery::plugins {
namespace {

using core::Json;

QStringList placesOf(const graph::Model& model)
{
    QStringList places;
    for (const auto& [canonical, value] : model.card.canonicalNames)
        places << QString::fromStdString(canonical);
    for (const auto& module : model.graph->data().modules)
        if (!module.path.empty())
            places << QString::fromStdString(module.path);
    for (const auto& node : model.graph->nodes())
        for (const auto output : node.outputs)
            if (model.graph->value(output).type == "Tensor")
                places << QString::fromStdString(model.graph->value(output).name);
    places.removeDuplicates();
    return places;
}

Json dataOf(const InterventionSubject& subject, const store::Workspace* workspace)
{
    if (!subject.data.is_null())
        return subject.data;
    return subject.run && workspace ? workspace->run(*subject.run).document.value("data", Json()) : Json();
}

data::DataSetPtr openedData(const InterventionSubject& subject, const Json& document, const std::shared_ptr<store::Workspace>& workspace)
{
    // The run's own data: relative paths in its document start at its folder.
    if (subject.run && workspace && document == workspace->run(*subject.run).document.value("data", Json()))
        return train::dataOfRun(*workspace, *subject.run);
    return document.is_null() ? nullptr : data::openData(document);
}

void readInput(PreparedIntervention& made)
{
    const auto& subject = made.subject;
    if (!subject.texts.empty() && made.readsText) {
        made.inputs = train::textInputs(*made.model, subject.texts[0]);
        made.input = InterventionsModel::tr("Text of %1 tokens").arg(made.inputs[0].toTensor().size(1));
        return;
    }
    if (!made.data)
        throw core::InputError("expected a sample of a data set, or a text");
    const auto part = data::splitFromName(subject.split.toStdString());
    made.samplesInSplit = std::int64_t(made.data->split(part).size());
    const std::int64_t number = subject.sample;
    const auto indices = train::samplesOfPart(*made.data, part, {&number, 1});
    made.inputs = train::sampleInputs(*made.model, *made.data, indices);
    made.input = InterventionsModel::tr("%1 part, sample %2 of %L3").arg(subject.split).arg(number).arg(made.samplesInSplit);
    if (const auto target = made.data->targetText(indices[0]); !target.empty() && made.data->info().task != data::Task::NextToken)
        made.input += InterventionsModel::tr("; true: %1").arg(QString::fromStdString(target));
}

std::vector<std::int64_t> sampleNumbers(const QString& text)
{
    std::vector<std::int64_t> numbers;
    for (const QString& part : text.split(QLatin1Char(','))) {
        bool fromIsNumber = false, toIsNumber = false;
        const auto from = part.section(QLatin1Char('-'), 0, 0).trimmed().toLongLong(&fromIsNumber);
        const auto to = part.section(QLatin1Char('-'), -1).trimmed().toLongLong(&toIsNumber);
        if (!fromIsNumber || !toIsNumber || to < from || to - from > 1'000'000)
            throw core::InputError(fmt::format("source sample: expected a number such as 3, 3,7 or 0-99, got \"{}\"", part.toStdString()));
        for (auto i = from; i <= to; ++i)
            numbers.push_back(i);
    }
    return numbers;
}

std::vector<c10::IValue> sourceInputs(const PreparedIntervention& prepared, const SourceLine& line, const std::filesystem::path& folder)
{
    if (const auto text = train::typedText(line.given.toStdString()))
        return train::textInputs(*prepared.model, *text);
    if (!line.given.startsWith(QLatin1String("sample:"))) {
        const auto array = io::toTensor(io::readNpy(folder / line.given.toStdString()));
        return {at::isFloatingType(array.scalar_type()) ? array.to(at::kFloat) : array.to(at::kLong)};
    }
    if (!prepared.data)
        throw core::InputError(fmt::format("source \"{}\": there is no data set that sample {} could come from; choose a sample in Data first",
                                           line.name.toStdString(), line.given.mid(7).toStdString()));
    const auto part = data::splitFromName(prepared.subject.split.toStdString());
    const auto numbers = sampleNumbers(line.given.mid(7));
    return train::sampleInputs(*prepared.model, *prepared.data, train::samplesOfPart(*prepared.data, part, numbers));
}

constexpr std::int64_t kMostCells = 200;  ///< along one axis of a picture that is still read

/// One row of a difference as a picture: [rows, columns].
at::Tensor picture(at::Tensor difference, InterventionOutcome& outcome, const std::vector<intervene::Axis>& axes)
{
    auto row = difference.dim() > 0 ? difference.select(0, 0) : difference.reshape({1});
    auto names = axes;
    if (!names.empty())
        names.erase(names.begin());
    while (row.dim() > 2) {
        row = row.norm(2, {-1});
        names.pop_back();
    }
    if (row.dim() == 1)
        row = row.unsqueeze(0);
    // A long axis is shown by the norm of its parts.
    const auto parts = (row.size(1) + kMostCells - 1) / kMostCells;
    if (parts > 1)
        row = at::constant_pad_nd(row, {0, (parts - row.size(1) % parts) % parts}).reshape({row.size(0), -1, parts}).norm(2, {-1});
    row = row.narrow(0, 0, std::min(row.size(0), kMostCells));
    const auto nameAt = [&](std::size_t i) { return i < names.size() ? QString::fromLatin1(intervene::axisName(names[i]).data()) : QString(); };
    outcome.rowTitle = names.size() >= 2 ? nameAt(0) : QString();
    outcome.columnTitle = nameAt(names.size() >= 2 ? 1 : 0);
    return row;
}

void addProbe(InterventionOutcome& outcome, const intervene::InterventionResult& result)
{
    if (result.values.empty())
        return;
    const auto& [name, pair] = *result.values.begin();
    outcome.probe = QString::fromStdString(name);
    if (!at::isFloatingType(pair.first.scalar_type()) || pair.first.sizes() != pair.second.sizes())
        return;
    const auto& model = *outcome.subject->model;
    const auto axes = intervene::axesOf(*model.graph, model.card, name, std::size_t(pair.first.dim()));
    auto shown = pair.second.to(at::kDouble) - pair.first.to(at::kDouble);
    shown = at::where(pair.second == pair.first, at::zeros_like(shown), shown);  // masked scores are -inf in both
    shown = picture(shown, outcome, axes).contiguous();
    outcome.rows = int(shown.size(0));
    outcome.columns = int(shown.size(1));
    outcome.difference.assign(shown.data_ptr<double>(), shown.data_ptr<double>() + shown.numel());
}

Json generatedBothWays(const PreparedIntervention& prepared, const intervene::InterventionDocument& document, const intervene::SourceInputs& sources,
                       const InterventionSettings& settings, const intervene::Control& control)
{
    const auto& model = *prepared.model;
    const auto how = intervene::generationOptions(settings.generation, 0);
    const intervene::InterventionProgram program(*prepared.executor, model.weights, model.card, document, sources, {settings.folder, 0}, control);
    const auto prompt = prepared.inputs.at(0).toTensor();
    const auto plain = intervene::generate(*prepared.executor, model.weights, model.card, prompt, how, nullptr, control);
    const auto changed = intervene::generate(*prepared.executor, model.weights, model.card, prompt, how, &program, control);
    return {{"plain", intervene::describeGeneration(plain, model.card)}, {"intervened", intervene::describeGeneration(changed, model.card)}};
}

Json storedInputs(const PreparedIntervention& prepared, const InterventionSettings& settings)
{
    const auto& subject = prepared.subject;
    Json inputs = {{"model", subject.model.toStdString()}};
    if (subject.texts.empty())
        inputs.update({{"data", prepared.dataDocument}, {"split", subject.split.toStdString()}, {"samples", {subject.sample}}});
    inputs.update(train::textDocument(subject.texts));
    for (const auto& source : settings.sources)
        inputs["sources"].push_back(source.name.toStdString() + "=" + source.given.toStdString());
    return inputs;
}

}  // namespace

PreparedInterventionPtr InterventionOpener::prepare(const InterventionSubject& subject, const std::shared_ptr<store::Workspace>& workspace,
                                                    const std::function<void(const PreparedIntervention&)>& opened)
{
    const std::lock_guard lock(m_mutex);
    auto made = std::make_shared<PreparedIntervention>();
    made->subject = subject;
    // A pair needs inputs that are bound otherwise: another graph.
    const auto needed = [](const InterventionSubject& each) {
        auto texts = each.texts;
        if (each.sourcePairs)
            texts.push_back({"", ""});
        return train::neededInputs(texts);
    };
    const bool isSame = m_last && m_workspace == workspace && m_last->subject.model == subject.model && needed(m_last->subject) == needed(subject);
    if (isSame) {
        made->model = m_last->model;
        made->executor = m_last->executor;
        made->places = m_last->places;
    } else {
        made->model = std::make_shared<const graph::Model>(widgets::openModelArgument(subject.model, workspace, needed(subject)));
        made->executor = std::make_shared<const graph::Executor>(made->model->graph);
        made->places = placesOf(*made->model);
    }
    made->readsText = train::readsText(*made->model);
    made->readsPairs = train::readsPairs(*made->model);
    if (opened)
        opened(*made);
    // A second text that means nothing to the model is hidden: it was typed for another one.
    if (!made->readsPairs)
        for (auto& text : made->subject.texts)
            text.pair.reset();
    made->dataDocument = dataOf(subject, workspace.get());
    made->data = isSame && m_last->dataDocument == made->dataDocument && m_last->subject.run == subject.run
                     ? m_last->data
                     : openedData(subject, made->dataDocument, workspace);
    if (made->readsText && !made->data && made->subject.texts.empty())
        return nullptr;
    readInput(*made);
    m_last = made;
    m_workspace = workspace;
    return made;
}

InterventionOutcome runInterventions(const PreparedInterventionPtr& prepared, const Json& json, const InterventionSettings& settings,
                                     const std::shared_ptr<store::Workspace>& workspace, const intervene::Control& control)
{
    const auto started = std::chrono::steady_clock::now();
    const auto document = intervene::InterventionDocument::fromJson(json);
    const auto& model = *prepared->model;
    intervene::InterventionRequest request;
    request.inputs = prepared->inputs;
    request.folder = settings.folder;
    for (const auto& source : settings.sources)
        request.sources[source.name.toStdString()] = sourceInputs(*prepared, source, settings.folder);
    if (!settings.probe.isEmpty())
        request.probes = {intervene::resolveOne(*model.graph, model.card, settings.probe.toStdString())};
    const auto result = intervene::runIntervened(*prepared->executor, model.weights, model.card, document, request, control);
    InterventionOutcome outcome;
    outcome.subject = prepared;
    outcome.described =
        intervene::describeResult(result, model.card, 10, settings.position, train::answerPositions(*model.graph, model.card, prepared->inputs));
    addProbe(outcome, result);
    if (!settings.generation.is_null())
        outcome.described["generated"] = generatedBothWays(*prepared, document, request.sources, settings, control);
    const auto run = widgets::runOfArgument(prepared->subject.model);
    if (!run || !workspace)
        return outcome;
    try {
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
        const auto whole = intervene::withArraysInside(document, settings.folder);
        outcome.analysis = intervene::storeIntervention(*workspace, *run, whole, storedInputs(*prepared, settings), outcome.described, result.plain,
                                                        result.intervened, seconds.count());
    } catch (const core::Error& error) {
        outcome.whyNotStored = error.what();
    }
    return outcome;
}

QString interveneCommand(const PreparedIntervention& prepared, const Json& document, const InterventionSettings& settings, const QString& workspace)
{
    const auto& subject = prepared.subject;
    QStringList arguments = {QStringLiteral("intervene"), subject.model};
    if (subject.texts.empty()) {
        if (!subject.data.is_null())
            arguments << QStringLiteral("--data") << widgets::dataArgument(subject.data);
        arguments << QStringLiteral("--split") << subject.split << QStringLiteral("--sample") << QString::number(subject.sample);
    } else {
        arguments << widgets::textArguments(subject.texts);
    }
    arguments << QStringLiteral("--spec") << QString::fromStdString(document.dump());
    for (const auto& source : settings.sources)
        arguments << QStringLiteral("--source") << source.name + QLatin1Char('=') + source.given;
    if (settings.position)
        arguments << QStringLiteral("--position") << QString::number(*settings.position);
    if (!settings.probe.isEmpty())
        arguments << QStringLiteral("--probe") << settings.probe;
    if (settings.generation.is_object()) {
        arguments << QStringLiteral("--generate") << QString::number(settings.generation.value("max_new_tokens", 20));
        for (const auto& [key, value] : settings.generation.items())
            if (key != "max_new_tokens")
                arguments << QStringLiteral("--sampling") << QString::fromStdString(key + "=" + value.dump());
    }
    if (widgets::runOfArgument(subject.model))
        arguments << QStringLiteral("--workspace") << workspace;
    return widgets::cliCommand(arguments);
}

Json indexFromText(const QString& text)
{
    const QString plain = text.trimmed();
    if (plain.isEmpty())
        return nullptr;
    if (plain.contains(QLatin1Char(','))) {
        auto list = Json::array();
        for (const QString& part : plain.split(QLatin1Char(','), Qt::SkipEmptyParts))
            list.push_back(indexFromText(part));
        return list;
    }
    // A dash can only join numbers that have no sign.
    static const QRegularExpression kRange(QStringLiteral("^(?|(-?\\d{1,9})\\s*\\.\\.\\s*(-?\\d{1,9})|(\\d{1,9})\\s*[-\u2013]\\s*(\\d{1,9}))$"));
    if (const auto range = kRange.match(plain); range.hasMatch())
        return {{"from", range.captured(1).toLongLong()}, {"to", range.captured(2).toLongLong()}};
    bool isNumber = false;
    const auto number = plain.toLongLong(&isNumber);
    return isNumber ? Json(number) : Json(plain.toStdString());
}

QString textFromIndex(const Json& index)
{
    if (index.is_null())
        return {};
    if (index.is_string())
        return QString::fromStdString(index.get<std::string>());
    if (index.is_array()) {
        QStringList parts;
        for (const auto& part : index)
            parts << textFromIndex(part);
        return parts.join(QStringLiteral(", "));
    }
    if (index.is_object() && index.size() <= 2 && (index.contains("from") || index.contains("to")))
        return textFromIndex(index.value("from", Json(0))) + QStringLiteral("..") + textFromIndex(index.value("to", Json(-1)));
    return QString::fromStdString(index.dump());
}

QString unitText(const Json& unit)
{
    QStringList parts;
    if (unit.is_object())
        for (const auto& [axis, index] : unit.items())
            parts << QString::fromStdString(axis) + QLatin1Char(' ') + textFromIndex(index);
    return parts.join(QStringLiteral("; "));
}

/// Holds whole documents: they are small, and undoing then cannot go wrong.
class InterventionsModel::Step : public QUndoCommand {
public:
    Step(InterventionsModel& model, Json after, const QString& text, QString field)
        : QUndoCommand(text), m_model(&model), m_before(model.m_document), m_after(std::move(after)), m_field(std::move(field))
    {
    }
    void undo() override { apply(m_before); }
    void redo() override { apply(m_after); }
    int id() const override { return 0x1e7e; }
    bool mergeWith(const QUndoCommand* other) override
    {
        const auto* step = static_cast<const Step*>(other);
        if (m_field.isEmpty() || step->m_field != m_field || step->m_model != m_model)
            return false;
        m_after = step->m_after;
        return true;
    }

private:
    void apply(const Json& document)
    {
        if (m_model)
            m_model->set(document);
    }
    QPointer<InterventionsModel> m_model;
    Json m_before, m_after;
    QString m_field;
};

InterventionsModel::InterventionsModel(widgets::Session& session, QObject* parent)
    : QObject(parent), m_session(session), m_document({{"interventions", Json::array()}})
{
}

void InterventionsModel::set(const Json& document)
{
    m_document = document.is_object() ? document : Json::object();
    if (document.is_array())
        m_document["interventions"] = document;
    if (!m_document.contains("interventions") || !m_document["interventions"].is_array())
        m_document["interventions"] = Json::array();
    m_issues.clear();
    intervene::InterventionDocument::check(m_document, m_issues);
    Q_EMIT changed();
}

void InterventionsModel::edit(const Json& document, const QString& text, const QString& field)
{
    if (document != m_document)
        m_session.undoStack().push(new Step(*this, document, text, field));
}

void InterventionsModel::editEntry(int row, const Json& entry, const QString& text, const QString& field)
{
    if (row < 0 || row >= int(entries().size()))
        return;
    auto document = m_document;
    document["interventions"][std::size_t(row)] = entry;
    edit(document, text, field.isEmpty() ? field : QStringLiteral("%1/%2").arg(row).arg(field));
}

void InterventionsModel::addEntry(const Json& entry)
{
    auto document = m_document;
    document["interventions"].push_back(entry);
    edit(document, tr("Add an intervention"));
}

void InterventionsModel::removeEntry(int row)
{
    if (row < 0 || row >= int(entries().size()))
        return;
    auto document = m_document;
    document["interventions"].erase(document["interventions"].begin() + row);
    edit(document, tr("Remove an intervention"));
}

void InterventionsModel::moveEntry(int row, int change)
{
    const int to = row + change, count = int(entries().size());
    if (row < 0 || row >= count || to < 0 || to >= count)
        return;
    auto document = m_document;
    std::swap(document["interventions"][std::size_t(row)], document["interventions"][std::size_t(to)]);
    edit(document, tr("Move an intervention"));
}

void InterventionsModel::restore(const Json& document)
{
    set(document);
}

}  // namespace orrery::plugins
