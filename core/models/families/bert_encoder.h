#pragma once
#include "assembly.h"

/// The encoder that BERT and RoBERTa share: layer norm after each branch.
/// Source: Devlin et al. (2018), "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", arXiv:1810.04805, section 3.
namespace orrery::models::families {

struct BertSettings {
    std::int64_t features, heads, hidden, layers, vocabulary, positions, types;
    double epsilon, dropout, attentionDropout;
    std::string activation;
    explicit BertSettings(const Config& config);
    double classifierDropout(const Config& config) const { return config.real("classifier_dropout", dropout); }
};

/// embeddings.LayerNorm(word + type + position).
struct BertEmbedded {
    Var x, words;  ///< [batch, position, feature]; the table of words
};
/// @param padding  Nothing: token i has position i. Else, as in RoBERTa, tokens that are no padding are counted from `padding` + 1 on.
BertEmbedded bertEmbeddings(Assembly& assembly, const BertSettings& settings, std::optional<std::int64_t> padding);

/// encoder.layer.N for all N.
Var bertEncoder(Assembly& assembly, Var x, const BertSettings& settings);

/// tanh(dense(first token)): pooler.dense.
Var bertPooler(Assembly& assembly, Var x, std::int64_t features);

/// What the two finish alike: token classification, question answering.
graph::Model finishBertTokens(Assembly& assembly, Var x, const BertSettings& settings, const std::string& title);

}  // namespace orrery::models::families
