#pragma once

namespace orrery::kernels {

/// BLAS's single-precision matrix product as in core/gemm.
using Sgemm = void (*)(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*, const float*, const int*,
                       const float*, float*, const int*);

/// The one in use if it is the shim's (core/gemm), which runs on one thread inside a parallel region; null where libtorch brings its own (MKL has a batched product).
Sgemm sgemm();

}  // namespace orrery::kernels
