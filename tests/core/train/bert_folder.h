#pragma once
// A checkpoint folder to train further and to ask: the tiny BERT of the fixtures with a tokenizer for a text of few words.
#include <QTemporaryDir>

#include <core/models/open_model.h>
#include <core/text/card_tokenizer.h>
#include <core/text/tokenizer.h>
#include <core/text/training.h>

#include "../models/families/checkpoint_cases.h"

namespace orrery::test {

struct BertFolder {
    QTemporaryDir place;
    std::filesystem::path folder = std::filesystem::path(place.path().toStdString()) / "bert", text = folder.parent_path() / "text.txt";

    /// @param fixture  Name of a BERT in tests/data/hf with 97 tokens.
    explicit BertFolder(const char* fixture = "bert-masked")
    {
        // Every letter, so that no word is unknown; the words of the other lines become pieces.
        std::string content = "the quick brown fox jumps over the lazy dog\nthe quick brown fox jumps over the lazy dog\n";
        for (int i = 0; i < 300; ++i)
            content += i % 3 == 0 ? "and god saw the light that it was good\n" : "and the evening and the morning were the day\n";
        std::filesystem::create_directories(folder);
        core::writeFileAtomically(text, content);
        text::MergeTraining training;
        training.vocabulary = 97;
        core::writeFileAtomically(folder / "tokenizer.json",
                                  text::trainTokenizer(text::TrainedKind::WordPiece, content, training)->toJson()["json"].get<std::string>());
        const auto source = tests::checkpointRoot() / fixture;
        std::filesystem::copy_file(source / "config.json", folder / "config.json");
        models::saveWeights(folder / "model.safetensors", tests::openCase(source).model.weights);
    }

    /// The inputs of a pair, put together by hand from the two texts: [CLS] first [SEP] second [SEP], types 0 and 1.
    std::map<std::string, at::Tensor> pairInputs(const std::string& first, const std::string& second) const
    {
        const auto tokenizer = text::requiredTokenizer(models::openModel(folder.string()).card);
        auto ids = tokenizer->ids(first, true), others = tokenizer->ids(second, true);
        std::vector<std::int64_t> types(ids.size(), 0);
        ids.insert(ids.end(), others.begin() + 1, others.end());
        types.resize(ids.size(), 1);
        const auto row = [](const std::vector<std::int64_t>& numbers) { return at::tensor(numbers, at::kLong).unsqueeze(0); };
        return {{"input_ids", row(ids)}, {"token_type_ids", row(types)}, {"attention_mask", at::ones_like(row(ids))}};
    }
    /// The model with all its inputs, and these in its order.
    std::pair<graph::Model, std::vector<c10::IValue>> pairModel(const std::string& first, const std::string& second) const
    {
        models::OpenOptions options;
        options.keepInputs = {"attention_mask", "token_type_ids"};
        auto model = models::openModel(folder.string(), options);
        std::vector<c10::IValue> inputs;
        const auto given = pairInputs(first, second);
        for (const auto& input : model.graph->data().inputs)
            inputs.emplace_back(given.at(input.name));
        return {std::move(model), std::move(inputs)};
    }

    /// The value that its answers are.
    std::string outputName() const
    {
        const auto model = models::openModel(folder.string());
        return model.graph->value(model.graph->data().body.outputs[0].value).name;
    }

    core::Json training() const
    {
        return {{"model", "./bert"},
                {"data", {{"id", "text_file"}, {"path", "text.txt"}, {"objective", "masked"}, {"block_length", 16}}},
                {"train", {{"steps", 60}, {"batch_size", 16}, {"optimizer", {{"id", "adamw"}, {"lr", 0.003}}}, {"evaluate_every", 30}}}};
    }
};

}  // namespace orrery::test
