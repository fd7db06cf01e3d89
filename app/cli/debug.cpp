#include <unistd.h>

#include <iostream>
#include <sstream>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/debug/prompt.h>
#include <core/debug/prompt_text.h>

#include "arrays.h"
#include "debug_inputs.h"
#include "number_checks.h"

namespace orrery::cli {
namespace {

struct DebugOptions {
    ModelArgument model;
    DebugInputs inputs;
    std::vector<std::string> breaks, conditions, commands;
    std::string script;
    double keepMegabytes = 1024;
    bool training = false;
};

/// Where the lines of a session come from, with their place for messages.
class DebugLines {
public:
    explicit DebugLines(const DebugOptions& options) : m_commands(options.commands)
    {
        if (options.script.empty())
            return;
        try {
            m_script.str(core::readFile(options.script));
        } catch (const core::StorageError& error) {
            throw core::InputError(fmt::format("{}: expected a script of the debugger: {}", options.script, error.what()));
        }
        m_name = options.script;
    }
    /// A person types at a terminal: errors do not end the session.
    bool isInteractive() const { return m_name.empty() && m_commands.empty() && isatty(STDIN_FILENO) == 1; }
    bool next(std::string& line, bool shows)
    {
        if (m_command < m_commands.size()) {
            line = m_commands[m_command++];
            m_place = "--command";
            return true;
        }
        const bool fromFile = !m_name.empty();
        if (!fromFile && !m_commands.empty())
            return false;
        if (shows)
            std::cout << "(orrery) " << std::flush;
        ++m_number;
        m_place = fmt::format("{}:{}", fromFile ? m_name : "standard input", m_number);
        return bool(std::getline(fromFile ? static_cast<std::istream&>(m_script) : std::cin, line));
    }
    const std::string& place() const { return m_place; }

private:
    std::vector<std::string> m_commands;
    std::size_t m_command = 0;
    std::istringstream m_script;
    std::string m_name, m_place;
    int m_number = 0;
};

/// One line. @return False if the session ends.
bool runDebugLine(Session& session, debug::Prompt& prompt, const std::string& line, const std::string& place, bool interactive)
{
    try {
        const auto reply = prompt.run(line, session.stopToken());
        if (!session.json && !reply.text.empty())
            std::cout << reply.text << std::endl;
        return !reply.quit;
    } catch (const core::InputError& error) {
        if (!interactive)
            throw core::InputError(fmt::format("{}: {}", place, error.what()));
        std::cout << error.what() << std::endl;
    } catch (const core::ShapeError& error) {
        if (!interactive)
            throw core::ShapeError(fmt::format("{}: {}", place, error.what()));
        std::cout << error.what() << std::endl;
    } catch (const core::Error& error) {
        if (!interactive)
            throw;
        std::cout << error.what() << std::endl;
    }
    return true;
}

core::Json debugDocument(const DebugOptions& options, const debug::Stepper& stepper, const debug::Prompt& prompt)
{
    core::Json document = {{"model", options.model.text}, {"lines", stepper.lines().count()}};
    document.update(prompt.document());
    document["breakpoints"] = core::Json::array();
    for (const auto& each : stepper.breakpoints())
        document["breakpoints"].push_back({{"id", each.id},
                                           {"pattern", each.pattern},
                                           {"condition", each.condition ? core::Json(each.condition->text) : core::Json()},
                                           {"enabled", each.enabled},
                                           {"hits", each.hits}});
    document["nodes_run"] = stepper.nodesRun();
    return document;
}

Exit debugModel(Session& session, const DebugOptions& options)
{
    const auto model = options.inputs.openModel(session, options.model);
    debug::StepperOptions settings;
    settings.inputs = options.inputs.read(session, options.model, model);
    settings.seed = session.seed;
    settings.training = options.training;
    settings.keepBytes = std::int64_t(options.keepMegabytes * 1024 * 1024);
    debug::Stepper stepper(std::make_shared<graph::Executor>(model.graph), model.weights, std::move(settings));
    for (const auto& text : options.breaks)
        stepper.addBreakpoint(debug::parseBreak(text).pattern, debug::parseBreak(text).condition);
    for (const auto& text : options.conditions) {
        const bool placed = text.find(" if ") != std::string::npos || text.starts_with("if ");
        const auto wanted = debug::parseBreak(placed ? text : "if " + text);
        stepper.addBreakpoint(wanted.pattern, wanted.condition);
    }
    debug::Prompt prompt(stepper, {[](const std::string& file) { return readArray(file); },
                                   [](const std::string& file, const at::Tensor& tensor) { writeArray(file, tensor); }});
    DebugLines lines(options);
    if (lines.isInteractive() && !session.json)
        std::cout << debug::stopText(stepper, stepper.lastStop()) << "\nhelp lists the commands.\n";
    bool goesOn = true;
    for (std::string line; goesOn && lines.next(line, lines.isInteractive() && !session.json);)
        goesOn = runDebugLine(session, prompt, line, lines.place(), lines.isInteractive());
    if (session.json)
        session.print(debugDocument(options, stepper, prompt));
    return prompt.hasFailed() ? Exit::Failed : Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareDebug(CLI::App& app)
{
    auto options = std::make_shared<DebugOptions>();
    options->model.declare(app);
    options->inputs.declare(app);
    app.add_option("--break", options->breaks,
                   "Stop in front of a value's node, a module, a glob or op:NAME; `PATTERN if CONDITION` as at the prompt.");
    app.add_option(
        "--break-if", options->conditions,
        "Stop where a condition holds: nan, inf, nonfinite, shape, 'max > 5', 'grad.norm > 10'; 'PATTERN if CONDITION' at some values only.");
    app.add_option("--command", options->commands, "A command of the prompt; several are run in order instead of standard input.");
    app.add_option("--script", options->script, "File with commands of the prompt, one a line; else they come from standard input.");
    app.add_option("--keep", options->keepMegabytes, "MiB of values to keep that nothing ahead needs; older ones are computed again.")
        ->check(notNegative());
    app.add_flag("--training", options->training, "Run in training mode (dropout and batch statistics).");
    app.footer(
        "Commands at the prompt: next, step, node, finish, continue, until, back, reverse, break, watch, print, set, info, list, where,\nbackward, "
        "quit; `help` there explains each. Exit status 1 if the session ended at a node that failed.");
    return [options](Session& session) { return debugModel(session, *options); };
}

}  // namespace orrery::cli
