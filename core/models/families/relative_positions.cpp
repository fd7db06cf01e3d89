#include "relative_positions.h"

#include <cmath>

namespace orrery::models::families {
namespace {

/// Bucket of each distance key - query, [query, key]: exact for near ones, logarithmic for those further away.
/// Source: Raffel et al. (2019), section 2.1; the formula is that of the released code.
Var relativeBuckets(Builder& builder, Var positions, const RelativePositions& settings)
{
    const c10::IValue device = c10::Device(c10::kCPU);
    const Var places = builder.op("aten::arange", {positions, nullptr, nullptr, device});
    const Var difference = builder.op("aten::sub.Tensor", {builder.op("aten::unsqueeze", {places, 0}), builder.op("aten::unsqueeze", {places, 1})});
    const std::int64_t count = settings.bidirectional ? settings.buckets / 2 : settings.buckets, exact = count / 2;
    const Var distance = settings.bidirectional ? builder.op("aten::abs", {difference})
                                                : builder.op("aten::neg", {builder.op("aten::clamp_max", {difference, 0})}, "distance");
    const Var ratio = builder.op("aten::log", {builder.op("aten::div.Scalar", {distance, double(exact)})});
    const Var scaled = builder.op(
        "aten::mul.Scalar", {builder.op("aten::div.Scalar", {ratio, std::log(double(settings.distance) / double(exact))}), double(count - exact)});
    const Var far = builder.op("aten::add.Scalar", {builder.op("aten::to.dtype", {scaled, std::int64_t(at::kLong)}, "truncated"), exact});
    const Var capped = builder.op("aten::clamp_max", {far, count - 1}, "far");
    const Var bucket = builder.op("aten::where.self", {builder.op("aten::lt.Scalar", {distance, exact}, "is_near"), distance, capped});
    if (!settings.bidirectional)
        return bucket;
    const Var later = builder.op("aten::mul.Scalar", {builder.op("aten::gt.Scalar", {difference, 0}, "is_later"), count}, "later");
    return builder.op("aten::add.Tensor", {bucket, later}, "bucket");
}

}  // namespace

Var relativeBias(Builder& builder, Var positions, const RelativePositions& settings)
{
    const Var table = builder.parameter("weight", {settings.buckets, settings.heads}, zoo::normalInit(0.02));
    const Var rows = builder.op("aten::embedding", {table, relativeBuckets(builder, positions, settings)});
    return builder.op("aten::unsqueeze", {builder.op("aten::permute", {rows, std::vector<std::int64_t>{2, 0, 1}}), 0});
}

}  // namespace orrery::models::families
