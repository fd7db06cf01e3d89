#include "masking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/error.h>

#include "vocabulary.h"

namespace orrery::data {
namespace {

constexpr const char* kMaskedTarget = "masked_token";

void takeMasksBack(TokenView tokens)
{
    for (std::int64_t i = 0; i < tokens.count; ++i)
        if (tokens.targets[i] != kIgnoredTarget)
            tokens.inputs[i] = tokens.targets[i];
    std::fill(tokens.targets, tokens.targets + tokens.count, kIgnoredTarget);
}

}  // namespace

TokenMasking::TokenMasking(MaskingRules rules) : m_rules(std::move(rules))
{
    for (std::int64_t token = 0; token < m_rules.vocabulary; ++token)
        if (!isSpecial(token) && token != m_rules.mask)
            m_ordinary.push_back(token);
    if (m_ordinary.empty())
        throw core::InputError(fmt::format("expected a vocabulary with tokens that are not special, got {} special ones alone", m_rules.vocabulary));
}

bool TokenMasking::isSpecial(std::int64_t token) const
{
    return std::binary_search(m_rules.special.begin(), m_rules.special.end(), token);
}

std::int64_t TokenMasking::inPlaceOf(std::int64_t token, core::SplitMix64& random) const
{
    const double draw = random.uniform();
    if (draw < m_rules.kept)
        return token;
    return draw < m_rules.kept + m_rules.random ? m_ordinary[std::size_t(random.below(m_ordinary.size()))] : m_rules.mask;
}

void TokenMasking::applyToTokens(TokenView tokens, core::SplitMix64& random) const
{
    takeMasksBack(tokens);
    std::vector<std::int64_t> places;
    for (std::int64_t i = 0; i < tokens.count; ++i)
        if (!isSpecial(tokens.inputs[i]))
            places.push_back(i);
    const auto wanted = std::int64_t(std::floor(m_rules.share * double(places.size()) + random.uniform()));
    const std::size_t chosen = std::min(places.size(), std::size_t(std::max<std::int64_t>(1, wanted)));
    for (std::size_t i = 0; i < chosen; ++i) {
        std::swap(places[i], places[i + std::size_t(random.below(places.size() - i))]);
        const std::int64_t place = places[i], token = tokens.inputs[place];
        tokens.targets[place] = token;
        tokens.inputs[place] = inPlaceOf(token, random);
    }
}

void addMaskingParameters(core::Schema& schema)
{
    using namespace core;
    const std::vector<Json> masked{"masked"};
    schema.add(choice("objective", {"masked"}, "masked",
                      "What is to be predicted. masked: tokens that are hidden, for encoders such as BERT, hidden anew in each epoch of training and always the "
                      "same in evaluation; null: the next token.")
                   .noneByDefault());
    schema.add(real("mask_share", 0.15, "Share of the tokens that are to be predicted.").range(0, 1).above(0).when("objective", masked));
    schema.add(real("mask_random", 0.1, "Share of these in whose place another token stands instead of the mask.").range(0, 1).when("objective", masked));
    schema.add(real("mask_kept", 0.1, "Share of these that stay as they are.").range(0, 1).when("objective", masked));
    schema.add(integer("mask_seed", 0, "Seed of the masks of evaluation; those of training follow the experiment's seed.").atLeast(0).when("objective", masked));
}

std::shared_ptr<const TokenMasking> maskingOf(const core::Json& parameters, const Vocabulary& vocabulary)
{
    if (parameters.at("objective").is_null())
        return nullptr;
    MaskingRules rules;
    rules.share = parameters.at("mask_share").get<double>();
    rules.random = parameters.at("mask_random").get<double>();
    rules.kept = parameters.at("mask_kept").get<double>();
    if (rules.random + rules.kept > 1)
        throw core::InputError(fmt::format("data: expected mask_random + mask_kept of at most 1, got {} + {}", rules.random, rules.kept));
    const auto mask = vocabulary.mask();
    if (!mask)
        throw core::InputError("data.objective: expected a tokenizer with a mask ([MASK] or <mask>), got one without; `orrery-cli tokenize train --special "
                               "'<mask>'` makes one with it");
    rules.mask = *mask;
    rules.special = vocabulary.special();
    if (!std::binary_search(rules.special.begin(), rules.special.end(), *mask))
        rules.special.insert(std::upper_bound(rules.special.begin(), rules.special.end(), *mask), *mask);
    rules.vocabulary = vocabulary.size();
    return std::make_shared<TokenMasking>(std::move(rules));
}

bool predictsMaskedTokens(const DataInfo& info)
{
    return info.target.name == kMaskedTarget;
}

void describeMaskedTarget(DataInfo& info)
{
    info.target.name = kMaskedTarget;
}

}  // namespace orrery::data
