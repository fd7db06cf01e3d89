// Small networks without biases, block by block.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include <core/kernels/parallel.h>

#include "checks.h"
#include "cuda_field.h"
#include "field.h"
#include "small_networks.h"

#pragma GCC diagnostic ignored "-Wpsabi"

namespace orrery::scene {
namespace {

/// The network and padded copies of its weights.
struct FusedNetwork {
    SmallNetwork net;
    std::vector<at::Tensor> copies;

    explicit FusedNetwork(const std::vector<at::Tensor>& weights) : net(widthsOf(weights))
    {
        for (std::size_t l = 0; l < weights.size(); ++l) {
            SmallLayer& layer = net.layers[l];
            copies.push_back(at::constant_pad_nd(weights[l], {0, layer.inPadded - layer.in}).contiguous());
            layer.byOutput = copies.back().data_ptr<float>();
            copies.push_back(at::constant_pad_nd(weights[l].t(), {0, layer.outPadded - layer.out}).contiguous());
            layer.byInput = copies.back().data_ptr<float>();
        }
    }
};

/// A share of the blocks of kRows samples.
struct FusedShare {
    const SmallNetwork* net;
    std::int64_t rows, begin, end;  ///< samples in all; blocks
    const float* x;                 ///< [rows, in]
    float* memory;
    float* out;                ///< of the forward pass: [rows, out]
    BlockGradients gradients;  ///< of the backward pass, from the first sample on
};

template <kernels::InstructionSet set>
struct FusedForward {
    ORRERY_KERNEL static void run(const FusedShare& share)
    {
        for (std::int64_t first = share.begin * kRows; first < share.end * kRows; first += kRows)
            forwardBlock<set>(*share.net, share.x + first * share.net->in(), std::min(kRows, share.rows - first),
                              share.out + first * share.net->out(), share.memory);
    }
};

template <kernels::InstructionSet set>
struct FusedBackward {
    ORRERY_KERNEL static void run(const FusedShare& share)
    {
        for (std::int64_t first = share.begin * kRows; first < share.end * kRows; first += kRows) {
            BlockGradients block = share.gradients;
            block.out += first * share.net->out();
            if (block.x)
                block.x += first * share.net->in();
            backwardBlock<set>(*share.net, share.x + first * share.net->in(), std::min(kRows, share.rows - first), block, share.memory);
        }
    }
};

std::vector<at::Tensor> checkedWeights(const at::Tensor& x, const std::vector<at::Tensor>& weights)
{
    if (weights.empty())
        throw core::ShapeError("fused_mlp: expected at least one matrix of weights, got none");
    std::vector<at::Tensor> out;
    std::int64_t width = x.dim() == 2 ? x.size(1) : -1;
    for (const at::Tensor& weight : weights) {
        out.push_back(floats(weight, "fused_mlp: weights [out, in]", {-1, width}));
        requireOneDevice("fused_mlp", {x, out.back()});
        width = weight.size(0);
    }
    return out;
}

class FusedMlp : public torch::autograd::Function<FusedMlp> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& xIn, at::TensorList weightsIn)
    {
        const at::Tensor x = floats(xIn, "fused_mlp: x", {-1, -1});
        const auto weights = checkedWeights(x, weightsIn.vec());
        torch::autograd::variable_list saved{x};
        saved.insert(saved.end(), weights.begin(), weights.end());
        context->save_for_backward(saved);
        context->saved_data["input"] = xIn.requires_grad();
        if (x.is_cuda())
            return cuda_field::mlpForward(x, weights);
        const FusedNetwork network(weights);
        at::Tensor out = at::empty({x.size(0), network.net.out()});
        kernels::parallelFor(0, (x.size(0) + kRows - 1) / kRows, 1, [&](std::int64_t begin, std::int64_t end) {
            const at::Tensor memory = at::zeros({network.net.memory()});
            kernels::runShapedOnThisMachine<FusedForward>(
                FusedShare{&network.net, x.size(0), begin, end, x.data_ptr<float>(), memory.data_ptr<float>(), out.data_ptr<float>(), {}});
        });
        return out;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients)
    {
        const auto saved = context->get_saved_variables();
        const at::Tensor& x = saved[0];
        const std::vector<at::Tensor> weights(saved.begin() + 1, saved.end());
        const at::Tensor gradient = gradients[0].contiguous();
        if (x.is_cuda())
            return cuda_field::mlpBackward(x, weights, gradient, context->saved_data["input"].toBool());
        const FusedNetwork network(weights);
        const SmallNetwork& net = network.net;
        const at::Tensor dx = context->saved_data["input"].toBool() ? at::empty_like(x) : at::Tensor();
        // One sum a share of the blocks; the shares depend on the number of threads alone, and are added in their order.
        const std::int64_t blocks = (x.size(0) + kRows - 1) / kRows,
                           shares = std::max<std::int64_t>(1, std::min<std::int64_t>(blocks, at::get_num_threads()));
        const at::Tensor sums = at::zeros({shares, net.weights});
        kernels::parallelFor(0, shares, 1, [&](std::int64_t begin, std::int64_t end) {
            const at::Tensor memory = at::zeros({net.memory()});
            for (std::int64_t s = begin; s < end; ++s)
                kernels::runShapedOnThisMachine<FusedBackward>(
                    FusedShare{&net,
                               x.size(0),
                               s * blocks / shares,
                               (s + 1) * blocks / shares,
                               x.data_ptr<float>(),
                               memory.data_ptr<float>(),
                               nullptr,
                               {gradient.data_ptr<float>(), dx.defined() ? dx.data_ptr<float>() : nullptr, sums[s].data_ptr<float>(), nullptr}});
        });
        const at::Tensor total = sums.sum(0);
        torch::autograd::variable_list out{dx};
        for (const SmallLayer& layer : net.layers)
            out.push_back(total.narrow(0, layer.offset, layer.out * layer.inPadded).view({layer.out, layer.inPadded}).narrow(1, 0, layer.in).clone());
        return out;
    }
};

}  // namespace

at::Tensor fusedMlp(const at::Tensor& x, const std::vector<at::Tensor>& weights)
{
    // On a GPU, what does not fit into a block's shared memory is better off with libtorch's products.
    if (x.is_cuda() && !cuda_field::fits(x, checkedWeights(x, weights)))
        return reference::mlp(x, weights);
    return FusedMlp::apply(x, at::TensorList(weights));
}

}  // namespace orrery::scene
