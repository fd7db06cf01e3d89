#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include <core/base/error.h>
#include <core/base/log.h>
#include <core/base/mapped_files.h>
#include <core/base/memory.h>
#include <core/base/plain_reason.h>
#include <core/base/text.h>
#include <core/base/version.h>
#include <core/catalogue.h>
#include <core/models/isolated_reading.h>

#include "cli.h"
#include "interrupt.h"
#include "number_checks.h"
#include "printable.h"

namespace {

using namespace orrery;

void complain(const cli::Session& session, const std::string& text, const char* kind)
{
    session.endProgress();
    std::cerr << "orrery-cli: " << cli::printable(text, cli::LineBreaks::Stay) << "\n";
    if (session.json)
        session.print({{"error", {{"kind", kind}, {"message", text}}}});
}

/// Turns what a command throws into a message and an exit status.
cli::Exit guarded(cli::Session& session, const std::function<cli::Exit(cli::Session&)>& action)
{
    try {
        const auto exit = action(session);
        // What was printed may hold numbers of half a file.
        if (const auto change = core::mappedFileChange(); !change.empty() && exit == cli::Exit::Done)
            throw core::StorageError(change);
        return exit;
    } catch (const core::Cancelled&) {
        complain(session, "interrupted", "interrupted");
        return cli::Exit::Interrupted;
    } catch (const core::InputError& error) {
        complain(session, error.what(), "input");
        return cli::Exit::BadInput;
    } catch (const core::FormatError& error) {
        complain(session, error.what(), "format");
        return cli::Exit::BadInput;
    } catch (const core::ShapeError& error) {
        complain(session, error.what(), "shape");
        return cli::Exit::BadInput;
    } catch (const std::exception& error) {
        complain(session, core::plainReason(error), "failure");
        return cli::wasInterrupted() ? cli::Exit::Interrupted : cli::Exit::Failed;
    }
}

/// Text on a first word that should be a subcommand and is none; empty if all is well.
std::string unknownCommand(const CLI::App& app, const std::vector<std::string>& words, std::size_t index = 0)
{
    if (app.get_require_subcommand_min() == 0 || index >= words.size() || words[index].starts_with('-'))
        return {};
    std::vector<std::string> names;
    for (const auto* each : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (each->get_name() == words[index])
            return unknownCommand(*each, words, index + 1);
        if (!each->get_group().empty())  // hidden ones have none
            names.push_back(each->get_name());
    }
    return fmt::format("unknown command \"{}\"{}; expected one of {}", words[index], core::didYouMean(words[index], names), core::join(names, ", "));
}

/// CLI11's text on a value that is none of the option's type, or is missing, in the words of our own checks; others as they are.
std::string plainUsage(const CLI::App& command, std::string text)
{
    constexpr std::string_view kConversion = "Could not convert: ", kRequired = ": 1 required ", kMissing = " missing";
    if (const auto required = text.find(kRequired); required != std::string::npos && text.ends_with(kMissing))
        return text.substr(0, required) + ": expected a value, got none";
    const auto equals = text.find(" = ");
    if (!text.starts_with(kConversion) || equals == std::string::npos)
        return text;
    const auto name = text.substr(kConversion.size(), equals - kConversion.size());
    const auto* option = command.get_option_no_throw(name);
    const auto type = option ? option->get_type_name() : std::string();
    const auto wanted = type.starts_with("UINT")    ? "a whole number of at least 0"
                        : type.starts_with("INT")   ? "a whole number"
                        : type.starts_with("FLOAT") ? "a number"
                                                    : "a value of another kind";
    return fmt::format("{}: expected {}, got \"{}\"", name, wanted, text.substr(equals + 3));
}

/// Text on an option that the chosen command does not have, with the nearest that it has; else CLI11's own text.
std::string usageText(const CLI::App& app, const CLI::ParseError& error)
{
    const auto* chosen = &app;
    std::vector<std::string> names;
    for (bool deeper = true; deeper;) {
        for (const auto* option : chosen->get_options())
            for (const auto& name : option->get_lnames())
                names.push_back("--" + name);
        const auto next = chosen->get_subcommands();
        deeper = !next.empty();
        if (deeper)
            chosen = next.front();
    }
    const auto remaining = app.remaining(true);
    if (error.get_exit_code() != int(CLI::ExitCodes::ExtrasError) || remaining.empty())
        return plainUsage(*chosen, error.what());
    const auto name = remaining.front().substr(0, remaining.front().find('='));
    if (!name.starts_with('-'))
        return fmt::format("unexpected argument \"{}\"", name);
    return fmt::format("unknown option {}{}", name, core::didYouMean(name, names));
}

cli::Exit wrongUsage(cli::Session& session, const std::vector<std::string>& words, const std::string& text)
{
    session.json = std::find(words.begin(), words.end(), "--json") != words.end();
    complain(session, text, "usage");
    std::cerr << "Run with --help for more information.\n";
    return cli::Exit::BadInput;
}

void addCommonOptions(CLI::App& app, cli::Session& session)
{
    app.add_flag("--json", session.json, "One JSON document on standard output.");
    app.add_flag("--quiet", session.quiet, "No progress on standard error.");
    // Every option of every command shows its default; what has none of its own says in words what holds without it.
    app.option_defaults()->always_capture_default();
    app.add_option("--threads", session.threads, "Threads to compute with; 0: all cores.")->check(CLI::Range(0, 4096));
    app.add_option("--device", session.device, "auto (the first graphics card that can be used, else the processor), cpu or cuda[:N].");
    app.add_option("--dtype", session.dtype, "Compute type: " + cli::kComputeTypes + "; default: the model's own.")->check(cli::computeType());
    app.add_option("--seed", session.seed, "Seed of everything random.")->check(cli::seedNumber())->each([&session](const std::string&) {
        session.seedGiven = true;
    });
    app.add_option("--workspace", session.workspaceFolder, "Folder of the workspace; default: $ORRERY_WORKSPACE.");
}

/// A default that the option itself would refuse stands for "not given" inside and is not shown.
void dropImpossibleDefaults(CLI::App& app)
{
    for (auto* option : app.get_options()) {
        std::string shown = option->get_default_str();
        for (int i = 0; !shown.empty() && option->get_expected_max() <= 1; ++i) {
            const CLI::Validator* check = nullptr;
            try {
                check = option->get_validator(i);
            } catch (const CLI::OptionNotFound&) {
                break;  // all were asked
            }
            // What has no description may do something with the value (`each`) instead of judging it.
            if (check->get_description().empty() || (*check)(shown).empty())
                continue;
            option->default_str("");
            break;
        }
    }
    for (auto* sub : app.get_subcommands([](CLI::App*) { return true; }))
        dropImpossibleDefaults(*sub);
}

/// Ends the process without taking libtorch's thousands of operators back one by one, which is a seventh of what a short command takes. All objects of ours are gone by now.
[[noreturn]] void end(int status)
{
    std::cout.flush();
    std::cerr.flush();
    std::fflush(nullptr);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    std::exit(status);  // they report at the end
#else
    std::_Exit(status);
#endif
}

int run(int argc, char** argv)
{
    const std::vector<std::string> words(argv + 1, argv + argc);
    core::keepFreedMemory();
    if (!words.empty() && words.front() != "read-model")
        models::prepareReaders(words);
    cli::installInterruptHandler();
    cli::Session session;
    CLI::App app("Orrery: a workbench for exploring neural-network models.", "orrery-cli");
    app.set_version_flag("--version", std::string("orrery-cli ") + core::kVersion);
    app.require_subcommand(1);
    app.footer("Exit status: 0 done, 1 failed while running, 2 wrong usage or bad input, 130 interrupted.\nA MODEL is a file (TorchScript, "
               "torch.export .pt2, ONNX, "
               "GGUF, .safetensors with its graph; weights alone with --arch), a checkpoint folder, zoo:NAME?key=value&key=value, or run:ID[@STEP].");
    core::registerAll();
    std::function<cli::Exit(cli::Session&)> action;
    for (const auto& command : cli::commands()) {
        auto* sub = app.add_subcommand(command.name, command.summary);
        addCommonOptions(*sub, session);
        auto run = command.declare(*sub);
        dropImpossibleDefaults(*sub);
        sub->final_callback([&action, run = std::move(run)] { action = run; });
    }
    if (const auto text = unknownCommand(app, words); !text.empty())
        return int(wrongUsage(session, words, text));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const bool isHelp = error.get_exit_code() == int(CLI::ExitCodes::Success);
        if (!isHelp)
            return int(wrongUsage(session, words, usageText(app, error)));
        return app.exit(error, std::cout, std::cerr);
    }
    return int(guarded(session, action));
}

/// Done is done only when what was printed has arrived: a full disk under `> report.json` is said.
int afterPrinting(int status)
{
    errno = 0;
    std::cout.flush();
    const bool refused = std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout;
    if (!refused)
        return status;
    std::cerr << "orrery-cli: standard output cannot be written" << (errno != 0 ? ": " + std::string(std::strerror(errno)) : std::string()) << "\n";
    return status == int(cli::Exit::Done) ? int(cli::Exit::Failed) : status;
}

}  // namespace

int main(int argc, char** argv)
{
    end(afterPrinting(run(argc, argv)));
}
