#include "augmentation.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace orrery::data {
namespace {

using core::Json;
using core::SplitMix64;

/// Uniform integer in [-reach, reach].
std::int64_t offsetWithin(std::int64_t reach, SplitMix64& random)
{
    return reach == 0 ? 0 : std::int64_t(random.below(std::uint64_t(2 * reach + 1))) - reach;
}

/// Moves the picture by whole pixels; what is uncovered becomes black. With 4 pixels on CIFAR this is "pad by 4, crop at random".
class Shift : public Augmentation {
public:
    explicit Shift(std::int64_t pixels) : m_pixels(pixels) {}
    void apply(ImageView image, SplitMix64& random) const override
    {
        const std::int64_t dx = offsetWithin(m_pixels, random), dy = offsetWithin(m_pixels, random);
        const std::int64_t area = image.height * image.width;
        std::vector<float> plane(static_cast<std::size_t>(area));
        for (std::int64_t c = 0; c < image.channels; ++c) {
            float* const values = image.values + c * area;
            std::copy(values, values + area, plane.begin());
            for (std::int64_t y = 0; y < image.height; ++y)
                for (std::int64_t x = 0; x < image.width; ++x) {
                    const std::int64_t fromX = x - dx, fromY = y - dy;
                    const bool inside = fromX >= 0 && fromX < image.width && fromY >= 0 && fromY < image.height;
                    values[y * image.width + x] = inside ? plane[std::size_t(fromY * image.width + fromX)] : image.fill[std::size_t(c)];
                }
        }
    }

private:
    std::int64_t m_pixels;
};

class Flip : public Augmentation {
public:
    Flip(double probability, bool horizontal) : m_probability(probability), m_horizontal(horizontal) {}
    void apply(ImageView image, SplitMix64& random) const override
    {
        if (random.uniform() >= m_probability)
            return;
        for (std::int64_t row = 0; row < image.channels * image.height && m_horizontal; ++row)
            std::reverse(image.values + row * image.width, image.values + (row + 1) * image.width);
        for (std::int64_t c = 0; c < image.channels && !m_horizontal; ++c) {
            float* const plane = image.values + c * image.height * image.width;
            for (std::int64_t y = 0; y < image.height / 2; ++y)
                std::swap_ranges(plane + y * image.width, plane + (y + 1) * image.width, plane + (image.height - 1 - y) * image.width);
        }
    }

private:
    double m_probability;
    bool m_horizontal;
};

/// Resamples bilinearly: the pixel (x, y) of the result is taken from (ax + by + c, dx + ey + f); outside is black.
struct Affine {
    double a, b, c, d, e, f;
};

void resample(ImageView image, const Affine& map)
{
    const std::int64_t area = image.height * image.width;
    std::vector<float> plane(static_cast<std::size_t>(area));
    for (std::int64_t ch = 0; ch < image.channels; ++ch) {
        float* const values = image.values + ch * area;
        std::copy(values, values + area, plane.begin());
        const auto at = [&](std::int64_t x, std::int64_t y) {
            return x >= 0 && x < image.width && y >= 0 && y < image.height ? plane[std::size_t(y * image.width + x)] : image.fill[std::size_t(ch)];
        };
        for (std::int64_t y = 0; y < image.height; ++y)
            for (std::int64_t x = 0; x < image.width; ++x) {
                const double fromX = map.a * double(x) + map.b * double(y) + map.c, fromY = map.d * double(x) + map.e * double(y) + map.f;
                const auto left = std::int64_t(std::floor(fromX)), top = std::int64_t(std::floor(fromY));
                const auto u = float(fromX - double(left)), v = float(fromY - double(top));
                values[y * image.width + x] =
                    (at(left, top) * (1 - u) + at(left + 1, top) * u) * (1 - v) + (at(left, top + 1) * (1 - u) + at(left + 1, top + 1) * u) * v;
            }
    }
}

/// A random square-ish part, scaled back to the full size.
class Crop : public Augmentation {
public:
    explicit Crop(double minimumArea) : m_minimumArea(minimumArea) {}
    void apply(ImageView image, SplitMix64& random) const override
    {
        const double side = std::sqrt(m_minimumArea + (1 - m_minimumArea) * random.uniform());
        const double left = (1 - side) * double(image.width) * random.uniform(), top = (1 - side) * double(image.height) * random.uniform();
        // Pixel centres lie at half numbers.
        resample(image, {side, 0, left + 0.5 * side - 0.5, 0, side, top + 0.5 * side - 0.5});
    }

private:
    double m_minimumArea;
};

class Rotate : public Augmentation {
public:
    explicit Rotate(double degrees) : m_degrees(degrees) {}
    void apply(ImageView image, SplitMix64& random) const override
    {
        const double angle = m_degrees * (2 * random.uniform() - 1) * M_PI / 180;
        const double cosine = std::cos(angle), sine = std::sin(angle);
        const double cx = double(image.width - 1) / 2, cy = double(image.height - 1) / 2;
        resample(image, {cosine, sine, cx - cosine * cx - sine * cy, -sine, cosine, cy + sine * cx - cosine * cy});
    }

private:
    double m_degrees;
};

const char* const kSource = "Shorten & Khoshgoftaar (2019), \"A survey on Image Data Augmentation for Deep Learning\", doi:10.1186/s40537-019-0197-0";

core::Registry<AugmentationFactory> makeAugmentations()
{
    core::Registry<AugmentationFactory> registry("augmentation", "Augmentations");
    registry.add({"shift",
                  "Shift",
                  "Moves a training image by whole pixels, independently in both directions; uncovered pixels become black.",
                  kSource,
                  {core::integer("pixels", 1, "Largest shift in each direction.").range(0, 1024)},
                  {},
                  {}},
                 [](const Json& p) { return std::make_shared<Shift>(p.at("pixels").get<std::int64_t>()); });
    registry.add({"flip",
                  "Flip",
                  "Mirrors a training image with a given probability.",
                  kSource,
                  {core::real("probability", 0.5, "How often.").range(0, 1),
                   core::choice("direction", {"horizontal", "vertical"}, "horizontal", "Left and right, or top and bottom.")},
                  {},
                  {}},
                 [](const Json& p) { return std::make_shared<Flip>(p.at("probability").get<double>(), p.at("direction") == "horizontal"); });
    registry.add({"crop",
                  "Crop and scale back",
                  "Takes a random part with the picture's proportions and scales it to the full size, bilinear.",
                  kSource,
                  {core::real("minimum_area", 0.64, "Smallest part, as a fraction of the area.").above(0).range(0.01, 1)},
                  {},
                  {}},
                 [](const Json& p) { return std::make_shared<Crop>(p.at("minimum_area").get<double>()); });
    registry.add({"rotate",
                  "Rotate",
                  "Turns a training image about its centre by a random angle, bilinear; uncovered pixels become black.",
                  kSource,
                  {core::real("degrees", 10, "Largest angle in each direction.").range(0, 180)},
                  {},
                  {}},
                 [](const Json& p) { return std::make_shared<Rotate>(p.at("degrees").get<double>()); });
    return registry;
}

}  // namespace

const core::Registry<AugmentationFactory>& augmentationRegistry()
{
    static const core::Registry<AugmentationFactory> registry = makeAugmentations();
    return registry;
}

}  // namespace orrery::data
