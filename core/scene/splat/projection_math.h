#pragma once
#include <algorithm>
#include <cmath>

#include <core/scene/camera/vector.h>

#include "footprint.h"
#include "harmonics.h"

/// Internal to core/scene/splat and core/cuda: from a Gaussian to its footprint.
namespace orrery::scene {

/// 1 / (1 + e^-x).
ORRERY_BOTH inline double sigmoid(double x)
{
    return 1 / (1 + std::exp(-x));
}

/// Rows of the rotation matrix of a quaternion w, x, y, z of length 1.
ORRERY_BOTH inline Matrix3 rotationMatrix(const std::array<double, 4>& q)
{
    const auto [w, x, y, z] = q;
    return {1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), 2 * (x * y + w * z),    1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),     2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)};
}

ORRERY_BOTH inline double quaternionNorm(const std::array<double, 4>& q)
{
    return std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
}

/// The covariance in the picture, before the low-pass filter: xx, xy, yy. M = J W R S is 2 x 3.
ORRERY_BOTH inline std::array<double, 3> pictureCovariance(const Projection& p, const SplatsView& splats, std::size_t index, const Vector3& view,
                                                           const std::array<double, 4>& q)
{
    const double z = view[2], tx = z * std::clamp(view[0] / z, p.limitLeft, p.limitRight),
                 ty = z * std::clamp(view[1] / z, p.limitTop, p.limitBottom);
    const Matrix3 rotation = rotationMatrix(q);
    double xx = 0, xy = 0, yy = 0;
    for (std::size_t k = 0; k < 3; ++k) {
        const double s = std::exp(splats.scales[3 * index + k]);
        const Vector3 axis = rotate(p.view, {s * rotation[k], s * rotation[3 + k], s * rotation[6 + k]});
        const double mx = p.focalX / z * (axis[0] - tx / z * axis[2]), my = p.focalY / z * (axis[1] - ty / z * axis[2]);
        xx += mx * mx;
        xy += mx * my;
        yy += my * my;
    }
    return {xx, xy, yy};
}

ORRERY_BOTH inline void setColour(const Projection& p, const SplatsView& splats, std::size_t index, const Vector3& mean, Footprint& out)
{
    const Vector3 direction = normalised(mean - p.eye);
    double basis[16];
    harmonicBasis(p.degree, direction[0], direction[1], direction[2], basis, nullptr);
    const float* c = splats.harmonics + 3 * harmonicsOf(splats.degree) * index;
    double sum[3] = {0.5, 0.5, 0.5};
    for (std::size_t k = 0; k < harmonicsOf(p.degree); ++k)
        for (std::size_t channel = 0; channel < 3; ++channel)
            sum[channel] += basis[k] * c[3 * k + channel];
    for (std::size_t channel = 0; channel < 3; ++channel)
        out.colour[channel] = sum[channel] <= 0 ? 0 : float(sum[channel]);  // NaN stays NaN
}

ORRERY_BOTH inline std::uint16_t tileOf(double pixel, int tiles)
{
    return std::uint16_t(std::clamp(std::floor(pixel / kTileSide), 0.0, double(tiles)));
}

/// Tiles with a pixel's centre within the given distances of (x, y). The slack keeps what rounding could bring in.
ORRERY_BOTH inline void setTiles(const Projection& p, double halfWidth, double halfHeight, Footprint& f)
{
    const double w = halfWidth * 1.0001 + 0.01, h = halfHeight * 1.0001 + 0.01;
    if (!(f.x + w >= 0.5 && f.x - w <= p.width - 0.5 && f.y + h >= 0.5 && f.y - h <= p.height - 0.5))
        return;
    f.left = tileOf(f.x - w - 0.5, p.tilesX);
    f.right = std::uint16_t(std::min(p.tilesX, tileOf(f.x + w - 0.5, p.tilesX) + 1));
    f.top = tileOf(f.y - h - 0.5, p.tilesY);
    f.bottom = std::uint16_t(std::min(p.tilesY, tileOf(f.y + h - 0.5, p.tilesY) + 1));
}

/// False where the Gaussian cannot reach the picture however it is turned: spares most of the work for what lies beside it. The Jacobian's norm is at most
/// f / z * sqrt(1 + ux^2 + uy^2), and alpha falls below 1/255 within 3.34 standard deviations (ellipsoids of up to 6 sigmas end within 6.2).
ORRERY_BOTH inline bool mayReach(const Projection& p, const SplatsView& splats, std::size_t index, const Vector3& view)
{
    const float* s = splats.scales + 3 * index;
    const double ux = std::max(std::abs(p.limitLeft), std::abs(p.limitRight)), uy = std::max(std::abs(p.limitTop), std::abs(p.limitBottom));
    const double deviation = std::exp(std::max(s[0], std::max(s[1], s[2]))) * std::max(p.focalX, p.focalY) / view[2];
    const double factor = p.options.shape == SplatShape::Splat ? 3.34 : 6.2;
    const double bound = factor * std::sqrt(deviation * deviation * (1 + ux * ux + uy * uy) + p.options.lowPass) + 4;
    const double x = p.focalX * view[0] / view[2] + p.centreX, y = p.focalY * view[1] / view[2] + p.centreY;
    return x + bound >= 0 && x - bound <= p.width && y + bound >= 0 && y - bound <= p.height;
}

/// Shape and opacity of the alternative ways to draw.
ORRERY_BOTH inline void reshape(const SplatRenderOptions& options, std::array<double, 3>& covariance, double& opacity)
{
    if (options.shape == SplatShape::Centre) {
        covariance = {0.5, 0, 0.5};
        opacity = 0.99;
    } else if (options.shape == SplatShape::Ellipsoid) {
        // exp(-8 (sigma - s^2 / 2)) is 1 at s standard deviations and falls off within a few per cent of the radius.
        constexpr double kSteepness = 8;
        for (double& c : covariance)
            c /= kSteepness;
        opacity = std::exp(kSteepness * 0.5 * std::min(36.0f, options.ellipsoidSigmas * options.ellipsoidSigmas));
    }
}

/// Invisible (no tiles) where the Gaussian does not reach the picture. Any thread.
ORRERY_BOTH inline Footprint footprintOf(const Projection& p, const SplatsView& splats, std::size_t index)
{
    Footprint f;
    const float *m = splats.means + 3 * index, *r = splats.rotations + 4 * index;
    const Vector3 mean{m[0], m[1], m[2]}, v = transform(p.view, mean);
    const std::array<double, 4> raw{r[0], r[1], r[2], r[3]};
    if (!(v[2] >= p.options.nearPlane && v[2] <= p.options.farPlane) || !mayReach(p, splats, index, v))
        return f;
    const double length = quaternionNorm(raw);
    if (!(length > 0) || !std::isfinite(length))
        return f;
    auto c = pictureCovariance(p, splats, index, v, {raw[0] / length, raw[1] / length, raw[2] / length, raw[3] / length});
    double opacity = sigmoid(splats.opacities[index]);
    const double sharp = c[0] * c[2] - c[1] * c[1];
    c[0] += p.options.lowPass;
    c[2] += p.options.lowPass;
    if (p.options.antialias)
        opacity *= std::sqrt(std::max(0.0, sharp / (c[0] * c[2] - c[1] * c[1])));
    reshape(p.options, c, opacity);
    const double determinant = c[0] * c[2] - c[1] * c[1], reach = 2 * (std::log(opacity) - std::log(double(kAlphaThreshold)));
    if (!(determinant > 0) || !std::isfinite(determinant) || !(reach >= 0))
        return f;
    f.x = p.focalX * v[0] / v[2] + p.centreX;
    f.y = p.focalY * v[1] / v[2] + p.centreY;
    f.across = float(std::sqrt(0.5 * kLog2E * c[2] / determinant));
    f.shear = float(c[1] / c[2]);
    f.down = float(std::sqrt(0.5 * kLog2E / c[2]));
    f.level = float(std::log2(opacity));
    f.depth = float(v[2]);
    setTiles(p, std::sqrt(reach * c[0]), std::sqrt(reach * c[2]), f);
    if (f.tiles() > 0)
        setColour(p, splats, index, mean, f);
    if (!std::isfinite(f.colour[0] + f.colour[1] + f.colour[2]))
        return {};
    return f;
}

}  // namespace orrery::scene
