#pragma once
#include <QString>
#include <QStringList>
#include <memory>
#include <optional>
#include <vector>

#include <core/scaling/fit_document.h>
#include <core/scaling/isoflop.h>
#include <core/scaling/width/coordinate_check.h>
#include <widgets/plot_view.h>

/// What the Scaling panel shows, without widgets. Any thread.
namespace orrery::plugins {

using TablePtr = std::shared_ptr<const scaling::Table>;
using OutcomePtr = std::shared_ptr<const scaling::FitOutcome>;

/// Where the points come from: a table in a file, or runs of the workspace.
struct PointSource {
    bool runs = false;
    QString file;     ///< a CSV file
    QString query;    ///< which runs; empty: all
    QString sources;  ///< "N = parameters; D = train.steps * train.batch_size; loss = val/loss"
    bool isComplete() const;
    bool operator==(const PointSource&) const = default;
    core::Json toJson() const;
    /// Unknown and ill-typed keys are ignored.
    static PointSource fromJson(const core::Json& json);
    /// The options that make the command line read the same points.
    QStringList arguments() const;
};
/// @throws core::InputError for a part without "=".
std::map<std::string, std::string> sourcesOf(const QString& text);
/// @throws what readTable and tableOfRuns throw; core::InputError where no workspace is open.
TablePtr loadPoints(const PointSource& source, const std::shared_ptr<store::Workspace>& workspace);
/// What storeFit is told of the rows' origin, and back.
core::Json originOf(const PointSource& source);
PointSource sourceFromOrigin(const core::Json& origin);

/// What the plot of a fit holds. Positions are those of the points along one input.
struct FitPicture {
    struct Curve {
        QString title;
        widgets::PlotData data;
    };
    std::vector<double> x, y;          ///< points that were fitted
    std::vector<std::size_t> rows;     ///< of these: numbers in the table
    std::vector<double> heldX, heldY;  ///< points that were held out
    std::vector<std::size_t> heldRows;
    std::vector<Curve> curves;  ///< the law: along the input, at fixed values of the other one; with the bootstrap's band
    std::vector<double> residuals, heldResiduals;
};
/// @param input  Of the law, counted from 0.
FitPicture pictureOf(const scaling::FitOutcome& outcome, std::size_t input);
/// Number of the row whose point lies at (x, y); nothing if there is none.
std::optional<std::size_t> rowAt(const FitPicture& picture, double x, double y);

/// "240 starts, 238 converged, 231 ended with the best objective; ..."
QString certificateText(const scaling::Certificate& certificate);
QString heldOutText(const scaling::HeldOut& heldOut);
/// Five digits, as reports have them.
QString shortText(double value);
/// Numbers between commas. @throws core::InputError naming the part that is none.
std::vector<double> numbersIn(const QString& text, const char* what);

/// A sweep document: MLPs on the digits over width, depth and number of samples.
core::Json mlpSweep();
/// One network on growing fractions of its training part, tested on the same held-out samples: how the loss falls with data.
core::Json fractionSweep();
/// Trainings of one measured budget: the experiment of a model, with the steps that fit into `seconds` here.
core::Json equalComputeDocument(const std::string& model, std::int64_t batch, std::int64_t steps, double seconds);

}  // namespace orrery::plugins
