#pragma once
#include <functional>
#include <stop_token>

#include <core/scene/field/views.h>
#include <core/scene/splat/rasterizer.h>

namespace orrery::cli {

/// Draws one camera's picture of a trained scene.
using DrawModel = std::function<scene::FieldView::Picture(const scene::Camera&)>;

/// Gaussians or a radiance field. @param options  How Gaussians are drawn; nothing: as the model says. @param crop  x0, y0, z0, x1, y1, z1: nothing outside is seen.
/// @throws core::InputError for any other model.
DrawModel modelPictures(const graph::Model& model, const std::stop_token& stop, int threads,
                        const std::optional<scene::SplatRenderOptions>& options = {}, const std::optional<std::array<double, 6>>& crop = {});

/// True for what names a trained model rather than a file of points: run:ID, zoo:NAME, a .safetensors file.
bool namesModel(const std::string& text);

}  // namespace orrery::cli
