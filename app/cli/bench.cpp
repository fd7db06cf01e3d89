#include <iostream>
#include <numeric>

#include <unistd.h>

#include <ATen/Parallel.h>

#include <core/base/devices.h>
#include <core/base/text.h>
#include <core/explain/attribution.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/train/trainer.h>
#include <core/zoo/zoo.h>

#include "cli.h"

namespace orrery::cli {
namespace {

double secondsOf(const std::function<void()>& work)
{
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Median of repeated runs, at least `seconds` long in all.
double medianSeconds(const std::function<void()>& work, double seconds = 1)
{
    work();
    std::vector<double> times;
    for (double total = 0; total < seconds || times.size() < 5;) {
        times.push_back(secondsOf(work));
        total += times.back();
    }
    std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
    return times[times.size() / 2];
}

core::Json gemmSuite(const Session&)
{
    const auto gemm = core::gemmInUse();
    return {{"library", gemm.name}, {"gflops_1024", core::measureGemm()}};
}

// What the executor adds to the operators: 1,000 additions of one number as a graph, against the same calls in a loop.
core::Json executorSuite(const Session&)
{
    constexpr int kNodes = 1000;
    graph::Builder builder("chain");
    auto x = builder.input("x", "float32", {"1"});
    for (int i = 0; i < kNodes; ++i) x = builder.add(x, x);
    const auto model = builder.finish({{"y", x}});
    const graph::Executor executor(model.graph);
    const auto input = at::zeros({1});
    const double graphTime = medianSeconds([&] { executor.forward(model.weights, {input}); });
    const double plainTime = medianSeconds([&] {
        at::NoGradGuard noGrad;
        auto y = input;
        for (int i = 0; i < kNodes; ++i) y = at::add(y, y);
    });
    return {{"microseconds_per_node", (graphTime - plainTime) / kNodes * 1e6}, {"operator_microseconds", plainTime / kNodes * 1e6}};
}

/// Takes metrics and files and forgets them: what is measured is training.
class NoSink : public train::RunSink {
public:
    void metric(const std::string&, std::int64_t, double) override {}
    void artifact(const std::string&, const std::string&, std::optional<std::int64_t>, const std::string&) override {}
    void removeArtifact(const std::string&) override {}
};

// Milliseconds a step of a training as users run it (loader, metrics, optimizer), from the difference of two lengths.
double stepMilliseconds(core::Json document, std::int64_t few, std::int64_t many, const Session& session)
{
    const auto run = [&](std::int64_t steps) {
        auto shortened = document;
        shortened["train"]["steps"] = steps;
        shortened["train"]["epochs"] = nullptr;
        const auto experiment = train::resolveExperiment(shortened);
        jobs::DirectContext context(session.stopToken(), at::get_num_threads());
        std::vector<double> times;
        auto last = std::chrono::steady_clock::now();
        context.onProgress = [&](const jobs::Progress& progress) {
            const auto now = std::chrono::steady_clock::now();
            if (progress.phase == "training") times.push_back(std::chrono::duration<double>(now - last).count());
            last = now;
        };
        NoSink sink;
        train::trainExperiment(experiment, context, sink);
        return times;
    };
    auto times = run(many);
    if (std::int64_t(times.size()) < few) return std::nan("");
    times.erase(times.begin(), times.begin() + few);
    std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
    return times[times.size() / 2] * 1e3;
}

core::Json trainSuite(const Session& session)
{
    const core::Json digits = {{"name", "bench"}, {"model", {{"id", "lenet"}}}, {"data", {{"id", "digits"}}}, {"train", {{"batch_size", 64}, {"optimizer", {{"id", "adamw"}, {"lr", 0.002}}}}}};
    const core::Json gpt = {{"name", "bench"}, {"model", {{"id", "gpt"}, {"layers", 5}, {"width", 128}, {"heads", 4}}}, {"data", {{"id", "kjv"}, {"block_length", 128}}},
        {"train", {{"batch_size", 16}, {"optimizer", {{"id", "adamw"}, {"lr", 0.002}}}}}};
    return {{"digits_step_ms", stepMilliseconds(digits, 20, 200, session)}, {"tiny_gpt_step_ms", stepMilliseconds(gpt, 5, 30, session)}};
}

core::Json attributionSuite(const Session&)
{
    const auto model = zoo::buildModel("resnet", {{"depth", 20}}, 0);
    const graph::Executor executor(model.graph);
    explain::AttributionRequest request;
    request.inputs = {at::zeros({1, 3, 32, 32})};
    request.target = 3;
    const auto seconds = [&](const char* method, core::Json parameters) {
        return medianSeconds([&] {
            auto each = request;
            each.parameters = parameters;
            explain::attribute(executor, model.weights, method, each);
        });
    };
    return {{"integrated_gradients_50_s", seconds("integrated_gradients", {{"n_steps", 50}})}, {"occlusion_8x8_stride_4_s", seconds("occlusion", {{"window", {8}}, {"stride", {4}}})}};
}

core::Json storeSuite(const Session&)
{
    const auto folder = std::filesystem::temp_directory_path() / fmt::format("orrery-bench-{}", getpid());
    core::Json result;
    {
        const auto workspace = store::Workspace::open(folder);
        const auto run = workspace->createRun({"bench", core::Json::object()});
        workspace->startRun(run);
        constexpr std::size_t kPoints = 4'000'000, kBatch = 10'000;
        std::vector<std::int64_t> steps(kBatch);
        std::vector<double> values(kBatch, 0.5);
        result["metric_points_per_second"] = double(kPoints) / secondsOf([&] {
            for (std::size_t i = 0; i < kPoints; i += kBatch) {
                std::iota(steps.begin(), steps.end(), std::int64_t(i));
                workspace->metrics(run, "train/loss", steps, values);
            }
            workspace->flush();
        });
        workspace->setStatus(run, store::RunStatus::Finished);
        result["curve_of_4M_points_ms"] = medianSeconds([&] { workspace->metricSeries(run, "train/loss"); }) * 1e3;
    }
    std::filesystem::remove_all(folder);
    return result;
}

using Suite = core::Json (*)(const Session&);
const std::vector<std::pair<std::string, Suite>>& suites()
{
    static const std::vector<std::pair<std::string, Suite>> kSuites = {{"gemm", gemmSuite}, {"executor", executorSuite}, {"train", trainSuite}, {"attribution", attributionSuite}, {"store", storeSuite}};
    return kSuites;
}

Exit bench(Session& session, const std::string& wanted)
{
    session.applyThreads();
    std::vector<std::string> names;
    core::Json document = {{"threads", at::get_num_threads()}, {"suites", core::Json::object()}};
    for (const auto& [name, suite] : suites()) {
        names.push_back(name);
        if (!wanted.empty() && name != wanted) continue;
        if (session.stopToken().stop_requested()) throw core::Cancelled();
        const auto result = suite(session);
        document["suites"][name] = result;
        if (session.json) continue;
        for (const auto& [key, value] : result.items()) std::cout << fmt::format("{:<14} {:<32} {}\n", name, key, value.is_number() ? fmt::format("{:.4g}", value.get<double>()) : value.get<std::string>());
    }
    if (document["suites"].empty()) throw core::InputError(fmt::format("unknown suite \"{}\"{}; suites: {}", wanted, core::didYouMean(wanted, names), core::join(names, ", ")));
    if (session.json) session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareBench(CLI::App& app)
{
    auto suite = std::make_shared<std::string>();
    app.add_option("suite", *suite, "gemm, executor, train, attribution or store; default: all.");
    return [suite](Session& session) { return bench(session, *suite); };
}

}  // namespace orrery::cli
