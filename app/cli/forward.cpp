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
    } else {
        json["kind"] = value.tagKind();
    }
    if (!file.empty())
        json["file"] = file;
    return json;
}

std::string line(const core::Json& json)
{
    if (json.contains("kind"))
        return fmt::format("{}: {}", json["name"].get<std::string>(), json["kind"].get<std::string>());
    return fmt::format("{}: {} {}{}", json["name"].get<std::string>(), json["dtype"].get<std::string>(),
                       core::formatShape(json["shape"].get<std::vector<std::int64_t>>()),
                       json.contains("file") ? " -> " + json["file"].get<std::string>() : "");
}

std::string writeProbed(const ForwardOptions& options, const std::string& name, const c10::IValue& value)
{
    if (options.outFolder.empty() || !value.isTensor())
        return {};
    makeFolder(options.outFolder, "--out-dir");
    const auto file = (std::filesystem::path(options.outFolder) / (fileName(name) + ".npy")).string();
    writeArray(file, value.toTensor());
    return file;
}

Exit forward(Session& session, const ForwardOptions& options)
{
    const auto model = options.texts.openModel(session, options.model);
    const graph::Executor executor(model.graph);
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
            writeArray(file = options.out, result.tensor(0));
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
