#include "attribution_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/data/vocabulary.h>
#include <core/explain/leave_out.h>
#include <core/explain/stored.h>
#include <core/intervene/layout.h>
#include <core/intervene/results.h>
#include <core/io/image.h>
#include <core/text/card_tokenizer.h>
#include <core/text/source_lines.h>
#include <core/train/card_inputs.h>
#include <core/train/predict.h>
#include <core/train/samples.h>
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
    const at::Tensor picture = subject.inputs[0].toTensor()[0];
    subject.channels = int(picture.size(0));
    subject.height = int(picture.size(1));
    subject.width = int(picture.size(2));
    subject.pixels = displayPixels(subject, picture);
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
    const at::Tensor output = train::predict(*subject.model, inputs, 1, stop);
    subject.positions = output.dim() == 3 ? output.size(1) : 0;
    const auto usual = train::answerPositions(*subject.model->graph, subject.model->card, subject.inputs);
    if (subject.positions > 0)
        subject.usualPosition = usual.empty() || usual[0] >= subject.positions ? subject.positions - 1 : usual[0];
    const auto wanted = subject.subject.position;
    if (wanted && (*wanted < 0 || *wanted >= subject.positions))
        subject.subject.position.reset();  // of a longer text
    subject.answer = answerOf(*subject.model, output, subject.position());
    const auto classes = subject.answer.probabilities.size();
    subject.classes = subject.model->card.classNames;
    if (subject.classes.empty() && subject.data && subject.data->info().classNames.size() == classes)
        subject.classes = subject.data->info().classNames;
    if (subject.model->card.task == "token_classification")
        for (std::int64_t position = 0; position < subject.positions; ++position)
            subject.tags.push_back(subject.className(answerOf(*subject.model, output, position).predicted).toStdString());
    // The classes of what says something at each position are tokens; those of a whole text are not.
    const bool ofTokens = intervene::answersAreTokens(subject.model->card) || (subject.model->card.task.empty() && subject.positions > 0);
    if (!subject.classes.empty() || classes == 0 || subject.kind != InputKind::Tokens || !ofTokens)
        return;
    const auto* ofData = subject.data ? subject.data->vocabulary() : nullptr;
    auto tokenizer = text::tokenizerOf(subject.model->card);
    if (!tokenizer && ofData)
        tokenizer = text::tokenizerFromCard(ofData->toJson());
    for (std::size_t i = 0; tokenizer && i < classes && std::int64_t(i) < tokenizer->size(); ++i)
        subject.classes.push_back(tokenizer->tokenText(std::int64_t(i)));
}

bool isFloating(const c10::IValue& value)
{
    return value.isTensor() && value.toTensor().defined() && at::isFloatingType(value.toTensor().scalar_type());
}

/// What can be attributed to, found by one run that watches every value that depends on the input.
void addSites(PreparedSubject& subject, std::stop_token stop)
{
    const auto& graph = *subject.executor->graph();
    if (graph.data().inputs.empty())
        return;
    const auto add = [&subject](const std::string& name, const c10::IValue& value) {
        const auto known = std::any_of(subject.sites.begin(), subject.sites.end(), [&](const Site& site) { return site.name == name; });
        if (!known && isFloating(value) && value.toTensor().dim() >= 2 && value.toTensor().size(0) == 1)
            subject.sites.push_back({name, name, value.toTensor().sizes().vec()});
    };
    for (std::size_t i = 0; i < subject.inputs.size() && i < graph.data().inputs.size() && subject.sites.empty(); ++i)
        add(graph.data().inputs[i].name, subject.inputs[i]);
    graph::RunRequest request;
    request.inputs = subject.inputs;
    request.stop = stop;
    for (const auto& name : subject.executor->dependencyCone({graph.data().inputs[0].name}))
        if (graph.findValue(name))
            request.probes.push_back(graph::Probe::onValue(name, add));
    subject.executor->run(subject.model->weights, request);
    for (Site& site : subject.sites)
        site.title = intervene::canonicalNameOf(subject.model->card, site.name).value_or(site.name);
}

core::Json documentOf(const ExplainSubject& subject, const store::Workspace* workspace)
{
    if (!subject.data.is_null())
        return subject.data;
    return subject.run && workspace ? workspace->run(*subject.run).document.value("data", core::Json()) : core::Json();
}

}  // namespace

Answer answerOf(const graph::Model& model, const at::Tensor& output, std::optional<std::int64_t> position)
{
    at::Tensor row = output.detach();
    if (row.dim() == 3)
        row = row.select(1, position.value_or(row.size(1) - 1));
    Answer answer;
    answer.outputs = doubles(row);
    if (row.dim() != 2 || model.card.task == "regression")
        return answer;
    const auto classes = row.size(1);
    answer.probabilities.assign(std::size_t(std::max<std::int64_t>(classes, 1)), 0);
    const auto ranked = train::topClasses(row, model.card, std::size_t(classes), graph::outputKind(*model.graph, model.card, output.dim()));
    for (const auto& score : ranked.at(0)) {
        if (std::size_t(score.index) >= answer.probabilities.size())
            answer.probabilities.resize(std::size_t(score.index) + 1, 0);
        answer.probabilities[std::size_t(score.index)] = score.probability;
    }
    // A single logit speaks of two classes, so the probabilities decide.
    answer.predicted = std::max_element(answer.probabilities.begin(), answer.probabilities.end()) - answer.probabilities.begin();
    return answer;
}

std::vector<float> displayPixels(const PreparedSubject& subject, const at::Tensor& picture)
{
    at::Tensor shown = picture.to(at::kCPU, at::kFloat);
    if (subject.data && subject.data->info().kind == data::DataKind::Image) {
        shown = data::toDisplay(subject.data->info(), shown).permute({2, 0, 1}).to(at::kFloat).div(255);
    } else {
        const at::Tensor low = shown.min(), span = (shown.max() - low).clamp_min(1e-12);
        shown = (shown - low) / span;
    }
    shown = shown.contiguous();
    return {shown.data_ptr<float>(), shown.data_ptr<float>() + shown.numel()};
}

QString PreparedSubject::className(std::int64_t index) const
{
    return index >= 0 && std::size_t(index) < classes.size() ? QString::fromStdString(classes[std::size_t(index)]) : QString::number(index);
}

std::optional<std::int64_t> PreparedSubject::position() const
{
    return subject.position ? std::optional<std::int64_t>(*subject.position) : usualPosition;
}

std::int64_t PreparedSubject::elements() const
{
    if (kind == InputKind::Image)
        return std::int64_t(width) * height;
    if (kind == InputKind::Other || sites.empty() || sites.front().shape.size() < 2)
        return 0;
    return sites.front().shape[1];
}

struct SubjectOpener::Cache {
    std::mutex mutex;  ///< one subject is prepared at a time
    QString modelName;
    std::set<std::string> keptInputs;  ///< a pair needs inputs that are bound otherwise: another graph
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

void SubjectOpener::openModel(Cache& cached, PreparedSubject& made, const std::shared_ptr<store::Workspace>& workspace) const
{
    const ExplainSubject& subject = made.subject;
    const auto needed = train::neededInputs(subject.texts);
    if (!cached.model || cached.modelName != subject.model || cached.workspace != workspace || cached.keptInputs != needed) {
        cached.model = std::make_shared<const graph::Model>(widgets::openModelArgument(subject.model, workspace, needed));
        cached.executor = std::make_shared<const graph::Executor>(cached.model->graph);
        cached.modelName = subject.model;
        cached.keptInputs = needed;
        cached.workspace = workspace;
    }
    made.model = cached.model;
    made.executor = cached.executor;
}

void SubjectOpener::openInput(Cache& cached, PreparedSubject& made, const std::shared_ptr<store::Workspace>& workspace) const
{
    const ExplainSubject& subject = made.subject;
    if (!subject.texts.empty()) {
        made.inputs = train::textInputs(*made.model, subject.texts[0]);
        return;
    }
    if (!subject.image.isEmpty()) {
        made.inputs = {train::imageInput(made.model->card, io::readImage(subject.image.toStdString()))};
        return;
    }
    made.dataDocument = documentOf(subject, workspace.get());
    if (!cached.data || cached.document != made.dataDocument || cached.run != subject.run) {
        cached.data =
            subject.data.is_null() && subject.run && workspace ? train::dataOfRun(*workspace, *subject.run) : data::openData(made.dataDocument);
        cached.document = made.dataDocument;
        cached.run = subject.run;
    }
    made.data = cached.data;
    const auto part = data::splitFromName(subject.split.toStdString());
    made.samplesInSplit = std::int64_t(made.data->split(part).size());
    const std::int64_t number = subject.sample;
    const auto indices = train::samplesOfPart(*made.data, part, {&number, 1});
    made.inputs = train::sampleInputs(*made.model, *made.data, indices);
    made.targetText = made.data->info().task == data::Task::NextToken ? std::string() : made.data->targetText(indices[0]);
}

PreparedPtr SubjectOpener::prepare(const ExplainSubject& subject, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop,
                                   const std::function<void(const OpenedSubject&)>& opened)
{
    const auto cached = cache();
    const std::lock_guard lock(cached->mutex);
    auto made = std::make_shared<PreparedSubject>();
    made->subject = subject;
    openModel(*cached, *made, workspace);
    const OpenedSubject can{train::readsText(*made->model), train::readsPairs(*made->model)};
    if (opened)
        opened(can);
    if (!can.readsText && !made->subject.texts.empty()) {
        made->subject.texts.clear();
        openModel(*cached, *made, workspace);
    }
    // A pair that means nothing to the model is hidden: it was typed for another one.
    if (!can.readsPairs && !made->subject.texts.empty() && made->subject.texts[0].pair) {
        made->subject.texts[0].pair.reset();
        openModel(*cached, *made, workspace);
    }
    if (!made->subject.hasInput())
        return nullptr;
    openInput(*cached, *made, workspace);
    if (stop.stop_requested())
        throw core::Cancelled();
    made->kind = kindOf(*made);
    made->names = explain::attributedNames(made->model->card, made->inputs[0].toTensor());
    if (made->names.empty())
        made->names = namesOfData(*made);
    if (!made->subject.texts.empty() && made->model->card.tokenizer.is_object()) {
        const auto& given = made->subject.texts[0];
        made->blanks = text::blanksOfLines(*text::requiredTokenizer(made->model->card), given.text, given.pair);
    }
    if (made->kind == InputKind::Image)
        addPixels(*made);
    else if (made->kind == InputKind::Table)
        addValues(*made);
    addAnswer(*made, stop);
    addSites(*made, stop);
    return made;
}

Answer answerWithout(const PreparedSubject& subject, const std::vector<std::int64_t>& elements, double baseline, std::stop_token stop)
{
    const auto output =
        explain::outputWithout(*subject.executor, subject.model->weights, subject.inputs, {subject.sites.front().name, elements, baseline}, stop);
    return answerOf(*subject.model, output, subject.position());
}

}  // namespace orrery::plugins
