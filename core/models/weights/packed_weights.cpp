#include "packed_weights.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <cctype>

#include <core/io/gguf.h>
#include <core/kernels/parallel.h>

namespace orrery::models {
namespace {

using graph::Operand;
using graph::ValueId;

constexpr const char* kUnpack = "orrery::unpack_blocks";

/// Numbers of a matrix from its blocks: [rows, bytes] -> [rows, columns], rows shared out among the threads.
at::Tensor unpackBlocks(const at::Tensor& blocks, c10::string_view name)
{
    const std::string_view typeName(name.data(), name.size());
    const auto type = typeName == "Q8_0" ? io::GgufTensorType::Q8_0 : io::GgufTensorType::Q4_0;
    TORCH_CHECK(typeName == io::ggufTypeName(type), "unpack_blocks: expected Q8_0 or Q4_0, got ", name);
    const std::int64_t blockBytes = io::ggufBlockBytes(type);
    TORCH_CHECK(blocks.dim() == 2 && blocks.scalar_type() == at::kByte && blocks.size(1) % blockBytes == 0,
                "unpack_blocks: expected uint8 [rows, bytes] with a multiple of ", blockBytes, " bytes a row, got ", blocks.sizes());
    const auto packed = blocks.contiguous();
    const std::int64_t rowBytes = packed.size(1), columns = rowBytes / blockBytes * io::kGgufBlock;
    auto values = at::empty({packed.size(0), columns}, at::TensorOptions(at::kFloat));
    const auto* bytes = static_cast<const char*>(packed.data_ptr());
    auto* numbers = values.data_ptr<float>();
    kernels::parallelFor(0, packed.size(0), 1 + (1 << 15) / (columns + 1), [&](std::int64_t first, std::int64_t last) {
        const auto count = std::size_t(last - first);
        io::dequantise(type, {bytes + first * rowBytes, count * std::size_t(rowBytes)}, {numbers + first * columns, count * std::size_t(columns)});
    });
    return values;
}

TORCH_LIBRARY_FRAGMENT(orrery, library)
{
    library.def("unpack_blocks(Tensor blocks, str type) -> Tensor", unpackBlocks);
}

/// Calls `change` for every operand of a node and of what is nested in it.
template <class Change>
void eachOperand(graph::Node& node, const Change& change)
{
    std::for_each(node.inputs.begin(), node.inputs.end(), change);
    for (auto& block : node.blocks) {
        for (auto& inner : block.nodes)
            eachOperand(inner, change);
        std::for_each(block.outputs.begin(), block.outputs.end(), change);
    }
}

class Packer {
public:
    Packer(graph::Model model, const std::map<std::string, PackedTensor>& packed) : m_model(std::move(model)), m_data(m_model.graph->data())
    {
        for (auto& parameter : m_data.parameters)
            if (const auto found = packed.find(parameter.name); found != packed.end() && !isOutput(parameter.value))
                rename(parameter, found->second);
    }
    graph::Model packed()
    {
        auto nodes = std::move(m_data.body.nodes);
        m_data.body.nodes.clear();
        for (auto& node : nodes) {
            std::map<ValueId, ValueId> unpacked;
            eachOperand(node, [&](Operand& operand) {
                const auto weight = operand.isConstant() ? m_weights.end() : m_weights.find(operand.value);
                if (weight == m_weights.end())
                    return;
                const auto [known, isNew] = unpacked.try_emplace(operand.value, -1);
                if (isNew)
                    known->second = unpack(weight->second, operand.value, node.module);
                operand.value = known->second;
            });
            m_data.body.nodes.push_back(std::move(node));
        }
        for (auto& [alias, name] : m_data.aliases)
            if (const auto renamed = m_renamed.find(name); renamed != m_renamed.end())
                name = renamed->second;
        m_model.graph = std::make_shared<const graph::Graph>(std::move(m_data));
        m_model.weights = graph::Weights(std::move(m_tensors));
        return std::move(m_model);
    }

private:
    struct Weight {
        std::string name;
        PackedTensor tensor;
        int uses = 0;
    };

    bool isOutput(ValueId id) const
    {
        const auto& outputs = m_data.body.outputs;
        return std::any_of(outputs.begin(), outputs.end(), [&](const Operand& output) { return !output.isConstant() && output.value == id; });
    }

    void rename(graph::Parameter& parameter, const PackedTensor& tensor)
    {
        const auto name = parameter.name;
        parameter.name += "_" + tensor.type;
        std::transform(parameter.name.end() - std::ptrdiff_t(tensor.type.size()), parameter.name.end(),
                       parameter.name.end() - std::ptrdiff_t(tensor.type.size()), [](unsigned char c) { return char(std::tolower(c)); });
        parameter.kind = graph::Parameter::Kind::Constant;
        parameter.shape = tensor.blocks.sizes().vec();
        parameter.dtype = at::kByte;
        parameter.init = nullptr;
        m_data.values[std::size_t(parameter.value)].name = parameter.name;
        m_tensors.erase(name);
        m_tensors[parameter.name] = tensor.blocks;
        m_renamed[name] = parameter.name;
        m_weights[parameter.value] = {name, tensor};
    }

    ValueId add(const std::string& name, const std::string& op, std::vector<Operand> inputs, const std::string& module)
    {
        graph::Node node;
        node.name = name;
        node.op = op;
        node.module = module;
        node.inputs = std::move(inputs);
        node.outputs = {ValueId(m_data.values.size())};
        m_data.values.push_back({name, "Tensor"});
        m_data.body.nodes.push_back(std::move(node));
        return ValueId(m_data.values.size() - 1);
    }

    ValueId unpack(Weight& weight, ValueId blocks, const std::string& module)
    {
        const auto suffix = ++weight.uses == 1 ? std::string() : "#" + std::to_string(weight.uses);
        const auto name = weight.name + suffix;
        const std::vector<Operand> inputs = {Operand::of(blocks), Operand::literal(weight.tensor.type)};
        if (!weight.tensor.transposed)
            return add(name, kUnpack, inputs, module);
        return add(name, "aten::t", {Operand::of(add(weight.name + "_rows" + suffix, kUnpack, inputs, module))}, module);
    }

    graph::Model m_model;
    graph::GraphData m_data;
    std::map<std::string, at::Tensor> m_tensors = m_model.weights.tensors();
    std::map<ValueId, Weight> m_weights;
    std::map<std::string, std::string> m_renamed;
};

}  // namespace

graph::Model withPackedWeights(graph::Model model, const std::map<std::string, PackedTensor>& packed)
{
    return Packer(std::move(model), packed).packed();
}

}  // namespace orrery::models
