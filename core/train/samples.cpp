#include "samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/text.h>
#include <core/data/vocabulary.h>
#include <core/graph/sequence_limit.h>
#include <core/text/tokenizer.h>

#include "evaluate.h"
#include "trainer.h"

#include <core/base/plural.h>

namespace orrery::train {
namespace {

using core::Json;

std::vector<double> numbersOf(const Json& list)
{
    std::vector<double> out;
    for (const Json& value : list)
        out.push_back(value.is_number() ? value.get<double>() : std::nan(""));
    return out;
}

Json comparable(const Json& document)
{
    Json object = document.is_string() ? Json{{"id", document}} : document;
    const auto* component = object.is_object() && object.contains("id") && object["id"].is_string()
                                ? data::dataRegistry().find(object["id"].get<std::string>())
                                : nullptr;
    if (!component)
        return object;
    const Json id = object["id"];
    object.erase("id");
    std::vector<core::Issue> issues;
    Json resolved = component->schema.check(object, "", issues);
    resolved.erase("augment");
    resolved["id"] = id;
    return resolved;
}

}  // namespace

data::DataSetPtr dataOfRun(const store::Workspace& workspace, store::RunId run)
{
    const store::RunRecord record = workspace.run(run);
    if (!record.document.contains("data"))
        throw core::InputError(fmt::format("run {}: its document names no data", run));
    return data::openData(record.document["data"],
                          record.environment.is_object() ? record.environment.value("folder", std::string()) : std::string());
}

std::vector<std::int64_t> samplesOfPart(const data::DataSet& data, data::Split part, std::span<const std::int64_t> numbers)
{
    const auto& all = data.split(part);
    std::vector<std::int64_t> out;
    for (const std::int64_t number : numbers) {
        if (all.empty())
            throw core::InputError(fmt::format("the {} part of {} has no samples", data::splitName(part), data.info().id));
        if (number < 0 || number >= std::int64_t(all.size()))
            throw core::InputError(fmt::format("sample {}: expected a number from 0 to {} ({} part of {})", number, all.size() - 1,
                                               data::splitName(part), data.info().id));
        out.push_back(all[std::size_t(number)]);
    }
    return out;
}

void checkVocabulary(const graph::ModelCard& card, const data::DataSet& data)
{
    const data::Vocabulary* own = data.vocabulary();
    if (!own || card.tokenizer.is_null() || own->toJson() == card.tokenizer)
        return;
    // A model of sounds has a tokenizer for what it answers, and reads no tokens at first.
    if (!card.inputs.empty() && !card.inputs[0].kind.empty() && card.inputs[0].kind != "tokens")
        throw core::InputError(fmt::format("the model takes \"{}\" ({} [{}]), the data \"{}\" are texts", card.inputs[0].name, card.inputs[0].dtype,
                                           core::join(card.inputs[0].shape, ", "), data.info().id));
    const auto tokenizer = text::tokenizerFromCard(card.tokenizer);
    // Documents that are written differently may describe the same tokens.
    bool same = tokenizer->size() == own->size();
    for (std::int64_t token = 0; same && token < own->size(); ++token)
        same = tokenizer->tokenText(token) == own->tokenText(token);
    if (same)
        return;
    const auto kind = own->tokenizer() ? own->tokenizer()->kind() : own->toJson().at("kind").get<std::string>();
    throw core::InputError(fmt::format("the data \"{}\" are tokens of another vocabulary ({}, {} tokens) than the model's ({}, {} tokens): the "
                                       "numbers would mean other text. Give a "
                                       "text, or data read with the model's tokenizer (data.tokenizer)",
                                       data.info().id, kind, own->size(), tokenizer->kind(), tokenizer->size()));
}

std::vector<c10::IValue> sampleInputs(const graph::Model& model, const data::DataSet& data, std::span<const std::int64_t> indices)
{
    checkVocabulary(model.card, data);
    const data::Batch batch = data.fetch(indices);
    const auto expected = model.graph->data().inputs.size();
    if (batch.inputs.size() != expected)
        throw core::InputError(fmt::format("the model takes {}, the data \"{}\" gives {}", core::counted(std::int64_t(expected), "input"),
                                           data.info().id, batch.inputs.size()));
    for (std::size_t i = 0; i < std::min(expected, model.card.inputs.size()); ++i) {
        const auto& input = model.card.inputs[i];
        const auto& given = batch.inputs[i];
        const bool isToken = at::isIntegralType(given.scalar_type(), false);
        const bool fits = input.kind == "tokens" ? isToken : input.kind == "image" ? !isToken && given.dim() == 4 : true;
        if (!fits)
            throw core::InputError(fmt::format("the data \"{}\" are {} {}, the model takes {} [{}]", data.info().id, isToken ? "tokens" : "numbers",
                                               core::formatShape(given.sizes().slice(1)), input.kind == "image" ? "pictures" : "tokens",
                                               fmt::join(input.shape, ", ")));
    }
    const c10::TensorOptions where = optionsOf(model.weights);
    std::vector<c10::IValue> out;
    for (const at::Tensor& input : batch.inputs)
        out.emplace_back(moved(input, where));
    graph::checkTokenInputs(model, out);
    return out;
}

std::optional<Predictions> predictionsOfRun(const store::Workspace& workspace, store::RunId run)
{
    const auto artifact = workspace.findArtifact(run, kPredictions);
    if (!artifact)
        return std::nullopt;
    const Json json = Json::parse(workspace.readArtifact(*artifact), nullptr, false);
    try {
        Predictions out;
        out.part = data::splitFromName(json.at("split").get<std::string>());
        out.samples = json.at("samples").get<std::vector<std::int64_t>>();
        out.targets = numbersOf(json.at("targets"));
        out.predicted = numbersOf(json.at("predicted"));
        out.confidence = numbersOf(json.at("confidence"));
        const auto count = out.samples.size();
        if (out.targets.size() != count || out.predicted.size() != count || out.confidence.size() != count)
            throw core::FormatError(fmt::format("run {}, predictions: expected four lists of one length", run));
        return out;
    } catch (const Json::exception& error) {
        throw core::FormatError(
            fmt::format("run {}, predictions: expected split, samples, targets, predicted and confidence: {}", run, error.what()));
    }
}

bool isSameData(const Json& a, const Json& b)
{
    return comparable(a) == comparable(b);
}

}  // namespace orrery::train
