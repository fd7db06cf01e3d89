#include "lens_tables.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include <core/base/plain_zero.h>
#include <core/base/text.h>

#include "printable.h"

namespace orrery::cli {
namespace {

using namespace intervene;

/// One line a position, one column a place: the most probable token, or the tokens written on, with a probability.
std::string gridTable(const LensGrid& grid, const std::optional<Transplant>& transplant, const graph::ModelCard& card)
{
    const auto cell = [&](std::int64_t row, std::int64_t t) {
        const at::Tensor tokens = transplant ? transplant->tokens[row][t] : grid.topTokens[row][t].slice(0, 0, 1);
        return tokenCell(core::join(tokenNames(card, tokens), transplant && !card.tokenizer.is_object() ? " " : ""));
    };
    const auto names = tokenNames(card, grid.tokens);
    std::string text = fmt::format("{:>4} {:<8}", "pos", "token");
    for (const auto& place : grid.places)
        text += fmt::format(" {:<14}", place.label());
    text += '\n';
    for (std::int64_t t = 0; t < grid.tokens.size(0); ++t) {
        text += fmt::format("{:>4} {:<8}", t, tokenCell(names[std::size_t(t)]));
        for (std::int64_t row = 0; row < std::int64_t(grid.places.size()); ++row)
            text +=
                fmt::format(" {:<7} {:.3f} ", cell(row, t),
                            transplant ? transplant->probabilities[row][t].prod().item<double>() : grid.topProbabilities[row][t][0].item<double>());
        text += '\n';
    }
    const auto later = grid.offset == 1 ? std::string() : fmt::format(", {} later", grid.offset - 1);
    return text + fmt::format("last row against the model's own logits{}: {:.3g}\n", later, grid.finalDifference);
}

std::string scoreTable(const LensGrid& grid, const FutureLensScore& score)
{
    std::string text =
        fmt::format("held out: {} tokens read {} ahead\n{:<16} {:>9} {:>10}\n", score.predictions, grid.offset, "state", "right", "nats");
    for (std::size_t i = 0; i < grid.places.size(); ++i)
        text += fmt::format("{:<16} {:>9.4f} {:>10.4f}\n", grid.places[i].label(), score.accuracy[i], score.surprisal[i]);
    if (!std::isnan(score.bigramAccuracy))
        text += fmt::format("{:<16} {:>9.4f}\n", "bigram chain", score.bigramAccuracy);
    return text + fmt::format("{:<16} {:>9.4f}\n", "model, later", score.modelAccuracy);
}

std::string directTable(const DirectLogitAttribution& made, const graph::ModelCard& card)
{
    std::string what = fmt::format("logit of \"{}\"", tokenName(card, made.target));
    if (made.contrast)
        what += fmt::format(" minus that of \"{}\"", tokenName(card, *made.contrast));
    std::string text = fmt::format("{} at position {}: {:.6f}\n", what, made.position, core::plainZero(made.logit, 6));
    for (const Contribution& part : made.parts)
        text += fmt::format("{:<20} {:>12.6f}\n", part.label, core::plainZero(part.value, 6));
    return text + fmt::format("{:<20} {:>12.6f} (differs by {:.2g})\n", "sum", core::plainZero(made.sum, 6), made.error);
}

std::string headsTable(const HeadScores& scores)
{
    std::string text = fmt::format("{:<6} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "head", "previous", "duplicate", "induction", "first", "entropy");
    for (int block = 0; block < scores.induction.size(0); ++block)
        for (int head = 0; head < scores.induction.size(1); ++head) {
            text += fmt::format("{:<6}", HeadPlace{block, head}.text());
            for (const at::Tensor* column : {&scores.previousToken, &scores.duplicateToken, &scores.induction, &scores.firstToken, &scores.entropy})
                text += fmt::format(" {:>10.4f}", core::plainZero((*column)[block][head].item<double>(), 4));
            text += '\n';
        }
    return text;
}

std::string inductionSummary(const InductionScores& scores)
{
    std::string heads;
    for (const HeadPlace& place : scores.inductionHeads)
        heads +=
            fmt::format("{}{} ({:.3f})", heads.empty() ? "" : ", ", place.text(), scores.scores.induction[place.block][place.head].item<double>());
    return fmt::format("{} sequences of {} random tokens, repeated\ninduction heads      {}\nfirst half           loss {:.4f}, accuracy "
                       "{:.4f}\nsecond half          loss {:.4f}, accuracy {:.4f}\n",
                       scores.sequences, scores.length, heads.empty() ? fmt::format("none with a score of {} or more", kInductionThreshold) : heads,
                       scores.firstLoss, scores.firstAccuracy, scores.secondLoss, scores.secondAccuracy);
}

std::string memorisationText(const Memorisation& made)
{
    return fmt::format("{} of {} sequences by heart ({} tokens behind {}; {:.4f}), {:.2f} tokens right before the first other one",
                       made.extractable(), made.sequences(), made.continuation, made.prompt, made.share(), made.meanMatched());
}

struct Table {
    const LensResult& result;
    const graph::ModelCard& card;
    std::string operator()(const LensGrid& grid) const
    {
        return gridTable(grid, result.transplant, card) + (result.score ? scoreTable(grid, *result.score) : std::string());
    }
    std::string operator()(const DirectLogitAttribution& made) const { return directTable(made, card); }
    std::string operator()(const AttentionPatterns& made) const { return headsTable(made.scores); }
    std::string operator()(const InductionScores& made) const { return headsTable(made.scores) + inductionSummary(made); }
    std::string operator()(const Memorisation& made) const { return memorisationText(made) + '\n'; }
};

/// What stands out at one checkpoint.
struct Line {
    const graph::ModelCard& card;
    std::string operator()(const LensGrid& grid) const
    {
        const at::Tensor known = grid.targetProbability[std::int64_t(grid.places.size()) - 1];
        return fmt::format("mean probability of the true token {:.4f}", known.nanmean().item<double>());
    }
    std::string operator()(const DirectLogitAttribution& made) const
    {
        return fmt::format("logit of \"{}\" {:.4f}", tokenName(card, made.target), core::plainZero(made.logit, 4));
    }
    std::string operator()(const AttentionPatterns& made) const { return best(made.scores); }
    std::string operator()(const InductionScores& made) const
    {
        return fmt::format("{}, second half loss {:.4f}, accuracy {:.4f}", best(made.scores), made.secondLoss, made.secondAccuracy);
    }
    std::string operator()(const Memorisation& made) const { return memorisationText(made); }
    static std::string best(const HeadScores& scores)
    {
        const auto at = scores.induction.argmax().item<std::int64_t>(), heads = scores.induction.size(1);
        return fmt::format("best head {} induction {:.4f}", HeadPlace{int(at / heads), int(at % heads)}.text(),
                           scores.induction.reshape(-1)[at].item<double>());
    }
};

}  // namespace

std::string lensTable(const LensResult& result, const graph::ModelCard& card)
{
    return std::visit(Table{result, card}, result.value);
}

std::string checkpointLine(std::int64_t step, const CheckpointLoss& loss, const LensResult& result, const graph::ModelCard& card)
{
    const auto logged = std::isnan(loss.logged) ? std::string("none logged") : fmt::format("logged {:.5f}", loss.logged);
    return fmt::format("step {:>7}  val/loss {:.5f} ({})  {}\n", step, loss.computed, logged, std::visit(Line{card}, result.value));
}

core::Json jsonNumber(double value)
{
    return std::isfinite(value) ? core::Json(value) : core::Json();
}

}  // namespace orrery::cli
