#include "bias_gelu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <map>

#include <core/kernels/parallel.h>

namespace orrery::debug {
namespace {

/// Elements of a block: its input and output together stay within a core's second cache.
constexpr std::int64_t kBlockElements = 32 * 1024;

void checkOperands(const at::Tensor& x, const at::Tensor& bias)
{
    TORCH_CHECK(x.dim() >= 1 && bias.dim() == 1 && bias.size(0) == x.size(-1), "bias_gelu: expected a bias of length ", x.dim() ? x.size(-1) : 0,
                ", got ", bias.sizes());
    TORCH_CHECK(at::isFloatingType(x.scalar_type()) && x.scalar_type() == bias.scalar_type(),
                "bias_gelu: expected two tensors of one floating dtype, got ", x.scalar_type(), " and ", bias.scalar_type());
}

/// Calls `work(first, count)` for stretches of rows, shared out among the threads.
template <class Work>
void overRows(const at::Tensor& rows, const Work& work)
{
    const std::int64_t width = std::max<std::int64_t>(rows.size(1), 1), block = std::max<std::int64_t>(1, kBlockElements / width);
    const std::int64_t blocks = (rows.size(0) + block - 1) / block;
    kernels::parallelFor(0, blocks, 1, [&](std::int64_t from, std::int64_t to) {
        const at::AutoDispatchBelowADInplaceOrView guard;
        for (std::int64_t i = from; i < to; ++i)
            work(i * block, std::min(block, rows.size(0) - i * block));
    });
}

at::Tensor forwardPass(const at::Tensor& x, const at::Tensor& bias, c10::string_view approximate)
{
    const at::Tensor rows = x.contiguous().view({-1, x.size(-1)});
    const at::Tensor plainBias = bias.contiguous();
    at::Tensor out = at::empty_like(rows);
    overRows(rows, [&](std::int64_t first, std::int64_t count) {
        at::Tensor part = out.narrow(0, first, count);
        at::add_out(part, rows.narrow(0, first, count), plainBias);
        at::gelu_(part, approximate);
    });
    return out.view(x.sizes());
}

at::Tensor backwardPass(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& bias, c10::string_view approximate)
{
    const at::Tensor rows = x.contiguous().view({-1, x.size(-1)}), above = gradient.contiguous().view({-1, x.size(-1)});
    at::Tensor out = at::empty_like(rows);
    overRows(rows, [&](std::int64_t first, std::int64_t count) {
        at::Tensor part = out.narrow(0, first, count);
        part.copy_(at::gelu_backward(above.narrow(0, first, count), at::add(rows.narrow(0, first, count), bias), approximate));
    });
    return out.view(x.sizes());
}

struct BiasGelu : torch::autograd::Function<BiasGelu> {
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& bias, const std::string& approximate)
    {
        const at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({x, bias});
        context->saved_data["approximate"] = approximate;
        return forwardPass(x, bias, approximate);
    }
    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, const torch::autograd::variable_list& gradients)
    {
        const auto saved = context->get_saved_variables();
        const at::Tensor below = backwardPass(gradients[0], saved[0], saved[1], context->saved_data["approximate"].toStringRef());
        return {below, below.reshape({-1, below.size(-1)}).sum(0), at::Tensor()};
    }
};

// The mode "tanh" is the same name in libtorch's schema; anything else than the two names is refused by gelu itself.
TORCH_LIBRARY_FRAGMENT(orrery, library)
{
    library.def("bias_gelu(Tensor x, Tensor bias, str approximate) -> Tensor", biasGelu);
}

bool isOutput(const graph::GraphData& data, graph::ValueId id)
{
    return std::any_of(data.body.outputs.begin(), data.body.outputs.end(),
                       [&](const auto& each) { return !each.isConstant() && each.value == id; }) ||
           std::any_of(data.bufferUpdates.begin(), data.bufferUpdates.end(), [&](const auto& each) { return each.value == id; });
}

/// Which operand of an `add` is a bias; -1: none.
int biasOperand(const graph::Graph& graph, const graph::Node& add)
{
    if (add.op != "aten::add" || add.overload != "Tensor" || add.inputs.size() != 3 || !add.inputs[2].isConstant() ||
        !add.inputs[2].constant.isInt() || add.inputs[2].constant.toInt() != 1)
        return -1;
    for (const int i : {1, 0}) {
        const auto* parameter = add.inputs[std::size_t(i)].isConstant() ? nullptr : graph.parameterOf(add.inputs[std::size_t(i)].value);
        const auto& other = add.inputs[std::size_t(1 - i)];
        if (parameter && parameter->shape.size() == 1 && at::isFloatingType(parameter->dtype) && !other.isConstant() &&
            !graph.parameterOf(other.value))
            return i;
    }
    return -1;
}

}  // namespace

at::Tensor biasGelu(const at::Tensor& x, const at::Tensor& bias, c10::string_view approximate)
{
    checkOperands(x, bias);
    return BiasGelu::apply(x, bias, std::string(approximate));
}

FusedGraph fuseBiasGelu(const graph::GraphPtr& source)
{
    graph::GraphData data = source->data();
    std::map<graph::ValueId, std::size_t> adds;
    std::vector<bool> gone(data.body.nodes.size(), false);
    FusedGraph out;
    for (std::size_t i = 0; i < data.body.nodes.size(); ++i) {
        graph::Node& node = data.body.nodes[i];
        if (biasOperand(*source, node) >= 0 && source->users(node.outputs[0]).size() == 1 && !isOutput(data, node.outputs[0]))
            adds[node.outputs[0]] = i;
        const auto before = node.op == "aten::gelu" && !node.inputs[0].isConstant() ? adds.find(node.inputs[0].value) : adds.end();
        if (before == adds.end() || !node.inputs[1].isConstant())
            continue;
        const graph::Node& add = data.body.nodes[before->second];
        const auto bias = std::size_t(biasOperand(*source, add));
        node.op = "orrery::bias_gelu";
        node.overload.clear();
        node.inputs = {add.inputs[1 - bias], add.inputs[bias], node.inputs[1]};
        gone[before->second] = true;
        out.fused.push_back(node.name);
    }
    for (std::size_t i = data.body.nodes.size(); i-- > 0;)
        if (gone[i])
            data.body.nodes.erase(data.body.nodes.begin() + std::ptrdiff_t(i));
    out.graph = out.fused.empty() ? source : std::make_shared<const graph::Graph>(std::move(data));
    return out;
}

}  // namespace orrery::debug
