#pragma once

/// Products of a matrix and a vector: what a model that writes one text token by token mostly computes.
namespace orrery::gemm {

/// y[i * yStep] = alpha sum_j A[i, j] x[j * xStep] + beta y[i * yStep] for m rows of k numbers each; both at least 1. beta = 0: y is not read. Each number of the matrix is read once, in
/// the order in which they lie in memory. The result does not depend on the number of threads. Any thread.
/// @param isTransposed  False: A[i, j] is a[j * lda + i] (BLAS's 'N', column-major); true: a[i * lda + j].
void multiplyVector(bool isTransposed, int m, int k, float alpha, const float* a, int lda, const float* x, int xStep, float beta, float* y,
                    int yStep);

}  // namespace orrery::gemm
