#pragma once
#include <ATen/core/Tensor.h>

namespace orrery::explain {

/// Smooth masks from few numbers: each pixel takes the smooth maximum, over the grid nodes near it, of the node's number times a bell of its distance.
/// Source: Fong, Patrick & Vedaldi (2019), "Understanding Deep Networks via Extremal Perturbations and Smooth Masks", arXiv:1910.08485, section 3.2.
class MaskOperator {
public:
    /// @param step  Distance of the nodes in pixels. @param sigma  Width of the bell in pixels: 1 up to sigma / 2, falling as a Gaussian beyond.
    /// @param margin  Pixels around the image that masks are given for, too; nodes lie inside the image only.
    MaskOperator(std::int64_t height, std::int64_t width, std::int64_t step, double sigma, const at::TensorOptions& options, std::int64_t margin = 0);
    std::int64_t rows() const { return m_rows; }
    std::int64_t columns() const { return m_columns; }
    /// [masks, rows, columns] in 0..1 -> [masks, height + 2 margin, width + 2 margin] in 0..1. Differentiable.
    at::Tensor operator()(const at::Tensor& nodes) const;

private:
    std::int64_t m_height, m_width, m_rows, m_columns;
    at::Tensor m_neighbours;  ///< [neighbour * pixel], indices of nodes
    at::Tensor m_bell;        ///< [neighbour, pixel]; 0 where the neighbour lies outside the grid
};

}  // namespace orrery::explain
