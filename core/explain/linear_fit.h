#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

/// Small weighted regressions in double, for surrogates of a model.
namespace orrery::explain {

/// y = intercept + x · coefficients.
struct LinearFit {
    at::Tensor coefficients;  ///< [features]
    double intercept = 0;
    double score = 0;  ///< weighted R²: 1 - residual / total sum of squares; 1 if y does not vary and is met
};

/// Which penalty holds the coefficients down; the intercept is free. With W = sum of weights:
/// none: smallest squares, and of all solutions the shortest; ridge: sum w r² + alpha |b|²; lasso: sum w r² / (2 W) + alpha |b|₁ (both as scikit-learn scales them).
enum class Penalty { None, Ridge, Lasso };

/// @param x        [rows, features], double. @param y [rows]. @param weights [rows], at least 0, not all 0.
/// Lasso: coordinate descent on the Gram matrix until no coefficient moves by more than 1e-10 of the largest one, or 10,000 sweeps.
/// Source: Friedman, Hastie & Tibshirani (2010), "Regularization Paths for Generalized Linear Models via Coordinate Descent", J. Stat. Softw. 33(1), section 2.
LinearFit fitLinear(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weights, Penalty penalty, double alpha);

/// The shortest x among those with the smallest |a x - b|², for every column of b. @param a  [rows, columns], double. @param b  [rows, k].
at::Tensor shortestLeastSquares(const at::Tensor& a, const at::Tensor& b);

/// Standard error of what `estimate` makes of all rows, from what it makes when one of about 20 groups of rows is left out (delete-a-group jackknife).
/// @param estimate  Called with the numbers of the rows to use, int64; all its results have one shape.
/// @return          Undefined for fewer than two rows.
/// Source: Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 11.
at::Tensor jackknifeError(std::int64_t rows, const std::function<at::Tensor(const at::Tensor& used)>& estimate);

}  // namespace orrery::explain
