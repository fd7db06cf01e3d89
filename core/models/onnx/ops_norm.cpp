// Normalisation, softmax and dropout.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace norms {

void batchNorm(Call& c)
{
    const bool trains = c.integer("training_mode", 0) != 0;
    const double eps = c.real("epsilon", 1e-5), momentum = c.real("momentum", 0.9);
    if (c.opset() < 9 && c.integer("spatial", 1) == 0)
        c.unsupported("spatial=0");
    if (c.opset() < 7 && c.integer("is_test", 0) == 0)
        c.unsupported("its training form of operator sets before 7");
    if (trains) {
        const auto results = c.emitAll("orrery::onnx_batch_norm_training", {c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), momentum, eps});
        for (std::size_t i = 0; i < results.size(); ++i)
            c.out(i, results[i]);
        return;
    }
    c.emitter().markBuffer(c.in(3));
    c.emitter().markBuffer(c.in(4));
    c.out(c.emit("aten::batch_norm", {c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), false, 1 - momentum, eps, false}));
}

void instanceNorm(Call& c)
{
    c.out(c.emit("aten::instance_norm", {c.in(0), c.in(1), c.in(2), nullptr, nullptr, true, 0.1, c.real("epsilon", 1e-5), false}));
}

bool isLastAxis(Call& c, std::int64_t axis)
{
    return axis == -1 || (c.in(0).rank && axis == *c.in(0).rank - 1);
}

// Over all axes from `axis` on; the scale has their sizes.
void layerNorm(Call& c)
{
    const auto axis = c.integer("axis", -1);
    const double eps = c.real("epsilon", 1e-5);
    const Term& scale = c.in(1);
    // A scale of one number is one for all of them.
    const bool fits = scale.isConstant() && scale.constant.numel() > 1;
    if (fits && !c.wants(1) && (isLastAxis(c, axis) ? scale.constant.dim() == 1 : axis < 0 && scale.constant.dim() == -axis))
        return c.out(c.emit("aten::layer_norm", {c.in(0), scale.constant.sizes().vec(), scale, c.optional(2), eps, false}));
    auto results = c.emitAll("orrery::onnx_layer_norm", {c.in(0), scale, c.optional(2), axis, eps});
    results[0].rank = c.in(0).rank;
    results[0].dtype = c.in(0).dtype;
    for (std::size_t i = 0; i < results.size(); ++i)
        c.out(i, results[i]);
}

void groupNorm(Call& c)
{
    const auto groups = c.integer("num_groups", 1);
    if (c.opset() >= 21)
        return c.out(c.emit("aten::group_norm", {c.in(0), groups, c.in(1), c.in(2), c.real("epsilon", 1e-5), false}));
    Term result = c.emit("orrery::onnx_group_norm", {c.in(0), groups, c.in(1), c.in(2), c.real("epsilon", 1e-5)});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void rmsNorm(Call& c)
{
    Term result = c.emit("orrery::onnx_rms_norm", {c.in(0), c.in(1), c.integer("axis", -1), c.real("epsilon", 1e-5)});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void localResponseNorm(Call& c)
{
    Term result = c.emit("orrery::onnx_lrn", {c.in(0), c.integer("size", 1), c.real("alpha", 1e-4), c.real("beta", 0.75), c.real("bias", 1)});
    result.rank = c.in(0).rank;
    c.out(result);
}

void meanVarianceNorm(Call& c)
{
    const auto axes = c.integers("axes", {0, 2, 3});
    const Term centred = c.emit("aten::sub.Tensor", {c.in(0), c.emit("aten::mean.dim", {c.in(0), axes, true, nullptr})});
    const Term variance = c.emit("aten::mean.dim", {c.emit("aten::mul.Tensor", {centred, centred}), axes, true, nullptr});
    const Term deviation = c.emit("aten::add.Scalar", {c.emit("aten::sqrt", {variance}), 1e-9, 1});
    c.out(c.emit("aten::div.Tensor", {centred, deviation}));
}

void lpNorm(Call& c)
{
    const Term norm =
        c.emit("aten::norm.ScalarOpt_dim", {c.in(0), double(c.integer("p", 2)), std::vector<std::int64_t>{c.integer("axis", -1)}, true});
    // Zeros stay zeros.
    const Term some = c.emit("aten::masked_fill.Scalar", {norm, c.emit("aten::eq.Scalar", {norm, 0}), 1.0});
    c.out(c.emit("aten::div.Tensor", {c.in(0), some}));
}

// Before operator set 13 the axes from `axis` on were taken as one.
Operator softmax(const char* op)
{
    return [op](Call& c) {
        const bool joins = c.opset() < 13;
        const auto axis = c.integer("axis", joins ? 1 : -1);
        if (!joins || isLastAxis(c, axis))
            return c.out(c.emit(fmt::format("aten::{}.int", op), {c.in(0), axis, nullptr}));
        Term result = c.emit("orrery::onnx_softmax_joined", {c.in(0), axis, std::string(op) == "log_softmax"});
        result.rank = c.in(0).rank;
        result.dtype = c.in(0).dtype;
        c.out(result);
    };
}

void hardmax(Call& c)
{
    const bool joins = c.opset() < 13;
    Term result = c.emit("orrery::onnx_hardmax", {c.in(0), c.integer("axis", joins ? 1 : -1), joins});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

// Inference leaves everything as it is. What exporters leave in training mode drops here, too, and follows the seed of the run.
void dropout(Call& c)
{
    const auto known = c.known(2);
    const bool trains = c.opset() >= 12 && c.has(2) && (!known || (*known)[0] != 0);
    if (!trains) {
        c.out(c.in(0));
        if (c.wants(1)) {
            Term mask = c.emit("aten::ones_like", {c.in(0), at::kBool});
            mask.dtype = at::kBool;
            mask.rank = c.in(0).rank;
            c.out(1, mask);
        }
        return;
    }
    const auto ratio = c.knownReals(1);
    const Term p = !c.has(1) ? Term(0.5) : ratio ? Term((*ratio)[0]) : c.emit("aten::Float.Tensor", {c.in(1)});
    const Term training = known ? Term(true) : c.emit("aten::Bool.Tensor", {c.in(2)});
    auto results = c.emitAll("aten::native_dropout", {c.in(0), p, training});
    results[1].dtype = at::kBool;
    c.out(0, results[0]);
    c.out(1, results[1]);
}

}  // namespace norms

std::span<const Entry> normOperators()
{
    using namespace norms;
    static const Entry kEntries[] = {
        {"BatchNormalization", batchNorm},
        {"Dropout", dropout},
        {"GroupNormalization", groupNorm},
        {"Hardmax", hardmax},
        {"InstanceNormalization", instanceNorm},
        {"LRN", localResponseNorm},
        {"LayerNormalization", layerNorm},
        {"LogSoftmax", softmax("log_softmax")},
        {"LpNormalization", lpNorm},
        {"MeanVarianceNormalization", meanVarianceNorm},
        {"RMSNormalization", rmsNorm},
        {"Softmax", softmax("softmax")},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
