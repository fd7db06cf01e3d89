// BLAS's single-precision matrix product, done by oneDNN. Debian's libtorch takes `sgemm_` from whatever libblas.so.3 is, by default the
// reference BLAS, which is about sixty times slower. This library is loaded before it, so libtorch's calls end here (symbol interposition).
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "matvec.h"

namespace {

/// 'C' (conjugate transpose) is 'T' for real numbers. 0 for a letter that BLAS does not know.
char transposeOf(char letter)
{
    switch (letter) {
    case 'n':
    case 'N': return 'N';
    case 't':
    case 'T':
    case 'c':
    case 'C': return 'T';
    default: return 0;
    }
}

/// C = beta C for a column-major m x n matrix. beta = 0 overwrites, whatever was there (NaN, too).
void scale(int m, int n, float beta, float* c, int ldc)
{
    for (int column = 0; column < n; ++column) {
        float* const at = c + std::ptrdiff_t(column) * ldc;
        if (beta == 0)
            std::fill(at, at + m, 0.0f);
        else
            std::transform(at, at + m, at, [beta](float value) { return beta * value; });
    }
}

/// The definition, for what oneDNN refuses (out of memory). Slow and always right.
void multiplyPlainly(bool transA, bool transB, int m, int n, int k, float alpha, const float* a, int lda, const float* b, int ldb, float* c, int ldc)
{
    for (int column = 0; column < n; ++column)
        for (int row = 0; row < m; ++row) {
            double sum = 0;
            for (int i = 0; i < k; ++i)
                sum += double(a[transA ? std::ptrdiff_t(row) * lda + i : std::ptrdiff_t(i) * lda + row]) *
                       double(b[transB ? std::ptrdiff_t(i) * ldb + column : std::ptrdiff_t(column) * ldb + i]);
            c[std::ptrdiff_t(column) * ldc + row] += float(alpha * sum);
        }
}

/// BLAS numbers its arguments from 1; its own handler (XERBLA) prints and stops, and so does this one: going on would give wrong numbers.
[[noreturn]] void refuseArgument(int number)
{
    std::fprintf(stderr, "sgemm: argument %d has an illegal value\n", number);
    std::abort();
}

int firstBadArgument(char ta, char tb, int m, int n, int k, int lda, int ldb, int ldc)
{
    if (!ta)
        return 1;
    if (!tb)
        return 2;
    if (m < 0)
        return 3;
    if (n < 0)
        return 4;
    if (k < 0)
        return 5;
    if (lda < std::max(1, ta == 'N' ? m : k))
        return 8;
    if (ldb < std::max(1, tb == 'N' ? k : n))
        return 10;
    return ldc < std::max(1, m) ? 13 : 0;
}

}  // namespace

/// C = alpha op(A) op(B) + beta C, column-major: op(A) is m x k, op(B) is k x n, C is m x n.
/// Source: Dongarra et al. (1990), "A set of level 3 basic linear algebra subprograms", ACM TOMS 16(1), doi:10.1145/77626.79170.
extern "C" __attribute__((visibility("default"))) void sgemm_(const char* transA, const char* transB, const int* m, const int* n, const int* k,
                                                              const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                                                              const float* beta, float* c, const int* ldc)
{
    const char ta = transposeOf(*transA), tb = transposeOf(*transB);
    if (const int bad = firstBadArgument(ta, tb, *m, *n, *k, *lda, *ldb, *ldc))
        refuseArgument(bad);
    if (*m == 0 || *n == 0)
        return;
    if (*k == 0 || *alpha == 0) {
        if (*beta != 1)
            scale(*m, *n, *beta, c, *ldc);
        return;
    }
    // A vector on one side: the matrix is read once, and nobody waits for a thread that does not come.
    if (*n == 1)
        return orrery::gemm::multiplyVector(ta == 'T', *m, *k, *alpha, a, *lda, b, tb == 'T' ? *ldb : 1, *beta, c, 1);
    if (*m == 1)
        return orrery::gemm::multiplyVector(tb == 'N', *n, *k, *alpha, b, *ldb, a, ta == 'T' ? 1 : *lda, *beta, c, *ldc);
    // oneDNN is row-major: C^T = op(B)^T op(A)^T, so the operands and m, n change places.
    if (dnnl_sgemm(tb, ta, *n, *m, *k, *alpha, b, *ldb, a, *lda, *beta, c, *ldc) == dnnl_success)
        return;
    if (*beta != 1)
        scale(*m, *n, *beta, c, *ldc);
    multiplyPlainly(ta == 'T', tb == 'T', *m, *n, *k, *alpha, a, *lda, b, *ldb, c, *ldc);
}

/// Says that this library is the one in use; `orrery-cli devices` looks it up.
extern "C" __attribute__((visibility("default"))) const char* orreryGemmName()
{
    static char name[48];
    static const bool filled = [] {
        const dnnl_version_t* const version = dnnl_version();
        std::snprintf(name, sizeof name, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
        return true;
    }();
    return filled ? name : "";
}
