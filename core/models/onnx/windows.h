#pragma once
#include "converter.h"

namespace orrery::models::onnx {

/// What convolutions and pools slide over the last axes, as their attributes say.
struct Windows {
    std::vector<std::int64_t> kernel, strides, dilations, begins, ends;
    std::string autoPad = "NOTSET";
    bool ceil = false;
    std::size_t axes() const { return kernel.size(); }
    bool isSymmetric() const { return begins == ends; }
    /// SAME_UPPER and SAME_LOWER: what is padded depends on the size of the input.
    bool padsToSame() const { return autoPad.rfind("SAME", 0) == 0; }
};

/// @param kernel  Where the attribute is missing. @throws core::FormatError if lists differ in length or hold numbers below 1.
Windows windowsOf(Call& call, std::vector<std::int64_t> kernel = {});

/// The input padded so that nothing else has to be: SAME by the input's size, other padding by the attributes.
Term padded(Call& call, const Term& x, const Windows& windows, double value);

}  // namespace orrery::models::onnx
