#include "cuda_field.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/cuda/kernels.h>

namespace orrery::scene::cuda_field {
namespace {

int indexOf(const at::Tensor& tensor)
{
    return std::max(0, int(tensor.device().index()));
}

cuda::HashGrid hashGridOf(const std::vector<HashLevel>& levels, std::int64_t features)
{
    cuda::HashGrid grid;
    grid.levels = int(levels.size());
    grid.features = int(features);
    std::copy(levels.begin(), levels.end(), grid.level);
    return grid;
}

cuda::Mlp mlpOf(const at::Tensor& x, const std::vector<at::Tensor>& weights)
{
    cuda::Mlp mlp;
    mlp.layers = int(weights.size());
    if (weights.size() > std::size_t(cuda::kMaxLayers))
        return mlp;
    mlp.sizes[0] = int(x.size(1));
    for (std::size_t l = 0; l < weights.size(); ++l) {
        mlp.sizes[l + 1] = int(weights[l].size(0));
        mlp.weights[l] = weights[l].data_ptr<float>();
    }
    return mlp;
}

cuda::RayRows rayRowsOf(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const std::vector<double>& background)
{
    cuda::RayRows rows{density.data_ptr<float>(),
                       colour.data_ptr<float>(),
                       samples.distances.data_ptr<float>(),
                       samples.lengths.data_ptr<float>(),
                       samples.starts.data_ptr<std::int64_t>(),
                       samples.starts.numel() - 1,
                       {}};
    for (std::size_t a = 0; a < 3; ++a)
        rows.background[a] = float(background[a]);
    return rows;
}

const float* floatsOrNull(const at::Tensor& tensor)
{
    return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
}

}  // namespace

at::Tensor hashForward(const at::Tensor& positions, const at::Tensor& table, const std::vector<HashLevel>& levels)
{
    const auto& api = cuda::kernels("hash_encode");
    at::Tensor out = at::empty({positions.size(0), std::int64_t(levels.size()) * table.size(1)}, table.options());
    cuda::check("hash_encode", api.hashForward(indexOf(table), hashGridOf(levels, table.size(1)), positions.data_ptr<float>(), positions.size(0),
                                               table.data_ptr<float>(), out.data_ptr<float>()));
    return out;
}

at::Tensor hashBackward(const at::Tensor& positions, const at::Tensor& gradient, const std::vector<HashLevel>& levels, std::int64_t entries,
                        std::int64_t features)
{
    at::Tensor table = at::zeros({entries, features}, gradient.options());
    cuda::check("hash_encode", cuda::kernels("hash_encode")
                                   .hashBackward(indexOf(table), hashGridOf(levels, features), positions.data_ptr<float>(), positions.size(0),
                                                 gradient.data_ptr<float>(), table.data_ptr<float>()));
    return table;
}

bool fits(const at::Tensor& x, const std::vector<at::Tensor>& weights)
{
    return weights.size() <= std::size_t(cuda::kMaxLayers) && cuda::kernelsMissing().empty() &&
           cuda::kernels("fused_mlp").mlpBlocks(indexOf(x), mlpOf(x, weights), x.size(0)) > 0;
}

at::Tensor mlpForward(const at::Tensor& x, const std::vector<at::Tensor>& weights)
{
    at::Tensor out = at::empty({x.size(0), weights.back().size(0)}, x.options());
    cuda::check("fused_mlp",
                cuda::kernels("fused_mlp").mlpForward(indexOf(x), mlpOf(x, weights), x.data_ptr<float>(), x.size(0), out.data_ptr<float>()));
    return out;
}

std::vector<at::Tensor> mlpBackward(const at::Tensor& x, const std::vector<at::Tensor>& weights, const at::Tensor& gradient, bool wantsInput)
{
    const auto& api = cuda::kernels("fused_mlp");
    const auto mlp = mlpOf(x, weights);
    std::int64_t size = 0;
    for (const at::Tensor& weight : weights)
        size += weight.numel();
    const int blocks = api.mlpBlocks(indexOf(x), mlp, x.size(0));
    at::Tensor partial = at::zeros({blocks, size}, x.options()), dx = wantsInput ? at::empty_like(x) : at::Tensor();
    cuda::check("fused_mlp", api.mlpBackward(indexOf(x), mlp, x.data_ptr<float>(), gradient.data_ptr<float>(), x.size(0),
                                             wantsInput ? dx.data_ptr<float>() : nullptr, partial.data_ptr<float>(), blocks));
    const at::Tensor total = partial.sum(0);
    std::vector<at::Tensor> out{dx};
    std::int64_t at = 0;
    for (const at::Tensor& weight : weights) {
        out.push_back(total.narrow(0, at, weight.numel()).view(weight.sizes()).clone());
        at += weight.numel();
    }
    return out;
}

Composited compositeForward(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const std::vector<double>& background)
{
    const std::int64_t rays = samples.starts.numel() - 1;
    Composited out{at::empty({rays, 3}, density.options()), at::empty({rays}, density.options()), at::empty({rays}, density.options()),
                   at::empty({density.numel()}, density.options())};
    cuda::check("composite", cuda::kernels("composite")
                                 .compositeForward(indexOf(density), rayRowsOf(density, colour, samples, background),
                                                   {out.colour.data_ptr<float>(), out.opacity.data_ptr<float>(), out.depth.data_ptr<float>(),
                                                    out.weights.data_ptr<float>()}));
    return out;
}

CompositedGradient compositeBackward(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const at::Tensor& weights,
                                     const std::vector<at::Tensor>& gradients, const std::vector<double>& background)
{
    CompositedGradient out{at::empty_like(density), at::empty_like(colour)};
    cuda::check("composite",
                cuda::kernels("composite")
                    .compositeBackward(indexOf(density), rayRowsOf(density, colour, samples, background),
                                       {weights.data_ptr<float>(), floatsOrNull(gradients[0]), floatsOrNull(gradients[1]), floatsOrNull(gradients[2]),
                                        floatsOrNull(gradients[3]), out.density.data_ptr<float>(), out.colour.data_ptr<float>()}));
    return out;
}

RaySamples march(const at::Tensor& rays, const at::Tensor& occupancy, const at::Tensor& jitter, bool training, std::int64_t steps, float threshold)
{
    const auto& api = cuda::kernels("march_rays");
    const cuda::MarchRows rows{rays.data_ptr<float>(),
                               occupancy.data_ptr<float>(),
                               training ? jitter.data_ptr<float>() : nullptr,
                               rays.size(0),
                               occupancy.size(0),
                               steps,
                               threshold};
    const auto whole = rays.options().dtype(at::kLong);
    at::Tensor starts = at::zeros({rays.size(0) + 1}, whole);
    at::Tensor counts = at::empty({rays.size(0)}, whole);
    cuda::check("march_rays", api.marchCount(indexOf(rays), rows, counts.data_ptr<std::int64_t>()));
    starts.narrow(0, 1, rays.size(0)).copy_(counts.cumsum(0));
    const std::int64_t total = rays.size(0) > 0 ? starts[-1].item<std::int64_t>() : 0;
    RaySamples out{at::empty({total, 3}, rays.options()), at::empty({total}, whole), at::empty({total}, rays.options()),
                   at::empty({total}, rays.options()), starts};
    cuda::check("march_rays", api.marchWrite(indexOf(rays), rows, starts.data_ptr<std::int64_t>(),
                                             {out.positions.data_ptr<float>(), out.distances.data_ptr<float>(), out.lengths.data_ptr<float>(),
                                              out.rays.data_ptr<std::int64_t>()}));
    return out;
}

at::Tensor directionEncode(const at::Tensor& rays)
{
    at::Tensor out = at::empty({rays.size(0), 16}, rays.options());
    cuda::check("direction_encode",
                cuda::kernels("direction_encode").directionEncode(indexOf(rays), rays.data_ptr<float>(), rays.size(0), out.data_ptr<float>()));
    return out;
}

}  // namespace orrery::scene::cuda_field
