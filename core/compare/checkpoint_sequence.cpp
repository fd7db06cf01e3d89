#include "checkpoint_sequence.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include <core/base/error.h>

namespace orrery::compare {
namespace {

/// Sums of squares that norms and cosines are made of.
struct SquareSums {
    double own = 0, first = 0, fromFirst = 0, fromPrevious = 0, product = 0;
    void add(const SquareSums& other)
    {
        own += other.own;
        first += other.first;
        fromFirst += other.fromFirst;
        fromPrevious += other.fromPrevious;
        product += other.product;
    }
    SequencePoint point(std::int64_t step) const
    {
        const double norms = std::sqrt(own) * std::sqrt(first);
        const double cosine = norms > 0 ? std::clamp(product / norms, -1.0, 1.0) : own == first ? 1 : 0;
        return {step, std::sqrt(own), std::sqrt(fromFirst), std::sqrt(fromPrevious), cosine};
    }
};

SquareSums sumsOf(const at::Tensor& now, const at::Tensor& first, const at::Tensor& previous)
{
    const auto plain = [](const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kDouble).contiguous().reshape(-1); };
    const at::Tensor w = plain(now), w0 = plain(first), w1 = plain(previous);
    const double *a = w.data_ptr<double>(), *b = w0.data_ptr<double>(), *c = w1.data_ptr<double>();
    SquareSums sums;
    for (std::int64_t i = 0; i < w.numel(); ++i) {
        sums.own += a[i] * a[i];
        sums.first += b[i] * b[i];
        sums.fromFirst += (a[i] - b[i]) * (a[i] - b[i]);
        sums.fromPrevious += (a[i] - c[i]) * (a[i] - c[i]);
        sums.product += a[i] * b[i];
    }
    return sums;
}

core::Json curveToJson(const SequenceCurve& curve)
{
    core::Json points = core::Json::array();
    for (const auto& point : curve.points)
        points.push_back({{"step", point.step},
                          {"norm", point.norm},
                          {"from_first", point.fromFirst},
                          {"from_previous", point.fromPrevious},
                          {"cosine", point.cosine}});
    return {{"name", curve.name}, {"elements", curve.elements}, {"points", std::move(points)}};
}

}  // namespace

CheckpointSequence followCheckpoints(const std::vector<std::int64_t>& steps, const std::function<graph::Weights(std::int64_t)>& load,
                                     const std::function<void(std::size_t)>& progress, std::stop_token stop)
{
    if (steps.empty())
        throw core::InputError("expected at least one checkpoint, got none");
    at::NoGradGuard noGrad;
    graph::Weights first, previous;
    std::map<std::string, SequenceCurve> curves;
    CheckpointSequence sequence;
    sequence.total.name = "all";
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (stop.stop_requested())
            throw core::Cancelled();
        graph::Weights now = load(steps[i]);
        if (i == 0)
            previous = first = now;
        SquareSums total;
        for (const auto& [name, tensor] : now.tensors()) {
            const at::Tensor *start = first.find(name), *last = previous.find(name);
            if (!tensor.is_floating_point() || !start || !last || start->sizes() != tensor.sizes() || last->sizes() != tensor.sizes())
                continue;
            const auto sums = sumsOf(tensor, *start, *last);
            auto& curve = curves[name];
            curve.name = name;
            curve.elements = tensor.numel();
            curve.points.push_back(sums.point(steps[i]));
            total.add(sums);
        }
        sequence.total.points.push_back(total.point(steps[i]));
        previous = std::move(now);
        if (progress)
            progress(i + 1);
    }
    for (auto& [name, curve] : curves)
        if (curve.points.size() == steps.size()) {
            sequence.total.elements += curve.elements;
            sequence.tensors.push_back(std::move(curve));
        }
    return sequence;
}

core::Json CheckpointSequence::toJson() const
{
    core::Json list = core::Json::array();
    for (const auto& curve : tensors)
        list.push_back(curveToJson(curve));
    return {{"total", curveToJson(total)}, {"tensors", std::move(list)}};
}

}  // namespace orrery::compare
