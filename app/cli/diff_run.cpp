#include <cmath>
#include <iostream>

#include <core/base/text.h>
#include <core/debug/divergence.h>
#include <core/graph/inspect.h>

#include "arrays.h"
#include "debug_inputs.h"
#include "number_checks.h"

namespace orrery::cli {
namespace {

struct DiffRunOptions {
    ModelArgument a, b;
    DebugInputs inputs;
    std::vector<std::string> inputsB;
    std::optional<double> relative, absolute;
    bool equalNan = false, all = false;
    std::string dtypeA, dtypeB, deviceA, deviceB;
    int threadsA = 0, threadsB = 0;
    std::optional<std::uint64_t> seedB;
};

/// One side in a session of its own: device, compute type and threads differ.
debug::RunSide diffSide(Session& session, const ModelArgument& argument, const DebugInputs& inputs, const std::string& dtype,
                        const std::string& device, int threads)
{
    Session own = session;
    if (!dtype.empty())
        own.dtype = dtype;
    if (!device.empty())
        own.device = device;
    const auto model = inputs.openModel(own, argument);
    debug::RunSide side;
    side.executor = std::make_shared<graph::Executor>(model.graph);
    side.weights = model.weights;
    side.inputs = inputs.read(own, argument, model);
    for (auto& input : side.inputs)
        if (input.isTensor())
            input = input.toTensor().to(own.chosenDevice());
    side.threads = threads > 0 ? threads : session.threads;
    side.seed = session.seed;
    return side;
}

std::string differenceLine(const debug::ValueDifference& value)
{
    if (!value.problem.empty())
        return fmt::format("{} {:<40} {}", '!', value.a, value.problem);
    return fmt::format("{} {:<40} {:<18} {:>10.3g} {:>10.3g} {:>10.3g} {:>12}", value.isWithin() ? ' ' : '!', value.a, core::formatShape(value.shape),
                       value.maxAbsolute, value.maxRelative, value.relativeRms(), value.beyond);
}

void printFirst(const debug::ValueDifference& value)
{
    std::cout << "first difference at " << value.a << " (" << value.op << ")";
    if (value.a != value.b)
        std::cout << fmt::format(", {}{} in the second (matched by {}, not by name)", value.b, value.op == value.opB ? "" : " (" + value.opB + ")",
                                 debug::matchedByName(value.by));
    std::cout << "\n";
    if (!value.problem.empty()) {
        std::cout << "  " << value.problem << "\n";
        return;
    }
    std::cout << fmt::format("  {} {} against {}, {} of {} elements beyond {} + {} |b|\n", core::formatShape(value.shape), value.dtypeA, value.dtypeB,
                             value.beyond, value.elements, core::formatNumber(value.absolute), core::formatNumber(value.relative));
    const auto number = [](double each) { return std::isnan(each) ? std::string("NaN") : fmt::format("{:.9g}", each); };
    std::cout << fmt::format("  worst at {}: {} against {}, {:.3g} apart, {:.3g} relative to the second at most\n", core::formatShape(value.worst),
                             number(value.valueA), number(value.valueB), value.maxAbsolute, value.maxRelative);
    if (std::isnan(value.valueA) && std::isnan(value.valueB))
        std::cout << "  both are NaN there: --equal-nan takes NaN at the same place as equal\n";
}

/// Nodes without a counterpart are no differences: they are folded into others or computed in pieces.
void printOnly(const char* which, const std::vector<std::string>& names, bool all)
{
    if (names.empty())
        return;
    const std::size_t shown = all ? names.size() : std::min<std::size_t>(names.size(), 8);
    std::cout << fmt::format("only in the {}: {}{}\n", which, core::join({names.begin(), names.begin() + std::ptrdiff_t(shown)}, ", "),
                             shown < names.size() ? fmt::format(" and {} more (--all lists them)", names.size() - shown) : "");
}

void printDivergence(const debug::Divergence& result, bool all)
{
    for (const auto& [name, text] : {std::pair{"first", result.failureA}, {"second", result.failureB}})
        if (!text.empty())
            std::cout << "the " << name << " run failed: " << text << "\n";
    const bool failed = !result.failureA.empty() || !result.failureB.empty();
    if (result.first)
        printFirst(result.values[*result.first]);
    else if (result.comparedNothing())
        std::cout << "nothing was compared: no value of one run has a counterpart in the other\n";
    else
        std::cout << fmt::format("no difference beyond the tolerance in {} values{}\n", result.values.size(), failed ? " before that" : "");
    std::cout << fmt::format("{}, {} nodes matched by name, {} by structure, {} only in the first, {} only in the second\n",
                             result.sameGraph ? "same graph" : "different graphs", result.byName, result.byStructure, result.onlyA.size(),
                             result.onlyB.size());
    printOnly("first", result.onlyA, all);
    printOnly("second", result.onlyB, all);
    // What led up to it: errors grow long before they leave the tolerance.
    const std::size_t from = all || result.values.size() <= 12 ? 0 : result.values.size() - 12;
    std::cout << fmt::format("\n  {:<40} {:<18} {:>10} {:>10} {:>10} {:>12}\n", "value", "shape", "max abs", "max rel", "rms rel", "beyond");
    for (std::size_t i = from; i < result.values.size(); ++i)
        std::cout << differenceLine(result.values[i]) << "\n";
}

Exit diffRun(Session& session, const DiffRunOptions& options)
{
    const auto a = diffSide(session, options.a, options.inputs, options.dtypeA, options.deviceA, options.threadsA);
    DebugInputs inputsB = options.inputs;
    if (!options.inputsB.empty()) {
        inputsB = {};
        inputsB.files = options.inputsB;
        inputsB.option = "--input-b";
    }
    auto b = diffSide(session, options.b, inputsB, options.dtypeB, options.deviceB, options.threadsB);
    b.seed = options.seedB.value_or(session.seed);
    debug::DivergenceOptions settings;
    settings.tolerance = {options.relative, options.absolute, options.equalNan};
    settings.all = options.all;
    settings.progress = [&](double done, double total) { session.showProgress(done, total, "nodes"); };
    const auto result = debug::compareRuns(a, b, settings, session.stopToken());
    session.endProgress();
    if (session.json) {
        auto document = result.toJson();
        document["model_a"] = options.a.text;
        document["model_b"] = options.b.text;
        session.print(document);
    } else {
        printDivergence(result, options.all);
    }
    const bool failed = !result.failureA.empty() || !result.failureB.empty();
    return failed || result.first || result.comparedNothing() ? Exit::Failed : Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareDiffRun(CLI::App& app)
{
    auto options = std::make_shared<DiffRunOptions>();
    app.add_option("a", options->a.text, "MODEL: a file, zoo:NAME?key=value&key=value, or run:ID[@STEP].")->required();
    app.add_option("b", options->b.text, "The MODEL that it is compared with; the same one to compare dtypes, devices or thread counts.")->required();
    app.add_option("--arch", options->a.architecture, "Architecture of a bare state dictionary as the first model: NAME?key=value.");
    app.add_option("--arch-b", options->b.architecture, "The same for the second.");
    options->inputs.declare(app);
    app.add_option("--input-b", options->inputsB, "Inputs of the second model, if they are not the same.");
    app.add_option("--rtol", options->relative,
                   "Relative tolerance: |a - b| <= atol + rtol |b|; default: as the coarser dtype asks (float32 1.3e-6).")
        ->check(notNegative());
    app.add_option("--atol", options->absolute, "Absolute tolerance; default: as the coarser dtype asks (float32 1e-5).")->check(notNegative());
    app.add_flag("--equal-nan", options->equalNan, "NaN at the same place is equal.");
    app.add_flag("--all", options->all, "Go on behind the first difference and list every value.");
    app.add_option("--dtype-a", options->dtypeA, "Compute type of the first run: " + kComputeTypes + ".")->check(computeType());
    app.add_option("--dtype-b", options->dtypeB, "Compute type of the second run.")->check(computeType());
    app.add_option("--device-a", options->deviceA, "Device of the first run: cpu or cuda[:N].");
    app.add_option("--device-b", options->deviceB, "Device of the second run.");
    app.add_option("--threads-a", options->threadsA, "Threads of the first run.")->check(CLI::Range(0, 4096));
    app.add_option("--threads-b", options->threadsB, "Threads of the second run.")->check(CLI::Range(0, 4096));
    app.add_option("--seed-b", options->seedB, "Seed of the second run's random operators, if it is not --seed.")->check(seedNumber());
    app.footer("max rel and rms rel are relative to the second model's values.\nExit status: 0 all values within the tolerance, 1 a value beyond it, "
               "or a run that failed.");
    return [options](Session& session) { return diffRun(session, *options); };
}

}  // namespace orrery::cli
