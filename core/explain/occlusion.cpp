#include <core/base/text.h>

#include "features.h"
#include "methods.h"

namespace orrery::explain {
namespace {

using Sizes = std::vector<std::int64_t>;

// One number per axis of a sample; a single number stands for every axis but a leading channel axis of images, which is taken whole.
Sizes perAxis(const core::Json& json, const Sizes& shape, const char* name)
{
    Sizes sizes;
    const auto given = json.get<Sizes>();
    if (given.size() == 1) {
        for (std::size_t i = 0; i < shape.size(); ++i)
            sizes.push_back(shape.size() == 3 && i == 0 ? shape[0] : std::min(given[0], shape[i]));
    } else {
        sizes = given;
    }
    if (sizes.size() != shape.size())
        throw core::InputError(fmt::format("occlusion.{}: expected 1 or {} numbers (a sample is {}), got {}", name, shape.size(),
                                           core::formatShape(shape), given.size()));
    for (std::size_t i = 0; i < sizes.size(); ++i)
        if (sizes[i] < 1 || (std::string_view(name) == "window" && sizes[i] > shape[i]))
            throw core::InputError(fmt::format("occlusion.{}: expected 1..{} on axis {}, got {}", name, shape[i], i, sizes[i]));
    return sizes;
}

struct Windows {
    Sizes shape, window, stride, counts;
    std::int64_t total = 1;
    // As in Captum: the last window of an axis may hang over the edge and is cut.
    Windows(Sizes sampleShape, const core::Json& parameters) : shape(std::move(sampleShape))
    {
        window = perAxis(parameters.at("window"), shape, "window");
        stride = parameters.at("stride").is_null() ? window : perAxis(parameters.at("stride"), shape, "stride");
        for (std::size_t i = 0; i < shape.size(); ++i) {
            if (stride[i] > window[i] && window[i] < shape[i])
                throw core::InputError(fmt::format("occlusion.stride: {} on axis {} leaves gaps between windows of {}", stride[i], i, window[i]));
            counts.push_back((shape[i] - window[i] + stride[i] - 1) / stride[i] + 1);
            total *= counts.back();
        }
    }
    at::Tensor place(at::Tensor sample, std::int64_t index) const  // a view of `sample` [..., shape] on window `index`
    {
        const auto offset = sample.dim() - std::int64_t(shape.size());
        for (std::size_t i = shape.size(); i-- > 0;) {
            const auto start = index % counts[i] * stride[i];
            index /= counts[i];
            sample = sample.narrow(offset + std::int64_t(i), start, std::min(window[i], shape[i] - start));
        }
        return sample;
    }
};

AttributionResult occlusion(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    requireFinite(function, "occlusion");
    const auto& x = function.value();
    const auto batch = x.size(0);
    const Windows windows(x.sizes().slice(1).vec(), parameters);
    const auto baseline = sampleBaseline(parameters.at("baseline"), x, "occlusion");
    auto sum = at::zeros_like(x, x.options().dtype(at::kDouble)), weight = at::zeros(windows.shape, x.options().dtype(at::kDouble));
    const auto perBatch = perturbationsPerBatch(parameters, batch);
    for (std::int64_t begin = 0; begin < windows.total; begin += perBatch) {
        control.report(double(begin), double(windows.total), "windows");
        const auto count = std::min(perBatch, windows.total - begin);
        Sizes repeats(std::size_t(x.dim()), 1);
        repeats[0] = count;
        auto occluded = x.repeat(repeats);
        for (std::int64_t i = 0; i < count; ++i)
            windows.place(occluded.narrow(0, i * batch, batch), begin + i).copy_(windows.place(baseline, begin + i));
        const auto drop = function.outputs().to(at::kDouble).unsqueeze(0) - function.at(occluded, count).to(at::kDouble).reshape({count, batch});
        for (std::int64_t i = 0; i < count; ++i) {
            Sizes shape(std::size_t(x.dim()), 1);
            shape[0] = batch;
            windows.place(sum, begin + i).add_(drop[i].reshape(shape));
            windows.place(weight, begin + i).add_(1);
        }
        if (control.partial)
            control.partial((sum / weight.clamp_min(1)).to(x.scalar_type()));
    }
    control.report(double(windows.total), double(windows.total), "windows");
    AttributionResult result;
    result.attribution = (sum / weight).to(x.scalar_type());
    result.details = {{"windows", windows.total}};
    return result;
}

}  // namespace

void addOcclusion(AttributionRegistry& registry)
{
    const auto number = core::integer("", 1, "");
    core::Component component{
        "occlusion",
        "Occlusion",
        "How much the output drops when a window of the input is replaced by the baseline; overlapping windows are averaged.",
        "Zeiler & Fergus (2014), \"Visualizing and Understanding Convolutional Networks\", arXiv:1311.2901, section 4.2; averaging as in Captum",
        {core::list("window", number, {1},
                    "Size of the window: one number for every axis (the channels of an image are covered together), or one an axis of the sample."),
         core::list("stride", number, nullptr, "Step between windows, like window; none: the window's size.").orNone(), baselineParameter(),
         perturbationsParameter()}};
    registry.add(std::move(component), occlusion);
}

}  // namespace orrery::explain
