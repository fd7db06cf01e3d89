#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace orrery::io {

/// One batch file of CIFAR-10 or CIFAR-100 (binary version): pictures of 3 x 32 x 32 bytes, channels first.
struct CifarBatch {
    std::vector<std::uint8_t> labels;        ///< CIFAR-10: the class; CIFAR-100: the fine class
    std::vector<std::uint8_t> coarseLabels;  ///< CIFAR-100 alone
    std::vector<std::uint8_t> pixels;        ///< [sample, channel, row, column]
};
inline constexpr std::size_t kCifarPixels = 3 * 32 * 32;

/// @param classes  10 or 100.
/// @throws core::FormatError if the size is no multiple of the record or a label is out of range.
/// Source: Krizhevsky (2009), "The CIFAR-10 and CIFAR-100 datasets", https://www.cs.toronto.edu/~kriz/cifar.html, section "Binary version".
CifarBatch parseCifar(std::string_view bytes, int classes, std::string_view name);

}  // namespace orrery::io
