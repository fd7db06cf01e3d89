#include "cifar.h"

#include <fmt/format.h>

#include <core/base/error.h>

namespace orrery::io {

CifarBatch parseCifar(std::string_view bytes, int classes, std::string_view name)
{
    if (classes != 10 && classes != 100)
        throw core::InputError(fmt::format("CIFAR has 10 or 100 classes, got {}", classes));
    const std::size_t labelBytes = classes == 10 ? 1 : 2, record = labelBytes + kCifarPixels;
    if (bytes.empty() || bytes.size() % record != 0)
        throw core::FormatError(fmt::format("{}: expected CIFAR-{} records of {} bytes, got {} bytes in all", name, classes, record, bytes.size()));
    CifarBatch batch;
    for (std::size_t at = 0; at < bytes.size(); at += record) {
        const auto label = static_cast<std::uint8_t>(bytes[at + labelBytes - 1]);
        if (label >= classes)
            throw core::FormatError(fmt::format("{}: record {}: expected a class below {}, got {}", name, at / record, classes, label));
        batch.labels.push_back(label);
        if (classes == 100)
            batch.coarseLabels.push_back(static_cast<std::uint8_t>(bytes[at]));
        batch.pixels.insert(batch.pixels.end(), bytes.begin() + std::ptrdiff_t(at + labelBytes), bytes.begin() + std::ptrdiff_t(at + record));
    }
    return batch;
}

}  // namespace orrery::io
