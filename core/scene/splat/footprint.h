#pragma once
#include <array>
#include <cstdint>

#include <core/kernels/both.h>

#include "rasterizer.h"

/// Internal to core/scene/splat: a Gaussian's footprint in the picture.
namespace orrery::scene {

constexpr int kTileSide = 16;
constexpr float kAlphaThreshold = 1.0f / 255, kAlphaMaximum = 0.99f, kTransmittanceStop = 1e-4f;
constexpr double kLog2E = 1.4426950408889634, kLog2Threshold = -7.994353436858858;  // log2(1 / 255)

/// alpha = 2^(level - u^2 - v^2) with u = across * (dx - shear * dy), v = down * dy and (dx, dy) from the centre to the pixel's: the Cholesky factor of the
/// inverse covariance. Unlike the expanded square it does not cancel for long thin Gaussians.
struct Footprint {
    double x = 0, y = 0;  ///< pixels
    float across = 0, shear = 0, down = 0, level = 0;
    float colour[3] = {0, 0, 0};
    float depth = 0;
    /// Tiles [left, right) x [top, bottom); none: invisible.
    std::uint16_t left = 0, right = 0, top = 0, bottom = 0;

    ORRERY_BOTH std::size_t tiles() const { return std::size_t(right - left) * std::size_t(bottom - top); }
};

/// What projection needs of camera and options, once a picture.
struct Projection {
    Projection(const Camera& camera, const SplatRenderOptions& options, int degree);

    Matrix4 view;
    Vector3 eye;
    double focalX, focalY, centreX, centreY;
    double limitLeft, limitRight, limitTop, limitBottom;  ///< of x / z and y / z where the Jacobian is taken
    int width, height, tilesX, tilesY, degree;
    SplatRenderOptions options;
};

/// Gradients by what a footprint is made of, in the whitened coordinates w = sqrt(2 ln 2) (u, v), for which sigma = |w|^2 / 2:
/// sums over pixels of g = dL/dalpha * alpha times 1, w1, w2, w1^2, w1 w2, w2^2, and of weight times the picture's gradient.
struct FootprintGradient {
    float mass = 0, first[2] = {0, 0}, second[3] = {0, 0, 0};
    float colour[3] = {0, 0, 0};
    float depth = 0;
};

}  // namespace orrery::scene
