#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include <core/base/schema.h>

#include "attribution.h"

namespace orrery::explain {

/// Parameters that methods which replace parts of the input share; one definition each.
core::Parameter featureMaskParameter();    ///< `feature_mask`
core::Parameter baselineParameter();       ///< `baseline`
core::Parameter perturbationsParameter();  ///< `perturbations_per_eval`

/// A nested list or an .npy file as a tensor on the CPU. @param place  What it is called in messages. @throws core::InputError for other JSON and uneven lists.
at::Tensor parameterArray(const core::Json& json, const std::string& place);

/// The baseline of one sample as `baseline` says: a number, a nested list, or the path of an .npy file that broadcasts to the sample.
/// @param value  [batch, ...]: gives the sample's shape, dtype and device.
/// @return       [...], the sample's shape (expanded).
/// @throws core::InputError naming `method` for other JSON, shapes that do not broadcast, NaN; core::FormatError, core::StorageError for the file.
at::Tensor sampleBaseline(const core::Json& baseline, const at::Tensor& value, const std::string& method);

/// How many perturbed copies of the batch are evaluated at a time: `perturbations_per_eval`, else as many as make about 64 rows.
std::int64_t perturbationsPerBatch(const core::Json& parameters, std::int64_t batch);

/// @throws core::InputError if the batch is empty, or the function's value or output holds NaN or infinite numbers.
void requireFinite(const ScalarFunction& function, const std::string& method);

/// Groups of elements of a sample that are switched on (the sample's own value) and off (the baseline) together. Immutable; any thread.
///
/// `feature_mask` says which: none: every number of a table, every position of a sequence [position, width], every pixel of an image [channel, height, width]
/// across its channels; a whole number p: p x p patches of an image over all channels, p neighbours of a table or sequence; a nested list or an .npy file of
/// whole numbers that broadcasts to the sample: elements with the same number are one feature. Numbers may have gaps; features are in their order.
class Features {
public:
    /// @param value  The batch that is explained, [batch, ...].
    /// @throws core::InputError naming `method` and what was expected.
    Features(const at::Tensor& value, const core::Json& parameters, const std::string& method);

    std::int64_t count() const { return m_count; }
    std::int64_t batch() const { return m_value.size(0); }
    const at::Tensor& mask() const { return m_mask; }          ///< int64, 0..count-1; broadcasts to the sample's shape
    const at::Tensor& baseline() const { return m_baseline; }  ///< the sample's shape

    /// Copies of the batch with some features off.
    /// @param on  bool [n, count]. @return [n * batch, ...], copy-major: all samples of row 0 first.
    at::Tensor masked(const at::Tensor& on) const;
    /// One number a sample and feature as one an element. @param perFeature  [batch, count]. @return like the value, its dtype.
    at::Tensor spread(const at::Tensor& perFeature) const;
    /// Sums over each feature's elements. @param elements  Broadcasts to the value. @return [batch, count], double.
    at::Tensor sums(const at::Tensor& elements) const;

private:
    at::Tensor m_value, m_mask, m_baseline;
    std::int64_t m_count = 0;
};

}  // namespace orrery::explain
