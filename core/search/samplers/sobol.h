#pragma once
#include <cstdint>
#include <vector>

namespace orrery::search {

/// The first `dimensions` coordinates of point `index` (0 is the origin) of the Sobol sequence in Gray code order, in [0, 1) with 32 bits.
/// @throws core::InputError above `kMostSobolDimensions` dimensions.
/// Source: Sobol (1967); Antonov & Saleev (1979) for the order; direction numbers of Joe & Kuo (2008), see sobol_table.h.
std::vector<double> sobolPoint(std::size_t dimensions, std::uint32_t index);
inline constexpr std::size_t kMostSobolDimensions = 32;

}  // namespace orrery::search
