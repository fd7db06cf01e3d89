#include <core/base/rng.h>

#include "methods.h"
#include "path.h"
#include "samples.h"

namespace orrery::explain {
namespace {

// The wrapped method's own progress, as a share of the samples.
Control innerControl(const Control& control, double begin, double copies, double total)
{
    Control inner;
    inner.stop = control.stop;
    if (control.progress)
        inner.progress = [&control, begin, copies, total](double done, double all, const char*) {
            control.progress(begin + copies * (all > 0 ? done / all : 0), total, "samples");
        };
    return inner;
}

at::Tensor aggregate(const Moments& moments, const std::string& type)
{
    return type == "smoothgrad" ? moments.mean() : type == "smoothgrad_sq" ? moments.meanOfSquares() : moments.variance();
}

at::Tensor standardError(const Moments& moments, const std::string& type)
{
    return type == "smoothgrad" ? moments.errorOfMean() : type == "smoothgrad_sq" ? moments.errorOfMeanOfSquares() : moments.errorOfVariance();
}

// A method that draws numbers of its own says how many samples it takes. Its draws for one copy must not depend on which copies are beside it, so it sees
// one copy at a time.
bool drawsSamples(const core::Schema& schema)
{
    return schema.find("n_samples") || schema.find("nt_samples");
}

AttributionResult noiseTunnel(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    auto inner = parameters.at("method");
    const auto id = inner.at("id").get<std::string>();
    inner.erase("id");
    const auto& method = attributionRegistry().factory(id);
    const auto type = parameters.at("nt_type").get<std::string>();
    const bool isSampling = drawsSamples(attributionRegistry().at(id).schema);
    const auto total = parameters.at("nt_samples").get<std::int64_t>(), perBatch = isSampling ? 1 : copiesPerBatch(function, parameters);
    const double deviation = parameters.at("stdevs").get<double>();
    const auto origin = function.origin();
    const auto x = origin == function.site() ? function.value() : function.valueOf(origin);
    Moments moments;
    AttributionResult result;
    for (std::int64_t begin = 0; begin < total; begin += perBatch) {
        control.report(double(begin), double(total), "samples");
        const auto end = std::min(begin + perBatch, total), copies = end - begin;
        const auto noisy = copiesOf(x, copies) + deviation * copyNoise(x, begin, end, seed, "noise_tunnel");
        const auto around = function.movedAtOrigin(noisy, copies);
        // The wrapped method's own samples do not repeat the noise of the tunnel; each copy has a seed of its own.
        const auto one = method(around, inner, core::deriveSeed(seed, std::uint64_t(begin), "noise_tunnel.method"),
                                innerControl(control, double(begin), double(copies), double(total)));
        moments.add(stacked(one.attribution, copies));
        result.site = one.site;
        if (control.partial)
            control.partial(aggregate(moments, type).to(x.scalar_type()));
    }
    control.report(double(total), double(total), "samples");
    if (!result.site.empty())
        result.value = result.site == function.site() ? function.value() : function.valueOf(result.site);
    result.attribution = aggregate(moments, type).to(x.scalar_type());
    if (const auto error = standardError(moments, type); error.defined())
        result.standardError = error.to(x.scalar_type());
    result.details = {{"samples", total}, {"noise_at", origin}};
    return result;
}

}  // namespace

void addNoiseTunnel(AttributionRegistry& registry)
{
    core::Component component{
        "noise_tunnel",
        "Noise tunnel",
        "Any method, averaged over copies of the input with normal noise: SmoothGrad, its squares, or the variance.",
        "Smilkov, Thorat, Kim, Viegas & Wattenberg (2017), \"SmoothGrad: removing noise by adding noise\", arXiv:1706.03825; vargrad: Adebayo et al. "
        "(2018), \"Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values\", arXiv:1810.03307",
        {core::component("method", "attribution", "saliency", "The method, with its own parameters."),
         core::choice("nt_type", {"smoothgrad", "smoothgrad_sq", "vargrad"}, "smoothgrad",
                      "Mean of the attributions, mean of their squares, or their variance."),
         core::integer("nt_samples", 5, "Noisy copies of the input.").range(1, 1000000),
         core::real("stdevs", 1.0, "Standard deviation of the noise, in units of the model's input.").atLeast(0), internalBatchSizeParameter()}};
    registry.add(std::move(component), noiseTunnel);
}

}  // namespace orrery::explain
