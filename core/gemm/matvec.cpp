#include "matvec.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include <core/kernels/vector_math.h>

#include "crew.h"

namespace orrery::gemm {
namespace {

using kernels::Floats;
constexpr int kLanes = int(kernels::kLanes);
constexpr int kRowsAtOnce = 4;               ///< of a transposed matrix: their sums stay in registers
constexpr int kColumnsAtOnce = 8;            ///< of the other: a sum is loaded and stored once for so many
constexpr int kTile = 2048;                  ///< sums that stay in the first-level cache
constexpr std::ptrdiff_t kPartSize = 65536;  ///< numbers of the matrix in one part: a quarter of a megabyte, some 20 microseconds

/// sums[r] = sum_j a[r * lda + j] x[j] for `rows` rows of k numbers.
struct DotRows {
    template <int Rows>
    ORRERY_KERNEL static void together(const float* a, std::ptrdiff_t lda, const float* x, int k, float* sums)
    {
        Floats lanes[Rows] = {};
        float rest[Rows] = {};
        int j = 0;
        for (; j + kLanes <= k; j += kLanes)
#pragma GCC unroll 4
            for (int row = 0; row < Rows; ++row)
                lanes[row] += kernels::load(a + row * lda + j) * kernels::load(x + j);
        for (; j < k; ++j)
#pragma GCC unroll 4
            for (int row = 0; row < Rows; ++row)
                rest[row] += a[row * lda + j] * x[j];
#pragma GCC unroll 4
        for (int row = 0; row < Rows; ++row)
            sums[row] = kernels::sumOf(lanes[row]) + rest[row];
    }
    ORRERY_KERNEL static void run(const float* a, std::ptrdiff_t lda, const float* x, int k, int rows, float* sums)
    {
        int row = 0;
        for (; row + kRowsAtOnce <= rows; row += kRowsAtOnce)
            together<kRowsAtOnce>(a + row * lda, lda, x, k, sums + row);
        for (; row < rows; ++row)
            together<1>(a + row * lda, lda, x, k, sums + row);
    }
};

/// sums[i] += sum_j a[j * lda + i] x[j] over `columns` columns, for n numbers.
struct AddColumns {
    ORRERY_KERNEL static void eight(const float* a, std::ptrdiff_t lda, const float* x, int n, float* sums)
    {
        int i = 0;
        for (; i + kLanes <= n; i += kLanes) {
            Floats even = kernels::load(a + i) * x[0], odd = kernels::load(a + lda + i) * x[1];
#pragma GCC unroll 4
            for (int j = 2; j < kColumnsAtOnce; j += 2) {
                even += kernels::load(a + j * lda + i) * x[j];
                odd += kernels::load(a + (j + 1) * lda + i) * x[j + 1];
            }
            kernels::store(sums + i, kernels::load(sums + i) + (even + odd));
        }
        for (; i < n; ++i) {
            float sum = 0;
            for (int j = 0; j < kColumnsAtOnce; ++j)
                sum += a[j * lda + i] * x[j];
            sums[i] += sum;
        }
    }
    ORRERY_KERNEL static void run(const float* a, std::ptrdiff_t lda, const float* x, int columns, int n, float* sums)
    {
        for (int first = 0; first < n; first += kTile) {
            const int count = std::min(kTile, n - first);
            int j = 0;
            for (; j + kColumnsAtOnce <= columns; j += kColumnsAtOnce)
                eight(a + j * lda + first, lda, x + j, count, sums + first);
            for (; j < columns; ++j)
                for (int i = 0; i < count; ++i)
                    sums[first + i] += a[j * lda + first + i] * x[j];
        }
    }
};

struct Product {
    int m, k;
    const float* a;
    std::ptrdiff_t lda;
    const float* x;
    int perPart;  ///< rows of a transposed matrix, columns of the other
    float* sums;  ///< m of them; of the other m for each part
};

void rowsOfPart(int part, const void* task)
{
    const auto& p = *static_cast<const Product*>(task);
    const int begin = part * p.perPart, rows = std::min(p.perPart, p.m - begin);
    kernels::runOnThisMachine<DotRows>(p.a + begin * p.lda, p.lda, p.x, p.k, rows, p.sums + begin);
}

void columnsOfPart(int part, const void* task)
{
    const auto& p = *static_cast<const Product*>(task);
    const int begin = part * p.perPart, columns = std::min(p.perPart, p.k - begin);
    float* const sums = p.sums + std::ptrdiff_t(part) * p.m;
    std::fill(sums, sums + p.m, 0.0f);
    kernels::runOnThisMachine<AddColumns>(p.a + begin * p.lda, p.lda, p.x + begin, columns, p.m, sums);
}

/// Rows or columns of `size` numbers in a part: whole groups of `group`, so that where a part begins changes nothing.
int perPart(std::ptrdiff_t size, int group)
{
    return int(std::max<std::ptrdiff_t>(1, kPartSize / size / group)) * group;
}

const float* withoutSteps(const float* x, int xStep, int k, std::vector<float>& room)
{
    if (xStep == 1)
        return x;
    room.resize(std::size_t(k));
    for (int j = 0; j < k; ++j)
        room[std::size_t(j)] = x[std::ptrdiff_t(j) * xStep];
    return room.data();
}

}  // namespace

void multiplyVector(bool isTransposed, int m, int k, float alpha, const float* a, int lda, const float* x, int xStep, float beta, float* y, int yStep)
{
    thread_local std::vector<float> room, sums;
    const int all = isTransposed ? m : k, each = isTransposed ? perPart(k, kRowsAtOnce) : perPart(m, kColumnsAtOnce), parts = (all + each - 1) / each;
    sums.resize(std::size_t(m) * std::size_t(isTransposed ? 1 : parts));
    const Product product{m, k, a, lda, withoutSteps(x, xStep, k, room), each, sums.data()};
    shareOut(parts, isTransposed ? rowsOfPart : columnsOfPart, &product);
    for (int part = 1; !isTransposed && part < parts; ++part)
        for (int i = 0; i < m; ++i)
            sums[std::size_t(i)] += sums[std::size_t(part) * std::size_t(m) + std::size_t(i)];
    for (int i = 0; i < m; ++i) {
        float& to = y[std::ptrdiff_t(i) * yStep];
        to = alpha * sums[std::size_t(i)] + (beta == 0 ? 0.0f : beta * to);
    }
}

}  // namespace orrery::gemm
