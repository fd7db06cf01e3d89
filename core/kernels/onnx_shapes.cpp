// Sizes, slices and paddings whose numbers are known only while a graph runs.
#include <limits>

#include "onnx_operators.h"

namespace orrery::kernels {

std::int64_t frontAxis(std::int64_t axis, std::int64_t rank)
{
    TORCH_CHECK(axis >= -rank && axis < std::max<std::int64_t>(rank, 1), "expected an axis from ", -rank, " to ", rank - 1, ", got ", axis);
    return axis < 0 ? axis + rank : axis;
}

at::Tensor alongAxis(const at::Tensor& vector, std::int64_t axis, std::int64_t rank)
{
    if (vector.dim() != 1 || rank == 0)
        return vector;
    if (vector.numel() == 1)
        return vector.reshape({});
    IntList shape(std::size_t(rank), 1);
    shape[std::size_t(frontAxis(axis, rank))] = -1;
    return vector.reshape(shape);
}

IntList intsOf(const at::Tensor& tensor)
{
    const auto flat = tensor.detach().to(at::kCPU, at::kLong).contiguous();
    return {flat.data_ptr<std::int64_t>(), flat.data_ptr<std::int64_t>() + flat.numel()};
}

std::vector<double> floatsOf(const at::Tensor& tensor)
{
    const auto flat = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
    return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

namespace {

constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();

at::Tensor sizesTensor(at::IntArrayRef sizes)
{
    return at::tensor(sizes, at::kLong);
}

// 0 stands for the size of the input there.
IntList targetSizes(const at::Tensor& x, const at::Tensor& target, bool keepsZero)
{
    auto sizes = intsOf(target);
    for (std::size_t i = 0; i < sizes.size(); ++i)
        if (sizes[i] == 0 && !keepsZero)
            sizes[i] = x.size(std::int64_t(i));
    return sizes;
}

// Both are broadcast: where the wanted size is 1, the input's stays.
at::Tensor expandBoth(const at::Tensor& x, at::IntArrayRef sizes)
{
    const auto rank = std::max<std::int64_t>(x.dim(), std::int64_t(sizes.size()));
    IntList wanted(std::size_t(rank), 1);
    for (std::int64_t i = 0; i < rank; ++i) {
        const auto inList = i - (rank - std::int64_t(sizes.size())), inTensor = i - (rank - x.dim());
        const auto size = inTensor >= 0 ? x.size(inTensor) : 1;
        wanted[std::size_t(i)] = inList < 0 || sizes[std::size_t(inList)] == 1 ? size : sizes[std::size_t(inList)];
    }
    return x.expand(wanted);
}

at::Tensor flattenTo2d(const at::Tensor& x, std::int64_t axis)
{
    const auto at = axis < 0 ? axis + x.dim() : axis;
    TORCH_CHECK(at >= 0 && at <= x.dim(), "expected an axis from ", -x.dim(), " to ", x.dim(), ", got ", axis);
    std::int64_t rows = 1;
    for (std::int64_t i = 0; i < at; ++i)
        rows *= x.size(i);
    return x.reshape({rows, rows == 0 ? 0 : x.numel() / rows});
}

at::Tensor unsqueezeAll(const at::Tensor& x, at::IntArrayRef axes)
{
    IntList places;
    for (const auto axis : axes)
        places.push_back(frontAxis(axis, x.dim() + std::int64_t(axes.size())));
    std::sort(places.begin(), places.end());
    auto result = x;
    for (const auto place : places)
        result = result.unsqueeze(place);
    return result;
}

at::Tensor squeezeAll(const at::Tensor& x, at::IntArrayRef axes)
{
    IntList places;
    for (const auto axis : axes)
        places.push_back(frontAxis(axis, x.dim()));
    std::sort(places.rbegin(), places.rend());
    auto result = x;
    for (const auto place : places)
        result = result.squeeze(place);
    return result;
}

at::Tensor rangeOf(const at::Tensor& start, const at::Tensor& limit, const at::Tensor& delta)
{
    const auto from = start.item(), to = limit.item(), by = delta.item();
    const bool isEmpty = by.toDouble() == 0 || (to.toDouble() - from.toDouble()) / by.toDouble() <= 0;
    return isEmpty ? at::empty({0}, start.options()) : at::arange(from, to, by, start.options());
}

// Steps below zero walk from `start` down to, but not including, `end`.
at::Tensor sliceBackward(const at::Tensor& x, std::int64_t axis, std::int64_t start, std::int64_t end, std::int64_t step)
{
    const auto size = x.size(axis);
    const auto clamped = [&](std::int64_t at) {
        const auto place = at < 0 ? (at < -size ? std::int64_t(-1) : at + size) : at;
        return std::clamp<std::int64_t>(place, -1, size - 1);
    };
    const auto from = start < 0 ? std::max<std::int64_t>(start + size, -1) : std::min(start, size - 1);
    const auto to = clamped(end);
    if (from <= to || size == 0)
        return x.narrow(axis, 0, 0);
    const auto places = at::arange(from, to, step, x.options().dtype(at::kLong));
    return x.index_select(axis, places);
}

at::Tensor sliceBy(const at::Tensor& x, const at::Tensor& starts, const at::Tensor& ends, const c10::optional<at::Tensor>& axes,
                   const c10::optional<at::Tensor>& steps)
{
    const auto from = intsOf(starts), to = intsOf(ends);
    const auto along = axes ? intsOf(*axes) : IntList(), by = steps ? intsOf(*steps) : IntList();
    TORCH_CHECK(to.size() == from.size() && (!axes || along.size() == from.size()) && (!steps || by.size() == from.size()),
                "expected as many ends, axes and steps as the ", from.size(), " starts");
    auto result = x;
    for (std::size_t i = 0; i < from.size(); ++i) {
        const auto axis = frontAxis(axes ? along[i] : std::int64_t(i), x.dim()), step = steps ? by[i] : 1;
        TORCH_CHECK(step != 0, "expected a step other than 0");
        result = step > 0 ? result.slice(axis, from[i], std::min(to[i], kLast), step) : sliceBackward(result, axis, from[i], to[i], step);
    }
    return result;
}

// The last part is smaller where the size is no multiple.
std::vector<at::Tensor> splitEqually(const at::Tensor& x, std::int64_t parts, std::int64_t axis)
{
    TORCH_CHECK(parts > 0 && parts <= (1 << 20), "expected at least one part and at most a million, got ", parts);
    const auto size = x.size(axis), each = (size + parts - 1) / parts;
    std::vector<at::Tensor> result;
    for (std::int64_t i = 0; i < parts; ++i) {
        const auto from = std::min(i * each, size);
        result.push_back(x.narrow(axis, from, std::min(each, size - from)));
    }
    return result;
}

at::Tensor paddedPlaces(std::int64_t size, std::int64_t begin, std::int64_t end, const std::string& mode)
{
    auto places = at::arange(-begin, size + end, at::kLong);
    if (mode == "edge")
        return places.clamp(0, size - 1);
    if (mode == "wrap")
        return places.remainder(size);
    TORCH_CHECK(mode == "reflect", "expected a padding mode of constant, reflect, edge or wrap, got ", mode);
    if (size == 1)
        return places.zero_();
    const auto period = 2 * (size - 1);
    places = places.remainder(period);
    return at::minimum(places, period - places);
}

at::Tensor padBy(const at::Tensor& x, at::IntArrayRef pads, const std::string& mode, const at::Scalar& value, const c10::optional<IntList>& axes)
{
    const auto count = std::int64_t(pads.size() / 2);
    TORCH_CHECK(pads.size() % 2 == 0 && (axes ? std::int64_t(axes->size()) == count : count == x.dim()), "expected two paddings for each axis, got ",
                pads.size(), " for ", axes ? axes->size() : std::size_t(x.dim()), " axes");
    IntList begins(std::size_t(x.dim()), 0), ends(std::size_t(x.dim()), 0);
    for (std::int64_t i = 0; i < count; ++i) {
        const auto axis = std::size_t(frontAxis(axes ? (*axes)[std::size_t(i)] : i, x.dim()));
        begins[axis] = pads[std::size_t(i)];
        ends[axis] = pads[std::size_t(i + count)];
    }
    if (mode == "constant") {
        IntList last;
        for (std::size_t i = begins.size(); i-- > 0;) {
            last.push_back(begins[i]);
            last.push_back(ends[i]);
        }
        return at::constant_pad_nd(x, last, value);
    }
    auto result = x;
    for (std::size_t i = 0; i < begins.size(); ++i)
        if (begins[i] != 0 || ends[i] != 0)
            result = result.index_select(std::int64_t(i), paddedPlaces(x.size(std::int64_t(i)), begins[i], ends[i], mode).to(x.device()));
    return result;
}

at::Tensor depthToSpace(const at::Tensor& x, std::int64_t block, const std::string& mode)
{
    TORCH_CHECK(x.dim() == 4 && block > 0, "expected [batch, channel, height, width] and a block of at least 1");
    const auto n = x.size(0), c = x.size(1) / (block * block), h = x.size(2), w = x.size(3);
    if (mode == "CRD")
        return x.reshape({n, c, block, block, h, w}).permute({0, 1, 4, 2, 5, 3}).reshape({n, c, h * block, w * block});
    return x.reshape({n, block, block, c, h, w}).permute({0, 3, 4, 1, 5, 2}).reshape({n, c, h * block, w * block});
}

at::Tensor spaceToDepth(const at::Tensor& x, std::int64_t block, const std::string&)
{
    TORCH_CHECK(x.dim() == 4 && block > 0, "expected [batch, channel, height, width] and a block of at least 1");
    const auto n = x.size(0), c = x.size(1), h = x.size(2) / block, w = x.size(3) / block;
    return x.reshape({n, c, h, block, w, block}).permute({0, 3, 5, 1, 2, 4}).reshape({n, c * block * block, h, w});
}

at::Tensor eyeLike(const at::Tensor& x, std::int64_t diagonal, at::ScalarType type)
{
    TORCH_CHECK(x.dim() == 2, "expected a matrix, got ", x.dim(), " axes");
    return at::ones_like(x, x.options().dtype(at::kFloat)).triu(diagonal).tril(diagonal).to(type);
}

at::Tensor addAxes(const at::Tensor& x, std::int64_t count)
{
    auto result = x;
    for (std::int64_t i = 0; i < count; ++i)
        result = result.unsqueeze(-1);
    return result;
}

// Integers are divided towards zero.
at::Tensor divided(const at::Tensor& a, const at::Tensor& b)
{
    return c10::isIntegralType(a.scalar_type(), true) ? at::div(a, b, "trunc") : at::div(a, b);
}

at::Tensor boolTensor(bool value)
{
    return at::full({}, value, at::kBool);
}

at::Tensor centreCropPad(const at::Tensor& x, at::IntArrayRef sizes, const c10::optional<IntList>& axes)
{
    auto result = x;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        const auto axis = frontAxis(axes ? axes->at(i) : std::int64_t(i), x.dim());
        const auto size = result.size(axis), wanted = sizes[i];
        if (size > wanted)
            result = result.narrow(axis, (size - wanted) / 2, wanted);
        if (size >= wanted)
            continue;
        IntList pads(std::size_t(2 * x.dim()), 0);
        const auto begin = (wanted - size) / 2;
        pads[std::size_t(2 * (x.dim() - 1 - axis))] = begin;
        pads[std::size_t(2 * (x.dim() - 1 - axis) + 1)] = wanted - size - begin;
        result = at::constant_pad_nd(result, pads, 0);
    }
    return result;
}

}  // namespace

void registerOnnxShapes(torch::Library& library)
{
    library.def("onnx_ints(Tensor x) -> int[]", intsOf);
    library.def("onnx_floats(Tensor x) -> float[]", floatsOf);
    library.def("onnx_sizes_tensor(int[] sizes) -> Tensor", sizesTensor);
    library.def("onnx_to_bool_tensor(bool value) -> Tensor", boolTensor);
    library.def("onnx_target_sizes(Tensor x, Tensor target, bool allow_zero) -> int[]", targetSizes);
    library.def("onnx_expand(Tensor x, int[] sizes) -> Tensor", expandBoth);
    library.def("onnx_flatten(Tensor x, int axis) -> Tensor", flattenTo2d);
    library.def("onnx_unsqueeze(Tensor x, int[] axes) -> Tensor", unsqueezeAll);
    library.def("onnx_squeeze(Tensor x, int[] axes) -> Tensor", squeezeAll);
    library.def("onnx_range(Tensor start, Tensor limit, Tensor delta) -> Tensor", rangeOf);
    library.def("onnx_slice(Tensor x, Tensor starts, Tensor ends, Tensor? axes, Tensor? steps) -> Tensor", sliceBy);
    library.def("onnx_split_equal(Tensor x, int parts, int axis) -> Tensor[]", splitEqually);
    library.def("onnx_pad(Tensor x, int[] pads, str mode, Scalar value, int[]? axes) -> Tensor", padBy);
    library.def("onnx_depth_to_space(Tensor x, int block, str mode) -> Tensor", depthToSpace);
    library.def("onnx_space_to_depth(Tensor x, int block, str mode) -> Tensor", spaceToDepth);
    library.def("onnx_eye_like(Tensor x, int diagonal, ScalarType dtype) -> Tensor", eyeLike);
    library.def("onnx_add_axes(Tensor x, int count) -> Tensor", addAxes);
    library.def("onnx_div(Tensor a, Tensor b) -> Tensor", divided);
    library.def("onnx_center_crop_pad(Tensor x, int[] sizes, int[]? axes) -> Tensor", centreCropPad);
}

}  // namespace orrery::kernels
