// Picking and putting elements, orders and reductions.
#include "onnx_operators.h"

namespace orrery::kernels {

at::Tensor wrapIndices(const at::Tensor& indices, std::int64_t count)
{
    const auto wide = indices.to(at::kLong);
    return at::where(wide < 0, wide + count, wide);
}

at::Tensor reverseSequences(const at::Tensor& x, const at::Tensor& lengths, std::int64_t timeAxis, std::int64_t batchAxis)
{
    const auto time = x.size(timeAxis);
    const auto steps = at::arange(time, x.options().dtype(at::kLong)).unsqueeze(1);
    const auto ends = lengths.to(at::kLong).unsqueeze(0);
    auto places = at::where(steps < ends, ends - 1 - steps, steps);  // [time, batch]
    IntList shape(std::size_t(x.dim()), 1);
    shape[std::size_t(frontAxis(timeAxis, x.dim()))] = time;
    shape[std::size_t(frontAxis(batchAxis, x.dim()))] = x.size(batchAxis);
    if (frontAxis(batchAxis, x.dim()) < frontAxis(timeAxis, x.dim()))
        places = places.transpose(0, 1);
    return x.gather(timeAxis, places.reshape(shape).expand(x.sizes()));
}

namespace {

using Indices = c10::List<c10::optional<at::Tensor>>;

at::Tensor gathered(const at::Tensor& x, const at::Tensor& indices, std::int64_t axis)
{
    const auto at = frontAxis(axis, x.dim());
    IntList shape(x.sizes().begin(), x.sizes().begin() + at);
    shape.insert(shape.end(), indices.sizes().begin(), indices.sizes().end());
    shape.insert(shape.end(), x.sizes().begin() + at + 1, x.sizes().end());
    return x.index_select(at, wrapIndices(indices, x.size(at)).reshape(-1)).reshape(shape);
}

at::Tensor gatheredElements(const at::Tensor& x, const at::Tensor& indices, std::int64_t axis)
{
    return x.gather(axis, wrapIndices(indices, x.size(axis)));
}

// Indices along the first axes of `x`, one tensor an axis.
Indices splitIndices(const at::Tensor& x, const at::Tensor& indices, std::int64_t firstAxis)
{
    Indices list;
    for (std::int64_t i = 0; i < indices.size(-1); ++i)
        list.push_back(wrapIndices(indices.select(-1, i), x.size(firstAxis + i)));
    return list;
}

at::Tensor gatheredNd(const at::Tensor& x, const at::Tensor& indices, std::int64_t batchAxes)
{
    TORCH_CHECK(batchAxes >= 0 && batchAxes < indices.dim() && batchAxes + indices.size(-1) <= x.dim(),
                "the indices reach past the axes of the data");
    if (batchAxes == 0)
        return x.index(splitIndices(x, indices, 0));
    std::int64_t batch = 1;
    for (std::int64_t i = 0; i < batchAxes; ++i)
        batch *= x.size(i);
    IntList flatX = {batch}, flatIndices = {batch}, result(x.sizes().begin(), x.sizes().begin() + batchAxes);
    flatX.insert(flatX.end(), x.sizes().begin() + batchAxes, x.sizes().end());
    flatIndices.insert(flatIndices.end(), indices.sizes().begin() + batchAxes, indices.sizes().end());
    result.insert(result.end(), indices.sizes().begin() + batchAxes, indices.sizes().end() - 1);
    result.insert(result.end(), x.sizes().begin() + batchAxes + indices.size(-1), x.sizes().end());
    const auto data = x.reshape(flatX), places = indices.reshape(flatIndices);
    IntList first(std::size_t(places.dim() - 1), 1);
    first[0] = batch;
    Indices list;
    list.push_back(at::arange(batch, indices.options().dtype(at::kLong)).reshape(first));
    for (const auto& each : splitIndices(data, places, 1))
        list.push_back(each);
    return data.index(list).reshape(result);
}

at::Tensor scatteredElements(const at::Tensor& x, const at::Tensor& indices, const at::Tensor& updates, std::int64_t axis,
                             const std::string& reduction)
{
    const auto places = wrapIndices(indices, x.size(axis));
    if (reduction == "none")
        return x.scatter(axis, places, updates);
    if (reduction == "add")
        return x.scatter_add(axis, places, updates);
    const std::string how = reduction == "mul" ? "prod" : reduction == "max" ? "amax" : "amin";
    return at::scatter_reduce(x, axis, places, updates, how, true);
}

at::Tensor scatteredNd(const at::Tensor& x, const at::Tensor& indices, const at::Tensor& updates, const std::string& reduction)
{
    TORCH_CHECK(indices.dim() > 0 && indices.size(-1) <= x.dim(), "the indices reach past the axes of the data");
    if (reduction == "none" || reduction == "add")
        return x.index_put(splitIndices(x, indices, 0), updates, reduction == "add");
    std::int64_t rows = 1;
    auto flat = at::zeros({}, at::kLong);
    for (std::int64_t i = 0; i < indices.size(-1); ++i) {
        flat = flat * x.size(i) + wrapIndices(indices.select(-1, i), x.size(i));
        rows *= x.size(i);
    }
    const std::string how = reduction == "mul" ? "prod" : reduction == "max" ? "amax" : "amin";
    return at::index_reduce(x.reshape({rows, -1}), 0, flat.reshape(-1), updates.reshape({flat.numel(), -1}), how, true).reshape(x.sizes());
}

// `values` holds what stands elsewhere and at the index. Indices out of range mark nothing.
at::Tensor oneHot(const at::Tensor& indices, std::int64_t depth, const at::Tensor& values, std::int64_t axis)
{
    const auto at = axis < 0 ? axis + indices.dim() + 1 : axis;
    IntList shape(std::size_t(indices.dim() + 1), 1);
    shape.at(std::size_t(at)) = depth;
    const auto classes = at::arange(depth, indices.options().dtype(at::kLong)).reshape(shape);
    const auto marked = wrapIndices(indices, depth).unsqueeze(at) == classes;
    return at::where(marked, values.reshape(-1)[1], values.reshape(-1)[0]);
}

at::Tensor compressed(const at::Tensor& x, const at::Tensor& condition, std::int64_t axis)
{
    return x.index_select(axis, condition.reshape(-1).nonzero().reshape(-1));
}

// First places of each distinct value, from the place of each element among them.
at::Tensor firstPlaces(const at::Tensor& inverse, std::int64_t count)
{
    auto first = at::full({count}, inverse.numel(), at::kLong);
    const auto flat = inverse.reshape(-1).to(at::kCPU).contiguous();
    auto* const places = first.data_ptr<std::int64_t>();
    for (std::int64_t i = flat.numel(); i-- > 0;)
        places[flat.data_ptr<std::int64_t>()[i]] = i;
    return first.to(inverse.device());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> uniqueOf(const at::Tensor& x, c10::optional<std::int64_t> axis, bool sorted)
{
    auto [values, inverse, counts] = axis ? at::unique_dim(x, *axis, true, true, true) : at::_unique2(x.reshape(-1), true, true, true);
    const auto along = axis.value_or(0);
    auto first = firstPlaces(inverse, counts.numel());
    inverse = inverse.reshape(-1);
    if (sorted)
        return {values, first, inverse, counts};
    const auto order = first.argsort();  // as they occur
    return {values.index_select(along, order), first.index_select(0, order), order.argsort().index_select(0, inverse), counts.index_select(0, order)};
}

// Of equal values the one further in front comes first, which libtorch's own does not promise.
std::tuple<at::Tensor, at::Tensor> topValues(const at::Tensor& x, std::int64_t k, std::int64_t axis, bool largest, bool)
{
    const auto size = x.dim() == 0 ? 1 : x.size(axis);
    TORCH_CHECK(k >= 0 && k <= size, "expected k from 0 to ", size, ", got ", k);
    const auto [values, places] = x.sort(c10::optional<bool>(true), axis, largest);
    return {values.narrow(axis, 0, k), places.narrow(axis, 0, k)};
}

at::Tensor cumulativeSum(const at::Tensor& x, std::int64_t axis, bool exclusive, bool reverse)
{
    auto sums = (reverse ? x.flip(axis) : x).cumsum(axis, x.scalar_type());
    if (exclusive)
        sums = at::cat({at::zeros_like(x.narrow(axis, 0, 1)), sums.narrow(axis, 0, std::max<std::int64_t>(x.size(axis) - 1, 0))}, axis);
    return reverse ? sums.flip(axis) : sums;
}

IntList allAxes(const at::Tensor& x, at::IntArrayRef axes)
{
    IntList places;
    for (std::int64_t i = 0; i < std::int64_t(axes.empty() ? x.dim() : std::int64_t(axes.size())); ++i)
        places.push_back(axes.empty() ? i : frontAxis(axes[std::size_t(i)], x.dim()));
    std::sort(places.rbegin(), places.rend());
    return places;
}

/// A sum over nothing is the tensor itself.
at::Tensor sumOrNone(const at::Tensor& x, at::IntArrayRef axes, bool keepAxes)
{
    return axes.empty() ? x.clone() : x.sum(axes, keepAxes, x.scalar_type());
}

at::Tensor productOver(const at::Tensor& x, at::IntArrayRef axes, bool keeps)
{
    auto result = x;
    for (const auto axis : allAxes(x, axes))
        result = result.prod(axis, keeps, x.scalar_type());
    return result;
}

at::Tensor logSumExp(const at::Tensor& x, at::IntArrayRef axes, bool keeps)
{
    return at::logsumexp(x, allAxes(x, axes), keeps);
}

at::Tensor lastExtremum(const at::Tensor& x, std::int64_t axis, bool keeps, bool maximum)
{
    const auto flipped = x.flip(axis);
    return x.size(axis) - 1 - (maximum ? flipped.argmax(axis, keeps) : flipped.argmin(axis, keeps));
}

at::Tensor joinedFrom(const at::Tensor& x, std::int64_t axis)
{
    std::int64_t rows = 1;
    for (std::int64_t i = 0; i < frontAxis(axis, x.dim()); ++i)
        rows *= x.size(i);
    return x.reshape({rows, -1});
}

at::Tensor hardMaximum(const at::Tensor& x, std::int64_t axis, bool joins)
{
    const auto flat = joins ? joinedFrom(x, axis) : x;
    const auto along = joins ? 1 : axis;
    return at::zeros_like(flat).scatter(along, flat.argmax(along, true), 1).reshape(x.sizes());
}

at::Tensor softmaxJoined(const at::Tensor& x, std::int64_t axis, bool logarithm)
{
    const auto flat = joinedFrom(x, axis);
    return (logarithm ? flat.log_softmax(1) : flat.softmax(1)).reshape(x.sizes());
}

}  // namespace

void registerOnnxIndices(torch::Library& library)
{
    library.def("onnx_wrap_indices(Tensor indices, int count) -> Tensor", wrapIndices);
    library.def("onnx_gather(Tensor x, Tensor indices, int axis) -> Tensor", gathered);
    library.def("onnx_gather_elements(Tensor x, Tensor indices, int axis) -> Tensor", gatheredElements);
    library.def("onnx_gather_nd(Tensor x, Tensor indices, int batch_axes) -> Tensor", gatheredNd);
    library.def("onnx_scatter_elements(Tensor x, Tensor indices, Tensor updates, int axis, str reduction) -> Tensor", scatteredElements);
    library.def("onnx_scatter_nd(Tensor x, Tensor indices, Tensor updates, str reduction) -> Tensor", scatteredNd);
    library.def("onnx_one_hot(Tensor indices, int depth, Tensor values, int axis) -> Tensor", oneHot);
    library.def("onnx_compress(Tensor x, Tensor condition, int axis) -> Tensor", compressed);
    library.def("onnx_unique(Tensor x, int? axis, bool sorted) -> (Tensor, Tensor, Tensor, Tensor)", uniqueOf);
    library.def("onnx_topk(Tensor x, int k, int axis, bool largest, bool sorted) -> (Tensor, Tensor)", topValues);
    library.def("onnx_cumsum(Tensor x, int axis, bool exclusive, bool reverse) -> Tensor", cumulativeSum);
    library.def("onnx_reverse_sequence(Tensor x, Tensor lengths, int time_axis, int batch_axis) -> Tensor", reverseSequences);
    library.def("onnx_sum_or_none(Tensor x, int[] axes, bool keepdim) -> Tensor", sumOrNone);
    library.def("onnx_reduce_prod(Tensor x, int[] axes, bool keepdim) -> Tensor", productOver);
    library.def("onnx_logsumexp(Tensor x, int[] axes, bool keepdim) -> Tensor", logSumExp);
    library.def("onnx_last_extremum(Tensor x, int axis, bool keepdim, bool maximum) -> Tensor", lastExtremum);
    library.def("onnx_hardmax(Tensor x, int axis, bool joins) -> Tensor", hardMaximum);
    library.def("onnx_softmax_joined(Tensor x, int axis, bool logarithm) -> Tensor", softmaxJoined);
}

}  // namespace orrery::kernels
