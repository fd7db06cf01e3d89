#include "decoders.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include <core/base/text.h>

#include "aligned_text.h"
#include "unicode.h"

namespace orrery::text {
namespace {

using Tokens = std::vector<std::string>;

class DecoderStep final : public Decoder {
public:
    explicit DecoderStep(std::function<void(Tokens&)> apply, bool givesBytes = false) : m_apply(std::move(apply)), m_givesBytes(givesBytes) {}
    void apply(Tokens& tokens) const override { m_apply(tokens); }
    bool givesBytes() const override { return m_givesBytes; }

private:
    std::function<void(Tokens&)> m_apply;
    bool m_givesBytes;
};

class DecoderSequence final : public Decoder {
public:
    explicit DecoderSequence(std::vector<DecoderPtr> steps) : m_steps(std::move(steps)) {}
    void apply(Tokens& tokens) const override
    {
        for (const auto& step : m_steps)
            step->apply(tokens);
    }
    bool givesBytes() const override
    {
        return std::any_of(m_steps.begin(), m_steps.end(), [](const auto& step) { return step->givesBytes(); });
    }

private:
    std::vector<DecoderPtr> m_steps;
};

void fuse(Tokens& tokens)
{
    std::string all;
    for (const auto& token : tokens)
        all += token;
    tokens = {std::move(all)};
}

/// A token whose characters all stand for bytes becomes those; another one (added, not of the vocabulary) stays.
void toBytes(Tokens& tokens)
{
    for (auto& token : tokens) {
        std::string bytes;
        bool all = true;
        for (const char32_t point : pointsOf(token)) {
            const int byte = characterByte(point);
            all &= byte >= 0;
            bytes += char(byte);
        }
        if (all)
            token = std::move(bytes);
    }
    fuse(tokens);
}

/// What English writes without the blank that lies between words.
std::string cleanedUp(std::string text)
{
    static constexpr std::pair<std::string_view, std::string_view> kRules[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},    {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (const auto& [from, to] : kRules)
        text = replaced(text, from, to);
    return text;
}

/// The byte that "<0x41>" stands for; -1: none.
int fallbackByte(std::string_view token)
{
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
        return -1;
    int byte = 0;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
    return error == std::errc() && end == token.data() + 5 && byte >= 0 ? byte : -1;
}

/// Bytes side by side become their text, or one U+FFFD each where they are no UTF-8.
void joinFallbackBytes(Tokens& tokens)
{
    Tokens out;
    std::string bytes;
    const auto flush = [&] {
        if (bytes.empty())
            return;
        if (withReplacements(bytes) == bytes)
            out.push_back(bytes);
        else
            out.insert(out.end(), bytes.size(), "\xef\xbf\xbd");
        bytes.clear();
    };
    for (auto& token : tokens) {
        if (const int byte = fallbackByte(token); byte >= 0) {
            bytes += char(byte);
            continue;
        }
        flush();
        out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
}

std::string stripped(std::string_view token, std::string_view content, std::size_t start, std::size_t stop)
{
    for (; start > 0 && token.starts_with(content); --start)
        token.remove_prefix(content.size());
    for (; stop > 0 && token.ends_with(content); --stop)
        token.remove_suffix(content.size());
    return std::string(token);
}

}  // namespace

std::string replaced(std::string_view text, std::string_view from, std::string_view to)
{
    if (from.empty())
        return std::string(text);
    std::string out;
    for (std::size_t at = 0;;) {
        const auto next = text.find(from, at);
        out += text.substr(at, next - at);
        if (next == text.npos)
            return out;
        out += to;
        at = next + from.size();
    }
}

DecoderPtr byteLevelDecoder()
{
    return std::make_shared<DecoderStep>(toBytes, true);
}

DecoderPtr fuseDecoder()
{
    return std::make_shared<DecoderStep>(fuse);
}

DecoderPtr byteFallbackDecoder()
{
    return std::make_shared<DecoderStep>(joinFallbackBytes);
}

DecoderPtr wordPieceDecoder(std::string prefix, bool cleansUp)
{
    return std::make_shared<DecoderStep>([prefix = std::move(prefix), cleansUp](Tokens& tokens) {
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            auto& token = tokens[i];
            if (i > 0)
                token = token.starts_with(prefix) ? token.substr(prefix.size()) : " " + token;
            if (cleansUp)
                token = cleanedUp(std::move(token));
        }
    });
}

DecoderPtr metaspaceDecoder(char32_t replacement, bool dropsFirst)
{
    return std::make_shared<DecoderStep>([mark = utf8Of(replacement), dropsFirst](Tokens& tokens) {
        for (std::size_t i = 0; i < tokens.size(); ++i)
            tokens[i] = replaced(tokens[i], mark, i == 0 && dropsFirst ? "" : " ");
    });
}

DecoderPtr suffixDecoder(std::string suffix)
{
    return std::make_shared<DecoderStep>([suffix = std::move(suffix)](Tokens& tokens) {
        for (std::size_t i = 0; i < tokens.size(); ++i)
            tokens[i] = replaced(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
    });
}

DecoderPtr stripDecoder(char32_t content, std::size_t start, std::size_t stop)
{
    return std::make_shared<DecoderStep>([mark = utf8Of(content), start, stop](Tokens& tokens) {
        for (auto& token : tokens)
            token = stripped(token, mark, start, stop);
    });
}

DecoderPtr ctcDecoder(std::string padding, std::string delimiter, bool cleansUp)
{
    return std::make_shared<DecoderStep>([padding = std::move(padding), delimiter = std::move(delimiter), cleansUp](Tokens& tokens) {
        tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
        for (auto& token : tokens) {
            token = replaced(token, padding, "");
            if (cleansUp)
                token = replaced(cleanedUp(std::move(token)), delimiter, " ");
        }
        std::erase(tokens, "");
    });
}

DecoderPtr decoderSequence(std::vector<DecoderPtr> steps)
{
    return std::make_shared<DecoderSequence>(std::move(steps));
}

}  // namespace orrery::text
