#include "debug_inputs.h"

#include <core/graph/inspect.h>

#include "arrays.h"

namespace orrery::cli {

void DebugInputs::declare(CLI::App& app)
{
    app.add_option("--input", files, "Array file, or NAME=FILE; one for each input of the model.");
    sample.declare(app);
    text.declare(app, "A text, read by the model's tokenizer.");
    app.add_flag("--example", example, "The example of the model card; where it has none, zeros of the sizes that it says.");
}

std::vector<c10::IValue> DebugInputs::read(Session& session, const ModelArgument& argument, const graph::Model& model) const
{
    if (int(!files.empty()) + int(sample.given()) + int(text.given()) + int(example) != 1)
        throw core::InputError("expected one of --input FILE, --sample N (with --data ID|PATH), --text TEXT and --example");
    if (example)
        return graph::requiredExample(model);
    if (text.given())
        return text.inputs(session, model);
    if (!files.empty())
        return readInputs(files, model, session.chosenDevice(), option);
    return inputsFrom(session, files, sample, argument, model);
}

}  // namespace orrery::cli
