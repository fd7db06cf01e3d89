#pragma once
#include <cstdint>

/// Loops on libtorch's own threads. `at::parallel_for` is a template of a header that runs on one thread unless the source that includes it is compiled with
/// OpenMP; this one always uses the threads that libtorch itself would.
namespace orrery::kernels {

/// Calls work(context, from, to) for stretches of [begin, end): see `parallelFor`.
void runInParallel(std::int64_t begin, std::int64_t end, std::int64_t grain, void (*work)(const void* context, std::int64_t from, std::int64_t to),
                   const void* context);

/// Calls work(from, to) for at most as many stretches of [begin, end) as the calling thread has threads (`at::set_num_threads`), each at least `grain` long but
/// the last. The stretches depend on the number of threads alone. On one thread where there is no OpenMP, and inside another such loop. What `work` throws is
/// thrown again once all threads are done. The settings of libtorch that belong to a thread (no gradients, autocast) are the caller's on the caller's thread alone.
template <class Work>
void parallelFor(std::int64_t begin, std::int64_t end, std::int64_t grain, const Work& work)
{
    runInParallel(
        begin, end, grain, [](const void* context, std::int64_t from, std::int64_t to) { (*static_cast<const Work*>(context))(from, to); }, &work);
}

}  // namespace orrery::kernels
