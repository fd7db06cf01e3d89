#include "prompt.h"

#include <algorithm>
#include <charconv>

#include <core/base/text.h>

#include "prompt_text.h"

namespace orrery::debug {

const std::vector<Prompt::Command>& Prompt::commands()
{
    static const std::vector<Command> kCommands = {
        {"next", {"n"}, "[N]", "Over: run the module call that begins here, or the node.", &Prompt::next, true},
        {"step", {"s"}, "[N]", "Into: enter the module call, loop or branch that begins here; run a plain node.", &Prompt::step, true},
        {"node", {"ni"}, "[N]", "Run one node, whatever modules begin or end.", &Prompt::node, true},
        {"finish", {"fin"}, "", "Out: run to the end of the current module call or loop.", &Prompt::finish, true},
        {"continue", {"c"}, "", "Run to the next breakpoint or the end.", &Prompt::resume, true},
        {"until", {"u"}, "PATTERN", "Run to a value, module, glob or op:NAME.", &Prompt::until},
        {"back", {"b-"}, "[N]", "Go back N nodes; nothing is computed.", &Prompt::back, true},
        {"reverse", {"rc"}, "", "Go back to the breakpoint before.", &Prompt::reverse, true},
        {"restart", {"run", "r"}, "", "Go to the beginning; values, edits and breakpoints stay.", &Prompt::restart},
        {"input", {}, "[NAME=]FILE ...", "Begin a new run with other inputs.", &Prompt::input},
        {"break",
         {"b"},
         "[PATTERN] [if CONDITION]",
         "Stop in front of a node (value, module, glob, op:NAME, cell[3]), or where a condition holds: nan, inf, nonfinite, shape, max > 5 (max, "
         "min, "
         "absmax, mean, std, norm, sum, zeros); grad.norm > 10 in the backward pass.",
         &Prompt::setBreak},
        {"delete", {"d"}, "[N]", "Delete a breakpoint; without a number all.", &Prompt::remove},
        {"enable", {}, "N", "Switch a breakpoint on.", &Prompt::enable},
        {"disable", {}, "N", "Switch a breakpoint off.", &Prompt::disable},
        {"watch", {}, "EXPRESSION", "Show a value at every stop: NAME, NAME[0, :3], max(NAME), mean(A - B).", &Prompt::watch},
        {"unwatch", {}, "[N]", "Stop showing one; without a number all.", &Prompt::unwatch},
        {"print", {"p"}, "EXPRESSION", "Print a value: NAME, NAME[slice], grad(NAME), statistics, arithmetic.", &Prompt::print},
        {"save", {}, "EXPRESSION FILE", "Write a value to a file (.npy).", &Prompt::save},
        {"set",
         {},
         "NAME[slice] = EXPRESSION | load FILE",
         "Change a value; also *=, +=, -=, /=. What depends on it is computed anew.",
         &Prompt::set},
        {"unset", {}, "NAME", "Take an edit back.", &Prompt::unset},
        {"info", {"i"}, "[breakpoints|watches|values|edits|modules|run]", "What there is.", &Prompt::info},
        {"where", {"bt"}, "", "The module calls around the position.", &Prompt::where},
        {"list", {"l"}, "[LINE|PATTERN]", "Lines around the position, a line or a value.", &Prompt::list},
        {"backward",
         {"bw"},
         "[EXPRESSION]",
         "Differentiate a number (default: the sum of the first output) and go through the gradients in reverse order with next, continue and back.",
         &Prompt::backward},
        {"forward", {"fw"}, "", "Leave the backward pass.", &Prompt::forward},
        {"help", {"h", "?"}, "[COMMAND]", "This list, or one command.", &Prompt::help},
        {"quit", {"q", "exit"}, "", "End.", &Prompt::quit},
    };
    return kCommands;
}

namespace {

const Prompt::Command& commandNamed(const std::string& word)
{
    std::vector<std::string> names;
    for (const auto& command : Prompt::commands()) {
        if (word == command.name || std::find(command.shortcuts.begin(), command.shortcuts.end(), word) != command.shortcuts.end())
            return command;
        names.push_back(command.name);
    }
    throw core::InputError(fmt::format("unknown command \"{}\"{}; help lists all", word, core::didYouMean(word, names)));
}

}  // namespace

Prompt::Reply Prompt::run(std::string_view source, std::stop_token stop)
{
    std::string line(core::trim(source));
    if (line.starts_with('#'))
        return {};
    if (line.empty())
        line = m_lastMove;
    if (line.empty())
        return {};
    const auto space = line.find_first_of(" \t");
    const Command& command = commandNamed(line.substr(0, space));
    m_line = line;
    if (command.moves)
        m_lastMove = line;
    const std::string arguments(space == std::string::npos ? std::string_view() : core::trim(std::string_view(line).substr(space)));
    return (this->*command.run)(arguments, stop);
}

core::Json Prompt::document() const
{
    return {{"stops", m_stops}, {"printed", m_printed}};
}

ValueScope Prompt::scope(std::stop_token stop) const
{
    ValueScope scope;
    scope.exists = [this](const std::string& name) {
        if (m_stepper.graph()->findValue(name))
            return true;
        const auto [base, steps] = graph::splitStep(name);
        const auto id = m_stepper.graph()->findValue(base);
        return id && std::count(steps.begin(), steps.end(), '[') <= m_stepper.lines().loopDepth(*id);
    };
    scope.value = [this, stop](const std::string& name) {
        const c10::IValue value = m_stepper.value(name, stop);
        if (value.isTensor() && value.toTensor().defined())
            return value.toTensor();
        if (value.isInt() || value.isDouble() || value.isBool())
            return at::scalar_tensor(value.toScalar(), value.isInt() ? at::kLong : value.isBool() ? at::kBool : at::kDouble);
        throw core::InputError(fmt::format("\"{}\" is no tensor: {}", name, summaryText(value)));
    };
    if (!m_stepper.gradients().empty())
        scope.gradient = [this, stop](const std::string& name) { return m_stepper.gradient(name, stop); };
    return scope;
}

at::Tensor Prompt::evaluated(const std::string& text, std::stop_token stop) const
{
    const at::NoGradGuard noGrad;
    return evaluateValue(text, scope(stop));
}

int Prompt::number(const std::string& text, int standard) const
{
    if (text.empty())
        return standard;
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1)
        throw core::InputError(fmt::format("expected a whole number of at least 1, got \"{}\"", text));
    return value;
}

/// What a stop looks like: where, why, and the watches.
Prompt::Reply Prompt::stopped(const Stop& stop, std::stop_token token)
{
    core::Json json = {{"command", m_line}};
    json.update(stopJson(m_stepper, stop));
    std::string text = stopText(m_stepper, stop);
    core::Json watches = core::Json::array();
    for (const auto& expression : m_watches) {
        core::Json entry = {{"expression", expression}};
        try {
            const at::Tensor value = evaluated(expression, token);
            entry.update(summaryJson(value));
            if (value.numel() == 1)
                entry["number"] = tensorJson(value.reshape({}));
            text += fmt::format("\n  watch {} = {}", expression, summaryText(value));
        } catch (const core::InputError& error) {
            entry["problem"] = error.what();
            text += fmt::format("\n  watch {}: {}", expression, error.what());
        }
        watches.push_back(std::move(entry));
    }
    if (!watches.empty())
        json["watches"] = std::move(watches);
    m_stops.push_back(std::move(json));
    return {std::move(text)};
}

BreakText parseBreak(std::string_view source)
{
    const std::string text(core::trim(source));
    BreakText out;
    const auto at = text.starts_with("if ") ? 0 : text.find(" if ");
    out.pattern = std::string(core::trim(std::string_view(text).substr(0, at)));
    if (at != std::string::npos)
        out.condition = parseCondition(std::string_view(text).substr(at + (at == 0 ? 3 : 4)));
    if (text.empty())
        throw core::InputError("expected a place, a condition, or both: PATTERN if CONDITION");
    return out;
}

}  // namespace orrery::debug
