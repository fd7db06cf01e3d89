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
/// (Captum's weights: they sum to (n-1)/n). `gausslegendre`: the n-point Gauss-Legendre rule, exact for polynomials to degree 2n-1; nodes by Newton's method, to
/// the last bit or two, on the Legendre recurrence, in rules of many points away from the ends on Stieltjes' asymptotic expansion (Hale & Townsend, "Fast and
/// accurate computation of Gauss-Legendre and Gauss-Jacobi quadrature nodes and weights", SIAM J. Sci. Comput. 35, 2013, section 3.1). Cost O(n).
/// @throws core::InputError for an unknown rule or n < 1 (trapezoid: n < 2).
Quadrature quadrature(const std::string& rule, int n);

}  // namespace orrery::explain
