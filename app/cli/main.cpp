#include <iostream>

#include <core/base/log.h>
#include <core/base/version.h>
#include <core/catalogue.h>

#include "cli.h"
#include "interrupt.h"

namespace {

using namespace orrery;

void complain(const cli::Session& session, const std::string& text, const char* kind)
{
    session.endProgress();
    std::cerr << "orrery-cli: " << text << "\n";
    if (session.json) session.print({{"error", {{"kind", kind}, {"message", text}}}});
}

/// Turns what a command throws into a message and an exit status.
cli::Exit guarded(cli::Session& session, const std::function<cli::Exit(cli::Session&)>& action)
{
    try {
        return action(session);
    } catch (const core::Cancelled&) {
        complain(session, "interrupted", "interrupted");
        return cli::Exit::Interrupted;
    } catch (const core::InputError& error) {
        complain(session, error.what(), "input");
        return cli::Exit::BadInput;
    } catch (const core::FormatError& error) {
        complain(session, error.what(), "format");
        return cli::Exit::BadInput;
    } catch (const std::exception& error) {
        complain(session, error.what(), "failure");
        return cli::wasInterrupted() ? cli::Exit::Interrupted : cli::Exit::Failed;
    }
}

void addCommonOptions(CLI::App& app, cli::Session& session)
{
    app.add_flag("--json", session.json, "One JSON document on standard output.");
    app.add_flag("--quiet", session.quiet, "No progress on standard error.");
    app.add_option("--threads", session.threads, "Threads to compute with; 0: all cores.")->check(CLI::Range(0, 4096));
    app.add_option("--device", session.device, "auto, cpu or cuda[:N].");
    app.add_option("--dtype", session.dtype, "Compute type: float32, float64, bfloat16, float16.");
    app.add_option("--seed", session.seed, "Seed of everything random.")->each([&session](const std::string&) { session.seedGiven = true; });
    app.add_option("--workspace", session.workspaceFolder, "Folder of the workspace; else $ORRERY_WORKSPACE.");
}

}  // namespace

int main(int argc, char** argv)
{
    cli::installInterruptHandler();
    cli::Session session;
    CLI::App app("Orrery: a workbench for exploring neural-network models.", "orrery-cli");
    app.set_version_flag("--version", std::string("orrery-cli ") + core::kVersion);
    app.require_subcommand(1);
    app.footer("Exit status: 0 done, 1 failed while running, 2 wrong usage or bad input, 130 interrupted.\nA MODEL is a TorchScript file, our .safetensors, a checkpoint, zoo:NAME?key=value&key=value, or run:ID[@STEP].");
    core::registerAll();
    std::function<cli::Exit(cli::Session&)> action;
    for (const auto& command : cli::commands()) {
        auto* sub = app.add_subcommand(command.name, command.summary);
        addCommonOptions(*sub, session);
        auto run = command.declare(*sub);
        sub->final_callback([&action, run = std::move(run)] { action = run; });
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const bool isHelp = error.get_exit_code() == int(CLI::ExitCodes::Success);
        app.exit(error, std::cout, std::cerr);
        return isHelp ? 0 : int(cli::Exit::BadInput);
    }
    return int(guarded(session, action));
}
