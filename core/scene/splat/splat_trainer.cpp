#include "splat_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include <core/base/error.h>
#include <core/base/rng.h>
#include <core/scene/workers.h>

#include "photometric.h"
#include "projection_math.h"

namespace orrery::scene {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-15;
constexpr double kFirstHarmonic = 0.28209479177387814;
constexpr float kResetLogit = -4.59512f;  // opacity 0.01
constexpr std::string_view kMagic = "orrery splats 1\n";

double logit(double p)
{
    return std::log(p / (1 - p));
}

/// Normal numbers, by Box and Muller.
double normal(core::SplitMix64& random)
{
    const double u = 1 - random.uniform();
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * random.uniform());
}

void appendRow(std::vector<float>& values, std::size_t row, std::size_t width)
{
    for (std::size_t k = 0; k < width; ++k)
        values.push_back(values[row * width + k]);
}

void keepRows(std::vector<float>& values, const std::vector<std::uint32_t>& rows, std::size_t width)
{
    // Rows are ascending: each moves to the front or stays.
    for (std::size_t i = 0; i < rows.size(); ++i)
        std::copy_n(values.begin() + std::ptrdiff_t(rows[i] * width), width, values.begin() + std::ptrdiff_t(i * width));
    values.resize(rows.size() * width);
}

void put(std::string& out, const void* bytes, std::size_t size)
{
    out.append(static_cast<const char*>(bytes), size);
}

/// Takes bytes from the front of a saved state.
class Reader {
public:
    explicit Reader(std::string_view bytes) : m_bytes(bytes) {}
    void take(void* to, std::size_t size)
    {
        if (size > m_bytes.size())
            throw core::FormatError(fmt::format("saved training of splats: expected {} more bytes, got {}", size, m_bytes.size()));
        std::memcpy(to, m_bytes.data(), size);
        m_bytes.remove_prefix(size);
    }
    std::size_t left() const { return m_bytes.size(); }

private:
    std::string_view m_bytes;
};

}  // namespace

template <class Self, class Visit>
void SplatTrainer::forArrays(Self& self, const Visit& visit)
{
    visit(self.m_splats.means, self.m_means, 3);
    visit(self.m_splats.scales, self.m_scales, 3);
    visit(self.m_splats.rotations, self.m_rotations, 4);
    visit(self.m_splats.opacities, self.m_opacities, 1);
    visit(self.m_splats.harmonics, self.m_harmonics, 3 * harmonicsOf(self.m_splats.degree));
}

SplatTrainer::SplatTrainer(Splats splats, SplatTrainSettings settings) : m_settings(std::move(settings)), m_splats(std::move(splats))
{
    if (m_splats.size() == 0)
        throw core::InputError("training of splats: expected Gaussians to begin with, got none");
    if (!(m_settings.extent > 0) || !std::isfinite(m_settings.extent))
        throw core::InputError(fmt::format("training of splats: expected a scene's extent above 0, got {}", m_settings.extent));
    forArrays(*this, [](std::vector<float>& values, Moments& moments, std::size_t) {
        moments.first.assign(values.size(), 0);
        moments.second.assign(values.size(), 0);
    });
    m_gradientSums.assign(m_splats.size(), 0);
    m_seen.assign(m_splats.size(), 0);
}

SplatStep SplatTrainer::step(const Camera& camera, const std::vector<float>& target)
{
    SplatRenderOptions options = m_settings.render;
    options.wantDepth = options.wantIds = false;
    if (m_settings.degreeEvery > 0)
        options.degree = int(std::min<std::int64_t>(options.degree, m_step / m_settings.degreeEvery));
    const auto& image = m_rasterizer.render(m_splats.view(), camera, options);
    auto compared = photometricLoss(image.rgb, target, camera.width, camera.height, m_settings.ssimWeight, options.threads);
    if (!std::isfinite(compared.loss))
        throw core::Error(fmt::format("training of splats: the loss is {} at step {}: lower the learning rates", compared.loss, m_step + 1));
    SplatImageGradient gradient;
    gradient.rgb = std::move(compared.gradient);
    const auto gradients = m_rasterizer.backward(m_splats.view(), gradient);
    ++m_step;
    update(gradients);
    if (m_step < m_settings.densifyUntil) {
        observe(gradients, camera);
        if (m_step > m_settings.densifyFrom && m_step % m_settings.densifyEvery == 0)
            densify();
        if (m_settings.opacityResetEvery > 0 && m_step % m_settings.opacityResetEvery == 0)
            resetOpacities();
    }
    return {compared.loss, psnrOf(compared.mse), m_splats.size()};
}

/// @param width  Of a row whose first three numbers have `rate` and whose others have `restRate`; 0: all have `rate`.
void SplatTrainer::adam(std::vector<float>& values, const std::vector<float>& gradient, Moments& moments, double rate, double restRate,
                        std::size_t width)
{
    const double correction1 = 1 - std::pow(kBeta1, double(m_step)), correction2 = std::sqrt(1 - std::pow(kBeta2, double(m_step)));
    shareOut(workerCount(m_settings.render.threads), values.size(), 65536, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) {
            const float g = gradient[i];
            float &m = moments.first[i], &v = moments.second[i];
            m = float(kBeta1) * m + float(1 - kBeta1) * g;
            v = float(kBeta2) * v + float(1 - kBeta2) * g * g;
            const double own = width > 0 && i % width >= 3 ? restRate : rate;
            values[i] -= float(own / correction1 * m / (std::sqrt(double(v)) / correction2 + kEpsilon));
        }
    });
}

void SplatTrainer::update(const SplatGradients& gradients)
{
    const double t = std::clamp(double(m_step) / double(std::max<std::int64_t>(1, m_settings.meansRateSteps)), 0.0, 1.0);
    const double meansRate = m_settings.extent * std::exp((1 - t) * std::log(m_settings.meansRate) + t * std::log(m_settings.meansRateEnd));
    adam(m_splats.means, gradients.means, m_means, meansRate);
    adam(m_splats.scales, gradients.scales, m_scales, m_settings.scalesRate);
    adam(m_splats.rotations, gradients.rotations, m_rotations, m_settings.rotationsRate);
    adam(m_splats.opacities, gradients.opacities, m_opacities, m_settings.opacitiesRate);
    adam(m_splats.harmonics, gradients.harmonics, m_harmonics, m_settings.colourRate, m_settings.harmonicsRate, 3 * harmonicsOf(m_splats.degree));
}

void SplatTrainer::observe(const SplatGradients& gradients, const Camera& camera)
{
    for (std::size_t i = 0; i < m_splats.size(); ++i) {
        if (!(gradients.radii[i] > 0))
            continue;
        m_gradientSums[i] +=
            std::hypot(gradients.screen[2 * i] * 0.5f * float(camera.width), gradients.screen[2 * i + 1] * 0.5f * float(camera.height));
        m_seen[i] += 1;
    }
}

double SplatTrainer::largestScale(std::size_t index) const
{
    const float* s = m_splats.scales.data() + 3 * index;
    return std::exp(double(std::max({s[0], s[1], s[2]})));
}

/// A copy at the end, whose averages begin at 0.
void SplatTrainer::append(std::size_t from)
{
    forArrays(*this, [&](std::vector<float>& values, Moments& moments, std::size_t width) {
        appendRow(values, from, width);
        moments.first.resize(values.size(), 0);
        moments.second.resize(values.size(), 0);
    });
}

/// Two smaller ones drawn from the Gaussian: one at the end, one in its own place.
void SplatTrainer::split(std::size_t index, std::uint64_t seed)
{
    core::SplitMix64 random(seed);
    append(index);
    const float* r = m_splats.rotations.data() + 4 * index;
    const double length = std::sqrt(double(r[0]) * r[0] + double(r[1]) * r[1] + double(r[2]) * r[2] + double(r[3]) * r[3]);
    const Matrix3 rotation = rotationMatrix({r[0] / length, r[1] / length, r[2] / length, r[3] / length});
    double scale[3];
    for (std::size_t k = 0; k < 3; ++k)
        scale[k] = std::exp(double(m_splats.scales[3 * index + k]));
    for (const std::size_t at : {index, m_splats.size() - 1}) {
        const double offset[3] = {scale[0] * normal(random), scale[1] * normal(random), scale[2] * normal(random)};
        for (std::size_t k = 0; k < 3; ++k) {
            m_splats.means[3 * at + k] += float(rotation[3 * k] * offset[0] + rotation[3 * k + 1] * offset[1] + rotation[3 * k + 2] * offset[2]);
            m_splats.scales[3 * at + k] -= float(std::log(1.6));
        }
    }
    forArrays(*this, [&](std::vector<float>&, Moments& moments, std::size_t width) {
        std::fill_n(moments.first.begin() + std::ptrdiff_t(index * width), width, 0.0f);
        std::fill_n(moments.second.begin() + std::ptrdiff_t(index * width), width, 0.0f);
    });
}

void SplatTrainer::densify()
{
    const std::size_t before = m_splats.size();
    for (std::size_t i = 0; i < before && m_splats.size() < m_settings.maxCount; ++i) {
        if (!(m_seen[i] > 0 && m_gradientSums[i] / m_seen[i] >= m_settings.densifyGradient))
            continue;
        if (largestScale(i) > m_settings.splitShare * m_settings.extent)
            split(i, core::deriveSeed(m_settings.seed, std::uint64_t(m_step), fmt::format("split {}", i)));
        else
            append(i);
    }
    prune();
    m_gradientSums.assign(m_splats.size(), 0);
    m_seen.assign(m_splats.size(), 0);
}

void SplatTrainer::prune()
{
    std::vector<std::uint32_t> kept;
    const bool alsoLarge = m_settings.opacityResetEvery > 0 && m_step > m_settings.opacityResetEvery;
    for (std::size_t i = 0; i < m_splats.size(); ++i) {
        const bool faint = m_splats.opacities[i] < logit(m_settings.pruneOpacity);
        if (!faint && !(alsoLarge && largestScale(i) > m_settings.pruneShare * m_settings.extent))
            kept.push_back(std::uint32_t(i));
    }
    // A training without Gaussians would stand still for ever.
    if (!kept.empty())
        keep(kept);
}

void SplatTrainer::keep(const std::vector<std::uint32_t>& indices)
{
    forArrays(*this, [&](std::vector<float>& values, Moments& moments, std::size_t width) {
        keepRows(values, indices, width);
        keepRows(moments.first, indices, width);
        keepRows(moments.second, indices, width);
    });
}

void SplatTrainer::resetOpacities()
{
    for (float& opacity : m_splats.opacities)
        opacity = std::min(opacity, kResetLogit);
    std::fill(m_opacities.first.begin(), m_opacities.first.end(), 0.0f);
    std::fill(m_opacities.second.begin(), m_opacities.second.end(), 0.0f);
}

std::string SplatTrainer::save() const
{
    std::string out(kMagic);
    const std::uint64_t count = m_splats.size(), degree = std::uint64_t(m_splats.degree), step = std::uint64_t(m_step);
    for (const std::uint64_t number : {count, degree, step})
        put(out, &number, sizeof number);
    forArrays(*this, [&](const std::vector<float>& values, const Moments& moments, std::size_t) {
        for (const auto* array : {&values, &moments.first, &moments.second})
            put(out, array->data(), array->size() * sizeof(float));
    });
    put(out, m_gradientSums.data(), m_gradientSums.size() * sizeof(float));
    put(out, m_seen.data(), m_seen.size() * sizeof(float));
    return out;
}

void SplatTrainer::restore(std::string_view bytes)
{
    if (!bytes.starts_with(kMagic))
        throw core::FormatError("saved training of splats: expected its first line, got other bytes");
    Reader reader(bytes.substr(kMagic.size()));
    std::uint64_t count = 0, degree = 0, step = 0;
    for (std::uint64_t* number : {&count, &degree, &step})
        reader.take(number, sizeof *number);
    const std::uint64_t perGaussian = degree <= 3 ? sizeof(float) * (3 * (11 + 3 * harmonicsOf(int(degree))) + 2) : 0;
    if (perGaussian == 0 || count == 0 || reader.left() % perGaussian != 0 || reader.left() / perGaussian != count)
        throw core::FormatError(
            fmt::format("saved training of splats: expected {} Gaussians of degree {}, got {} bytes", count, degree, reader.left()));
    if (step > std::uint64_t(1) << 40)
        throw core::FormatError(fmt::format("saved training of splats: expected a number of steps, got {}", step));
    m_splats.resize(std::size_t(count), int(degree));
    forArrays(*this, [&](std::vector<float>& values, Moments& moments, std::size_t) {
        moments.first.resize(values.size());
        moments.second.resize(values.size());
        for (auto* array : {&values, &moments.first, &moments.second})
            reader.take(array->data(), array->size() * sizeof(float));
    });
    m_gradientSums.resize(std::size_t(count));
    m_seen.resize(std::size_t(count));
    reader.take(m_gradientSums.data(), m_gradientSums.size() * sizeof(float));
    reader.take(m_seen.data(), m_seen.size() * sizeof(float));
    m_step = std::int64_t(step);
}

Splats randomStart(std::size_t count, const std::array<double, 6>& box, int degree, std::uint64_t seed)
{
    core::SplitMix64 random(seed);
    Splats splats;
    splats.resize(count, degree);
    const double volume = (box[3] - box[0]) * (box[4] - box[1]) * (box[5] - box[2]);
    const auto size = float(std::log(std::cbrt(std::max(volume, 1e-12) / double(std::max<std::size_t>(1, count)))));
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t k = 0; k < 3; ++k) {
            splats.means[3 * i + k] = float(box[k] + (box[3 + k] - box[k]) * random.uniform());
            splats.scales[3 * i + k] = size;
            splats.harmonics[3 * harmonicsOf(degree) * i + k] = float((random.uniform() - 0.5) / kFirstHarmonic);
        }
        splats.rotations[4 * i] = 1;
        splats.opacities[i] = float(logit(0.1));
    }
    return splats;
}

}  // namespace orrery::scene
