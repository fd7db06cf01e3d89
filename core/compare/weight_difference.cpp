#include "weight_difference.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <limits>
#include <set>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/runnable.h>

namespace orrery::compare {
namespace {

constexpr std::int64_t kPiece = 1 << 20;

using OnPair = std::function<void(double a, double b)>;

/// Calls `onPair` for all elements of two tensors of one shape, as doubles.
void forPairs(const at::Tensor& first, const at::Tensor& second, std::stop_token stop, const OnPair& onPair)
{
    at::NoGradGuard noGrad;
    const auto flat = [](const at::Tensor& tensor) {
        const at::Tensor plain = tensor.is_quantized() ? tensor.dequantize() : tensor.is_complex() ? at::view_as_real(tensor) : tensor;
        return plain.detach().reshape(-1);
    };
    const at::Tensor a = flat(first), b = flat(second);
    for (std::int64_t from = 0; from < a.numel(); from += kPiece) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const std::int64_t length = std::min(kPiece, a.numel() - from);
        const at::Tensor x = a.narrow(0, from, length).to(at::kCPU, at::kDouble).contiguous(),
                         y = b.narrow(0, from, length).to(at::kCPU, at::kDouble).contiguous();
        const double *left = x.data_ptr<double>(), *right = y.data_ptr<double>();
        for (std::int64_t i = 0; i < length; ++i)
            onPair(left[i], right[i]);
    }
}

void describeTensor(TensorDifference& difference, const at::Tensor* first, const at::Tensor* second)
{
    if (first) {
        difference.firstShape = first->sizes().vec();
        difference.firstType = graph::dtypeName(first->scalar_type());
    }
    if (second) {
        difference.secondShape = second->sizes().vec();
        difference.secondType = graph::dtypeName(second->scalar_type());
    }
}

/// Sums over all pairs.
struct PairSums {
    double absolute = 0, squares = 0, firstSquares = 0, secondSquares = 0, product = 0;
};

PairSums sumPairs(TensorDifference& result, const at::Tensor& first, const at::Tensor& second, const WeightOptions& options, std::stop_token stop)
{
    PairSums sums;
    result.low = std::numeric_limits<double>::infinity();
    result.high = -result.low;
    forPairs(first, second, stop, [&](double a, double b) {
        ++result.count;
        const bool finite = std::isfinite(a) && std::isfinite(b);
        if (!finite && (a == b || (std::isnan(a) && std::isnan(b))))
            return;
        if (!finite) {
            ++result.notFinite;
            ++result.differing;
            return;
        }
        const double d = a - b;
        result.largest = std::max(result.largest, std::abs(d));
        result.differing += std::abs(d) > options.tolerance;
        result.low = std::min(result.low, d);
        result.high = std::max(result.high, d);
        sums.absolute += std::abs(d);
        sums.squares += d * d;
        sums.firstSquares += a * a;
        sums.secondSquares += b * b;
        sums.product += a * b;
    });
    return sums;
}

void finish(TensorDifference& result, const PairSums& sums)
{
    if (!(result.low <= result.high))
        result.low = result.high = 0;
    result.norm = std::sqrt(sums.firstSquares);
    result.mean = result.count ? sums.absolute / double(result.count) : 0;
    if (sums.squares > 0)
        result.relative = result.norm > 0 ? std::sqrt(sums.squares) / result.norm : std::numeric_limits<double>::infinity();
    if (sums.firstSquares > 0 && sums.secondSquares > 0)
        result.cosine = std::clamp(sums.product / (std::sqrt(sums.firstSquares) * std::sqrt(sums.secondSquares)), -1.0, 1.0);
    else
        result.cosine = sums.firstSquares == sums.secondSquares ? 1 : 0;
    result.change = result.differing ? Change::Changed : Change::Same;
}

void fillHistogram(TensorDifference& result, const at::Tensor& first, const at::Tensor& second, int bins, std::stop_token stop)
{
    result.histogram.assign(std::size_t(std::max(bins, 1)), 0);
    const double width = result.high - result.low;
    forPairs(first, second, stop, [&](double a, double b) {
        if (!std::isfinite(a) || !std::isfinite(b))
            return;
        const double share = width > 0 ? (a - b - result.low) / width : 0;
        ++result.histogram[std::min(std::size_t(share * double(result.histogram.size())), result.histogram.size() - 1)];
    });
}

// Infinity is no JSON number.
core::Json jsonNumber(double value)
{
    return std::isfinite(value) ? core::Json(value) : core::Json(core::formatNumber(value));
}

}  // namespace

TensorDifference compareTensors(const at::Tensor& first, const at::Tensor& second, const WeightOptions& options, std::stop_token stop)
{
    if (first.sizes() != second.sizes())
        throw core::ShapeError(fmt::format("expected two tensors of one shape, got {} and {}", core::formatShape(first.sizes().vec()),
                                           core::formatShape(second.sizes().vec())));
    TensorDifference result;
    describeTensor(result, &first, &second);
    finish(result, sumPairs(result, first, second, options, stop));
    fillHistogram(result, first, second, options.bins, stop);
    return result;
}

std::vector<TensorDifference> compareWeights(const graph::Weights& first, const graph::Weights& second,
                                             const std::map<std::string, std::string>& partners, const WeightOptions& options, std::stop_token stop)
{
    std::vector<TensorDifference> all;
    std::set<std::string> taken;
    const auto partnerOf = [&](const std::string& name) {
        const auto found = partners.find(name);
        return found == partners.end() ? name : found->second;
    };
    for (const auto& [name, tensor] : first.tensors()) {
        const auto other = partnerOf(name);
        const at::Tensor* theirs = second.find(other);
        TensorDifference difference;
        if (theirs && theirs->sizes() == tensor.sizes())
            difference = compareTensors(tensor, *theirs, options, stop);
        else
            difference.change = theirs ? Change::Changed : Change::Removed;
        describeTensor(difference, &tensor, theirs);
        difference.first = name;
        if (theirs) {
            difference.second = other;
            taken.insert(other);
        }
        all.push_back(std::move(difference));
    }
    for (const auto& [name, tensor] : second.tensors())
        if (!taken.count(name)) {
            TensorDifference difference;
            describeTensor(difference, nullptr, &tensor);
            difference.second = name;
            difference.change = Change::Added;
            all.push_back(std::move(difference));
        }
    graph::requireAsOpened(first);
    graph::requireAsOpened(second);
    return all;
}

core::Json TensorDifference::toJson() const
{
    core::Json json = {{"first", first.empty() ? core::Json() : core::Json(first)},
                       {"second", second.empty() ? core::Json() : core::Json(second)},
                       {"change", changeName(change)},
                       {"shape", first.empty() ? secondShape : firstShape},
                       {"dtype", first.empty() ? secondType : firstType}};
    if (!first.empty() && !second.empty() && !sameShape())
        json["second_shape"] = secondShape;
    if (!first.empty() && !second.empty() && firstType != secondType)
        json["second_dtype"] = secondType;
    if (first.empty() || second.empty() || !sameShape())
        return json;
    json.update({{"elements", count},
                 {"differing", differing},
                 {"not_finite", notFinite},
                 {"max_abs", largest},
                 {"mean_abs", mean},
                 {"relative", jsonNumber(relative)},
                 {"cosine", cosine},
                 {"norm", norm},
                 {"low", low},
                 {"high", high},
                 {"histogram", histogram}});
    return json;
}

}  // namespace orrery::compare
