#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include <core/graph/executor.h>
#include <core/graph/model.h>
#include <core/scene/camera/camera.h>

/// Pictures of trained fields, and how good they are.
namespace orrery::scene {

/// A field ready to be asked for pictures: any model that takes rays [batch, 6] and gives colours [batch, 3]. Any thread.
class FieldView {
public:
    /// @throws core::InputError: `expected a radiance field (rays [batch, 6] to colours [batch, 3]) with the place of its scene in its card, got "..."`.
    explicit FieldView(const graph::Model& model);

    struct Picture {
        at::Tensor colour;   ///< [height, width, 3] float, 0..1
        at::Tensor opacity;  ///< [height, width], undefined where the model has no such value
        at::Tensor depth;    ///< [height, width]: mean distance along the camera's forward axis where the opacity is at least 0.5, else infinity
    };
    /// @param onRows  Called with the finished rows of the picture so far, from the top.
    /// @param crop    x0, y0, z0, x1, y1, z1 of the world: nothing outside is seen. @throws core::Cancelled, graph::NodeError; core::InputError for a crop of
    ///                a model that says nothing of densities.
    Picture render(const Camera& camera, const std::stop_token& stop = {}, const std::function<void(const Picture&, int rows)>& onRows = {},
                   const std::optional<std::array<double, 6>>& crop = {}) const;
    /// What the field itself says at places of the world, seen along directions of length 1.
    struct Sampled {
        at::Tensor density;   ///< [n] per edge of the cube
        at::Tensor radiance;  ///< [n, 3], 0..1
    };
    /// @param points  [n, 3]. @param directions  [n, 3]. @throws core::InputError if the model has no values that stand for these.
    Sampled sample(const at::Tensor& points, const at::Tensor& directions, const std::stop_token& stop = {}) const;
    /// Colours [n, 3] of rays given as origin and direction in the world [n, 6].
    at::Tensor colours(const at::Tensor& rays) const;
    /// The cube in the world: middle and edge.
    const std::array<double, 3>& middle() const { return m_middle; }
    double size() const { return m_size; }

private:
    void addCrop(graph::RunRequest& request, const std::array<double, 6>& crop) const;
    void requireValues(std::initializer_list<const char*> names) const;

    graph::Weights m_weights;
    graph::Executor m_executor;
    std::array<double, 3> m_middle{};
    double m_size = 1;
    std::map<std::string, std::string> m_values;  ///< canonical name -> value, of those that are there
    std::string m_name;
};

/// Rays of pixel centres [height * width, 6], origin and direction of length 1, in the world, double.
at::Tensor pixelRays(const Camera& camera);

/// -10 log10 of the mean squared difference; equal pictures: 120. @throws core::ShapeError.
double psnr(const at::Tensor& a, const at::Tensor& b);
/// Mean structural similarity of [height, width, channel] in 0..1, Gaussian window of 11 pixels with standard deviation 1.5, whole windows only, K1 0.01, K2 0.03.
/// Source: Wang, Bovik, Sheikh & Simoncelli (2004), "Image Quality Assessment", doi:10.1109/TIP.2003.819861, equation 13.
/// @throws core::ShapeError for pictures smaller than the window.
double ssim(const at::Tensor& a, const at::Tensor& b);

}  // namespace orrery::scene
