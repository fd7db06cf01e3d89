// What attention needs: products of batches of matrices, other orders of axes, broadcasting, look-ups, parts of lists.
#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>

#include "c_program.h"

namespace orrery::models {
namespace {

using graph::Node;
using graph::ValueId;
using AxisSizes = std::vector<std::int64_t>;

/// The kernels walk over so many axes.
constexpr std::size_t kAxes = 6;

AxisSizes stridesOf(const AxisSizes& sizes)
{
    AxisSizes strides(sizes.size(), 1);
    for (std::size_t i = sizes.size(); i-- > 1;)
        strides[i - 1] = strides[i] * sizes[i];
    return strides;
}

std::int64_t elementCount(const AxisSizes& sizes)
{
    std::int64_t count = 1;
    for (const auto size : sizes)
        count *= size;
    return count;
}

/// Strides by which an array is walked while it is broadcast to `to`: 0 along axes that it does not have or has once.
AxisSizes broadcastStrides(const AxisSizes& sizes, const AxisSizes& to)
{
    const AxisSizes own = stridesOf(sizes);
    AxisSizes strides(to.size(), 0);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        const std::size_t at = to.size() - sizes.size() + i;
        strides[at] = sizes[i] == to[at] ? own[i] : 0;
    }
    return strides;
}

/// Six numbers as arguments, filled up in front.
void addAxes(std::vector<std::variant<ValueId, std::string>>& arguments, const AxisSizes& numbers, std::int64_t fill)
{
    for (std::size_t i = numbers.size(); i < kAxes; ++i)
        arguments.emplace_back(std::to_string(fill));
    for (const auto each : numbers)
        arguments.emplace_back(std::to_string(each));
}

std::string floatText(double value)
{
    if (std::isinf(value))
        return value < 0 ? "-INFINITY" : "INFINITY";
    const auto text = core::formatNumber(double(float(value)));
    return text + (text.find_first_of(".e") == std::string::npos ? ".0f" : "f");
}

std::size_t axisAt(std::int64_t dim, std::size_t rank)
{
    return std::size_t(dim < 0 ? dim + std::int64_t(rank) : dim);
}

}  // namespace

bool CProgram::addProduct(const Node& node)
{
    const bool adds = node.op == "aten::baddbmm" || node.op == "aten::addmm";
    if (node.op != "aten::matmul" && node.op != "aten::bmm" && node.op != "aten::mm" && !adds)
        return false;
    const std::size_t first = adds ? 1 : 0;
    const auto &a = sizes(node, first), &b = sizes(node, first + 1), &out = m_sizes.at(node.outputs.at(0));
    if (a.size() < 2 || b.size() < 2)
        refuse(node, "of vectors is not supported");
    const std::int64_t rows = a[a.size() - 2], inner = a.back(), columns = b.back();
    const AxisSizes batchA(a.begin(), a.end() - 2), batchB(b.begin(), b.end() - 2);
    const std::int64_t countA = elementCount(batchA), countB = elementCount(batchB);
    const std::int64_t batch = elementCount(out) / std::max<std::int64_t>(rows * columns, 1);
    if ((countA != 1 && countA != batch) || (countB != 1 && countB != batch))
        refuse(node, "with batches that are broadcast axis by axis is not supported");
    std::vector<std::variant<ValueId, std::string>> arguments = {node.inputs[first].value, node.inputs[first + 1].value, node.outputs[0]};
    for (const auto each : {batch, rows, inner, columns, countA == 1 ? 0 : rows * inner, countB == 1 ? 0 : inner * columns})
        arguments.emplace_back(std::to_string(each));
    const double alpha = adds ? constant(node, 4).toScalar().toDouble() : 1;
    arguments.emplace_back(floatText(alpha));
    std::vector<ValueId> reads = {node.inputs[first].value, node.inputs[first + 1].value};
    if (!adds) {
        call(node, "matrix_product", std::move(reads), std::move(arguments));
        return true;
    }
    const auto& base = sizes(node, 0);
    reads.push_back(node.inputs[0].value);
    arguments.emplace_back(node.inputs[0].value);
    arguments.emplace_back(floatText(constant(node, 3).toScalar().toDouble()));
    addAxes(arguments, out, 1);
    addAxes(arguments, broadcastStrides(base, out), 0);
    call(node, "matrix_product_add", std::move(reads), std::move(arguments));
    return true;
}

bool CProgram::addFlip(const Node& node)
{
    if (node.op != "aten::flip")
        return false;
    const auto& x = sizes(node, 0);
    if (x.size() > kAxes)
        refuse(node, fmt::format("of more than {} axes is not supported", kAxes));
    AxisSizes turned(x.size(), 0);
    for (const auto dim : constant(node, 1).toIntVector())
        turned.at(axisAt(dim, x.size())) = 1;
    std::vector<std::variant<ValueId, std::string>> arguments = {node.inputs[0].value, node.outputs.at(0)};
    addAxes(arguments, x, 1);
    addAxes(arguments, turned, 0);
    call(node, "flip", {node.inputs[0].value}, std::move(arguments));
    return true;
}

// Sums and means over any axes; an empty list of them means all, as libtorch 1.13 has it.
bool CProgram::addReduction(const Node& node)
{
    const bool isMean = node.op == "aten::mean";
    if (!isMean && node.op != "aten::sum")
        return false;
    const auto &x = sizes(node, 0), &out = m_sizes.at(node.outputs.at(0));
    if (x.size() > kAxes)
        refuse(node, fmt::format("over more than {} axes is not supported", kAxes));
    if (!node.overload.empty() && node.overload != "dim" && node.overload != "dim_IntList")
        refuse(node, "is not supported in this overload");
    const auto dims = node.overload.empty() || constant(node, 1).isNone() ? AxisSizes() : constant(node, 1).toIntVector();
    AxisSizes kept = x;
    for (const auto dim : dims)
        kept.at(axisAt(dim, x.size())) = 1;
    if (dims.empty())
        kept.assign(x.size(), 1);
    std::vector<std::variant<ValueId, std::string>> arguments = {node.inputs[0].value, node.outputs[0]};
    const auto count = std::max<std::int64_t>(elementCount(out), 1);
    arguments.emplace_back(std::to_string(elementCount(out)));
    arguments.emplace_back(floatText(isMean ? double(count) / double(std::max<std::int64_t>(elementCount(x), 1)) : 1));
    addAxes(arguments, x, 1);
    addAxes(arguments, broadcastStrides(kept, x), 0);
    call(node, "sum_axes", {node.inputs[0].value}, std::move(arguments));
    return true;
}

bool CProgram::addPermutation(const Node& node)
{
    const bool transposes = node.op == "aten::transpose", permutes = node.op == "aten::permute", turns = node.op == "aten::t";
    const bool expands = node.op == "aten::expand" || node.op == "aten::expand_as";
    if (!transposes && !permutes && !turns && !expands)
        return false;
    const auto &x = sizes(node, 0), &out = m_sizes.at(node.outputs.at(0));
    if (out.size() > kAxes)
        refuse(node, fmt::format("of more than {} axes is not supported", kAxes));
    AxisSizes strides = expands ? broadcastStrides(x, out) : stridesOf(x);
    if (transposes)
        std::swap(strides.at(axisAt(constant(node, 1).toInt(), x.size())), strides.at(axisAt(constant(node, 2).toInt(), x.size())));
    if (turns && x.size() == 2)
        std::swap(strides[0], strides[1]);
    if (permutes) {
        const AxisSizes own = strides;
        const auto order = constant(node, 1).toIntVector();
        for (std::size_t i = 0; i < order.size(); ++i)
            strides.at(i) = own.at(axisAt(order[i], x.size()));
    }
    std::vector<std::variant<ValueId, std::string>> arguments = {node.inputs[0].value, node.outputs[0]};
    addAxes(arguments, out, 1);
    addAxes(arguments, strides, 0);
    call(node, "strided", {node.inputs[0].value}, std::move(arguments));
    return true;
}

/// Arithmetic of two arrays that broadcast. Same shapes have kernels of their own.
bool CProgram::addBroadcast(const Node& node)
{
    static const std::map<std::string, int> kKinds = {{"aten::add", 0},     {"aten::add_", 0},        {"aten::sub", 0},         {"aten::mul", 1},
                                                      {"aten::mul_", 1},    {"aten::div", 2},         {"aten::div_", 2},        {"aten::maximum", 3},
                                                      {"aten::minimum", 4}, {"aten::masked_fill", 5}, {"aten::masked_fill_", 5}};
    const auto kind = kKinds.find(node.op);
    if (kind == kKinds.end() || node.inputs.size() < 2 || node.inputs[1].isConstant() || !m_sizes.count(node.inputs[1].value))
        return false;
    const auto& out = m_sizes.at(node.outputs.at(0));
    if (out.size() > kAxes)
        refuse(node, fmt::format("of more than {} axes is not supported", kAxes));
    double factor = 1;
    if (kind->second == 0 && node.inputs.size() > 2)
        factor = constant(node, 2).toScalar().toDouble();
    if (node.op == "aten::sub")
        factor = -factor;
    if (kind->second == 2 && node.inputs.size() > 2 && !constant(node, 2).isNone())
        refuse(node, "with rounding is not supported");
    if (kind->second == 5)
        factor = constant(node, 2).toScalar().toDouble();
    const ValueId a = node.inputs[0].value, b = node.inputs[1].value;
    std::vector<std::variant<ValueId, std::string>> arguments = {a, b, node.outputs[0], std::to_string(kind->second), floatText(factor)};
    addAxes(arguments, out, 1);
    addAxes(arguments, broadcastStrides(sizes(node, 0), out), 0);
    addAxes(arguments, broadcastStrides(sizes(node, 1), out), 0);
    call(node, "broadcast", {a, b}, std::move(arguments), sizes(node, 0) == out);
    return true;
}

bool CProgram::addLookUp(const Node& node)
{
    if (node.op != "aten::embedding")
        return false;
    const auto &table = sizes(node, 0), &indices = sizes(node, 1);
    call(node, "look_up", {node.inputs[0].value, node.inputs[1].value},
         {node.inputs[0].value, node.inputs[1].value, node.outputs[0], std::to_string(elementCount(indices)), std::to_string(table.at(1)),
          std::to_string(table.at(0))});
    return true;
}

/// The items of a list that an operator cuts a tensor into.
bool CProgram::addParts(const Node& node)
{
    if (node.op != "prim::ListUnpack" || node.inputs.at(0).isConstant())
        return false;
    const auto* list = m_model.graph->producer(node.inputs[0].value);
    const bool unbinds = list && list->op == "aten::unbind";
    if (!unbinds && !(list && (list->op == "aten::split" || list->op == "aten::chunk" || list->op == "aten::split_with_sizes")))
        return false;
    const auto& x = sizes(*list, 0);
    const std::size_t axis = axisAt(constant(*list, unbinds ? 1 : 2).toInt(), x.size());
    const AxisSizes strides = stridesOf(x);
    std::int64_t at = 0;
    for (const auto output : node.outputs) {
        const std::int64_t size = unbinds ? 1 : m_sizes.at(output).at(axis);
        std::vector<std::variant<ValueId, std::string>> arguments = {list->inputs[0].value, output};
        for (const auto each :
             {elementCount(AxisSizes(x.begin(), x.begin() + std::ptrdiff_t(axis))), x[axis], size, strides[axis], at, std::int64_t(1)})
            arguments.emplace_back(std::to_string(each));
        callFor(node, output, "stride_copy", {list->inputs[0].value}, std::move(arguments));
        at += size;
    }
    return true;
}

/// Functions of one number that have a kernel of the C library's name.
bool CProgram::addFunction(const Node& node)
{
    static const std::map<std::string, std::string> kFunctions = {{"aten::exp", "expf"},  {"aten::log", "logf"},    {"aten::sqrt", "sqrtf"},
                                                                  {"aten::abs", "fabsf"}, {"aten::sin", "sinf"},    {"aten::cos", "cosf"},
                                                                  {"aten::erf", "erff"},  {"aten::floor", "floorf"}};
    const auto found = kFunctions.find(node.op);
    const auto count = std::to_string(elementCount(m_sizes.at(node.outputs.at(0))));
    const ValueId x = node.inputs.empty() || node.inputs[0].isConstant() ? -1 : node.inputs[0].value;
    if (found != kFunctions.end()) {
        call(node, "apply", {x}, {x, node.outputs[0], count, found->second}, true);
        return true;
    }
    if (node.op == "aten::neg" || node.op == "aten::rsub") {
        const bool negates = node.op == "aten::neg";
        if (!negates && !node.inputs.at(1).isConstant())
            return false;
        const double shift = negates ? 0 : constant(node, 1).toScalar().toDouble(), factor = negates ? 1 : constant(node, 2).toScalar().toDouble();
        call(node, "affine", {x}, {x, node.outputs[0], count, floatText(-factor), floatText(shift)}, true);
        return true;
    }
    if ((node.op != "aten::pow" && node.op != "aten::rsqrt") || (node.op == "aten::pow" && node.overload != "Tensor_Scalar"))
        return false;
    const double power = node.op == "aten::pow" ? constant(node, 1).toScalar().toDouble() : -0.5;
    call(node, "powers", {x}, {x, node.outputs[0], count, floatText(power)}, true);
    return true;
}

void CProgram::findConstants(const std::map<ValueId, at::Tensor>& values)
{
    // What is asked of a tensor here is its kind, not its numbers.
    static const std::set<std::string> kKindOnly = {"aten::new_full",   "aten::new_zeros", "aten::new_ones",
                                                    "aten::zeros_like", "aten::ones_like", "aten::full_like"};
    std::set<ValueId> varying;
    for (const auto& input : m_model.graph->data().inputs)
        varying.insert(input.value);
    for (const auto& node : m_model.graph->nodes()) {
        const bool varies = !kKindOnly.count(node.op) && std::any_of(node.inputs.begin(), node.inputs.end(), [&](const auto& input) {
            return !input.isConstant() && varying.count(input.value) && (!m_numbers.count(input.value) || m_numbers.at(input.value).isTensorList());
        });
        for (const auto output : node.outputs) {
            const auto value = values.find(output);
            if (varies)
                varying.insert(output);
            else if (value != values.end()) {
                m_constants[output] = value->second.to(at::kFloat).contiguous();
                m_sizes[output] = value->second.sizes().vec();
            }
        }
    }
}

}  // namespace orrery::models
