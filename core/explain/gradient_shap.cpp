#include <ATen/ATen.h>

#include <core/base/rng.h>
#include <core/base/text.h>
#include <core/graph/random_operators.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>

#include "methods.h"
#include "path.h"
#include "samples.h"

namespace orrery::explain {
namespace {

// [count, ...sample]: the baselines to draw from.
at::Tensor baselinesOf(const ScalarFunction& function, const core::Json& given)
{
    const auto& x = function.value();
    auto shape = x.sizes().vec();
    shape[0] = 1;
    if (given.is_number())
        return at::full(shape, given.get<double>(), x.options());
    if (!given.is_string())
        throw core::InputError("gradient_shap.baselines: expected a number or the path of a .npy array, got " + given.dump());
    const auto file = given.get<std::string>();
    const auto array = io::toTensor(io::readNamedNpy(file, "gradient_shap.baselines", "a number or the path of a .npy array"));
    if (array.dim() != x.dim() || array.size(0) == 0 || array.sizes().slice(1) != x.sizes().slice(1))
        throw core::ShapeError(fmt::format("gradient_shap.baselines: expected [count{} in {}, got {}", core::formatShape(shape).substr(2), file,
                                           core::formatShape(array.sizes())));
    return array.to(x.device(), x.scalar_type());
}

// Mean of F over the baselines, for each sample: [batch], double.
at::Tensor meanOutput(const ScalarFunction& function, const at::Tensor& baselines, std::int64_t perBatch)
{
    auto sum = at::zeros_like(function.outputs(), function.outputs().options().dtype(at::kDouble));
    const auto batch = function.value().size(0), count = baselines.size(0);
    for (std::int64_t begin = 0; begin < count; begin += perBatch) {
        const auto copies = std::min(perBatch, count - begin);
        const auto rows = baselines.narrow(0, begin, copies).repeat_interleave(batch, 0);
        sum += function.at(rows, copies).to(at::kDouble).reshape({copies, batch}).sum(0);
    }
    return sum / double(count);
}

// Copies [begin, end) of the batch: each row's baseline and place on the path. Copy k draws from (seed, k) alone.
struct Draw {
    at::Tensor baselines, alphas;
};
Draw draw(const at::Tensor& value, const at::Tensor& baselines, std::int64_t begin, std::int64_t end, std::uint64_t seed)
{
    std::vector<std::int64_t> chosen;
    std::vector<double> alphas;
    for (auto k = begin; k < end; ++k) {
        core::SplitMix64 random(core::deriveSeed(seed, std::uint64_t(k), "gradient_shap"));
        for (std::int64_t i = 0; i < value.size(0); ++i) {
            chosen.push_back(std::int64_t(random.below(std::uint64_t(baselines.size(0)))));
            alphas.push_back(random.uniform());
        }
    }
    std::vector<std::int64_t> shape(std::size_t(value.dim()), 1);
    shape[0] = std::int64_t(alphas.size());
    return {baselines.index_select(0, at::tensor(chosen, at::kLong).to(baselines.device())),
            at::tensor(alphas, at::kDouble).to(value.device(), value.scalar_type()).reshape(shape)};
}

struct Sampler {
    const ScalarFunction& function;
    const Control& control;
    at::Tensor baselines;
    double deviation;
    std::int64_t perBatch;
    std::uint64_t seed;
    Moments moments;

    void sampleTo(std::int64_t count)
    {
        const auto& x = function.value();
        while (moments.count() < count) {
            control.report(double(moments.count()), double(count), "samples");
            const auto begin = moments.count(), end = std::min(begin + perBatch, count);
            auto noisy = copiesOf(x, end - begin);
            if (deviation > 0)
                noisy = noisy + deviation * copyNoise(x, begin, end, seed, "gradient_shap.noise");
            const auto drawn = draw(x, baselines, begin, end, seed);
            const auto difference = noisy - drawn.baselines;
            const auto gradient = function.withGradient(drawn.baselines + drawn.alphas * difference, end - begin).second;
            moments.add(stacked(gradient.to(at::kDouble) * difference.to(at::kDouble), end - begin));
            if (control.partial)
                control.partial(moments.mean().to(x.scalar_type()));
        }
        control.report(double(count), double(count), "samples");
    }
};

AttributionResult gradientShap(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    Sampler sampler{function,
                    control,
                    baselinesOf(function, parameters.at("baselines")),
                    parameters.at("stdevs").get<double>(),
                    copiesPerBatch(function, parameters),
                    seed,
                    {}};
    const auto baselineOutput = meanOutput(function, sampler.baselines, sampler.perBatch);
    const auto dtype = function.value().scalar_type();
    return refined(parameters.at("n_samples").get<int>(), parameters.at("max_samples").get<int>(), parameters.at("tolerance"), "samples",
                   [&](int count) {
                       sampler.sampleTo(count);
                       AttributionResult result;
                       const auto mean = sampler.moments.mean();
                       result.attribution = mean.to(dtype);
                       if (const auto error = sampler.moments.errorOfMean(); error.defined())
                           result.standardError = error.to(dtype);
                       result.completenessError = mean.flatten(1).sum(1) - (function.outputs().to(at::kDouble) - baselineOutput);
                       result.details = {{"baselines", sampler.baselines.size(0)}, {"baseline_outputs", listOf(baselineOutput)}};
                       return result;
                   });
}

}  // namespace

void addGradientShap(AttributionRegistry& registry)
{
    core::Component component{"gradient_shap",
                              "Gradient SHAP",
                              "Gradients at random places between the input and randomly drawn baselines; in expectation the attributions add up to "
                              "the output less its mean "
                              "over the baselines.",
                              "Lundberg & Lee (2017), \"A Unified Approach to Interpreting Model Predictions\", arXiv:1705.07874; expected gradients "
                              "as in Captum's GradientShap",
                              {core::any("baselines", 0, "A number, or the path of a .npy array with several baselines, [count, ...sample]."),
                               core::integer("n_samples", 5, "Random draws for each sample.").range(1, 1000000),
                               core::real("stdevs", 0, "Standard deviation of noise added to the input.").atLeast(0)}};
    for (auto& parameter : convergenceParameters("max_samples", 3200, "samples"))
        component.schema.add(std::move(parameter));
    component.schema.add(internalBatchSizeParameter());
    registry.add(std::move(component), gradientShap);
}

}  // namespace orrery::explain
