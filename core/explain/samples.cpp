#include "samples.h"

#include <core/base/rng.h>
#include <core/graph/random_operators.h>

namespace orrery::explain {

void Moments::add(const at::Tensor& rows)
{
    const auto samples = rows.to(at::kDouble);
    if (!m_first.defined()) {
        m_first = samples[0].clone();
        for (auto& sum : m_sums)
            sum = at::zeros_like(m_first);
    }
    const auto deviation = samples - m_first;
    auto power = deviation;
    for (auto& sum : m_sums) {
        sum += power.sum(0);
        power = power * deviation;
    }
    m_count += samples.size(0);
}

at::Tensor Moments::power(int exponent) const
{
    return m_sums[exponent - 1] / double(m_count);
}

at::Tensor Moments::mean() const
{
    return m_first + power(1);
}

at::Tensor Moments::meanOfSquares() const
{
    return m_first.square() + 2 * m_first * power(1) + power(2);
}

at::Tensor Moments::variance() const
{
    return (power(2) - power(1).square()).clamp_min(0);
}

at::Tensor Moments::errorOfMean() const
{
    return m_count < 2 ? at::Tensor() : (variance() / double(m_count - 1)).sqrt();
}

at::Tensor Moments::errorOfMeanOfSquares() const
{
    if (m_count < 2)
        return {};
    // (first + d)^2 - first^2 = 2 first d + d^2: its variance from the moments of d.
    const auto square = 4 * m_first.square() * power(2) + 4 * m_first * power(3) + power(4);
    const auto mean = 2 * m_first * power(1) + power(2);
    return ((square - mean.square()).clamp_min(0) / double(m_count - 1)).sqrt();
}

at::Tensor Moments::errorOfVariance() const
{
    if (m_count < 2)
        return {};
    const auto d = power(1);
    const auto fourth = power(4) - 4 * d * power(3) + 6 * d.square() * power(2) - 3 * d.square().square();
    return ((fourth - variance().square()).clamp_min(0) / double(m_count)).sqrt();
}

at::Tensor copyNoise(const at::Tensor& value, std::int64_t begin, std::int64_t end, std::uint64_t seed, std::string_view name)
{
    std::vector<at::Tensor> copies;
    for (auto k = begin; k < end; ++k)
        copies.push_back(at::randn(value.sizes(), graph::makeGenerator(c10::kCPU, core::deriveSeed(seed, std::uint64_t(k), name)),
                                   at::TensorOptions().dtype(at::kDouble)));
    return at::cat(copies).to(value.device(), value.scalar_type());
}

at::Tensor copiesOf(const at::Tensor& value, std::int64_t count)
{
    std::vector<std::int64_t> repeats(std::size_t(value.dim()), 1);
    repeats[0] = count;
    return value.repeat(repeats);
}

}  // namespace orrery::explain
