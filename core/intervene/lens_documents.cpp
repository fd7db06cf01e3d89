#include "lens_documents.h"

#include <ATen/ATen.h>

#include <cmath>

namespace orrery::intervene {
namespace {

core::Json number(double value)
{
    return std::isfinite(value) ? core::Json(value) : core::Json();
}

core::Json cellDocument(const LensGrid& grid, std::int64_t row, std::int64_t position, const graph::ModelCard& card)
{
    core::Json top = core::Json::array();
    for (std::int64_t k = 0; k < grid.topTokens.size(2); ++k) {
        const auto token = grid.topTokens[row][position][k].item<std::int64_t>();
        top.push_back(
            {{"token", token}, {"name", tokenName(card, token)}, {"probability", number(grid.topProbabilities[row][position][k].item<double>())}});
    }
    const auto rank = grid.targetRank[row][position].item<std::int64_t>();
    return {{"top", top},
            {"entropy", number(grid.entropy[row][position].item<double>())},
            {"target_rank", rank > 0 ? core::Json(rank) : core::Json()},
            {"target_probability", number(grid.targetProbability[row][position].item<double>())},
            {"kl", number(grid.divergence[row][position].item<double>())}};
}

}  // namespace

core::Json nested(const at::Tensor& tensor)
{
    if (tensor.dim() == 0)
        return at::isIntegralType(tensor.scalar_type(), true) ? core::Json(tensor.item<std::int64_t>()) : number(tensor.item<double>());
    core::Json list = core::Json::array();
    for (std::int64_t i = 0; i < tensor.size(0); ++i)
        list.push_back(nested(tensor[i]));
    return list;
}

core::Json gridDocument(const LensGrid& grid, const graph::ModelCard& card)
{
    core::Json rows = core::Json::array();
    for (std::size_t row = 0; row < grid.places.size(); ++row) {
        core::Json cells = core::Json::array();
        for (std::int64_t position = 0; position < grid.tokens.size(0); ++position)
            cells.push_back(cellDocument(grid, std::int64_t(row), position, card));
        rows.push_back({{"place", grid.places[row].canonical}, {"value", grid.places[row].value}, {"cells", std::move(cells)}});
    }
    return {{"offset", grid.offset},
            {"tokens", nested(grid.tokens)},
            {"token_names", tokenNames(card, grid.tokens)},
            {"rows", std::move(rows)},
            {"final_difference", number(grid.finalDifference)}};
}

at::Tensor gridArray(const LensGrid& grid)
{
    const at::Tensor rank = grid.targetRank.to(at::kDouble);
    return at::stack({grid.topTokens.select(2, 0).to(at::kDouble), grid.topProbabilities.select(2, 0), grid.entropy,
                      at::where(rank > 0, rank, at::full({}, std::nan(""), at::kDouble)), grid.targetProbability, grid.divergence},
                     2);
}

core::Json transplantDocument(const Transplant& made, const graph::ModelCard& card)
{
    core::Json document = gridDocument(made.grid, card);
    document.update({{"context", nested(made.context)}, {"context_names", tokenNames(card, made.context)}});
    const auto names = tokenNames(card, made.tokens);
    const std::int64_t offset = made.tokens.size(2);
    auto name = names.begin();
    for (std::int64_t row = 0; row < made.tokens.size(0); ++row)
        for (std::int64_t position = 0; position < made.tokens.size(1); ++position, name += offset)
            document["rows"][std::size_t(row)]["cells"][std::size_t(position)].update(
                {{"written", nested(made.tokens[row][position])},
                 {"written_names", std::vector<std::string>(name, name + offset)},
                 {"written_probabilities", nested(made.probabilities[row][position])}});
    return document;
}

core::Json promptDocument(const SoftPrompts& learned, const std::vector<StreamPlace>& places)
{
    core::Json rows = core::Json::array();
    for (std::size_t i = 0; i < places.size(); ++i)
        rows.push_back({{"place", places[i].canonical}, {"before", number(learned.before[i])}, {"after", number(learned.after[i])}});
    return {{"loss", "KL(own || transplanted), nats"}, {"places", std::move(rows)}, {"states", learned.states}};
}

core::Json scoreDocument(const FutureLensScore& score, const std::vector<StreamPlace>& places)
{
    core::Json rows = core::Json::array();
    for (std::size_t i = 0; i < places.size(); ++i)
        rows.push_back({{"place", places[i].canonical}, {"accuracy", score.accuracy[i]}, {"surprisal", number(score.surprisal[i])}});
    return {{"places", std::move(rows)},
            {"bigram_accuracy", number(score.bigramAccuracy)},
            {"model_accuracy", score.modelAccuracy},
            {"predictions", score.predictions}};
}

core::Json directDocument(const DirectLogitAttribution& made, const graph::ModelCard& card)
{
    core::Json parts = core::Json::array();
    for (const Contribution& part : made.parts) {
        core::Json row{{"label", part.label}, {"kind", part.kind}, {"value", number(part.value)}};
        if (part.block >= 0)
            row["layer"] = part.block;
        if (part.head >= 0)
            row["head"] = part.head;
        parts.push_back(std::move(row));
    }
    core::Json document{{"position", made.position}, {"target", made.target}, {"target_name", tokenName(card, made.target)}};
    if (made.contrast)
        document.update({{"contrast", *made.contrast}, {"contrast_name", tokenName(card, *made.contrast)}});
    document.update({{"logit", number(made.logit)},
                     {"sum", number(made.sum)},
                     {"error", number(made.error)},
                     {"norm_scale", made.normScale},
                     {"contributions", std::move(parts)}});
    return document;
}

core::Json headsDocument(const HeadScores& scores)
{
    return {{"previous_token", nested(scores.previousToken)},
            {"duplicate_token", nested(scores.duplicateToken)},
            {"induction", nested(scores.induction)},
            {"first_token", nested(scores.firstToken)},
            {"entropy", nested(scores.entropy)}};
}

at::Tensor headsArray(const HeadScores& scores)
{
    return at::stack({scores.previousToken, scores.duplicateToken, scores.induction, scores.firstToken, scores.entropy}, 2);
}

core::Json inductionDocument(const InductionScores& scores)
{
    core::Json heads = core::Json::array();
    for (const HeadPlace& place : scores.inductionHeads)
        heads.push_back({{"head", place.text()}, {"score", scores.scores.induction[place.block][place.head].item<double>()}});
    return {{"length", scores.length},
            {"sequences", scores.sequences},
            {"vocabulary", scores.vocabulary},
            {"induction_heads", std::move(heads)},
            {"threshold", kInductionThreshold},
            {"scores", headsDocument(scores.scores)},
            {"first_half", {{"loss", number(scores.firstLoss)}, {"accuracy", number(scores.firstAccuracy)}}},
            {"second_half", {{"loss", number(scores.secondLoss)}, {"accuracy", number(scores.secondAccuracy)}}},
            {"position_loss", nested(scores.loss)}};
}

core::Json memorisationDocument(const Memorisation& made)
{
    return {{"prompt", made.prompt}, {"continuation", made.continuation},  {"sequences", made.sequences()},  {"extractable", made.extractable()},
            {"share", made.share()}, {"mean_matched", made.meanMatched()}, {"matched", nested(made.matched)}};
}

}  // namespace orrery::intervene
