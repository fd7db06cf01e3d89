#pragma once
#include <ATen/ATen.h>

#include <core/kernels/gemm_symbol.h>

/// Internal to core/scene/field: what networks that are computed in blocks of samples are made of.
namespace orrery::scene {

// 64 values of 512 samples are 128 KiB: a few such layers fit into a core's second cache.
constexpr std::int64_t kBlock = 512;

/// Row-major c [m, n] (+)= a [m, k] or its transpose times b [k, n] or its transpose. One thread.
inline void product(bool transposeA, bool transposeB, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, bool add,
                    float* c)
{
    if (const auto sgemm = kernels::sgemm()) {
        // A row-major matrix is the transpose of a column-major one: c^T = b^T a^T.
        const int rows = int(n), columns = int(m), inner = int(k), leadingB = int(transposeB ? k : n), leadingA = int(transposeA ? m : k);
        const float one = 1, beta = add ? 1 : 0;
        sgemm(transposeB ? "T" : "N", transposeA ? "T" : "N", &rows, &columns, &inner, &one, b, &leadingB, a, &leadingA, &beta, c, &rows);
        return;
    }
    const auto wrap = [](const float* data, std::int64_t rows, std::int64_t columns) {
        return at::from_blob(const_cast<float*>(data), {rows, columns});
    };
    const at::Tensor left = transposeA ? wrap(a, k, m).t() : wrap(a, m, k), right = transposeB ? wrap(b, n, k).t() : wrap(b, k, n);
    at::Tensor out = wrap(c, m, n);
    add ? out.add_(left.mm(right)) : out.copy_(left.mm(right));
}

inline void rectify(float* values, std::int64_t count)
{
    for (std::int64_t i = 0; i < count; ++i)
        values[i] = values[i] > 0 ? values[i] : 0;
}

/// The gradient is kept where the rectified value is above 0.
inline void mask(float* gradient, const float* values, std::int64_t count)
{
    for (std::int64_t i = 0; i < count; ++i)
        gradient[i] = values[i] > 0 ? gradient[i] : 0;
}

}  // namespace orrery::scene
