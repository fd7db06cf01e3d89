#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "small_product.h"

/// Internal to core/scene/field: what networks that are computed in blocks of samples are made of.
namespace orrery::scene {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in small_product.h

constexpr std::int64_t kRows = 64;  // samples whose values of a layer, 64 wide, are 16 KiB: those of two layers lie in the first cache

/// Sizes of a layer, and its weights both ways round, padded to whole vectors.
struct SmallLayer {
    std::int64_t in = 0, out = 0, inPadded = 0, outPadded = 0;
    std::int64_t offset = 0, biasOffset = 0;  ///< of its gradients among those of all layers
    const float* byInput = nullptr;           ///< [in, outPadded]
    const float* byOutput = nullptr;          ///< [out, inPadded]; the backward pass alone reads it
    const float* bias = nullptr;              ///< [outPadded], or null
};

/// Of the input and of each layer, from weights [.., out, in].
inline std::vector<std::int64_t> widthsOf(const std::vector<at::Tensor>& weights)
{
    std::vector<std::int64_t> out{weights[0].size(-1)};
    for (const at::Tensor& weight : weights)
        out.push_back(weight.size(-2));
    return out;
}

/// ReLU between layers, none after the last.
struct SmallNetwork {
    std::vector<SmallLayer> layers;
    std::int64_t weights = 0, biases = 0;  ///< of padded gradients [out, inPadded] and [out], layer after layer
    std::int64_t blockSize = 0;            ///< of the padded values of kRows samples in the widest layer

    /// @param widths  Of the input and of each layer.
    explicit SmallNetwork(const std::vector<std::int64_t>& widths)
    {
        for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
            SmallLayer layer;
            layer.in = widths[l];
            layer.out = widths[l + 1];
            layer.inPadded = padded(layer.in);
            layer.outPadded = padded(layer.out);
            layer.offset = weights;
            layer.biasOffset = biases;
            weights += layer.out * layer.inPadded;
            biases += layer.out;
            blockSize = std::max({blockSize, kRows * layer.inPadded, kRows * layer.outPadded});
            layers.push_back(layer);
        }
    }
    std::int64_t in() const { return layers.front().in; }
    std::int64_t out() const { return layers.back().out; }
    /// Memory for the values of one block: those of each hidden layer, and three more. What fills rows must be finite: zeros at first.
    std::int64_t memory() const { return (std::int64_t(layers.size()) + 2) * blockSize; }
};

/// Rows of `width` values between matrices of other strides.
inline void copyRows(const float* from, std::int64_t fromStride, float* to, std::int64_t toStride, std::int64_t rows, std::int64_t width)
{
    for (std::int64_t row = 0; row < rows; ++row)
        std::copy_n(from + row * fromStride, width, to + row * toStride);
}

/// Hidden values of at most kRows samples x [rows, in]: layer l's lie at memory + l * blockSize, [rows, outPadded].
template <kernels::InstructionSet set>
ORRERY_KERNEL void hiddenValues(const SmallNetwork& net, const float* x, std::int64_t rows, float* memory)
{
    std::int64_t stride = net.in();
    for (std::size_t l = 0; l + 1 < net.layers.size(); ++l) {
        const SmallLayer& layer = net.layers[l];
        float* const to = memory + std::int64_t(l) * net.blockSize;
        smallProduct<set, After::Rectified>(
            {rows, layer.outPadded / kernels::kLanes, layer.in, x, stride, 1, layer.byInput, to, layer.bias, nullptr});
        x = to;
        stride = layer.outPadded;
    }
}

/// out [rows, out] of at most kRows samples x [rows, in].
template <kernels::InstructionSet set>
ORRERY_KERNEL void forwardBlock(const SmallNetwork& net, const float* x, std::int64_t rows, float* out, float* memory)
{
    const SmallLayer& last = net.layers.back();
    const auto hidden = std::int64_t(net.layers.size()) - 1;
    hiddenValues<set>(net, x, rows, memory);
    const float* const from = hidden == 0 ? x : memory + (hidden - 1) * net.blockSize;
    float* const to = last.out == last.outPadded ? out : memory + hidden * net.blockSize;
    smallProduct<set, After::Nothing>(
        {rows, last.outPadded / kernels::kLanes, last.in, from, hidden == 0 ? last.in : last.inPadded, 1, last.byInput, to, last.bias, nullptr});
    if (to != out)
        copyRows(to, last.outPadded, out, last.out, rows, last.out);
}

/// What the backward pass of one block reads and writes.
struct BlockGradients {
    const float* out = nullptr;                   ///< [rows, out]
    float* x = nullptr;                           ///< [rows, in], or null
    float *weights = nullptr, *biases = nullptr;  ///< are added to; biases may be null
};

/// The column sums of g are added to `sums`.
ORRERY_KERNEL void addColumnSums(const float* g, std::int64_t stride, std::int64_t rows, std::int64_t columns, float* sums)
{
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t column = 0; column < columns; ++column)
            sums[column] += g[row * stride + column];
}

/// Gradients of at most kRows samples x [rows, in]; hidden values are computed once more.
template <kernels::InstructionSet set>
ORRERY_KERNEL void backwardBlock(const SmallNetwork& net, const float* x, std::int64_t rows, const BlockGradients& to, float* memory)
{
    float* spare[3];
    for (std::int64_t i = 0; i < 3; ++i)
        spare[i] = memory + (std::int64_t(net.layers.size()) - 1 + i) * net.blockSize;
    hiddenValues<set>(net, x, rows, memory);
    if (const SmallLayer& first = net.layers[0]; first.in != first.inPadded) {
        copyRows(x, first.in, spare[2], first.inPadded, rows, first.in);
        x = spare[2];
    }
    const float* g = to.out;
    std::int64_t stride = net.out();
    for (std::size_t l = net.layers.size(); l-- > 0;) {
        const SmallLayer& layer = net.layers[l];
        const std::int64_t vectors = layer.inPadded / kernels::kLanes;
        const float* const values = l == 0 ? x : memory + (std::int64_t(l) - 1) * net.blockSize;
        smallProduct<set, After::Added>({layer.out, vectors, rows, g, 1, stride, values, to.weights + layer.offset, nullptr, nullptr});
        if (to.biases)
            addColumnSums(g, stride, rows, layer.out, to.biases + layer.biasOffset);
        float* const behind = spare[l % 2];
        if (l > 0) {
            smallProduct<set, After::Masked>({rows, vectors, layer.out, g, stride, 1, layer.byOutput, behind, nullptr, values});
            g = behind;
            stride = layer.inPadded;
        } else if (to.x) {
            float* const dx = layer.in == layer.inPadded ? to.x : behind;
            smallProduct<set, After::Nothing>({rows, vectors, layer.out, g, stride, 1, layer.byOutput, dx, nullptr, nullptr});
            if (dx != to.x)
                copyRows(dx, layer.inPadded, to.x, layer.in, rows, layer.in);
        }
    }
}

#pragma GCC diagnostic pop

}  // namespace orrery::scene
