#pragma once
#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/graph/model.h>
#include <core/store/workspace.h>

/// The command line: everything without a window. One file a command, one line in commands.cpp.
namespace orrery::cli {

/// Exit status of the program.
enum class Exit { Done = 0, Failed = 1, BadInput = 2, Interrupted = 130 };

/// What every command is given.
class Session {
public:
    bool json = false;   ///< --json: one JSON document on standard output
    bool quiet = false;  ///< no progress on standard error
    int threads = 0;     ///< --threads; 0: all cores
    std::string device = "auto", dtype;
    std::uint64_t seed = 0;
    bool seedGiven = false;
    std::string workspaceFolder;  ///< --workspace; empty: $ORRERY_WORKSPACE or none

    /// Asked to stop by SIGINT or SIGTERM.
    std::stop_token stopToken() const;
    /// Prints the one JSON document of this command.
    void print(const core::Json& document) const;
    /// Progress line on standard error, if that is a terminal: "training 120/400 steps, 0:12 left".
    void showProgress(double done, double total, const std::string& unit, const std::string& phase = {}) const;
    void endProgress() const;
    /// The workspace named by --workspace or $ORRERY_WORKSPACE; null if none was named.
    std::shared_ptr<store::Workspace> namedWorkspace(store::OpenMode mode) const;
    /// The same, else ./orrery-workspace.
    std::shared_ptr<store::Workspace> workspace(store::OpenMode mode) const;
    /// Sets libtorch's thread count for this thread as --threads says.
    void applyThreads() const;
    c10::Device chosenDevice() const;
};

/// A command: declares its options and gives what runs it.
struct Command {
    const char* name;
    const char* summary;
    /// Adds options to `app` and returns the action; called once.
    std::function<std::function<Exit(Session&)>(CLI::App& app)> declare;
};

/// Adds the subcommands to `app`, so that --json and the like may stand behind them, and gives what runs the chosen one.
/// @param otherwise  Run where none was chosen; empty: one is required.
std::function<Exit(Session&)> declareGroup(CLI::App& app, const std::vector<Command>& subcommands, std::function<Exit(Session&)> otherwise = {});

/// All commands, in the order of the help. The one list.
const std::vector<Command>& commands();

// One declaration a command; each in its own file.
std::function<Exit(Session&)> declareDevices(CLI::App& app);
std::function<Exit(Session&)> declareList(CLI::App& app);
std::function<Exit(Session&)> declareDescribe(CLI::App& app);
std::function<Exit(Session&)> declareSelftest(CLI::App& app);
std::function<Exit(Session&)> declareInspect(CLI::App& app);
std::function<Exit(Session&)> declareDiff(CLI::App& app);
std::function<Exit(Session&)> declareForward(CLI::App& app);
std::function<Exit(Session&)> declareDebug(CLI::App& app);
std::function<Exit(Session&)> declareDiffRun(CLI::App& app);
std::function<Exit(Session&)> declareCheckGraphs(CLI::App& app);
std::function<Exit(Session&)> declareProfile(CLI::App& app);
std::function<Exit(Session&)> declareExport(CLI::App& app);
std::function<Exit(Session&)> declareExpression(CLI::App& app);
std::function<Exit(Session&)> declareEvaluate(CLI::App& app);
std::function<Exit(Session&)> declarePredict(CLI::App& app);
std::function<Exit(Session&)> declareGenerate(CLI::App& app);
std::function<Exit(Session&)> declareTrain(CLI::App& app);
std::function<Exit(Session&)> declareSweep(CLI::App& app);
std::function<Exit(Session&)> declareRuns(CLI::App& app);
std::function<Exit(Session&)> declareAttribute(CLI::App& app);
std::function<Exit(Session&)> declarePatch(CLI::App& app);
std::function<Exit(Session&)> declareLens(CLI::App& app);
std::function<Exit(Session&)> declareIntervene(CLI::App& app);
std::function<Exit(Session&)> declareProbe(CLI::App& app);
std::function<Exit(Session&)> declareCompareRepresentations(CLI::App& app);
std::function<Exit(Session&)> declareScene(CLI::App& app);    ///< its subcommands: scene/scene.cpp
std::function<Exit(Session&)> declareScaling(CLI::App& app);  ///< its subcommands: scaling/scaling.cpp
std::function<Exit(Session&)> declareTokenize(CLI::App& app);
std::function<Exit(Session&)> declareReport(CLI::App& app);
std::function<Exit(Session&)> declareBench(CLI::App& app);
std::function<Exit(Session&)> declareCompletion(CLI::App& app);
std::function<Exit(Session&)> declareWorker(CLI::App& app);
std::function<Exit(Session&)> declareReadModel(CLI::App& app);  ///< not listed: for the process engine

}  // namespace orrery::cli
