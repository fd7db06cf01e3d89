#include "patching_model.h"

#include <QCoreApplication>

#include <ATen/ATen.h>

#include <algorithm>
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/data/vocabulary.h>
#include <core/intervene/patch_sites.h>
#include <core/intervene/residual.h>
#include <core/train/samples.h>
#include <core/train/text_batch.h>
#include <widgets/commands.h>
#include <widgets/kept_model.h>
#include <widgets/model_source.h>

namespace orrery::plugins {
namespace {

QStringList strings(const std::vector<std::string>& texts)
{
    QStringList list;
    for (const auto& text : texts)
        list << QString::fromStdString(text);
    return list;
}

QString tr(const char* text)
{
    return QCoreApplication::translate("PatchingPanel", text);
}

bool hasTokens(const std::vector<c10::IValue>& inputs)
{
    return !inputs.empty() && inputs[0].isTensor() && inputs[0].toTensor().dim() == 2 && !at::isFloatingType(inputs[0].toTensor().scalar_type());
}

train::GivenText givenText(const QString& text, const QString& pair)
{
    return {text.toStdString(), pair.isEmpty() ? std::nullopt : std::optional(pair.toStdString())};
}

/// Those of which one is a pair decide how the model is opened; two texts are compared one by one.
std::vector<train::GivenText> textsOf(const PatchSubject& subject)
{
    if (!subject.isText || (subject.cleanPair.isEmpty() && subject.corruptedPair.isEmpty()))
        return {};
    return {givenText(subject.clean, subject.cleanPair), givenText(subject.corrupted, subject.corruptedPair)};
}

core::Json documentOf(const PatchSubject& subject, const store::Workspace* workspace)
{
    if (!subject.data.is_null())
        return subject.data;
    return subject.run && workspace ? workspace->run(*subject.run).document.value("data", core::Json()) : core::Json();
}

std::string shapeText(const std::vector<c10::IValue>& inputs)
{
    return core::formatShape(inputs.at(0).toTensor().sizes());
}

}  // namespace

struct PatchOpener::Cache {
    std::mutex mutex;  ///< one subject is prepared at a time
    widgets::KeptModel model;
    core::Json document;
    std::optional<qint64> run;
    data::DataSetPtr data;
    std::shared_ptr<store::Workspace> workspace;

    void openModel(const PatchSubject& subject, const std::shared_ptr<store::Workspace>& from)
    {
        if (model.open(subject.model, from, train::neededInputs(textsOf(subject))))
            data.reset();
        workspace = from;
    }
    void openData(const PatchSubject& subject)
    {
        const auto wanted = documentOf(subject, workspace.get());
        if (wanted.is_null())
            throw core::InputError("samples: expected a data set; choose one in the Data panel, or a run whose data are meant");
        if (data && document == wanted && run == subject.run)
            return;
        data = subject.data.is_null() && subject.run && workspace ? train::dataOfRun(*workspace, *subject.run) : data::openData(wanted);
        document = wanted;
        run = subject.run;
    }
    std::vector<c10::IValue> inputs(const PatchSubject& subject, const QString& given, const QString& pair, core::Json& origin)
    {
        if (subject.isText) {
            const auto text = givenText(given, pair);
            origin = train::textDocument({&text, 1});
            return train::textInputs(*model.model(), text);
        }
        bool isNumber = false;
        const std::int64_t number = given.trimmed().toLongLong(&isNumber);
        if (!isNumber)
            throw core::InputError(fmt::format("\"{}\": expected the number of a sample, from 0", given.toStdString()));
        openData(subject);
        origin = {{"sample", number}, {"split", subject.split.toStdString()}, {"data", document}};
        const auto indices = train::samplesOfPart(*data, data::splitFromName(subject.split.toStdString()), {&number, 1});
        return train::sampleInputs(*model.model(), *data, indices);
    }
};

namespace {

void addTokens(PreparedPatch& made, const data::DataSet* data)
{
    const auto texts = [&](const std::vector<c10::IValue>& inputs) {
        QStringList list;
        const auto& card = made.model->card;
        if (card.tokenizer.is_object() || !data || !data->vocabulary())
            return strings(intervene::tokenNames(card, inputs[0].toTensor()));
        const at::Tensor tokens = inputs[0].toTensor().to(at::kLong).reshape(-1).contiguous();
        for (std::int64_t i = 0; i < tokens.numel(); ++i)
            list << QString::fromStdString(data->vocabulary()->tokenText(tokens.data_ptr<std::int64_t>()[i]));
        return list;
    };
    if (!hasTokens(made.request.clean) || !hasTokens(made.request.corrupted))
        return;
    made.cleanTokens = texts(made.request.clean);
    made.corruptedTokens = texts(made.request.corrupted);
}

QString whyNotCompared(const PreparedPatch& made)
{
    const auto &clean = made.request.clean, &corrupted = made.request.corrupted;
    if (hasTokens(clean) && hasTokens(corrupted) && clean[0].toTensor().size(1) != corrupted[0].toTensor().size(1))
        return tr("Both texts need the same number of tokens: clean has %1, corrupted has %2.")
            .arg(clean[0].toTensor().size(1))
            .arg(corrupted[0].toTensor().size(1));
    if (clean[0].toTensor().sizes() != corrupted[0].toTensor().sizes())
        return tr("Both inputs need the same shape: clean is %1, corrupted is %2.")
            .arg(QString::fromStdString(shapeText(clean)), QString::fromStdString(shapeText(corrupted)));
    if (at::equal(clean[0].toTensor(), corrupted[0].toTensor()))
        return tr("Both inputs are the same; change the corrupted one where it matters.");
    return {};
}

}  // namespace

PreparedPatchPtr PatchOpener::prepare(const PatchSubject& subject, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop)
{
    std::shared_ptr<Cache> cached;
    {
        const std::lock_guard lock(m_mutex);
        if (!m_cache)
            m_cache = std::make_shared<Cache>();
        cached = m_cache;
    }
    const std::lock_guard lock(cached->mutex);
    auto made = std::make_shared<PreparedPatch>();
    made->subject = subject;
    cached->openModel(subject, workspace);
    if (stop.stop_requested())
        throw core::Cancelled();
    made->model = cached->model.model();
    made->executor = cached->model.executor();
    made->components = intervene::patchComponents(made->model->card);
    made->takesText = train::readsText(*made->model);
    made->takesPairs = train::readsPairs(*made->model);
    // Second texts that mean nothing to the model are hidden: they were typed for another one.
    if (!made->takesPairs && (!subject.cleanPair.isEmpty() || !subject.corruptedPair.isEmpty())) {
        made->subject.cleanPair.clear();
        made->subject.corruptedPair.clear();
        cached->openModel(made->subject, workspace);
        made->model = cached->model.model();
        made->executor = cached->model.executor();
    }
    if (subject.clean.isEmpty() || subject.corrupted.isEmpty()) {
        made->problem = tr("Give two inputs: one that the model answers right, and a corrupted one of the same length.");
        return made;
    }
    try {
        made->request.clean = cached->inputs(subject, subject.clean, made->subject.cleanPair, made->cleanOrigin);
        made->request.corrupted = cached->inputs(subject, subject.corrupted, made->subject.corruptedPair, made->corruptedOrigin);
    } catch (const core::InputError& error) {
        made->problem = QString::fromStdString(error.what());
        return made;
    }
    addTokens(*made, subject.isText ? nullptr : cached->data.get());
    made->problem = whyNotCompared(*made);
    return made;
}

PatchSweepPtr makeSweep(const PreparedPatchPtr& subject, const core::Json& settings, std::stop_token stop)
{
    auto sweep = std::make_shared<PatchSweep>();
    sweep->subject = subject;
    auto request = subject->request;
    request.settings = settings;
    sweep->patching = std::make_unique<intervene::Patching>(*subject->executor, subject->model->weights, subject->model->card, request, stop);
    for (const auto& map : sweep->patching->maps())
        sweep->columnLabels.push_back(strings(intervene::columnLabels(subject->model->card, request, map)));
    return sweep;
}

std::vector<ClassInRuns> classesOfCell(const PatchSweep& sweep, const intervene::PatchCell& cell, std::size_t count, std::stop_token stop)
{
    const auto softmax = [](const at::Tensor& logits) { return at::softmax(logits, 0); };
    const at::Tensor patched = softmax(sweep.patching->outputOf(cell, std::move(stop)));
    const auto reference = sweep.patching->reference();
    const at::Tensor clean = softmax(reference.clean), corrupted = softmax(reference.corrupted);
    const at::Tensor order = at::maximum(patched, at::maximum(clean, corrupted)).argsort(0, /*descending=*/true);
    std::vector<ClassInRuns> classes;
    for (std::int64_t i = 0; i < order.size(0) && classes.size() < count; ++i) {
        const auto index = order[i].item<std::int64_t>();
        classes.push_back({index, QString::fromStdString(intervene::answerName(sweep.subject->model->card, index)), patched[index].item<double>(),
                           clean[index].item<double>(), corrupted[index].item<double>()});
    }
    std::stable_sort(classes.begin(), classes.end(), [](const auto& a, const auto& b) { return a.patched > b.patched; });
    return classes;
}

QString placeText(const PatchSweep& sweep, const intervene::PatchCell& cell)
{
    const auto& map = sweep.patching->maps().at(cell.map);
    const QString site = QString::fromStdString(map.sites.at(std::size_t(cell.site)));
    bool isLayer = false;
    site.toInt(&isLayer);
    QString text = isLayer ? tr("%1, layer %2").arg(QString::fromStdString(map.component), site) : site;
    if (map.byHead)
        text += tr(", head %1").arg(cell.head);
    const auto column = map.columns.at(std::size_t(cell.column));
    if (column < 0)
        return text;
    text += QStringLiteral(", %1 %2").arg(QString::fromStdString(map.unit)).arg(column);
    const QString& label = sweep.columnLabels.at(cell.map).at(int(cell.column));
    return label == QString::number(column) ? text : text + QStringLiteral(" “%1”").arg(label);
}

core::Json withTypedAnswers(core::Json settings, const graph::ModelCard& card, const QString& answer, const QString& wrong)
{
    for (const auto& [name, typed] : {std::pair{"answer", answer}, {"wrong", wrong}}) {
        if (typed.isEmpty())
            continue;
        core::Json& metric = settings["metric"];
        if (!metric.is_object())
            metric = {{"id", metric.is_string() ? metric : core::Json("logit_difference")}};
        const auto id = metric.value("id", std::string("logit_difference"));
        const auto* component = intervene::outputMetrics().find(id);
        if (component && !component->schema.find(name))
            throw core::InputError(fmt::format("{} \"{}\": the metric {} asks for none; leave it empty", name, typed.toStdString(), id));
        try {
            metric[name] = intervene::answerNumber(card, typed.toStdString());
        } catch (const core::InputError& error) {
            throw core::InputError(fmt::format("{}: {}", name, error.what()));
        }
    }
    return settings;
}

QString patchCommand(const PatchSubject& subject, const core::Json& data, const core::Json& settings, const QString& workspace)
{
    const auto word = [&](const QString& given, const QString& pair) {
        return subject.isText ? QString::fromStdString(train::typedForm(givenText(given, pair))) : QStringLiteral("sample:") + given;
    };
    QStringList words{QStringLiteral("patch"),       subject.model,
                      QStringLiteral("--clean"),     word(subject.clean, subject.cleanPair),
                      QStringLiteral("--corrupted"), word(subject.corrupted, subject.corruptedPair)};
    const auto run = widgets::runOfArgument(subject.model);
    if (!subject.isText) {
        if (!(subject.data.is_null() && run && run == subject.run))
            words << QStringLiteral("--data") << widgets::dataArgument(data);
        words << QStringLiteral("--split") << subject.split;
    }
    for (const auto& [key, value] : settings.items())
        words << QStringLiteral("--set") << QString::fromStdString(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
    if (run)
        words << QStringLiteral("--workspace") << workspace;
    return widgets::cliCommand(words);
}

}  // namespace orrery::plugins
