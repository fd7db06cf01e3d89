#include <cmath>
#include <fmt/format.h>

#include <core/base/error.h>

#include "width_training.h"

namespace orrery::scaling {
namespace {

using core::Json;

/// NaN where the training diverges: that is an answer here.
double lossAfter(WidthTraining& training, int steps, std::stop_token stop, const std::function<void()>& stepDone)
{
    int step = 0;
    try {
        for (; step < steps; ++step) {
            if (stop.stop_requested())
                throw core::Cancelled();
            training.step(step);
            stepDone();
        }
    } catch (const core::Cancelled&) {
        throw;
    } catch (const core::InputError&) {
        throw;
    } catch (const core::Error&) {
        for (; step < steps; ++step)
            stepDone();
        return std::nan("");
    }
    return training.loss();
}

}  // namespace

RateSweep sweepRates(const CoordinateRequest& request, const std::vector<double>& rates, const std::function<void(int, int)>& progress,
                     std::stop_token stop)
{
    if (rates.empty())
        throw core::InputError("rates: expected at least one learning rate, got none");
    for (const double rate : rates)
        if (!(rate > 0) || !std::isfinite(rate))
            throw core::InputError(fmt::format("rates: expected numbers above 0, got {}", rate));
    WidthTraining training(request, stop);
    RateSweep out{request.widths, rates, {}};
    const int total = int(request.widths.size() * rates.size()) * request.seeds * request.steps;
    int done = 0;
    const auto stepDone = [&] {
        if (progress)
            progress(++done, total);
    };
    for (const std::int64_t width : request.widths) {
        std::vector<double> row;
        for (const double rate : rates) {
            double sum = 0;
            for (int seed = 0; seed < request.seeds; ++seed) {
                training.start(width, seed, rate);
                sum += lossAfter(training, request.steps, stop, stepDone);
            }
            row.push_back(sum / request.seeds);
        }
        out.loss.push_back(std::move(row));
    }
    return out;
}

int RateSweep::best(std::size_t width) const
{
    int best = -1;
    for (std::size_t i = 0; i < rates.size(); ++i)
        if (std::isfinite(loss[width][i]) && (best < 0 || loss[width][i] < loss[width][std::size_t(best)]))
            best = int(i);
    return best;
}

Json RateSweep::toJson() const
{
    Json rows = Json::array();
    for (std::size_t i = 0; i < widths.size(); ++i) {
        Json values = Json::array();
        for (const double value : loss[i])
            values.push_back(std::isfinite(value) ? Json(value) : Json());
        const int at = best(i);
        rows.push_back({{"width", widths[i]}, {"loss", std::move(values)}, {"best_rate", at < 0 ? Json() : Json(rates[std::size_t(at)])}});
    }
    return {{"rates", rates}, {"widths", std::move(rows)}};
}

}  // namespace orrery::scaling
