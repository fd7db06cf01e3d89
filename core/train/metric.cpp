#include "metric.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/text.h>
#include <core/data/dataset.h>

namespace orrery::train {

ClassRows classRows(const MetricBatch& batch, const char* metric)
{
    at::Tensor logits = batch.output.detach();
    if (logits.sizes() == batch.target.sizes())
        logits = logits.unsqueeze(-1);
    if (logits.dim() < 2 || logits.sizes().slice(0, std::size_t(logits.dim() - 1)) != batch.target.sizes())
        throw core::ShapeError(fmt::format("{}: expected output [..., class] and target [...], got {} and {}", metric,
                                           core::formatShape(batch.output.sizes()), core::formatShape(batch.target.sizes())));
    logits = logits.reshape({-1, logits.size(-1)}).to(at::kCPU, at::kDouble);
    if (logits.size(1) == 1)
        logits = at::cat({at::zeros_like(logits), logits}, 1);
    at::Tensor targets = batch.target.reshape({-1}).to(at::kCPU, at::kLong).contiguous();
    if (const at::Tensor counted = targets.ne(data::kIgnoredTarget); !counted.all().item<bool>()) {
        logits = logits.index({counted});
        targets = targets.index({counted}).contiguous();
    }
    if (targets.numel() > 0 && (targets.min().item<std::int64_t>() < 0 || targets.max().item<std::int64_t>() >= logits.size(1)))
        throw core::InputError(fmt::format("{}: expected targets in 0..{}, got {}..{}", metric, logits.size(1) - 1,
                                           targets.min().item<std::int64_t>(), targets.max().item<std::int64_t>()));
    return {logits.contiguous(), targets};
}

}  // namespace orrery::train
