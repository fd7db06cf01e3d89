#include "memory_format.h"

#include <set>

namespace orrery::graph {
namespace {

bool convolves(const Node& node)
{
    return node.op == "aten::conv2d" || node.op == "aten::_convolution" || node.op == "aten::convolution";
}

bool readsStrides(const Node& node)
{
    static const std::set<std::string> kNames = {"aten::view",          "aten::view_as",       "aten::_unsafe_view", "aten::as_strided",
                                                 "aten::stride",        "aten::unfold",        "aten::resize_",      "aten::set_",
                                                 "aten::is_contiguous", "aten::storage_offset"};
    const bool isKnown = node.op.starts_with("aten::") || node.op.starts_with("prim::");
    return !isKnown || kNames.count(node.op);
}

}  // namespace

bool allowsChannelsLast(const Graph& graph)
{
    const auto& nodes = graph.allNodes();
    return std::any_of(nodes.begin(), nodes.end(), [](const auto* node) { return convolves(*node); }) &&
           std::none_of(nodes.begin(), nodes.end(), [](const auto* node) { return readsStrides(*node); });
}

at::Tensor withChannelsLast(const at::Tensor& x)
{
    const bool isPicture = x.dim() == 4 && x.scalar_type() == at::kFloat && x.device().is_cpu() && x.layout() == at::kStrided;
    return isPicture ? x.contiguous(at::MemoryFormat::ChannelsLast) : x;
}

}  // namespace orrery::graph
