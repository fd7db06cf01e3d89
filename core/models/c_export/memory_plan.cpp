#include "memory_plan.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace orrery::models {
namespace {

using Order = std::vector<std::size_t>;

constexpr std::size_t kMaxExhaustive = 12;
constexpr long kMaxTries = 200'000;

bool liveTogether(const PlannedBuffer& a, const PlannedBuffer& b)
{
    return a.first <= b.last && b.first <= a.last;
}

// The lowest offset where the buffer fits between those that were placed before it.
std::int64_t lowestGap(const std::vector<PlannedBuffer>& buffers, const Order& placed, const PlannedBuffer& buffer)
{
    std::vector<std::pair<std::int64_t, std::int64_t>> taken;
    for (const auto index : placed)
        if (liveTogether(buffers[index], buffer))
            taken.emplace_back(buffers[index].offset, buffers[index].offset + buffers[index].size);
    std::sort(taken.begin(), taken.end());
    std::int64_t offset = 0;
    for (const auto& [begin, end] : taken) {
        if (offset + buffer.size <= begin)
            break;
        offset = std::max(offset, end);
    }
    return offset;
}

std::int64_t place(std::vector<PlannedBuffer>& buffers, const Order& order)
{
    Order placed;
    std::int64_t arena = 0;
    for (const auto index : order) {
        buffers[index].offset = lowestGap(buffers, placed, buffers[index]);
        arena = std::max(arena, buffers[index].offset + buffers[index].size);
        placed.push_back(index);
    }
    return arena;
}

std::int64_t peakOf(const std::vector<PlannedBuffer>& buffers)
{
    std::int64_t peak = 0;
    for (const auto& at : buffers) {
        std::int64_t live = 0;  // the most is reached where some buffer begins
        for (const auto& buffer : buffers)
            live += buffer.first <= at.first && at.first <= buffer.last ? buffer.size : 0;
        peak = std::max(peak, live);
    }
    return peak;
}

/// Tries orders and keeps the best.
class Placement {
public:
    explicit Placement(MemoryPlan& plan) : m_plan(plan) { m_plan.arena = -1; }
    bool attempt(const Order& order)
    {
        auto buffers = m_plan.buffers;
        const auto arena = place(buffers, order);
        if (m_plan.arena < 0 || arena < m_plan.arena) {
            m_plan.buffers = std::move(buffers);
            m_plan.arena = arena;
        }
        return m_plan.arena == m_plan.peakLive;
    }

private:
    MemoryPlan& m_plan;
};

}  // namespace

MemoryPlan planMemory(std::vector<PlannedBuffer> buffers)
{
    MemoryPlan plan;
    plan.buffers = std::move(buffers);
    plan.peakLive = peakOf(plan.buffers);
    Order order(plan.buffers.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    Placement placement(plan);
    const auto by = [&](const std::function<std::int64_t(const PlannedBuffer&)>& key) {
        auto sorted = order;
        std::stable_sort(sorted.begin(), sorted.end(), [&](std::size_t a, std::size_t b) { return key(plan.buffers[a]) > key(plan.buffers[b]); });
        return placement.attempt(sorted);
    };
    if (placement.attempt(order) || by([](const PlannedBuffer& buffer) { return buffer.size; }) ||
        by([](const PlannedBuffer& buffer) { return std::int64_t(buffer.last - buffer.first); }) ||
        by([](const PlannedBuffer& buffer) { return buffer.size * (buffer.last - buffer.first + 1); }) ||
        by([](const PlannedBuffer& buffer) { return std::int64_t(buffer.last); }) || plan.buffers.size() > kMaxExhaustive)
        return plan;
    long tries = 0;
    do {
        if (placement.attempt(order))
            break;
    } while (++tries < kMaxTries && std::next_permutation(order.begin(), order.end()));
    return plan;
}

}  // namespace orrery::models
