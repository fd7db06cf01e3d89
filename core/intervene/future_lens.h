#pragma once
#include "lens.h"

namespace orrery::intervene {

struct FutureLensSettings {
    std::int64_t offset = 2;  ///< tokens ahead; 1 is the next token
    double ridge = 1e-3;      ///< strength of the penalty, relative to the mean variance of the states' features
};

/// Linear maps that carry a hidden state at each place to the last residual stream `offset - 1` positions later. Fitted once on texts; then it reads tokens
/// ahead from one state. Immutable; any thread.
struct FutureLens {
    FutureLensSettings settings;
    std::vector<StreamPlace> places;
    std::vector<at::Tensor> weights, biases;  ///< one a place: [feature, feature] and [feature], float64; the carried state is x + x W + b
    std::int64_t pairs = 0;                   ///< states fitted on
    at::Tensor bigrams;                       ///< [token, token] rows sum to 1: next-token frequencies of the same texts; undefined above 4096 tokens
};

/// Ridge regression in closed form, of y - x on x (both centred), y the last residual stream `offset - 1` positions later: the penalty draws towards "the state
/// stays as it is", not towards zero. So the last place with offset 1 is the identity to the last bit, and the grid's last row is the model's own prediction.
/// (The paper trains its linear models without that.)
/// @param sequences  [sequence, position] of the texts to fit on.
/// @throws core::InputError for an offset below 1 or too large for the sequences, a ridge that is negative, or fewer states than would determine anything; core::Cancelled.
/// Source: Pal, Sun, Yuan, Wallace & Bau (2023), "Future Lens: Anticipating Subsequent Tokens from a Single Hidden State", arXiv:2311.04897, section on linear
/// approximation; Hoerl & Kennard (1970), doi:10.1080/00401706.1970.10488634.
FutureLens fitFutureLens(const LensSubject& subject, const at::Tensor& sequences, const FutureLensSettings& settings, const Control& control = {});

/// States [..., feature] of a place as the map carries them, in the states' own type.
at::Tensor carried(const FutureLens& lens, std::size_t place, const at::Tensor& states);

/// The grid of the logit lens for tokens `offset` ahead. Divergence is from what the model itself says `offset - 1` positions later. @param tokens  [1, position].
LensGrid futureLensGrid(const LensSubject& subject, const FutureLens& lens, const at::Tensor& tokens, std::int64_t top, const Control& control = {});

/// How often the token `offset` ahead is right.
struct FutureLensScore {
    std::vector<double> accuracy;   ///< one a place
    std::vector<double> surprisal;  ///< mean of -log p(true token), nats
    double bigramAccuracy = 0;      ///< of the most probable token under `offset` steps of the bigram chain; NaN without bigrams
    double modelAccuracy = 0;       ///< of the model itself `offset - 1` positions later, which has seen the tokens between
    std::int64_t predictions = 0;
};
/// @param sequences  [sequence, position] held out from the fit. As `fitFutureLens`.
FutureLensScore scoreFutureLens(const LensSubject& subject, const FutureLens& lens, const at::Tensor& sequences, const Control& control = {});

}  // namespace orrery::intervene
