#include "synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/rng.h>
#include <core/scene/camera/vector.h>

namespace orrery::scene {
namespace {

constexpr std::size_t kRoomCount = 20000;
constexpr double kRoomSize = 0.05;

constexpr double kHalf = 3, kHeight = 3;

class Random {
public:
    explicit Random(std::uint64_t seed) : m_numbers(seed) {}
    double uniform(double low, double high) { return low + (high - low) * m_numbers.uniform(); }
    double normal() { return std::sqrt(-2 * std::log(1 - m_numbers.uniform())) * std::cos(2 * std::numbers::pi * m_numbers.uniform()); }
    Vector3 direction() { return normalised({normal(), normal(), normal()}); }

private:
    core::SplitMix64 m_numbers;
};

struct Surface {
    Vector3 position{}, normal{}, colour{};
};

Surface onWall(Random& random)
{
    const int side = int(random.uniform(0, 6));
    const double a = random.uniform(-kHalf, kHalf), b = random.uniform(-kHalf, kHalf), h = random.uniform(0, kHeight);
    const double stripes = 0.1 * (std::sin(6 * a) > 0 ? 1 : -1);
    switch (side) {
    case 0: return {{a, b, 0}, {0, 0, 1}, {0.45 + stripes, 0.35 + stripes, 0.25}};
    case 1: return {{a, b, kHeight}, {0, 0, -1}, {0.9, 0.9, 0.88}};
    case 2: return {{-kHalf, b, h}, {1, 0, 0}, {0.7, 0.3 + stripes, 0.3}};
    case 3: return {{kHalf, b, h}, {-1, 0, 0}, {0.3, 0.6, 0.4 + stripes}};
    case 4: return {{a, -kHalf, h}, {0, 1, 0}, {0.4 + stripes, 0.5, 0.7}};
    default: return {{a, kHalf, h}, {0, -1, 0}, {0.75, 0.7 + stripes, 0.5}};
    }
}

Surface onBall(Random& random)
{
    const int ball = int(random.uniform(0, 12));
    const double angle = 2 * std::numbers::pi * ball / 12, radius = 0.25 + 0.02 * ball;
    const Vector3 normal = random.direction(), centre{2.1 * std::cos(angle), 2.1 * std::sin(angle), 0.4 + 0.15 * (ball % 5)};
    return {centre + radius * normal, normal, {0.5 + 0.4 * std::sin(ball), 0.5 + 0.4 * std::sin(2 * ball + 1), 0.5 + 0.4 * std::cos(3 * ball)}};
}

Surface inAir(Random& random)
{
    return {{random.uniform(-kHalf, kHalf), random.uniform(-kHalf, kHalf), random.uniform(0, kHeight)}, random.direction(), {0.8, 0.8, 0.8}};
}

/// The rotation that turns z to the normal.
std::array<double, 4> turnTo(const Vector3& normal)
{
    const std::array<double, 4> q{1 + normal[2], -normal[1], normal[0], 0};
    return q[0] > 1e-6 ? q : std::array<double, 4>{0, 1, 0, 0};
}

}  // namespace

Splats syntheticRoom(std::size_t count, std::uint64_t seed, double size)
{
    Random random(seed);
    Splats splats;
    splats.resize(count, 3);
    for (std::size_t i = 0; i < count; ++i) {
        const double kind = random.uniform(0, 1);
        const Surface surface = kind < 0.7 ? onWall(random) : kind < 0.95 ? onBall(random) : inAir(random);
        const auto q = turnTo(surface.normal);
        for (std::size_t k = 0; k < 4; ++k)
            splats.rotations[4 * i + k] = float(q[k]);
        for (std::size_t k = 0; k < 3; ++k) {
            splats.means[3 * i + k] = float(surface.position[k]);
            splats.scales[3 * i + k] = float(std::log(k == 2 ? 0.1 * size : size) + 0.6 * random.normal());
            splats.harmonics[48 * i + k] = float((std::clamp(surface.colour[k] + 0.05 * random.normal(), 0.0, 1.0) - 0.5) / 0.28209479177387814);
        }
        splats.opacities[i] = float(1 + 2 * random.normal());
        for (std::size_t k = 3; k < 48; ++k)
            splats.harmonics[48 * i + k] = float(0.03 * random.normal());
    }
    return splats;
}

Camera roomCamera(double turn, int width, int height)
{
    const double angle = 2 * std::numbers::pi * turn;
    const double horizontal = std::numbers::pi / 3, vertical = 2 * std::atan(std::tan(horizontal / 2) * height / width);
    return lookAt({-1.2 * std::cos(angle), -1.2 * std::sin(angle), 1.5}, {2 * std::cos(angle), 2 * std::sin(angle), 1.1}, {0, 0, 1}, vertical, width,
                  height);
}

bool holdsSplats(const std::filesystem::path& file)
{
    std::error_code error;
    try {
        return file == kRoomName || (std::filesystem::is_regular_file(file, error) && isSplatPly(core::MappedFile(file).text()));
    } catch (const core::Error&) {
        return false;
    }
}

SplatFile openSplats(const std::filesystem::path& file)
{
    if (file == kRoomName) {
        SplatFile room;
        room.splats = syntheticRoom(kRoomCount, 0, kRoomSize);
        return room;
    }
    std::error_code error;
    if (!std::filesystem::exists(file, error) && !error)
        throw core::InputError(fmt::format("{}: no such file", file.string()));
    return readSplatPly(file);
}

}  // namespace orrery::scene
