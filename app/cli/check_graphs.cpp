#include <algorithm>
#include <iostream>

#include <core/base/text.h>
#include <core/debug/operator_rules.h>
#include <core/debug/random_graphs.h>
#include <core/models/model_file.h>

#include "arrays.h"
#include "cli.h"

namespace orrery::cli {
namespace {

struct CheckGraphsOptions {
    int count = 200, everyC = 25, learn = 0;
    std::string folder, broken;
    std::vector<std::string> paths;
};

/// The paths that were asked for; all without a word.
std::vector<debug::GraphPath> chosenPaths(const CheckGraphsOptions& options)
{
    auto paths = debug::graphPaths(options.everyC);
    if (!options.paths.empty())
        std::erase_if(paths,
                      [&](const auto& path) { return std::find(options.paths.begin(), options.paths.end(), path.name) == options.paths.end(); });
    return paths;
}

void printPaths(const debug::RandomGraphReport& report)
{
    for (const auto& [name, count] : report.paths) {
        std::cout << fmt::format("path {:<12} {} graphs, {} that it cannot hold\n", name, count.taken, count.refused);
        for (const auto& [reason, times] : count.reasons)
            std::cout << fmt::format("    {:>4} x {}\n", times, reason.substr(0, 150));
    }
}

/// Learns rules of operators from half of the recorded calls and judges them on the other half.
Exit learnRules(Session& session, const CheckGraphsOptions& options)
{
    const std::uint64_t seed = session.seedGiven ? session.seed : 1;
    const auto progress = [&](double done, double total) { session.showProgress(done, total, "operators"); };
    const auto recorded = debug::recordCalls(options.learn, seed, session.stopToken(), progress);
    const auto others = debug::recordCalls(options.learn / 2 + 1, seed + 1'000'003, session.stopToken(), progress);
    session.endProgress();
    const auto rules = debug::OperatorRules::learn(recorded);
    const auto seen = debug::judgeRules(rules, recorded), fresh = debug::judgeRules(rules, others);
    if (session.json) {
        session.print({{"rules", rules.texts()}, {"recorded", seen.toJson()}, {"others", fresh.toJson()}});
        return Exit::Done;
    }
    for (const auto& text : rules.texts())
        std::cout << text << "\n";
    for (const auto& [title, quality] : {std::pair("recorded", seen), std::pair("other", fresh)})
        std::cout << fmt::format("{:<9} calls: {} of {} invalid ones rejected, {} of {} valid ones accepted; {} of {} output shapes right\n", title,
                                 quality.rejected, quality.invalid, quality.accepted, quality.valid, quality.rightShapes, quality.shapes);
    for (const auto& [op, counts] : fresh.missed)
        std::cout << fmt::format("    {}: {} valid calls rejected, {} invalid ones accepted\n", op, counts.first, counts.second);
    return Exit::Done;
}

Exit checkGraphs(Session& session, const CheckGraphsOptions& options)
{
    session.applyThreads();
    if (options.learn > 0)
        return learnRules(session, options);
    std::vector<debug::CheckedRewrite> rewrites;
    if (!options.broken.empty())
        rewrites.push_back(debug::brokenOperator(options.broken));
    const auto report = debug::checkRandomGraphs(
        options.count, session.seedGiven ? session.seed : 1, rewrites,
        [&](double done, double total) { session.showProgress(done, total, "graphs"); }, session.stopToken(), chosenPaths(options));
    session.endProgress();
    core::Json document = report.toJson();
    for (std::size_t i = 0; i < report.disagreements.size() && !options.folder.empty(); ++i) {
        const auto& found = report.disagreements[i];
        std::filesystem::create_directories(options.folder);
        const auto file = std::filesystem::path(options.folder) / fmt::format("{}-{}.safetensors", fileName(found.check), found.seed);
        models::saveModel(file, found.shrunk);
        document["disagreements"][i]["file"] = file.string();
    }
    if (session.json) {
        session.print(document);
    } else {
        std::cout << fmt::format("{} graphs with {} nodes of {} operators; the inputs of {} were moved so that all values are finite\n",
                                 report.graphs, report.nodes, report.operators.size(), report.searched);
        printPaths(report);
        for (const auto& found : document["disagreements"])
            std::cout << fmt::format("seed {}, {}: {}{}\n", found["seed"].get<std::uint64_t>(), found["check"].get<std::string>(),
                                     found["text"].get<std::string>(), found.contains("file") ? " -> " + found["file"].get<std::string>() : "");
        std::cout << fmt::format("{} disagreements\n", report.disagreements.size());
    }
    return report.disagreements.empty() ? Exit::Done : Exit::Failed;
}

}  // namespace

std::function<Exit(Session&)> declareCheckGraphs(CLI::App& app)
{
    auto options = std::make_shared<CheckGraphsOptions>();
    app.add_option("--count", options->count, "Graphs to make, from the seeds --seed (default 1), --seed + 1 and so on.")
        ->check(CLI::Range(1, 1'000'000));
    app.add_option("--out-dir", options->folder, "Folder for the models that show a disagreement, cut down to what shows it.");
    app.add_option("--path", options->paths, "Only these ways through files and compilers: file, onnx, torchscript, c; or none.")
        ->allow_extra_args(false)
        ->check(CLI::IsMember({"file", "onnx", "torchscript", "c", "none"}));
    app.add_option("--every-c", options->everyC, "The C path takes one graph of so many: it compiles each.")->check(CLI::Range(1, 1'000'000));
    app.add_option("--break", options->broken, "Make an operator give 1 % too much in one of the ways (aten::tanh), to see that it is found.");
    app.add_option("--learn-rules", options->learn,
                   "Instead: try so many random calls of each of 15 operators, learn from them which are valid, and judge the rules on other calls.")
        ->check(CLI::Range(10, 100'000));
    app.footer("Each graph is run at once, node by node, by libtorch's interpreter, after being written and read again, and fused; then it goes "
               "through our file,\n"
               "ONNX, TorchScript and C. All must agree.");
    return [options](Session& session) { return checkGraphs(session, *options); };
}

}  // namespace orrery::cli
