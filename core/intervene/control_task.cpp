#include "control_task.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <map>

#include <core/base/rng.h>

#include "linear_probe.h"

namespace orrery::intervene {
namespace {

// [row, centre]
at::Tensor squaredDistances(const at::Tensor& rows, const at::Tensor& centres)
{
    return (rows.square().sum(1, true) + centres.square().sum(1).unsqueeze(0) - 2 * at::matmul(rows, centres.t())).clamp_min(0);
}

// Each next centre is a row, drawn with a probability that grows with its squared distance from those there are.
at::Tensor firstCentres(const at::Tensor& rows, std::int64_t clusters, core::SplitMix64& random)
{
    std::vector<std::int64_t> chosen = {std::int64_t(random.below(std::uint64_t(rows.size(0))))};
    at::Tensor nearest = squaredDistances(rows, rows.narrow(0, chosen[0], 1)).squeeze(1);
    while (std::int64_t(chosen.size()) < clusters) {
        const at::Tensor sums = nearest.to(at::kDouble).cumsum(0);
        const double total = sums[-1].item<double>();
        if (!(total > 0))
            break;  // every row lies on a centre
        const auto row = at::searchsorted(sums, at::scalar_tensor(random.uniform() * total, at::kDouble), false, true).item<std::int64_t>();
        chosen.push_back(std::min(row, rows.size(0) - 1));
        nearest = at::minimum(nearest, squaredDistances(rows, rows.narrow(0, chosen.back(), 1)).squeeze(1));
    }
    return rows.index_select(0, at::tensor(chosen, at::kLong));
}

std::int64_t clustersFor(const Activations& train, std::int64_t wanted)
{
    if (wanted > 0)
        return wanted;
    const auto classes = train.classes > 0 ? train.classes : 5;
    return std::max<std::int64_t>(2, std::min(10 * classes, train.rows() / 4));
}

std::pair<at::Tensor, at::Tensor> typesOf(const Activations& train, const Activations& test, std::int64_t clusters, std::uint64_t seed,
                                          const Control& control)
{
    if (train.types.defined() && test.types.defined())
        return {train.types, test.types};
    if (!train.inputs.defined() || !test.inputs.defined())
        throw core::InputError("control task: expected the model's inputs, or tokens at single positions");
    const at::Tensor centres = kMeans(train.inputs, clustersFor(train, clusters), seed, control);
    return {nearestCentre(train.inputs, centres), nearestCentre(test.inputs, centres)};
}

}  // namespace

at::Tensor nearestCentre(const at::Tensor& rows, const at::Tensor& centres)
{
    return squaredDistances(rows, centres).argmin(1);
}

at::Tensor kMeans(const at::Tensor& given, std::int64_t clusters, std::uint64_t seed, const explain::Control& control)
{
    const at::Tensor rows = given.to(at::kFloat);
    core::SplitMix64 random(core::deriveSeed(seed, 0, "k-means"));
    at::Tensor centres = firstCentres(rows, std::min(clusters, rows.size(0)), random), before;
    for (int round = 0; round < 25; ++round) {
        control.report(round, 25, "rounds");
        const at::Tensor nearest = nearestCentre(rows, centres);
        if (before.defined() && at::equal(before, nearest))
            break;
        before = nearest;
        const at::Tensor sums = at::zeros_like(centres).index_add(0, nearest, rows);
        const at::Tensor counts = at::bincount(nearest, {}, centres.size(0)).unsqueeze(1);
        centres = at::where(counts > 0, sums / counts.clamp_min(1), centres);
    }
    return centres;
}

std::pair<at::Tensor, at::Tensor> controlLabels(const Activations& train, const Activations& test, std::int64_t clusters, std::uint64_t seed,
                                                const Control& control)
{
    const auto [trainTypes, testTypes] = typesOf(train, test, clusters, seed, control);
    // A type's label depends on the seed and the type alone, so that a type seen first in the held-out rows has one, too.
    std::map<std::int64_t, std::int64_t> rowOfType;
    const auto rows = [&](const at::Tensor& types) {
        const at::Tensor plain = types.contiguous();
        std::vector<std::int64_t> out;
        for (std::int64_t i = 0; i < plain.numel(); ++i) {
            const auto type = plain.data_ptr<std::int64_t>()[i];
            const auto [found, isNew] = rowOfType.try_emplace(type, 0);
            if (isNew)
                found->second =
                    std::int64_t(core::SplitMix64(core::deriveSeed(seed, std::uint64_t(type), "control task")).below(std::uint64_t(train.rows())));
            out.push_back(found->second);
        }
        return at::tensor(out, at::kLong);
    };
    return {train.labels.index_select(0, rows(trainTypes)), train.labels.index_select(0, rows(testTypes))};
}

}  // namespace orrery::intervene
