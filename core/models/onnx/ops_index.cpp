// Operators that pick elements and put them.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace indexing {

bool gatherSizes(Call& c)
{
    const Term& x = c.in(0);
    const auto known = c.known(1);
    if (!x.hasItems || x.isSequence() || !known || x.rank != 1)
        return false;
    std::vector<Term> chosen;
    const auto count = std::int64_t(x.items.size());
    for (const auto index : *known) {
        if (index < -count || index >= count)
            c.fail(fmt::format("expected an index below {}, found {}", count, index));
        chosen.push_back(x.items[std::size_t(index < 0 ? index + count : index)]);
    }
    if (c.in(1).rank.value_or(2) > 1)
        return false;
    c.out(sizesTerm(std::move(chosen), *c.in(1).rank));
    return true;
}

// A row of a table for each index: what embeddings are.
bool isEmbedding(const Term& table, const Term& indices, std::int64_t axis)
{
    return axis == 0 && table.isConstant() && !table.foldable && table.constant.dim() == 2 && table.constant.is_floating_point() && indices.isValue();
}

void gather(Call& c)
{
    if (gatherSizes(c))
        return;
    const Term &x = c.in(0), &indices = c.in(1);
    const auto axis = c.integer("axis", 0);
    if (isEmbedding(x, indices, axis))
        return c.out(c.emit("aten::embedding", {x, c.emit("orrery::onnx_wrap_indices", {indices, x.constant.size(0)})}));
    const auto known = c.known(1);
    if (known && known->size() == 1 && indices.rank == 0)
        return c.out(c.emit("aten::select.int", {x, axis, (*known)[0]}));
    Term result = c.emit("orrery::onnx_gather", {x, indices, axis});
    if (x.rank && indices.rank)
        result.rank = *x.rank + *indices.rank - 1;
    c.out(result);
}

void gatherElements(Call& c)
{
    Term result = c.emit("orrery::onnx_gather_elements", {c.in(0), c.in(1), c.integer("axis", 0)});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void gatherNd(Call& c)
{
    c.out(c.emit("orrery::onnx_gather_nd", {c.in(0), c.in(1), c.integer("batch_dims", 0)}));
}

void scatterElements(Call& c)
{
    Term result = c.emit("orrery::onnx_scatter_elements", {c.in(0), c.in(1), c.in(2), c.integer("axis", 0), c.text("reduction", "none").c_str()});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void scatterNd(Call& c)
{
    Term result = c.emit("orrery::onnx_scatter_nd", {c.in(0), c.in(1), c.in(2), c.text("reduction", "none").c_str()});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void oneHot(Call& c)
{
    Term result = c.emit("orrery::onnx_one_hot", {c.in(0), c.oneInt(c.in(1)), c.in(2), c.integer("axis", -1)});
    result.dtype = c.in(2).dtype;
    c.out(result);
}

void nonZero(Call& c)
{
    c.out(c.emit("aten::transpose.int", {c.emit("aten::nonzero", {c.in(0)}), 0, 1}));
}

void topK(Call& c)
{
    const Term k = c.hasAttribute("k") ? Term(c.integer("k", 1)) : c.oneInt(c.in(1));
    auto results = c.emitAll("orrery::onnx_topk", {c.in(0), k, c.integer("axis", -1), c.integer("largest", 1) != 0, c.integer("sorted", 1) != 0});
    for (auto& each : results)
        each.rank = c.in(0).rank;
    results[0].dtype = c.in(0).dtype;
    results[1].dtype = at::kLong;
    c.out(0, results[0]);
    c.out(1, results[1]);
}

void compress(Call& c)
{
    const bool flat = !c.hasAttribute("axis");
    const Term x = flat ? c.emit("aten::flatten.using_ints", {c.in(0), 0, -1}) : c.in(0);
    Term result = c.emit("orrery::onnx_compress", {x, c.in(1), c.integer("axis", 0)});
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void unique(Call& c)
{
    const Term axis = c.hasAttribute("axis") ? Term(c.integer("axis", 0)) : Term(nullptr);
    auto results = c.emitAll("orrery::onnx_unique", {c.in(0), axis, c.integer("sorted", 1) != 0});
    for (std::size_t i = 0; i < results.size(); ++i) {
        results[i].dtype = i == 0 ? c.in(0).dtype : at::kLong;
        c.out(i, results[i]);
    }
}

void cumulativeSum(Call& c)
{
    Term result = c.emit("orrery::onnx_cumsum", {c.in(0), c.oneInt(c.in(1)), c.integer("exclusive", 0) != 0, c.integer("reverse", 0) != 0});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void reverseSequence(Call& c)
{
    Term result = c.emit("orrery::onnx_reverse_sequence", {c.in(0), c.in(1), c.integer("time_axis", 0), c.integer("batch_axis", 1)});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

}  // namespace indexing

std::span<const Entry> indexOperators()
{
    using namespace indexing;
    static const Entry kEntries[] = {
        {"Compress", compress},       {"CumSum", cumulativeSum},
        {"Gather", gather},           {"GatherElements", gatherElements},
        {"GatherND", gatherNd},       {"NonZero", nonZero},
        {"OneHot", oneHot},           {"ReverseSequence", reverseSequence},
        {"Scatter", scatterElements}, {"ScatterElements", scatterElements},
        {"ScatterND", scatterNd},     {"TopK", topK},
        {"Unique", unique},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
