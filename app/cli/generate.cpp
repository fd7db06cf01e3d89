#include <chrono>
#include <iostream>

#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/generate/generation.h>
#include <core/generate/special_tokens.h>
#include <core/text/card_tokenizer.h>

#include "arrays.h"
#include "model_argument.h"
#include "number_checks.h"
#include "printable.h"

namespace orrery::cli {
namespace {

struct GenerateOptions {
    ModelArgument model;
    std::string prompt, tokens, source, begin;
    generation::TextOptions how;
    std::vector<std::string> stops;
    bool noCache = false, ignoreEnd = false, showProbabilities = false;
};

std::vector<std::int64_t> tokensIn(const std::string& text)
{
    std::vector<std::int64_t> tokens;
    for (const auto& part : core::split(text, ',')) {
        const auto number = std::string(core::trim(part));
        if (number.empty() || number.size() > 12 || number.find_first_not_of("0123456789") != std::string::npos)
            throw core::InputError(fmt::format("--tokens {}: expected numbers such as 3,14,15, got \"{}\"", text, part));
        tokens.push_back(std::stoll(number));
    }
    return tokens;
}

std::string tokenLabel(const text::Tokenizer* tokenizer, std::int64_t token)
{
    return tokenizer ? tokenizer->tokenText(token) : std::to_string(token);
}

core::Json asJson(const GenerateOptions& options, const generation::WrittenText& written, const generation::Decoder& decoder,
                  const text::Tokenizer* tokenizer, const generation::Prompt& prompt)
{
    core::Json tokens = core::Json::array();
    for (const auto& token : written.tokens) {
        core::Json alternatives = core::Json::array();
        for (const auto& [other, probability] : token.alternatives)
            alternatives.push_back({{"token", other}, {"text", tokenLabel(tokenizer, other)}, {"probability", probability}});
        tokens.push_back({{"token", token.token},
                          {"text", tokenLabel(tokenizer, token.token)},
                          {"probability", token.probability},
                          {"alternatives", std::move(alternatives)}});
    }
    core::Json json = {{"model", options.model.text}, {"prompt", written.prompt}, {"text", nullptr}, {"tokens", std::move(tokens)}};
    if (prompt.source.defined() && prompt.source.scalar_type() == at::kLong)
        json["source"] =
            std::vector<std::int64_t>(prompt.source.data_ptr<std::int64_t>(), prompt.source.data_ptr<std::int64_t>() + prompt.source.numel());
    if (tokenizer)
        json["text"] = tokenizer->decode(written.newTokens());
    if (written.end == generation::TextEnd::StopText || written.end == generation::TextEnd::EndToken)
        json["text"] = tokenizer ? core::Json(written.text) : core::Json();
    json["ended_by"] = generation::textEndName(written.end);
    if (!written.failure.empty())
        json["failure"] = written.failure;
    json["cached"] = decoder.isCached();
    return json;
}

/// Tokens as they come: text where there is a tokenizer, else their numbers.
class Printer {
public:
    Printer(const text::Tokenizer* tokenizer, bool probabilities) : m_tokenizer(tokenizer), m_probabilities(probabilities) {}
    void print(const generation::GeneratedToken& token)
    {
        if (m_probabilities)
            return table(token);
        m_tokens.push_back(token.token);
        // A character may take several tokens: what is whole is printed.
        const std::string text = m_tokenizer ? m_tokenizer->decode(m_tokens) : std::to_string(token.token) + " ";
        const std::string_view shown = m_tokenizer ? std::string_view(text).substr(std::min(m_printed, text.size())) : std::string_view(text);
        if (shown.empty() || (m_tokenizer && std::uint8_t(shown.back()) >= 0x80 && isCut(shown)))
            return;
        std::cout << shown << std::flush;
        m_printed += shown.size();
    }

private:
    /// True if the text ends within a character of UTF-8.
    static bool isCut(std::string_view text)
    {
        std::size_t tail = 0;
        while (tail < text.size() && tail < 4 && (std::uint8_t(text[text.size() - 1 - tail]) & 0xc0) == 0x80)
            ++tail;
        const auto lead = tail < text.size() ? std::uint8_t(text[text.size() - 1 - tail]) : std::uint8_t(0);
        const std::size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
        return tail < wanted;
    }
    void table(const generation::GeneratedToken& token)
    {
        std::string others;
        for (const auto& [other, probability] : token.alternatives)
            if (other != token.token)
                others += fmt::format("  {} {:.3f}", tokenCell(tokenLabel(m_tokenizer, other)), probability);
        std::cout << fmt::format("{:<16} {:.4f} {}\n", tokenCell(tokenLabel(m_tokenizer, token.token)), token.probability, others) << std::flush;
    }

    const text::Tokenizer* m_tokenizer;
    const bool m_probabilities;
    std::vector<std::int64_t> m_tokens;
    std::size_t m_printed = 0;
};

/// Tokens a second, behind the first one: that one waits for the prompt to be read.
class Pace {
public:
    void count()
    {
        m_last = std::chrono::steady_clock::now();
        if (m_tokens++ == 0)
            m_first = m_last;
    }
    core::Json tokensPerSecond() const
    {
        const double seconds = std::chrono::duration<double>(m_last - m_first).count();
        return m_tokens > 1 && seconds > 0 ? core::Json(double(m_tokens - 1) / seconds) : core::Json();
    }

private:
    std::chrono::steady_clock::time_point m_first, m_last;
    int m_tokens = 0;
};

generation::Prompt promptOf(const GenerateOptions& options, const graph::Model& model)
{
    const auto tokens = options.tokens.empty() ? std::vector<std::int64_t>() : tokensIn(options.tokens);
    auto prompt = !options.source.empty()  ? generation::promptFor(model, readArray(options.source), tokens)
                  : options.tokens.empty() ? generation::promptFor(model, options.prompt)
                                           : generation::promptFor(model, tokens);
    generation::beginAnswer(prompt, model, options.begin);
    return prompt;
}

Exit generateText(Session& session, const GenerateOptions& options)
{
    if (!options.source.empty() && !options.prompt.empty())
        throw core::InputError("generate: expected one of --prompt and --source");
    if (options.source.empty() && options.prompt.empty() == options.tokens.empty())
        throw core::InputError("generate: expected one of --prompt and --tokens");
    auto model = options.model.open(session);
    const auto tokenizer = text::tokenizerOf(model.card);
    const auto prompt = promptOf(options, model);
    generation::TextOptions how = options.how;
    how.seed = session.seed;
    how.sample = how.sample || session.seedGiven;
    how.stopTexts = options.stops;
    if (!options.ignoreEnd)
        how.endTokens = generation::specialTokens(model.card).end;
    generation::Decoder decoder(std::move(model), options.noCache ? generation::Decoder::Cache::No : generation::Decoder::Cache::Use, prompt.source);
    Printer printer(tokenizer.get(), options.showProbabilities);
    Pace pace;
    generation::TextControl control;
    control.stop = session.stopToken();
    control.token = [&](const generation::GeneratedToken& token) {
        pace.count();
        if (!session.json)
            printer.print(token);
    };
    const auto written = generation::writeText(decoder, prompt.tokens, how, tokenizer.get(), control);
    if (session.json) {
        auto json = asJson(options, written, decoder, tokenizer.get(), prompt);
        json["tokens_per_second"] = pace.tokensPerSecond();
        session.print(json);
    } else if (!options.showProbabilities) {
        std::cout << "\n";
    }
    std::cout.flush();
    if (written.end == generation::TextEnd::ModelLimit && !session.quiet)
        std::cerr << fmt::format("the model reads no more than {} tokens\n", decoder.longest().value_or(0));
    if (written.end != generation::TextEnd::Failed)
        return Exit::Done;
    std::cerr << fmt::format("orrery-cli: the model cannot go on behind these {}: {}\n", core::counted(std::int64_t(written.tokens.size()), "token"),
                             printable(written.failure, LineBreaks::Stay));
    return Exit::Failed;
}

}  // namespace

std::function<Exit(Session&)> declareGenerate(CLI::App& app)
{
    auto options = std::make_shared<GenerateOptions>();
    options->model.declare(app);
    app.add_option("--prompt", options->prompt, "Text to go on from (of an encoder-decoder: the source).");
    app.add_option("--tokens", options->tokens, "Numbers of tokens instead: 3,14,15.");
    app.add_option("--source", options->source,
                   "Array file that an encoder-decoder's first input takes, such as a sound's features; --tokens then begin the answer.");
    app.add_option("--begin", options->begin, "Text that an encoder-decoder's answer begins with; it goes on from there.");
    app.add_option("--max-tokens", options->how.maxNewTokens, "New tokens at most.")->check(CLI::Range(1, 100000));
    app.add_flag("--sample", options->how.sample,
                 "Draw the next token by its probability (so do --temperature, --top-k, --top-p and --seed); else the most probable.");
    const auto sampling = [options](auto) { options->how.sample = true; };
    app.add_option("--temperature", options->how.temperature, "Divides the logits: below 1 sharper, above 1 flatter.")
        ->check(between(1e-06, 1000))
        ->each(sampling);
    app.add_option("--top-k", options->how.topK, "Draw only among the k most probable tokens; 0: all.")
        ->check(CLI::Range(0, 10000000))
        ->each(sampling);
    app.add_option("--top-p", options->how.topP, "Draw only among the most probable tokens that together reach this probability.")
        ->check(between(0, 1))
        ->each(sampling);
    app.add_option("--repetition-penalty", options->how.repetitionPenalty, "Above 1: tokens that the text holds already become less probable.")
        ->check(between(0.001, 1000));
    app.add_option("--stop", options->stops, "Text that ends the writing where it is complete; may be given several times.");
    app.add_flag("--ignore-end", options->ignoreEnd, "Write on behind the model's end token.");
    app.add_flag("--no-cache", options->noCache, "Read the whole text anew for each token instead of keeping keys and values.");
    app.add_flag(
        "--show-probabilities", options->showProbabilities,
        "A table: each token, its probability and the most probable others. Probabilities are those of the model (softmax of its logits), before "
        "--temperature, --top-k, --top-p and --repetition-penalty.");
    app.add_option("--alternatives", options->how.alternatives, "Most probable tokens that are shown for each step.")->check(CLI::Range(0, 1000));
    return [options](Session& session) { return generateText(session, *options); };
}

}  // namespace orrery::cli
