#pragma once
// A convolutional network whose answer is known by construction: it looks for one 3x3 patch, wherever it lies.
#include <ATen/ATen.h>

#include <core/graph/builder.h>

namespace orrery::test {

/// Class 0 says how much of a 3x3 patch lies anywhere in a 13x13 image; class 1 is constant.
struct PlantedPatch {
    graph::Model model;
    at::Tensor kernel;

    /// A bright cross with a dark rim: relu(match - 1.5) answers to little but the patch; its sum over the image is the evidence.
    PlantedPatch() : PlantedPatch(at::tensor({-1., 1., -1., 1., 1., 1., -1., 1., -1.}, at::kDouble).reshape({3, 3}), -1.5) {}
    /// A bright block; everything bright counts a little, so that there are slopes everywhere.
    static PlantedPatch bright() { return PlantedPatch(at::ones({3, 3}, at::kDouble), 0); }

    PlantedPatch(at::Tensor wanted, double bias) : kernel(std::move(wanted))
    {
        graph::Builder builder("planted");
        const auto x = builder.input("image", "float64", {"batch", "1", "13", "13"}, "image");
        const auto match = builder.relu(builder.conv2d("conv", x, 1, 1, 3));
        model = builder.finish({{"logits", builder.linear("fc", builder.flatten(match), 121, 2)}});
        auto head = at::zeros({2, 121}, at::kDouble);
        head[0].fill_(1);
        model.weights = graph::Weights({{"conv.weight", kernel.reshape({1, 1, 3, 3})},
                                        {"conv.bias", at::full({1}, bias, at::kDouble)},
                                        {"fc.weight", head},
                                        {"fc.bias", at::zeros({2}, at::kDouble)}});
    }

    /// Top left corners of the patch, none of which covers the image's middle.
    static std::pair<std::int64_t, std::int64_t> placeOf(std::uint64_t number)
    {
        static const std::pair<std::int64_t, std::int64_t> places[] = {{1, 1}, {1, 8}, {8, 2}, {9, 9}, {2, 5}, {8, 5}, {5, 1}, {4, 9}};
        return places[number % 8];
    }

    /// [1, 1, 13, 13]: weak noise with the patch in it.
    at::Tensor image(std::pair<std::int64_t, std::int64_t> place, std::uint64_t seed) const
    {
        auto x = 0.3 * at::rand({1, 1, 13, 13}, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kDouble));
        x.slice(2, place.first, place.first + 3).slice(3, place.second, place.second + 3).copy_(kernel.clamp_min(0));
        return x;
    }
};

}  // namespace orrery::test
