#include "generation.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/plain_reason.h>
#include <core/graph/sequence_limit.h>
#include <core/text/card_tokenizer.h>

#include "special_tokens.h"

namespace orrery::generation {
namespace {

/// Where the first of the stop texts begins; npos: none is complete.
std::size_t stopPlace(const std::string& text, const std::vector<std::string>& stops)
{
    std::size_t place = std::string::npos;
    for (const auto& stop : stops)
        place = std::min(place, text.find(stop));
    return place;
}

void checkWanted(const std::vector<std::int64_t>& prompt, const TextOptions& options, const text::Tokenizer* tokenizer)
{
    if (prompt.empty())
        throw core::InputError("the text is empty; expected at least one token");
    if (!options.stopTexts.empty() && !tokenizer)
        throw core::InputError("stop texts need a tokenizer; the model card has none");
    if (std::any_of(options.stopTexts.begin(), options.stopTexts.end(), [](const auto& stop) { return stop.empty(); }))
        throw core::InputError("stop text: expected at least one character");
}

bool contains(const std::vector<std::int64_t>& tokens, std::int64_t token)
{
    return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

/// One text on its way.
class Writer {
public:
    Writer(Decoder& decoder, const TextOptions& options, const text::Tokenizer* tokenizer, const TextControl& control, WrittenText& result)
        : m_decoder(decoder), m_options(options), m_tokenizer(tokenizer), m_control(control), m_result(result)
    {
    }
    void write()
    {
        std::vector<std::int64_t> read = m_result.prompt, text = m_decoder.tokens();
        text.insert(text.end(), read.begin(), read.end());
        for (std::int64_t step = 0; step < m_options.maxNewTokens; ++step) {
            if (m_control.stop.stop_requested())
                throw core::Cancelled();
            const at::Tensor logits = nextLogits(read);
            if (!logits.defined())
                return;
            const auto token = chooseToken(logits, m_options, step, text);
            m_result.tokens.push_back(describedToken(logits, token, m_options.alternatives));
            text.push_back(token);
            read = {token};
            const bool ended = isEnd(token, std::int64_t(text.size()));
            if (m_control.token)
                m_control.token(m_result.tokens.back());
            if (ended)
                return;
        }
    }

private:
    /// Undefined where the model cannot go on.
    at::Tensor nextLogits(const std::vector<std::int64_t>& read)
    {
        try {
            return m_decoder.next(read, m_control.stop);
        } catch (const std::exception& error) {  // libtorch's, too
            if (m_result.tokens.empty())
                throw;
            m_result.end = TextEnd::Failed;
            m_result.failure = core::plainReason(error);
            return {};
        }
    }
    bool isEnd(std::int64_t token, std::int64_t length)
    {
        if (contains(m_options.endTokens, token)) {
            m_result.end = TextEnd::EndToken;
            return true;
        }
        auto tokens = m_result.newTokens();
        if (m_tokenizer)
            m_result.text = m_tokenizer->decode(tokens);
        if (const auto place = stopPlace(m_result.text, m_options.stopTexts); place != std::string::npos) {
            m_result.text.resize(place);
            m_result.end = TextEnd::StopText;
            return true;
        }
        if (const auto longest = m_decoder.longest(); longest && length > *longest) {
            m_result.end = TextEnd::ModelLimit;
            return true;
        }
        return false;
    }

    Decoder& m_decoder;
    const TextOptions& m_options;
    const text::Tokenizer* m_tokenizer;
    const TextControl& m_control;
    WrittenText& m_result;
};

}  // namespace

const core::Schema& textSchema()
{
    static const core::Schema kSchema = [] {
        core::Schema schema = samplingSchema();
        schema.add(core::real("repetition_penalty", 1.0, "Above 1: tokens that the text holds already become less probable.").range(1e-3, 1000));
        schema.add(core::text("stop", "", "Text that ends the writing where it is complete; empty: none."));
        return schema;
    }();
    return kSchema;
}

TextOptions textOptions(const core::Json& document, std::uint64_t seed)
{
    const auto resolved = textSchema().resolve(document, "generate");
    TextOptions options;
    options.seed = seed;
    options.maxNewTokens = resolved.at("max_new_tokens").get<std::int64_t>();
    readSampling(resolved, options);
    options.repetitionPenalty = resolved.at("repetition_penalty").get<double>();
    if (const auto stop = resolved.at("stop").get<std::string>(); !stop.empty())
        options.stopTexts = {stop};
    return options;
}

const char* textEndName(TextEnd end)
{
    switch (end) {
    case TextEnd::Length: return "length";
    case TextEnd::EndToken: return "end_token";
    case TextEnd::StopText: return "stop";
    case TextEnd::ModelLimit: return "model_limit";
    case TextEnd::Failed: return "failure";
    }
    return "";
}

std::vector<std::int64_t> WrittenText::newTokens() const
{
    std::vector<std::int64_t> numbers;
    for (const auto& token : tokens)
        numbers.push_back(token.token);
    return numbers;
}

WrittenText writeText(Decoder& decoder, const std::vector<std::int64_t>& prompt, const TextOptions& options, const text::Tokenizer* tokenizer,
                      const TextControl& control)
{
    checkWanted(prompt, options, tokenizer);
    WrittenText result;
    result.prompt = prompt;
    Writer(decoder, options, tokenizer, control, result).write();
    return result;
}

void checkWritesOn(const graph::ModelCard& card)
{
    if (card.task == "masked_language_model")
        throw core::InputError("the model fills masks and cannot write on: its answer at a place is about that place, not the next one. "
                               "what it puts there is said by predict --text \"... [MASK] ...\", in the window by Interventions and Lens");
    if (card.task == "token_classification")
        throw core::InputError("the model tags tokens and cannot write on; predict --text says its tags");
}

namespace {

std::int64_t answerBegin(const graph::Model& model)
{
    const auto begin = specialTokens(model.card).decoderBegin;
    if (!begin)
        throw core::InputError("the model card does not say with which token an answer begins (decoder_start_token_id)");
    return *begin;
}

}  // namespace

Prompt promptFor(const graph::Model& model, const std::vector<std::int64_t>& tokens)
{
    checkWritesOn(model.card);
    if (tokens.empty())
        throw core::InputError("the text is empty; expected at least one token");
    if (!answersToASource(model.card))
        return {{}, tokens};
    if (model.card.inputs[0].kind != "tokens")
        throw core::InputError(fmt::format("{} takes no text: expected an array of shape [{}] as its source", model.card.inputs[0].name,
                                           core::join(model.card.inputs[0].shape, ", ")));
    return {at::tensor(at::ArrayRef<std::int64_t>(tokens), at::kLong).unsqueeze(0), {answerBegin(model)}};
}

bool answersToASource(const graph::ModelCard& card)
{
    return card.inputs.size() == 2;
}

void beginAnswer(Prompt& prompt, const graph::Model& model, std::string_view text)
{
    if (text.empty())
        return;
    if (!answersToASource(model.card))
        throw core::InputError("the model has no source apart from what it writes: expected one text, the prompt that it goes on from");
    const auto tokens = text::requiredTokenizer(model.card)->ids(text, false);
    prompt.tokens.insert(prompt.tokens.end(), tokens.begin(), tokens.end());
}

Prompt promptFor(const graph::Model& model, at::Tensor source, std::vector<std::int64_t> tokens)
{
    if (tokens.empty())
        tokens = {answerBegin(model)};
    return {std::move(source), std::move(tokens)};
}

Prompt promptFor(const graph::Model& model, std::string_view text)
{
    const auto tokenizer = text::requiredTokenizer(model.card);
    std::vector<std::int64_t> tokens = tokenizer->ids(text, true);
    // Whatever the tokenizer puts behind a text ends it; a decoder is to go on.
    const auto ends = specialTokens(model.card).end;
    while (model.card.inputs.size() == 1 && tokens.size() > 1 && contains(ends, tokens.back()) && tokenizer->isSpecial(tokens.back()))
        tokens.pop_back();
    if (const auto begin = specialTokens(model.card).begin; tokens.empty() && begin)
        tokens = {*begin};
    return promptFor(model, tokens);
}

}  // namespace orrery::generation
