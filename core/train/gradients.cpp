#include "gradients.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>

#include <core/kernels/parallel.h>

namespace orrery::train {
namespace {

constexpr std::int64_t kBlock = 16384;

struct Block {
    const float* data;
    std::int64_t count;
};

// Eight independent sums let the compiler use vector registers without changing the order from run to run.
double sumOfSquares(const Block& block)
{
    double sums[8] = {};
    std::int64_t i = 0;
    for (; i + 8 <= block.count; i += 8)
        for (int lane = 0; lane < 8; ++lane)
            sums[lane] += double(block.data[i + lane]) * double(block.data[i + lane]);
    for (; i < block.count; ++i)
        sums[0] += double(block.data[i]) * double(block.data[i]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

double sumOfBlocks(const std::vector<Block>& blocks)
{
    std::vector<double> sums(blocks.size());
    const auto run = [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; ++i)
            sums[std::size_t(i)] = sumOfSquares(blocks[std::size_t(i)]);
    };
    const auto count = std::int64_t(blocks.size());
    if (count < 64)
        run(0, count);
    else
        kernels::parallelFor(0, count, 4, run);
    double total = 0;
    for (const double sum : sums)
        total += sum;
    return total;
}

}  // namespace

double globalNorm(std::span<const at::Tensor> gradients)
{
    const at::NoGradGuard noGrad;
    std::vector<Block> blocks;
    std::vector<at::Tensor> kept;  // Contiguous copies live until the sums are done.
    double elsewhere = 0;
    for (const at::Tensor& gradient : gradients) {
        if (!gradient.defined())
            continue;
        if (gradient.scalar_type() != at::kFloat || !gradient.device().is_cpu()) {
            elsewhere += gradient.detach().to(at::kDouble).square().sum().item<double>();
            continue;
        }
        kept.push_back(gradient.contiguous());
        const float* data = kept.back().data_ptr<float>();
        for (std::int64_t begin = 0, size = kept.back().numel(); begin < size; begin += kBlock)
            blocks.push_back({data + begin, std::min(kBlock, size - begin)});
    }
    return std::sqrt(elsewhere + sumOfBlocks(blocks));
}

double clipFactor(double norm, double maxNorm)
{
    return std::min(1.0, maxNorm / (norm + 1e-6));
}

void accumulate(std::vector<at::Tensor>& total, std::vector<at::Tensor> add)
{
    const at::NoGradGuard noGrad;
    if (total.empty()) {
        total = std::move(add);
        return;
    }
    for (std::size_t i = 0; i < total.size(); ++i) {
        if (!add[i].defined())
            continue;
        if (total[i].defined())
            total[i].add_(add[i]);
        else
            total[i] = add[i];
    }
}

}  // namespace orrery::train
