#pragma once
// A checkpoint folder to train further and to ask: the tiny BERT of the fixtures with a tokenizer for a text of few words.
#include <QTemporaryDir>

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

    core::Json training() const
    {
        return {{"model", "./bert"},
                {"data", {{"id", "text_file"}, {"path", "text.txt"}, {"objective", "masked"}, {"block_length", 16}}},
                {"train", {{"steps", 60}, {"batch_size", 16}, {"optimizer", {{"id", "adamw"}, {"lr", 0.003}}}, {"evaluate_every", 30}}}};
    }
};

}  // namespace orrery::test
