#include <iostream>

#include <ATen/ATen.h>

#include <core/base/text.h>
#include <core/intervene/lens_checkpoints.h>
#include <core/intervene/lens_methods.h>
#include <core/train/evaluate.h>
#include <core/train/runs.h>
#include <core/train/samples.h>

#include "arrays.h"
#include "lens_tables.h"
#include "sample_argument.h"
#include "storing.h"
#include "text_argument.h"

namespace orrery::cli {
namespace {

struct LensOptions {
    ModelArgument model;
    std::vector<std::string> inputs, settings, ablate;
    SampleArgument sample;
    std::string text, pair, kind = "logit_lens", out, checkpoints;
    std::optional<std::int64_t> layer, head, position, offset, top;
    std::optional<std::string> target, contrast, context;
};

/// An option stands for a parameter of some kinds; with another kind it would do nothing.
void requireOptionOf(const std::string& kind, const std::string& name)
{
    if (intervene::lensRegistry().at(kind).schema.find(name))
        return;
    std::vector<std::string> kinds;
    for (const auto& each : intervene::lensRegistry().components())
        if (each.schema.find(name))
            kinds.push_back(each.id);
    throw core::InputError(fmt::format("--{}: expected --kind {}, got {}", name, core::join(kinds, " or "), kind));
}

core::Json parametersOf(const LensOptions& options)
{
    core::Json parameters = core::Json::object();
    for (const auto& [name, value] : {std::pair{"layer", options.layer},
                                      {"head", options.head},
                                      {"position", options.position},
                                      {"offset", options.offset},
                                      {"top", options.top}})
        if (value)
            parameters[name] = *value;
    if (options.target)
        parameters["target"] = *options.target;
    if (options.contrast)
        parameters["contrast"] = *options.contrast;
    if (options.context)
        parameters["context"] = *options.context;
    if (!options.ablate.empty())
        parameters["ablate"] = options.ablate;
    for (const auto& [name, value] : parameters.items())
        requireOptionOf(options.kind, name);
    for (const auto& setting : options.settings)
        core::setByPath(parameters, setting);
    return intervene::lensRegistry().at(options.kind).schema.resolve(parameters, options.kind);
}

std::vector<train::GivenText> lensTexts(const LensOptions& options)
{
    if (options.text.empty())
        return {};
    return {{options.text, options.pair.empty() ? std::nullopt : std::optional(options.pair)}};
}

/// Tokens, and what else the model reads with them.
std::vector<c10::IValue> lensInputs(Session& session, const LensOptions& options, const graph::Model& model)
{
    const int given = !options.inputs.empty() + !options.text.empty() + options.sample.given();
    if (!intervene::needsTokens(options.kind)) {
        if (given > 0)
            throw core::InputError(fmt::format("{} {}: leave out --text, --input and --sample", options.kind,
                                               options.kind == "induction" ? "makes its own tokens" : "takes sequences of the data"));
        return {at::Tensor()};
    }
    if (given != 1 || options.sample.samples.size() > 1)
        throw core::InputError("lens: expected one of --text, --input, --sample N");
    if (!options.text.empty())
        return inputsOfTexts(session, model, lensTexts(options));
    return {inputsFrom(session, options.inputs, options.sample, options.model, model).at(0)};
}

std::function<at::Tensor(std::int64_t, bool)> textsFor(Session& session, const LensOptions& options, const graph::Model& model)
{
    if (options.sample.data.empty() && !runOf(options.model.text))
        return {};
    return [&session, &options, &model](std::int64_t count, bool heldOut) {
        const auto set = options.sample.open(session, options.model);
        const auto part = heldOut ? data::Split::Test : data::Split::Train;
        if (set->split(part).empty())
            throw core::InputError(fmt::format("{}: the {} part is empty", options.kind, data::splitName(part)));
        return train::sampleInputs(model, *set, train::spreadSamples(set->split(part), count)).at(0).toTensor();
    };
}

explain::Control controlOf(Session& session)
{
    explain::Control control;
    control.stop = session.stopToken();
    control.progress = [&session](double done, double total, const char* unit) { session.showProgress(done, total, unit); };
    return control;
}

intervene::LensResult compute(Session& session, const LensOptions& options, const graph::Model& model, const core::Json& parameters)
{
    const graph::Executor executor(model.graph);
    intervene::LensRequest request;
    const auto inputs = lensInputs(session, options, model);
    request.tokens = inputs[0].toTensor();
    request.texts = textsFor(session, options, model);
    request.parameters = parameters;
    auto result = intervene::runLens({executor, model, {inputs.begin() + 1, inputs.end()}}, options.kind, request, controlOf(session));
    session.endProgress();
    return result;
}

core::Json originOf(Session& session, const LensOptions& options)
{
    core::Json origin{{"model", options.model.text}};
    origin.update(train::textDocument(lensTexts(options)));
    if (!options.inputs.empty())
        origin["input"] = options.inputs[0];
    if (options.sample.given())
        origin.update(
            {{"data", options.sample.document(session, options.model)}, {"split", options.sample.split}, {"sample", options.sample.samples[0]}});
    return origin;
}

// With a workspace named and a model from it, the result is kept as an analysis of the run.
Storing keep(Session& session, const LensOptions& options, const intervene::LensResult& result, double seconds, core::Json& document)
{
    Storing storing;
    storing.attempt([&] {
        const auto run = runOf(options.model.text);
        if (const auto workspace = run ? session.namedWorkspace(store::OpenMode::Open) : nullptr)
            document["analysis"] = intervene::storeLens(*workspace, *run, originOf(session, options), result, seconds);
    });
    storing.describe(document);
    return storing;
}

Exit once(Session& session, const LensOptions& options, const core::Json& parameters)
{
    const auto started = std::chrono::steady_clock::now();
    const auto model = openForTexts(session, options.model, lensTexts(options));
    const auto result = compute(session, options, model, parameters);
    if (!options.out.empty())
        writeArray(options.out, result.array);
    auto document = result.document;
    document["shape"] = result.array.sizes().vec();
    if (!options.out.empty())
        document["file"] = options.out;
    const auto storing = keep(session, options, result, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(), document);
    if (session.json) {
        session.print(document);
        return storing.end();
    }
    std::cout << lensTable(result, model.card);
    if (!options.out.empty())
        std::cout << fmt::format("written to {} {}\n", options.out, core::formatShape(result.array.sizes()));
    if (document.contains("analysis"))
        std::cout << fmt::format("stored as analysis {} of {}\n", document["analysis"].dump(), options.model.text);
    return storing.end();
}

std::vector<std::int64_t> wantedSteps(const store::Workspace& workspace, store::RunId run, const std::string& wanted)
{
    auto steps = train::checkpointSteps(workspace, run);
    if (steps.empty()) {
        workspace.run(run);  // throws if there is none
        throw core::InputError(fmt::format("run {} has no checkpoints: train it with train.checkpoint.every and train.checkpoint.keep", run));
    }
    if (wanted == "all")
        return steps;
    std::vector<std::int64_t> chosen;
    for (const auto& part : core::split(wanted, ',')) {
        const auto found = std::find_if(steps.begin(), steps.end(), [&](std::int64_t step) { return std::to_string(step) == part; });
        if (found == steps.end())
            throw core::InputError(fmt::format("--checkpoints: run {} has no checkpoint of step \"{}\": expected all, or some of {}", run, part,
                                               fmt::join(steps, ", ")));
        if (std::find(chosen.begin(), chosen.end(), *found) == chosen.end())
            chosen.push_back(*found);
    }
    return chosen;
}

// The same lens at each checkpoint, one array behind the other.
Exit alongTraining(Session& session, const LensOptions& options, const core::Json& parameters)
{
    const auto run = runOf(options.model.text);
    if (!run || options.model.text.find('@') != std::string::npos)
        throw core::InputError("--checkpoints: expected a model run:ID of a workspace, got " + options.model.text);
    const auto workspace = session.workspace(store::OpenMode::ReadOnly);
    const auto steps = wantedSteps(*workspace, *run, options.checkpoints);
    core::Json document{{"kind", options.kind}, {"parameters", parameters}, {"checkpoints", core::Json::array()}};
    std::vector<at::Tensor> arrays;
    std::string text;
    const auto experiment = train::experimentOfRun(*workspace, *run);
    for (const std::int64_t step : steps) {
        LensOptions at = options;
        at.model.text = fmt::format("run:{}@{}", *run, step);
        const auto model = openForTexts(session, at.model, lensTexts(at));
        const auto result = compute(session, at, model, parameters);
        const auto loss = intervene::checkpointLoss(*workspace, *run, step, model, experiment, controlOf(session));
        session.endProgress();
        core::Json entry = result.document;
        entry.erase("kind");
        entry.erase("parameters");
        core::Json row{{"step", step}, {"logged_loss", jsonNumber(loss.logged)}, {"loss", jsonNumber(loss.computed)}};
        row.update(entry);
        document["checkpoints"].push_back(std::move(row));
        arrays.push_back(result.array);
        text += checkpointLine(step, loss, result, model.card);
    }
    if (!options.out.empty()) {
        writeArray(options.out, at::stack(arrays));
        document["file"] = options.out;
    }
    session.json ? session.print(document) : void(std::cout << text);
    return Exit::Done;
}

Exit lens(Session& session, const LensOptions& options)
{
    const auto parameters = parametersOf(options);
    return options.checkpoints.empty() ? once(session, options, parameters) : alongTraining(session, options, parameters);
}

std::string lensKindsHelp()
{
    std::string text = "Kinds and their parameters (--set name=value, or the option of that name):\n";
    for (const auto& kind : intervene::lensRegistry().components())
        text += fmt::format("\n{}: {}\n{}", kind.id, kind.summary, kind.schema.helpText());
    text += fmt::format("\nColumns of the array of logit_lens, future and transplant: {}\nof induction: {}\n",
                        core::join(intervene::gridColumns(), ", "), core::join(intervene::headColumns(), ", "));
    return text;
}

}  // namespace

std::function<Exit(Session&)> declareLens(CLI::App& app)
{
    auto options = std::make_shared<LensOptions>();
    app.footer(lensKindsHelp);
    options->model.declare(app);
    app.add_option("--kind", options->kind, "logit_lens, future, transplant, direct_logit_attribution, attention, induction or memorisation.");
    auto* text = app.add_option("--text", options->text, "Text to look at, read by the model's tokenizer.");
    app.add_option("--pair", options->pair, "logit_lens, attention: a second text that belongs to it, for models of pairs of sentences.")
        ->needs(text);
    app.add_option("--input", options->inputs, "Array file with tokens [1, position].");
    options->sample.declare(app);
    app.add_option("--layer", options->layer, "attention: this layer alone, from 0.");
    app.add_option("--head", options->head, "attention: this head alone, from 0.");
    app.add_option("--position", options->position, "direct_logit_attribution: position, from 0 or (negative) from the end; default: the last.");
    app.add_option("--target", options->target, "direct_logit_attribution: token, as text or number; default: the most probable one.");
    app.add_option("--contrast", options->contrast, "direct_logit_attribution: the difference to this token's logit.");
    app.add_option("--offset", options->offset, "future, transplant: tokens ahead; default: see below.");
    app.add_option("--context", options->context, "transplant: text that the state is put into; default: the first token of the input.");
    app.add_option("--top", options->top, "logit_lens, future, transplant: tokens kept in each cell; default: see below.");
    app.add_option("--ablate", options->ablate, "induction: set this head's output to zero, LAYER.HEAD; may be given several times.");
    app.add_option("--checkpoints", options->checkpoints,
                   "all, or steps with commas between: the same along the training of run:ID, with its losses.");
    app.add_option("--set", options->settings, "Parameter of the kind: name=value; see below.");
    app.add_option("--out", options->out, "File for the numbers (.npy, .safetensors; .csv and .png for two axes).")->check(outFileProblem);
    return [options](Session& session) { return lens(session, *options); };
}

}  // namespace orrery::cli
