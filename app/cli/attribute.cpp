#include <iostream>

#include <core/base/text.h>
#include <core/explain/attribution.h>

#include "arrays.h"
#include "model_argument.h"

namespace orrery::cli {
namespace {

struct Options {
    ModelArgument model;
    std::vector<std::string> inputs, settings;
    std::string method, out, site;
    std::optional<std::int64_t> target, position;
};

std::vector<double> numbers(const at::Tensor& tensor)
{
    const auto values = tensor.detach().to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

core::Json resultJson(const Options& options, const explain::AttributionRequest& request, const explain::AttributionResult& result)
{
    core::Json document = {{"method", options.method}, {"target", result.targets.size() == 1 ? core::Json(result.targets[0]) : core::Json(result.targets)}, {"parameters", request.parameters},
        {"completeness_error", nullptr}, {"standard_error", nullptr}, {"site", result.site}, {"outputs", numbers(result.outputs)}, {"shape", result.attribution.sizes().vec()},
        {"sum", result.attribution.to(at::kDouble).sum().item<double>()}, {"details", result.details}};
    if (result.completenessError.defined()) {
        const auto errors = numbers(result.completenessError);
        document["completeness_error"] = errors.size() == 1 ? core::Json(errors[0]) : core::Json(errors);
    }
    if (result.standardError.defined()) document["standard_error"] = result.standardError.to(at::kDouble).max().item<double>();
    if (!options.out.empty()) document["file"] = options.out;
    return document;
}

Exit attribute(Session& session, const Options& options)
{
    explain::AttributionRequest request;
    request.parameters = core::Json::object();
    for (const auto& setting : options.settings) core::setByPath(request.parameters, setting);
    request.parameters = explain::attributionRegistry().at(options.method).schema.resolve(request.parameters, options.method);
    const auto model = options.model.open(session);
    const graph::Executor executor(model.graph);
    request.inputs = readInputs(options.inputs, model, session.chosenDevice());
    request.site = options.site;
    request.target = options.target;
    request.position = options.position;
    request.seed = session.seed;
    explain::Control control;
    control.stop = session.stopToken();
    control.progress = [&](double done, double total, const char* unit) { session.showProgress(done, total, unit); };
    const auto result = explain::attribute(executor, model.weights, options.method, request, control);
    session.endProgress();
    if (!options.out.empty()) writeArray(options.out, result.attribution);
    const auto document = resultJson(options, request, result);
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{} of output {} with respect to {} {}\n", options.method, document["target"].dump(), result.site, core::formatShape(result.attribution.sizes()));
    std::cout << fmt::format("output              {}\nsum of attributions {}\n", document["outputs"].dump(), core::formatNumber(document["sum"].get<double>()));
    if (result.completenessError.defined()) std::cout << "completeness error  " << document["completeness_error"].dump() << "\n";
    if (!options.out.empty()) std::cout << "written to          " << options.out << "\n";
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareAttribute(CLI::App& app)
{
    auto options = std::make_shared<Options>();
    options->model.declare(app);
    app.add_option("--input", options->inputs, "Array file, or NAME=FILE; the first axis is the batch.")->required();
    app.add_option("--method", options->method, "Attribution method; see `orrery-cli list attribution`.")->required();
    app.add_option("--target", options->target, "Class to explain; default: each sample's largest output.");
    app.add_option("--position", options->position, "Position in a sequence output; default: the last.");
    app.add_option("--at", options->site, "Value to attribute to; default: the first floating input, or a token model's embedding.");
    app.add_option("--set", options->settings, "Parameter of the method: name=value.");
    app.add_option("--out", options->out, "File for the attribution (.npy, .safetensors, .csv, .png).");
    return [options](Session& session) { return attribute(session, *options); };
}

}  // namespace orrery::cli
