#pragma once
#include <filesystem>
#include <stop_token>
#include <string>

#include <core/graph/model.h>
#include <core/text/comparison.h>

namespace orrery::train {

/// Two ways to a model of a user's own texts: trained from scratch with a vocabulary learned from them, or a general model trained further with its own vocabulary.
/// Source of the comparison: Gu et al. (2021), "Domain-Specific Language Model Pretraining for Biomedical Natural Language Processing", arXiv:2007.15779, section 2.2.
struct ContrastOptions {
    std::filesystem::path text;    ///< UTF-8
    std::filesystem::path folder;  ///< where documents and vocabularies go; made if it is not there
    std::int64_t steps = 1000, batch = 32;
    std::int64_t block = 0;       ///< tokens of a sample; 0: the model's longest sequence, at most 128
    std::int64_t vocabulary = 0;  ///< pieces of the own vocabulary at most; 0: as many as the general one has
    double test = 0.05, val = 0.05;
    std::stop_token stop;
};

struct Contrast {
    std::filesystem::path scratch, continued;  ///< experiment documents
    std::int64_t tokens = 0;                   ///< that each of the two trains on
    std::int64_t generalSize = 0, ownSize = 0;
    text::PieceCounts general, own;  ///< of the held-out end of the text, which the own vocabulary was not learned from
    core::Json toJson() const;
};

/// Learns the vocabulary and writes `scratch.yaml`, `continued.yaml`, `own/` (config.json and tokenizer.json: the same architecture with the own vocabulary, weights drawn at random) and
/// `general/tokenizer.json`. Both documents have the same steps, batches and blocks, hence as many tokens.
/// @param reference  MODEL text that the continued training starts from.
/// @param model      The same, opened: a checkpoint folder's or one trained from `zoo:bert`, with a tokenizer of pieces.
/// @throws core::InputError for another model, or a text that is too short; core::FormatError, core::StorageError.
Contrast writeContrast(const std::string& reference, const graph::Model& model, const ContrastOptions& options);

}  // namespace orrery::train
