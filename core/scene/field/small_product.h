#pragma once
#include <core/kernels/vector_math.h>

/// Internal to core/scene/field: matrix products whose operands lie in the first cache, where a call of BLAS costs more than its sums.
namespace orrery::scene {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // All of these are inlined: no vector is passed by any calling convention.

/// Columns of padded matrices: whole vectors.
constexpr std::int64_t padded(std::int64_t columns)
{
    return (columns + kernels::kLanes - 1) / kernels::kLanes * kernels::kLanes;
}

/// c = a b or one of `After`, with c [rows, 16 vectors] and b [inner, 16 vectors] row-major, and a's element (i, p) at a[i * rowA + p * stepA].
/// Sums begin with `start` and are taken in the order of p, so a row of c does not depend on how many rows there are.
struct SmallProduct {
    std::int64_t rows = 0, vectors = 0, inner = 0;
    const float* a = nullptr;
    std::int64_t rowA = 0, stepA = 1;
    const float* b = nullptr;
    float* c = nullptr;
    const float* start = nullptr;   ///< [16 vectors], the same for each row; null: 0
    const float* values = nullptr;  ///< for Masked: as c
};

enum class After {
    Nothing,
    Added,      ///< to what c holds
    Rectified,  ///< what is not above 0 is 0
    Masked      ///< 0 where `values` are not above 0
};

/// How many rows and vectors of c are summed in registers at once.
template <kernels::InstructionSet set>
struct ProductShape {
    static constexpr int kRows = 2, kVectors = 1;
};
template <>
struct ProductShape<kernels::InstructionSet::Avx2> {
    static constexpr int kRows = 4, kVectors = 1;
};
template <>
struct ProductShape<kernels::InstructionSet::Avx512> {
    static constexpr int kRows = 8, kVectors = 2;
};

template <After after>
ORRERY_KERNEL void storeSum(kernels::Floats sum, float* c, const float* values)
{
    const kernels::Floats zero = kernels::Floats{};
    if constexpr (after == After::Rectified)
        sum = sum > zero ? sum : zero;
    if constexpr (after == After::Masked)
        sum = kernels::load(values) > zero ? sum : zero;
    kernels::store(c, sum);
}

/// Rows `row`.. and vectors `vector`.. of c.
template <int R, int V, After after>
ORRERY_KERNEL void productTile(const SmallProduct& p, std::int64_t row, std::int64_t vector)
{
    using kernels::Floats, kernels::kLanes;
    const std::int64_t width = p.vectors * kLanes, first = row * width + vector * kLanes;
    Floats sum[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
            sum[r][v] = after == After::Added ? kernels::load(p.c + first + r * width + v * kLanes)
                        : p.start             ? kernels::load(p.start + (vector + v) * kLanes)
                                              : Floats{};
    const float *a = p.a + row * p.rowA, *b = p.b + vector * kLanes;
    for (std::int64_t i = 0; i < p.inner; ++i, a += p.stepA, b += width) {
        Floats right[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
            right[v] = kernels::load(b + v * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Floats left = a[r * p.rowA] - Floats{};  // minus 0 changes nothing, not even the sign of 0
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v)
                sum[r][v] += left * right[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
            const std::int64_t at = first + r * width + v * kLanes;
            storeSum<after>(sum[r][v], p.c + at, after == After::Masked ? p.values + at : nullptr);
        }
}

template <int R, int V, After after>
ORRERY_KERNEL void productRows(const SmallProduct& p, std::int64_t vector)
{
    std::int64_t row = 0;
    for (; row + R <= p.rows; row += R)
        productTile<R, V, after>(p, row, vector);
    for (; row < p.rows; ++row)
        productTile<1, V, after>(p, row, vector);
}

template <kernels::InstructionSet set, After after>
ORRERY_KERNEL void smallProduct(const SmallProduct& p)
{
    using Shape = ProductShape<set>;
    std::int64_t vector = 0;
    for (; vector + Shape::kVectors <= p.vectors; vector += Shape::kVectors)
        productRows<Shape::kRows, Shape::kVectors, after>(p, vector);
    if constexpr (Shape::kVectors > 1)
        for (; vector < p.vectors; ++vector)
            productRows<Shape::kRows, 1, after>(p, vector);
}

#pragma GCC diagnostic pop

}  // namespace orrery::scene
