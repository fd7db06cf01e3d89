#include "crew.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

// Those of whichever OpenMP is in the process (oneDNN brings one); none: one thread.
extern "C" int omp_get_max_threads() __attribute__((weak));
extern "C" int omp_in_parallel() __attribute__((weak));

namespace orrery::gemm {
namespace {

constexpr int kLooks = 4000;  ///< of a helper for new work before it sleeps, some 100 microseconds: products of one model follow each other closely
constexpr int kLooksBeforeYield = 200;

void pauseBriefly()
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

class Crew {
public:
    /// False: another thread has the helpers.
    bool run(int threads, int parts, Part work, const void* task)
    {
        const std::unique_lock lock(m_busy, std::try_to_lock);
        if (!lock.owns_lock())
            return false;
        engage(threads - 1);
        m_work = work;
        m_task = task;
        m_parts = parts;
        m_wanted = threads - 1;
        m_next = 0;
        m_open = true;
        ++m_call;
        m_call.notify_all();
        takeParts();
        m_open = false;
        for (int looks = 0; m_inside != 0; ++looks)
            looks % kLooksBeforeYield == kLooksBeforeYield - 1 ? void(::sched_yield()) : pauseBriefly();
        return true;
    }

private:
    void engage(int helpers)
    {
        for (; m_helpers < helpers; ++m_helpers)
            std::thread([this, number = m_helpers] { help(number); }).detach();
    }

    void takeParts()
    {
        for (int part = m_next++; part < m_parts; part = m_next++)
            m_work(part, m_task);
    }

    // Who is inside before looking whether the task is open is waited for; who comes later finds it closed.
    void help(int number)
    {
        for (unsigned seen = 0;;) {
            for (int looks = 0; m_call == seen && looks < kLooks; ++looks)
                pauseBriefly();
            m_call.wait(seen);
            seen = m_call;
            ++m_inside;
            if (m_open && number < m_wanted)
                takeParts();
            --m_inside;
        }
    }

    std::mutex m_busy;  ///< held by the thread whose task is open; guards m_helpers and, while nobody is inside, what describes the task
    int m_helpers = 0;
    Part m_work = nullptr;
    const void* m_task = nullptr;
    int m_parts = 0, m_wanted = 0;
    std::atomic<bool> m_open = false;
    std::atomic<unsigned> m_call = 0;
    std::atomic<int> m_next = 0, m_inside = 0;
};

int threadsToUse()
{
    if (!omp_get_max_threads || !omp_in_parallel || omp_in_parallel())
        return 1;
    static const int all = int(std::thread::hardware_concurrency());
    return std::min(omp_get_max_threads(), all);
}

}  // namespace

void shareOut(int parts, Part work, const void* task)
{
    // Never destroyed: helpers sleep in it until the process ends.
    static Crew* const crew = new Crew;
    const int threads = std::min(threadsToUse(), parts);
    if (threads > 1 && crew->run(threads, parts, work, task))
        return;
    for (int part = 0; part < parts; ++part)
        work(part, task);
}

}  // namespace orrery::gemm
