#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "rasterizer.h"

/// Written on its own, from the papers' formulas and with none of the kernels' code: an oracle is worth what it does not share.
namespace orrery::scene {
namespace {

struct Blob {
    std::size_t index = 0;
    double x = 0, y = 0, depth = 0, opacity = 0;
    double conic[3] = {};  // inverse covariance: xx, xy, yy
    double colour[3] = {};
};

/// Associated Legendre polynomial with the Condon-Shortley phase.
double legendre(int l, int m, double x)
{
    double start = 1;
    for (int k = 1; k <= m; ++k)
        start *= -(2 * k - 1) * std::sqrt(std::max(0.0, 1 - x * x));
    if (l == m)
        return start;
    double previous = start, current = x * (2 * m + 1) * start;
    for (int k = m + 2; k <= l; ++k)
        previous = std::exchange(current, ((2 * k - 1) * x * current - (k + m - 1) * previous) / (k - m));
    return current;
}

double harmonic(int l, int m, double theta, double phi)
{
    const int n = std::abs(m);
    const double scale = std::sqrt((2 * l + 1) / (4 * std::numbers::pi) * std::tgamma(l - n + 1) / std::tgamma(l + n + 1));
    const double value = scale * legendre(l, n, std::cos(theta));
    return m == 0 ? value : std::numbers::sqrt2 * value * (m > 0 ? std::cos(n * phi) : std::sin(n * phi));
}

/// c = a (rows x inner) b (inner x columns), row-major.
std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b, std::size_t inner)
{
    const std::size_t rows = a.size() / inner, columns = b.size() / inner;
    std::vector<double> c(rows * columns, 0);
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j)
            for (std::size_t k = 0; k < inner; ++k)
                c[i * columns + j] += a[i * inner + k] * b[k * columns + j];
    return c;
}

std::vector<double> transposed(const std::vector<double>& a, std::size_t columns)
{
    std::vector<double> t(a.size());
    for (std::size_t i = 0; i < a.size(); ++i)
        t[(i % columns) * (a.size() / columns) + i / columns] = a[i];
    return t;
}

/// R S S^T R^T; the quaternion turns each axis by q v q*.
std::vector<double> worldCovariance(const SplatsDouble& s, std::size_t i)
{
    const double* r = s.rotations.data() + 4 * i;
    const double n = std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + r[3] * r[3]);
    const double w = r[0] / n, v[3] = {r[1] / n, r[2] / n, r[3] / n};
    std::vector<double> m(9);
    for (std::size_t k = 0; k < 3; ++k) {
        double e[3] = {0, 0, 0};
        e[k] = 1;
        const double t[3] = {2 * (v[1] * e[2] - v[2] * e[1]), 2 * (v[2] * e[0] - v[0] * e[2]), 2 * (v[0] * e[1] - v[1] * e[0])};
        const double u[3] = {v[1] * t[2] - v[2] * t[1], v[2] * t[0] - v[0] * t[2], v[0] * t[1] - v[1] * t[0]};
        for (std::size_t row = 0; row < 3; ++row)
            m[3 * row + k] = std::exp(s.scales[3 * i + k]) * (e[row] + w * t[row] + u[row]);
    }
    return product(m, transposed(m, 3), 3);
}

void setColour(const SplatsDouble& s, const Camera& camera, const SplatRenderOptions& options, Blob& blob)
{
    const double* m = s.means.data() + 3 * blob.index;
    const auto& c = camera.cameraToWorld;
    const double d[3] = {m[0] - c[3], m[1] - c[7], m[2] - c[11]};
    const double theta = std::atan2(std::hypot(d[0], d[1]), d[2]), phi = std::atan2(d[1], d[0]);
    for (std::size_t channel = 0; channel < 3; ++channel) {
        double sum = 0.5;
        for (int l = 0; l <= std::min(options.degree, s.degree); ++l)
            for (int k = -l; k <= l; ++k)
                sum += harmonic(l, k, theta, phi) * s.harmonics[3 * (harmonicsOf(s.degree) * blob.index + std::size_t(l * l + l + k)) + channel];
        blob.colour[channel] = std::max(0.0, sum);
    }
}

/// @return  False where the Gaussian is not in front of the camera.
bool project(const SplatsDouble& s, const Camera& camera, const SplatRenderOptions& options, Blob& blob)
{
    const auto m = worldToView(camera);
    const double* p = s.means.data() + 3 * blob.index;
    double v[3];
    for (std::size_t row = 0; row < 3; ++row)
        v[row] = m[4 * row] * p[0] + m[4 * row + 1] * p[1] + m[4 * row + 2] * p[2] + m[4 * row + 3];
    if (!(v[2] >= options.nearPlane && v[2] <= options.farPlane))
        return false;
    blob.depth = v[2];
    blob.x = camera.focalX * v[0] / v[2] + camera.centreX;
    blob.y = camera.focalY * v[1] / v[2] + camera.centreY;
    // The point where the Jacobian is taken lies at most 15 % of the picture's size outside the picture.
    const double px = std::clamp(blob.x, -0.15 * camera.width, 1.15 * camera.width),
                 py = std::clamp(blob.y, -0.15 * camera.height, 1.15 * camera.height);
    const std::vector<double> jacobian{camera.focalX / v[2],         0, -(px - camera.centreX) / v[2], 0, camera.focalY / v[2],
                                       -(py - camera.centreY) / v[2]};
    const std::vector<double> rotation{m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]};
    const auto chain = product(jacobian, rotation, 3);
    auto c = product(product(chain, worldCovariance(s, blob.index), 3), transposed(chain, 3), 3);
    const double sharp = c[0] * c[3] - c[1] * c[2];
    c[0] += options.lowPass;
    c[3] += options.lowPass;
    const double det = c[0] * c[3] - c[1] * c[2];
    blob.opacity = 1 / (1 + std::exp(-s.opacities[blob.index])) * (options.antialias ? std::sqrt(std::max(0.0, sharp / det)) : 1);
    blob.conic[0] = c[3] / det;
    blob.conic[1] = -c[1] / det;
    blob.conic[2] = c[0] / det;
    return true;
}

std::vector<Blob> blobsOf(const SplatsDouble& s, const Camera& camera, const SplatRenderOptions& options)
{
    std::vector<Blob> blobs;
    for (std::size_t i = 0; i < s.count; ++i) {
        Blob blob;
        blob.index = i;
        if (!project(s, camera, options, blob))
            continue;
        setColour(s, camera, options, blob);
        blobs.push_back(blob);
    }
    std::stable_sort(blobs.begin(), blobs.end(), [](const Blob& a, const Blob& b) { return a.depth < b.depth; });
    return blobs;
}

void pixelOf(const std::vector<Blob>& blobs, const SplatRenderOptions& options, int row, int column, std::size_t at, SplatReference& out)
{
    double transmittance = 1, best = 0, margin = 1, lastDepth = 0, colour[3] = {0, 0, 0}, depth = 0;
    for (const Blob& b : blobs) {
        const double dx = column + 0.5 - b.x, dy = row + 0.5 - b.y;
        const double sigma = 0.5 * (b.conic[0] * dx * dx + b.conic[2] * dy * dy) + b.conic[1] * dx * dy;
        const double alpha = std::min(0.99, b.opacity * std::exp(-sigma));
        margin = std::min(margin, std::abs(alpha * 255 - 1));
        if (alpha < 1.0 / 255)
            continue;
        margin = std::min(margin, lastDepth > 0 ? (b.depth - lastDepth) / lastDepth : 1);
        lastDepth = b.depth;
        const double next = transmittance * (1 - alpha), weight = transmittance * alpha;
        margin = std::min(margin, std::abs(next / 1e-4 - 1));
        if (next <= 1e-4)
            break;
        for (std::size_t k = 0; k < 3; ++k)
            colour[k] += weight * b.colour[k];
        depth += weight * b.depth;
        if (weight > best) {
            best = weight;
            out.ids[at] = std::int32_t(b.index);
        }
        transmittance = next;
    }
    for (std::size_t k = 0; k < 3; ++k)
        out.rgb[3 * at + k] = colour[k] + transmittance * options.background[k];
    out.alpha[at] = 1 - transmittance;
    out.depth[at] = transmittance < 1 ? depth / (1 - transmittance) : 0;
    out.margin[at] = margin;
}

}  // namespace

SplatsDouble toDouble(const SplatsView& s)
{
    const auto copy = [](const float* from, std::size_t count) { return std::vector<double>(from, from + count); };
    return {s.count,
            s.degree,
            copy(s.means, 3 * s.count),
            copy(s.scales, 3 * s.count),
            copy(s.rotations, 4 * s.count),
            copy(s.opacities, s.count),
            copy(s.harmonics, 3 * harmonicsOf(s.degree) * s.count)};
}

SplatReference renderReference(const SplatsDouble& splats, const Camera& camera, const SplatRenderOptions& options)
{
    const auto pixels = std::size_t(camera.width) * std::size_t(camera.height);
    SplatReference out;
    out.rgb.resize(3 * pixels);
    out.alpha.resize(pixels);
    out.depth.resize(pixels);
    out.margin.resize(pixels);
    out.ids.assign(pixels, -1);
    const auto blobs = blobsOf(splats, camera, options);
    for (int row = 0; row < camera.height; ++row)
        for (int column = 0; column < camera.width; ++column)
            pixelOf(blobs, options, row, column, std::size_t(row) * std::size_t(camera.width) + std::size_t(column), out);
    return out;
}

}  // namespace orrery::scene
