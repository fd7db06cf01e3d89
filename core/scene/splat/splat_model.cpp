#include "splat_model.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/scene/camera/camera_row.h>

#include "cuda_splats.h"

namespace orrery::scene {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr const char* kOperator = "orrery::render_splats";

at::Tensor floats(const at::Tensor& tensor, c10::Device device = c10::kCPU)
{
    return tensor.detach().to(device, at::kFloat).contiguous();
}

void requireShape(const at::Tensor& tensor, const char* name, const std::vector<std::int64_t>& shape)
{
    if (tensor.sizes().vec() != shape)
        throw core::ShapeError(fmt::format("splats: {}: expected {}, got {}", name, core::formatShape(shape), core::formatShape(tensor.sizes())));
}

int degreeOf(std::int64_t coefficients)
{
    for (int degree = 0; degree <= 3; ++degree)
        if (std::int64_t(harmonicsOf(degree)) == coefficients)
            return degree;
    throw core::ShapeError(fmt::format("splats: harmonics: expected 1, 4, 9 or 16 coefficients, got {}", coefficients));
}

/// The arrays as they are drawn: float, on one device, for as long as the view is used.
struct Arrays {
    std::array<at::Tensor, 5> tensors;
    SplatsView view;

    explicit Arrays(const variable_list& given, c10::Device device = c10::kCPU)
    {
        for (std::size_t i = 0; i < tensors.size(); ++i)
            tensors[i] = floats(given[i], device);
        const std::int64_t count = tensors[3].numel();
        if (tensors[4].dim() != 3)
            throw core::ShapeError(
                fmt::format("splats: harmonics: expected [gaussian, coefficient, 3], got {}", core::formatShape(tensors[4].sizes())));
        requireShape(tensors[0], "means", {count, 3});
        requireShape(tensors[1], "scales", {count, 3});
        requireShape(tensors[2], "rotations", {count, 4});
        requireShape(tensors[3], "opacities", {count});
        requireShape(tensors[4], "harmonics", {count, tensors[4].size(1), 3});
        const auto data = [&](std::size_t i) { return tensors[i].data_ptr<float>(); };
        view = {std::size_t(count), degreeOf(tensors[4].size(1)), data(0), data(1), data(2), data(3), data(4)};
    }
};

std::vector<Camera> camerasOf(const at::Tensor& rows)
{
    if (rows.dim() != 2 || rows.size(1) != kCameraNumbers || rows.size(0) == 0)
        throw core::ShapeError(fmt::format("splats: cameras: expected [batch, {}], got {}", kCameraNumbers, core::formatShape(rows.sizes())));
    const at::Tensor values = floats(rows);
    std::vector<Camera> cameras;
    for (std::int64_t i = 0; i < values.size(0); ++i) {
        cameras.push_back(cameraOfRow(values.data_ptr<float>() + i * kCameraNumbers));
        if (cameras[0].width != cameras.back().width || cameras[0].height != cameras.back().height)
            throw core::ShapeError(fmt::format("splats: cameras: expected pictures of one size in a batch, got {} x {} and {} x {}", cameras[0].width,
                                               cameras[0].height, cameras.back().width, cameras.back().height));
    }
    return cameras;
}

SplatRenderOptions optionsOf(const std::vector<double>& background, bool antialias)
{
    if (background.size() != 3)
        throw core::InputError(fmt::format("splats: background: expected 3 numbers from 0 to 1, got {}", background.size()));
    SplatRenderOptions options;
    for (std::size_t c = 0; c < 3; ++c)
        options.background[c] = float(background[c]);
    options.antialias = antialias;
    options.threads = at::get_num_threads();
    return options;
}

void copyTo(at::Tensor picture, const std::vector<float>& values)
{
    std::copy(values.begin(), values.end(), picture.data_ptr<float>());
}

class RenderSplats : public torch::autograd::Function<RenderSplats> {
public:
    static variable_list forward(AutogradContext* context, const at::Tensor& rows, const at::Tensor& means, const at::Tensor& scales,
                                 const at::Tensor& rotations, const at::Tensor& opacities, const at::Tensor& harmonics,
                                 const std::vector<double>& background, bool antialias)
    {
        const auto cameras = camerasOf(rows);
        const auto options = optionsOf(background, antialias);
        context->save_for_backward({rows, means, scales, rotations, opacities, harmonics});
        context->saved_data["background"] = background;
        context->saved_data["antialias"] = antialias;
        if (means.is_cuda())
            return picturesOnCuda(Arrays({means, scales, rotations, opacities, harmonics}, means.device()), cameras, options);
        const Arrays arrays({means, scales, rotations, opacities, harmonics});
        const std::int64_t batch = std::int64_t(cameras.size()), height = cameras[0].height, width = cameras[0].width;
        const at::Tensor colour = at::empty({batch, height, width, 3}), alpha = at::empty({batch, height, width}), depth = at::empty_like(alpha);
        SplatRasterizer rasterizer;
        for (std::int64_t i = 0; i < batch; ++i) {
            const auto& image = rasterizer.render(arrays.view, cameras[std::size_t(i)], options);
            copyTo(colour[i], image.rgb);
            copyTo(alpha[i], image.alpha);
            copyTo(depth[i], image.depth);
        }
        const auto where = means.options().requires_grad(false);
        return {colour.to(where), alpha.to(where), depth.to(where)};
    }

    static variable_list backward(AutogradContext* context, variable_list gradients)
    {
        const auto saved = context->get_saved_variables();
        const auto cameras = camerasOf(saved[0]);
        const auto options = optionsOf(context->saved_data["background"].toDoubleVector(), context->saved_data["antialias"].toBool());
        const bool onCuda = saved[1].is_cuda();
        const Arrays arrays({saved.begin() + 1, saved.end()}, onCuda ? saved[1].device() : c10::Device(c10::kCPU));
        std::array<at::Tensor, 5> sums;
        for (std::size_t k = 0; k < sums.size(); ++k)
            sums[k] = at::zeros_like(arrays.tensors[k]);
        SplatRasterizer rasterizer;
        for (std::size_t i = 0; i < cameras.size(); ++i) {
            if (onCuda) {
                addOnCuda(arrays, cameras[i], options, gradients, std::int64_t(i), sums);
                continue;
            }
            rasterizer.render(arrays.view, cameras[i], options);
            const auto found = rasterizer.backward(arrays.view, imageGradient(gradients, std::int64_t(i)));
            const std::vector<float>* values[] = {&found.means, &found.scales, &found.rotations, &found.opacities, &found.harmonics};
            for (std::size_t k = 0; k < sums.size(); ++k)
                sums[k].view(-1).add_(at::from_blob(const_cast<float*>(values[k]->data()), {std::int64_t(values[k]->size())}));
        }
        variable_list out{at::Tensor()};
        for (std::size_t k = 0; k < sums.size(); ++k)
            out.push_back(sums[k].to(saved[k + 1].options().requires_grad(false)));
        out.insert(out.end(), 2, at::Tensor());
        return out;
    }

private:
    static variable_list picturesOnCuda(const Arrays& arrays, const std::vector<Camera>& cameras, const SplatRenderOptions& options)
    {
        std::vector<at::Tensor> colour, alpha, depth;
        for (const Camera& camera : cameras) {
            const auto picture = cuda_splats::render(arrays.view, camera, options, arrays.tensors[0]);
            colour.push_back(picture.rgb);
            alpha.push_back(picture.alpha);
            depth.push_back(picture.depth);
        }
        return {at::stack(colour), at::stack(alpha), at::stack(depth)};
    }
    static void addOnCuda(const Arrays& arrays, const Camera& camera, const SplatRenderOptions& options, const variable_list& gradients,
                          std::int64_t index, std::array<at::Tensor, 5>& sums)
    {
        std::array<at::Tensor, 3> given;
        for (std::size_t k = 0; k < given.size(); ++k)
            if (gradients[k].defined())
                given[k] = floats(gradients[k][index], arrays.tensors[0].device());
        const auto picture = cuda_splats::render(arrays.view, camera, options, arrays.tensors[0]);
        const auto found = cuda_splats::backward(arrays.view, camera, options, picture, given);
        for (std::size_t k = 0; k < sums.size(); ++k)
            sums[k].add_(found[k]);
    }
    static SplatImageGradient imageGradient(const variable_list& gradients, std::int64_t index)
    {
        SplatImageGradient out;
        std::vector<float>* arrays[] = {&out.rgb, &out.alpha, &out.depth};
        for (std::size_t k = 0; k < gradients.size(); ++k) {
            if (!gradients[k].defined())
                continue;
            const at::Tensor values = floats(gradients[k][index]);
            arrays[k]->assign(values.data_ptr<float>(), values.data_ptr<float>() + values.numel());
        }
        return out;
    }
};

std::tuple<at::Tensor, at::Tensor, at::Tensor> render(const at::Tensor& cameras, const at::Tensor& means, const at::Tensor& scales,
                                                      const at::Tensor& rotations, const at::Tensor& opacities, const at::Tensor& harmonics,
                                                      c10::ArrayRef<double> background, bool antialias)
{
    auto out = renderSplats(cameras, means, scales, rotations, opacities, harmonics, background.vec(), antialias);
    return {out.colour, out.alpha, out.depth};
}

template <class Values>
at::Tensor tensorOf(const Values& values, std::vector<std::int64_t> shape)
{
    at::Tensor out = at::empty(shape);
    std::copy(values.begin(), values.end(), out.data_ptr<float>());
    return out;
}

}  // namespace

RenderedSplats renderSplats(const at::Tensor& cameras, const at::Tensor& means, const at::Tensor& scales, const at::Tensor& rotations,
                            const at::Tensor& opacities, const at::Tensor& harmonics, const std::vector<double>& background, bool antialias)
{
    const auto out = RenderSplats::apply(cameras, means, scales, rotations, opacities, harmonics, background, antialias);
    return {out[0], out[1], out[2]};
}

TORCH_LIBRARY_FRAGMENT(orrery, library)
{
    library.def("render_splats(Tensor camera, Tensor means, Tensor scales, Tensor rotations, Tensor opacities, Tensor harmonics, float[] background, "
                "bool antialias) -> (Tensor colour, Tensor alpha, Tensor depth)",
                render);
}

namespace {

const graph::Node* renderNode(const graph::Model& model)
{
    if (!model.graph)
        return nullptr;
    const auto& nodes = model.graph->nodes();
    const auto found = std::find_if(nodes.begin(), nodes.end(), [](const graph::Node& node) { return node.op == kOperator; });
    return found == nodes.end() ? nullptr : &*found;
}

}  // namespace

bool isSplatModel(const graph::Model& model)
{
    return renderNode(model) != nullptr;
}

Splats splatsOf(const graph::Weights& weights)
{
    const Arrays arrays({weights.at("means"), weights.at("scales"), weights.at("rotations"), weights.at("opacities"), weights.at("harmonics")});
    Splats splats;
    splats.degree = arrays.view.degree;
    std::vector<float>* to[] = {&splats.means, &splats.scales, &splats.rotations, &splats.opacities, &splats.harmonics};
    for (std::size_t k = 0; k < arrays.tensors.size(); ++k)
        to[k]->assign(arrays.tensors[k].data_ptr<float>(), arrays.tensors[k].data_ptr<float>() + arrays.tensors[k].numel());
    return splats;
}

graph::Weights weightsOf(const Splats& splats)
{
    const auto count = std::int64_t(splats.size());
    return graph::Weights(
        std::map<std::string, at::Tensor>{{"means", tensorOf(splats.means, {count, 3})},
                                          {"scales", tensorOf(splats.scales, {count, 3})},
                                          {"rotations", tensorOf(splats.rotations, {count, 4})},
                                          {"opacities", tensorOf(splats.opacities, {count})},
                                          {"harmonics", tensorOf(splats.harmonics, {count, std::int64_t(harmonicsOf(splats.degree)), 3})}});
}

graph::Model splatModelWith(const graph::Model& model, graph::Weights weights)
{
    graph::GraphData data = model.graph->data();
    bool changed = false;
    for (auto& parameter : data.parameters) {
        const auto shape = weights.at(parameter.name).sizes().vec();
        changed = changed || shape != parameter.shape;
        parameter.shape = shape;
    }
    graph::Model out = model;
    if (changed)
        out.graph = std::make_shared<const graph::Graph>(std::move(data));
    out.weights = std::move(weights);
    return out;
}

SplatRenderOptions splatOptionsOf(const graph::Model& model)
{
    const graph::Node* const node = renderNode(model);
    if (!node)
        throw core::InputError(fmt::format("expected a model of Gaussians, got \"{}\"", model.origin.empty() ? model.card.title : model.origin));
    return optionsOf(node->inputs[6].constant.toDoubleVector(), node->inputs[7].constant.toBool());
}

}  // namespace orrery::scene
