#include "views.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>

#include <core/scene/camera/vector.h>

namespace orrery::scene {
namespace {

constexpr std::int64_t kRaysAtOnce = 8192, kPointsAtOnce = 1 << 16;

/// The place of the scene as completeCard left it: mean and standard deviation of the rays.
bool takePlace(const graph::ModelCard& card, std::array<double, 3>& middle, double& size)
{
    if (card.inputs.size() != 1 || !card.inputs[0].preprocessing.is_object())
        return false;
    const auto& place = card.inputs[0].preprocessing;
    for (const char* key : {"mean", "std"})
        if (!place.contains(key) || !place[key].is_array() || place[key].size() != 6 ||
            !std::all_of(place[key].begin(), place[key].end(), [](const auto& v) { return v.is_number(); }))
            return false;
    for (std::size_t a = 0; a < 3; ++a)
        middle[a] = place["mean"][a].template get<double>();
    size = place["std"][0].template get<double>();
    return size > 0;
}

std::map<std::string, std::string> knownValues(const graph::Model& model)
{
    std::map<std::string, std::string> out;
    for (const auto& [name, value] : model.card.canonicalNames)
        if (model.graph->findValue(value))
            out[name] = value;
    return out;
}

}  // namespace

at::Tensor pixelRays(const Camera& camera)
{
    at::Tensor out = at::empty({std::int64_t(camera.width) * camera.height, 6}, at::kDouble);
    double* row = out.data_ptr<double>();
    for (int y = 0; y < camera.height; ++y)
        for (int x = 0; x < camera.width; ++x, row += 6) {
            const Ray ray = rayThrough(camera, x + 0.5, y + 0.5);
            std::copy(ray.origin.begin(), ray.origin.end(), row);
            std::copy(ray.direction.begin(), ray.direction.end(), row + 3);
        }
    return out;
}

FieldView::FieldView(const graph::Model& model)
    : m_weights(model.weights), m_executor(model.graph), m_values(knownValues(model)), m_name(model.origin.empty() ? model.card.title : model.origin)
{
    const bool hasShape = model.card.inputs.size() == 1 && !model.card.inputs[0].shape.empty() && model.card.inputs[0].shape.back() == "6";
    if (!hasShape || !takePlace(model.card, m_middle, m_size))
        throw core::InputError(fmt::format("expected a radiance field (rays [batch, 6] to colours [batch, 3]) with the place of its scene in its "
                                           "card, as training leaves it, got \"{}\"",
                                           m_name));
}

at::Tensor FieldView::colours(const at::Tensor& rays) const
{
    const at::Tensor middle = at::tensor({m_middle[0], m_middle[1], m_middle[2], 0.0, 0.0, 0.0}, at::kDouble);
    return m_executor.forward(m_weights, {((rays.to(at::kDouble) - middle) / m_size).to(at::kFloat)});
}

void FieldView::requireValues(std::initializer_list<const char*> names) const
{
    for (const char* name : names)
        if (!m_values.contains(name))
            throw core::InputError(fmt::format("{}: expected a field that can be asked at places (its card names no value \"{}\")", m_name, name));
}

// Samples outside the box have no density: two probes, one to know where the samples are.
void FieldView::addCrop(graph::RunRequest& request, const std::array<double, 6>& crop) const
{
    requireValues({"positions", "density"});
    std::vector<float> low, high;
    for (std::size_t a = 0; a < 3; ++a) {
        low.push_back(float((crop[a] - m_middle[a]) / m_size));
        high.push_back(float((crop[a + 3] - m_middle[a]) / m_size));
    }
    const at::Tensor from = at::tensor(low), to = at::tensor(high);
    const auto positions = std::make_shared<at::Tensor>();
    request.probes.push_back(graph::Probe::onValue(m_values.at("positions"),
                                                   [positions](const std::string&, const c10::IValue& value) { *positions = value.toTensor(); }));
    request.probes.push_back(
        graph::Probe::replacing(m_values.at("density"), [positions, from, to](const std::string&, const c10::IValue& value) -> c10::IValue {
            return value.toTensor() * ((*positions >= from).logical_and(*positions <= to)).all(1);
        }));
}

FieldView::Sampled FieldView::sample(const at::Tensor& points, const at::Tensor& directions, const std::stop_token& stop) const
{
    requireValues({"positions", "ray", "density", "radiance"});
    const at::Tensor middle = at::tensor({m_middle[0], m_middle[1], m_middle[2]}, at::kDouble);
    const at::Tensor places = ((points.to(at::kDouble) - middle) / m_size).to(at::kFloat), towards = directions.to(at::kFloat) / m_size;
    std::vector<at::Tensor> densities, colours;
    for (std::int64_t from = 0; from < places.size(0); from += kPointsAtOnce) {
        const std::int64_t to = std::min(from + kPointsAtOnce, places.size(0));
        graph::RunRequest request;
        request.stop = stop;
        const at::Tensor at = places.slice(0, from, to);
        request.inputs.emplace_back(at::cat({at, towards.slice(0, from, to)}, 1));
        request.changed[m_values.at("positions")] = at;
        request.changed[m_values.at("ray")] = at::arange(to - from, at::kLong);
        request.targets = {m_values.at("density"), m_values.at("radiance")};
        const graph::RunResult result = m_executor.run(m_weights, request);
        densities.push_back(result.tensor(0));
        colours.push_back(result.tensor(1));
    }
    return densities.empty() ? Sampled{at::empty({0}), at::empty({0, 3})} : Sampled{at::cat(densities), at::cat(colours)};
}

FieldView::Picture FieldView::render(const Camera& camera, const std::stop_token& stop, const std::function<void(const Picture&, int)>& onRows,
                                     const std::optional<std::array<double, 6>>& crop) const
{
    const std::int64_t width = camera.width, height = camera.height;
    const at::Tensor middle = at::tensor({m_middle[0], m_middle[1], m_middle[2], 0.0, 0.0, 0.0}, at::kDouble);
    const at::Tensor world = pixelRays(camera), rays = ((world - middle) / m_size).to(at::kFloat);
    const Vector3 forward = -1.0 * axis(camera.cameraToWorld, 2);
    const at::Tensor slant = (world.slice(1, 3, 6) * at::tensor({forward[0], forward[1], forward[2]}, at::kDouble)).sum(1).to(at::kFloat);
    Picture out;
    out.colour = at::zeros({height * width, 3});
    const bool whole = m_values.contains("opacity") && m_values.contains("depth");
    if (whole) {
        out.opacity = at::zeros({height * width});
        out.depth = at::full({height * width}, std::numeric_limits<float>::infinity());
    }
    const std::string colourName = m_executor.graph()->data().values[std::size_t(m_executor.graph()->data().body.outputs[0].value)].name;
    const std::int64_t rows = std::max<std::int64_t>(1, kRaysAtOnce / width);
    for (std::int64_t y = 0; y < height; y += rows) {
        const std::int64_t from = y * width, to = std::min(y + rows, height) * width;
        graph::RunRequest request;
        request.stop = stop;
        request.inputs.emplace_back(rays.slice(0, from, to));
        request.targets = {colourName};
        if (crop)
            addCrop(request, *crop);
        if (whole)
            request.targets.insert(request.targets.end(), {m_values.at("opacity"), m_values.at("depth")});
        const graph::RunResult result = m_executor.run(m_weights, request);
        out.colour.slice(0, from, to).copy_(result.tensor(0));
        if (whole) {
            const at::Tensor opacity = result.tensor(1);
            out.opacity.slice(0, from, to).copy_(opacity);
            out.depth.slice(0, from, to)
                .copy_(at::where(opacity >= 0.5, result.tensor(2) / opacity * slant.slice(0, from, to), out.depth.slice(0, from, to)));
        }
        if (onRows)
            onRows(out, int(std::min(y + rows, height)));
    }
    out.colour = out.colour.view({height, width, 3}).clamp(0, 1);
    if (whole) {
        out.opacity = out.opacity.view({height, width});
        out.depth = out.depth.view({height, width});
    }
    return out;
}

}  // namespace orrery::scene
