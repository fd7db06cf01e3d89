#pragma once
#include <ATen/core/Tensor.h>

#include "activations.h"

namespace orrery::intervene {

/// Principal components; double, CPU.
struct Pca {
    at::Tensor mean;                                         ///< [feature]
    at::Tensor components;                                   ///< [component, feature], orthonormal rows; the entry of largest magnitude is positive
    at::Tensor explainedVariance;                            ///< [component], falling; divided by rows - 1
    at::Tensor explainedVarianceRatio;                       ///< [component], share of the variance of all features
    at::Tensor transform(const at::Tensor& features) const;  ///< [row, component]
    at::Tensor inverse(const at::Tensor& points) const;      ///< [row, feature]
};

/// By the singular values of the centred rows. Beyond 512 rows and features the eigenvalues of the smaller product of the two are taken instead: faster, and
/// exact to about 1e-8 of the largest component.
/// @throws core::InputError if more components are asked for than min(rows - 1, features).
/// Source: Jolliffe & Cadima (2016), "Principal component analysis: a review and recent developments", doi:10.1098/rsta.2015.0202.
Pca fitPca(const at::Tensor& features, std::int64_t components, const Control& control = {});

}  // namespace orrery::intervene
