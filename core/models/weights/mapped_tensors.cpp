#include "mapped_tensors.h"

#include <ATen/ops/from_blob.h>

#include <core/io/tensors.h>

namespace orrery::models {

at::Tensor mappedTensor(const Mapping& file, io::ElementType type, const std::vector<std::int64_t>& shape, std::uint64_t begin, std::uint64_t end)
{
    using io::ElementType;
    std::byte* data = file->bytes().data() + begin;
    const bool widened = type == ElementType::UInt16 || type == ElementType::UInt32 || type == ElementType::UInt64;
    if (widened || begin == end || reinterpret_cast<std::uintptr_t>(data) % io::elementSize(type) != 0)
        return io::toTensor({type, shape, std::string(reinterpret_cast<const char*>(data), end - begin)});
    return at::from_blob(
        data, shape, [file](void*) {}, at::TensorOptions(io::toScalarType(type)));
}

graph::Weights mappedTensors(const Mapping& file, const io::SafetensorsHeader& header)
{
    graph::Weights weights;
    for (const auto& entry : header.entries)
        weights.set(entry.name, mappedTensor(file, entry.type, entry.shape, entry.begin, entry.end));
    return weights;
}

}  // namespace orrery::models
