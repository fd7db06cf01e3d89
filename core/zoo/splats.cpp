// Gaussians with their renderer as one graph.
#include <cmath>

#include <core/scene/camera/camera_row.h>
#include <core/scene/splat/splats.h>

#include "architectures.h"
#include "ray_fields.h"

namespace orrery::zoo {
namespace {

constexpr double kStartOpacity = 0.1, kStartColours = 0.5;

core::Json constantInit(double value)
{
    return {{"kind", "constant"}, {"value", value}};
}

core::Json uniformInit(double bound)
{
    return {{"kind", "uniform"}, {"bound", bound}};
}

/// Zeros are no camera.
core::Json exampleCamera()
{
    const auto row = scene::cameraRow(scene::lookAt({0, -4, 1.5}, {0, 0, 0}, {0, 0, 1}, 0.7, 64, 64));
    return {{"camera", std::vector<float>(row.begin(), row.end())}};
}

}  // namespace

core::Component splatsComponent()
{
    return {
        "splats",
        "Gaussian splats",
        "A scene as 3D Gaussians, drawn view by view: learns from posed pictures with the optimizer splat_adam, which adds and removes Gaussians.",
        "Kerbl, Kopanas, Leimkuehler & Drettakis (2023), \"3D Gaussian Splatting for Real-Time Radiance Field Rendering\", arXiv:2308.04079",
        {
            core::integer("gaussians", 10'000, "Gaussians at the start: at the data's points where it has some, else at random places of the scene.")
                .range(1, 20'000'000)
                .log(),
            core::integer("degree", 3, "Degree of the spherical harmonics: how much a colour may depend on the direction.").range(0, 3),
            core::boolean("antialias", false, "Opacities make up for the low-pass filter of the picture."),
            backgroundParameter(),
        },
        {{"camera", "float", {"batch", "camera"}}},
        {{"colour", "any", {"batch", "height", "width", "channel"}}}};
}

graph::Model splats(const core::Json& parameters)
{
    Builder builder("splats");
    builder.card().title = "Gaussian splats";
    builder.card().task = "regression";
    const Var camera = builder.input("camera", "float32", {"batch", std::to_string(scene::kCameraNumbers)}, "table");
    builder.card().featureNames = scene::cameraRowNames();
    builder.card().example = exampleCamera();
    const auto count = parameters["gaussians"].get<std::int64_t>();
    const auto coefficients = std::int64_t(scene::harmonicsOf(parameters["degree"].get<int>()));
    const auto background = parameters["background"].get<std::vector<double>>();
    if (background.size() != 3)
        throw core::InputError(fmt::format("background: expected 3 numbers from 0 to 1, got {}", parameters["background"].dump()));
    // Spread evenly over the cube [-1, 1]^3, each as large as the room it has.
    const Var means = builder.parameter("means", {count, 3}, uniformInit(1));
    const Var scales = builder.parameter("scales", {count, 3}, constantInit(std::log(2 / std::cbrt(double(count)))));
    const Var rotations = builder.parameter("rotations", {count, 4}, constantInit(0.5));
    const Var opacities = builder.parameter("opacities", {count}, constantInit(std::log(kStartOpacity / (1 - kStartOpacity))));
    const Var harmonics = builder.parameter("harmonics", {count, coefficients, 3}, uniformInit(kStartColours));
    const auto out =
        builder.ops("orrery::render_splats",
                    {camera, means, scales, rotations, opacities, harmonics, c10::IValue(background), parameters["antialias"].get<bool>()}, "render");
    graph::Model model = builder.finish({{"colour", out[0]}});
    const char* const names[] = {"colour", "opacity", "depth"};
    for (std::size_t i = 0; i < out.size(); ++i)
        model.card.canonicalNames[names[i]] = model.graph->data().values[std::size_t(out[i].id)].name;
    return model;
}

}  // namespace orrery::zoo
