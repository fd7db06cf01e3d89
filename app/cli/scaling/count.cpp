#include <iostream>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/scaling/width/counters.h>

#include "../arrays.h"
#include "../model_argument.h"
#include "../number_checks.h"
#include "scaling.h"

namespace orrery::cli {
namespace {

struct CountOptions {
    ModelArgument model;
    std::vector<std::string> inputs;
    std::int64_t batch = 1, length = 0;
    std::optional<double> budget;
    double measure = 2;
};

std::string grouped(std::int64_t count)
{
    std::string text = std::to_string(count);
    for (std::ptrdiff_t i = std::ptrdiff_t(text.size()) - 3; i > 0; i -= 3)
        text.insert(std::size_t(i), ",");
    return text;
}

void line(const char* name, const std::string& value, const std::string& note = {})
{
    std::cout << fmt::format("{:<24} {:>24}{}{}\n", name, value, note.empty() ? "" : "  ", note);
}

std::string share(double part, double whole)
{
    return whole > 0 ? fmt::format("{:.3f} of what is counted", part / whole) : std::string();
}

void printCost(const scaling::Cost& cost)
{
    line("parameters", grouped(cost.parameters));
    line("without embeddings", grouped(cost.parameters - cost.embeddings));
    line("samples", grouped(cost.samples));
    line("tokens", grouped(cost.tokens));
    line("forward FLOPs", grouped(cost.forward), "counted node by node");
    line("by formula", cost.formula ? grouped(*cost.formula) : "none", cost.formula ? share(double(*cost.formula), double(cost.forward)) : "");
    line("backward FLOPs", grouped(cost.backward));
    line("forward and backward", grouped(cost.training()));
    line("6 N D", grouped(std::int64_t(cost.sixNd())), share(cost.sixNd(), double(cost.training())));
}

void printThroughput(const scaling::Throughput& speed, const scaling::Cost& cost, double budget)
{
    std::cout << "\n";
    line("training step", fmt::format("{:.4g} s", speed.stepSeconds), fmt::format("median of {}", speed.steps));
    line("tokens a second", fmt::format("{:.4g}", speed.tokensPerSecond()));
    line("FLOPs a second", fmt::format("{:.4g}", double(cost.training()) / speed.stepSeconds));
    line("steps in the budget", grouped(speed.stepsWithin(budget)), fmt::format("{} s", budget));
    line("tokens in the budget", grouped(speed.tokensWithin(budget)));
}

std::vector<c10::IValue> countedInputs(Session& session, const CountOptions& options, const graph::Model& model)
{
    if (!options.inputs.empty())
        return readInputs(options.inputs, model, session.chosenDevice());
    const auto longest = options.length > 0 ? options.length : scaling::defaultLength(model);
    std::vector<c10::IValue> out;
    for (const c10::IValue& input : scaling::sizedInputs(model, options.batch, longest))
        out.emplace_back(input.toTensor().to(session.chosenDevice()));
    return out;
}

Exit countModel(Session& session, const CountOptions& options)
{
    session.applyThreads();
    const graph::Model model = options.model.open(session);
    const std::vector<c10::IValue> inputs = countedInputs(session, options, model);
    const scaling::Cost cost = scaling::countCost(model, inputs, session.stopToken());
    core::Json document = cost.toJson();
    document["model"] = options.model.text;
    if (!session.json)
        printCost(cost);
    if (options.budget) {
        const scaling::Throughput speed = scaling::measureThroughput(model, inputs, options.measure, session.stopToken());
        document["throughput"] = speed.toJson(options.budget);
        document["throughput"]["budget_flops"] = double(cost.training()) * double(speed.stepsWithin(*options.budget));
        if (!session.json)
            printThroughput(speed, cost, *options.budget);
    }
    if (session.json)
        session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareScalingCount(CLI::App& app)
{
    auto options = std::make_shared<CountOptions>();
    options->model.declare(app);
    app.add_option("--input", options->inputs, "Array file, or NAME=FILE; without it inputs of --batch and --length as the model card says.");
    app.add_option("--batch", options->batch, "Samples.")->check(positive());
    app.add_option("--length", options->length, "Positions of a sequence; without it the longest the model takes.")->check(positive());
    app.add_option("--budget-seconds", options->budget, "Measure training steps here and say how many tokens fit into so many seconds.")
        ->check(positive());
    app.add_option("--measure-seconds", options->measure, "How long steps are measured.")->check(between(0, 3600));
    return [options](Session& session) { return countModel(session, *options); };
}

}  // namespace orrery::cli
