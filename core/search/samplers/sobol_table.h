#pragma once
#include <array>
#include <cstdint>
#include <span>

namespace orrery::search {

/// Primitive polynomial and first direction numbers of one dimension.
struct SobolDimension {
    int degree;
    std::uint32_t coefficients;            ///< a: the inner coefficients of the polynomial as bits
    std::array<std::uint32_t, 8> numbers;  ///< m_1 ... m_degree
};

/// Dimensions 2, 3, ... (the first one needs no numbers: it is the van der Corput sequence).
/// Source: Joe & Kuo (2008), "Constructing Sobol sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30, 2635-2654; their file
/// new-joe-kuo-6.21201, first lines.
std::span<const SobolDimension> sobolTable();

}  // namespace orrery::search
