#include <iostream>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/data/dataset.h>
#include <core/report/html.h>
#include <core/scaling/width/coordinate_plot.h>
#include <core/train/document_file.h>
#include <core/zoo/zoo.h>

#include "../number_checks.h"
#include "../output_file.h"
#include "scaling.h"

namespace orrery::cli {
namespace {

struct CheckOptions {
    std::string model, parametrisation, data, plot;
    std::vector<std::int64_t> widths{64, 128, 256, 512, 1024};
    std::vector<double> rates;
    std::vector<std::string> settings;
    std::int64_t baseWidth = 0, samples = 0;
    int seeds = 3, steps = 0;
    std::string optimizer;
    double rate = 0;
};

scaling::CoordinateRequest checkRequestOf(const Session& session, const CheckOptions& options)
{
    scaling::CoordinateRequest request;
    if (zoo::isZooReference(options.model)) {
        request.document = scaling::coordinateDocument(options.model);
    } else if (std::error_code ignored; !std::filesystem::exists(options.model, ignored)) {
        throw core::InputError(fmt::format("{}: no such file; expected zoo:mlp, zoo:gpt, zoo:vit or an experiment document", options.model));
    } else {
        request.document = train::readDocument(options.model);
        request.folder = std::filesystem::absolute(options.model).parent_path();
    }
    if (!options.data.empty())
        request.document["data"] = data::dataDocument(options.data);
    if (!options.optimizer.empty())
        request.document["train"]["optimizer"] = {{"id", options.optimizer}};
    if (options.rate > 0)
        core::setByPath(request.document, fmt::format("train.optimizer.lr={}", options.rate));
    if (session.seedGiven)
        request.document["seed"] = session.seed;
    for (const std::string& setting : options.settings)
        core::setByPath(request.document, setting);
    request.widths = options.widths;
    request.parametrisation = options.parametrisation;
    request.baseWidth = options.baseWidth;
    request.seeds = options.seeds;
    request.steps = options.steps > 0 ? options.steps : options.rates.empty() ? 5 : 40;
    request.samples = options.samples > 0 ? options.samples : options.rates.empty() ? 64 : 512;
    return request;
}

void writePlot(const std::string& file, const report::CurvePlot& plot, const std::string& title)
{
    core::writeFileAtomically(file, report::toSvg(report::drawCurves(plot), title, title + ": " + plot.y.title + " over " + plot.x.title));
}

/// A row a layer: mean change at each width, then the exponents.
void printCheck(const scaling::CoordinateCheck& check)
{
    std::size_t width = 5;
    for (const std::string& layer : check.layers)
        width = std::max(width, layer.size());
    std::cout << fmt::format("{} {}, mean |change| after {} steps, {} seeds\n{:<{}}", check.architecture, check.parametrisation, check.steps,
                             check.seeds, "layer", width);
    for (const std::int64_t each : check.widths)
        std::cout << fmt::format(" {:>10}", each);
    std::cout << fmt::format(" {:>10} {:>10}\n", "exponent", "of |h|");
    for (const std::string& layer : check.layers) {
        std::cout << fmt::format("{:<{}}", layer, width);
        for (const std::int64_t each : check.widths)
            std::cout << fmt::format(" {:>10.4g}", check.mean(layer, each, check.steps, true));
        const scaling::CoordinateSlope& slope = check.slope(layer, check.steps);
        std::cout << fmt::format(" {:>+10.3f} {:>+10.3f}\n", slope.change, slope.activation);
    }
}

void printSweep(const scaling::RateSweep& sweep, int steps)
{
    std::cout << fmt::format("loss after {} steps\n{:<8}", steps, "width");
    for (const double rate : sweep.rates)
        std::cout << fmt::format(" {:>10.4g}", rate);
    std::cout << fmt::format(" {:>10}\n", "best");
    for (std::size_t i = 0; i < sweep.widths.size(); ++i) {
        std::cout << fmt::format("{:<8}", sweep.widths[i]);
        for (const double loss : sweep.loss[i])
            std::cout << fmt::format(" {:>10.4g}", loss);
        const int best = sweep.best(i);
        std::cout << fmt::format(" {:>10}\n", best < 0 ? "none" : fmt::format("{:.4g}", sweep.rates[std::size_t(best)]));
    }
}

Exit checkWidths(Session& session, const CheckOptions& options)
{
    requireSvg(options.plot);
    session.applyThreads();
    const scaling::CoordinateRequest request = checkRequestOf(session, options);
    const auto progress = [&](int done, int total) { session.showProgress(done, total, "steps"); };
    core::Json document;
    report::CurvePlot plot;
    if (options.rates.empty()) {
        const scaling::CoordinateCheck check = scaling::checkCoordinates(request, progress, session.stopToken());
        session.endProgress();
        document = check.toJson();
        plot = scaling::coordinatePlot(check, check.steps);
        if (!session.json)
            printCheck(check);
    } else {
        const scaling::RateSweep sweep = scaling::sweepRates(request, options.rates, progress, session.stopToken());
        session.endProgress();
        document = sweep.toJson();
        plot = scaling::ratePlot(sweep);
        if (!session.json)
            printSweep(sweep, request.steps);
    }
    if (!options.plot.empty()) {
        writePlot(options.plot, plot, options.rates.empty() ? "Coordinate check" : "Learning rates over widths");
        document["plot"] = options.plot;
        if (!session.json)
            std::cout << "written to " << options.plot << "\n";
    }
    if (session.json)
        session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareScalingCoordCheck(CLI::App& app)
{
    auto options = std::make_shared<CheckOptions>();
    app.add_option("MODEL", options->model, "zoo:mlp, zoo:gpt or zoo:vit with parameters, or an experiment document with such a model.")->required();
    app.add_option("--widths", options->widths, "Widths: 64,128,256,512,1024.")->delimiter(',');
    app.add_option("--parametrisation", options->parametrisation, "standard, mup, ntk or mean_field; without it as the model says.");
    app.add_option("--base-width", options->baseWidth, "Width at which all parametrisations are the same; without it the smallest.")
        ->check(positive());
    app.add_option("--seeds", options->seeds, "Models at each width.")->check(positive());
    app.add_option("--steps", options->steps, "Training steps; without it 5, with --rates 40 (200 tell rates apart more surely).")->check(positive());
    app.add_option("--samples", options->samples, "Samples that are measured on; without it 64, with --rates 512.")->check(positive());
    app.add_option("--rates", options->rates, "Learning rates: the loss at each width and rate instead of the check.")->delimiter(',');
    app.add_option("--optimizer", options->optimizer, "Optimizer: adam (the default of a zoo model), sgd, ...");
    app.add_option("--lr", options->rate, "Learning rate.")->check(positive());
    app.add_option("--data", options->data, "Data set; without it the digits, for gpt the bundled text.");
    app.add_option("--set", options->settings, "Change the experiment document: train.batch_size=32.");
    app.add_option("--plot", options->plot, "Write the plot as SVG.");
    return [options](Session& session) { return checkWidths(session, *options); };
}

}  // namespace orrery::cli
