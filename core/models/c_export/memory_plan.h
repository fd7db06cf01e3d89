#pragma once
#include <cstdint>
#include <vector>

namespace orrery::models {

/// A buffer that lives from one step to another (both inclusive).
struct PlannedBuffer {
    std::int64_t size = 0;  ///< in elements
    int first = 0, last = 0;
    std::int64_t offset = 0;  ///< where it lies in the arena, filled in by `planMemory`
};

struct MemoryPlan {
    std::vector<PlannedBuffer> buffers;
    std::int64_t arena = 0;     ///< elements that hold all of them
    std::int64_t peakLive = 0;  ///< the most that live at one step: no arena can be smaller
};

/// Places buffers in one arena so that no two that live at the same step overlap. Several orders of placement are tried, each buffer at the lowest gap that fits; if none
/// reaches the peak, an exhaustive search is made for up to 12 buffers. Any thread.
/// Source: Pisarchyk & Lee (2020), "Efficient Memory Management for Deep Neural Net Inference", arXiv:2001.03288, section 5 (offset calculation, greedy by size).
MemoryPlan planMemory(std::vector<PlannedBuffer> buffers);

}  // namespace orrery::models
