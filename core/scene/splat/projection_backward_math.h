#pragma once
#include "projection_math.h"

/// Internal to core/scene/splat and core/cuda: from gradients by a footprint to those by the Gaussian.
namespace orrery::scene {

/// Where gradients by the raw values go, in the layout of SplatGradients.
struct SplatGradientArrays {
    float *means, *scales, *rotations, *opacities, *harmonics, *screen, *radii;
};

/// A symmetric 2 x 2 matrix: xx, xy, yy.
using Symmetric = std::array<double, 3>;

/// What the forward pass computed on the way, once more in double.
struct Geometry {
    Vector3 mean{}, view{};
    std::array<double, 4> q{};
    double quaternionLength = 1;
    Matrix3 rotation{};
    std::array<double, 3> scale{};
    std::array<Vector3, 3> axes{};  ///< of the Gaussian, in the camera's frame, times the standard deviation
    double ux = 0, uy = 0;          ///< where the Jacobian is taken, clamped x / z and y / z
    double mx[3] = {}, my[3] = {};
    Symmetric sharp{}, blurred{};
};

ORRERY_BOTH inline double determinantOf(const Symmetric& c)
{
    return c[0] * c[2] - c[1] * c[1];
}

ORRERY_BOTH inline Geometry geometryOf(const Projection& p, const SplatsView& splats, std::size_t index)
{
    Geometry g;
    const float *m = splats.means + 3 * index, *r = splats.rotations + 4 * index;
    g.mean = {m[0], m[1], m[2]};
    g.view = transform(p.view, g.mean);
    g.quaternionLength = std::sqrt(double(r[0]) * r[0] + double(r[1]) * r[1] + double(r[2]) * r[2] + double(r[3]) * r[3]);
    for (std::size_t k = 0; k < 4; ++k)
        g.q[k] = r[k] / g.quaternionLength;
    g.rotation = rotationMatrix(g.q);
    const double z = g.view[2];
    g.ux = std::clamp(g.view[0] / z, p.limitLeft, p.limitRight);
    g.uy = std::clamp(g.view[1] / z, p.limitTop, p.limitBottom);
    for (std::size_t k = 0; k < 3; ++k) {
        g.scale[k] = std::exp(double(splats.scales[3 * index + k]));
        g.axes[k] = rotate(p.view, {g.scale[k] * g.rotation[k], g.scale[k] * g.rotation[3 + k], g.scale[k] * g.rotation[6 + k]});
        g.mx[k] = p.focalX / z * (g.axes[k][0] - g.ux * g.axes[k][2]);
        g.my[k] = p.focalY / z * (g.axes[k][1] - g.uy * g.axes[k][2]);
        g.sharp = {g.sharp[0] + g.mx[k] * g.mx[k], g.sharp[1] + g.mx[k] * g.my[k], g.sharp[2] + g.my[k] * g.my[k]};
    }
    g.blurred = {g.sharp[0] + p.options.lowPass, g.sharp[1], g.sharp[2] + p.options.lowPass};
    return g;
}

/// By the covariance in the picture: M^T W M / 2 with the whitening matrix M = [[m, -m s], [0, n]], and what the compensation of the low-pass filter adds.
ORRERY_BOTH inline Symmetric byCovariance(const Projection& p, const Geometry& g, const FootprintGradient& in)
{
    const auto& c = g.blurred;
    const double det = determinantOf(c), m = std::sqrt(c[2] / det), s = c[1] / c[2], n = 1 / std::sqrt(c[2]);
    const double xx = m * m * in.second[0], xy = -s * xx + m * n * in.second[1];
    const double yy = s * s * xx - 2 * s * m * n * in.second[1] + n * n * in.second[2];
    Symmetric out{xx / 2, xy / 2, yy / 2};
    if (p.options.antialias) {
        const double sharp = determinantOf(g.sharp), half = 0.5 * in.mass;
        out[0] += half * (g.sharp[2] / sharp - c[2] / det);
        out[1] -= half * (g.sharp[1] / sharp - c[1] / det);
        out[2] += half * (g.sharp[0] / sharp - c[0] / det);
    }
    return out;
}

ORRERY_BOTH inline std::array<double, 2> byCentre(const Geometry& g, const FootprintGradient& in)
{
    const auto& c = g.blurred;
    const double m = std::sqrt(c[2] / determinantOf(c)), s = c[1] / c[2], n = 1 / std::sqrt(c[2]);
    return {m * in.first[0], -m * s * in.first[0] + n * in.first[1]};
}

/// From the rotation matrix to the quaternion as it is stored.
ORRERY_BOTH inline std::array<double, 4> byQuaternion(const Geometry& g, const Matrix3& d)
{
    const auto [w, x, y, z] = g.q;
    const std::array<double, 4> unit{2 * (-z * d[1] + y * d[2] + z * d[3] - x * d[5] - y * d[6] + x * d[7]),
                                     2 * (y * d[1] + z * d[2] + y * d[3] - 2 * x * d[4] - w * d[5] + z * d[6] + w * d[7] - 2 * x * d[8]),
                                     2 * (-2 * y * d[0] + x * d[1] + w * d[2] + x * d[3] + z * d[5] - w * d[6] + z * d[7] - 2 * y * d[8]),
                                     2 * (-2 * z * d[0] - w * d[1] + x * d[2] + w * d[3] - 2 * z * d[4] + y * d[5] + x * d[6] + y * d[7])};
    const double along = unit[0] * w + unit[1] * x + unit[2] * y + unit[3] * z;
    std::array<double, 4> out;
    for (std::size_t k = 0; k < 4; ++k)
        out[k] = (unit[k] - along * g.q[k]) / g.quaternionLength;
    return out;
}

/// Through the covariance to scales and rotation. @return  By the centre in the camera's frame, through the Jacobian.
ORRERY_BOTH inline Vector3 shapeBackward(const Projection& p, const Geometry& g, const Symmetric& dCovariance, std::size_t index,
                                         const SplatGradientArrays& out)
{
    const double z = g.view[2], fx = p.focalX / z, fy = p.focalY / z;
    double byUx = 0, byUy = 0, byZ = 0;
    Matrix3 byRotation{};
    for (std::size_t k = 0; k < 3; ++k) {
        const double byMx = 2 * (dCovariance[0] * g.mx[k] + dCovariance[1] * g.my[k]),
                     byMy = 2 * (dCovariance[1] * g.mx[k] + dCovariance[2] * g.my[k]);
        const Vector3 byAxis{byMx * fx, byMy * fy, -byMx * fx * g.ux - byMy * fy * g.uy};
        byUx -= byMx * fx * g.axes[k][2];
        byUy -= byMy * fy * g.axes[k][2];
        byZ -= (byMx * g.mx[k] + byMy * g.my[k]) / z;
        out.scales[3 * index + k] += float(dot(byAxis, g.axes[k]));
        for (std::size_t row = 0; row < 3; ++row)
            byRotation[3 * row + k] = g.scale[k] * dot(byAxis, axis(p.view, int(row)));
    }
    const auto byQ = byQuaternion(g, byRotation);
    for (std::size_t k = 0; k < 4; ++k)
        out.rotations[4 * index + k] += float(byQ[k]);
    const bool freeX = g.ux == g.view[0] / z, freeY = g.uy == g.view[1] / z;
    return {freeX ? byUx / z : 0, freeY ? byUy / z : 0, byZ - (freeX ? byUx * g.ux / z : 0) - (freeY ? byUy * g.uy / z : 0)};
}

/// Colour to coefficients. @return  By the mean, through the direction.
ORRERY_BOTH inline Vector3 colourBackward(const Projection& p, const SplatsView& splats, const Geometry& g, const Footprint& f,
                                          const FootprintGradient& in, std::size_t index, const SplatGradientArrays& out)
{
    const Vector3 from = g.mean - p.eye, direction = normalised(from);
    double basis[16], derivatives[16][3];
    harmonicBasis(p.degree, direction[0], direction[1], direction[2], basis, derivatives);
    const std::size_t row = 3 * harmonicsOf(splats.degree) * index;
    Vector3 byDirection{};
    for (std::size_t k = 0; k < harmonicsOf(p.degree); ++k)
        for (std::size_t channel = 0; channel < 3; ++channel) {
            const double g3 = f.colour[channel] > 0 ? in.colour[channel] : 0;
            out.harmonics[row + 3 * k + channel] += float(basis[k] * g3);
            byDirection =
                byDirection + (g3 * splats.harmonics[row + 3 * k + channel]) * Vector3{derivatives[k][0], derivatives[k][1], derivatives[k][2]};
        }
    const double distance = length(from);
    return distance > 0 ? (1 / distance) * (byDirection - dot(byDirection, direction) * direction) : Vector3{};
}

/// Adds the chain from the footprint to the raw values into row `index` of the gradients; also sets `screen` and `radii`. Any thread, one Gaussian once.
ORRERY_BOTH inline void projectBackward(const Projection& p, const SplatsView& splats, std::size_t index, const Footprint& footprint,
                                        const FootprintGradient& in, const SplatGradientArrays& out)
{
    const Geometry g = geometryOf(p, splats, index);
    const auto& c = g.blurred;
    const double mid = 0.5 * (c[0] + c[2]), z = g.view[2];
    out.radii[index] = float(3 * std::sqrt(mid + std::sqrt(std::max(0.0, mid * mid - determinantOf(c)))));
    const auto centre = byCentre(g, in);
    out.screen[2 * index] = float(centre[0]);
    out.screen[2 * index + 1] = float(centre[1]);
    out.opacities[index] += float(in.mass * (1 - sigmoid(splats.opacities[index])));
    Vector3 byView = shapeBackward(p, g, byCovariance(p, g, in), index, out);
    byView = byView + Vector3{centre[0] * p.focalX / z, centre[1] * p.focalY / z,
                              in.depth - (centre[0] * p.focalX * g.view[0] + centre[1] * p.focalY * g.view[1]) / (z * z)};
    const Vector3 byDirection = colourBackward(p, splats, g, footprint, in, index, out);
    for (std::size_t k = 0; k < 3; ++k)
        out.means[3 * index + k] += float(dot(byView, axis(p.view, int(k))) + byDirection[k]);
}

}  // namespace orrery::scene
