#include "rank.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace orrery::explain {

at::Tensor ranks(const at::Tensor& values)
{
    const auto flat = values.to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    const auto* data = flat.data_ptr<double>();
    std::vector<std::int64_t> order(std::size_t(flat.numel()));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [data](std::int64_t a, std::int64_t b) { return data[a] < data[b]; });
    auto result = at::empty_like(flat);
    auto* rank = result.data_ptr<double>();
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
        while (end < order.size() && data[order[end]] == data[order[begin]])
            ++end;
        for (auto i = begin; i < end; ++i)
            rank[order[i]] = double(begin + end + 1) / 2;
    }
    return result;
}

double rankCorrelation(const at::Tensor& a, const at::Tensor& b)
{
    const auto left = ranks(a), right = ranks(b);
    if (at::equal(left, right))
        return 1;
    const auto x = left - left.mean(), y = right - right.mean();
    const double scale = std::sqrt(x.square().sum().item<double>() * y.square().sum().item<double>());
    return scale > 0 ? (x * y).sum().item<double>() / scale : 0;
}

}  // namespace orrery::explain
