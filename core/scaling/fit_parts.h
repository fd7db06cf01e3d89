#pragma once
#include <atomic>

#include <core/kernels/parallel.h>

#include "solver.h"

/// Internal to core/scaling: what fits and resamples share.
namespace orrery::scaling {

/// For what is kept: to the last digits.
inline constexpr SolverOptions kFinest{500, 1e-24, 1e-9};

/// A start drawn evenly from the law's ranges.
std::vector<double> randomStart(const Law& law, const Rows& rows, std::span<const double> loss, std::uint64_t seed);
std::vector<double> logsOf(std::span<const double> values);
/// Fills in predictions, residuals and r2 of the parameters.
/// Predictions of the rows that are held out, and their errors.
void addErrors(const Law& law, const Points& points, HeldOut& held);
void completeFit(const Law& law, const Points& points, const Objective& objective, FitResult& fit);

/// work(i) for each i of [0, count) on the context's cores, in any order. Between two, stop requests are looked at, and on the calling thread progress is told.
/// @throws core::Cancelled and what `work` throws.
template <class Work>
void forEachOnCores(jobs::Context& context, std::size_t count, const char* unit, const char* phase, const Work& work)
{
    std::atomic<std::size_t> next{0};
    const auto stop = context.stopToken();
    context.pausePoint();
    kernels::parallelFor(0, std::max(1, context.threads()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t share = begin; share < end; ++share)
            for (std::size_t i; (i = next.fetch_add(1)) < count;) {
                if (stop.stop_requested())
                    throw core::Cancelled();
                if (share == 0)
                    context.progress(double(i), double(count), unit, phase);
                work(i);
            }
    });
    context.progress(double(count), double(count), unit, phase);
}

}  // namespace orrery::scaling
