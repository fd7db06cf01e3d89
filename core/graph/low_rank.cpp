#include "low_rank.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <core/base/error.h>

namespace orrery::graph {
namespace {

// aten::linear(input, weight, bias), aten::conv2d(input, weight, bias, stride, padding, dilation, groups)
enum LayerInput { kWeightOf = 1, kBiasOf = 2, kStrideOf = 3, kGroupsOf = 6 };

/// 1 to 3 for convolutions over so many axes, else 0.
std::size_t convolutionAxes(const Node& node)
{
    for (const std::size_t axes : {1, 2, 3})
        if (node.op == fmt::format("aten::conv{}d", axes) && node.inputs.size() > kGroupsOf)
            return axes;
    return 0;
}

bool isPlainConvolution(const Node& node)
{
    return convolutionAxes(node) > 0 && node.inputs[kGroupsOf].isConstant() && node.inputs[kGroupsOf].constant.isInt() &&
           node.inputs[kGroupsOf].constant.toInt() == 1;
}

/// The factors of a weight [out, in, ...], and their values in the new graph.
struct Factors {
    at::Tensor in, out;
    ValueId inValue = -1, outValue = -1;
    LowRankWeight report;
};

class Factoriser {
public:
    Factoriser(const Graph& graph, const Weights& weights, const LowRankSettings& settings)
        : m_graph(graph), m_weights(weights), m_settings(settings), m_data(graph.data())
    {
        for (const auto& [alias, name] : m_data.aliases)
            m_named.insert(name);
        noteOutputs(m_data.body);
        for (const Node* node : graph.allNodes())
            for (const auto& block : node->blocks)
                noteOutputs(block);
    }
    LowRankModel run(std::stop_token stop, const std::function<void(double, double)>& progress);

private:
    void noteOutputs(const Block& block)
    {
        for (const auto& output : block.outputs)
            if (!output.isConstant())
                m_outputs.insert(output.value);
    }
    bool onlyLayersRead(ValueId id, bool turned) const;
    bool isChosen(const Parameter& parameter) const;
    std::optional<Factors> factorsOf(const Parameter& parameter) const;
    Parameter stored(const Parameter& like, const std::string& name, const at::Tensor& tensor, ValueId id);
    void takeApart(Block& block);
    std::pair<Node, Node> taken(const Node& node, const Factors& factors);
    const Graph& m_graph;
    const Weights& m_weights;
    LowRankSettings m_settings;
    GraphData m_data;
    Weights m_made;
    std::set<std::string> m_named;
    std::set<ValueId> m_outputs;
    std::map<ValueId, Factors> m_factors;  ///< by the value that the weight was
    std::map<ValueId, ValueId> m_turned;   ///< a transposed weight -> the weight
};

/// Linear layers and convolutions, as their weight. `turned`: through a transposition, as checkpoints keep that hold [in, out].
bool Factoriser::onlyLayersRead(ValueId id, bool turned) const
{
    const auto& users = m_graph.users(id);
    return !users.empty() && m_outputs.count(id) == 0 && std::all_of(users.begin(), users.end(), [&](const Node* node) {
        const auto reads = std::count_if(node->inputs.begin(), node->inputs.end(), [&](const Operand& each) { return each.value == id; });
        if (reads != 1 || node->outputs.size() != 1)
            return false;
        if (node->op == "aten::t" && !turned)
            return onlyLayersRead(node->outputs[0], true);
        const bool isLayer = (node->op == "aten::linear" && node->inputs.size() == 3) || (!turned && isPlainConvolution(*node));
        return isLayer && node->inputs[kWeightOf].value == id && !m_graph.findValue(node->name + ".low_rank");
    });
}

bool Factoriser::isChosen(const Parameter& parameter) const
{
    const at::Tensor& weight = m_weights.at(parameter.name);
    return parameter.kind == Parameter::Kind::Parameter && at::isFloatingType(weight.scalar_type()) && weight.dim() >= 2 && weight.numel() > 0 &&
           m_named.count(parameter.name) == 0 && onlyLayersRead(parameter.value, false);
}

/// Nothing where the factors would not need fewer multiplications.
std::optional<Factors> Factoriser::factorsOf(const Parameter& parameter) const
{
    const at::Tensor& weight = m_weights.at(parameter.name);
    const auto& users = m_graph.users(parameter.value);
    const bool turned = users.front()->op == "aten::t";
    if (std::any_of(users.begin(), users.end(), [&](const Node* user) { return (user->op == "aten::t") != turned; }))
        return {};
    const at::Tensor matrix = (turned ? weight.t() : weight.reshape({weight.size(0), -1})).to(at::kCPU, at::kDouble);
    if (!matrix.isfinite().all().item<bool>())
        throw core::InputError(parameter.name + ": holds a number that is not finite, so it has no singular values");
    Factors factors;
    auto& report = factors.report;
    report = {parameter.name, matrix.size(0), matrix.size(1), 0, 0, 0};
    // The largest rank that saves something is known before the singular values are.
    const auto saves = [&](std::int64_t rank) { return rank * (report.rows + report.columns) < report.rows * report.columns; };
    if (!saves(1))
        return {};
    const auto [u, s, v] = at::linalg_svd(matrix, false);
    const at::Tensor squares = s.square(), left = squares.sum() - squares.cumsum(0);
    report.norm = std::sqrt(squares.sum().item<double>());
    const double most = (1 - m_settings.energy) * squares.sum().item<double>();
    report.rank = 1;
    while (report.rank < s.size(0) && left[report.rank - 1].item<double>() > most)
        ++report.rank;
    if (m_settings.energy >= 1)
        report.rank = s.size(0);
    if (m_settings.rank > 0)
        report.rank = std::min(report.rank, m_settings.rank);
    if (!saves(report.rank))
        return {};
    report.dropped = std::sqrt(squares.slice(0, report.rank).sum().item<double>());
    // Both factors get a root of each singular value, so that neither has numbers of another size.
    const at::Tensor roots = s.slice(0, 0, report.rank).sqrt();
    auto inShape = weight.sizes().vec(), outShape = std::vector<std::int64_t>(std::size_t(weight.dim()), 1);
    if (turned)
        inShape = {report.rank, report.columns};
    inShape[0] = outShape[1] = report.rank;
    outShape[0] = report.rows;
    factors.in = (roots.unsqueeze(1) * v.slice(0, 0, report.rank)).reshape(inShape).to(weight.device(), weight.scalar_type()).contiguous();
    factors.out = (u.slice(1, 0, report.rank) * roots).reshape(outShape).to(weight.device(), weight.scalar_type()).contiguous();
    return factors;
}

Parameter Factoriser::stored(const Parameter& like, const std::string& name, const at::Tensor& tensor, ValueId id)
{
    Parameter made = like;
    made.name = name;
    made.value = id;
    made.shape = tensor.sizes().vec();
    made.init = nullptr;
    m_made.set(name, tensor);
    return made;
}

/// The first layer keeps windows and strides, the second the bias, the name and the output.
std::pair<Node, Node> Factoriser::taken(const Node& node, const Factors& factors)
{
    Node first = node, second = node;
    const auto between = ValueId(m_data.values.size());
    m_data.values.push_back({node.name + ".low_rank", "Tensor"});
    first.name = node.name + ".low_rank";
    first.outputs = {between};
    first.inputs[kWeightOf] = Operand::of(factors.inValue);
    first.inputs[kBiasOf] = Operand::literal({});
    second.inputs[0] = Operand::of(between);
    second.inputs[kWeightOf] = Operand::of(factors.outValue);
    if (const auto axes = convolutionAxes(node)) {
        const std::vector<std::int64_t> ones(axes, 1), zeros(axes, 0);
        second.overload.clear();  // padding by a word is the first one's
        for (const auto& [place, numbers] : {std::pair(std::size_t(kStrideOf), ones), {kStrideOf + 1, zeros}, {kStrideOf + 2, ones}})
            second.inputs[place] = Operand::literal(numbers);
    }
    return {std::move(first), std::move(second)};
}

void Factoriser::takeApart(Block& block)
{
    std::vector<Node> nodes;
    for (Node node : std::exchange(block.nodes, {})) {
        for (auto& inner : node.blocks)
            takeApart(inner);
        if (node.op == "aten::t" && m_factors.count(node.inputs[0].value)) {
            m_turned[node.outputs[0]] = node.inputs[0].value;
            continue;
        }
        const bool isLayer = node.op == "aten::linear" || convolutionAxes(node) > 0;
        ValueId weight = isLayer ? node.inputs[kWeightOf].value : -1;
        if (const auto turned = m_turned.find(weight); turned != m_turned.end())
            weight = turned->second;
        const auto found = m_factors.find(weight);
        if (found == m_factors.end()) {
            nodes.push_back(std::move(node));
            continue;
        }
        auto [first, second] = taken(node, found->second);
        nodes.push_back(std::move(first));
        nodes.push_back(std::move(second));
    }
    block.nodes = std::move(nodes);
}

LowRankModel Factoriser::run(std::stop_token stop, const std::function<void(double, double)>& progress)
{
    const auto before = std::exchange(m_data.parameters, {});
    std::vector<LowRankWeight> reports;
    for (std::size_t i = 0; i < before.size(); ++i) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const Parameter& parameter = before[i];
        auto factors = isChosen(parameter) ? factorsOf(parameter) : std::nullopt;
        if (factors && !m_graph.findValue(parameter.name + "_in") && !m_graph.findValue(parameter.name + "_out")) {
            // The weight's own value becomes the first factor's.
            factors->inValue = parameter.value;
            m_data.values[std::size_t(parameter.value)].name = parameter.name + "_in";
            factors->outValue = ValueId(m_data.values.size());
            m_data.values.push_back({parameter.name + "_out", "Tensor"});
            m_data.parameters.push_back(stored(parameter, parameter.name + "_in", factors->in, factors->inValue));
            m_data.parameters.push_back(stored(parameter, parameter.name + "_out", factors->out, factors->outValue));
            reports.push_back(factors->report);
            m_factors.emplace(parameter.value, std::move(*factors));
        } else {
            m_data.parameters.push_back(parameter);
            m_made.set(parameter.name, m_weights.at(parameter.name));
        }
        if (progress)
            progress(double(i + 1), double(before.size()));
    }
    takeApart(m_data.body);
    return {std::make_shared<const Graph>(std::move(m_data)), std::move(m_made), std::move(reports)};
}

}  // namespace

LowRankModel lowRank(const GraphPtr& graph, const Weights& weights, const LowRankSettings& settings, std::stop_token stop,
                     const std::function<void(double, double)>& progress)
{
    if (!(settings.energy > 0 && settings.energy <= 1))
        throw core::InputError(fmt::format("energy: expected a share above 0 and at most 1, got {}", settings.energy));
    if (settings.rank < 0)
        throw core::InputError(fmt::format("rank: expected a whole number of at least 0, got {}", settings.rank));
    const at::NoGradGuard noGrad;
    return Factoriser(*graph, weights, settings).run(stop, progress);
}

}  // namespace orrery::graph
