#include "vocabulary.h"

#include <fmt/format.h>

#include <set>

#include <core/base/error.h>
#include <core/io/utf8.h>
#include <core/text/mask_token.h>
#include <core/text/tokenizer.h>

namespace orrery::data {
namespace {

constexpr std::size_t kMaxCharacters = 65536;
constexpr std::string_view kMaskText = "[MASK]";

}  // namespace

Vocabulary Vocabulary::bytes()
{
    return {};
}

Vocabulary Vocabulary::charactersOf(std::string_view text, std::string_view name)
{
    const std::vector<char32_t> all = io::decodeUtf8(text, name);
    const std::set<char32_t> distinct(all.begin(), all.end());
    if (distinct.empty() || distinct.size() > kMaxCharacters)
        throw core::FormatError(fmt::format("{}: expected 1 to {} distinct characters, got {}", name, kMaxCharacters, distinct.size()));
    Vocabulary out;
    out.m_characters.assign(distinct.begin(), distinct.end());
    for (std::size_t i = 0; i < out.m_characters.size(); ++i)
        out.m_numbers[out.m_characters[i]] = std::int64_t(i);
    return out;
}

Vocabulary Vocabulary::ofTokenizer(std::shared_ptr<const text::Tokenizer> tokenizer)
{
    Vocabulary out;
    out.m_tokenizer = std::move(tokenizer);
    return out;
}

std::int64_t Vocabulary::size() const
{
    return m_tokenizer ? m_tokenizer->size() : plainSize() + m_hasMask;
}

Vocabulary Vocabulary::withMask() const
{
    Vocabulary out = *this;
    out.m_hasMask = !m_tokenizer;
    return out;
}

std::optional<std::int64_t> Vocabulary::mask() const
{
    if (m_tokenizer)
        return text::maskId(*m_tokenizer);
    return m_hasMask ? std::optional(plainSize()) : std::nullopt;
}

std::vector<std::int64_t> Vocabulary::special() const
{
    if (m_tokenizer)
        return m_tokenizer->specialIds();
    return m_hasMask ? std::vector{plainSize()} : std::vector<std::int64_t>{};
}

Vocabulary Vocabulary::fromJson(const core::Json& json)
{
    const std::string kind = json.is_object() && json.contains("kind") && json["kind"].is_string() ? json["kind"].get<std::string>() : "";
    const bool hasMask = json.is_object() && json.contains("mask") && json["mask"] == true;
    if (kind == "bytes")
        return hasMask ? bytes().withMask() : bytes();
    if (kind != "characters" || !json.contains("characters") || !json["characters"].is_string())
        throw core::FormatError("tokenizer: expected {\"kind\": \"bytes\"} or {\"kind\": \"characters\", \"characters\": \"...\"}, got " +
                                json.dump());
    const Vocabulary characters = charactersOf(json["characters"].get<std::string>(), "tokenizer");
    return hasMask ? characters.withMask() : characters;
}

core::Json Vocabulary::toJson() const
{
    if (m_tokenizer)
        return m_tokenizer->toJson();
    core::Json out = {{"kind", "bytes"}};
    if (!m_characters.empty()) {
        std::string characters;
        for (const char32_t c : m_characters)
            io::appendUtf8(characters, c);
        out = {{"kind", "characters"}, {"characters", characters}};
    }
    if (m_hasMask)
        out["mask"] = true;
    return out;
}

std::vector<std::int64_t> Vocabulary::encode(std::string_view text) const
{
    if (m_tokenizer)
        return m_tokenizer->ids(text);
    std::vector<std::int64_t> tokens;
    for (auto mask = m_hasMask ? text.find(kMaskText) : text.npos; mask != text.npos; mask = text.find(kMaskText)) {
        encodePlain(text.substr(0, mask), tokens);
        tokens.push_back(plainSize());
        text.remove_prefix(mask + kMaskText.size());
    }
    encodePlain(text, tokens);
    return tokens;
}

void Vocabulary::encodePlain(std::string_view text, std::vector<std::int64_t>& tokens) const
{
    if (m_characters.empty()) {
        for (const char c : text)
            tokens.push_back(static_cast<unsigned char>(c));
        return;
    }
    for (const char32_t c : io::decodeUtf8(text, "text")) {
        const auto found = m_numbers.find(c);
        if (found == m_numbers.end())
            throw core::InputError(
                fmt::format("expected characters of the vocabulary, got U+{:04X} at position {}", std::uint32_t(c), tokens.size()));
        tokens.push_back(found->second);
    }
}

std::string Vocabulary::decode(std::span<const std::int64_t> tokens) const
{
    if (m_tokenizer)
        return m_tokenizer->decode(tokens);
    std::string text;
    for (const std::int64_t token : tokens) {
        if (token < 0 || token >= size())
            throw core::InputError(fmt::format("expected tokens from 0 to {}, got {}", size() - 1, token));
        if (token == plainSize())
            text += kMaskText;
        else if (m_characters.empty())
            text += char(static_cast<unsigned char>(token));
        else
            io::appendUtf8(text, m_characters[std::size_t(token)]);
    }
    return text;
}

std::string Vocabulary::tokenText(std::int64_t token) const
{
    if (m_tokenizer)
        return m_tokenizer->tokenText(token);
    const std::string text = decode({&token, 1});
    if (text == "\n")
        return "\\n";
    if (text == "\t")
        return "\\t";
    const auto byte = static_cast<unsigned char>(text[0]);
    const bool printable = text.size() > 1 || (byte >= 0x20 && byte < 0x7f);
    return printable ? text : fmt::format("\\x{:02x}", byte);
}

}  // namespace orrery::data
