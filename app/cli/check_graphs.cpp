#include <iostream>

#include <core/base/text.h>
#include <core/debug/random_graphs.h>
#include <core/models/model_file.h>

#include "cli.h"

namespace orrery::cli {
namespace {

struct CheckGraphsOptions {
    int count = 200;
    std::string folder;
};

Exit checkGraphs(Session& session, const CheckGraphsOptions& options)
{
    session.applyThreads();
    const auto report = debug::checkRandomGraphs(
        options.count, session.seedGiven ? session.seed : 1, {}, [&](double done, double total) { session.showProgress(done, total, "graphs"); },
        session.stopToken());
    session.endProgress();
    core::Json document = report.toJson();
    for (std::size_t i = 0; i < report.disagreements.size() && !options.folder.empty(); ++i) {
        const auto& found = report.disagreements[i];
        std::filesystem::create_directories(options.folder);
        const auto file = std::filesystem::path(options.folder) / fmt::format("{}-{}.safetensors", found.check, found.seed);
        models::saveModel(file, found.shrunk);
        document["disagreements"][i]["file"] = file.string();
    }
    if (session.json) {
        session.print(document);
    } else {
        std::cout << fmt::format("{} graphs with {} nodes of {} operators; the inputs of {} were moved so that all values are finite\n",
                                 report.graphs, report.nodes, report.operators.size(), report.searched);
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
    app.footer("Each graph is run at once, node by node, by libtorch's interpreter, after being written and read again, and fused; all must agree.");
    return [options](Session& session) { return checkGraphs(session, *options); };
}

}  // namespace orrery::cli
