#pragma once
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/schema.h>
#include <core/text/tokenizer.h>

#include "decoder.h"
#include "sampling.h"

namespace orrery::generation {

struct TextOptions : SamplingOptions {
    std::int64_t maxNewTokens = 20;
    std::vector<std::int64_t> endTokens;  ///< any of them ends the text
    std::vector<std::string> stopTexts;   ///< the text ends where one of them is complete
    std::size_t alternatives = 5;         ///< most probable tokens that are reported for each step
};

/// Form, check and help of the options: max_new_tokens, do_sample, temperature, top_k, top_p, repetition_penalty, stop.
const core::Schema& textSchema();
/// @throws core::DocumentError. End tokens are not part of the document: they are the model's (see `specialTokens`).
TextOptions textOptions(const core::Json& document, std::uint64_t seed);

enum class TextEnd { Length, EndToken, StopText, ModelLimit, Failed };
const char* textEndName(TextEnd end);  ///< "length", "end_token", "stop", "model_limit", "failure"

struct WrittenText {
    std::vector<std::int64_t> prompt;
    std::vector<GeneratedToken> tokens;
    std::string text;  ///< of the new tokens, without end token and stop text; empty without a tokenizer
    TextEnd end = TextEnd::Length;
    std::string failure;  ///< why the model could not go on behind these tokens, for TextEnd::Failed
    std::vector<std::int64_t> newTokens() const;
};

struct TextControl {
    std::function<void(const GeneratedToken& token)> token;  ///< each token as it is chosen, on the writing thread; may be empty
    std::stop_token stop;
};

/// Writes on from what the decoder holds and `prompt`, token by token. Afterwards the decoder holds the prompt and all new tokens but the last.
/// A model that fails behind the first new token (a text longer than it reads, and nothing says how long that is) does not lose what is written: see TextEnd::Failed.
/// @param tokenizer  May be null; then `stopTexts` must be empty.
/// @throws core::InputError for an empty prompt, unknown tokens, stop texts without a tokenizer; what the decoder throws; core::Cancelled. Any thread.
WrittenText writeText(Decoder& decoder, const std::vector<std::int64_t>& prompt, const TextOptions& options, const text::Tokenizer* tokenizer,
                      const TextControl& control = {});

/// Tokens that a decoder begins with for a text: the text's own for a decoder; for an encoder-decoder the text is the source and the answer starts with its own token.
struct Prompt {
    at::Tensor source;  ///< undefined for a decoder alone
    std::vector<std::int64_t> tokens;
};
/// @throws core::InputError for a model that fills masks or tags tokens: what it says at a place is about that place, not the next one.
void checkWritesOn(const graph::ModelCard& card);
/// @throws core::InputError if the model takes no text or the text is empty and nothing says how to begin; what `checkWritesOn` throws.
Prompt promptFor(const graph::Model& model, std::string_view text);
Prompt promptFor(const graph::Model& model, const std::vector<std::int64_t>& tokens);
/// The text that an encoder-decoder's answer begins with, behind the token that begins every answer. Empty: nothing is changed.
/// @throws core::InputError for a decoder alone, whose prompt is what it goes on from; core::InputError without a tokenizer.
void beginAnswer(Prompt& prompt, const graph::Model& model, std::string_view text);
/// Whether it answers to a source: what `beginAnswer` is for.
bool answersToASource(const graph::ModelCard& card);
/// For a source that is no text: `tokens` begin the answer; without any the card says with which one.
Prompt promptFor(const graph::Model& model, at::Tensor source, std::vector<std::int64_t> tokens);

}  // namespace orrery::generation
