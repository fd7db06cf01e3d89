#include "debug_session.h"

#include <ATen/ATen.h>

#include <QFileInfo>
#include <QProcess>

#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/debug/prompt_text.h>
#include <core/graph/inspect.h>
#include <core/graph/sequence_limit.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/models/input_arrays.h>
#include <core/train/samples.h>
#include <core/train/text_batch.h>
#include <widgets/kept_model.h>
#include <widgets/model_source.h>
#include <widgets/text_fields.h>

namespace orrery::plugins {
namespace {

constexpr std::int64_t kCellsShown = 2'000'000;
constexpr std::size_t kRowsShown = 20'000;

debug::StepperOptions stepperOptions(const DebugModel& model)
{
    debug::StepperOptions options;
    options.inputs = model.inputs;
    options.training = model.subject.training;
    return options;
}

at::Tensor readNumbers(const std::string& file)
{
    return io::toTensor(io::readNpy(file));
}

debug::PromptFiles promptFiles()
{
    return {readNumbers, [](const std::string& file, const at::Tensor& tensor) { io::writeNpy(file, io::toArray(tensor)); }};
}

std::vector<c10::IValue> sampleInput(const DebugSubject& subject, const graph::Model& model, const std::shared_ptr<store::Workspace>& workspace)
{
    data::DataSetPtr data;
    if (!subject.data.is_null())
        data = data::openData(subject.data);
    else if (subject.run && workspace)
        data = train::dataOfRun(*workspace, *subject.run);
    else
        throw core::InputError("sample: expected a data set; choose one in the Data panel, or a run whose data are meant");
    const std::int64_t number = subject.sample;
    return train::sampleInputs(model, *data, train::samplesOfPart(*data, data::splitFromName(subject.split.toStdString()), {&number, 1}));
}

/// Files in the order of the model's inputs, or by name; names with blanks stand in quotes.
std::vector<c10::IValue> fileInputs(const DebugSubject& subject, const graph::Model& model)
{
    const auto& declared = model.graph->data().inputs;
    std::vector<c10::IValue> inputs(declared.size());
    std::size_t place = 0;
    for (const QString& word : QProcess::splitCommand(subject.files)) {
        auto sign = word.indexOf(QLatin1Char('='));
        std::size_t index = 0;
        const auto named = std::find_if(declared.begin(), declared.end(),
                                        [&](const auto& each) { return sign > 0 && QString::fromStdString(each.name) == word.left(sign); });
        // A sign that stands in the name of a file says nothing about an input.
        if (named == declared.end() && sign > 0 && QFileInfo::exists(word))
            sign = -1;
        index = sign > 0 ? std::size_t(named - declared.begin()) : place++;
        if (index >= inputs.size())
            throw core::InputError(
                fmt::format("\"{}\": the model has {}", word.toStdString(), core::counted(std::int64_t(declared.size()), "input")));
        inputs[index] = models::asModelReads(readNumbers(word.mid(sign > 0 ? sign + 1 : 0).toStdString()), model, index, word.toStdString());
    }
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i].isNone())
            throw core::InputError(fmt::format("input \"{}\" is missing: expected one .npy file for each of {}", declared[i].name,
                                               core::counted(std::int64_t(declared.size()), "input")));
    graph::checkTokenInputs(model, inputs);
    return inputs;
}

/// What follows `break`: "op:relu if max > 5".
QString wantedText(const debug::Breakpoint& breakpoint)
{
    const std::string condition = breakpoint.condition ? "if " + breakpoint.condition->text : "";
    return QString::fromStdString(breakpoint.pattern + (breakpoint.pattern.empty() || condition.empty() ? "" : " ") + condition);
}

std::vector<c10::IValue> inputsOf(const DebugSubject& subject, const graph::Model& model, const std::shared_ptr<store::Workspace>& workspace)
{
    switch (subject.input) {
    case DebugSubject::Input::Sample: return sampleInput(subject, model, workspace);
    case DebugSubject::Input::Text:
        return subject.texts.size() == 1 ? train::textInputs(model, subject.texts[0]) : train::textInputs(model, subject.texts);
    case DebugSubject::Input::File: return fileInputs(subject, model);
    case DebugSubject::Input::Example: break;
    }
    return graph::requiredExample(model);
}

}  // namespace

namespace {

/// The subject as the command line is told of it: data of a run that is not the model are described, those of the run itself are not.
DebugSubject commandSubject(DebugSubject subject, const std::shared_ptr<store::Workspace>& workspace)
{
    if (subject.input == DebugSubject::Input::Sample && subject.data.is_null() && subject.run && workspace &&
        widgets::runOfArgument(subject.model) != subject.run)
        subject.data = workspace->run(*subject.run).document.value("data", core::Json());
    return subject;
}

}  // namespace

core::Json DebugMarks::toJson() const
{
    core::Json json = {{"breakpoints", core::Json::array()}, {"watches", core::Json::array()}};
    for (const auto& [text, enabled] : breakpoints)
        json["breakpoints"].push_back({{"text", text.toStdString()}, {"enabled", enabled}});
    for (const QString& watch : watches)
        json["watches"].push_back(watch.toStdString());
    return json;
}

DebugMarks DebugMarks::fromJson(const core::Json& json)
{
    DebugMarks marks;
    const auto list = [&](const char* key) {
        return json.is_object() && json.contains(key) && json[key].is_array() ? json[key] : core::Json::array();
    };
    for (const auto& each : list("breakpoints"))
        if (each.is_object() && each.contains("text") && each["text"].is_string())
            marks.breakpoints.emplace_back(QString::fromStdString(each["text"].get<std::string>()),
                                           !each.contains("enabled") || each["enabled"] != false);
    for (const auto& each : list("watches"))
        if (each.is_string())
            marks.watches << QString::fromStdString(each.get<std::string>());
    return marks;
}

DebugMarks DebugView::marks() const
{
    DebugMarks marks;
    for (const auto& each : breakpoints)
        marks.breakpoints.emplace_back(each.wanted, each.enabled);
    for (const auto& watch : watches)
        marks.watches << watch.first;
    return marks;
}

QStringList DebugSubject::arguments() const
{
    QStringList out;
    if (input == Input::File)
        for (const QString& word : QProcess::splitCommand(files))
            out << QStringLiteral("--input") << word;
    if (input == Input::Example)
        out << QStringLiteral("--example");
    if (input == Input::Sample) {
        if (!data.is_null())
            out << QStringLiteral("--data") << widgets::dataArgument(data);
        out << QStringLiteral("--split") << split << QStringLiteral("--sample") << QString::number(sample);
    }
    if (input == Input::Text)
        out << widgets::textArguments(texts);
    if (training)
        out << QStringLiteral("--training");
    return out;
}

QString shortName(const QString& model)
{
    return model.startsWith(QLatin1String("zoo:")) ? model : model.section(QLatin1Char('/'), -2, -1, QString::SectionSkipEmpty);
}

QStringList withWorkspace(QStringList words, const QStringList& models, const QString& workspaceFolder)
{
    if (std::any_of(models.begin(), models.end(), [](const QString& model) { return widgets::runOfArgument(model).has_value(); }))
        words << QStringLiteral("--workspace") << workspaceFolder;
    return words;
}

DebugModelPtr openDebugSubject(const DebugSubject& subject, const std::shared_ptr<store::Workspace>& workspace,
                               const std::function<void(const graph::Model&)>& opened)
{
    auto made = std::make_shared<DebugModel>();
    made->subject = subject;
    made->modelState = widgets::fileState(subject.model);
    made->model = std::make_shared<const graph::Model>(widgets::openModelArgument(subject.model, workspace, train::neededInputs(subject.texts)));
    if (opened)
        opened(*made->model);
    made->executor = std::make_shared<const graph::Executor>(made->model->graph);
    made->inputs = inputsOf(subject, *made->model, workspace);
    QStringList parts;
    for (const auto& input : made->inputs) {
        parts << QString::fromStdString(debug::summaryText(input)).section(QLatin1Char(','), 0, -1).section(QStringLiteral(", min"), 0, 0);
        if (const auto odd = input.isTensor() ? models::notFinite(input.toTensor()) : 0; odd > 0)
            parts.back() += QStringLiteral(" (%1 of %2 values are NaN or infinite)").arg(odd).arg(input.toTensor().numel());
    }
    made->inputWords = commandSubject(subject, workspace).arguments();
    made->inputText = parts.join(QStringLiteral("; "));
    return made;
}

DebugSession::DebugSession(DebugModelPtr model)
    : m_model(std::move(model)), m_lines(m_model->executor->graph()), m_stepper(m_model->executor, m_model->model->weights, stepperOptions(*m_model)),
      m_prompt(m_stepper, promptFiles())
{
}

DebugView DebugSession::takeOver(const DebugSession& before, std::stop_token stop)
{
    const std::scoped_lock lock(m_mutex, before.m_mutex);
    m_stepper.takeOver(before.m_stepper);
    m_prompt.setWatches(before.m_prompt.watches());
    noteMarks();
    return look({}, stop);
}

DebugView DebugSession::setMarks(const DebugMarks& marks, std::stop_token stop)
{
    const std::lock_guard lock(m_mutex);
    QStringList left;
    for (const auto& [text, enabled] : marks.breakpoints)
        try {
            const auto wanted = debug::parseBreak(text.toStdString());
            m_stepper.enableBreakpoint(m_stepper.addBreakpoint(wanted.pattern, wanted.condition), enabled);
        } catch (const core::InputError& error) {
            left << QStringLiteral("break %1: left out: %2").arg(text, QString::fromUtf8(error.what()));
        }
    std::vector<std::string> watches;
    for (const QString& watch : marks.watches)
        watches.push_back(watch.toStdString());
    m_prompt.setWatches(std::move(watches));
    noteMarks();
    return look(left.join(QLatin1Char('\n')), stop);
}

/// The commands that set what is looked for now.
void DebugSession::noteMarks()
{
    for (const auto& each : m_stepper.breakpoints()) {
        m_history << QStringLiteral("break ") + wantedText(each);
        if (!each.enabled)
            m_history << QStringLiteral("disable %1").arg(each.id);
    }
    for (const auto& watch : m_prompt.watches())
        m_history << QStringLiteral("watch ") + QString::fromStdString(watch);
}

DebugView DebugSession::command(const QString& line, std::stop_token stop)
{
    const std::lock_guard lock(m_mutex);
    const auto reply = m_prompt.run(line.toStdString(), stop);
    m_history << line.trimmed();
    const QString word = line.trimmed().section(QLatin1Char(' '), 0, 0);
    if (word == QLatin1String("set") || word == QLatin1String("unset") || word == QLatin1String("input"))
        m_rows.clear();
    return look(QString::fromStdString(reply.text), stop);
}

DebugView DebugSession::view(std::stop_token stop)
{
    const std::lock_guard lock(m_mutex);
    return look({}, stop);
}

const debug::Visit* DebugSession::visitAt(int line, int visit) const
{
    if (visit < 0)
        return nullptr;
    if (line != m_stepper.position().line || visit >= int(m_stepper.visits().size()))
        throw core::InputError("the run has left this loop or branch: go into it again");
    return &m_stepper.visits()[std::size_t(visit)];
}

DebugView DebugSession::runToLine(int line, int visit, std::stop_token stop)
{
    const std::lock_guard lock(m_mutex);
    const debug::Position here = m_stepper.position(), wanted{line, visit};
    const debug::Visit* step = visitAt(line, visit);
    if (wanted > here && line < m_lines.count())
        m_history << QStringLiteral("until ") + QString::fromStdString(step ? step->name : m_lines.line(line).node->name);
    else if (wanted < here)
        m_history << QStringLiteral("back %1").arg(step ? here.inner - visit : here.line - line + here.inner + 1);
    step ? m_stepper.runToStep(visit, stop) : m_stepper.runToLine(line, stop);
    return look({}, stop);
}

DebugView DebugSession::toggleBreakpoint(int line, int visit)
{
    const std::lock_guard lock(m_mutex);
    const debug::Visit* step = visitAt(line, visit);
    const std::string name = step ? step->name : m_lines.line(line).node->name;
    const auto all = m_stepper.breakpoints();
    const auto here = std::find_if(all.begin(), all.end(), [&](const auto& each) { return !each.condition && each.pattern == name; });
    if (here != all.end()) {
        m_stepper.removeBreakpoint(here->id);
        m_history << QStringLiteral("delete %1").arg(here->id);
    } else {
        m_stepper.addBreakpoint(name);
        m_history << QStringLiteral("break ") + QString::fromStdString(name);
    }
    return look({}, {});
}

DebugValueRow DebugSession::rowOf(const std::string& name)
{
    DebugValueRow row;
    row.name = QString::fromStdString(name);
    const auto* kept = m_stepper.keptValue(name);
    row.isKept = kept != nullptr;
    const auto found = m_rows.find(name);
    if (found != m_rows.end()) {
        row = found->second;
        row.isKept = kept != nullptr;
        row.isEdited = m_stepper.edits().count(name) > 0;
        return row;
    }
    const auto id = m_stepper.graph()->findValue(graph::splitStep(name).first);
    if (const auto* node = id ? m_stepper.graph()->producer(*id) : nullptr)
        row.op = QString::fromStdString(node->op).section(QStringLiteral("::"), -1);
    row.isEdited = m_stepper.edits().count(name) > 0;
    if (!kept)
        return row;
    row.isTensor = kept->isTensor() && kept->toTensor().defined();
    if (!row.isTensor) {
        row.text = QString::fromStdString(debug::summaryText(*kept));
    } else {
        const at::Tensor& tensor = kept->toTensor();
        row.shape = QString::fromStdString(core::formatShape(tensor.sizes()));
        row.dtype = QString::fromStdString(graph::dtypeName(tensor.scalar_type()));
        if (!tensor.is_complex()) {
            const auto facts = graph::statistics(tensor, 1);
            row.minimum = facts.minimum;
            row.maximum = facts.maximum;
            row.mean = facts.mean;
            row.deviation = facts.standardDeviation;
            row.notFinite = facts.nans + facts.infinities;
        }
    }
    m_rows[name] = row;
    return row;
}

/// The line that makes the value, or the first that reads it.
int DebugSession::lineOfGradient() const
{
    if (!m_stepper.isBackward() || m_stepper.gradientPosition() == 0)
        return -1;
    const std::string& name = m_stepper.gradients()[m_stepper.gradientPosition() - 1].name;
    const auto id = m_stepper.graph()->findValue(graph::splitStep(name).first);
    if (!id || m_lines.lineOf(*id) >= 0)
        return id ? m_lines.lineOf(*id) : -1;
    for (int line = 0; line < m_lines.count(); ++line)
        if (const auto& reads = m_lines.line(line).reads; std::find(reads.begin(), reads.end(), *id) != reads.end())
            return line;
    return -1;
}

DebugView DebugSession::look(QString reply, std::stop_token stop)
{
    DebugView view;
    view.reply = std::move(reply);
    view.place = QString::fromStdString(debug::stopText(m_stepper, m_stepper.lastStop())).section(QStringLiteral("\n  "), 0, 0);
    view.reason = QString::fromLatin1(debug::stopReasonName(m_stepper.lastStop().reason));
    view.position = m_stepper.position();
    view.atEnd = m_stepper.atEnd();
    view.backward = m_stepper.isBackward();
    view.backwardEnded = view.backward && m_stepper.gradientPosition() == m_stepper.gradients().size();
    view.gradientLine = lineOfGradient();
    for (const auto& level : m_stepper.levels())
        view.levels << QString::fromStdString(level);
    view.frame = int(m_stepper.frame());
    if (view.position.inner >= 0)
        for (const auto& visit : m_stepper.visits()) {
            view.visits << QString::fromStdString(visit.name);
            const QString text = visit.values.empty() ? QString() : QString::fromStdString(debug::lineText(*m_stepper.graph(), *visit.node));
            view.visitTexts << (text.isEmpty() ? view.visits.back()
                                               : view.visits.back() + QStringLiteral(" = ") + text.section(QStringLiteral(" = "), 1));
        }
    view.breakpointVisits = m_stepper.breakpointSteps();
    view.breakpointLines = m_stepper.breakpointLines();
    for (const auto& each : m_stepper.breakpoints())
        view.breakpoints.push_back({each.id, QString::fromStdString(each.toText()), wantedText(each), each.enabled});
    if (view.backward) {
        for (std::size_t i = 0; i < m_stepper.gradientPosition(); ++i) {
            const auto& gradient = m_stepper.gradients()[i];
            DebugValueRow row;
            row.name = QString::fromStdString(gradient.name);
            row.shape = QString::fromStdString(core::formatShape(gradient.shape));
            row.isTensor = true;
            row.deviation = gradient.norm;
            row.notFinite = gradient.nonFinite;
            view.values.push_back(std::move(row));
        }
    } else {
        for (const auto& name : m_stepper.knownValues())
            if (view.values.size() < kRowsShown)
                view.values.push_back(rowOf(name));
    }
    for (const auto& expression : m_prompt.watches()) {
        QString text;
        try {
            text = QString::fromStdString(debug::summaryText(debug::evaluateValue(expression, m_prompt.scope(stop))));
        } catch (const core::Error& error) {
            text = QString::fromUtf8(error.what());
        }
        view.watches.emplace_back(QString::fromStdString(expression), text);
    }
    view.nodesRun = m_stepper.nodesRun();
    view.keptBytes = m_stepper.keptBytes();
    return view;
}

DebugTensor DebugSession::tensor(const QString& name, std::stop_token stop)
{
    const std::lock_guard lock(m_mutex);
    const at::NoGradGuard noGrad;
    const bool gradient = m_stepper.isBackward();
    const at::Tensor value = gradient ? m_stepper.gradient(name.toStdString(), stop) : debug::evaluateValue(name.toStdString(), m_prompt.scope(stop));
    DebugTensor out;
    out.name = name;
    out.title = gradient ? QStringLiteral("grad(%1)").arg(name) : name;
    out.statistics = QString::fromStdString(debug::summaryText(value));
    out.shape = value.sizes().vec();
    out.isLarge = value.numel() > kCellsShown;
    if (!out.isLarge && !value.is_complex()) {
        const at::Tensor numbers = value.to(at::kCPU, at::kFloat).contiguous();
        out.values.assign(numbers.data_ptr<float>(), numbers.data_ptr<float>() + numbers.numel());
    }
    return out;
}

QStringList DebugSession::history() const
{
    const std::lock_guard lock(m_mutex);
    return m_history;
}

}  // namespace orrery::plugins
