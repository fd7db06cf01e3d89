// A grid of small networks: samples sorted by cell, each cell's in blocks through its own network.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

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

/// At most kBlock samples of one cell.
struct Block {
    std::int64_t cell = 0, first = 0, rows = 0;
};

std::vector<Block> blocksOf(const Order& order, std::int64_t fromCell, std::int64_t toCell)
{
    std::vector<Block> out;
    for (std::int64_t c = fromCell; c < toCell; ++c)
        for (std::int64_t first = order.begins[std::size_t(c)]; first < order.begins[std::size_t(c) + 1]; first += kBlock)
            out.push_back({c, first, std::min(kBlock, order.begins[std::size_t(c) + 1] - first)});
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

void addBias(float* values, const float* bias, std::int64_t rows, std::int64_t width, bool rectified)
{
    const float least = rectified ? 0.0f : -std::numeric_limits<float>::infinity();
    for (std::int64_t i = 0; i < rows; ++i, values += width)
        for (std::int64_t o = 0; o < width; ++o)
            values[o] = std::max(values[o] + bias[o], least);
}

/// The networks of all cells; values of a block are written one layer after another into `hidden`.
class Networks {
public:
    Networks(std::vector<at::Tensor> weights, std::vector<at::Tensor> biases) : m_weights(std::move(weights)), m_biases(std::move(biases))
    {
        for (const at::Tensor& weight : m_weights)
            m_widest = std::max({m_widest, weight.size(1), weight.size(2)});
    }
    std::size_t layers() const { return m_weights.size(); }
    std::int64_t in(std::size_t l) const { return m_weights[l].size(2); }
    std::int64_t out(std::size_t l) const { return m_weights[l].size(1); }
    std::int64_t widest() const { return m_widest; }
    std::int64_t memory() const { return std::int64_t(layers() + 1) * kBlock * m_widest; }
    const float* weight(std::size_t l, std::int64_t cell) const { return m_weights[l].data_ptr<float>() + cell * in(l)*out(l); }
    /// Input of layer l of a block, whose first input lies at hidden: output of layer l - 1, rectified.
    float* values(float* hidden, std::size_t l) const { return hidden + std::int64_t(l) * kBlock * m_widest; }
    void forward(const Block& block, float* hidden, std::size_t upTo) const
    {
        for (std::size_t l = 0; l < upTo; ++l) {
            const float* const bias = m_biases[l].data_ptr<float>() + block.cell * out(l);
            float* const to = values(hidden, l + 1);
            product(false, true, block.rows, out(l), in(l), values(hidden, l), weight(l, block.cell), false, to);
            addBias(to, bias, block.rows, out(l), l + 1 < layers());
        }
    }

private:
    std::vector<at::Tensor> m_weights, m_biases;
    std::int64_t m_widest = 1;
};

/// Where one share of the backward pass writes.
struct Gradients {
    float* x = nullptr;  // or null
    std::vector<float*> weights, biases;
};

/// Gradients of one block; a cell's blocks are visited by one thread, in their order.
void backwardBlock(const Networks& nets, const Block& block, float* hidden, std::vector<float>& ahead, std::vector<float>& behind,
                   const std::int64_t* rows, const Gradients& to)
{
    nets.forward(block, hidden, nets.layers() - 1);
    for (std::size_t l = nets.layers(); l-- > 0;) {
        const std::int64_t in = nets.in(l), out = nets.out(l);
        float* const bias = to.biases[l] + block.cell * out;
        for (std::int64_t i = 0; i < block.rows; ++i)
            for (std::int64_t o = 0; o < out; ++o)
                bias[o] += ahead[std::size_t(i * out + o)];
        product(true, false, out, in, block.rows, ahead.data(), nets.values(hidden, l), true, to.weights[l] + block.cell * in * out);
        if (l == 0 && !to.x)
            return;
        product(false, false, block.rows, in, out, ahead.data(), nets.weight(l, block.cell), false, behind.data());
        if (l > 0)
            mask(behind.data(), nets.values(hidden, l), block.rows * in);
        std::swap(ahead, behind);
    }
    scatter(ahead.data(), rows, block.rows, nets.in(0), to.x);
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

std::vector<float*> pointersOf(const std::vector<at::Tensor>& tensors)
{
    std::vector<float*> out;
    for (const at::Tensor& tensor : tensors)
        out.push_back(tensor.data_ptr<float>());
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
        const Networks nets(weights, biases);
        const Order order(cells, weights[0].size(0));
        const std::vector<Block> blocks = blocksOf(order, 0, order.cells());
        at::Tensor out = at::empty({x.size(0), nets.out(nets.layers() - 1)});
        at::parallel_for(0, std::int64_t(blocks.size()), 1, [&](std::int64_t begin, std::int64_t end) {
            const at::NoGradGuard noGrad;
            std::vector<float> hidden(static_cast<std::size_t>(nets.memory()));
            for (std::int64_t b = begin; b < end; ++b) {
                const Block& block = blocks[std::size_t(b)];
                const std::int64_t* const rows = order.samples.data() + block.first;
                gather(x.data_ptr<float>(), rows, block.rows, nets.in(0), hidden.data());
                nets.forward(block, hidden.data(), nets.layers());
                scatter(nets.values(hidden.data(), nets.layers()), rows, block.rows, out.size(1), out.data_ptr<float>());
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
        const Networks nets(weights, biases);
        const Order order(cells, weights[0].size(0));
        const std::vector<at::Tensor> dw = zerosLike(weights), db = zerosLike(biases);
        const at::Tensor dx = context->saved_data["input"].toBool() ? at::empty_like(x) : at::Tensor();
        const Gradients to{dx.defined() ? dx.data_ptr<float>() : nullptr, pointersOf(dw), pointersOf(db)};
        // Shares of whole cells with about as many samples each: no sum is shared, so the number of threads changes nothing.
        const std::int64_t shares = std::max(1, at::get_num_threads());
        at::parallel_for(0, shares, 1, [&](std::int64_t begin, std::int64_t end) {
            const at::NoGradGuard noGrad;
            std::vector<float> hidden(static_cast<std::size_t>(nets.memory())), ahead(std::size_t(kBlock * nets.widest())), behind(ahead.size());
            const auto cellOf = [&](std::int64_t share) {
                return share == shares ? order.cells() : std::min(order.cells(), order.cellFrom(share * order.total() / shares));
            };
            for (const Block& block : blocksOf(order, cellOf(begin), cellOf(end))) {
                const std::int64_t* const rows = order.samples.data() + block.first;
                gather(x.data_ptr<float>(), rows, block.rows, nets.in(0), hidden.data());
                gather(gradient.data_ptr<float>(), rows, block.rows, gradient.size(1), ahead.data());
                backwardBlock(nets, block, hidden.data(), ahead, behind, rows, to);
            }
        });
        torch::autograd::variable_list out{dx, at::Tensor()};
        out.insert(out.end(), dw.begin(), dw.end());
        out.insert(out.end(), db.begin(), db.end());
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
    at::parallel_for(0, count, 4096, [&](std::int64_t begin, std::int64_t end) {
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
