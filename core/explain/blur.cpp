#include "blur.h"

#include <ATen/ATen.h>

#include <cmath>

namespace orrery::explain {

at::Tensor gaussianBlur(const at::Tensor& images, double sigma)
{
    const auto radius = std::int64_t(std::ceil(3 * sigma));
    if (radius < 1)
        return images;
    const auto offsets = at::arange(-radius, radius + 1, images.options().dtype(at::kDouble));
    auto kernel = (offsets.square() / (-2 * sigma * sigma)).exp();
    kernel = (kernel / kernel.sum()).to(images.scalar_type());
    const auto channels = images.size(1), length = kernel.numel();
    const auto padded = at::replication_pad2d(images, {radius, radius, radius, radius});
    const auto rows = at::conv2d(padded, kernel.reshape({1, 1, length, 1}).repeat({channels, 1, 1, 1}), c10::nullopt, at::IntArrayRef{1, 1},
                                 at::IntArrayRef{0, 0}, at::IntArrayRef{1, 1}, channels);
    return at::conv2d(rows, kernel.reshape({1, 1, 1, length}).repeat({channels, 1, 1, 1}), c10::nullopt, at::IntArrayRef{1, 1}, at::IntArrayRef{0, 0},
                      at::IntArrayRef{1, 1}, channels);
}

double strongBlur(std::int64_t height, std::int64_t width)
{
    return 20.0 * double(std::max(height, width)) / 224;
}

}  // namespace orrery::explain
