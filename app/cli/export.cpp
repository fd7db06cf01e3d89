#include <iostream>

#include <core/base/files.h>
#include <core/base/log.h>
#include <core/base/text.h>
#include <core/models/exporter.h>

#include "arrays.h"
#include "model_argument.h"

namespace orrery::cli {
namespace {

struct ExportOptions {
    ModelArgument model;
    std::string exporter, out;
    std::vector<std::string> settings, inputs;
};

std::uint64_t sizeOf(const std::filesystem::path& path)
{
    if (!std::filesystem::is_directory(path))
        return std::filesystem::file_size(path);
    std::uint64_t sum = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
        if (entry.is_regular_file())
            sum += entry.file_size();
    return sum;
}

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
    std::error_code error;
    if (std::filesystem::equivalent(options.out, options.model.text, error) && !error)
        throw core::InputError(fmt::format("--out {}: expected another name than that of the model, which would be lost", options.out));
    const auto model = options.model.open(session);
    if (!options.inputs.empty())
        how.example = readInputs(options.inputs, model, session.chosenDevice());
    models::exportModel(options.out, model, options.exporter, how);
    const auto bytes = sizeOf(options.out);
    if (session.json)
        session.print({{"model", options.model.text}, {"format", options.exporter}, {"out", options.out}, {"bytes", bytes}, {"notes", notes}});
    else
        std::cout << fmt::format("{} -> {} ({}, {})\n", options.model.text, options.out, options.exporter, core::formatBytes(bytes));
    return Exit::Done;
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
    return [options](Session& session) { return exportTo(session, *options); };
}

}  // namespace orrery::cli
