#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include <core/base/text.h>

#include "prompt.h"
#include "prompt_text.h"

namespace orrery::debug {

template <class Move>
Prompt::Reply Prompt::repeated(const std::string& arguments, Move move)
{
    Stop stop;
    for (int left = number(arguments, 1); left > 0; --left) {
        stop = move();
        if (stop.reason != StopReason::Step)
            break;
    }
    return stopped(stop, {});
}

Prompt::Reply Prompt::next(const std::string& arguments, std::stop_token stop)
{
    return repeated(arguments, [&] { return m_stepper.isBackward() ? m_stepper.nextGradient() : m_stepper.stepOver(stop); });
}

Prompt::Reply Prompt::step(const std::string& arguments, std::stop_token stop)
{
    return repeated(arguments, [&] { return m_stepper.isBackward() ? m_stepper.nextGradient() : m_stepper.stepInto(stop); });
}

Prompt::Reply Prompt::node(const std::string& arguments, std::stop_token stop)
{
    return repeated(arguments, [&] { return m_stepper.isBackward() ? m_stepper.nextGradient() : m_stepper.stepNode(stop); });
}

Prompt::Reply Prompt::finish(const std::string&, std::stop_token stop)
{
    return stopped(m_stepper.isBackward() ? m_stepper.resumeBackward(stop) : m_stepper.stepOut(stop), stop);
}

Prompt::Reply Prompt::resume(const std::string&, std::stop_token stop)
{
    return stopped(m_stepper.isBackward() ? m_stepper.resumeBackward(stop) : m_stepper.resume(stop), stop);
}

Prompt::Reply Prompt::until(const std::string& arguments, std::stop_token stop)
{
    if (arguments.empty())
        throw core::InputError("until: expected a value, module, glob or op:NAME");
    return stopped(m_stepper.runTo(arguments, stop), stop);
}

Prompt::Reply Prompt::back(const std::string& arguments, std::stop_token stop)
{
    return stopped(m_stepper.back(number(arguments, 1)), stop);
}

Prompt::Reply Prompt::reverse(const std::string&, std::stop_token stop)
{
    return stopped(m_stepper.reverse(stop), stop);
}

Prompt::Reply Prompt::restart(const std::string&, std::stop_token stop)
{
    return stopped(m_stepper.restart(), stop);
}

Prompt::Reply Prompt::input(const std::string& arguments, std::stop_token stop)
{
    std::vector<c10::IValue> inputs = m_stepper.options().inputs;
    const auto& declared = m_stepper.graph()->data().inputs;
    std::size_t place = 0;
    for (const auto& word : core::split(arguments, ' ')) {
        if (core::trim(word).empty())
            continue;
        const auto sign = word.find('=');
        std::size_t index = place++;
        if (sign != std::string::npos)
            index = std::size_t(std::find_if(declared.begin(), declared.end(), [&](const auto& each) { return each.name == word.substr(0, sign); }) -
                                declared.begin());
        if (index >= declared.size())
            throw core::InputError(fmt::format("input: the model has no input \"{}\"", sign == std::string::npos ? word : word.substr(0, sign)));
        at::Tensor tensor = m_files.read(word.substr(sign == std::string::npos ? 0 : sign + 1));
        if (inputs[index].isTensor())
            tensor = tensor.to(inputs[index].toTensor().options());
        inputs[index] = tensor;
    }
    if (place == 0 && arguments.find('=') == std::string::npos)
        throw core::InputError("input: expected FILE or NAME=FILE");
    return stopped(m_stepper.restart(std::move(inputs)), stop);
}

Prompt::Reply Prompt::setBreak(const std::string& arguments, std::stop_token)
{
    const BreakText wanted = parseBreak(arguments);
    const int id = m_stepper.addBreakpoint(wanted.pattern, wanted.condition);
    const auto& all = m_stepper.breakpoints();
    return {"breakpoint " + std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.id == id; })->toText()};
}

int Prompt::breakpointNumber(const std::string& text) const
{
    if (text.empty())
        throw core::InputError("expected the number of a breakpoint");
    const int id = number(text, 0);
    for (const auto& each : m_stepper.breakpoints())
        if (each.id == id)
            return id;
    throw core::InputError(fmt::format("there is no breakpoint {}", id));
}

Prompt::Reply Prompt::remove(const std::string& arguments, std::stop_token)
{
    if (!arguments.empty()) {
        m_stepper.removeBreakpoint(breakpointNumber(arguments));
        return {};
    }
    while (!m_stepper.breakpoints().empty())
        m_stepper.removeBreakpoint(m_stepper.breakpoints().front().id);
    return {"all breakpoints deleted"};
}

Prompt::Reply Prompt::switchBreakpoint(const std::string& text, bool enabled)
{
    m_stepper.enableBreakpoint(breakpointNumber(text), enabled);
    return {};
}

Prompt::Reply Prompt::enable(const std::string& arguments, std::stop_token)
{
    return switchBreakpoint(arguments, true);
}

Prompt::Reply Prompt::disable(const std::string& arguments, std::stop_token)
{
    return switchBreakpoint(arguments, false);
}

Prompt::Reply Prompt::watch(const std::string& arguments, std::stop_token)
{
    // A misspelt name is told now; a value that is still to come is not.
    const auto names = valuesOf(arguments, scope({}).exists);
    if (names.empty())
        throw core::InputError("watch: expected an expression with a value, such as max(logits)");
    for (const auto& name : names)
        m_stepper.isKnown(name);
    m_watches.push_back(arguments);
    return {fmt::format("watch {}: {}", m_watches.size(), arguments)};
}

Prompt::Reply Prompt::unwatch(const std::string& arguments, std::stop_token)
{
    const int index = number(arguments, 0);
    if (index > int(m_watches.size()))
        throw core::InputError(fmt::format("there is no watch {}; there are {}", index, m_watches.size()));
    index == 0 ? m_watches.clear() : void(m_watches.erase(m_watches.begin() + index - 1));
    return {};
}

Prompt::Reply Prompt::print(const std::string& arguments, std::stop_token stop)
{
    const auto names = valuesOf(arguments, scope(stop).exists);
    core::Json json = {{"command", m_line}};
    if (names.size() == 1 && names[0] == arguments) {
        const c10::IValue value = m_stepper.value(arguments, stop);
        if (!value.isTensor() || !value.toTensor().defined()) {
            json.update(summaryJson(value));
            m_printed.push_back(std::move(json));
            return {fmt::format("{} = {}", arguments, summaryText(value))};
        }
    }
    const at::Tensor value = evaluated(arguments, stop);
    json.update(summaryJson(value));
    if (value.numel() <= 10'000)
        json["values"] = tensorJson(value);
    m_printed.push_back(std::move(json));
    return {fmt::format("{} = {}\n{}", arguments, summaryText(value), tensorText(value))};
}

Prompt::Reply Prompt::save(const std::string& arguments, std::stop_token stop)
{
    const auto space = arguments.find_last_of(" \t");
    if (space == std::string::npos)
        throw core::InputError("save: expected EXPRESSION FILE");
    const std::string file = arguments.substr(space + 1);
    const at::Tensor value = evaluated(std::string(core::trim(std::string_view(arguments).substr(0, space))), stop);
    m_files.write(file, value.contiguous());
    return {fmt::format("wrote {} to {}", summaryText(value), file)};
}

namespace {

/// Whole numbers take no others: half a token is no token.
void checkWhole(const std::string& name, at::ScalarType type, const at::Tensor& value)
{
    if (!at::isIntegralType(type, true) || !at::isFloatingType(value.scalar_type()))
        return;
    const at::Tensor numbers = value.to(at::kDouble).reshape(-1);
    const double limit = type == at::kBool ? 1 : type == at::kByte ? 255 : std::ldexp(1.0, 8 * int(c10::elementSize(type)) - 1) - 1;
    const double lowest = type == at::kBool || type == at::kByte ? 0 : -limit;
    const at::Tensor odd = numbers.masked_select(at::ne(numbers, numbers.round()).logical_or(numbers.gt(limit)).logical_or(numbers.lt(lowest)));
    if (odd.numel() > 0)
        throw core::InputError(fmt::format("set {}: expected whole numbers from {:.0f} to {:.0f} ({}), got {}", name, lowest, limit,
                                           graph::dtypeName(type), core::formatNumber(odd[0].item<double>())));
}

}  // namespace

Prompt::Reply Prompt::set(const std::string& arguments, std::stop_token stop)
{
    const at::NoGradGuard noGrad;
    const auto sign = arguments.find('=');
    if (sign == std::string::npos || sign == 0)
        throw core::InputError("set: expected NAME[slice] = EXPRESSION, or NAME = load FILE");
    const char before = arguments[sign - 1];
    const bool compound = std::string_view("+-*/").find(before) != std::string_view::npos;
    const ValueReference target = parseReference(std::string_view(arguments).substr(0, compound ? sign - 1 : sign), scope(stop).exists);
    const std::string source(core::trim(std::string_view(arguments).substr(sign + 1)));
    const at::Tensor whole = scope(stop).value(target.name).clone();
    at::Tensor part = target.hasSlice ? sliced(whole, target.slice) : whole;
    at::Tensor value = source.starts_with("load ") ? m_files.read(std::string(core::trim(source.substr(5)))) : evaluated(source, stop);
    if (compound) {
        const at::Tensor old = part.to(at::kDouble), other = value.to(at::kDouble);
        value = before == '+' ? old + other : before == '-' ? old - other : before == '*' ? old * other : old / other;
    }
    // One number may fill any part; other shapes must fit as they are, lest a slip is spread over rows.
    if (value.numel() != 1 && value.sizes() != part.sizes())
        throw core::ShapeError(
            fmt::format("set {}: expected one number or {}, got {}", target.name, core::formatShape(part.sizes()), core::formatShape(value.sizes())));
    checkWhole(target.name, part.scalar_type(), value);
    part.copy_(value.numel() == 1 ? value.reshape({}) : value);
    m_stepper.setValue(target.name, whole);
    return {fmt::format("{} = {}", target.name, summaryText(whole))};
}

Prompt::Reply Prompt::unset(const std::string& arguments, std::stop_token)
{
    if (!m_stepper.unsetValue(arguments))
        throw core::InputError(fmt::format("\"{}\" has not been edited", arguments));
    return {};
}

std::string Prompt::infoText(const std::string& what, std::stop_token stop)
{
    std::string text;
    if (what == "breakpoints")
        for (const auto& each : m_stepper.breakpoints())
            text += each.toText() + "\n";
    else if (what == "watches")
        for (std::size_t i = 0; i < m_watches.size(); ++i)
            text += fmt::format("{}: {}\n", i + 1, m_watches[i]);
    else if (what == "edits")
        for (const auto& [name, value] : m_stepper.edits())
            text += fmt::format("{} = {}\n", name, summaryText(value));
    else if (what == "values")
        for (const auto& name : m_stepper.knownValues()) {
            const auto* value = m_stepper.keptValue(name);
            text += fmt::format("{} = {}\n", name, value ? summaryText(*value) : "dropped; print computes it again");
            if (stop.stop_requested())
                throw core::Cancelled();
        }
    else if (what == "modules")
        for (const auto& module : m_stepper.graph()->data().modules)
            text += fmt::format("{} ({})\n", module.path.empty() ? "the model" : module.path, module.type);
    else
        text = fmt::format("{} of {} lines done, {} nodes run, {} kept of at most {}\n", m_stepper.position().line, m_stepper.lines().count(),
                           m_stepper.nodesRun(), core::formatBytes(std::uint64_t(m_stepper.keptBytes())),
                           core::formatBytes(std::uint64_t(m_stepper.options().keepBytes)));
    return text.empty() ? "none\n" : text;
}

Prompt::Reply Prompt::info(const std::string& arguments, std::stop_token stop)
{
    const std::vector<std::string> known = {"breakpoints", "watches", "values", "edits", "modules", "run"};
    if (!arguments.empty() && std::find(known.begin(), known.end(), arguments) == known.end())
        throw core::InputError(
            fmt::format("info: no \"{}\"{}; expected one of {}", arguments, core::didYouMean(arguments, known), core::join(known, ", ")));
    std::string text = infoText(arguments, stop);
    text.pop_back();
    m_printed.push_back({{"command", m_line}, {"text", text}});
    return {std::move(text)};
}

Prompt::Reply Prompt::where(const std::string&, std::stop_token)
{
    std::string text = whereText(m_stepper);
    text.pop_back();
    return {std::move(text)};
}

Prompt::Reply Prompt::list(const std::string& arguments, std::stop_token)
{
    int line = std::min(m_stepper.position().line, m_stepper.lines().count() - 1);
    if (!arguments.empty() && arguments.find_first_not_of("0123456789") == std::string::npos) {
        line = number(arguments, 1) - 1;
        if (line >= m_stepper.lines().count())
            throw core::InputError(fmt::format("list: there are {} lines", m_stepper.lines().count()));
    } else if (!arguments.empty()) {
        const auto entries = m_stepper.lines().entries(arguments);
        line = entries.empty() ? m_stepper.lines().lineOf(m_stepper.graph()->resolve(graph::splitStep(arguments).first).front()) : entries.front();
    }
    std::string text = listText(m_stepper, std::max(line, 0));
    text.pop_back();
    return {std::move(text)};
}

Prompt::Reply Prompt::backward(const std::string& arguments, std::stop_token stop)
{
    std::string expression = arguments;
    const auto& outputs = m_stepper.graph()->data().body.outputs;
    if (expression.empty()) {
        if (outputs.empty() || outputs[0].isConstant())
            throw core::InputError("backward: the model has no output to differentiate; expected an expression");
        std::string name = m_stepper.graph()->value(outputs[0].value).name;
        for (auto quote = name.find('"'); quote != std::string::npos; quote = name.find('"', quote + 2))
            name.insert(quote, 1, '"');
        expression = "sum(\"" + name + "\")";  // names of other programs may hold any sign
    }
    ValueScope inRun = scope(stop);
    inRun.gradient = nullptr;
    const auto names = valuesOf(expression, inRun.exists);
    for (const auto& name : names)
        m_stepper.isKnown(name);  // refuses unknown names
    if (names.empty())
        throw core::InputError("backward: expected an expression with a value, such as logits[0, 3]");
    const auto scalar = [inRun, expression](const graph::RunResult& result) mutable {
        inRun.value = [&](const std::string& name) { return result.value(name); };
        return evaluateValue(expression, inRun);
    };
    return stopped(m_stepper.backward(names, scalar, stop), stop);
}

Prompt::Reply Prompt::forward(const std::string&, std::stop_token stop)
{
    m_stepper.leaveBackward();
    return stopped(m_stepper.lastStop(), stop);
}

Prompt::Reply Prompt::help(const std::string& arguments, std::stop_token)
{
    std::string text;
    for (const auto& command : commands()) {
        const bool named =
            arguments == command.name || std::find(command.shortcuts.begin(), command.shortcuts.end(), arguments) != command.shortcuts.end();
        if (!arguments.empty() && !named)
            continue;
        const std::string head = std::string(command.name) + (*command.arguments ? std::string(" ") + command.arguments : "");
        text += arguments.empty() ? fmt::format("{:<34} {}\n", head, command.summary) : "";
        if (!arguments.empty())
            text += fmt::format("{}\n  {}\n  short: {}\n", head, command.summary, core::join(command.shortcuts, ", "));
    }
    if (text.empty())
        throw core::InputError(fmt::format("unknown command \"{}\"; help lists all", arguments));
    text.pop_back();
    return {std::move(text)};
}

Prompt::Reply Prompt::quit(const std::string& arguments, std::stop_token)
{
    if (!arguments.empty())
        throw core::InputError(fmt::format("quit: expected nothing behind it, got \"{}\"", arguments));
    return {{}, true};
}

}  // namespace orrery::debug
