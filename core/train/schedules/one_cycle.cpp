// One cycle up and down.

#include <algorithm>
#include <cmath>
#include <numbers>

#include "../schedule.h"

namespace orrery::train {
namespace {

double anneal(double start, double end, double t, bool cosine)
{
    return cosine ? end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * t)) : start + (end - start) * t;
}

}  // namespace

// PyTorch's two-phase form; it also cycles momentum, which we leave alone.
void addOneCycleSchedule(ScheduleRegistry& registry)
{
    using namespace core;
    registry.add({"one_cycle",
                  "One cycle",
                  "Rises from lr / div_factor to the learning rate, then falls to lr / (div_factor * final_div_factor); momentum is not cycled.",
                  "Smith & Topin (2017), \"Super-Convergence\", arXiv:1708.07120; torch.optim.lr_scheduler.OneCycleLR",
                  {real("pct_start", 0.3, "Fraction of the steps that rise").range(0, 1),
                   choice("anneal_strategy", {"cos", "linear"}, "cos", "Shape of both phases"),
                   real("div_factor", 25, "Maximum over initial learning rate").above(0).log(),
                   real("final_div_factor", 1e4, "Initial over final learning rate").above(0).log()},
                  {},
                  {}},
                 [](const Json& settings) -> ScheduleFunction {
                     const double initial = 1 / settings.at("div_factor").get<double>();
                     const double last = initial / settings.at("final_div_factor").get<double>();
                     return [=, rising = settings.at("pct_start").get<double>(),
                             cosine = settings.at("anneal_strategy") == "cos"](const ScheduleStep& at) {
                         const double t = double(at.step), peak = rising * double(at.total) - 1, end = double(at.total) - 1;
                         if (t <= peak && peak > 0)
                             return anneal(initial, 1, t / peak, cosine);
                         return end > peak ? anneal(1, last, std::min(1.0, (t - std::max(peak, 0.0)) / (end - std::max(peak, 0.0))), cosine) : last;
                     };
                 });
}

}  // namespace orrery::train
