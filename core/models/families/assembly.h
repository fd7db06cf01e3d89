#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <core/zoo/transformer.h>

#include "family.h"

/// What the families' builders share: the graph being built with its canonical names, and the parts that many checkpoints have in common.
namespace orrery::models::families {

using graph::Builder;
using Var = Builder::Var;
using Arg = Builder::Arg;

/// Several modules, one inside the other, for the rest of a C++ scope. Those with an empty name are left out.
class Scopes {
public:
    Scopes(Builder& builder, const std::vector<std::pair<std::string, std::string>>& modules);

private:
    std::vector<std::unique_ptr<Builder::Scope>> m_scopes;
};

/// A graph that is being built.
struct Assembly {
    Assembly(const Request& request, const std::string& name);

    Builder builder;
    zoo::CanonicalValues canonical;
    const Config& config;
    const Head head;
    const std::set<std::string> keepInputs;
    zoo::TransformerSizes sizes{};  ///< of the tokens, set by `tokenInput`
    Var tokens{};
    std::optional<Var> attentionMask;  ///< that input [batch, position], once `paddingMask` has made it

    /// `input_ids` [batch, position].
    Var tokenInput(const std::string& name = "input_ids", const std::string& position = "position");
    /// `pixel_values` [batch, channels, height, width].
    Var imageInput(std::int64_t channels, std::int64_t height, std::int64_t width);
    /// The prefix that parameters of the base model have under this head.
    std::string base(const std::string& prefix) const { return head == Head::Base ? "" : prefix; }
    /// [batch, 1, 1, key]: -inf where `attention_mask` is zero, in the dtype of `like`. Nothing unless that input is kept.
    std::optional<Var> paddingMask(Var like);
    /// Ends the graph, outside all modules. The first output that a head gives is called "logits".
    graph::Model finish(std::vector<std::pair<std::string, Var>> outputs, const std::string& title, const std::string& task);
    void name(const std::string& canonicalName, Var value) { canonical.insert_or_assign(canonicalName, value); }
};

/// "blocks.3".
std::string blockName(std::int64_t number);
/// The values of a block that canonical names stand for.
struct BlockValues {
    Var before, attended, middle, mlpBefore, mlpAfter, transformed, after;
};
/// `block` "blocks.0", "decoder.0": names resid_pre, attn_out, resid_mid, mlp.pre, mlp.post, mlp_out, resid_post.
void nameBlock(Assembly& assembly, const std::string& block, const BlockValues& values);
/// The end of a block whose attention and MLP read one norm: x + (attended + transformed), with the canonical names of all four.
Var parallelResidual(Assembly& assembly, const std::string& block, Var x, Var attended, Var transformed);

/// An activation under the name that configs give it: gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, gelu_python, quick_gelu, relu, silu, swish, tanh, sigmoid, mish, linear.
/// @throws core::FormatError naming the key.
Var activated(Assembly& assembly, std::string_view key, const std::string& name, Var x);

/// x / sqrt(mean(x^2) + eps) * (offset + weight) over the last axis, computed in float32 and given in the dtype of x. Source: Zhang & Sennrich (2019), arXiv:1910.07467, eq. 4.
Var rmsNorm(Builder& builder, const std::string& name, Var x, std::int64_t features, double epsilon, double offset = 0);

/// x W + b with W [in, out], as GPT-2's checkpoints keep it.
Var linearInOut(Builder& builder, const std::string& name, Var x, std::int64_t in, std::int64_t out);

/// x W^T (+ b) with a table that is another parameter, too.
Var tiedLinear(Builder& builder, const std::string& name, Var x, Var table, std::optional<Var> bias = {});

/// A table in module `name` and the rows that `indices` name.
struct Embedded {
    Var table, rows;
};
Embedded embedded(Builder& builder, const std::string& name, Var indices, std::int64_t count, std::int64_t features);
/// The rows from `first` on, one for each position.
Var positionRows(Builder& builder, const std::string& name, Var positions, std::int64_t count, std::int64_t features, std::int64_t first = 0);

/// [batch, position, heads * size] -> [batch, heads, position, size], called `name`.
Var splitHeads(Builder& builder, const std::string& name, Var x, const zoo::TransformerSizes& sizes, std::int64_t heads, std::int64_t size);

/// Parameters that are used several times: declared at the first use, in the module that is open then. `key` tells them apart.
class SharedParameters {
public:
    explicit SharedParameters(Builder& builder) : m_builder(builder) {}
    Var linear(const std::string& key, const std::string& name, Var x, std::int64_t in, std::int64_t out);
    Var layerNorm(const std::string& key, const std::string& name, Var x, std::int64_t features, double epsilon);

private:
    Var parameter(const std::string& key, const std::string& name, std::vector<std::int64_t> shape, core::Json init);
    Builder& m_builder;
    std::map<std::string, Var> m_known;
};

struct AttentionSettings {
    std::int64_t heads = 0, keyHeads = 0, size = 0;  ///< query heads, key and value heads (a divisor), features of a head
    double scale = 1;                                ///< on the scores
    double dropout = 0;                              ///< on the pattern
    std::optional<double> softcap;                   ///< scores = cap * tanh(scores / cap), before the mask
    /// Settings of ordinary multi-head attention: scale 1/sqrt(size). @throws core::FormatError if the heads do not divide the features.
    static AttentionSettings of(const Config& config, std::int64_t features, std::int64_t heads);
};

/// Masks that are added to the scores.
struct Masks {
    std::optional<Var> matrix;   ///< [query, key]
    std::optional<Var> padding;  ///< broadcast to [batch, head, query, key]
    std::optional<Var> heads{};  ///< [head, 1, key]: what each head adds by the place of a key
};

/// Attention over given heads. Values in the current module: scores, softmax, z; canonical names `NAME.q`, ... (`canonicalName` "blocks.0.attn").
/// @param q  [batch, heads, query, size]. @param k, v  [batch, keyHeads, key, size].
/// @return   [batch, query, heads * size].
Var attend(Assembly& assembly, const zoo::TransformerSizes& sizes, Var q, Var k, Var v, const Masks& masks, const AttentionSettings& settings,
           const std::string& canonicalName);

/// As zoo::causalMask, and keys more than `window` - 1 positions back are hidden, too.
Var slidingMask(Builder& builder, Var like, Var positions, std::int64_t window);

/// ALiBi: scale * slope * place of the key, [head, 1, key], in the dtype of `like`; softmax makes of it a penalty on the distance. Slopes are a geometric sequence from 2^(-8/n) on, for n heads; if n
/// is no power of two, the one of the power below and then every second one of twice as many.
/// Source: Press et al. (2022), "Train Short, Test Long", arXiv:2108.12409, section 3.
Var linearBiases(Builder& builder, Var like, Var positions, std::int64_t heads, double scale = 1);

/// The row of the last position where `wanted` [batch, position] is true: [batch, position, n] -> [batch, n].
Var lastRowWhere(Assembly& assembly, Var wanted, Var rows);

/// Heads that decoders share.
struct DecoderHead {
    std::string languageModel = "lm_head";
    std::optional<Var> tiedTable;  ///< none: an own matrix
    bool bias = false;
    std::string sequence = "score", token = "score";  ///< names of classifiers
    bool tokenBias = true;
    std::optional<double> softcap;  ///< of the logits
    double divisor = 1;             ///< of the logits
    double dropout = 0;             ///< before the classifier of tokens
};
/// Ends a decoder: hidden states, logits of the next token, a class for the last token that is no padding, or a class for each token.
graph::Model finishDecoder(Assembly& assembly, Var x, std::int64_t features, std::int64_t vocabulary, const DecoderHead& head,
                           const std::string& title);

}  // namespace orrery::models::families
