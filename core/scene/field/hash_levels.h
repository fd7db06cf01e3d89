#pragma once
#include <cstdint>

/// Internal to core/scene/field: corners of a cell in a table, sixteen samples at a time.
namespace orrery::scene {

constexpr std::uint32_t kPrimeY = 2654435761u, kPrimeZ = 805459861u;

/// One level as the kernels see it.
struct HashLevel {
    std::int32_t resolution = 1;  ///< cells an edge
    std::uint32_t entries = 1;
    std::uint32_t mask = 0;  ///< entries - 1 where corners are hashed (a power of two); 0: indexed directly
    std::int64_t offset = 0;
};

}  // namespace orrery::scene
