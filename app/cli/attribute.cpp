#include <iostream>
#include <numeric>

#include <core/base/text.h>
#include <core/explain/attribution.h>
#include <core/explain/padded_batch.h>
#include <core/explain/stored.h>
#include <core/io/image.h>
#include <core/train/card_inputs.h>

#include "arrays.h"
#include "attribution_metrics.h"
#include "sample_argument.h"
#include "storing.h"
#include "text_argument.h"

namespace orrery::cli {
namespace {

struct AttributeOptions {
    ModelArgument model;
    std::vector<std::string> inputs, settings;
    SampleArgument sample;
    MetricArguments metrics;
    TextArgument texts;
    std::string image, method, out, site;
    std::optional<std::int64_t> target, position;
};

std::vector<double> numbers(const at::Tensor& tensor)
{
    const auto values = tensor.detach().to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

double sumOf(const explain::AttributionResult& result)
{
    const auto sums = explain::attributionSums(result);
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

core::Json resultJson(const AttributeOptions& options, const explain::AttributionRequest& request, const explain::AttributionResult& result)
{
    core::Json document = {{"method", options.method},
                           {"target", result.targets.size() == 1 ? core::Json(result.targets[0]) : core::Json(result.targets)},
                           {"parameters", request.parameters},
                           {"completeness_error", nullptr},
                           {"standard_error", nullptr},
                           {"site", result.site},
                           {"outputs", numbers(result.outputs)},
                           {"shape", result.attribution.sizes().vec()},
                           {"sum", sumOf(result)},
                           {"details", result.details}};
    if (!result.positions.empty())
        document["position"] = result.positions.size() == 1 ? core::Json(result.positions[0]) : core::Json(result.positions);
    if (result.completenessError.defined()) {
        const auto errors = numbers(result.completenessError);
        document["completeness_error"] = errors.size() == 1 ? core::Json(errors[0]) : core::Json(errors);
    }
    if (result.standardError.defined())
        document["standard_error"] = result.standardError.to(at::kDouble).max().item<double>();
    if (!options.out.empty())
        document["file"] = options.out;
    return document;
}

std::vector<c10::IValue> attributedInputs(Session& session, const AttributeOptions& options, const graph::Model& model)
{
    if (!options.inputs.empty() + options.sample.given() + !options.image.empty() + options.texts.given() != 1)
        throw core::InputError("attribute: expected one of --input, --sample, --image, --text");
    const auto device = session.chosenDevice();
    if (!options.image.empty())
        return {train::imageInput(model.card, io::readImage(options.image)).to(device)};
    if (options.texts.given())
        return options.texts.inputs(session, model);
    return inputsFrom(session, options.inputs, options.sample, options.model, model);
}

// With a workspace named and a model from it, each sample's attribution is kept as an analysis of the run: reports show it.
std::vector<std::int64_t> stored(store::Workspace* workspace, Session& session, const AttributeOptions& options,
                                 const explain::AttributionRequest& request, const explain::AttributionResult& result, const graph::Model& model,
                                 double seconds)
{
    const auto run = runOf(options.model.text);
    std::vector<std::int64_t> ids;
    const auto tokens = explain::tokensOfRows(*model.graph, request.inputs);
    for (std::size_t i = 0; workspace && i < result.targets.size(); ++i) {
        explain::AttributionOrigin origin;
        origin.model = options.model.text;
        if (options.sample.given()) {
            origin.data = options.sample.document(session, options.model);
            origin.split = options.sample.split;
            origin.sample = options.sample.samples[i];
        } else {
            origin.input = !options.image.empty() ? options.image : !options.texts.given() && !options.inputs.empty() ? options.inputs[0] : "";
        }
        if (options.texts.given())
            origin.texts = {options.texts.givenTexts().at(i)};
        origin.position = options.position;
        origin.at = options.site;
        origin.features = explain::attributedNames(model.card, request.inputs[0].toTensor(), std::int64_t(i));
        if (tokens)
            origin.features.resize(std::min(origin.features.size(), std::size_t((*tokens)[i])));
        if (result.targets[i] >= 0 && std::size_t(result.targets[i]) < model.card.classNames.size())
            origin.targetName = model.card.classNames[std::size_t(result.targets[i])];
        ids.push_back(
            explain::storeAttribution(*workspace, *run, options.method, request.parameters, origin, result, model.card, seconds, std::int64_t(i)));
    }
    return ids;
}

// The names that the other commands know, too: blocks.0.resid_post. What is none of them is looked up by the methods, which say what is wrong.
std::string siteOf(const graph::Model& model, const std::string& given)
{
    const auto known = model.card.canonicalNames.find(given);
    return known == model.card.canonicalNames.end() ? given : known->second;
}

Exit attribute(Session& session, const AttributeOptions& options)
{
    explain::AttributionRequest request;
    request.parameters = core::Json::object();
    for (const auto& setting : options.settings)
        core::setByPath(request.parameters, setting);
    request.parameters = explain::attributionRegistry().at(options.method).schema.resolve(request.parameters, options.method);
    const auto metricRequests = options.metrics.requests();
    const auto model = options.texts.openModel(session, options.model);
    const graph::Executor executor(model.graph);
    request.inputs = attributedInputs(session, options, model);
    request.site = siteOf(model, options.site);
    request.target = options.target;
    request.positionsAreUsual = !options.position;
    request.positions = options.position ? std::vector{*options.position} : train::answerPositions(*model.graph, model.card, request.inputs);
    request.seed = session.seed;
    explain::Control control;
    control.stop = session.stopToken();
    control.progress = [&](double done, double total, const char* unit) { session.showProgress(done, total, unit); };
    const auto started = std::chrono::steady_clock::now();
    const auto result = explain::attribute(executor, model.weights, options.method, request, control);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
    if (!options.out.empty())
        writeArray(options.out, result.attribution);
    // The attribution is safe before it is measured, and each metric before the next: an interruption loses what it interrupts alone.
    std::shared_ptr<store::Workspace> workspace;
    std::vector<std::int64_t> analyses;
    Storing storing;
    storing.attempt([&] {
        workspace = runOf(options.model.text) ? session.namedWorkspace(store::OpenMode::Open) : nullptr;
        analyses = stored(workspace.get(), session, options, request, result, model, seconds.count());
    });
    const auto keep = [&](const explain::MeasuredMetric& metric) {
        storing.attempt([&] {
            for (std::size_t i = 0; i < analyses.size(); ++i)
                explain::storeMetrics(*workspace, analyses[i], {explain::ofSample(metric, std::int64_t(i))});
        });
    };
    const auto metrics = explain::measure(executor, model.weights, options.method, request, result, metricRequests, control, keep);
    session.endProgress();
    auto document = resultJson(options, request, result);
    if (!metrics.empty())
        document["metrics"] = metricsJson(metrics);
    if (!analyses.empty())
        document["analyses"] = analyses;
    storing.describe(document);
    if (session.json) {
        session.print(document);
        return storing.end();
    }
    std::cout << fmt::format("{} of output {} with respect to {} {}\n", options.method, document["target"].dump(), result.site,
                             core::formatShape(result.attribution.sizes()));
    if (document.contains("position"))
        std::cout << "position            " << document["position"].dump() << "\n";
    std::cout << fmt::format("output              {}\nsum of attributions {}\n", document["outputs"].dump(),
                             core::formatNumber(document["sum"].get<double>()));
    if (result.completenessError.defined())
        std::cout << "completeness error  " << document["completeness_error"].dump() << "\n";
    std::cout << metricsText(metrics);
    if (!options.out.empty())
        std::cout << "written to          " << options.out << "\n";
    if (!analyses.empty())
        std::cout << fmt::format("stored as           analysis {} of {}\n", core::Json(analyses).dump(), options.model.text);
    return storing.end();
}

// Every method with its parameters, from the registry.
std::string methodsHelp()
{
    std::string text = "Methods and their parameters (--set name=value, more in `orrery-cli describe METHOD`):\n";
    for (const auto& method : explain::attributionRegistry().components())
        text += fmt::format("\n{}: {}\n{}", method.id, method.summary, method.schema.helpText());
    return text;
}

}  // namespace

std::function<Exit(Session&)> declareAttribute(CLI::App& app)
{
    auto options = std::make_shared<AttributeOptions>();
    app.footer([] { return methodsHelp() + metricsHelp(); });
    options->model.declare(app);
    app.add_option("--input", options->inputs, "Array file, or NAME=FILE; the first axis is the batch.");
    options->sample.declare(app);
    app.add_option("--image", options->image,
                   "PNG, JPEG or WebP picture, prepared as the model card says (of a checkpoint folder: its preprocessor_config.json).")
        ->check(CLI::ExistingFile);
    options->texts.declare(app, "Text, read by the model's tokenizer.");
    app.add_option("--method", options->method, "Attribution method; see `orrery-cli list attribution`.")->required();
    app.add_option("--target", options->target, "Class to explain; default: each sample's largest output.");
    app.add_option("--position", options->position,
                   "Position in a sequence output; default: the first mask of a model that fills masks, else the last token.");
    app.add_option("--at", options->site, "Value to attribute to; default: the first floating input, or a token model's embedding.");
    app.add_option("--set", options->settings, "Parameter of the method: name=value; see below.");
    options->metrics.declare(app);
    app.add_option(
           "--out", options->out,
           "File for the attribution (.npy, .safetensors, .csv, .png). Methods that give a feature one value repeat it at each of its elements.")
        ->check(outFileProblem);
    return [options](Session& session) { return attribute(session, *options); };
}

}  // namespace orrery::cli
