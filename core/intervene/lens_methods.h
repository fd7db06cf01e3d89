#pragma once
#include <functional>
#include <variant>

#include <core/base/registry.h>
#include <core/store/workspace.h>

#include "attention.h"
#include "direct_logit_attribution.h"
#include "future_lens.h"
#include "induction.h"
#include "lens.h"
#include "memorisation.h"
#include "transplant.h"

/// The lenses by name, as command line, panel and store use them.
namespace orrery::intervene {

struct LensRequest {
    at::Tensor tokens;  ///< [1, position]; `induction` makes its own
    /// Token sequences [n, position] of the data, at most `count`: of the training part to fit on, of the test part to be scored on. Only `future`,
    /// `transplant` and `memorisation` ask.
    std::function<at::Tensor(std::int64_t count, bool heldOut)> texts;
    core::Json parameters;  ///< of the method, resolved by its schema
};

struct LensResult {
    std::string kind;
    core::Json parameters;
    core::Json document;  ///< everything that was found, as `orrery-cli lens --json` prints it
    at::Tensor array;     ///< what `--out` writes; the method's summary says what it holds
    std::variant<LensGrid, DirectLogitAttribution, AttentionPatterns, InductionScores, Memorisation> value;
    std::optional<FutureLensScore> score;  ///< of `future` and `transplant`, if samples were held out
    std::optional<Transplant> transplant;  ///< of `transplant`: its grid is `value`, too
};
using LensMethod = std::function<LensResult(const LensSubject& subject, const LensRequest& request, const Control& control)>;

/// Family "lens": logit_lens, future, transplant, direct_logit_attribution, attention, induction, memorisation. Any thread.
const core::Registry<LensMethod>& lensRegistry();
/// `induction` makes its own tokens, `memorisation` takes those of the data.
bool needsTokens(std::string_view kind);

/// Checks the parameters against the schema and computes. @throws core::DocumentError, core::InputError and what the method throws; core::Cancelled.
LensResult runLens(const LensSubject& subject, const std::string& kind, LensRequest request, const Control& control = {});

/// Columns of the array of a grid and of `induction`.
const std::vector<std::string>& gridColumns();
const std::vector<std::string>& headColumns();

/// Keeps a result as an analysis of a run, with the artifact "lens" (.npy). `inputs` says what it was applied to ("model", "data", "sample", "text"). Gives its number.
std::int64_t storeLens(store::Workspace& workspace, store::RunId run, const core::Json& inputs, const LensResult& result, double seconds);

}  // namespace orrery::intervene
