#include "operator_rules.h"

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::debug {
namespace {

using RuleTerm = OperatorRules::Term;
using RuleCondition = OperatorRules::Condition;
using Symbols = std::map<std::string, std::int64_t>;

constexpr std::int64_t kSmallNumbers[] = {0, 1, 2, 3, 4, 5, 6};

bool isSize(const std::string& name)
{
    return name.find('.') != std::string::npos;
}

/// Terms by rising complexity: symbols, numbers, then what joins two symbols.
std::vector<RuleTerm> vocabulary(const Symbols& symbols, bool forOutput)
{
    std::vector<RuleTerm> terms;
    std::vector<std::string> names, attributes;
    for (const auto& [name, value] : symbols) {
        names.push_back(name);
        if (!isSize(name))
            attributes.push_back(name);
    }
    for (const auto& name : names)
        terms.push_back({RuleTerm::Kind::Symbol, name, {}, 0});
    for (const auto number : kSmallNumbers)
        terms.push_back({RuleTerm::Kind::Number, {}, {}, number});
    for (const auto& name : names)
        for (const auto& attribute : attributes) {
            if (name == attribute)
                continue;
            terms.push_back({RuleTerm::Kind::Product, name, attribute, 0});
            terms.push_back({RuleTerm::Kind::Padded, name, attribute, 0});
            terms.push_back({RuleTerm::Kind::Sum, name, attribute, 0});
        }
    if (!forOutput)
        return terms;
    for (std::size_t i = 0; i < names.size(); ++i)
        for (std::size_t k = i + 1; k < names.size(); ++k) {
            terms.push_back({RuleTerm::Kind::Larger, names[i], names[k], 0});
            terms.push_back({RuleTerm::Kind::Sum, names[i], names[k], 0});
        }
    for (const auto& a : names)
        for (const auto& b : names)
            if (a != b)
                terms.push_back({RuleTerm::Kind::Window, a, b, 0});
    return terms;
}

/// An attribute that is not there has its neutral value.
std::int64_t attributeOr(const Symbols& symbols, const char* name, std::int64_t standard)
{
    const auto found = symbols.find(name);
    return found == symbols.end() ? standard : found->second;
}

/// Conditions that hold in all valid calls and break in an invalid one, with the invalid calls they reject.
struct Candidate {
    RuleCondition condition;
    std::vector<std::size_t> rejects;
};

bool isConstant(const RuleTerm& term)
{
    return term.kind == RuleTerm::Kind::Number;
}

void addCandidate(RuleCondition condition, const std::vector<const OperatorCall*>& valid, const std::vector<const OperatorCall*>& invalid,
                  std::vector<Candidate>& out)
{
    for (const auto* call : valid)
        if (!condition.holds(call->symbols))
            return;
    Candidate candidate{std::move(condition), {}};
    for (std::size_t i = 0; i < invalid.size(); ++i)
        if (!candidate.condition.holds(invalid[i]->symbols))
            candidate.rejects.push_back(i);
    if (!candidate.rejects.empty())
        out.push_back(std::move(candidate));
}

/// Fewest conditions first: greedily those that reject most of what is left, the simplest of equals.
std::vector<RuleCondition> covering(std::vector<Candidate> candidates, std::size_t invalid)
{
    std::vector<bool> rejected(invalid, false);
    std::vector<RuleCondition> chosen;
    for (;;) {
        std::size_t best = candidates.size(), most = 0;
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            const auto fresh =
                std::size_t(std::count_if(candidates[i].rejects.begin(), candidates[i].rejects.end(), [&](auto at) { return !rejected[at]; }));
            if (fresh > most) {
                most = fresh;
                best = i;
            }
        }
        if (most == 0)
            return chosen;
        for (const auto at : candidates[best].rejects)
            rejected[at] = true;
        chosen.push_back(candidates[best].condition);
    }
}

}  // namespace

std::string OperatorRules::Term::text() const
{
    switch (kind) {
    case Kind::Symbol: return a;
    case Kind::Number: return std::to_string(number);
    case Kind::Product: return a + " * " + b;
    case Kind::Sum: return a + " + " + b;
    case Kind::Larger: return fmt::format("max({}, {})", a, b);
    case Kind::Padded: return fmt::format("{} + 2 * {}", a, b);
    case Kind::Window: return fmt::format("window({}, {})", a, b);
    }
    return {};
}

std::int64_t OperatorRules::Term::value(const std::map<std::string, std::int64_t>& symbols) const
{
    const auto of = [&](const std::string& name) { return symbols.at(name); };
    switch (kind) {
    case Kind::Symbol: return of(a);
    case Kind::Number: return number;
    case Kind::Product: return of(a) * of(b);
    case Kind::Sum: return of(a) + of(b);
    case Kind::Larger: return std::max(of(a), of(b));
    case Kind::Padded: return of(a) + 2 * of(b);
    case Kind::Window: {
        // How often a window of b elements fits into a, with padding at both ends, moved by the stride.
        const std::int64_t room = of(a) + 2 * attributeOr(symbols, "padding", 0) - of(b);
        return room < 0 ? -1 : room / attributeOr(symbols, "stride", 1) + 1;
    }
    }
    return 0;
}

std::string OperatorRules::Condition::text() const
{
    switch (kind) {
    case Kind::Equal: return a.text() + " = " + b.text();
    case Kind::AtMost: return a.text() + " <= " + b.text();
    case Kind::Below: return a.text() + " < " + b.text();
    case Kind::Broadcasts: return fmt::format("{} ~ {}", a.text(), b.text());
    case Kind::Divides: return fmt::format("{} divides {}", b.text(), a.text());
    }
    return {};
}

bool OperatorRules::Condition::holds(const std::map<std::string, std::int64_t>& symbols) const
{
    const std::int64_t left = a.value(symbols), right = b.value(symbols);
    switch (kind) {
    case Kind::Equal: return left == right;
    case Kind::AtMost: return left <= right;
    case Kind::Below: return left < right;
    case Kind::Broadcasts: return left == right || left == 1 || right == 1;
    case Kind::Divides: return right != 0 && left % right == 0;
    }
    return false;
}

OperatorRules::Rule OperatorRules::learnForm(const std::vector<const OperatorCall*>& calls)
{
    std::vector<const OperatorCall*> valid, invalid;
    for (const auto* call : calls)
        (call->valid ? valid : invalid).push_back(call);
    Rule rule;
    rule.everValid = !valid.empty();
    if (valid.empty())
        return rule;
    const auto terms = vocabulary(valid.front()->symbols, false);
    std::vector<Candidate> candidates;
    for (const auto kind :
         {Condition::Kind::Equal, Condition::Kind::Broadcasts, Condition::Kind::AtMost, Condition::Kind::Below, Condition::Kind::Divides})
        for (std::size_t i = 0; i < terms.size(); ++i)
            for (std::size_t k = 0; k < terms.size(); ++k) {
                const bool symmetric = kind == Condition::Kind::Equal || kind == Condition::Kind::Broadcasts;
                if (i == k || (symmetric && i > k) || (isConstant(terms[i]) && isConstant(terms[k])))
                    continue;
                addCandidate({kind, terms[i], terms[k]}, valid, invalid, candidates);
            }
    rule.conditions = covering(std::move(candidates), invalid.size());
    const auto sizes = vocabulary(valid.front()->symbols, true);
    for (std::size_t axis = 0; axis < valid.front()->output.size(); ++axis) {
        const auto found = std::find_if(sizes.begin(), sizes.end(), [&](const Term& term) {
            return std::all_of(valid.begin(), valid.end(),
                               [&](const auto* call) { return axis < call->output.size() && term.value(call->symbols) == call->output[axis]; });
        });
        rule.output.push_back(found == sizes.end() ? std::nullopt : std::optional(*found));
    }
    return rule;
}

OperatorRules OperatorRules::learn(const std::vector<OperatorCall>& calls)
{
    std::map<std::string, std::vector<const OperatorCall*>> byForm;
    for (const auto& call : calls)
        byForm[call.form].push_back(&call);
    OperatorRules rules;
    for (const auto& [form, members] : byForm)
        rules.m_rules[form] = learnForm(members);
    return rules;
}

std::string OperatorRules::objection(const OperatorCall& call) const
{
    const auto found = m_rules.find(call.form);
    if (found == m_rules.end() || !found->second.everValid)
        return call.form + ": was never seen valid";
    for (const auto& condition : found->second.conditions)
        if (!condition.holds(call.symbols))
            return call.form + ": expected " + condition.text();
    return {};
}

std::optional<std::vector<std::int64_t>> OperatorRules::outputShape(const OperatorCall& call) const
{
    const auto found = m_rules.find(call.form);
    if (found == m_rules.end() || !found->second.everValid)
        return std::nullopt;
    std::vector<std::int64_t> shape;
    for (const auto& term : found->second.output) {
        if (!term)
            return std::nullopt;
        shape.push_back(term->value(call.symbols));
    }
    return shape;
}

std::vector<std::string> OperatorRules::texts() const
{
    std::vector<std::string> texts;
    for (const auto& [form, rule] : m_rules) {
        if (!rule.everValid)
            continue;
        std::vector<std::string> conditions, sizes;
        for (const auto& condition : rule.conditions)
            conditions.push_back(condition.text());
        for (const auto& term : rule.output)
            sizes.push_back(term ? term->text() : "?");
        texts.push_back(fmt::format("{}: {} -> [{}]", form, conditions.empty() ? "always" : core::join(conditions, ", "), core::join(sizes, ", ")));
    }
    return texts;
}

RuleQuality judgeRules(const OperatorRules& rules, const std::vector<OperatorCall>& calls)
{
    RuleQuality quality;
    for (const auto& call : calls) {
        const bool accepts = rules.objection(call).empty();
        ++(call.valid ? quality.valid : quality.invalid);
        quality.accepted += call.valid && accepts;
        quality.rejected += !call.valid && !accepts;
        if (accepts != call.valid)
            ++(call.valid ? quality.missed[call.op].first : quality.missed[call.op].second);
        const auto shape = call.valid && accepts ? rules.outputShape(call) : std::nullopt;
        quality.shapes += shape.has_value();
        quality.rightShapes += shape && *shape == call.output;
    }
    return quality;
}

core::Json RuleQuality::toJson() const
{
    core::Json json = {{"valid", valid},       {"accepted", accepted}, {"invalid", invalid},
                       {"rejected", rejected}, {"shapes", shapes},     {"right_shapes", rightShapes}};
    json["missed"] = core::Json::object();
    for (const auto& [op, counts] : missed)
        json["missed"][op] = {{"valid", counts.first}, {"invalid", counts.second}};
    return json;
}

}  // namespace orrery::debug
