#pragma once
#include "attribution.h"

/// What methods that draw samples share.
namespace orrery::explain {

/// Mean, variance and standard errors of one tensor a sample, by power sums in double around the first sample: samples that are all equal have variance 0
/// to the last bit.
class Moments {
public:
    /// @param rows  [count, ...]: samples, in order.
    void add(const at::Tensor& rows);
    std::int64_t count() const { return m_count; }
    at::Tensor mean() const;
    at::Tensor meanOfSquares() const;
    at::Tensor variance() const;  ///< divided by count, as Captum's vargrad
    /// Of the mean: sqrt(sum of squared deviations / (count - 1) / count). Undefined below two samples.
    at::Tensor errorOfMean() const;
    at::Tensor errorOfMeanOfSquares() const;
    /// Of the variance, for many samples: sqrt((fourth central moment - variance^2) / count). Undefined below two samples.
    at::Tensor errorOfVariance() const;

private:
    at::Tensor power(int exponent) const;  // mean of (sample - first)^exponent
    std::int64_t m_count = 0;
    at::Tensor m_first, m_sums[4];
};

/// Normal noise of copies [begin, end) of a value, copy-major: copy k draws from (seed, k, name) alone, in double on the CPU, so that it is the same however
/// copies are batched and on every device. Shaped [(end - begin) * value.size(0), ...], dtype and device of the value.
at::Tensor copyNoise(const at::Tensor& value, std::int64_t begin, std::int64_t end, std::uint64_t seed, std::string_view name);

/// `count` copies of a value, copy-major: [count * value.size(0), ...].
at::Tensor copiesOf(const at::Tensor& value, std::int64_t count);

}  // namespace orrery::explain
