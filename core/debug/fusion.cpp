#include <algorithm>
#include <map>
#include <set>

#include <core/base/text.h>

#include "profile.h"

namespace orrery::debug {
namespace {

std::string baseOp(const graph::Node& node)
{
    const auto at = node.op.find("::");
    std::string name = node.op.substr(at == std::string::npos ? 0 : at + 2);
    while (name.ends_with('_'))
        name.pop_back();
    return name;
}

bool isElementwise(const std::string& op)
{
    static const std::set<std::string> kOps = {
        "add",        "sub",      "rsub",      "mul",        "div",         "neg",     "abs",       "exp",       "log",      "sqrt",        "rsqrt",
        "pow",        "square",   "tanh",      "sigmoid",    "relu",        "relu6",   "gelu",      "silu",      "mish",     "elu",         "selu",
        "leaky_relu", "hardtanh", "hardswish", "softplus",   "hardsigmoid", "clamp",   "clamp_min", "clamp_max", "where",    "masked_fill", "dropout",
        "erf",        "sin",      "cos",       "reciprocal", "maximum",     "minimum", "addcmul",   "addcdiv",   "bias_gelu"};
    return kOps.count(op) > 0;
}

/// Needs whole rows, but no other rows: fused kernels for them are known (softmax and layer norm with what stands before and behind).
bool isRowwise(const std::string& op)
{
    static const std::set<std::string> kOps = {"softmax",           "log_softmax", "_softmax",   "_log_softmax", "layer_norm",
                                               "native_layer_norm", "batch_norm",  "group_norm", "rms_norm"};
    return kOps.count(op) > 0;
}

bool isProducer(const std::string& op)
{
    static const std::set<std::string> kOps = {"linear", "matmul", "mm",     "bmm",         "addmm",        "baddbmm",
                                               "conv1d", "conv2d", "conv3d", "convolution", "_convolution", "embedding"};
    return kOps.count(op) > 0;
}

class FusionSearch {
public:
    FusionSearch(const graph::Graph& graph, const std::vector<NodeCost>& costs) : m_graph(graph)
    {
        for (const auto& cost : costs)
            m_costs[cost.name] = &cost;
        for (const auto& output : graph.data().body.outputs)
            if (!output.isConstant())
                m_outputs.insert(output.value);
    }
    std::vector<std::vector<const graph::Node*>> chains()
    {
        std::vector<std::vector<const graph::Node*>> found;
        for (const auto& node : m_graph.nodes()) {
            const std::string op = baseOp(node);
            const bool begins = isProducer(op) || isElementwise(op) || isRowwise(op);
            if (!begins || m_taken.count(&node) || !m_costs.count(node.name))
                continue;
            std::vector<const graph::Node*> chain = {&node};
            while (const graph::Node* next = successor(*chain.back()))
                chain.push_back(next);
            if (chain.size() < 2)
                continue;
            m_taken.insert(chain.begin(), chain.end());
            found.push_back(std::move(chain));
        }
        return found;
    }
    const NodeCost& cost(const graph::Node& node) const { return *m_costs.at(node.name); }

private:
    /// The one reader of a node's one output, if it can be done in the same pass.
    const graph::Node* successor(const graph::Node& node) const
    {
        if (node.outputs.size() != 1 || m_outputs.count(node.outputs[0]))
            return nullptr;
        const auto& users = m_graph.users(node.outputs[0]);
        if (users.empty() || std::any_of(users.begin(), users.end(), [&](const auto* user) { return user != users.front(); }))
            return nullptr;
        const graph::Node* next = users.front();
        const std::string op = baseOp(*next);
        if (!(isElementwise(op) || isRowwise(op)) || m_taken.count(next) || !m_costs.count(next->name) || !next->blocks.empty())
            return nullptr;
        // The chain runs through the larger operand: a small one that is broadcast is computed once, not in the pass.
        return m_costs.at(node.name)->shape == m_costs.at(next->name)->shape ? next : nullptr;
    }
    const graph::Graph& m_graph;
    std::map<std::string, const NodeCost*> m_costs;
    std::set<graph::ValueId> m_outputs;
    std::set<const graph::Node*> m_taken;
};

}  // namespace

std::vector<FusionCandidate> fusionCandidates(const graph::Graph& graph, const std::vector<NodeCost>& costs, const std::optional<MachinePeaks>& peaks)
{
    FusionSearch search(graph, costs);
    std::vector<FusionCandidate> found;
    for (const auto& chain : search.chains()) {
        FusionCandidate candidate;
        std::vector<std::string> operators;
        for (std::size_t i = 0; i < chain.size(); ++i) {
            const NodeCost& cost = search.cost(*chain[i]);
            candidate.nodes.push_back(chain[i]->name);
            operators.push_back(baseOp(*chain[i]));
            candidate.bytes += cost.bytes();
            if (i + 1 < chain.size())
                candidate.savedBytes += 2 * cost.bytesWritten;  // written once here, read once by the next
        }
        candidate.pattern = core::join(operators, " + ");
        if (peaks && peaks->bandwidth > 0)
            candidate.savedSeconds = double(candidate.savedBytes) / (peaks->bandwidth * 1e9);
        if (candidate.savedBytes > 0)
            found.push_back(std::move(candidate));
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.savedBytes > b.savedBytes; });
    return found;
}

}  // namespace orrery::debug
