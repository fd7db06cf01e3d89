#include "model_argument.h"

#include <core/base/log.h>
#include <core/base/text.h>
#include <core/models/open_model.h>
#include <core/train/runs.h>

#include "arrays.h"

namespace orrery::cli {

void ModelArgument::declare(CLI::App& app)
{
    app.add_option("model", text, "MODEL: a file, a checkpoint folder, zoo:NAME?key=value&key=value, or run:ID[@STEP].")->required();
    app.add_option("--arch", architecture, "Architecture of a bare state dictionary: NAME?key=value.");
    app.add_flag("--keep-quantised", keepQuantised,
                 "Keep the quantised matrices of a GGUF file as they are and unpack each where it is used: less memory, more time.");
    app.add_option("--model-method", method, "Method of a TorchScript file to open instead of forward.");
}

void ModelArgument::requireKept(const graph::Model& model) const
{
    std::vector<std::string> names;
    for (const auto& input : model.graph->data().inputs)
        names.push_back(input.name);
    for (const auto& input : keepInputs)
        if (std::find(names.begin(), names.end(), input) == names.end())
            throw core::InputError(fmt::format("--keep-input {}: the model has no input of that name{}; it has {}", input,
                                               core::didYouMean(input, names), core::join(names, ", ")));
}

/// Options of files do nothing for a model that is none.
void ModelArgument::requireUsed() const
{
    if (!text.starts_with("zoo:") && !text.starts_with("run:"))
        return;
    const char* option = !architecture.empty() ? "--arch" : keepQuantised ? "--keep-quantised" : method != "forward" ? "--model-method" : nullptr;
    if (option)
        throw core::InputError(fmt::format("{}: expected a file, as it does nothing for {}", option, text));
}

graph::Model ModelArgument::open(Session& session, std::vector<std::string>* notes) const
{
    session.applyThreads();
    models::OpenOptions options;
    options.seed = session.seed;
    options.architecture = architecture;
    options.method = method;
    options.keepInputs.insert(keepInputs.begin(), keepInputs.end());
    options.keepInputs.insert(inputsOfTexts.begin(), inputsOfTexts.end());
    options.quantised = keepQuantised ? models::OpenOptions::Quantised::Keep : models::OpenOptions::Quantised::Unpack;
    options.openRun = [&session](const std::string& reference) {
        return train::modelOfReference(*session.workspace(store::OpenMode::ReadOnly), reference);
    };
    options.note = [&session, notes](const std::string& note) {
        if (notes)
            notes->push_back(note);
        else if (!session.quiet)
            core::log().info("{}", note);
    };
    requireUsed();
    refuseToOverwrite(text);
    auto model = models::openModel(text, options);
    if (session.stopToken().stop_requested())
        throw core::Cancelled();
    requireKept(model);
    const auto device = session.chosenDevice();
    std::optional<at::ScalarType> dtype;
    if (!session.dtype.empty())
        dtype = graph::dtypeFromName(session.dtype);
    if (!device.is_cpu() || dtype) {
        model.graph = graph::moved(model.graph, device, dtype);
        model.weights = model.weights.to(device, dtype);
    }
    return model;
}

}  // namespace orrery::cli
