// Small networks without biases, block by block.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "checks.h"
#include "cuda_field.h"
#include "field.h"
#include "small_networks.h"

namespace orrery::scene {
namespace {

/// Sizes and weights of the layers, and memory for the values of one block.
class Network {
public:
    explicit Network(const std::vector<at::Tensor>& weights) : m_weights(weights)
    {
        for (const at::Tensor& weight : weights)
            m_widest = std::max({m_widest, weight.size(0), weight.size(1)});
    }
    std::size_t layers() const { return m_weights.size(); }
    std::int64_t in(std::size_t layer) const { return m_weights[layer].size(1); }
    std::int64_t out(std::size_t layer) const { return m_weights[layer].size(0); }
    std::int64_t widest() const { return m_widest; }
    const float* weight(std::size_t layer) const { return m_weights[layer].data_ptr<float>(); }
    /// Hidden values of a block: layer l's begin at hidden + l * kBlock * widest.
    void forward(const float* x, std::int64_t rows, float* hidden, std::size_t upTo, float* result) const
    {
        for (std::size_t l = 0; l < upTo; ++l) {
            const bool last = l + 1 == layers();
            float* const to = last ? result : hidden + std::int64_t(l) * kBlock * m_widest;
            product(false, true, rows, out(l), in(l), l == 0 ? x : hidden + (std::int64_t(l) - 1) * kBlock * m_widest, weight(l), false, to);
            if (!last)
                rectify(to, rows * out(l));
        }
    }
    std::int64_t memory() const { return std::int64_t(layers()) * kBlock * m_widest; }

private:
    const std::vector<at::Tensor>& m_weights;
    std::int64_t m_widest = 1;
};

/// Blocks from..to of `rows` rows: f(first row, rows).
template <class Work>
void forBlocks(std::int64_t from, std::int64_t to, std::int64_t rows, const Work& work)
{
    for (std::int64_t block = from; block < to; ++block)
        work(block * kBlock, std::min(kBlock, rows - block * kBlock));
}

/// The backward pass of the blocks that one thread has: gradients of x, and of the weights one after another.
void backwardBlocks(const Network& net, std::int64_t from, std::int64_t to, const at::Tensor& x, const at::Tensor& gradient, float* dx, float* dw)
{
    const std::int64_t rows = x.size(0), wide = net.widest();
    const std::size_t layers = net.layers();
    std::vector<float> hidden(static_cast<std::size_t>(net.memory())), ahead(static_cast<std::size_t>(kBlock * wide)), behind(ahead.size());
    forBlocks(from, to, rows, [&](std::int64_t first, std::int64_t count) {
        const float* const in = x.data_ptr<float>() + first * net.in(0);
        net.forward(in, count, hidden.data(), layers - 1, nullptr);
        const float* g = gradient.data_ptr<float>() + first * net.out(layers - 1);
        float* weights = dw;
        for (std::size_t l = 0; l < layers; ++l)
            weights += net.in(l)*net.out(l);
        for (std::size_t l = layers; l-- > 0;) {
            weights -= net.in(l)*net.out(l);
            const float* const values = l == 0 ? in : hidden.data() + (std::int64_t(l) - 1) * kBlock * wide;
            product(true, false, net.out(l), net.in(l), count, g, values, true, weights);
            if (l == 0 && !dx)
                break;
            float* const to0 = l == 0 ? dx + first * net.in(0) : behind.data();
            product(false, false, count, net.in(l), net.out(l), g, net.weight(l), false, to0);
            if (l == 0)
                break;
            mask(behind.data(), values, count * net.in(l));
            std::swap(ahead, behind);
            g = ahead.data();
        }
    });
}

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
        const Network net(weights);
        at::Tensor out = at::empty({x.size(0), net.out(net.layers() - 1)});
        const float* const from = x.data_ptr<float>();
        float* const to = out.data_ptr<float>();
        at::parallel_for(0, (x.size(0) + kBlock - 1) / kBlock, 1, [&](std::int64_t begin, std::int64_t end) {
            const at::NoGradGuard noGrad;
            std::vector<float> hidden(static_cast<std::size_t>(net.memory()));
            forBlocks(begin, end, x.size(0), [&](std::int64_t first, std::int64_t rows) {
                net.forward(from + first * net.in(0), rows, hidden.data(), net.layers(), to + first * net.out(net.layers() - 1));
            });
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
        const Network net(weights);
        std::int64_t size = 0;
        for (const at::Tensor& weight : weights)
            size += weight.numel();
        const bool wantsInput = context->saved_data["input"].toBool();
        at::Tensor dx = wantsInput ? at::empty_like(x) : at::Tensor();
        // One sum a share of the blocks; the shares depend on the number of threads alone, and are added in their order.
        const std::int64_t blocks = (x.size(0) + kBlock - 1) / kBlock,
                           shares = std::max<std::int64_t>(1, std::min<std::int64_t>(blocks, at::get_num_threads()));
        at::Tensor sums = at::zeros({shares, size});
        at::parallel_for(0, shares, 1, [&](std::int64_t begin, std::int64_t end) {
            const at::NoGradGuard noGrad;
            for (std::int64_t share = begin; share < end; ++share)
                backwardBlocks(net, share * blocks / shares, (share + 1) * blocks / shares, x, gradient, wantsInput ? dx.data_ptr<float>() : nullptr,
                               sums.data_ptr<float>() + share * size);
        });
        const at::Tensor total = sums.sum(0);
        torch::autograd::variable_list out{dx};
        std::int64_t at = 0;
        for (const at::Tensor& weight : weights) {
            out.push_back(total.narrow(0, at, weight.numel()).view(weight.sizes()).clone());
            at += weight.numel();
        }
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
