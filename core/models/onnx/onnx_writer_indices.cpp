// Choosing and placing by index as operators of ONNX.
#include <ATen/ATen.h>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;

void select(OnnxWriter& w, const Node& n)
{
    const auto axis = attributeOf("axis", w.axis(n, 1, 0));
    if (w.known(n, 2))
        return w.give(n, "Gather", {w.use(n.inputs[0]), w.scalar(double(w.literalInt(n, 2)), at::kLong)}, {axis});
    w.give(n, "Squeeze", {w.add("Gather", {w.use(n.inputs[0]), w.use(n.inputs[2])}, {axis}), w.ints({w.axis(n, 1, 0)})});
}

void gatherAlong(OnnxWriter& w, const Node& n)
{
    w.give(n, "GatherElements", {w.use(n.inputs[0]), w.use(n.inputs[2])}, {attributeOf("axis", w.axis(n, 1, 0))});
}

void indexSelect(OnnxWriter& w, const Node& n)
{
    w.give(n, "Gather", {w.use(n.inputs[0]), w.use(n.inputs[2])}, {attributeOf("axis", w.axis(n, 1, 0))});
}

/// The tensors of an index list with their axes: x[:, i, j].
std::vector<std::pair<std::int64_t, graph::Operand>> indexTensors(const OnnxWriter& w, const Node& n)
{
    const auto* list = n.inputs[1].isConstant() ? nullptr : w.graph().producer(n.inputs[1].value);
    if (!list || list->op != "prim::ListConstruct")
        w.refuse(n, "its list is not put together in the graph");
    std::vector<std::pair<std::int64_t, graph::Operand>> found;
    for (std::size_t i = 0; i < list->inputs.size(); ++i)
        if (!w.isNone(*list, i))
            found.emplace_back(std::int64_t(i), list->inputs[i]);
    return found;
}

// Several tensors are broadcast together and follow each other from the first axis on.
void indexed(OnnxWriter& w, const Node& n)
{
    const auto tensors = indexTensors(w, n);
    if (tensors.size() == 1 && tensors[0].first == 0 && w.seen(tensors[0].second).dtype == at::kBool) {
        const auto places =
            w.add("Transpose", {w.add("NonZero", {w.use(tensors[0].second)})}, {attributeOf("perm", std::vector<std::int64_t>{1, 0})});
        return w.give(n, "GatherND", {w.use(n.inputs[0]), places});
    }
    for (const auto& [axis, tensor] : tensors)
        if (w.seen(tensor).dtype == at::kBool)
            w.refuse(n, "a mask beside other indices");
    if (tensors.size() == 1)
        return w.give(n, "Gather", {w.use(n.inputs[0]), w.use(tensors[0].second)}, {attributeOf("axis", tensors[0].first)});
    std::string sum;
    for (const auto& [axis, tensor] : tensors)
        sum = sum.empty() ? w.use(tensor) : w.add("Add", {sum, w.use(tensor)});
    const auto shape = w.add("Shape", {sum});
    std::vector<std::string> columns;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (tensors[i].first != std::int64_t(i))
            w.refuse(n, "indices that do not begin at the first axis");
        columns.push_back(w.add("Unsqueeze", {w.add("Expand", {w.use(tensors[i].second), shape}), w.ints({-1})}));
    }
    w.give(n, "GatherND", {w.use(n.inputs[0]), w.add("Concat", columns, {attributeOf("axis", std::int64_t(-1))})});
}

OperatorWriter scattered(const char* reduction)
{
    return [reduction](OnnxWriter& w, const Node& n) {
        const bool isNumber = n.overload == "value";
        if (n.overload != "src" && !n.overload.empty() && !isNumber)
            w.refuse(n, "this overload is not known");
        const auto places = w.use(n.inputs[2]);
        const auto values = isNumber ? w.add("Expand", {w.operand(n, 3, w.typeOf(n)), w.add("Shape", {places})}) : w.use(n.inputs[3]);
        std::vector<io::OnnxAttribute> attributes = {attributeOf("axis", w.axis(n, 1, 0))};
        if (std::string(reduction) != "none")
            attributes.push_back(attributeOf("reduction", std::string(reduction)));
        w.give(n, "ScatterElements", {w.use(n.inputs[0]), places, values}, attributes);
    };
}

void firstOfSorted(OnnxWriter& w, const Node& n)
{
    w.giveAll(n, "TopK", {w.use(n.inputs[0]), w.use(n.inputs[1], at::kLong)},
              {attributeOf("axis", w.axis(n, 2, 0)), attributeOf("largest", std::int64_t(w.literalBool(n, 3))),
               attributeOf("sorted", std::int64_t(w.literalBool(n, 4)))},
              n.outputs.size());
}

}  // namespace

void addIndexWriters(WriterTable& table)
{
    table.insert({
        {"aten::gather", gatherAlong},
        {"aten::index", indexed},
        {"aten::index_select", indexSelect},
        {"aten::scatter", scattered("none")},
        {"aten::scatter_add", scattered("add")},
        {"aten::select", select},
        {"aten::topk", firstOfSorted},
        {"orrery::onnx_topk", firstOfSorted},
    });
}

}  // namespace orrery::models::onnx
