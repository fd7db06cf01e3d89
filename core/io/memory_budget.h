#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace orrery::io {

/// What a parser may take for the structure of a file: twice the file and 64 MiB. Honest files stay far below; one that is made of nothing but the smallest parts that a format
/// knows would take twenty times itself.
constexpr std::uint64_t fileMemory(std::uint64_t fileBytes)
{
    return (std::uint64_t(64) << 20) + 2 * fileBytes;
}

/// Counts what a parser takes before it takes it. One a parse; not thread-safe.
class MemoryBudget {
public:
    explicit MemoryBudget(std::uint64_t limit) : m_limit(limit) {}
    /// @return  False once more is asked for than the limit.
    [[nodiscard]] bool take(std::uint64_t bytes)
    {
        m_taken += bytes;
        return m_taken <= m_limit;
    }
    /// `expected parts that take at most 88 MiB of memory, found more: far too many for the size of the file`, for after a place.
    std::string refusal() const;

private:
    std::uint64_t m_limit, m_taken = 0;
};

}  // namespace orrery::io
