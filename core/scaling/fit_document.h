#pragma once
#include "fit.h"

/// Fits as documents: what is asked for, what came out, and how both are kept in a workspace.
namespace orrery::scaling {

/// `law, objective, delta, space, search, starts, seed, columns, scale, hold_out, below, resamples, level, restarts`. The one definition behind the command line, the
/// panel's form and the stored request.
const core::Schema& fitSchema();

struct FitRequest {
    core::Json law = {{"id", "chinchilla"}};  ///< resolved
    Objective objective;
    StartOptions starts;
    ColumnMap columns;
    std::string holdOut;         ///< column; empty: nothing is held out
    double below = 0;            ///< rows with less of it are fitted
    BootstrapOptions bootstrap;  ///< resamples 0: none
};
/// @throws core::DocumentError naming what is wrong.
FitRequest requestFromJson(const core::Json& document);
/// Resolved; reads back to the same request.
core::Json toJson(const FitRequest& request);

struct FitOutcome {
    FitRequest request;
    LawPtr law;
    Points points;
    FitResult fit;  ///< to all rows, or to those below the cut-off
    std::optional<HeldOut> heldOut;
    std::optional<Bootstrap> bootstrap;
};

/// Makes the law, takes its columns, fits, holds out and resamples as asked. A job's function: progress by starts and resamples. @throws as the parts.
FitOutcome runFit(const FitRequest& request, const Table& table, jobs::Context& context);

/// `{"law", "formula", "parameters": {"A": ...}, "objective": {"name", "delta", "space", "value"}, "rows", "inputs", "r2", "certificate": {...},
/// "held_out": {...}, "bootstrap": {"resamples", "level", "intervals": {"A": [low, high]}}}`; NaN is null.
core::Json resultJson(const FitOutcome& outcome);

/// A law with its parameters: what planning needs of a fit.
struct FittedLaw {
    LawPtr law;
    std::vector<double> parameters;
};
/// Out of a document of `resultJson`, or `{"law": ID, "parameters": {...}}`. @param name  For messages. @throws core::FormatError naming the place.
FittedLaw fittedLawFromJson(const core::Json& document, const std::string& name);

/// Method of stored fits. An analysis holds inputs = what the rows are made of, parameters = the request, results = `resultJson`, and the artifacts "points" (CSV of the
/// columns that were used) and, after a bootstrap, "resamples" (CSV of its parameters).
inline constexpr const char* kFitMethod = "scaling_fit";
/// @param data  Where the rows come from: {"file": ...} or {"query": ..., "sources": {...}}. @return the analysis' number.
std::int64_t storeFit(store::Workspace& workspace, const FitOutcome& outcome, const core::Json& data, double seconds);

struct StoredFit {
    store::Analysis analysis;
    FitOutcome outcome;  ///< as it was; residuals and predictions are computed anew
};
/// @throws core::InputError for an analysis that is no fit, core::FormatError or core::StorageError for a damaged one.
StoredFit readFit(const store::Workspace& workspace, std::int64_t analysis);

}  // namespace orrery::scaling
