#include "machine_peaks.h"

#include <chrono>
#include <vector>

#include <core/base/devices.h>
#include <core/kernels/parallel.h>

namespace orrery::debug {

double measureTriad()
{
    using Clock = std::chrono::steady_clock;
    constexpr std::int64_t kCount = std::int64_t(8) << 20;  // 32 MiB an array
    std::vector<float> a(std::size_t(kCount), 0.f), b(std::size_t(kCount), 1.f), c(std::size_t(kCount), 2.f);
    float *out = a.data(), *left = b.data(), *right = c.data();
    double best = 1e30;
    const auto start = Clock::now();
    for (int i = 0; i < 30 && (i < 3 || Clock::now() - start < std::chrono::milliseconds(300)); ++i) {
        const auto before = Clock::now();
        kernels::parallelFor(0, kCount, 1 << 16, [=](std::int64_t from, std::int64_t to) {
            for (std::int64_t k = from; k < to; ++k)
                out[k] = left[k] + 3.f * right[k];
        });
        if (i > 0)  // The first touches the pages.
            best = std::min(best, std::chrono::duration<double>(Clock::now() - before).count());
    }
    return out[kCount / 2] == 7.f ? 3.0 * 4.0 * double(kCount) / best * 1e-9 : 0;
}

MachinePeaks measurePeaks()
{
    return {core::measureGemm(), measureTriad()};
}

}  // namespace orrery::debug
