#pragma once
#include <core/report/plot.h>

#include "fit_document.h"
#include "isoflop.h"

/// Fits as pictures, for reports, the command line and saving.
namespace orrery::scaling {

/// The law along one input, on logarithmic axes: points, curve and, after a bootstrap, its band; rows that are held out in another colour.
/// For a law of two inputs there is one curve for each of up to five values of the second one. A law of more inputs is drawn as predicted over measured loss.
report::CurvePlot fitCurves(const FitOutcome& outcome);
/// Residuals in the objective's space over the same axis.
report::CurvePlot residualCurves(const FitOutcome& outcome);
/// Both, one below the other.
report::Drawing drawFit(const FitOutcome& outcome);
/// The profiles with their parabolas and minima.
report::Drawing drawIsoflop(const Isoflop& isoflop, const Points& points);

}  // namespace orrery::scaling
