#pragma once
#include <vector>

#include "augmentation.h"
#include "dataset.h"

namespace orrery::data {

class Vocabulary;

/// Masked language modelling: some tokens are chosen; of these most become the mask, some another token and some stay, and the model is to say what stood there.
/// Source: Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", arXiv:1810.04805, section 3.1, task 1. A token
/// that stands in for another is drawn from all tokens but the special ones.
struct MaskingRules {
    double share = 0.15;   ///< of the tokens that are not special; rounded up or down at random, so that it is exact in the mean, but at least one token
    double random = 0.1;   ///< of the chosen ones: another token stands there
    double kept = 0.1;     ///< of the chosen ones: the token itself stays
    std::int64_t mask = 0;                ///< the token that hides another
    std::vector<std::int64_t> special;    ///< never chosen, and never put in; ascending
    std::int64_t vocabulary = 0;          ///< tokens in all
};

/// Draws masks. Applied to a sample that is masked already, it takes those masks back first: a loader so gives fresh ones for each epoch (Liu et al. (2019), "RoBERTa",
/// arXiv:1907.11692, section 4.1, dynamic masking), while the set itself keeps the same ones for evaluation.
class TokenMasking : public Augmentation {
public:
    /// @throws core::InputError if there is no token that could stand in for another.
    explicit TokenMasking(MaskingRules rules);
    /// Targets become the token that stood there, and `kIgnoredTarget` where none was chosen.
    void applyToTokens(TokenView tokens, core::SplitMix64& random) const override;
    const MaskingRules& rules() const { return m_rules; }

private:
    bool isSpecial(std::int64_t token) const;
    std::int64_t inPlaceOf(std::int64_t token, core::SplitMix64& random) const;

    MaskingRules m_rules;
    std::vector<std::int64_t> m_ordinary;  ///< tokens that are not special
};

/// The parameters `objective` (null: the next token) and, with "masked", `mask_share`, `mask_random`, `mask_kept` and `mask_seed`.
void addMaskingParameters(core::Schema& schema);
/// The masking that resolved parameters ask for; null: none.
/// @throws core::InputError for shares of more than 1 together, or a vocabulary without a mask.
std::shared_ptr<const TokenMasking> maskingOf(const core::Json& parameters, const Vocabulary& vocabulary);
/// True if a set's targets are hidden tokens rather than the next ones.
bool predictsMaskedTokens(const DataInfo& info);
/// Says so in the target's port.
void describeMaskedTarget(DataInfo& info);

}  // namespace orrery::data
