#include <algorithm>
#include <iostream>

#include <core/base/text.h>
#include <core/compare/checkpoint_sequence.h>
#include <core/compare/graph_difference.h>
#include <core/compare/weight_difference.h>
#include <core/train/runs.h>

#include "number_checks.h"
#include "sample_argument.h"

namespace orrery::cli {
namespace {

struct DiffOptions {
    ModelArgument first, second;
    bool weights = false, checkpoints = false;
    double tolerance = 0;
    int top = 20;
};

void printNodes(const compare::GraphDifference& difference)
{
    using compare::Change;
    std::cout << fmt::format("nodes        {} same, {} changed, {} added, {} removed\n", difference.count(Change::Same),
                             difference.count(Change::Changed), difference.count(Change::Added), difference.count(Change::Removed));
    for (const auto& node : difference.nodes) {
        if (node.change == Change::Same)
            continue;
        const char* sign = node.change == Change::Added ? "+" : node.change == Change::Removed ? "-" : "~";
        const auto& name = node.first.empty() ? node.second : node.first;
        std::cout << fmt::format("{} {} ({}){}\n", sign, name, node.op, node.isRenamed() ? ", now " + node.second : "");
        for (const auto& what : node.what)
            std::cout << "    " << what << "\n";
    }
    for (const auto& end : difference.ends)
        std::cout << "~ " << end << "\n";
    for (const auto& name : difference.onlyFirst)
        std::cout << "- parameter " << name << "\n";
    for (const auto& name : difference.onlySecond)
        std::cout << "+ parameter " << name << "\n";
}

std::string tensorLine(const compare::TensorDifference& tensor, std::size_t width)
{
    const auto& name = tensor.first.empty() ? tensor.second : tensor.first;
    if (tensor.change == compare::Change::Added || tensor.change == compare::Change::Removed)
        return fmt::format("{:<{}}  {} {}\n", name, width, core::formatShape(tensor.first.empty() ? tensor.secondShape : tensor.firstShape),
                           tensor.first.empty() ? "only in the second" : "only in the first");
    if (!tensor.sameShape())
        return fmt::format("{:<{}}  {} became {}\n", name, width, core::formatShape(tensor.firstShape), core::formatShape(tensor.secondShape));
    return fmt::format("{:<{}}  {:>12} {:>12.5g} {:>12.5g} {:>10.6f} {:>12}{}\n", name, width, tensor.differing, tensor.largest, tensor.relative,
                       tensor.cosine, tensor.count, tensor.notFinite ? fmt::format("  {} not finite", tensor.notFinite) : "");
}

void printWeights(std::vector<compare::TensorDifference> tensors, int top)
{
    using compare::Change;
    const auto count = [&](Change change) {
        return std::count_if(tensors.begin(), tensors.end(), [change](const auto& tensor) { return tensor.change == change; });
    };
    const auto different = std::ptrdiff_t(tensors.size()) - count(Change::Same);
    std::cout << fmt::format("\ntensors      {} same, {} changed, {} added, {} removed\n", count(Change::Same), count(Change::Changed),
                             count(Change::Added), count(Change::Removed));
    if (different == 0)
        return;
    // What cannot be compared first, then by the relative difference.
    std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
        const bool oddA = a.change != compare::Change::Same && a.count == 0, oddB = b.change != compare::Change::Same && b.count == 0;
        return oddA != oddB ? oddA : a.relative > b.relative;
    });
    std::size_t width = 6;
    for (const auto& tensor : tensors)
        width = std::max(width, std::min<std::size_t>(std::max(tensor.first.size(), tensor.second.size()), 56));
    std::cout << fmt::format("{:<{}}  {:>12} {:>12} {:>12} {:>10} {:>12}\n", "tensor", width, "differing", "max |a-b|", "relative", "cosine",
                             "elements");
    for (std::size_t i = 0; i < tensors.size() && i < std::size_t(top) && tensors[i].change != compare::Change::Same; ++i)
        std::cout << tensorLine(tensors[i], width);
    if (different > top)
        std::cout << fmt::format("... and {} more (--top)\n", different - top);
}

Exit diffCheckpoints(Session& session, const DiffOptions& options)
{
    const auto run = runOf(options.first.text);
    if (!run || options.first.text.find('@') != std::string::npos)
        throw core::InputError("--checkpoints: expected a model run:ID of a workspace, got " + options.first.text);
    if (!options.second.text.empty())
        throw core::InputError("--checkpoints: expected one model, got two");
    const auto workspace = session.workspace(store::OpenMode::ReadOnly);
    workspace->run(*run);  // throws if there is none
    const auto steps = train::checkpointSteps(*workspace, *run);
    if (steps.empty())
        throw core::InputError(fmt::format("run {} has no checkpoints: train it with train.checkpoint.every and train.checkpoint.keep", *run));
    const auto load = [&](std::int64_t step) { return train::modelOfRun(*workspace, *run, step).weights; };
    const auto sequence = compare::followCheckpoints(
        steps, load, [&](std::size_t done) { session.showProgress(double(done), double(steps.size()), "checkpoints"); }, session.stopToken());
    session.endProgress();
    if (session.json) {
        auto document = sequence.toJson();
        document["model"] = options.first.text;
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{:>10} {:>14} {:>14} {:>14} {:>10}\n", "step", "norm", "from first", "from previous", "cosine");
    for (const auto& point : sequence.total.points)
        std::cout << fmt::format("{:>10} {:>14.6g} {:>14.6g} {:>14.6g} {:>10.6f}\n", point.step, point.norm, point.fromFirst, point.fromPrevious,
                                 point.cosine);
    return Exit::Done;
}

Exit diffModels(Session& session, const DiffOptions& options)
{
    if (options.checkpoints)
        return diffCheckpoints(session, options);
    if (options.second.text.empty())
        throw core::InputError("expected two models to compare, got one");
    const auto first = options.first.open(session), second = options.second.open(session);
    const auto difference = compare::compareGraphs(*first.graph, *second.graph);
    std::vector<compare::TensorDifference> tensors;
    if (options.weights) {
        compare::WeightOptions weightOptions;
        weightOptions.tolerance = options.tolerance;
        tensors = compare::compareWeights(first.weights, second.weights, difference.parameters, weightOptions, session.stopToken());
    }
    if (!session.json) {
        std::cout << "first        " << options.first.text << "\nsecond       " << options.second.text << "\n";
        printNodes(difference);
        if (options.weights)
            printWeights(std::move(tensors), options.top);
        return Exit::Done;
    }
    core::Json document = {{"first", options.first.text}, {"second", options.second.text}, {"graph", difference.toJson()}};
    if (options.weights) {
        core::Json list = core::Json::array();
        bool equal = true;
        for (const auto& tensor : tensors) {
            list.push_back(tensor.toJson());
            equal &= tensor.change == compare::Change::Same;
        }
        document["weights"] = {{"equal", equal}, {"tolerance", options.tolerance}, {"tensors", std::move(list)}};
    }
    session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareDiff(CLI::App& app)
{
    auto options = std::make_shared<DiffOptions>();
    app.add_option("first", options->first.text, "MODEL: a file, zoo:NAME?key=value&key=value, or run:ID[@STEP].")->required();
    app.add_option("second", options->second.text, "The MODEL it is compared with.");
    app.add_option("--arch", options->first.architecture, "Architecture of the first, if it is a bare state dictionary: NAME?key=value.");
    app.add_option("--second-arch", options->second.architecture, "The same for the second.");
    auto* const weights = app.add_flag("--weights", options->weights, "Compare the weights, tensor by tensor, too.");
    app.add_option("--tolerance", options->tolerance, "Elements that differ by no more are the same.")->check(notNegative())->needs(weights);
    app.add_option("--top", options->top, "How many tensors to list, those that differ most first.")->check(positive())->needs(weights);
    app.add_flag("--checkpoints", options->checkpoints, "Instead: the checkpoints of one run as a sequence, how far the weights went.")
        ->excludes(weights);
    return [options](Session& session) { return diffModels(session, *options); };
}

}  // namespace orrery::cli
