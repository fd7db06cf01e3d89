#include "prompt_text.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include <core/base/text.h>
#include <core/graph/inspect.h>

namespace orrery::debug {
namespace {

constexpr std::int64_t kEdge = 3, kLongest = 10;

std::string numberText(double value)
{
    // Neither NaN nor zero has a sign worth telling.
    return std::isnan(value) ? "nan" : fmt::format("{:.5g}", value == 0 ? 0.0 : value);
}

std::string elementText(const at::Tensor& flat, std::int64_t index)
{
    const auto element = flat[index];
    if (element.scalar_type() == at::kBool)
        return element.item<bool>() ? "true" : "false";
    if (at::isIntegralType(element.scalar_type(), false))
        return std::to_string(element.item<std::int64_t>());
    return numberText(element.to(at::kDouble).item<double>());
}

void writeTensor(std::string& out, const at::Tensor& tensor, int indent)
{
    if (tensor.dim() == 0) {
        out += elementText(tensor.reshape({1}), 0);
        return;
    }
    const auto count = tensor.size(0);
    const bool shortens = count > kLongest;
    const std::string gap = tensor.dim() == 1 ? ", " : ",\n" + std::string(std::size_t(indent + 1), ' ');
    out += "[";
    for (std::int64_t i = 0; i < count; ++i) {
        if (i > 0)
            out += gap;
        if (shortens && i == kEdge) {
            out += "..." + gap;
            i = count - kEdge;
        }
        tensor.dim() == 1 ? void(out += elementText(tensor, i)) : writeTensor(out, tensor[i], indent + 1);
    }
    out += "]";
}

/// A part of a literal or value of a line.
std::string operandText(const graph::Graph& graph, const graph::Operand& operand)
{
    if (!operand.isConstant())
        return graph.value(operand.value).name;
    // Loops without a limit and slices to the end are written so.
    if (operand.constant.isInt() && operand.constant.toInt() == std::numeric_limits<std::int64_t>::max())
        return "max";
    if (operand.constant.isDouble())
        return fmt::format("{}", operand.constant.toDouble());  // the shortest text that reads back
    const std::string text =
        operand.constant.isString() ? '"' + operand.constant.toStringRef() + '"' : (std::ostringstream() << operand.constant).str();
    return text.size() > 24 ? text.substr(0, 21) + "..." : text;
}

std::string madeText(const Stepper& stepper)
{
    const Position& at = stepper.position();
    std::vector<std::string> names;
    if (at.inner > 0)
        for (const auto& [name, value] : stepper.visits()[std::size_t(at.inner - 1)].values)
            names.push_back(name);
    else if (at.inner < 0 && at.line > 0)
        for (const auto output : stepper.lines().line(at.line - 1).node->outputs)
            names.push_back(stepper.graph()->value(output).name);
    std::string text;
    for (const auto& name : names)
        if (const auto* value = stepper.keptValue(name))
            text += fmt::format("\n  {} = {}", name, summaryText(*value));
    return text;
}

std::string placeText(const Stepper& stepper)
{
    if (stepper.isBackward()) {
        const std::size_t at = stepper.gradientPosition(), count = stepper.gradients().size();
        if (at == 0)
            return fmt::format("backward, {} gradients ahead", count);
        const GradientAt& gradient = stepper.gradients()[at - 1];
        return fmt::format("backward {} of {}: {} {}, norm {:.6g}{}", at, count, gradient.name, core::formatShape(gradient.shape),
                           std::isnan(gradient.norm) ? std::abs(gradient.norm) : gradient.norm,  // NaN has no sign worth telling
                           gradient.nonFinite ? fmt::format(", {} not finite", gradient.nonFinite) : "");
    }
    if (stepper.atEnd())
        return "at the end";
    const auto levels = stepper.levels();
    std::string text = fmt::format("line {} of {}: ", stepper.position().line + 1, stepper.lines().count());
    if (levels.size() > stepper.frame())
        text += fmt::format("call of {}, ", levels[stepper.frame()]);
    return text + stepper.placeName() + " (" + (stepper.node() ? stepper.node()->qualifiedOp() : "") + ")";
}

}  // namespace

std::string summaryText(const c10::IValue& value)
{
    if (!value.isTensor())
        return value.isTensorList() ? fmt::format("{} tensors", value.toListRef().size()) : (std::ostringstream() << value).str().substr(0, 200);
    const at::Tensor& tensor = value.toTensor();
    if (!tensor.defined())
        return "undefined tensor";
    std::string text = graph::dtypeName(tensor.scalar_type()) + " " + core::formatShape(tensor.sizes());
    if (tensor.numel() == 0 || tensor.is_complex())
        return text;
    if (tensor.numel() <= 4)
        return text + " " + tensorText(tensor.reshape(-1));
    const auto facts = graph::statistics(tensor, 1);
    text += fmt::format(", min {} max {} mean {} sd {}", numberText(facts.minimum), numberText(facts.maximum), numberText(facts.mean),
                        numberText(facts.standardDeviation));
    if (facts.nans)
        text += fmt::format(", {} NaN", facts.nans);
    if (facts.infinities)
        text += fmt::format(", {} infinite", facts.infinities);
    return text;
}

core::Json summaryJson(const c10::IValue& value)
{
    if (!value.isTensor() || !value.toTensor().defined())
        return {{"text", summaryText(value)}};
    const at::Tensor& tensor = value.toTensor();
    core::Json json = {{"dtype", graph::dtypeName(tensor.scalar_type())}, {"shape", tensor.sizes().vec()}};
    if (tensor.numel() == 0 || tensor.is_complex())
        return json;
    const core::Json facts = graph::statistics(tensor, 1).toJson();
    for (const auto& [key, fact] : facts.items())
        if (key != "histogram")
            json[key] = fact;
    return json;
}

std::string tensorText(const at::Tensor& tensor)
{
    const at::NoGradGuard noGrad;
    std::string out;
    writeTensor(out, tensor.detach().cpu(), 0);
    return out;
}

core::Json tensorJson(const at::Tensor& tensor)
{
    const at::NoGradGuard noGrad;
    const at::Tensor plain = tensor.detach().cpu();
    if (plain.dim() > 0) {
        core::Json list = core::Json::array();
        for (std::int64_t i = 0; i < plain.size(0); ++i)
            list.push_back(tensorJson(plain[i]));
        return list;
    }
    if (plain.scalar_type() == at::kBool)
        return plain.item<bool>();
    if (at::isIntegralType(plain.scalar_type(), false))
        return plain.item<std::int64_t>();
    const double number = plain.to(at::kDouble).item<double>();
    return std::isfinite(number) ? core::Json(number) : core::Json(core::formatNumber(number));
}

std::string stopText(const Stepper& stepper, const Stop& stop)
{
    std::string text;
    if (stop.reason == StopReason::Failed)
        text = "failed: " + stop.text + "\n";
    else if (stop.reason == StopReason::Condition)
        text = fmt::format("breakpoint {}: {}: {}\n", *stop.breakpoint, stop.value, stop.text);
    else if (stop.reason == StopReason::Breakpoint)
        text = fmt::format("breakpoint {}\n", *stop.breakpoint);
    text += placeText(stepper);
    return stepper.isBackward() ? text : text + madeText(stepper);
}

core::Json stopJson(const Stepper& stepper, const Stop& stop)
{
    core::Json json = {{"reason", stopReasonName(stop.reason)}};
    if (stop.breakpoint)
        json["breakpoint"] = *stop.breakpoint;
    if (!stop.value.empty())
        json["value"] = stop.value;
    if (!stop.text.empty())
        json["text"] = stop.text;
    if (stepper.isBackward()) {
        json["mode"] = "backward";
        json["position"] = stepper.gradientPosition();
        json["count"] = stepper.gradients().size();
        if (stepper.gradientPosition() > 0) {
            const GradientAt& gradient = stepper.gradients()[stepper.gradientPosition() - 1];
            json["gradient"] = {{"name", gradient.name}, {"shape", gradient.shape}, {"norm", gradient.norm}, {"not_finite", gradient.nonFinite}};
        }
        return json;
    }
    json["line"] = stepper.position().line + 1;
    json["lines"] = stepper.lines().count();
    json["at_end"] = stepper.atEnd();
    if (stepper.position().inner >= 0)
        json["inside"] = stepper.position().inner;
    if (stepper.node())
        json.update({{"node", stepper.placeName()}, {"op", stepper.node()->qualifiedOp()}, {"module", stepper.node()->module}});
    const auto levels = stepper.levels();
    json["frame"] = std::vector<std::string>(levels.begin(), levels.begin() + std::ptrdiff_t(stepper.frame()));
    return json;
}

std::string lineText(const graph::Graph& graph, const graph::Node& node)
{
    std::vector<std::string> outputs, inputs;
    for (const auto output : node.outputs)
        outputs.push_back(graph.value(output).name);
    for (const auto& input : node.inputs)
        inputs.push_back(operandText(graph, input));
    return fmt::format("{}{}{}({})", core::join(outputs, ", "), outputs.empty() ? "" : " = ", node.qualifiedOp(), core::join(inputs, ", "));
}

std::string listText(const Stepper& stepper, int around, int context)
{
    const ProgramLines& lines = stepper.lines();
    const auto marks = stepper.breakpointLines();
    std::string text;
    std::vector<std::string> levels = around > context ? lines.line(around - context - 1).levels : std::vector<std::string>();
    for (int i = std::max(0, around - context); i < std::min(lines.count(), around + context + 1); ++i) {
        const Line& line = lines.line(i);
        for (std::size_t k = commonLevels(levels, line.levels); k < line.levels.size(); ++k)
            text += fmt::format("{:>7}  {}{}:\n", "", std::string(2 * k, ' '), line.levels[k]);
        levels = line.levels;
        const bool marked = std::binary_search(marks.begin(), marks.end(), i);
        text += fmt::format("{}{}{:>5}  {}{}\n", i == stepper.position().line ? "=>" : "  ", marked ? '*' : ' ', i + 1,
                            std::string(2 * levels.size(), ' '), lineText(*lines.graph(), *line.node));
    }
    return text.empty() ? "the model has no nodes\n" : text;
}

std::string whereText(const Stepper& stepper)
{
    std::string text;
    const auto levels = stepper.levels();
    for (std::size_t i = levels.size(); i-- > 0;)
        text += fmt::format("#{:<3} {}{}\n", levels.size() - 1 - i, levels[i], i >= stepper.frame() ? "  (begins here)" : "");
    return text + fmt::format("#{:<3} {}\n", levels.size(), stepper.graph()->data().name.empty() ? "the model" : stepper.graph()->data().name) +
           placeText(stepper) + "\n";
}

}  // namespace orrery::debug
