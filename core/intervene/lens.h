#pragma once
#include "residual.h"

namespace orrery::intervene {

/// What a model would predict if it ended earlier: one row a place of the residual stream, one column a position. CPU tensors, float64 and int64.
struct LensGrid {
    std::vector<StreamPlace> places;
    std::int64_t offset = 1;       ///< each cell is about the token so many positions further
    at::Tensor tokens;             ///< [position]
    at::Tensor targets;            ///< [position] the true token `offset` further; -1 past the end
    at::Tensor topTokens;          ///< [place, position, k], most probable first
    at::Tensor topProbabilities;   ///< [place, position, k]
    at::Tensor entropy;            ///< [place, position] of the whole distribution, nats
    at::Tensor targetRank;         ///< [place, position] 1: the true token is the most probable; 0 where the target is unknown
    at::Tensor targetProbability;  ///< [place, position]; NaN where the target is unknown
    at::Tensor divergence;         ///< [place, position] KL(model's own || this), nats; NaN past the end
    double finalDifference = 0;    ///< largest difference of the last row's logits from the model's own (offset 1: 0 to the last bit)
};

struct LogitLensSettings {
    std::int64_t top = 5;
    bool middle = false;  ///< also between attention and MLP
};

/// Logit lens: each residual stream goes through the model's own final layer norm and head, by running the rest of the same graph on it. The last row is the
/// model's own prediction.
/// @param tokens  [1, position].
/// @throws core::InputError for a model without canonical transformer names or tokens that do not fit; core::ShapeError; core::Cancelled between rows.
/// Source: nostalgebraist (2020), "interpreting GPT: the logit lens" (LessWrong); divergence as in Belrose et al. (2023), "Eliciting Latent Predictions
/// from Transformers with the Tuned Lens", arXiv:2303.08112. Any thread. Cost: one run and one head a place.
LensGrid logitLens(const LensSubject& subject, const at::Tensor& tokens, const LogitLensSettings& settings, const Control& control = {});

/// An empty grid for `places` and tokens [1, position], to be filled row by row.
LensGrid emptyGrid(std::vector<StreamPlace> places, const at::Tensor& tokens, std::int64_t offset, std::int64_t top);
/// Fills one row from its logits [position, token]; `own` are the model's own logits for the same positions, shifted so that row t is about token t + offset.
void fillRow(LensGrid& grid, std::size_t row, const at::Tensor& logits, const at::Tensor& own);

}  // namespace orrery::intervene
