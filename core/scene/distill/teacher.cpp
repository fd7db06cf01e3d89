#include "teacher.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/rng.h>

namespace orrery::scene {
namespace {

constexpr std::int64_t kAtOnce = 1 << 15;

/// The teacher's answers at places of the cube, with progress and pauses.
FieldView::Sampled ask(const FieldView& teacher, const at::Tensor& positions, const at::Tensor& directions, const char* phase, jobs::Context& context)
{
    const at::Tensor middle = at::tensor({teacher.middle()[0], teacher.middle()[1], teacher.middle()[2]}, at::kDouble);
    const at::Tensor points = positions.to(at::kDouble) * teacher.size() + middle;
    std::vector<at::Tensor> densities, colours;
    for (std::int64_t from = 0; from < points.size(0); from += kAtOnce) {
        context.pausePoint();
        const std::int64_t to = std::min(from + kAtOnce, points.size(0));
        const auto answer = teacher.sample(points.slice(0, from, to), directions.slice(0, from, to), context.stopToken());
        densities.push_back(answer.density);
        colours.push_back(answer.radiance);
        context.progress(double(to), double(points.size(0)), "points", phase);
    }
    FieldView::Sampled out{at::cat(densities), at::cat(colours)};
    if (!out.density.isfinite().all().item<bool>() || !out.radiance.isfinite().all().item<bool>())
        throw core::InputError(
            "expected a field whose densities and colours are finite, got NaN or infinity: its training has failed, or its file is damaged");
    return out;
}

/// Directions of length 1, evenly over the sphere.
at::Tensor directionsFrom(const at::Tensor& uniform)
{
    const at::Tensor up = uniform.select(1, 0) * 2 - 1, angle = uniform.select(1, 1) * (2 * M_PI), flat = (1 - up * up).clamp_min(0).sqrt();
    return at::stack({flat * angle.cos(), flat * angle.sin(), up}, 1);
}

}  // namespace

at::Tensor drawnUniform(at::IntArrayRef sizes, std::uint64_t seed, const char* name)
{
    return at::rand(sizes, at::detail::createCPUGenerator(core::deriveSeed(seed, 0, name)));
}

at::Tensor measuredOccupancy(const FieldView& teacher, std::int64_t edge, std::int64_t perEdge, std::uint64_t seed, jobs::Context& context)
{
    // Slabs of one x keep the memory small: 256^2 cells with 27 places each are 21 MB.
    std::vector<at::Tensor> slabs;
    const std::int64_t fine = edge * perEdge;
    const at::Tensor line = at::arange(fine, at::kFloat);
    const auto plane = at::meshgrid({at::arange(perEdge, at::kFloat), line, line}, "ij");
    const at::Tensor corner = at::stack({plane[0].reshape({-1}), plane[1].reshape({-1}), plane[2].reshape({-1})}, 1);
    at::Tensor up = at::zeros({corner.size(0), 3});
    up.select(1, 2).fill_(1);
    for (std::int64_t x = 0; x < edge; ++x) {
        at::Tensor places = corner + drawnUniform({corner.size(0), 3}, seed + std::uint64_t(x), "occupancy");
        places.select(1, 0).add_(double(x * perEdge));
        context.pausePoint();
        const at::Tensor density = ask(teacher, places / double(fine) - 0.5, up, "looking for what is empty", context).density;
        slabs.push_back(density.view({perEdge, edge, perEdge, edge, perEdge}).amax({0, 2, 4}));
        context.progress(double(x + 1), double(edge), "slices", "looking for what is empty");
    }
    return at::stack(slabs).contiguous();
}

Lesson lessonOf(const FieldView& teacher, const at::Tensor& occupancy, double threshold, std::int64_t points, std::uint64_t seed,
                jobs::Context& context)
{
    const at::Tensor occupied = (occupancy > threshold).nonzero();
    if (occupied.size(0) == 0)
        throw core::InputError(
            fmt::format("expected a field that shows something (density above {:.3g} somewhere), its highest density is {:.3g}: train it longer",
                        threshold, occupancy.max().item<double>()));
    const at::Tensor random = drawnUniform({points, 6}, seed, "places");
    const at::Tensor chosen = (random.select(1, 0).to(at::kDouble) * occupied.size(0)).to(at::kLong).clamp_max(occupied.size(0) - 1);
    Lesson out;
    out.positions = (occupied.index_select(0, chosen).to(at::kFloat) + random.slice(1, 1, 4)) / double(occupancy.size(0)) - 0.5;
    const at::Tensor directions = directionsFrom(random.slice(1, 4, 6));
    const auto answer = ask(teacher, out.positions, directions, "asking the teacher", context);
    out.directions = directions / teacher.size();
    out.density = answer.density;
    out.radiance = answer.radiance;
    return out;
}

RayLesson raysOfTeacher(const FieldView& teacher, std::int64_t count, std::uint64_t seed, jobs::Context& context)
{
    const at::Tensor random = drawnUniform({count, 5}, seed, "rays");
    const at::Tensor from = directionsFrom(random.slice(1, 0, 2)) * 1.5, to = (random.slice(1, 2, 5) - 0.5) * 0.9, towards = to - from;
    const at::Tensor direction = towards / towards.norm(2, 1, true);
    const at::Tensor middle = at::tensor({teacher.middle()[0], teacher.middle()[1], teacher.middle()[2]}, at::kDouble);
    const at::Tensor world = at::cat({from.to(at::kDouble) * teacher.size() + middle, direction.to(at::kDouble)}, 1);
    std::vector<at::Tensor> colours;
    constexpr std::int64_t kRays = 4096;
    for (std::int64_t begin = 0; begin < count; begin += kRays) {
        context.pausePoint();
        const std::int64_t end = std::min(begin + kRays, count);
        colours.push_back(teacher.colours(world.slice(0, begin, end)));
        context.progress(double(end), double(count), "rays", "asking the teacher");
    }
    return {at::cat({from, direction / teacher.size()}, 1), at::cat(colours)};
}

}  // namespace orrery::scene
