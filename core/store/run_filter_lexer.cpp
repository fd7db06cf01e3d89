#include "run_filter_lexer.h"

#include <core/base/text.h>

namespace orrery::store {
namespace {

bool isFilterBlank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool isFilterWord(char c)
{
    return !isFilterBlank(c) && std::string_view("\"'(),=!<>~").find(c) == std::string_view::npos;
}

FilterToken quotedToken(std::string_view query, std::size_t from)
{
    FilterToken token{FilterToken::Kind::Text, {}, from, from + 1, false};
    const char quote = query[from];
    for (; token.to < query.size(); ++token.to) {
        char c = query[token.to];
        if (c == quote) {
            ++token.to;
            token.isWhole = true;
            break;
        }
        const bool escapes = c == '\\' && token.to + 1 < query.size() && (query[token.to + 1] == quote || query[token.to + 1] == '\\');
        if (escapes)
            c = query[++token.to];
        token.text += c;
    }
    return token;
}

FilterToken::Kind kindOfSign(char c)
{
    switch (c) {
    case '(': return FilterToken::Kind::Open;
    case ')': return FilterToken::Kind::Close;
    case ',': return FilterToken::Kind::Comma;
    default: return FilterToken::Kind::Operator;
    }
}

FilterToken tokenAt(std::string_view query, std::size_t from)
{
    const char c = query[from];
    if (c == '"' || c == '\'')
        return quotedToken(query, from);
    std::size_t to = from + 1;
    if (isFilterWord(c)) {
        while (to < query.size() && isFilterWord(query[to]))
            ++to;
        return {FilterToken::Kind::Word, std::string(query.substr(from, to - from)), from, to};
    }
    const FilterToken::Kind kind = kindOfSign(c);
    if (kind == FilterToken::Kind::Operator && c != '~' && to < query.size() && query[to] == '=')
        ++to;
    return {kind, std::string(query.substr(from, to - from)), from, to};
}

}  // namespace

bool FilterToken::isKeyword(std::string_view word) const
{
    return kind == Kind::Word && core::lower(text) == word;
}

std::vector<FilterToken> filterTokens(std::string_view query)
{
    std::vector<FilterToken> tokens;
    for (std::size_t at = 0; at < query.size();) {
        if (isFilterBlank(query[at])) {
            ++at;
            continue;
        }
        tokens.push_back(tokenAt(query, at));
        at = tokens.back().to;
    }
    tokens.push_back({FilterToken::Kind::End, {}, query.size(), query.size()});
    return tokens;
}

}  // namespace orrery::store
