#include "affine_units.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace orrery::debug {
namespace {

using graph::Node;
using graph::Operand;

/// Weights this close are one weight: folding rounds in float32, halves of a network are kept in 16 bits.
constexpr double kSameWeight = 2e-3;

at::Tensor signs(at::IntArrayRef shape, std::uint64_t seed)
{
    return at::randint(0, 2, shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat)).mul_(2).sub_(1);
}

/// The numbers of a weight that stay while channel-wise factors and biases are applied.
class Sketcher {
public:
    /// @param weight  [out, ...], floating.
    explicit Sketcher(const at::Tensor& weight)
    {
        const at::Tensor rows = weight.reshape({weight.size(0), -1}).to(weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
        m_projected = at::matmul(rows, signs({rows.size(1), WeightSketch::kCount}, 1).to(rows.scalar_type())).to(at::kDouble);
        m_rowNorms = at::linalg_vector_norm(rows, 2, at::IntArrayRef{1}).to(at::kDouble);
        m_rowSigns = signs({rows.size(0), WeightSketch::kCount}, 2).to(at::kDouble);
        m_biasSigns = signs({1, WeightSketch::kCount}, 3).to(at::kDouble);
    }
    WeightSketch of(const at::Tensor& scale, const at::Tensor& bias) const
    {
        WeightSketch out;
        const at::Tensor all =
            ((m_projected * scale.unsqueeze(1) + bias.unsqueeze(1) * m_biasSigns) * m_rowSigns).sum(at::IntArrayRef{0}).contiguous();
        std::copy_n(all.data_ptr<double>(), out.projections.size(), out.projections.begin());
        out.norm = std::sqrt((m_rowNorms * scale).square().sum().item<double>() + bias.square().sum().item<double>());
        return out;
    }

private:
    at::Tensor m_projected, m_rowNorms, m_rowSigns, m_biasSigns;
};

/// Follows one map through its channel-wise ends.
class UnitReader {
public:
    UnitReader(const ProgramLines& lines, const LineValues& values, const graph::Weights& weights)
        : m_lines(lines), m_values(values), m_weights(weights)
    {
    }

    std::optional<AffineUnit> at(int line)
    {
        const at::Tensor weight = readMap(*m_lines.line(line).node);
        if (!weight.defined() || weight.numel() == 0)
            return std::nullopt;
        m_unit.shape = weight.sizes().vec();
        m_unit.lines = {line};
        m_channels = weight.size(0);
        m_scale = at::ones({m_channels}, at::kDouble);
        if (!m_bias.defined())
            m_bias = at::zeros({m_channels}, at::kDouble);
        if (m_bias.numel() != m_channels)
            return std::nullopt;
        const Sketcher sketcher(weight);
        m_unit.sketches = {sketcher.of(m_scale, m_bias)};
        for (int next = onlyReader(line); next >= 0 && follow(*m_lines.line(next).node, m_unit.end()); next = onlyReader(next)) {
            m_unit.lines.push_back(next);
            m_unit.sketches.push_back(sketcher.of(m_scale, m_bias));
        }
        return m_unit;
    }

private:
    /// The tensor of a parameter; undefined: none, or nothing that floats.
    at::Tensor parameter(const Operand& operand) const
    {
        const auto* found = operand.isConstant() ? nullptr : m_lines.graph()->parameterOf(operand.value);
        const at::Tensor* tensor = found ? m_weights.find(found->name) : nullptr;
        return tensor && tensor->defined() && at::isFloatingType(tensor->scalar_type()) ? tensor->detach().to(at::kCPU) : at::Tensor();
    }
    at::Tensor channelTensor(const Operand& operand) const
    {
        const at::Tensor tensor = parameter(operand);
        return tensor.defined() ? tensor.to(at::kDouble).reshape(-1) : tensor;
    }
    /// A matrix, also where a node transposes it first. `transposed`: as the map asks for it.
    at::Tensor matrix(const Operand& operand, bool transposed) const
    {
        at::Tensor tensor = parameter(operand);
        if (const Node* maker = tensor.defined() || operand.isConstant() ? nullptr : m_lines.graph()->producer(operand.value);
            maker && canonicalOperator(*maker) == "permute" && !maker->inputs.empty()) {
            tensor = parameter(maker->inputs[0]);
            transposed = !transposed;
        }
        if (!tensor.defined() || tensor.dim() != 2)
            return {};
        return transposed ? tensor.t() : tensor;
    }
    /// Reads a bias. @return False where it is computed: the map is not one of fixed weights then.
    bool readBias(const Operand& operand)
    {
        if (operand.isConstant())
            return operand.constant.isNone();
        m_bias = channelTensor(operand);
        return m_bias.defined();
    }
    at::Tensor readMap(const Node& node)
    {
        if (node.outputs.empty() || node.inputs.size() < 2)
            return {};
        const bool adds = node.op == "aten::addmm";
        const Operand& data = node.inputs[adds ? 1 : 0];
        if (data.isConstant() || m_lines.graph()->parameterOf(data.value))
            return {};
        m_unit.reads = data.value;
        if (node.op.find("conv") != std::string::npos)
            return readConvolution(node);
        m_unit.what = "linear";
        if (node.op == "aten::linear")
            return node.inputs.size() < 3 || readBias(node.inputs[2]) ? matrix(node.inputs[1], false) : at::Tensor();
        if (canonicalOperator(node) == "matmul")
            return matrix(node.inputs[1], true);
        return adds && node.inputs.size() >= 3 && readBias(node.inputs[0]) ? matrix(node.inputs[2], true) : at::Tensor();
    }
    at::Tensor readConvolution(const Node& node)
    {
        const at::Tensor weight = parameter(node.inputs[1]);
        if (node.op.rfind("aten::", 0) != 0 || !weight.defined() || weight.dim() < 3 || node.inputs.size() < 3 || !readBias(node.inputs[2]))
            return {};
        bool transposed = node.op.find("transpose") != std::string::npos;
        if (const bool general = node.op == "aten::convolution" || node.op == "aten::_convolution"; general) {
            if (node.inputs.size() < 9 || !node.inputs[6].constant.isBool())
                return {};
            transposed = node.inputs[6].constant.toBool();
        }
        m_spatial = int(weight.dim()) - 2;
        m_unit.what = (transposed ? "conv_transpose" : "conv") + std::to_string(m_spatial) + "d";
        // Output channels come second there, divided among the groups: a bias says how many there are. Groups are left out.
        if (transposed && m_bias.defined() && m_bias.numel() != weight.size(1))
            return {};
        return transposed ? weight.transpose(0, 1) : weight;
    }
    /// The one line that reads the output of a line and nothing else of it; -1: several, or the graph gives it.
    int onlyReader(int line) const
    {
        const auto value = m_lines.line(line).node->outputs[0];
        const auto& users = m_lines.graph()->users(value);
        if (users.empty() || m_lines.lastUse(value) == m_lines.count())
            return -1;
        const Node* user = users.front();
        const int next = user->outputs.empty() ? -1 : m_lines.lineOf(user->outputs[0]);
        const bool alone = std::all_of(users.begin(), users.end(), [&](const Node* each) { return each == user; });
        const auto reads = std::count_if(user->inputs.begin(), user->inputs.end(), [&](const Operand& input) { return input.value == value; });
        return alone && reads == 1 && next >= 0 && m_lines.line(next).node == user ? next : -1;
    }
    bool follow(const Node& node, int before)
    {
        const auto value = m_lines.line(before).node->outputs[0];
        if (canonicalOperator(node) == "batch_norm")
            return node.inputs[0].value == value && followNorm(node, before);
        if (node.inputs.size() < 2 || (node.op != "aten::add" && node.op != "aten::mul"))
            return false;
        const at::Tensor channels = perChannel(node.inputs[node.inputs[0].value == value ? 1 : 0]);
        if (!channels.defined() || (node.inputs.size() > 2 && node.op == "aten::add" && !isOne(node.inputs[2])))
            return false;
        if (node.op == "aten::add") {
            m_bias = m_bias + channels;
        } else {
            m_scale = m_scale * channels;
            m_bias = m_bias * channels;
        }
        return true;
    }
    static bool isOne(const Operand& operand)
    {
        return operand.isConstant() &&
               ((operand.constant.isInt() && operand.constant.toInt() == 1) || (operand.constant.isDouble() && operand.constant.toDouble() == 1.0));
    }
    /// A parameter that is one number for each channel of the map's output.
    at::Tensor perChannel(const Operand& operand) const
    {
        const at::Tensor tensor = parameter(operand);
        if (!tensor.defined())
            return {};
        if (tensor.numel() == 1)
            return tensor.to(at::kDouble).reshape({1}).expand({m_channels});
        const bool fits = tensor.dim() > m_spatial && tensor.size(-m_spatial - 1) == m_channels && tensor.numel() == m_channels;
        return fits ? tensor.to(at::kDouble).reshape(-1) : at::Tensor();
    }
    bool followNorm(const Node& node, int before)
    {
        const bool inference = node.op == "aten::_native_batch_norm_legit_no_training";
        const std::size_t epsAt = inference ? 6 : 7;
        if (node.inputs.size() <= epsAt || !node.inputs[epsAt].constant.isDouble() || (!inference && trains(node.inputs[5])))
            return false;
        // The channel is the second axis; that of a linear map is its last.
        if (m_spatial == 0 && (std::size_t(before) >= m_values.size() || m_values[std::size_t(before)].shape.size() != 2))
            return false;
        const at::Tensor mean = channelTensor(node.inputs[3]), variance = channelTensor(node.inputs[4]);
        if (!mean.defined() || !variance.defined() || mean.numel() != m_channels || variance.numel() != m_channels)
            return false;
        at::Tensor factor = at::rsqrt(variance + node.inputs[epsAt].constant.toDouble()), shift = at::zeros({m_channels}, at::kDouble);
        for (const auto& [place, isFactor] : {std::pair{1, true}, {2, false}}) {
            if (node.inputs[std::size_t(place)].isConstant())
                continue;
            const at::Tensor channels = channelTensor(node.inputs[std::size_t(place)]);
            if (!channels.defined() || channels.numel() != m_channels)
                return false;
            (isFactor ? factor : shift) = isFactor ? factor * channels : channels;
        }
        m_scale = m_scale * factor;
        m_bias = (m_bias - mean) * factor + shift;
        return true;
    }
    bool trains(const Operand& operand) const
    {
        if (operand.isConstant())
            return !operand.constant.isBool() || operand.constant.toBool();
        return operand.value != m_lines.graph()->data().training;
    }

    const ProgramLines& m_lines;
    const LineValues& m_values;
    const graph::Weights& m_weights;
    AffineUnit m_unit;
    int m_spatial = 0;
    std::int64_t m_channels = 0;
    at::Tensor m_scale, m_bias;
};

}  // namespace

double WeightSketch::distance(const WeightSketch& other) const
{
    double squares = 0;
    for (std::size_t i = 0; i < projections.size(); ++i)
        squares += (projections[i] - other.projections[i]) * (projections[i] - other.projections[i]);
    const double size = std::max(norm, other.norm), apart = std::sqrt(squares / double(kCount));
    if (!std::isfinite(size) || !std::isfinite(apart))
        return std::numeric_limits<double>::infinity();
    return size > 0 ? apart / size : 0;
}

std::vector<AffineUnit> affineUnits(const ProgramLines& lines, const LineValues& values, const graph::Weights& weights)
{
    std::vector<AffineUnit> units;
    std::vector<bool> taken(std::size_t(lines.count()), false);
    for (int i = 0; i < lines.count(); ++i) {
        auto unit = taken[std::size_t(i)] ? std::nullopt : UnitReader(lines, values, weights).at(i);
        if (!unit)
            continue;
        for (const int line : unit->lines)
            taken[std::size_t(line)] = true;
        units.push_back(std::move(*unit));
    }
    return units;
}

std::optional<double> distanceOf(const AffineUnit& a, const AffineUnit& b)
{
    if (a.what != b.what || a.shape != b.shape)
        return std::nullopt;
    double closest = std::numeric_limits<double>::infinity();
    for (const auto& left : a.sketches)
        for (const auto& right : b.sketches)
            closest = std::min(closest, left.distance(right));
    return closest;
}

std::vector<std::pair<std::size_t, std::size_t>> samePlaces(const ProgramLines& linesA, const AffineUnit& a, const ProgramLines& linesB,
                                                            const AffineUnit& b)
{
    std::vector<std::pair<std::size_t, std::size_t>> places;
    const auto operatorsOf = [](const ProgramLines& lines, const AffineUnit& unit) {
        std::vector<std::string> names;
        for (std::size_t i = 1; i < unit.lines.size(); ++i)
            names.push_back(canonicalOperator(*lines.line(unit.lines[i]).node));
        return names;
    };
    if (operatorsOf(linesA, a) == operatorsOf(linesB, b)) {
        for (std::size_t i = 0; i < a.lines.size(); ++i)
            places.emplace_back(i, i);
        return places;
    }
    // From the ends, so that of places with the same weights (a bias of zeros) the later ones meet.
    std::pair<std::size_t, std::size_t> closest{a.lines.size() - 1, b.lines.size() - 1};
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = a.lines.size(), below = b.lines.size(); i-- > 0;) {
        for (std::size_t k = b.lines.size(); k-- > 0;)
            if (const double distance = a.sketches[i].distance(b.sketches[k]); distance < least) {
                least = distance;
                closest = {i, k};
            }
        for (std::size_t k = below; k-- > 0;)
            if (a.sketches[i].distance(b.sketches[k]) < kSameWeight) {
                places.emplace_back(i, k);
                below = k;
                break;
            }
    }
    if (places.empty())
        places.push_back(closest);
    return places;
}

}  // namespace orrery::debug
