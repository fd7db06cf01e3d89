#include "model_pictures.h"

#include <ATen/ATen.h>

#include <core/base/error.h>
#include <core/scene/splat/splat_model.h>

namespace orrery::cli {
namespace {

at::Tensor tensorOf(const std::vector<float>& values, std::vector<std::int64_t> shape)
{
    at::Tensor out = at::empty(shape);
    std::copy(values.begin(), values.end(), out.data_ptr<float>());
    return out;
}

DrawModel splatPictures(const graph::Model& model, const std::stop_token& stop, const scene::SplatRenderOptions& options,
                        const std::optional<std::array<double, 6>>& crop)
{
    auto all = scene::splatsOf(model.weights);
    if (crop)
        all = scene::selectSplats(all, scene::splatsInBox(all, *crop));
    const auto splats = std::make_shared<const scene::Splats>(std::move(all));
    const auto rasterizer = std::make_shared<scene::SplatRasterizer>();
    return [splats, rasterizer, options, stop](const scene::Camera& camera) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const auto& image = rasterizer->render(splats->view(), camera, options);
        return scene::FieldView::Picture{tensorOf(image.rgb, {image.height, image.width, 3}), tensorOf(image.alpha, {image.height, image.width}),
                                         tensorOf(image.depth, {image.height, image.width})};
    };
}

}  // namespace

DrawModel modelPictures(const graph::Model& model, const std::stop_token& stop, int threads, const std::optional<scene::SplatRenderOptions>& options,
                        const std::optional<std::array<double, 6>>& crop)
{
    if (scene::isSplatModel(model)) {
        auto how = options ? *options : scene::splatOptionsOf(model);
        how.threads = threads;
        return splatPictures(model, stop, how, crop);
    }
    const auto field = std::make_shared<const scene::FieldView>(model);
    return [field, stop, crop](const scene::Camera& camera) { return field->render(camera, stop, {}, crop); };
}

bool namesModel(const std::string& text)
{
    return text.starts_with("run:") || text.starts_with("zoo:") || text.ends_with(".safetensors");
}

}  // namespace orrery::cli
