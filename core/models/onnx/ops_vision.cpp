// Resizing, sampling and boxes.
#include <ATen/ATen.h>

#include <cmath>

#include "converter.h"

namespace orrery::models::onnx {
namespace vision {

Term reals(Call& c, std::size_t input)
{
    if (!c.has(input))
        return Term(nullptr);
    if (const auto known = c.knownReals(input)) {
        if (known->empty())
            return Term(nullptr);
        return Term(c10::IValue(*known));
    }
    return c.emit("orrery::onnx_floats", {c.in(input)});
}

Term sizes(Call& c, std::size_t input)
{
    if (!c.has(input) || (c.in(input).isConstant() && c.in(input).constant.numel() == 0))
        return Term(nullptr);
    return c.ints(c.in(input));
}

struct ResizeForm {
    std::string mode, coordinates, nearest;
};

// Factors with which libtorch and ONNX come to the same sizes and places, which one multiplies in double and the other divides in float.
bool isEven(double factor)
{
    constexpr double kSteps = 64;
    const double inverse = double(1 / float(factor));
    return factor * kSteps == std::floor(factor * kSteps) && (factor != std::floor(factor) || inverse * factor >= 1);
}

// What libtorch computes in the same way goes to its own operators: others know them.
bool byLibtorch(Call& c, const ResizeForm& form, const Term& scales, const Term& wanted)
{
    if (c.in(0).rank != 4 || c.hasAttribute("axes") || c.integer("antialias", 0) != 0)
        return false;
    const bool isNearest = form.mode == "nearest" && form.coordinates == "asymmetric" && form.nearest == "floor";
    const bool isLinear = form.mode == "linear" &&
                          (form.coordinates == "half_pixel" || form.coordinates == "pytorch_half_pixel" || form.coordinates == "align_corners");
    if (!isNearest && !isLinear)
        return false;
    const bool corners = form.coordinates == "align_corners";
    Term size(nullptr), factors(nullptr);
    if (scales.isLiteral() && !scales.isNone()) {
        const auto numbers = scales.operand.constant.toDoubleVector();
        if (numbers.size() != 4 || numbers[0] != 1 || numbers[1] != 1 || (numbers[2] < 1 || numbers[3] < 1))
            return false;
        for (const double number : {numbers[2], numbers[3]})
            if (!isEven(number) || (isNearest && number != std::floor(number)))
                return false;
        factors = Term(c10::IValue(std::vector<double>{numbers[2], numbers[3]}));
    } else if (scales.isNone() && (wanted.isLiteral() || wanted.items.size() == 4)) {
        if (wanted.isLiteral()) {
            const auto numbers = wanted.operand.constant.toIntVector();
            if (numbers.size() != 4)
                return false;
            size = Term(std::vector<std::int64_t>{numbers[2], numbers[3]});
        } else {
            size = c.list({wanted.items[2], wanted.items[3]}, "int");
        }
    } else {
        return false;
    }
    if (isNearest)
        c.out(c.emit("aten::upsample_nearest2d.vec", {c.in(0), size, factors}));
    else
        c.out(c.emit("aten::upsample_bilinear2d.vec", {c.in(0), size, corners, factors}));
    return true;
}

void emitResize(Call& c, const ResizeForm& form, const Term& roi, const Term& scales, const Term& wanted)
{
    if (form.mode != "nearest" && form.mode != "linear" && form.mode != "cubic")
        c.unsupported("mode " + form.mode);
    if (byLibtorch(c, form, scales, wanted))
        return;
    const Term axes = c.hasAttribute("axes") ? Term(c.integers("axes")) : Term(nullptr);
    Term result =
        c.emit("orrery::onnx_resize",
               {c.in(0), roi, scales, wanted, Term(c10::IValue(form.mode)), Term(c10::IValue(form.coordinates)), Term(c10::IValue(form.nearest)),
                c.real("cubic_coeff_a", -0.75), c.integer("exclude_outside", 0) != 0, c.real("extrapolation_value", 0),
                c.integer("antialias", 0) != 0, Term(c10::IValue(c.text("keep_aspect_ratio_policy", "stretch"))), axes});
    result.rank = c.in(0).rank;
    c.out(result);
}

void resize(Call& c)
{
    ResizeForm form{c.text("mode", "nearest"), c.text("coordinate_transformation_mode", "half_pixel"), c.text("nearest_mode", "round_prefer_floor")};
    if (c.opset() < 11) {  // scales alone, as Upsample
        form.coordinates = "asymmetric";
        form.nearest = "floor";
        return emitResize(c, form, nullptr, reals(c, 1), nullptr);
    }
    emitResize(c, form, reals(c, 1), reals(c, 2), sizes(c, 3));
}

void upsample(Call& c)
{
    ResizeForm form{c.text("mode", "nearest"), "asymmetric", "floor"};
    if (form.mode == "bilinear")
        form.mode = "linear";
    Term scales = c.hasAttribute("scales") ? Term(c10::IValue(c.reals("scales"))) : reals(c, 1);
    if (c.hasAttribute("height_scale"))
        scales = Term(c10::IValue(std::vector<double>{1, 1, c.real("height_scale", 1), c.real("width_scale", 1)}));
    emitResize(c, form, nullptr, scales, nullptr);
}

void gridSample(Call& c)
{
    const auto mode = c.text("mode", "bilinear"), padding = c.text("padding_mode", "zeros");
    const int how = mode == "nearest" ? 1 : mode == "bicubic" || mode == "cubic" ? 2 : 0;
    const int outside = padding == "border" ? 1 : padding == "reflection" ? 2 : 0;
    Term result = c.emit("aten::grid_sampler", {c.in(0), c.in(1), how, outside, c.integer("align_corners", 0) != 0});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void roiAlign(Call& c)
{
    if (c.text("mode", "avg") != "avg")
        c.unsupported("mode " + c.text("mode", "avg"));
    const auto coordinates = c.text("coordinate_transformation_mode", c.opset() < 16 ? "output_half_pixel" : "half_pixel");
    Term result = c.emit("orrery::onnx_roi_align", {c.in(0), c.in(1), c.in(2), c.integer("output_height", 1), c.integer("output_width", 1),
                                                    c.integer("sampling_ratio", 0), c.real("spatial_scale", 1), coordinates == "half_pixel"});

    result.rank = 4;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void nonMaxSuppression(Call& c)
{
    Term result = c.emit("orrery::onnx_nms", {c.in(0), c.in(1), c.optional(2), c.optional(3), c.optional(4), c.integer("center_point_box", 0) != 0});
    result.rank = 2;
    result.dtype = at::kLong;
    c.out(result);
}

void centreCropPad(Call& c)
{
    const Term axes = c.hasAttribute("axes") ? Term(c.integers("axes")) : Term(nullptr);
    Term result = c.emit("orrery::onnx_center_crop_pad", {c.in(0), c.ints(c.in(1)), axes});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void affineGrid(Call& c)
{
    c.out(c.emit("aten::affine_grid_generator", {c.in(0), c.ints(c.in(1)), c.integer("align_corners", 0) != 0}));
}

}  // namespace vision

std::span<const Entry> visionOperators()
{
    using namespace vision;
    static const Entry kEntries[] = {
        {"AffineGrid", affineGrid}, {"CenterCropPad", centreCropPad}, {"GridSample", gridSample}, {"NonMaxSuppression", nonMaxSuppression},
        {"Resize", resize},         {"RoiAlign", roiAlign},           {"Upsample", upsample},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
