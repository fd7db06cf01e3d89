#include <iostream>
#include <optional>

#include <core/base/files.h>
#include <core/base/log.h>
#include <core/base/text.h>
#include <core/debug/export_check.h>
#include <core/models/exporter.h>

#include "arrays.h"
#include "model_argument.h"

namespace orrery::cli {
namespace {

struct ExportOptions {
    ModelArgument model;
    std::string exporter, out;
    std::vector<std::string> settings, inputs;
    bool check = false;
};

Exit exportTo(Session& session, const ExportOptions& options)
{
    models::ExportOptions how;
    for (const auto& setting : options.settings)
        core::setByPath(how.parameters, setting);
    core::Json notes = core::Json::array();
    how.note = [&](const std::string& note) {
        notes.push_back(note);
        if (!session.quiet)
            core::log().info("{}", note);
    };
    how.stop = session.stopToken();
    models::exporterRegistry().at(options.exporter);  // an unknown name is said before a large model is read
    models::checkNotSource(options.out, options.model.text);
    const auto model = options.model.open(session);
    if (!options.inputs.empty())
        how.example = readInputs(options.inputs, model, session.chosenDevice());
    const auto bytes = models::exportModel(options.out, model, options.exporter, how);
    std::optional<debug::ExportCheck> check;
    if (options.check)
        check = debug::checkExport(model, options.exporter, options.out, how.example, session.stopToken());
    if (session.json) {
        core::Json document = {{"model", options.model.text}, {"format", options.exporter}, {"out", options.out}, {"bytes", bytes}, {"notes", notes}};
        if (check)
            document["check"] = check->toJson();
        session.print(document);
    } else {
        std::cout << fmt::format("{} -> {} ({}, {})\n", options.model.text, options.out, options.exporter, core::formatBytes(bytes));
        if (check)
            std::cout << check->text() << "\n";
    }
    return !check || check->agrees() ? Exit::Done : Exit::Failed;
}

std::string formatsHelp()
{
    std::string text = "Formats and their parameters (--set name=value):\n";
    for (const auto& component : models::exporterRegistry().components())
        text += fmt::format("  {:<14} {}\n{}", component.id, component.title, component.schema.helpText(4));
    return text;
}

}  // namespace

std::function<Exit(Session&)> declareExport(CLI::App& app)
{
    auto options = std::make_shared<ExportOptions>();
    app.footer(formatsHelp);
    options->model.declare(app);
    app.add_option("--to", options->exporter, "Format; see below.")->required();
    app.add_option("--out", options->out, "File or folder to write; it is there whole or not at all.")->required();
    app.add_option("--set", options->settings, "Parameter of the format: name=value.");
    app.add_option("--input", options->inputs,
                   "Array file, or NAME=FILE: an example that shows dimensions and types to ONNX where the model card does not.");
    app.add_flag("--check", options->check,
                 "Open what was written and compare it with the model: the outputs on --input, or else on the card's example; of weights alone every "
                 "tensor. Status 1 if they do not agree or cannot be compared.");
    return [options](Session& session) { return exportTo(session, *options); };
}

}  // namespace orrery::cli
