#include "debug_inputs.h"

#include <core/train/card_inputs.h>

namespace orrery::cli {

void DebugInputs::declare(CLI::App& app)
{
    app.add_option("--input", files, "Array file, or NAME=FILE; one for each input of the model.");
    sample.declare(app);
    app.add_option("--text", text, "A text, read by the model's tokenizer.");
}

std::vector<c10::IValue> DebugInputs::read(Session& session, const ModelArgument& argument, const graph::Model& model) const
{
    if (int(!files.empty()) + int(sample.given()) + int(!text.empty()) != 1)
        throw core::InputError("expected one of --input FILE, --sample N (with --data ID|PATH) and --text TEXT");
    if (!text.empty())
        return {train::textInput(model, text).to(session.chosenDevice())};
    return inputsFrom(session, files, sample, argument, model);
}

}  // namespace orrery::cli
