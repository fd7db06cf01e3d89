#include <algorithm>

#include <fmt/format.h>

#include <core/base/text.h>

#include "run_filter.h"
#include "run_filter_lexer.h"

namespace orrery::store {
namespace {

constexpr std::size_t kMostItems = 50;

/// What may come next.
enum class Expects {
    Term,       ///< a field, a word, not, (
    Operator,   ///< after something that may be a field or a word
    ListOpen,   ///< the ( after in
    Value,      ///< after an operator
    ListValue,  ///< inside in ( )
    ListNext,   ///< , or )
    Connector,  ///< and, or; a new term may follow, too
};

struct Situation {
    Expects expects = Expects::Term;
    std::string field;  ///< the last word that may be a field
};

void advanceOperator(Situation& now, const FilterToken& token)
{
    using Kind = FilterToken::Kind;
    if (token.kind == Kind::Operator)
        now.expects = Expects::Value;
    else if (token.isKeyword("in"))
        now.expects = Expects::ListOpen;
    else if (token.isKeyword("not"))
        return;  // `width not in (...)`, or the begin of the next condition: the field stays known
    else if (token.isKeyword("and") || token.isKeyword("or") || token.kind == Kind::Open)
        now.expects = Expects::Term;
    else if (token.kind == Kind::Close)
        now.expects = Expects::Connector;
    else
        now.field = token.text;
}

void advanceTerm(Situation& now, const FilterToken& token)
{
    using Kind = FilterToken::Kind;
    const bool isConnecting = token.isKeyword("and") || token.isKeyword("or") || token.isKeyword("not");
    if (isConnecting || token.kind == Kind::Open) {
        now.expects = Expects::Term;
    } else if (token.kind == Kind::Close) {
        now.expects = Expects::Connector;
    } else {
        now.field = token.text;
        now.expects = Expects::Operator;
    }
}

void advance(Situation& now, const FilterToken& token)
{
    switch (now.expects) {
    case Expects::Term:
    case Expects::Connector: return advanceTerm(now, token);
    case Expects::Operator: return advanceOperator(now, token);
    case Expects::ListOpen: now.expects = Expects::ListValue; return;
    case Expects::Value: now.expects = Expects::Connector; return;
    case Expects::ListValue: now.expects = Expects::ListNext; return;
    case Expects::ListNext: now.expects = token.kind == FilterToken::Kind::Comma ? Expects::ListValue : Expects::Connector; return;
    }
}

/// 0: the text begins so; 1: a part of it after a dot or slash does; 2: it holds it; 3: it does not.
int rankOf(const std::string& text, const std::string& lowerPrefix)
{
    const std::string lower = core::lower(text);
    const std::size_t at = lower.find(lowerPrefix);
    if (at == 0)
        return 0;
    for (std::size_t from = at; from != std::string::npos; from = lower.find(lowerPrefix, from + 1))
        if (lower[from - 1] == '.' || lower[from - 1] == '/')
            return 1;
    return at == std::string::npos ? 3 : 2;
}

class Completer {
public:
    Completer(const std::vector<RunField>& fields, const std::string& prefix) : m_fields(fields), m_prefix(core::lower(prefix)) {}

    std::vector<Completions::Item> itemsFor(const Situation& situation)
    {
        switch (situation.expects) {
        case Expects::Term: addFields(); break;
        case Expects::Operator:
            addOperators(situation.field);
            addConnectors();
            break;
        case Expects::ListOpen: add("(", ""); break;
        case Expects::Value:
        case Expects::ListValue: addValues(situation.field); break;
        case Expects::ListNext:
            add(",", "");
            add(")", "");
            break;
        case Expects::Connector: addConnectors(); break;
        }
        std::stable_sort(m_items.begin(), m_items.end(), [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; });
        std::vector<Completions::Item> items;
        for (Ranked& ranked : m_items)
            if (items.size() < kMostItems)
                items.push_back(std::move(ranked.item));
        return items;
    }

private:
    struct Ranked {
        int rank;
        Completions::Item item;
    };

    void add(const std::string& text, const std::string& help)
    {
        // A text in quotes is found by what stands in them.
        const int rank = rankOf(text.starts_with('"') ? text.substr(1) : text, m_prefix);
        if (rank < 3)
            m_items.push_back({rank, {text, help}});
    }

    void addFields()
    {
        for (const RunField& field : m_fields)
            add(field.name, field.kind == RunField::Kind::Metric ? "metric" : field.kind == RunField::Kind::Document ? "document" : "run");
        addStatistics();
        add("not", "");
    }

    /// `test/accuracy.max` only where somebody writes at a metric: four names for each would hide the rest.
    void addStatistics()
    {
        for (const RunField& field : m_fields)
            if (field.kind == RunField::Kind::Metric && m_prefix.starts_with(core::lower(field.name)))
                for (const char* end : {".last", ".min", ".max", ".first"})
                    add(field.name + end, "metric");
    }

    const RunField* find(const std::string& name) const
    {
        const std::string lower = core::lower(name);
        const RunField* found = nullptr;
        for (const RunField& field : m_fields) {
            const std::string known = core::lower(field.name);
            if (known == lower)
                return &field;
            if (known.ends_with("." + lower) || known.ends_with("." + lower + ".id") || known == lower + ".id" || lower.starts_with(known + "."))
                found = &field;
        }
        return found;
    }

    void addOperators(const std::string& name)
    {
        const RunField* const field = find(name);
        if (!field)
            return;
        for (const char* sign : {"=", "!=", "<", "<=", ">", ">=", "~"})
            if (!(field->isNumber && sign[0] == '~'))
                add(sign, sign[0] == '~' ? "contains" : "");
        add("in", "one of");
        add("not in", "none of");
    }

    void addConnectors()
    {
        add("and", "");
        add("or", "");
        // Words side by side must all hold: a new condition may begin without an "and".
        if (!m_prefix.empty())
            addFields();
    }

    void addValues(const std::string& name)
    {
        if (const RunField* const field = find(name))
            for (const std::string& value : field->values)
                add(value, "");
        add("null", "not there");
    }

    const std::vector<RunField>& m_fields;
    const std::string m_prefix;
    std::vector<Ranked> m_items;
};

bool isPartial(const FilterToken& token, std::size_t cursor)
{
    const bool isWord = token.kind == FilterToken::Kind::Word || (token.kind == FilterToken::Kind::Text && !token.isWhole);
    return isWord && token.to == cursor;
}

}  // namespace

Completions completions(std::string_view text, std::size_t cursor, const std::vector<RunField>& fields)
{
    cursor = std::min(cursor, text.size());
    std::vector<FilterToken> tokens = filterTokens(text.substr(0, cursor));
    tokens.pop_back();
    Completions result{cursor, cursor, {}};
    std::string prefix;
    if (!tokens.empty() && isPartial(tokens.back(), cursor)) {
        prefix = tokens.back().text;
        result.from = tokens.back().from;
        tokens.pop_back();
    }
    Situation situation;
    for (const FilterToken& token : tokens)
        advance(situation, token);
    result.items = Completer(fields, prefix).itemsFor(situation);
    return result;
}

}  // namespace orrery::store
