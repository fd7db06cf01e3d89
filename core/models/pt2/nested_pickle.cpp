#include "nested_pickle.h"

#include <ATen/ops/as_strided.h>

#include <core/base/error.h>
#include <core/io/torch_checkpoint.h>

namespace orrery::models {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxLeaves = 100'000;

/// The tensors of one file, each made when it is first asked for.
class NestedFile {
public:
    NestedFile(const Mapping& file, std::string_view bytes, const std::string& name)
        : m_mapping(file), m_begin(std::uint64_t(bytes.data() - file->text().data())), m_name(name), m_file(io::parseTorchFile(bytes, name))
    {
        if (m_file.isBigEndian)
            throw core::FormatError(fmt::format("{}: expected little-endian numbers, found big-endian ones", name));
    }
    const io::TorchFile& file() const { return m_file; }
    at::Tensor tensor(std::size_t index);
    void collect(io::PickleIndex at, std::vector<at::Tensor>& leaves, int depth);

private:
    const Mapping& m_mapping;
    std::uint64_t m_begin;
    const std::string& m_name;
    io::TorchFile m_file;
    std::map<std::pair<std::uint32_t, io::ElementType>, at::Tensor> m_storages;
};

at::Tensor NestedFile::tensor(std::size_t index)
{
    const auto& window = m_file.tensors.at(index);
    auto& flat = m_storages[{window.storage, window.type}];
    if (!flat.defined()) {
        const auto& storage = m_file.storages[window.storage];
        const auto size = io::elementSize(window.type);
        const auto count = (storage.end - storage.begin) / size;
        const auto begin = m_begin + storage.begin;
        flat = mappedTensor(m_mapping, window.type, {std::int64_t(count)}, begin, begin + count * size);
    }
    return at::as_strided(flat, window.sizes, window.strides, window.offset);
}

void NestedFile::collect(io::PickleIndex at, std::vector<at::Tensor>& leaves, int depth)
{
    const auto& node = m_file.pickle.at(at);
    if (depth > kMaxDepth || leaves.size() > kMaxLeaves)
        throw core::FormatError(fmt::format("{}: expected values nested at most {} deep", m_name, kMaxDepth));
    if (node.kind == io::PickleKind::Tensor)
        leaves.push_back(tensor(std::size_t(node.integer)));
    const bool isDict = node.kind == io::PickleKind::Dict;
    if (isDict || node.kind == io::PickleKind::List || node.kind == io::PickleKind::Tuple)
        for (std::size_t i = isDict ? 1 : 0; i < node.items.size(); i += isDict ? 2 : 1)
            collect(node.items[i], leaves, depth + 1);
}

}  // namespace

graph::Weights nestedStateDict(const Mapping& file, std::string_view bytes, const std::string& name)
{
    NestedFile nested(file, bytes, name);
    graph::Weights weights;
    const auto& root = nested.file().pickle.at(nested.file().pickle.root);
    if (root.kind == io::PickleKind::Dict && root.items.empty())
        return weights;
    for (const auto& entry : io::findCheckpoint(nested.file(), name).tensors)
        weights.set(entry.name, nested.tensor(entry.tensor));
    return weights;
}

std::vector<at::Tensor> nestedTensors(const Mapping& file, std::string_view bytes, const std::string& name)
{
    NestedFile nested(file, bytes, name);
    std::vector<at::Tensor> leaves;
    nested.collect(nested.file().pickle.root, leaves, 0);
    return leaves;
}

}  // namespace orrery::models
