#pragma once
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <core/graph/model.h>

#include "config.h"

/// Architectures of checkpoint folders as Hugging Face's library writes them: `config.json` -> a graph whose parameters have the checkpoint's own names. One file a family, one line in
/// families.cpp. Attention is never fused; values are named as papers name them and the card's canonical names are those of the built-in architectures, so lenses, patching and
/// attention methods work on them.
namespace orrery::models::families {

/// What stands behind the base model.
enum class Head {
    Base,                    ///< hidden states (and what the base model pools)
    CausalLM,                ///< next token
    MaskedLM,                ///< the token that belongs here
    SequenceClassification,  ///< one answer for the whole text
    TokenClassification,     ///< one answer for each token
    QuestionAnswering,       ///< start and end of a span
    PreTraining,             ///< BERT's masked tokens and next sentence
    ImageClassification,
    ConditionalGeneration,  ///< encoder-decoder with a language model's head
    Encoder,                ///< the encoder of an encoder-decoder alone
};

/// What a family's builder is told.
struct Request {
    const Config& config;
    Head head = Head::Base;
    /// Inputs that are otherwise bound to what a text without padding has: "attention_mask" (ones), "token_type_ids" (zeros).
    std::set<std::string> keepInputs;
};

struct Family {
    std::string id;                       ///< "gpt2"
    std::string title;                    ///< "GPT-2"
    std::string source;                   ///< paper
    std::vector<std::string> modelTypes;  ///< values of `model_type`
    std::vector<Head> heads;              ///< those it can build; the first one where `architectures` says nothing
    /// Name of the base model inside a model with a head ("transformer"): prefix of its parameters, absent in files of the base model alone.
    std::string basePrefix;
    std::function<graph::Model(const Request&)> build;
    /// Tensors of old files that carry nothing (masks, position numbers): globs over names without the base prefix.
    std::vector<std::string> ignored;
};

/// All families. Any thread.
const std::vector<Family>& families();
/// By `model_type`; null if nobody knows it.
const Family* findFamily(std::string_view modelType);
/// All values of `model_type` that can be built, sorted.
std::vector<std::string> knownModelTypes();

/// "GPT2LMHeadModel" -> CausalLM. Nothing for an ending that nobody knows.
std::optional<Head> headOf(std::string_view architecture);
/// The head that a config asks for by `architectures`, else the family's first.
/// @throws core::InputError naming the architecture and those that can be built.
Head headOf(const Family& family, const Config& config);

/// A model without weights: graph and card. @throws core::InputError, core::FormatError naming the config's file and key.
graph::Model buildFamily(const Family& family, const Config& config, const std::set<std::string>& keepInputs = {});

// One a file.
Family gpt2Family();
Family gptNeoxFamily();
Family optFamily();
Family llamaFamily();
Family phiFamily();
Family gptjFamily();
Family bloomFamily();
Family falconFamily();
Family stablelmFamily();
Family starcoder2Family();
Family bertFamily();
Family robertaFamily();
Family distilbertFamily();
Family t5Family();
Family vitFamily();
Family clipFamily();
Family resnetFamily();
Family convnextFamily();
Family convnextV2Family();
Family albertFamily();
Family electraFamily();
Family mpnetFamily();
Family modernBertFamily();
Family debertaFamily();
Family bartFamily();
Family whisperFamily();
Family swinFamily();
Family siglipFamily();
Family dinov2Family();
Family mobileNetV2Family();
Family efficientNetFamily();

}  // namespace orrery::models::families
