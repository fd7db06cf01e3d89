#include "direct_logit_attribution.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include <core/base/text.h>

#include "layout.h"

namespace orrery::intervene {
namespace {

constexpr std::string_view kNeeded = "direct logit attribution";

at::Tensor plain(const at::Tensor& tensor)
{
    return tensor.detach().to(at::kCPU, at::kDouble);
}

const graph::Node& producerOf(const graph::Model& model, const std::string& value)
{
    const auto id = model.graph->findValue(value);
    const graph::Node* node = id ? model.graph->producer(*id) : nullptr;
    if (!node)
        throw core::InputError(fmt::format("{}: \"{}\" is not computed by the graph", kNeeded, value));
    return *node;
}

/// An operand that is a parameter, or one unpacked or transposed (checkpoints that keep matrices [in, out]), in float64; undefined for None.
at::Tensor weightOf(const graph::Model& model, const graph::Operand& operand)
{
    if (operand.isConstant())
        return {};
    if (const graph::Parameter* parameter = model.graph->parameterOf(operand.value))
        return plain(model.weights.at(parameter->name));
    const graph::Node* node = model.graph->producer(operand.value);
    if (node && node->op == "orrery::unpack_blocks") {  // a weight that is kept packed
        graph::RunRequest request;
        request.targets = {model.graph->value(operand.value).name};
        return plain(graph::Executor(model.graph).run(model.weights, request).tensor());
    }
    const at::Tensor turned = node && node->op == "aten::t" ? weightOf(model, node->inputs[0]) : at::Tensor();
    return turned.defined() ? turned.t() : turned;
}

/// y = x W^T + b, as a node has it. Dropout behind it does nothing outside training.
struct Linear {
    at::Tensor weight, bias;
    graph::ValueId input = -1;
};
std::optional<Linear> linearAt(const graph::Model& model, const std::string& value)
{
    const graph::Node* node = &producerOf(model, value);
    while (node && node->op == "aten::dropout" && !node->inputs[0].isConstant())
        node = model.graph->producer(node->inputs[0].value);
    if (!node || node->op != "aten::linear" || node->inputs[0].isConstant())
        return std::nullopt;
    const Linear found{weightOf(model, node->inputs[1]), weightOf(model, node->inputs[2]), node->inputs[0].value};
    return found.weight.defined() ? std::optional(found) : std::nullopt;
}

/// What stands between the last residual stream and the logits, as a function of one position, linear once `scale` is fixed.
struct Readout {
    at::Tensor gain, normBias;  ///< of the layer norm; undefined where there is none
    double scale = 1;
    bool centred = false;
    at::Tensor direction;  ///< [feature] row of the head
    double headBias = 0;
    double through(const at::Tensor& part) const
    {
        at::Tensor x = (centred ? part - part.mean() : part) / scale;
        if (gain.defined())
            x = x * gain;
        return x.dot(direction).item<double>();
    }
};

/// Root-mean-square norm as the checkpoint families build it: a module of that type whose last node multiplies by the gain. False if this is none.
bool readRmsNorm(Readout& readout, const graph::Model& model, const graph::Node& node, const at::Tensor& x)
{
    const auto& modules = model.graph->data().modules;
    const auto module = std::find_if(modules.begin(), modules.end(), [&](const auto& each) { return each.path == node.module; });
    const auto id = model.graph->findValue(node.module + ".shifted");
    const graph::Node* shifted = id ? model.graph->producer(*id) : nullptr;
    if (module == modules.end() || module->type != "RMSNorm" || node.op != "aten::mul" || !shifted || !shifted->inputs[1].isConstant())
        return false;
    const graph::Node* offset = node.inputs[1].isConstant() ? nullptr : model.graph->producer(node.inputs[1].value);
    readout.gain = weightOf(model, offset ? offset->inputs[0] : node.inputs[1]);
    if (offset)
        readout.gain = readout.gain + offset->inputs[1].constant.toDouble();
    readout.scale = std::sqrt(x.pow(2).mean().item<double>() + shifted->inputs[1].constant.toDouble());
    return true;
}

void readNorm(Readout& readout, const graph::Model& model, const std::string& normed, const std::string& residual, const at::Tensor& x)
{
    const graph::Node& node = producerOf(model, normed);
    if (readRmsNorm(readout, model, node, x))
        return;
    const bool isLayerNorm = node.op == "aten::layer_norm" && node.inputs[0].value == model.graph->findValue(residual).value_or(-2);
    if (!isLayerNorm)
        throw core::InputError(
            fmt::format("{}: expected a layer norm (aten::layer_norm) on the last residual stream, found {}", kNeeded, node.qualifiedOp()));
    readout.centred = true;
    readout.gain = weightOf(model, node.inputs[2]);
    readout.normBias = weightOf(model, node.inputs[3]);
    readout.scale = std::sqrt(x.var(false).item<double>() + node.inputs[4].constant.toDouble());
}

/// The operators on the way from one value to another, each named once: "aten::linear, aten::gelu".
std::string operatorsBetween(const graph::Model& model, const std::string& from, graph::ValueId to)
{
    const auto first = model.graph->findValue(from);
    std::vector<std::string> names;
    for (const auto* node = model.graph->producer(to); node; node = model.graph->producer(to)) {
        const std::string op(node->op);
        if (std::find(names.begin(), names.end(), op) == names.end())
            names.insert(names.begin(), op);
        // Where nothing leads on through the first input, the way ends.
        if (node->inputs.empty() || node->inputs[0].isConstant() || node->inputs[0].value == first.value_or(-2))
            break;
        to = node->inputs[0].value;
    }
    return core::join(names, ", ");
}

/// @param x  The last residual stream at the position.
Readout readoutOf(const graph::Model& model, const at::Tensor& x, std::int64_t target, const std::optional<std::int64_t>& contrast)
{
    Readout readout;
    const std::string residual = residualPlaces(model.card).back().value, logits = canonicalValue(model.card, "logits", kNeeded);
    const auto norm = model.card.canonicalNames.find("ln_final");
    const bool hasNorm = norm != model.card.canonicalNames.end();
    if (hasNorm)
        readNorm(readout, model, norm->second, residual, x);
    const auto head = linearAt(model, logits);
    const std::string behind = hasNorm ? norm->second : residual;
    const char* const name = hasNorm ? "final layer norm" : "last residual stream";
    if (!head)
        throw core::InputError(
            fmt::format("{}: expected a linear head (aten::linear) behind the {}, found {}", kNeeded, name, producerOf(model, logits).qualifiedOp()));
    if (head->input != model.graph->findValue(behind).value_or(-2))
        throw core::InputError(fmt::format("{}: expected a linear head directly behind the {}, found {} between them: the logits are no sum of what "
                                           "the blocks write",
                                           kNeeded, name, operatorsBetween(model, behind, head->input)));
    readout.direction = head->weight[target];
    if (contrast)
        readout.direction = readout.direction - head->weight[*contrast];
    if (head->bias.defined())
        readout.headBias = (head->bias[target] - (contrast ? head->bias[*contrast] : at::zeros({}, at::kDouble))).item<double>();
    return readout;
}

std::int64_t chosenPosition(std::optional<std::int64_t> wanted, std::int64_t length)
{
    const std::int64_t position = !wanted ? length - 1 : *wanted < 0 ? *wanted + length : *wanted;
    if (position < 0 || position >= length)
        throw core::InputError(fmt::format("position {}: expected one from 0 to {}, or from -{} to -1", *wanted, length - 1, length));
    return position;
}

void checkToken(std::optional<std::int64_t> token, std::int64_t count, const char* name)
{
    if (token && (*token < 0 || *token >= count))
        throw core::InputError(fmt::format("{} {}: expected a token from 0 to {}", name, *token, count - 1));
}

/// Collects the parts, each value [sequence, position, ...] read at one position.
class Parts {
public:
    Parts(const graph::Model& model, const graph::RunResult& result, const Readout& readout, std::int64_t position, DirectLogitAttribution& made)
        : m_model(model), m_result(result), m_readout(readout), m_position(position), m_made(made)
    {
    }
    void addAll()
    {
        const auto& names = m_model.card.canonicalNames;
        // What enters the first block less the positions: the embedding, scaled where the model does that.
        at::Tensor embedding = vectorAt(canonicalValue(m_model.card, "blocks.0.resid_pre", kNeeded));
        const auto positions = names.find("pos_embed");
        if (positions != names.end())
            embedding = embedding - vectorAt(positions->second);
        add("embedding", "embed", -1, embedding);
        if (positions != names.end())
            add("positions", "pos_embed", -1, vectorAt(positions->second));
        for (int block = 0; block < blockCount(m_model.card); ++block) {
            addAttention(block);
            if (const auto it = names.find(fmt::format("blocks.{}.mlp_out", block)); it != names.end())
                add(fmt::format("MLP {}", block), "mlp", block, vectorAt(it->second));
        }
        if (m_readout.normBias.defined())
            addNumber("final norm bias", "norm_bias", m_readout.normBias.dot(m_readout.direction).item<double>());
        if (m_readout.headBias != 0)
            addNumber("head bias", "head_bias", m_readout.headBias);
        if (!m_heads.empty())
            m_made.heads = at::stack(m_heads);
    }

private:
    at::Tensor vectorAt(const std::string& value) const
    {
        const at::Tensor found = plain(m_result.value(value));
        return found.dim() == 2 ? found[m_position] : found[0][m_position];
    }
    void add(const std::string& label, const char* kind, int block, const at::Tensor& part, int head = -1)
    {
        m_made.parts.push_back({label, kind, block, head, m_readout.through(part)});
    }
    void addNumber(const char* label, const char* kind, double value) { m_made.parts.push_back({label, kind, -1, -1, value}); }

    void addAttention(int block)
    {
        const std::string prefix = fmt::format("blocks.{}.", block), out = canonicalValue(m_model.card, prefix + "attn_out", kNeeded);
        const auto z = m_model.card.canonicalNames.find(prefix + "attn.z");
        const auto projection = linearAt(m_model, out);
        if (!projection || z == m_model.card.canonicalNames.end())
            return add(fmt::format("attention {}", block), "attn", block, vectorAt(out));
        const at::Tensor outputs = plain(m_result.value(z->second))[0].select(1, m_position);  // [head, feature of head]
        const std::int64_t heads = outputs.size(0), width = outputs.size(1);
        std::vector<double> values;
        for (std::int64_t head = 0; head < heads; ++head) {
            add(fmt::format("head {}.{}", block, head), "head", block,
                at::mv(projection->weight.slice(1, head * width, (head + 1) * width), outputs[head]), int(head));
            values.push_back(m_made.parts.back().value);
        }
        m_heads.push_back(at::tensor(values, at::kDouble));
        if (projection->bias.defined())
            add(fmt::format("attention bias {}", block), "attn_bias", block, projection->bias);
    }

    const graph::Model& m_model;
    const graph::RunResult& m_result;
    const Readout& m_readout;
    std::int64_t m_position;
    DirectLogitAttribution& m_made;
    std::vector<at::Tensor> m_heads;
};

graph::RunRequest requestFor(const graph::Model& model, const at::Tensor& tokens, const Control& control)
{
    graph::RunRequest request;
    request.inputs = {tokens};
    request.stop = control.stop;
    request.targets = {canonicalValue(model.card, "logits", kNeeded)};
    const auto& names = model.card.canonicalNames;
    request.keep = {residualPlaces(model.card).back().value, canonicalValue(model.card, "blocks.0.resid_pre", kNeeded)};
    if (const auto it = names.find("pos_embed"); it != names.end())
        request.keep.push_back(it->second);
    for (int block = 0; block < blockCount(model.card); ++block)
        for (const char* part : {"attn_out", "attn.z", "mlp_out"})
            if (const auto it = names.find(fmt::format("blocks.{}.{}", block, part)); it != names.end())
                request.keep.push_back(it->second);
    return request;
}

}  // namespace

DirectLogitAttribution directLogitAttribution(const LensSubject& subject, const at::Tensor& tokens, const DirectLogitSettings& settings,
                                              const Control& control)
{
    const graph::Model& model = subject.model;
    residualPlaces(model.card);  // says first if it is no transformer
    const at::Tensor numbers = checkedTokens(model, tokens);
    if (numbers.size(0) != 1)
        throw core::ShapeError(fmt::format("{} looks at one sequence, got {}", kNeeded, numbers.size(0)));
    DirectLogitAttribution made;
    made.position = chosenPosition(settings.position, numbers.size(1));
    control.report(0, 1, "runs");
    const auto result = subject.executor.run(model.weights, requestFor(model, numbers, control));
    const at::Tensor logits = plain(result.tensor())[0][made.position];
    if (logits.isnan().any().item<bool>())
        throw core::InputError("the model's logits hold NaN: its weights are broken (a training that diverged?)");
    checkToken(settings.target, logits.size(0), "target");
    checkToken(settings.contrast, logits.size(0), "contrast");
    made.target = settings.target.value_or(logits.argmax().item<std::int64_t>());
    made.contrast = settings.contrast;
    made.logit = logits[made.target].item<double>() - (made.contrast ? logits[*made.contrast].item<double>() : 0);
    const at::Tensor x = plain(result.value(residualPlaces(model.card).back().value))[0][made.position];
    const Readout readout = readoutOf(model, x, made.target, made.contrast);
    made.normScale = readout.scale;
    Parts(model, result, readout, made.position, made).addAll();
    for (const Contribution& part : made.parts)
        made.sum += part.value;
    made.error = made.sum - made.logit;
    control.report(1, 1, "runs");
    return made;
}

}  // namespace orrery::intervene
