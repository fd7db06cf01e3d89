#include <iostream>
#include <numeric>

#include <unistd.h>

#include <ATen/Parallel.h>

#include <core/base/devices.h>
#include <core/base/files.h>
#include <core/base/rng.h>
#include <core/base/text.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/scaling/fit.h>
#include <core/scene/camera/camera_row.h>
#include <core/scene/splat/rasterizer.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/synthetic.h>
#include <core/store/run_filter.h>
#include <core/train/trainer.h>
#include <core/zoo/zoo.h>

#include "bench_suites.h"

namespace orrery::cli {
namespace {

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
    for (int i = 0; i < kNodes; ++i)
        x = builder.add(x, x);
    const auto model = builder.finish({{"y", x}});
    const graph::Executor executor(model.graph);
    const auto input = at::zeros({1});
    const double graphTime = medianSeconds([&] { executor.forward(model.weights, {input}); });
    const double plainTime = medianSeconds([&] {
        at::NoGradGuard noGrad;
        auto y = input;
        for (int i = 0; i < kNodes; ++i)
            y = at::add(y, y);
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

/// The example project's own document, cut to some steps, without evaluation on the way.
train::Experiment shortened(const std::string& project, std::int64_t steps, int threads, const std::vector<std::string>& more = {})
{
    const auto file = core::resourceFolder().parent_path() / "projects" / project / "experiment.yaml";
    std::vector<std::string> changes = {fmt::format("train.steps={}", steps), "train.epochs=null", fmt::format("train.evaluate_every={}", steps),
                                        "train.evaluate_samples=1"};
    if (threads > 0)
        changes.push_back(fmt::format("train.threads={}", threads));
    changes.insert(changes.end(), more.begin(), more.end());
    return train::readExperiment(file, changes);
}

// Median milliseconds of a step as users run it (loader, augmentation, metrics, clipping, optimizer). The first steps are left out.
core::Json stepMilliseconds(const std::string& project, std::int64_t few, std::int64_t many, const Session& session,
                            const std::vector<std::string>& more = {})
{
    const auto experiment = shortened(project, many, session.threads, more);
    const int asked = experiment.document["train"]["threads"].get<int>(), threads = asked > 0 ? asked : at::get_num_threads();
    jobs::DirectContext context(session.stopToken(), threads);
    std::vector<double> times;
    auto last = std::chrono::steady_clock::now();
    context.onProgress = [&](const jobs::Progress& progress) {
        const auto now = std::chrono::steady_clock::now();
        if (progress.phase == "training" && times.size() + 1 < std::size_t(many))
            times.push_back(std::chrono::duration<double>(now - last).count());
        last = now;
    };
    NoSink sink;
    train::TrainOptions options;
    options.snapshotSeconds = 1e9;
    train::trainExperiment(experiment, context, sink, options);
    times.erase(times.begin(), times.begin() + few);
    std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
    return {{"step_ms", times[times.size() / 2] * 1e3}, {"threads", threads}};
}

core::Json trainSuite(const Session& session)
{
    core::Json result = core::Json::object();
    const auto add = [&](const std::string& key, const core::Json& measured) {
        result[key + "_step_ms"] = measured["step_ms"];
        result[key + "_threads"] = measured["threads"];
    };
    add("digits", stepMilliseconds("digits", 20, 320, session));
    add("tiny_gpt", stepMilliseconds("tiny-gpt", 5, 45, session));
    add("tiny_gpt_bfloat16", stepMilliseconds("tiny-gpt", 5, 45, session, {"train.autocast=bfloat16"}));
    return result;
}

/// A folder in the system's temporary folder that is gone afterwards.
struct TemporaryFolder {
    std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("orrery-bench-{}", getpid());
    ~TemporaryFolder()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
};

core::Json storeSuite(const Session&)
{
    const TemporaryFolder folder;
    core::Json result;
    {
        const auto workspace = store::Workspace::open(folder.path);
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
    return result;
}

// Finished runs with documents, tags, metrics and a short curve, as a long search would leave them.
void makeRuns(store::Workspace& workspace, int count)
{
    const std::vector<std::int64_t> steps = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    for (int i = 0; i < count; ++i) {
        const double rate = 1e-4 * (1 + i % 97);
        const core::Json document = {{"name", fmt::format("run {}", i)},
                                     {"seed", i},
                                     {"model", {{"id", i % 2 ? "lenet" : "resnet"}}},
                                     {"train", {{"batch_size", 32 << (i % 3)}, {"optimizer", {{"id", "adamw"}, {"lr", rate}}}}}};
        const auto run = workspace.createRun({fmt::format("run {}", i),
                                              document,
                                              std::uint64_t(i),
                                              core::Json::object(),
                                              {i % 5 ? "search" : "baseline"},
                                              i % 7 ? "" : "worth a look",
                                              {}});
        workspace.startRun(run);
        std::vector<double> losses;
        for (const auto step : steps)
            losses.push_back(double((i * 7919) % 1000) / 1000 + 1.0 / double(step));
        workspace.metrics(run, "train/loss", steps, losses);
        workspace.metric(run, "val/accuracy", 10, double((i * 104729) % 1000) / 1000);
        workspace.setStatus(run, store::RunStatus::Finished);
    }
    workspace.flush();
}

core::Json runsSuite(const Session& session)
{
    constexpr int kRuns = 10'000;
    const TemporaryFolder folder;
    const auto workspace = store::Workspace::open(folder.path);
    makeRuns(*workspace, kRuns);
    store::RunQuery sorted, filtered;
    sorted.orderBy = filtered.orderBy = "val/accuracy";
    sorted.columns = filtered.columns = {"model.id", "train.optimizer.lr"};
    filtered.text = "run 1";
    filtered.tags = {"search"};
    filtered.metrics = {{"train/loss", {}, 0.9}};
    store::RunQuery asked, askedPage;
    asked.where = askedPage.where = "val/accuracy > 0.5 and train/loss.min < 0.9 and optimizer.lr < 5e-3 and not tag = baseline";
    askedPage.limit = 200;
    std::size_t matching = 0;
    const double all = medianSeconds([&] { matching = workspace->runs(sorted).matching; });
    if (session.stopToken().stop_requested())
        throw core::Cancelled();
    return {{"runs", matching},
            {"sorted_all_ms", all * 1e3},
            {"filtered_and_sorted_ms", medianSeconds([&] { matching = workspace->runs(filtered).matching; }) * 1e3},
            {"matching", matching},
            {"where_ms", medianSeconds([&] { workspace->runs(asked); }) * 1e3},
            {"where_page_ms", medianSeconds([&] { workspace->runs(askedPage); }) * 1e3},
            {"fields_ms", medianSeconds([&] { workspace->runFields(); }) * 1e3}};
}

core::Json splatsOnGpu(const scene::Splats& splats, c10::Device device)
{
    const auto weights = scene::weightsOf(splats);
    std::vector<at::Tensor> raw;
    for (const char* name : {"means", "scales", "rotations", "opacities", "harmonics"})
        raw.push_back(weights.at(name).to(device).requires_grad_(true));
    core::Json result = {{"device", device.str()}};
    for (const auto& [width, height] : {std::pair(648, 420), std::pair(1280, 830)}) {
        int turn = 0;
        const auto picture = [&] {
            const auto row = scene::cameraRow(scene::roomCamera(0.125 * (turn++ % 8), width, height));
            return scene::renderSplats(at::tensor(std::vector<float>(row.begin(), row.end())).unsqueeze(0), raw[0], raw[1], raw[2], raw[3], raw[4],
                                       {0, 0, 0}, false)
                .colour;
        };
        const auto size = fmt::format("{}x{}", width, height);
        {
            const at::NoGradGuard noGrad;
            result[size + "_frames_per_second"] = 1 / medianSeconds([&] { picture().flatten()[0].item(); }, 2);
        }
        result[size + "_forward_backward_ms"] =
            1e3 * medianSeconds([&] { torch::autograd::grad({picture().square().sum()}, raw)[0].flatten()[0].item(); }, 2);
    }
    return result;
}

// A made-up room of 112,000 Gaussians, as many as a published trained indoor scene; seen from eight directions.
core::Json splatsSuite(const Session& session)
{
    const auto splats = scene::syntheticRoom(112000, 1);
    if (session.chosenDevice().is_cuda())
        return splatsOnGpu(splats, session.chosenDevice());
    scene::SplatRasterizer rasterizer;
    scene::SplatRenderOptions options;
    options.threads = session.threads;
    core::Json result;
    for (const auto& [width, height] : {std::pair(648, 420), std::pair(1280, 830)}) {
        double visible = 0, pairs = 0, rounds = 0;
        int turn = 0;
        const auto size = fmt::format("{}x{}", width, height);
        const double forward = medianSeconds(
            [&] {
                rasterizer.render(splats.view(), scene::roomCamera(0.125 * (turn++ % 8), width, height), options);
                visible += double(rasterizer.frame().visible);
                pairs += double(rasterizer.frame().pairs);
                ++rounds;
            },
            2);
        result[size + "_frames_per_second"] = 1 / forward;
        result[size + "_visible"] = visible / rounds;
        result[size + "_tiles_per_gaussian"] = pairs / visible;
        scene::SplatImageGradient gradient;
        gradient.rgb = rasterizer.render(splats.view(), scene::roomCamera(0, width, height), options).rgb;
        result[size + "_backward_ms"] = 1e3 * medianSeconds([&] { rasterizer.backward(splats.view(), gradient); }, 2);
    }
    return result;
}

// The hash grid field of projects/nerf, everywhere occupied: samples a second through encoding, networks, compositing and back to every weight.
core::Json fieldSuite(const Session& session)
{
    const c10::Device device = session.chosenDevice();
    auto model = zoo::buildModel("hash_field", core::Json::object(), 0);
    model.graph = graph::moved(model.graph, device);
    model.weights = model.weights.to(device);
    std::vector<at::Tensor> leaves;
    for (const auto& [name, tensor] : std::map(model.weights.tensors()))
        if (name != "occupancy") {
            leaves.push_back(tensor.clone().requires_grad_(true));
            model.weights.set(name, leaves.back());
        }
    const auto generator = at::detail::createCPUGenerator(0);
    const auto from = at::rand({1024, 3}, generator) - 0.5, towards = at::rand({1024, 3}, generator) - 0.5;
    graph::RunRequest request;
    request.inputs.emplace_back(at::cat({from, towards}, 1).to(device));
    request.gradients = graph::Gradients::Parameters;
    request.training = true;
    request.keep = {model.card.canonicalNames.at("positions")};
    const graph::Executor executor(model.graph);
    std::int64_t samples = 0;
    const double seconds = medianSeconds([&] {
        const at::AutoGradMode gradients(true);
        const auto result = executor.run(model.weights, request);
        samples = result.value(request.keep[0]).size(0);
        torch::autograd::grad({result.tensor().square().mean()}, leaves)[0].flatten()[0].item();  // a GPU has then done all
    });
    return {{"device", device.str()}, {"rays", 1024}, {"samples", samples}, {"seconds", seconds}, {"samples_per_second", double(samples) / seconds}};
}

// Chinchilla's law through 250 noisy rows from the paper's 4,500 starts.
core::Json scalingSuite(const Session& session)
{
    const auto law = scaling::makeLaw("chinchilla");
    scaling::Points points;
    points.inputNames = law->inputs();
    points.inputs.resize(2);
    core::SplitMix64 random(1);
    for (int row = 0; row < 250; ++row) {
        points.inputs[0].push_back(5e7 * std::pow(300.0, random.uniform()));
        points.inputs[1].push_back(5e9 * std::pow(100.0, random.uniform()));
        points.places.emplace_back();
    }
    points.loss = law->predict(std::vector<double>{1.69, 406.4, 410.7, 0.34, 0.28}, points.inputs);
    for (double& loss : points.loss)
        loss *= 1 + 0.02 * (random.uniform() - 0.5);
    jobs::DirectContext context(session.stopToken(), at::get_num_threads());
    scaling::FitResult fit;
    const double seconds = medianSeconds([&] { fit = scaling::fitLaw(*law, points, {}, {}, context); }, 3);
    return {{"rows", 250}, {"starts", fit.certificate.starts}, {"reached_best", fit.certificate.reachedBest}, {"seconds", seconds}};
}

using Suite = core::Json (*)(const Session&);
const std::vector<std::pair<std::string, Suite>>& suites()
{
    static const std::vector<std::pair<std::string, Suite>> kSuites = {
        {"gemm", gemmSuite},           {"executor", executorSuite},   {"train", trainSuite},          {"explain", explainSuite},
        {"patching", patchingSuite},   {"intervene", interveneSuite}, {"store", storeSuite},          {"runs", runsSuite},
        {"splats", splatsSuite},       {"field", fieldSuite},         {"scaling", scalingSuite},      {"import", importSuite},
        {"tokenizer", tokenizerSuite}, {"forward", forwardSuite},     {"generation", generationSuite}};
    return kSuites;
}

struct BenchOptions {
    std::string suite;
    int fill = 0;
};

// A workspace to measure the window with.
Exit fillWorkspace(Session& session, int runs)
{
    makeRuns(*session.workspace(store::OpenMode::OpenOrCreate), runs);
    if (session.json)
        session.print({{"runs", runs}});
    return Exit::Done;
}

Exit bench(Session& session, const BenchOptions& options)
{
    if (options.fill > 0)
        return fillWorkspace(session, options.fill);
    session.applyThreads();
    const auto& wanted = options.suite;
    std::vector<std::string> names;
    core::Json document = {{"threads", at::get_num_threads()}, {"suites", core::Json::object()}};
    for (const auto& [name, suite] : suites()) {
        names.push_back(name);
        if (!wanted.empty() && name != wanted)
            continue;
        if (session.stopToken().stop_requested())
            throw core::Cancelled();
        const auto result = suite(session);
        document["suites"][name] = result;
        if (session.json)
            continue;
        for (const auto& [key, value] : result.items())
            std::cout << fmt::format("{:<14} {:<32} {}\n", name, key,
                                     value.is_number() ? fmt::format("{:.4g}", value.get<double>()) : value.get<std::string>());
    }
    if (document["suites"].empty())
        throw core::InputError(fmt::format("unknown suite \"{}\"{}; suites: {}", wanted, core::didYouMean(wanted, names), core::join(names, ", ")));
    if (session.json)
        session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareBench(CLI::App& app)
{
    auto options = std::make_shared<BenchOptions>();
    app.add_option("suite", options->suite,
                   "gemm, executor, train, explain, patching, intervene, store, runs, splats, field, scaling, import, tokenizer, forward or "
                   "generation; default: all.");
    app.add_option("--fill", options->fill, "Measure nothing; add this many made-up finished runs to the workspace, to try large ones.")
        ->check(CLI::Range(1, 1'000'000));
    return [options](Session& session) { return bench(session, *options); };
}

}  // namespace orrery::cli
