#include "mapped_tensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <sys/mman.h>

#include <cstring>

#include <core/base/stop.h>
#include <core/io/tensors.h>

namespace orrery::models {

namespace {

/// Copies piece by piece and gives the pages of each piece back, so that the elements are not in memory twice.
at::Tensor copiedTensor(const Mapping& file, io::ElementType type, const std::vector<std::int64_t>& shape, std::uint64_t begin, std::uint64_t end)
{
    constexpr std::uint64_t kPiece = std::uint64_t(16) << 20, kPage = 4096;
    auto tensor = at::empty(shape, at::TensorOptions(io::toScalarType(type)));
    for (std::uint64_t at = begin; at < end; at += kPiece) {
        const auto length = std::min(kPiece, end - at), firstPage = (at + kPage - 1) / kPage * kPage, lastPage = (at + length) / kPage * kPage;
        std::memcpy(static_cast<char*>(tensor.data_ptr()) + (at - begin), file->bytes().data() + at, length);
        if (firstPage < lastPage)
            ::madvise(file->bytes().data() + firstPage, lastPage - firstPage,
                      MADV_DONTNEED);  // nobody has written there: they are read again if need be
    }
    return tensor;
}

}  // namespace

at::Tensor mappedTensor(const Mapping& file, io::ElementType type, const std::vector<std::int64_t>& shape, std::uint64_t begin, std::uint64_t end)
{
    using io::ElementType;
    std::byte* data = file->bytes().data() + begin;
    const bool widened = type == ElementType::UInt16 || type == ElementType::UInt32 || type == ElementType::UInt64;
    if (widened || begin == end)
        return io::toTensor({type, shape, std::string(reinterpret_cast<const char*>(data), end - begin)});
    if (reinterpret_cast<std::uintptr_t>(data) % io::elementSize(type) != 0)
        return copiedTensor(file, type, shape, begin, end);
    return at::from_blob(
        data, shape, [file](void*) {}, at::TensorOptions(io::toScalarType(type)));
}

graph::Weights mappedTensors(const Mapping& file, const io::SafetensorsHeader& header)
{
    graph::Weights weights;
    for (const auto& entry : header.entries) {
        core::throwIfStopped();
        weights.set(entry.name, mappedTensor(file, entry.type, entry.shape, entry.begin, entry.end));
    }
    return weights;
}

}  // namespace orrery::models
