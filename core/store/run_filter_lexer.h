#pragma once
#include <string>
#include <string_view>
#include <vector>

/// Internal to the query language of runs.
namespace orrery::store {

struct FilterToken {
    enum class Kind { Word, Text, Operator, Open, Close, Comma, End };
    Kind kind = Kind::End;
    std::string text;              ///< without quotes
    std::size_t from = 0, to = 0;  ///< bytes of the query
    bool isWhole = true;           ///< false: a text whose closing quote is missing
    /// True for the word of a grammar, in any letter case.
    bool isKeyword(std::string_view word) const;
};

/// All tokens, the last one is End. Nothing fails here: what cannot be (a lone `!`) is an Operator that nobody knows.
std::vector<FilterToken> filterTokens(std::string_view query);

}  // namespace orrery::store
