#include "run_filter.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

#include "run_filter_lexer.h"

namespace orrery::store {
namespace {

using FilterKind = RunFilter::Kind;
using Comparison = RunFilter::Comparison;
using Token = FilterToken::Kind;

constexpr std::size_t kMostQueryBytes = 10'000, kMostConditions = 500;
constexpr int kMostQueryLevels = 100;

std::optional<double> numberOf(const FilterToken& token)
{
    if (token.kind != Token::Word)
        return {};
    const char* from = token.text.data();
    const char* const to = from + token.text.size();
    if (token.text.front() == '+')
        ++from;
    double value = 0;
    const auto end = std::from_chars(from, to, value);
    // "inf" and "nan" are numbers, "infinite" is a word.
    return end.ec == std::errc() && end.ptr == to ? std::optional(value) : std::nullopt;
}

std::optional<Comparison> comparisonOf(const FilterToken& token)
{
    static const std::vector<std::pair<std::string_view, Comparison>> kSigns = {
        {"=", Comparison::Equal},        {"==", Comparison::Equal},  {"!=", Comparison::NotEqual},       {"<", Comparison::Less},
        {"<=", Comparison::LessOrEqual}, {">", Comparison::Greater}, {">=", Comparison::GreaterOrEqual}, {"~", Comparison::Contains}};
    const auto found = std::find_if(kSigns.begin(), kSigns.end(), [&](const auto& sign) { return sign.first == token.text; });
    return token.kind == Token::Operator && found != kSigns.end() ? std::optional(found->second) : std::nullopt;
}

bool isConnecting(const FilterToken& token)
{
    return token.isKeyword("and") || token.isKeyword("or") || token.isKeyword("not") || token.isKeyword("in");
}

class FilterParser {
public:
    explicit FilterParser(std::string_view text) : m_text(text), m_tokens(filterTokens(text)) { m_result.text = text; }

    RunFilter parse()
    {
        if (peek().kind == Token::End)
            return std::move(m_result);
        either();
        if (peek().kind != Token::End)
            fail("expected and, or, or the end");
        return std::move(m_result);
    }

private:
    const FilterToken& peek(std::size_t ahead = 0) const { return m_tokens[std::min(m_at + ahead, m_tokens.size() - 1)]; }

    FilterToken take()
    {
        const FilterToken token = peek();
        if (m_at + 1 < m_tokens.size())
            ++m_at;
        return token;
    }

    std::size_t columnOf(const FilterToken& token) const
    {
        // Continuation bytes of UTF-8 are no characters of their own.
        const std::string_view before = m_text.substr(0, token.from);
        return 1 + std::size_t(std::count_if(before.begin(), before.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
    }

    [[noreturn]] void failAt(const FilterToken& token, const std::string& message) const
    {
        throw core::InputError(filterErrorText(m_text, columnOf(token), message));
    }

    [[noreturn]] void fail(const std::string& expected) const
    {
        const FilterToken& token = peek();
        failAt(token, fmt::format("{}, found {}", expected, token.kind == Token::End ? "the end" : '"' + token.text + '"'));
    }

    std::size_t add(RunFilter::Node node, const FilterToken& at)
    {
        node.column = columnOf(at);
        if (m_result.nodes.size() >= 2 * kMostConditions)
            failAt(at, fmt::format("expected at most {} conditions", kMostConditions));
        m_result.nodes.push_back(std::move(node));
        return m_result.nodes.size() - 1;
    }

    std::size_t joined(FilterKind kind, std::vector<std::size_t> parts, const FilterToken& at)
    {
        return parts.size() == 1 ? parts[0] : add({kind, {}, {}, {}, std::move(parts)}, at);
    }

    std::size_t either()
    {
        const FilterToken at = peek();
        if (++m_depth > kMostQueryLevels)
            failAt(at, fmt::format("nested deeper than {} levels", kMostQueryLevels));
        std::vector<std::size_t> parts{all()};
        while (peek().isKeyword("or")) {
            take();
            parts.push_back(all());
        }
        --m_depth;
        return joined(FilterKind::Or, std::move(parts), at);
    }

    bool startsEach() const
    {
        const FilterToken& token = peek();
        const bool isWord = (token.kind == Token::Word && !isConnecting(token)) || token.isKeyword("not");
        return isWord || token.kind == Token::Text || token.kind == Token::Open;
    }

    std::size_t all()
    {
        const FilterToken at = peek();
        std::vector<std::size_t> parts{each()};
        while (peek().isKeyword("and") || startsEach()) {
            if (peek().isKeyword("and"))
                take();
            parts.push_back(each());
        }
        return joined(FilterKind::And, std::move(parts), at);
    }

    std::size_t each()
    {
        const FilterToken at = peek();
        if (!startsEach())
            fail("expected a field, a word or (");
        if (at.isKeyword("not"))
            return negated(at);
        if (at.kind == Token::Open) {
            take();
            const std::size_t inside = either();
            if (peek().kind != Token::Close)
                fail("expected and, or, or )");
            take();
            return inside;
        }
        return condition();
    }

    std::size_t negated(const FilterToken& at)
    {
        if (++m_depth > kMostQueryLevels)
            failAt(at, fmt::format("nested deeper than {} levels", kMostQueryLevels));
        take();
        const std::size_t inside = each();
        --m_depth;
        return add({FilterKind::Not, {}, {}, {}, {inside}}, at);
    }

    std::size_t condition()
    {
        const FilterToken first = takeWhole();
        RunFilter::Node node;
        if (peek().isKeyword("in") || (peek().isKeyword("not") && peek(1).isKeyword("in") && peek(2).kind == Token::Open))
            return list(first);
        if (peek().kind != Token::Operator) {
            node.values = {literal(first)};
            return add(std::move(node), first);
        }
        const auto comparison = comparisonOf(peek());
        if (!comparison)
            fail("expected one of = != < <= > >= ~");
        take();
        node.kind = FilterKind::Condition;
        node.comparison = *comparison;
        node.field = first.text;
        node.values = {value()};
        return add(std::move(node), first);
    }

    std::size_t list(const FilterToken& field)
    {
        RunFilter::Node node;
        node.kind = FilterKind::Condition;
        node.comparison = Comparison::In;
        node.field = field.text;
        const bool isNegated = take().isKeyword("not");
        if (isNegated)
            take();
        if (peek().kind != Token::Open)
            fail("expected ( and the values after in");
        do {
            take();
            node.values.push_back(value());
        } while (peek().kind == Token::Comma);
        if (peek().kind != Token::Close)
            fail("expected , or )");
        take();
        const std::size_t inside = add(std::move(node), field);
        return isNegated ? add({FilterKind::Not, {}, {}, {}, {inside}}, field) : inside;
    }

    RunFilter::Literal value()
    {
        const FilterToken& token = peek();
        if (token.kind != Token::Text && (token.kind != Token::Word || isConnecting(token)))
            fail("expected a value");
        if (++m_values > kMostConditions)
            failAt(token, fmt::format("expected at most {} values", kMostConditions));
        return literal(takeWhole());
    }

    FilterToken takeWhole()
    {
        if (!peek().isWhole)
            failAt(peek(), std::string("expected a closing quote, found the end"));
        return take();
    }

    RunFilter::Literal literal(const FilterToken& token) const { return {token.text, numberOf(token), token.isKeyword("null"), columnOf(token)}; }

    const std::string_view m_text;
    const std::vector<FilterToken> m_tokens;
    std::size_t m_at = 0, m_values = 0;
    int m_depth = 0;
    RunFilter m_result;
};

}  // namespace

std::string filterErrorText(std::string_view query, std::size_t column, std::string_view message)
{
    return fmt::format("query \"{}\", column {}: {}", query.size() > 200 ? std::string(query.substr(0, 200)) + "..." : std::string(query), column,
                       message);
}

RunFilter parseRunFilter(std::string_view text)
{
    if (text.size() > kMostQueryBytes)
        throw core::InputError(fmt::format("query: expected at most {} bytes, got {}", kMostQueryBytes, text.size()));
    return FilterParser(text).parse();
}

std::string quotedForFilter(std::string_view text)
{
    const std::vector<FilterToken> tokens = filterTokens(text);
    // A text that would read as a number is quoted by nobody: a number's text compares as the number and as the text.
    const bool isPlain = tokens.size() == 2 && tokens[0].kind == Token::Word && tokens[0].to - tokens[0].from == text.size() &&
                         !isConnecting(tokens[0]) && !tokens[0].isKeyword("null");
    if (isPlain)
        return std::string(text);
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            quoted += '\\';
        quoted += c;
    }
    return quoted + '"';
}

std::vector<RunField> runProperties()
{
    using Field = RunField::Kind;
    std::vector<RunField> fields;
    for (const char* name : {"id", "parent", "seed"})
        fields.push_back({name, Field::Property, true, {}});
    for (const char* name : {"name", "tag", "notes", "created", "started", "ended", "hash", "error"})
        fields.push_back({name, Field::Property, false, {}});
    fields.push_back({"status", Field::Property, false, {"queued", "running", "paused", "finished", "failed", "cancelled", "interrupted"}});
    return fields;
}

}  // namespace orrery::store
