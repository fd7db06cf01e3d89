#include <iostream>

#include <core/base/text.h>
#include <core/graph/inspect.h>
#include <core/graph/runnable.h>
#include <core/models/file_properties.h>
#include <core/train/evaluate.h>

#include "arrays.h"
#include "model_argument.h"
#include "printable.h"

namespace orrery::cli {
namespace {

struct InspectOptions {
    ModelArgument model;
    std::vector<std::string> inputs;
    bool text = false;
};

std::string countText(std::int64_t count)
{
    auto text = std::to_string(count);
    for (std::ptrdiff_t i = std::ptrdiff_t(text.size()) - 3; i > 0; i -= 3)
        text.insert(std::size_t(i), ",");
    return text;
}

std::string shapeText(const graph::NodeInfo& node)
{
    std::vector<std::string> parts;
    for (const auto& shape : node.shapes)
        parts.push_back(core::formatShape(shape));
    return core::join(parts, " ");
}

void printTensors(const graph::Model& model)
{
    std::size_t width = 6;
    for (const auto& parameter : model.graph->data().parameters)
        width = std::max(width, std::min<std::size_t>(parameter.name.size(), 64));
    std::cout << fmt::format("{:<{}}  {:<9} {:<9} {:<22} {:>14} {:>14}\n", "tensor", width, "kind", "type", "shape", "elements", "bytes");
    for (const auto& parameter : model.graph->data().parameters) {
        const auto& tensor = model.weights.at(parameter.name);
        std::cout << fmt::format("{:<{}}  {:<9} {:<9} {:<22} {:>14} {:>14}\n", printable(parameter.name), width,
                                 parameter.kind == graph::Parameter::Kind::Parameter ? "parameter" : "state", graph::dtypeName(parameter.dtype),
                                 core::formatShape(parameter.shape), countText(tensor.numel()), countText(std::int64_t(tensor.nbytes())));
    }
    for (const auto& [alias, name] : model.graph->data().aliases)
        std::cout << fmt::format("{:<{}}  the same as {}\n", printable(alias), width, printable(name));
}

void printNodes(const graph::Inspection& inspection)
{
    std::size_t width = 4, opWidth = 8;
    for (const auto& node : inspection.nodes) {
        width = std::max(width, std::min<std::size_t>(node.name.size(), 48));
        opWidth = std::max(opWidth, std::min<std::size_t>(node.op.size(), 32));
    }
    std::cout << fmt::format("{:<{}}  {:<{}}  {:<22} {:>14} {:>16} {:>12}\n", "node", width, "operator", opWidth, "output", "parameters", "FLOPs",
                             "bytes");
    for (const auto& node : inspection.nodes)
        std::cout << fmt::format("{:<{}}  {:<{}}  {:<22} {:>14} {:>16} {:>12}\n", printable(node.name), width, printable(node.op), opWidth,
                                 shapeText(node), node.parameters ? countText(node.parameters) : "", node.flops ? countText(node.flops) : "",
                                 inspection.wasRun ? countText(node.bytes) : "");
}

void printTable(const graph::Model& model, const graph::Inspection& inspection, const std::vector<models::FileProperty>& properties,
                const std::vector<std::string>& notes)
{
    graph::isWeightsAlone(*model.graph) ? printTensors(model) : printNodes(inspection);
    std::cout << "\nparameters   " << countText(inspection.parameters) << "\nweights      "
              << core::formatBytes(std::uint64_t(inspection.weightBytes)) << "\n";
    if (inspection.wasRun)
        std::cout << "FLOPs        " << countText(inspection.flops) << "\nactivations  "
                  << core::formatBytes(std::uint64_t(inspection.activationBytes)) << "\n";
    for (const auto& input : model.card.inputs)
        std::cout << "input        " << printable(input.name) << ": " << input.dtype << " [" << core::join(input.shape, ", ") << "]\n";
    std::cout << "graph hash   " << model.graph->hash() << "\n";
    std::size_t nameWidth = 12;
    for (const auto& property : properties)
        nameWidth = std::max(nameWidth, std::min<std::size_t>(property.name.size(), 40));
    for (const auto& [name, value] : properties)
        std::cout << fmt::format("{:<{}} {}\n", printable(name), nameWidth, printable(value));
    for (const auto& note : notes)
        std::cout << "note         " << note << "\n";
}

/// Nothing if an operator of the graph is missing in this build; the reason becomes a note, and the structure is shown alone.
std::optional<graph::Executor> executorFor(const graph::Model& model, std::vector<std::string>& notes)
{
    try {
        return std::optional<graph::Executor>(std::in_place, model.graph);
    } catch (const core::FormatError& error) {
        const auto isTold = [](const std::string& note) { return note.starts_with("structure only"); };
        if (std::none_of(notes.begin(), notes.end(), isTold))
            notes.push_back(fmt::format("structure only, it cannot be run: {}", error.what()));
        return std::nullopt;
    }
}

/// The same numbers in the type of the weights: a card's example need not know that they were stored as halves.
std::vector<c10::IValue> inTypeOfWeights(const graph::Model& model, const std::vector<c10::IValue>& inputs)
{
    std::vector<c10::IValue> out;
    for (const auto& input : inputs)
        out.emplace_back(train::moved(input.toTensor(), train::optionsOf(model.weights)));
    return out;
}

/// What a run shows. Where the example is our own guess, a run that fails leaves the structure, and the reason becomes a note.
graph::Inspection inspected(const graph::Model& model, const std::optional<graph::Executor>& executor, const std::vector<c10::IValue>& inputs,
                            bool isGuess, std::stop_token stop, std::vector<std::string>& notes)
{
    if (!executor)
        return graph::inspectStructure(*model.graph, model.weights);
    if (!isGuess)
        return graph::inspect(*executor, model.weights, inputs, stop);
    try {
        return graph::inspect(*executor, model.weights, inputs, stop);
    } catch (const core::Error&) {
        // Once more below, in the type of the weights.
    }
    try {
        return graph::inspect(*executor, model.weights, inTypeOfWeights(model, inputs), stop);
    } catch (const core::Error& error) {
        notes.push_back(fmt::format("without what a run shows: {}; --input X.npy gives sizes that suit", error.what()));
        return graph::inspectStructure(*model.graph, model.weights);
    }
}

Exit inspectModel(Session& session, const InspectOptions& options)
{
    std::vector<std::string> notes;
    const auto model = options.model.open(session, &notes);
    const auto executor = executorFor(model, notes);
    std::vector<c10::IValue> inputs;
    if (!options.inputs.empty())
        inputs = readInputs(options.inputs, model, session.chosenDevice());
    else if (executor)
        for (const auto& example : graph::exampleInputs(model))
            inputs.push_back(example.toTensor().to(session.chosenDevice()));
    if (options.text) {
        std::cout << model.graph->print();
        return Exit::Done;
    }
    const auto inspection = inspected(model, executor, inputs, options.inputs.empty(), session.stopToken(), notes);
    const auto properties = models::fileProperties(options.model.text);
    if (!session.json) {
        printTable(model, inspection, properties, notes);
        return Exit::Done;
    }
    auto document = inspection.toJson();
    document["model"] = options.model.text;
    document["name"] = model.graph->data().name;
    document["hash"] = model.graph->hash();
    document["card"] = model.card.toJson();
    document["notes"] = notes;
    document["properties"] = core::Json::array();
    for (const auto& [name, value] : properties)
        document["properties"].push_back({{"name", name}, {"value", value}});
    core::Json parameters = core::Json::array();
    for (const auto& parameter : model.graph->data().parameters)
        parameters.push_back({{"name", parameter.name},
                              {"shape", parameter.shape},
                              {"dtype", graph::dtypeName(parameter.dtype)},
                              {"optimised", parameter.kind == graph::Parameter::Kind::Parameter}});
    document["parameter_list"] = std::move(parameters);
    session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareInspect(CLI::App& app)
{
    auto options = std::make_shared<InspectOptions>();
    options->model.declare(app);
    app.add_option("--input", options->inputs, "Array file, or NAME=FILE; without it shapes come from zeros shaped as the model card says.");
    app.add_flag("--text", options->text, "Print the graph, one line a node.");
    return [options](Session& session) { return inspectModel(session, *options); };
}

}  // namespace orrery::cli
