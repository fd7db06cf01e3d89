#include "lens_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>

#include <core/intervene/layout.h>
#include <core/text/card_tokenizer.h>
#include <core/text/source_lines.h>
#include <core/train/evaluate.h>
#include <core/train/runs.h>
#include <core/train/samples.h>
#include <widgets/commands.h>
#include <widgets/model_source.h>
#include <widgets/text_fields.h>

namespace orrery::plugins {

QString LensWanted::argument() const
{
    return step ? QStringLiteral("%1@%2").arg(model).arg(*step) : model;
}

bool LensPrepared::isTransformer() const
{
    return intervene::blockCount(model->card) > 0;
}

QString shownToken(const std::string& name)
{
    QString text = QString::fromStdString(name);
    return text == QLatin1String(" ")                                    ? QStringLiteral("␣")
           : text == QLatin1String("\\n") || text == QLatin1String("\n") ? QStringLiteral("↵")
                                                                         : text;
}

namespace {

/// The checkpoint nearest to a step; nothing where there are none.
std::optional<qint64> nearestStep(const std::vector<std::int64_t>& steps, qint64 step)
{
    const auto nearer = [step](std::int64_t a, std::int64_t b) { return std::abs(a - step) < std::abs(b - step); };
    const auto found = std::min_element(steps.begin(), steps.end(), nearer);
    return found == steps.end() ? std::nullopt : std::optional<qint64>(*found);
}

}  // namespace

void LensOpener::orderBySize(LensPrepared& made, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop)
{
    for (const QString& model : made.wanted.models) {
        const auto run = widgets::runOfArgument(model);
        if (!run || !workspace)
            continue;
        if (!m_sizes.contains(*run)) {
            if (stop.stop_requested())
                throw core::Cancelled();
            const auto record = workspace->run(*run);
            try {
                const auto opened = train::modelOfRun(*workspace, *run);
                m_sizes[*run] = {model, graph::parameterCount(*opened.graph), record.environment.value("data_order", std::string())};
            } catch (const core::InputError&) {
                continue;  // nothing trained yet
            }
        }
        made.sizes.push_back(m_sizes[*run]);
    }
    std::stable_sort(made.sizes.begin(), made.sizes.end(), [](const auto& a, const auto& b) { return a.parameters < b.parameters; });
    if (made.sizes.size() < 2)
        made.sizes.clear();
}

void LensOpener::openModel(LensPrepared& made, const std::shared_ptr<store::Workspace>& workspace)
{
    if (m_workspace != workspace)
        m_sizes.clear();
    if (const auto run = widgets::runOfArgument(made.wanted.model); run && workspace)
        made.steps = train::checkpointSteps(*workspace, *run);
    if (made.wanted.step)
        made.wanted.step = nearestStep(made.steps, *made.wanted.step);
    m_model.open(made.wanted.argument(), workspace, train::neededInputs(made.wanted.texts));
    m_workspace = workspace;
    made.model = m_model.model();
    made.executor = m_model.executor();
}

void LensOpener::openData(LensPrepared& made, const std::shared_ptr<store::Workspace>& workspace)
{
    const LensWanted& wanted = made.wanted;
    made.dataDocument = wanted.data;
    if (wanted.data.is_null() && wanted.run && workspace)
        made.dataDocument = workspace->run(*wanted.run).document.value("data", core::Json());
    if (!m_data || m_document != made.dataDocument || m_run != wanted.run) {
        m_data = wanted.data.is_null() && wanted.run && workspace ? train::dataOfRun(*workspace, *wanted.run) : data::openData(made.dataDocument);
        m_document = made.dataDocument;
        m_run = wanted.run;
    }
    made.data = m_data;
}

void LensOpener::takeSample(LensPrepared& made) const
{
    const auto part = data::splitFromName(made.wanted.split.toStdString());
    made.samplesInSplit = std::int64_t(m_data->split(part).size());
    const std::int64_t number = made.wanted.sample;
    made.tokens = train::sampleInputs(*made.model, *m_data, train::samplesOfPart(*m_data, part, {&number, 1})).at(0).toTensor();
}

LensPreparedPtr LensOpener::prepare(const LensWanted& wanted, const std::shared_ptr<store::Workspace>& workspace, bool withData, std::stop_token stop,
                                    const std::function<void(bool readsPairs)>& opened)
{
    const std::lock_guard lock(m_mutex);
    auto made = std::make_shared<LensPrepared>();
    made->wanted = wanted;
    openModel(*made, workspace);
    if (stop.stop_requested())
        throw core::Cancelled();
    orderBySize(*made, workspace, stop);
    if (!made->isTransformer())
        return made;
    made->readsPairs = train::readsPairs(*made->model);
    if (opened)
        opened(made->readsPairs);
    // A second text that means nothing to the model is hidden: it was typed for another one.
    if (!made->readsPairs && !made->wanted.texts.empty() && made->wanted.texts[0].pair) {
        made->wanted.texts[0].pair.reset();
        openModel(*made, workspace);
    }
    const bool isText = !wanted.texts.empty();
    if (wanted.hasData() && (!isText || withData))
        openData(*made, workspace);
    if (isText) {
        const auto inputs = train::textInputs(*made->model, made->wanted.texts[0]);
        made->tokens = inputs.at(0).toTensor();
        made->more.assign(inputs.begin() + 1, inputs.end());
        const auto& given = made->wanted.texts[0];
        for (const auto& each : text::blanksOfLines(*text::requiredTokenizer(made->model->card), given.text, given.pair))
            made->blanks << QString::fromStdString(each);
    } else if (made->data) {
        takeSample(*made);
    }
    if (made->tokens.defined())
        for (const auto& name : intervene::tokenNames(made->model->card, made->tokens))
            made->names << shownToken(name);
    return made;
}

LensAnswer lookInto(const LensPreparedPtr& prepared, const QString& kind, const core::Json& parameters, const explain::Control& control)
{
    const auto started = std::chrono::steady_clock::now();
    intervene::LensRequest request;
    request.parameters = parameters;
    request.tokens = prepared->tokens;
    if (prepared->data)
        request.texts = [prepared](std::int64_t count, bool heldOut) {
            const auto& part = prepared->data->split(heldOut ? data::Split::Test : data::Split::Train);
            if (part.empty())
                throw core::InputError("the data have no part of their own to fit and score the future lens on");
            return train::sampleInputs(*prepared->model, *prepared->data, train::spreadSamples(part, count)).at(0).toTensor();
        };
    LensAnswer answer;
    answer.prepared = prepared;
    answer.result = intervene::runLens({*prepared->executor, *prepared->model, prepared->more}, kind.toStdString(), std::move(request), control);
    answer.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return answer;
}

std::int64_t keepAnswer(const LensAnswer& answer, const std::shared_ptr<store::Workspace>& workspace)
{
    const LensWanted& wanted = answer.prepared->wanted;
    const auto run = widgets::runOfArgument(wanted.model);
    if (!run || !workspace)
        throw core::InputError("only what was found in a run of this workspace can be kept with it");
    core::Json inputs{{"model", wanted.argument().toStdString()}};
    inputs.update(train::textDocument(wanted.texts));
    if (wanted.texts.empty() && answer.prepared->data)
        inputs.update({{"data", answer.prepared->dataDocument}, {"split", wanted.split.toStdString()}, {"sample", wanted.sample}});
    return intervene::storeLens(*workspace, *run, inputs, answer.result, answer.seconds);
}

QString lensCommand(const LensWanted& wanted, const core::Json& dataDocument, const QString& kind, const core::Json& parameters,
                    const QString& workspace, const QString& checkpoints)
{
    QStringList words{QStringLiteral("lens"), checkpoints.isEmpty() ? wanted.argument() : wanted.model};
    const auto run = widgets::runOfArgument(wanted.model);
    if (intervene::needsTokens(kind.toStdString())) {
        words << widgets::textArguments(wanted.texts);
        // The run's own data need no description: the command line takes them from the run, with their folder.
        if (!dataDocument.is_null() && !(wanted.data.is_null() && run && run == wanted.run))
            words << QStringLiteral("--data") << widgets::dataArgument(dataDocument);
        if (wanted.texts.empty())
            words << QStringLiteral("--split") << wanted.split << QStringLiteral("--sample") << QString::number(wanted.sample);
    }
    words << QStringLiteral("--kind") << kind;
    for (const auto& [key, value] : parameters.items())
        words << QStringLiteral("--set") << QString::fromStdString(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
    if (!checkpoints.isEmpty())
        words << QStringLiteral("--checkpoints") << checkpoints;
    if (run)
        words << QStringLiteral("--workspace") << workspace;
    return widgets::cliCommand(words);
}

}  // namespace orrery::plugins
