#include <iostream>

#include <core/base/text.h>
#include <core/graph/executor.h>

#include "arrays.h"
#include "sample_argument.h"
#include "text_argument.h"

namespace orrery::cli {
namespace {

struct ForwardOptions {
    ModelArgument model;
    std::vector<std::string> inputs, probes;
    SampleArgument sample;
    std::string out, outFolder;
    TextArgument texts;
    bool training = false;
};

core::Json described(const std::string& name, const c10::IValue& value, const std::string& file)
{
    core::Json json = {{"name", name}};
    if (value.isTensor()) {
        json["shape"] = value.toTensor().sizes().vec();
        json["dtype"] = graph::dtypeName(value.toTensor().scalar_type());
    } else if (value.isInt() || value.isDouble() || value.isBool()) {
        json["kind"] = core::lower(value.tagKind());
        json["value"] = value.isInt() ? core::Json(value.toInt()) : value.isBool() ? core::Json(value.toBool()) : core::Json(value.toDouble());
    } else {
        json["kind"] = value.isList() ? "list" : core::lower(value.tagKind());
    }
    if (!file.empty())
        json["file"] = file;
    return json;
}

std::string line(const core::Json& json)
{
    const auto what = json.contains("kind")
                          ? json["kind"].get<std::string>() + (json.contains("value") ? " " + json["value"].dump() : "")
                          : json["dtype"].get<std::string>() + " " + core::formatShape(json["shape"].get<std::vector<std::int64_t>>());
    return fmt::format("{}: {}{}", json["name"].get<std::string>(), what, json.contains("file") ? " -> " + json["file"].get<std::string>() : "");
}

/// A number or truth value as an array without axes; undefined for lists and the like.
at::Tensor asTensor(const c10::IValue& value)
{
    if (value.isTensor())
        return value.toTensor();
    return value.isInt() || value.isDouble() || value.isBool() ? at::scalar_tensor(value.toScalar(), at::dtype(value.isInt()    ? at::kLong
                                                                                                               : value.isBool() ? at::kBool
                                                                                                                                : at::kDouble))
                                                               : at::Tensor();
}

std::string writeProbed(const ForwardOptions& options, const std::string& name, const c10::IValue& value)
{
    const auto tensor = asTensor(value);
    if (options.outFolder.empty() || !tensor.defined())
        return {};
    makeFolder(options.outFolder, "--out-dir");
    const auto file = (std::filesystem::path(options.outFolder) / (fileName(name) + ".npy")).string();
    writeArray(file, tensor);
    return file;
}

Exit forward(Session& session, const ForwardOptions& options)
{
    const auto model = options.texts.openModel(session, options.model);
    const graph::Executor executor(model.graph);
    if (!options.inputs.empty() + options.sample.given() + options.texts.given() != 1)
        throw core::InputError("forward: expected one of --input FILE, --sample N (with --data ID|PATH), --text TEXT");
    graph::RunRequest request;
    request.inputs =
        options.texts.given() ? options.texts.inputs(session, model) : inputsFrom(session, options.inputs, options.sample, options.model, model);
    request.keep = options.probes;
    request.training = options.training;
    request.seed = session.seed;
    request.stop = session.stopToken();
    const auto result = executor.run(model.weights, request);
    core::Json document = {{"model", options.model.text}, {"outputs", core::Json::array()}, {"probes", core::Json::array()}};
    for (std::size_t i = 0; i < result.outputs.size(); ++i) {
        std::string file;
        if (result.outputs[i].isTensor())
            warnOfOddValues(result.outputs[i].toTensor(), "output " + model.graph->data().outputNames[i]);
        if (i == 0 && !options.out.empty())
            writeArray(file = options.out, asTensor(result.outputs[0]).defined() ? asTensor(result.outputs[0]) : result.tensor(0));
        else
            file = writeProbed(options, model.graph->data().outputNames[i], result.outputs[i]);
        document["outputs"].push_back(described(model.graph->data().outputNames[i], result.outputs[i], file));
    }
    for (const auto& [name, value] : result.values)
        document["probes"].push_back(described(name, value, writeProbed(options, name, value)));
    if (session.json)
        session.print(document);
    else {
        for (const auto& output : document["outputs"])
            std::cout << "output " << line(output) << "\n";
        for (const auto& probe : document["probes"])
            std::cout << "probe  " << line(probe) << "\n";
    }
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareForward(CLI::App& app)
{
    auto options = std::make_shared<ForwardOptions>();
    options->model.declare(app);
    app.add_option("--input", options->inputs, "Array file, or NAME=FILE; one for each input of the model.");
    declareKeepInput(app, options->model);
    options->texts.declare(app, "Text, read by the model's tokenizer.");
    options->sample.declare(app);
    app.add_option("--probe", options->probes, "Value to hand out: path, module, glob (blocks.*.attn.softmax) or op:NAME.");
    app.add_option("--out", options->out, "File for the first output (.npy, .safetensors, .csv, .png).")->check(outFileProblem);
    app.add_option("--out-dir", options->outFolder, "Folder for one NAME.npy a probed value.");
    app.add_flag("--training", options->training, "Run in training mode (dropout and batch statistics).");
    return [options](Session& session) { return forward(session, *options); };
}

}  // namespace orrery::cli
