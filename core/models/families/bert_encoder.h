#pragma once
#include <functional>

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
/// @param types    None: a model without token types.
enum class BertTypes { Table, None };
BertEmbedded bertEmbeddings(Assembly& assembly, const BertSettings& settings, std::optional<std::int64_t> padding,
                            BertTypes types = BertTypes::Table);

/// encoder.layer.N for all N.
Var bertEncoder(Assembly& assembly, Var x, const BertSettings& settings);

/// What attention adds, and the norm of its sum with what went in.
struct BertBranch {
    Var out, sum;
};
/// output.{dense, LayerNorm}: dense, dropout, then the norm of the sum with `residual`.
BertBranch bertOutput(Assembly& assembly, Var branch, Var residual, std::int64_t in, const BertSettings& settings);
/// Called inside module layer.N.attention with what goes in and the block's canonical name.
using BertAttention = std::function<BertBranch(Var x, const std::string& block)>;
/// layer.N for all N with an attention of one's own.
Var bertLayers(Assembly& assembly, Var x, const BertSettings& settings, const BertAttention& attention);

/// Logits over the vocabulary: bias and decoder.weight, the bias tied as decoder.bias. Without `table` the matrix is its own.
Var biasedVocabulary(Assembly& assembly, Var x, std::optional<Var> table, std::int64_t vocabulary, std::int64_t features);

/// cls.predictions: dense, activation, norm, vocabulary.
Var bertMaskedHead(Assembly& assembly, Var x, Var table, const BertSettings& settings);
/// Rows of token_type_embeddings: of the input `token_type_ids` if that is kept, else the first one.
Var bertTypeRows(Assembly& assembly, const BertSettings& settings);

/// tanh(dense(first token)): pooler.dense.
Var bertPooler(Assembly& assembly, Var x, std::int64_t features);

/// What the two finish alike: token classification, question answering.
graph::Model finishBertTokens(Assembly& assembly, Var x, const BertSettings& settings, const std::string& title);

/// Heads of RoBERTa and those that took them over: lm_head, classifier.{dense, out_proj}, and what `finishBertTokens` ends.
graph::Model finishRoberta(Assembly& assembly, Var x, Var table, const BertSettings& settings, const std::string& title);

}  // namespace orrery::models::families
