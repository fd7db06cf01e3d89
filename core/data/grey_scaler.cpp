#include "grey_scaler.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::data {

float GreyScaler::operator()(double value) const
{
    // lerp gives both ends without rounding, a * x + b does not.
    return float(std::lerp(low, high, value / maximum));
}

at::Tensor GreyScaler::operator()(const at::Tensor& picture, std::string_view name) const
{
    const at::Tensor values = picture.to(at::kDouble).contiguous(), out = at::empty(picture.sizes(), at::kFloat);
    const double* const from = values.data_ptr<double>();
    float* const to = out.data_ptr<float>();
    for (std::int64_t i = 0, count = values.numel(); i < count; ++i) {
        if (!(from[i] >= 0 && from[i] <= maximum))
            throw core::FormatError(fmt::format("{}: expected grey levels from 0 to {}, got {}; give the source's own `maximum`", name,
                                                core::formatNumber(maximum), core::formatNumber(from[i])));
        to[i] = (*this)(from[i]);
    }
    return out;
}

}  // namespace orrery::data
