#include "torch_weights.h"

#include <ATen/ops/as_strided.h>

#include <core/base/stop.h>
#include <core/io/byte_order.h>
#include <core/io/tensors.h>
#include <core/io/torch_checkpoint.h>

namespace orrery::models {
namespace {

/// The storages of a file as flat tensors, each made when it is first asked for.
class TorchStorages {
public:
    TorchStorages(const Mapping& mapping, const io::TorchFile& file) : m_mapping(mapping), m_file(file) {}
    at::Tensor window(const io::TorchTensor& tensor)
    {
        auto& flat = m_flat[{tensor.storage, tensor.type}];
        if (!flat.defined())
            flat = made(m_file.storages[tensor.storage], tensor.type);
        return at::as_strided(flat, tensor.sizes, tensor.strides, tensor.offset);
    }

private:
    at::Tensor made(const io::TorchStorage& storage, io::ElementType type) const
    {
        const auto size = io::elementSize(type);
        const auto count = std::int64_t((storage.end - storage.begin) / size);
        const auto end = storage.begin + std::uint64_t(count) * size;
        if (!m_file.isBigEndian)
            return mappedTensor(m_mapping, type, {count}, storage.begin, end);
        std::string bytes(m_mapping->text().substr(storage.begin, end - storage.begin));
        io::swapBytes(bytes, type);
        return io::toTensor({type, {count}, std::move(bytes)});
    }
    const Mapping& m_mapping;
    const io::TorchFile& m_file;
    std::map<std::pair<std::uint32_t, io::ElementType>, at::Tensor> m_flat;
};

}  // namespace

WeightFile readTorchWeights(const Mapping& file, const std::string& name)
{
    const auto parsed = io::parseTorchFile(file->text(), name);
    auto checkpoint = io::findCheckpoint(parsed, name);
    WeightFile result;
    result.format = parsed.isLegacy ? "torch.save (before PyTorch 1.6)" : "torch.save";
    result.about = std::move(checkpoint.about);
    result.notes = std::move(checkpoint.notes);
    TorchStorages storages(file, parsed);
    for (const auto& entry : checkpoint.tensors) {
        core::throwIfStopped();
        result.tensors.set(entry.name, storages.window(parsed.tensors[entry.tensor]));
        if (entry.isBuffer)
            result.buffers.insert(entry.name);
    }
    for (auto& module : checkpoint.modules)
        result.modules.push_back({std::move(module.path), std::move(module.type)});
    return result;
}

}  // namespace orrery::models
