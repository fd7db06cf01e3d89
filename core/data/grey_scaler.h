#pragma once
#include <ATen/core/Tensor.h>

#include <string_view>

namespace orrery::data {

/// Grey levels 0..maximum onto low..high, both ends exactly: medical classifiers are trained on one stated range whatever the bits of the file.
/// The range -1024..1024 is that of Cohen et al. (2022), "TorchXRayVision: A library of chest X-ray datasets and models", arXiv:2111.00595, section 2.1.
struct GreyScaler {
    double maximum = 255, low = -1024, high = 1024;

    float operator()(double value) const;
    /// @param picture  Any shape, any real dtype. @return float, a new tensor.
    /// @throws core::FormatError, naming `name`, for a value outside 0..maximum or that is not finite: the stated maximum is then not the file's.
    at::Tensor operator()(const at::Tensor& picture, std::string_view name) const;
};

}  // namespace orrery::data
