#pragma once
#include <memory>

#include <core/scene/camera/camera.h>

#include "splats.h"

/// Pictures of 3D Gaussians on the CPU, and the gradients of what a picture is made of. Free of libtorch.
namespace orrery::scene {

/// How a Gaussian is drawn.
enum class SplatShape {
    Splat,      ///< as it is trained: a Gaussian fall-off
    Ellipsoid,  ///< opaque up to about `ellipsoidSigmas` standard deviations, with a sharp edge
    Centre,     ///< an opaque dot of about 2 pixels
};

struct SplatRenderOptions {
    std::array<float, 3> background{0, 0, 0};
    float nearPlane = 0.01f, farPlane = 1e10f;  ///< Gaussians whose centre's depth lies outside are left out
    int degree = 3;                             ///< spherical harmonics are used up to this degree
    float lowPass = 0.3f;                       ///< eps2d: added to both variances in the picture, square pixels
    bool antialias = false;                     ///< opacity times sqrt(det(C) / det(C + eps2d)): the low-pass filter does not brighten
    bool wantDepth = true, wantIds = false;
    SplatShape shape = SplatShape::Splat;
    float ellipsoidSigmas = 2;
    int threads = 0;  ///< 0: all cores
};

/// Rows from top to bottom.
struct SplatImage {
    int width = 0, height = 0;
    std::vector<float> rgb;         ///< [row, column, channel], background included; not cut off at 1
    std::vector<float> alpha;       ///< [row, column]: 1 - transmittance
    std::vector<float> depth;       ///< [row, column]: expected depth, sum(weight * z) / alpha; z along the camera's forward axis; 0 where alpha is 0
    std::vector<std::int32_t> ids;  ///< [row, column]: the Gaussian with the largest weight, -1 where there is none
};

struct SplatFrame {
    std::size_t visible = 0;  ///< Gaussians that reach the picture
    std::size_t pairs = 0;    ///< (Gaussian, tile) pairs: pairs / visible is the mean number of tiles of a Gaussian
};

/// Gradients of a scalar by the picture. An empty array stands for zeros.
struct SplatImageGradient {
    std::vector<float> rgb, alpha, depth;
};

/// Gradients by the raw values, in the layout of SplatsView.
struct SplatGradients {
    std::vector<float> means, scales, rotations, opacities, harmonics;
    std::vector<float> screen;  ///< [gaussian, 2]: by the centre in the picture, pixels; what densification looks at
    std::vector<float> radii;   ///< [gaussian]: 3 standard deviations along the longest axis in the picture, pixels; 0 where it was not visible
};

/// @throws core::InputError as SplatRasterizer::render says.
void checkPicture(const SplatsView& splats, const Camera& camera, const SplatRenderOptions& options);

/// Draws Gaussians. Keeps its buffers from picture to picture, so that a live view does not allocate. One thread at a time; the work inside is shared out to
/// `threads` threads. The picture is the same to the last bit for any number of threads, and so are the gradients.
///
/// Per Gaussian: covariance in the picture J W R S S^T R^T W^T J^T + eps2d I with the Jacobian J of the perspective projection, taken no further out than
/// 15 % beyond the picture's edge; alpha = min(0.99, opacity * exp(-sigma)) at pixel centres, skipped below 1/255; front to back by the depth of the centre;
/// a pixel ends before its transmittance would fall to 1e-4 or less. Tiles of 16 x 16 pixels; a Gaussian is in a tile wherever its alpha can reach 1/255: there is no cut at three
/// standard deviations. exp is a polynomial of degree 5 with a relative error below 4e-7.
///
/// Source: Kerbl et al. (2023), "3D Gaussian Splatting for Real-Time Radiance Field Rendering", arXiv:2308.04079, sections 4 to 6; constants, low-pass filter and
/// anti-aliasing as in Ye et al. (2024), "gsplat", arXiv:2409.06765; Zwicker et al. (2001), "EWA volume splatting", doi:10.1109/VISUAL.2001.964490.
class SplatRasterizer {
public:
    SplatRasterizer();
    ~SplatRasterizer();
    SplatRasterizer(const SplatRasterizer&) = delete;
    SplatRasterizer& operator=(const SplatRasterizer&) = delete;

    /// The picture stays valid until the next call.
    /// @throws core::InputError for sizes below 1 or above 16384, focal lengths that are not positive, lens distortion, a degree outside 0..3, planes that are
    ///         not 0 < near < far. Values that are not finite, and quaternions of length 0, make their Gaussian invisible.
    const SplatImage& render(const SplatsView& splats, const Camera& camera, const SplatRenderOptions& options);
    SplatFrame frame() const;

    /// Gradients of the last picture by the Gaussians it was made of, which must still be there unchanged. Shape must be Splat.
    /// @throws core::ShapeError if a gradient does not have the picture's size, core::InputError without a picture of splats.
    SplatGradients backward(const SplatsView& splats, const SplatImageGradient& gradient);

private:
    struct State;
    std::unique_ptr<State> m_state;
};

/// The same formulas in double precision, one pixel after another, all Gaussians for each: what the kernels are tested against. Slow.
struct SplatReference {
    std::vector<double> rgb, alpha, depth;
    std::vector<std::int32_t> ids;
    /// [row, column]: how near (relative) a decision of the pixel (alpha against 1/255, transmittance against 1e-4, order of depths) was to going the other way.
    std::vector<double> margin;
};
/// @param raw  means, scales, rotations, opacities, harmonics one after another as in SplatsView, double.
struct SplatsDouble {
    std::size_t count = 0;
    int degree = 0;
    std::vector<double> means, scales, rotations, opacities, harmonics;
};
SplatsDouble toDouble(const SplatsView& splats);
SplatReference renderReference(const SplatsDouble& splats, const Camera& camera, const SplatRenderOptions& options);

}  // namespace orrery::scene
