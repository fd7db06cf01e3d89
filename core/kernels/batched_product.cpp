#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <dlfcn.h>

#include <limits>
#include <optional>

#include "gemm_symbol.h"
#include "kernels.h"
#include "parallel.h"

namespace orrery::kernels {
namespace {

/// One matrix of a batch as BLAS wants it: column-major, so a row-major matrix is its transpose.
struct Operand {
    const float* data;
    std::int64_t batchStride;
    int leading;
    char transposed;  ///< 'N': the rows are contiguous, 'T': the columns are
};

bool fitsInt(std::int64_t value)
{
    return value <= std::numeric_limits<int>::max();
}

// A stride of an axis of length 1 means nothing; the leading dimension then only has to be large enough.
std::optional<Operand> operandOf(const at::Tensor& matrices)
{
    const std::int64_t rows = matrices.size(1), columns = matrices.size(2), rowStride = matrices.stride(1), columnStride = matrices.stride(2);
    const float* const data = matrices.data_ptr<float>();
    if (columnStride == 1 || columns == 1)
        if (const std::int64_t leading = rows == 1 ? std::max<std::int64_t>(1, columns) : rowStride;
            leading >= std::max<std::int64_t>(1, columns) && fitsInt(leading))
            return Operand{data, matrices.stride(0), int(leading), 'N'};
    if (rowStride == 1 || rows == 1)
        if (const std::int64_t leading = columns == 1 ? std::max<std::int64_t>(1, rows) : columnStride;
            leading >= std::max<std::int64_t>(1, rows) && fitsInt(leading))
            return Operand{data, matrices.stride(0), int(leading), 'T'};
    return {};
}

// The addend into the result, row by row while the cache still holds it.
void fillMember(float* to, const at::Tensor& addend, std::int64_t member)
{
    const std::int64_t rows = addend.size(1), columns = addend.size(2), rowStride = addend.stride(1), columnStride = addend.stride(2);
    const float* const from = addend.data_ptr<float>() + member * addend.stride(0);
    for (std::int64_t row = 0; row < rows; ++row) {
        if (columnStride == 1) {
            std::copy_n(from + row * rowStride, columns, to + row * columns);
            continue;
        }
        for (std::int64_t column = 0; column < columns; ++column)
            to[row * columns + column] = from[row * rowStride + column * columnStride];
    }
}

at::Tensor product(const at::Tensor* addend, const at::Tensor& a, const at::Tensor& b, float beta, float alpha)
{
    const std::int64_t batch = a.size(0);
    const int m = int(a.size(1)), k = int(a.size(2)), n = int(b.size(2));
    at::Tensor out = at::empty({batch, m, n}, a.options());
    if (out.numel() == 0)
        return out;
    const at::Tensor broadcast = addend ? addend->expand(out.sizes()) : at::Tensor();
    const Operand left = *operandOf(a), right = *operandOf(b);
    float* const to = out.data_ptr<float>();
    const float keep = addend ? beta : 0.0f;
    const auto run = [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            float* const c = to + i * m * n;
            if (addend)
                fillMember(c, broadcast, i);
            // Row-major C is column-major C^T = B^T A^T: the operands change places.
            sgemm()(&right.transposed, &left.transposed, &n, &m, &k, &alpha, right.data + i * right.batchStride, &right.leading,
                    left.data + i * left.batchStride, &left.leading, &keep, c, &n);
        }
    };
    // Few large products: each uses all threads. Many small ones: each has one thread.
    const std::int64_t threads = at::get_num_threads();
    if (batch < threads)
        run(0, batch);
    else
        parallelFor(0, batch, std::max<std::int64_t>(1, 1'000'000 / (1 + std::int64_t(m) * n * k)), run);
    return out;
}

bool isPlainFloat(const at::Tensor& tensor)
{
    return tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided && tensor.device().is_cpu() && tensor.dim() == 3;
}

}  // namespace

Sgemm sgemm()
{
    static const Sgemm found = dlsym(RTLD_DEFAULT, "orreryGemmName") ? reinterpret_cast<Sgemm>(dlsym(RTLD_DEFAULT, "sgemm_")) : nullptr;
    return found;
}

bool takesBatchedProduct(const at::Tensor& a, const at::Tensor& b)
{
    return sgemm() && isPlainFloat(a) && isPlainFloat(b) && a.size(0) == b.size(0) && a.size(2) == b.size(1) && fitsInt(a.size(1)) &&
           fitsInt(a.size(2)) && fitsInt(b.size(2)) && operandOf(a) && operandOf(b);
}

at::Tensor batchedProduct(const at::Tensor& a, const at::Tensor& b)
{
    return product(nullptr, a, b, 0, 1);
}

at::Tensor batchedProductAdd(const at::Tensor& addend, const at::Tensor& a, const at::Tensor& b, float beta, float alpha)
{
    return product(beta == 0 ? nullptr : &addend, a, b, beta, alpha);
}

}  // namespace orrery::kernels
