// What looking inside a model costs: attribution, patching, interventions.
#include "bench_suites.h"

#include <algorithm>
#include <ctime>
#include <limits>

#include <core/base/text.h>
#include <core/explain/attribution.h>
#include <core/intervene/intervention.h>
#include <core/intervene/patching.h>
#include <core/zoo/zoo.h>

namespace orrery::cli {
namespace {

/// A 6-layer GPT of width 128 at 64 positions: the residual stream before each layer, patched one position at a time, 384 patches.
struct PatchBench {
    graph::Model model = zoo::buildModel("gpt", {{"layers", 6}, {"heads", 4}, {"width", 128}, {"vocabulary", 256}, {"block_length", 64}}, 0);
    graph::Executor executor = graph::Executor(model.graph);
    intervene::PatchRequest request;
    PatchBench()
    {
        const auto tokens = at::arange(64, at::kLong).unsqueeze(0);
        request.clean = {tokens * 37 % 256};
        request.corrupted = {tokens * 91 % 256};
    }
    void sweep() const { intervene::Patching(executor, model.weights, model.card, request).sweep(); }
    /// Whole runs of `rows` rows each, in every row another position replaced: the sweep without what it saves.
    void wholeRuns(std::int64_t rows) const
    {
        graph::RunRequest clean;
        clean.inputs = request.clean;
        for (int layer = 0; layer < 6; ++layer)
            clean.keep.push_back(model.card.canonicalNames.at(fmt::format("blocks.{}.resid_pre", layer)));
        const auto values = executor.run(model.weights, clean).values;
        for (const auto& name : clean.keep)
            for (std::int64_t first = 0; first < 64; first += rows) {
                graph::RunRequest patched;
                patched.inputs = {request.corrupted[0].toTensor().expand({rows, 64})};
                patched.probes = {graph::Probe::replacing(name, [&](const std::string&, const c10::IValue& value) -> c10::IValue {
                    const auto copy = value.toTensor().clone();
                    for (std::int64_t row = 0; row < rows; ++row)
                        copy[row][first + row].copy_(values.at(name).toTensor()[0][first + row]);
                    return copy;
                })};
                executor.run(model.weights, patched);
            }
    }
};

/// A value of one block set to zero in 16 texts; the answer without and with it.
struct InterveneBench {
    const PatchBench& gpt;
    intervene::InterventionDocument document;
    intervene::InterventionRequest request;
    InterveneBench(const PatchBench& bench, int block)
        : gpt(bench), document(intervene::InterventionDocument::fromJson(
                          core::Json::array({{{"at", fmt::format("blocks.{}.resid_mid", block)}, {"do", "zero"}}})))
    {
        request.inputs = {at::arange(16 * 64, at::kLong).reshape({16, 64}) * 37 % 256};
    }
    void run() const { intervene::runIntervened(gpt.executor, gpt.model.weights, gpt.model.card, document, request); }
    /// The same by two runs of the whole model.
    void wholeRuns() const
    {
        const intervene::InterventionProgram program(gpt.executor, gpt.model.weights, gpt.model.card, document, {}, {});
        graph::RunRequest whole;
        whole.inputs = request.inputs;
        const auto plain = gpt.executor.run(gpt.model.weights, whole).tensor(), changed = program.run(whole).tensor();
        intervene::outputDivergence(plain, changed);
    }
};

/// Median of the time, and least processor time of all threads together, which other work on the machine disturbs less.
void measure(core::Json& result, const std::string& name, const std::function<void()>& work)
{
    auto least = std::numeric_limits<std::clock_t>::max();
    result[name + "_s"] = medianSeconds([&] {
        const auto start = std::clock();
        work();
        least = std::min(least, std::clock() - start);
    });
    result[name + "_cpu_s"] = double(least) / CLOCKS_PER_SEC;
}

}  // namespace

// A ResNet-20 on one picture of 32 x 32: the weights do not matter for the time.
core::Json explainSuite(const Session&)
{
    const auto model = zoo::buildModel("resnet", {{"depth", 20}}, 0);
    const graph::Executor executor(model.graph);
    explain::AttributionRequest request;
    request.inputs = {at::randn({1, 3, 32, 32}, at::detail::createCPUGenerator(0))};
    request.target = 3;
    core::Json result;
    const auto method = [&](const std::string& name, const char* id, core::Json parameters) {
        request.parameters = std::move(parameters);
        measure(result, name, [&] { explain::attribute(executor, model.weights, id, request); });
    };
    method("integrated_gradients_50", "integrated_gradients", {{"n_steps", 50}});
    method("occlusion_8x8_stride_4", "occlusion", {{"window", {8}}, {"stride", {4}}});
    method("shapley_value_sampling_16x25", "shapley_value_sampling", {{"feature_mask", 8}, {"n_samples", 25}});
    return result;
}

core::Json patchingSuite(const Session&)
{
    const PatchBench bench;
    core::Json result;
    measure(result, "patches_384", [&] { bench.sweep(); });
    const double sweep = result["patches_384_s"], batched = medianSeconds([&] { bench.wholeRuns(64); }),
                 single = medianSeconds([&] { bench.wholeRuns(1); });
    result.update({{"whole_runs_batched_s", batched},
                   {"whole_runs_one_by_one_s", single},
                   {"times_as_fast_as_batched", batched / sweep},
                   {"times_as_fast_as_one_by_one", single / sweep}});
    return result;
}

core::Json interveneSuite(const Session&)
{
    const PatchBench gpt;
    core::Json result;
    for (const int block : {0, 3, 5}) {
        const InterveneBench bench(gpt, block);
        const double resumed = medianSeconds([&] { bench.run(); }), whole = medianSeconds([&] { bench.wholeRuns(); });
        const auto name = fmt::format("block_{}_of_6", block + 1);
        result[name + "_ms"] = resumed * 1e3;
        result[name + "_whole_runs_ms"] = whole * 1e3;
        result[name + "_times_as_fast"] = whole / resumed;
    }
    return result;
}

}  // namespace orrery::cli
