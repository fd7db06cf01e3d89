#include "parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <exception>
#include <mutex>

// Those of whichever OpenMP libtorch has brought into the process; none: one thread.
extern "C" {
void GOMP_parallel(void (*function)(void*), void* data, unsigned threads, unsigned flags) __attribute__((weak));
int omp_get_num_threads() __attribute__((weak));
int omp_get_thread_num() __attribute__((weak));
}

namespace orrery::kernels {
namespace {

struct Loop {
    std::int64_t begin, end, grain;
    void (*work)(const void*, std::int64_t, std::int64_t);
    const void* context;
    std::mutex mutex;
    std::exception_ptr error;  ///< the first one; guarded by mutex

    void runStretch(std::int64_t thread, std::int64_t threads)
    {
        const std::int64_t count = end - begin, stretches = grain > 0 ? std::min(threads, (count + grain - 1) / grain) : threads;
        const std::int64_t length = (count + stretches - 1) / stretches, from = begin + thread * length;
        if (from >= end)
            return;
        try {
            const at::internal::ThreadIdGuard number{int(thread)};
            work(context, from, std::min(end, from + length));
        } catch (...) {
            const std::scoped_lock lock(mutex);
            if (!error)
                error = std::current_exception();
        }
    }
};

}  // namespace

void runInParallel(std::int64_t begin, std::int64_t end, std::int64_t grain, void (*work)(const void* context, std::int64_t from, std::int64_t to),
                   const void* context)
{
    if (begin >= end)
        return;
    const std::int64_t count = end - begin;
    if (!GOMP_parallel || !omp_get_num_threads || !omp_get_thread_num || count <= std::max<std::int64_t>(grain, 1) || at::in_parallel_region() ||
        at::get_num_threads() == 1) {
        const at::internal::ThreadIdGuard number(0);
        return work(context, begin, end);
    }
    Loop loop{begin, end, grain, work, context, {}, {}};
    // 0: as many threads as the calling thread's setting says. The pool is libtorch's own.
    GOMP_parallel([](void* data) { static_cast<Loop*>(data)->runStretch(omp_get_thread_num(), omp_get_num_threads()); }, &loop, 0, 0);
    if (loop.error)
        std::rethrow_exception(loop.error);
}

}  // namespace orrery::kernels
