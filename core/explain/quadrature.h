#pragma once
#include <string>
#include <utility>
#include <vector>

namespace orrery::explain {

/// Nodes in [0, 1] and their weights.
struct Quadrature {
    std::vector<double> nodes, weights;
};

/// The rules of integrated gradients by Captum's names, with Captum's nodes and weights, so that results agree number by number:
/// `riemann_left`, `riemann_right`, `riemann_middle`: n points of weight 1/n. `riemann_trapezoid`: n points of linspace(0, 1, n), weight 1/n, half of it at both ends
/// (Captum's weights: they sum to (n-1)/n). `gausslegendre`: the n-point Gauss-Legendre rule, exact for polynomials to degree 2n-1; nodes by Newton's method on
/// the Legendre recurrence (Press et al., Numerical Recipes, section 4.6), to the last bit or two.
/// @throws core::InputError for an unknown rule or n < 1 (trapezoid: n < 2).
Quadrature quadrature(const std::string& rule, int n);

}  // namespace orrery::explain
