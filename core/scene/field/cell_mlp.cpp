// A grid of small networks: samples sorted by cell, each cell's in blocks through its own network.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <core/kernels/parallel.h>

#include "checks.h"
#include "field.h"
#include "small_networks.h"

namespace orrery::scene {
namespace {

/// The samples in the order of their cells, those of a cell in their own.
struct Order {
    std::vector<std::int64_t> samples, begins;  // those of cell c are samples[begins[c]] .. samples[begins[c + 1]]

    Order(const at::Tensor& cellsIn, std::int64_t count) : samples(std::size_t(cellsIn.numel())), begins(std::size_t(count) + 1)
    {
        const std::int64_t* const cells = cellsIn.data_ptr<std::int64_t>();
        for (std::int64_t i = 0; i < cellsIn.numel(); ++i) {
            if (cells[i] < 0 || cells[i] >= count)
                throw core::ShapeError(fmt::format("cell_mlp: expected cells from 0 to {}, got {} at sample {}", count - 1, cells[i], i));
            ++begins[std::size_t(cells[i]) + 1];
        }
        std::partial_sum(begins.begin(), begins.end(), begins.begin());
        std::vector<std::int64_t> next(begins.begin(), begins.end() - 1);
        for (std::int64_t i = 0; i < cellsIn.numel(); ++i)
            samples[std::size_t(next[std::size_t(cells[i])]++)] = i;
    }
    std::int64_t cells() const { return std::int64_t(begins.size()) - 1; }
    std::int64_t total() const { return std::int64_t(samples.size()); }
    /// The first cell whose samples begin at or after `sample`.
    std::int64_t cellFrom(std::int64_t sample) const { return std::lower_bound(begins.begin(), begins.end(), sample) - begins.begin(); }
};

/// At most kRows samples of one cell.
struct Block {
    std::int64_t cell = 0, first = 0, rows = 0;
};

std::vector<Block> blocksOf(const Order& order, std::int64_t fromCell, std::int64_t toCell)
{
    std::vector<Block> out;
    for (std::int64_t c = fromCell; c < toCell; ++c)
        for (std::int64_t first = order.begins[std::size_t(c)]; first < order.begins[std::size_t(c) + 1]; first += kRows)
            out.push_back({c, first, std::min(kRows, order.begins[std::size_t(c) + 1] - first)});
    return out;
}

void gather(const float* from, const std::int64_t* rows, std::int64_t count, std::int64_t width, float* to)
{
    for (std::int64_t i = 0; i < count; ++i)
        std::copy_n(from + rows[i] * width, width, to + i * width);
}

void scatter(const float* from, const std::int64_t* rows, std::int64_t count, std::int64_t width, float* to)
{
    for (std::int64_t i = 0; i < count; ++i)
        std::copy_n(from + i * width, width, to + rows[i] * width);
}

/// The networks of all cells, one of which is unpacked at a time: one for each thread.
class CellNetwork {
public:
    CellNetwork(const std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& biases, bool forBackward)
        : m_weights(weights), m_biases(biases), m_net(widthsOf(weights)), m_memory(at::zeros({m_net.memory()})),
          m_in(std::size_t(kRows * m_net.in())), m_out(std::size_t(kRows * m_net.out()))
    {
        for (SmallLayer& layer : m_net.layers) {
            m_copies.push_back(at::zeros({layer.in, layer.outPadded}));
            layer.byInput = m_copies.back().data_ptr<float>();
            m_copies.push_back(at::zeros({layer.outPadded}));
            layer.bias = m_copies.back().data_ptr<float>();
            m_copies.push_back(forBackward ? at::zeros({layer.out, layer.inPadded}) : at::Tensor());
            layer.byOutput = forBackward ? m_copies.back().data_ptr<float>() : nullptr;
        }
    }
    const SmallNetwork& net() const { return m_net; }
    float* memory() { return m_memory.data_ptr<float>(); }
    /// One block's inputs, and its outputs or their gradients.
    float* in() { return m_in.data(); }
    float* out() { return m_out.data(); }

    void unpack(std::int64_t cell)
    {
        if (cell == m_cell)
            return;
        m_cell = cell;
        for (std::size_t l = 0; l < m_net.layers.size(); ++l) {
            const SmallLayer& layer = m_net.layers[l];
            const float* const weight = m_weights[l].data_ptr<float>() + cell * layer.in * layer.out;
            float* const turned = m_copies[3 * l].data_ptr<float>();
            for (std::int64_t o = 0; o < layer.out; ++o)
                for (std::int64_t i = 0; i < layer.in; ++i)
                    turned[i * layer.outPadded + o] = weight[o * layer.in + i];
            std::copy_n(m_biases[l].data_ptr<float>() + cell * layer.out, layer.out, m_copies[3 * l + 1].data_ptr<float>());
            if (layer.byOutput)
                copyRows(weight, layer.in, m_copies[3 * l + 2].data_ptr<float>(), layer.inPadded, layer.out, layer.in);
        }
    }

private:
    const std::vector<at::Tensor>&m_weights, &m_biases;
    SmallNetwork m_net;
    std::vector<at::Tensor> m_copies;  // three a layer: [in, outPadded], the bias, [out, inPadded]
    at::Tensor m_memory;
    std::vector<float> m_in, m_out;
    std::int64_t m_cell = -1;
};

template <kernels::InstructionSet set>
struct CellForward {
    ORRERY_KERNEL static void run(CellNetwork* network, std::int64_t rows)
    {
        forwardBlock<set>(network->net(), network->in(), rows, network->out(), network->memory());
    }
};

template <kernels::InstructionSet set>
struct CellBackward {
    ORRERY_KERNEL static void run(CellNetwork* network, std::int64_t rows, const BlockGradients& gradients)
    {
        backwardBlock<set>(network->net(), network->in(), rows, gradients, network->memory());
    }
};

/// Gradients of x (or undefined) and of all cells' weights and biases.
struct CellGradients {
    at::Tensor x;
    std::vector<at::Tensor> weights, biases;

    /// What one cell's blocks have summed up: each cell is written once.
    void put(const SmallNetwork& net, std::int64_t cell, const float* weightSums, const float* biasSums) const
    {
        for (std::size_t l = 0; l < net.layers.size(); ++l) {
            const SmallLayer& layer = net.layers[l];
            copyRows(weightSums + layer.offset, layer.inPadded, weights[l].data_ptr<float>() + cell * layer.in * layer.out, layer.in, layer.out,
                     layer.in);
            std::copy_n(biasSums + layer.biasOffset, layer.out, biases[l].data_ptr<float>() + cell * layer.out);
        }
    }
};

/// The backward pass of some blocks, whole cells in their order.
void backwardCells(CellNetwork& network, const Order& order, const std::vector<Block>& blocks, const at::Tensor& x, const at::Tensor& gradient,
                   const CellGradients& to)
{
    const SmallNetwork& net = network.net();
    std::vector<float> weightSums(std::size_t(net.weights)), biasSums(std::size_t(net.biases));
    std::vector<float> dx(to.x.defined() ? std::size_t(kRows * net.in()) : 0);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        const Block& block = blocks[b];
        const std::int64_t* const rows = order.samples.data() + block.first;
        network.unpack(block.cell);
        gather(x.data_ptr<float>(), rows, block.rows, net.in(), network.in());
        gather(gradient.data_ptr<float>(), rows, block.rows, net.out(), network.out());
        kernels::runShapedOnThisMachine<CellBackward>(
            &network, block.rows, BlockGradients{network.out(), dx.empty() ? nullptr : dx.data(), weightSums.data(), biasSums.data()});
        if (!dx.empty())
            scatter(dx.data(), rows, block.rows, net.in(), to.x.data_ptr<float>());
        if (b + 1 == blocks.size() || blocks[b + 1].cell != block.cell) {
            to.put(net, block.cell, weightSums.data(), biasSums.data());
            std::fill(weightSums.begin(), weightSums.end(), 0.0f);
            std::fill(biasSums.begin(), biasSums.end(), 0.0f);
        }
    }
}

/// Contiguous weights and biases that fit together and to x.
void check(const at::Tensor& x, std::vector<at::Tensor>& weights, std::vector<at::Tensor>& biases)
{
    if (weights.empty() || weights.size() != biases.size())
        throw core::ShapeError(
            fmt::format("cell_mlp: expected as many biases as weights and at least one, got {} and {}", biases.size(), weights.size()));
    std::int64_t width = x.size(1), cells = -1;
    for (std::size_t l = 0; l < weights.size(); ++l) {
        weights[l] = floats(weights[l], "cell_mlp: weights [cell, out, in]", {cells, -1, width});
        cells = weights[l].size(0);
        width = weights[l].size(1);
        biases[l] = floats(biases[l], "cell_mlp: biases [cell, out]", {cells, width});
    }
}

std::vector<at::Tensor> zerosLike(const std::vector<at::Tensor>& tensors)
{
    std::vector<at::Tensor> out;
    for (const at::Tensor& tensor : tensors)
        out.push_back(at::zeros_like(tensor));
    return out;
}

class CellMlp : public torch::autograd::Function<CellMlp> {
public:
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& xIn, const at::Tensor& cellsIn, at::TensorList weightsIn,
                              at::TensorList biasesIn)
    {
        const at::Tensor x = floats(xIn, "cell_mlp: x", {-1, -1}), cells = integers(cellsIn, "cell_mlp: cells");
        if (cells.numel() != x.size(0))
            throw core::ShapeError(fmt::format("cell_mlp: expected a cell for each of the {} samples, got {}", x.size(0), cells.numel()));
        std::vector<at::Tensor> weights = weightsIn.vec(), biases = biasesIn.vec();
        check(x, weights, biases);
        const Order order(cells, weights[0].size(0));
        const std::vector<Block> blocks = blocksOf(order, 0, order.cells());
        at::Tensor out = at::empty({x.size(0), weights.back().size(1)});
        kernels::parallelFor(0, std::int64_t(blocks.size()), 1, [&](std::int64_t begin, std::int64_t end) {
            CellNetwork network(weights, biases, false);
            for (std::int64_t b = begin; b < end; ++b) {
                const Block& block = blocks[std::size_t(b)];
                const std::int64_t* const rows = order.samples.data() + block.first;
                network.unpack(block.cell);
                gather(x.data_ptr<float>(), rows, block.rows, x.size(1), network.in());
                kernels::runShapedOnThisMachine<CellForward>(&network, block.rows);
                scatter(network.out(), rows, block.rows, out.size(1), out.data_ptr<float>());
            }
        });
        torch::autograd::variable_list saved{x, cells};
        saved.insert(saved.end(), weights.begin(), weights.end());
        saved.insert(saved.end(), biases.begin(), biases.end());
        context->save_for_backward(saved);
        context->saved_data["input"] = xIn.requires_grad();
        return out;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients)
    {
        const auto saved = context->get_saved_variables();
        const at::Tensor &x = saved[0], &cells = saved[1];
        const auto layers = std::ptrdiff_t(saved.size() - 2) / 2;
        const std::vector<at::Tensor> weights(saved.begin() + 2, saved.begin() + 2 + layers), biases(saved.begin() + 2 + layers, saved.end());
        const at::Tensor gradient = gradients[0].contiguous();
        const Order order(cells, weights[0].size(0));
        const CellGradients to{context->saved_data["input"].toBool() ? at::empty_like(x) : at::Tensor(), zerosLike(weights), zerosLike(biases)};
        // Shares of whole cells with about as many samples each: no sum is shared, so the number of threads changes nothing.
        const std::int64_t shares = std::max(1, at::get_num_threads());
        kernels::parallelFor(0, shares, 1, [&](std::int64_t begin, std::int64_t end) {
            CellNetwork network(weights, biases, true);
            const auto cellOf = [&](std::int64_t share) {
                return share == shares ? order.cells() : std::min(order.cells(), order.cellFrom(share * order.total() / shares));
            };
            backwardCells(network, order, blocksOf(order, cellOf(begin), cellOf(end)), x, gradient, to);
        });
        torch::autograd::variable_list out{to.x, at::Tensor()};
        out.insert(out.end(), to.weights.begin(), to.weights.end());
        out.insert(out.end(), to.biases.begin(), to.biases.end());
        return out;
    }
};

/// On a GPU: each sample's matrices are gathered, some thousand samples at a time.
at::Tensor gatheredCellMlp(const at::Tensor& x, const at::Tensor& cells, const std::vector<at::Tensor>& weights,
                           const std::vector<at::Tensor>& biases)
{
    constexpr std::int64_t kGathered = 1 << 14;
    std::vector<at::Tensor> parts;
    for (std::int64_t first = 0; first == 0 || first < x.size(0); first += kGathered) {
        const std::int64_t count = std::min(kGathered, x.size(0) - first);
        const at::Tensor which = cells.narrow(0, first, count);
        at::Tensor out = x.narrow(0, first, count).unsqueeze(2);
        for (std::size_t l = 0; l < weights.size(); ++l)
            out = biases[l].index_select(0, which).unsqueeze(2) + weights[l].index_select(0, which).bmm(l == 0 ? out : out.relu());
        parts.push_back(out.squeeze(2));
    }
    return at::cat(parts);
}

}  // namespace

CellPlaces cellPlaces(const at::Tensor& positionsIn, std::int64_t grid)
{
    if (positionsIn.is_cuda()) {
        const CellPlaces places = cellPlaces(positionsIn.cpu(), grid);
        return {places.cells.to(positionsIn.device()), places.local.to(positionsIn.device())};
    }
    const at::Tensor positions = floats(positionsIn, "cell_places: positions", {-1, 3});
    if (grid < 1 || grid > 512)
        throw core::ShapeError(fmt::format("cell_places: expected 1 to 512 cells an edge, got {}", grid));
    const std::int64_t count = positions.size(0);
    CellPlaces out{at::empty({count}, at::kLong), at::empty({count, 3})};
    const float* const from = positions.data_ptr<float>();
    std::int64_t* const cells = out.cells.data_ptr<std::int64_t>();
    float* const local = out.local.data_ptr<float>();
    kernels::parallelFor(0, count, 4096, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            std::int64_t cell = 0;
            for (int a = 0; a < 3; ++a) {
                // A NaN stays in its local place, and lies in the first cell.
                const float scaled = (from[3 * i + a] + 0.5f) * float(grid);
                const std::int64_t part = scaled > 0 ? std::min(std::int64_t(std::min(scaled, 1e6f)), grid - 1) : 0;
                cell = cell * grid + part;
                local[3 * i + a] = 2 * (scaled - float(part)) - 1;
            }
            cells[i] = cell;
        }
    });
    return out;
}

at::Tensor cellMlp(const at::Tensor& x, const at::Tensor& cells, const std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& biases)
{
    if (x.is_cuda())
        return gatheredCellMlp(x, cells, weights, biases);
    return CellMlp::apply(x, cells, at::TensorList(weights), at::TensorList(biases));
}

}  // namespace orrery::scene
