#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

/// Internal to core/scene: loops shared out to threads, without libtorch. Threads are started for each loop (some ten microseconds each) and inherit
/// the priority of the caller's.
namespace orrery::scene {

inline int workerCount(int asked)
{
    return asked > 0 ? asked : std::max(1, int(std::thread::hardware_concurrency()));
}

/// Calls work(begin, end) for pieces of `grain` of [0, count), each piece once, on up to `threads` threads, the caller's among them. `work` must not throw.
template <class Work>
void shareOut(int threads, std::size_t count, std::size_t grain, const Work& work)
{
    std::atomic<std::size_t> next{0};
    const auto loop = [&] {
        for (std::size_t begin; (begin = next.fetch_add(grain)) < count;)
            work(begin, std::min(count, begin + grain));
    };
    const std::size_t pieces = (count + grain - 1) / grain;
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(std::size_t(threads), pieces); ++i)
        others.emplace_back(loop);
    loop();
}

/// Equal parts of [0, count): part p is [partBegin(p), partBegin(p + 1)).
inline std::size_t partBegin(std::size_t count, std::size_t parts, std::size_t part)
{
    return count * part / parts;
}

}  // namespace orrery::scene
