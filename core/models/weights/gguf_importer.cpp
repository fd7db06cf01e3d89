// GGUF files whose architecture is known.
#include <core/models/families/checkpoint_card.h>
#include <core/models/families/checkpoint_names.h>
#include <core/models/importer.h>

#include "gguf_weights.h"

namespace orrery::models {
namespace {

bool isRunnableGguf(const ModelSource& source)
{
    return families::findFamily(ggufModelType(source.bytes)) != nullptr;
}

graph::Model openGguf(const ModelSource& source, const OpenOptions& options)
{
    if (!options.architecture.empty())
        return importerRegistry().factory("state_dict").open(source, options);
    auto checkpoint = readGgufCheckpoint(std::make_shared<core::MappedFile>(source.file), source.name(), options.quantised);
    const families::Config config(checkpoint.config, source.name());
    const auto& family = *families::findFamily(config.text("model_type", ""));
    auto model = families::buildFamily(family, config, options.keepInputs);
    families::completeCard(model, source.file.parent_path(), config, options.note);
    if (model.card.tokenizer.is_null())
        model.card.tokenizer = checkpoint.tokenizer;
    auto notes = std::move(checkpoint.notes);
    model.weights = families::weightsFor(*model.graph, checkpoint.tensors, family, source.name(), notes);
    model.graph = families::withDtypesOf(model.graph, model.weights);
    if (!checkpoint.packed.empty())
        model = withPackedWeights(std::move(model), checkpoint.packed);
    if (options.note)
        std::for_each(notes.begin(), notes.end(), options.note);
    return model;
}

}  // namespace

void registerGgufImporter(ImporterRegistry& registry)
{
    registry.add(
        {"gguf",
         "GGUF (llama, qwen2, qwen3, gpt2; F32, F16, BF16, Q8_0, Q4_0)",
         "A file of llama.cpp as the checkpoint that it was made of; its tokenizer is a tokenizer.json beside it, or else the one in the file.",
         "ggml, docs/gguf.md",
         {},
         {},
         {}},
        {isRunnableGguf, openGguf});
}

}  // namespace orrery::models
