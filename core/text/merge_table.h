#pragma once
#include <cstdint>
#include <vector>

namespace orrery::text {

/// What two neighbouring pieces become, by their numbers: a hash table of fixed size without pointers, since the merge loop does little else than look into it.
class MergeTable {
public:
    struct Merge {
        std::int32_t rank = -1;  ///< lower is earlier; -1: these two do not merge
        std::int32_t id = -1;
    };
    explicit MergeTable(std::size_t merges)
    {
        std::size_t size = 16;
        while (size < merges * 2)
            size *= 2;
        m_keys.assign(size, kEmpty);
        m_merges.resize(size);
    }
    /// A pair that is already there gets the new merge. At most as many pairs as were announced.
    void set(std::int32_t left, std::int32_t right, Merge merge)
    {
        const auto slot = slotOf(keyOf(left, right));
        m_keys[slot] = keyOf(left, right);
        m_merges[slot] = merge;
    }
    Merge find(std::int32_t left, std::int32_t right) const
    {
        const auto slot = slotOf(keyOf(left, right));
        return m_keys[slot] == kEmpty ? Merge{} : m_merges[slot];
    }

private:
    static constexpr std::uint64_t kEmpty = ~std::uint64_t(0);
    static std::uint64_t keyOf(std::int32_t left, std::int32_t right) { return std::uint64_t(std::uint32_t(left)) << 32 | std::uint32_t(right); }
    std::size_t slotOf(std::uint64_t key) const
    {
        std::size_t slot = std::size_t((key * 0x9e3779b97f4a7c15u) >> 20) & (m_keys.size() - 1);
        while (m_keys[slot] != kEmpty && m_keys[slot] != key)
            slot = (slot + 1) & (m_keys.size() - 1);
        return slot;
    }
    std::vector<std::uint64_t> m_keys;
    std::vector<Merge> m_merges;
};

}  // namespace orrery::text
