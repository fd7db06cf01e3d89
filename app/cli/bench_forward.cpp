#include "bench_suites.h"

#include <torch/script.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <ATen/Parallel.h>

#include <core/generate/decoder.h>
#include <core/graph/executor.h>
#include <core/models/exporter.h>
#include <core/zoo/zoo.h>

namespace orrery::cli {
namespace {

constexpr int kPairs = 15;                        ///< both ways are timed in turn so often
constexpr std::int64_t kPrompt = 32, kText = 32;  ///< tokens read and written

double secondsFor(const std::function<void()>& work)
{
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double middleOf(std::vector<double> values)
{
    std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2), values.end());
    return values[values.size() / 2];
}

core::Json smallestGpt2()
{
    return {{"layers", 12}, {"heads", 12}, {"width", 768}, {"vocabulary", 50257}, {"block_length", 1024}};
}

struct ForwardCase {
    const char *name, *model;
    core::Json parameters;
    std::vector<std::int64_t> input;
    std::int64_t tokens = 0;  ///< numbers below this; 0: pictures
};

std::vector<ForwardCase> forwardCases()
{
    return {
        {"lenet", "lenet", core::Json::object(), {64, 1, 8, 8}, 0},
        {"resnet20", "resnet", {{"depth", 20}}, {16, 3, 32, 32}, 0},
        {"vit",
         "vit",
         {{"image_size", 32}, {"channels", 3}, {"patch_size", 4}, {"layers", 6}, {"heads", 4}, {"width", 128}, {"mlp_width", 512}, {"classes", 10}},
         {16, 3, 32, 32},
         0},
        {"gpt_6x128", "gpt", {{"layers", 6}, {"heads", 4}, {"width", 128}, {"vocabulary", 256}, {"block_length", 64}}, {1, 64}, 256},
        {"gpt2_small", "gpt", smallestGpt2(), {1, 128}, 50257}};
}

/// The same model as libtorch runs it by itself: written as TorchScript, read and run by its own interpreter.
torch::jit::Module libtorchsOwn(const graph::Model& model)
{
    const auto file = std::filesystem::temp_directory_path() / fmt::format("orrery-bench-{}.pt", ::getpid());
    models::exportModel(file, model, "torchscript");
    auto module = torch::jit::load(file.string());
    std::filesystem::remove(file);
    module.eval();
    return module;
}

at::Tensor inputOf(const ForwardCase& each, const graph::Model& model)
{
    const auto generator = at::detail::createCPUGenerator(0);
    if (each.tokens > 0)
        return at::randint(each.tokens, each.input, generator, at::TensorOptions().dtype(at::kLong));
    auto sizes = each.input;  // channels, height and width are the model's own, where the card says them
    const auto& shape = model.card.inputs.at(0).shape;
    for (std::size_t axis = 1; axis < sizes.size() && axis < shape.size(); ++axis)
        if (const auto size = std::atoll(shape[axis].c_str()); size > 0)
            sizes[axis] = size;
    return at::randn(sizes, generator);
}

core::Json measuredCase(const ForwardCase& each)
{
    const auto model = zoo::buildModel(each.model, each.parameters, 0);
    const graph::Executor executor(model.graph);
    auto module = libtorchsOwn(model);
    const auto input = inputOf(each, model);
    const at::NoGradGuard noGrad;
    at::Tensor ours, theirs;
    const auto runOurs = [&] { ours = executor.forward(model.weights, {input}); };
    const auto runTheirs = [&] { theirs = module.forward({input}).toTensor(); };
    for (int warm = 0; warm < 4; ++warm) {
        runTheirs();
        runOurs();
    }
    const int times = std::max(1, int(0.01 / secondsFor(runOurs)));  // of small models several runs are one measurement
    std::vector<double> own, other, ratio;
    for (int pair = 0; pair < kPairs; ++pair) {
        const auto repeated = [&](const std::function<void()>& run) {
            for (int i = 0; i < times; ++i)
                run();
        };
        own.push_back(secondsFor([&] { repeated(runOurs); }) / times);
        other.push_back(secondsFor([&] { repeated(runTheirs); }) / times);
        ratio.push_back(own.back() / other.back());
    }
    return {{"ms", middleOf(own) * 1e3},
            {"libtorch_ms", middleOf(other) * 1e3},
            {"times_libtorchs", middleOf(ratio)},
            {"largest_difference", (ours - theirs).abs().max().item<double>()}};
}

}  // namespace

core::Json forwardSuite(const Session& session)
{
    core::Json result = core::Json::object();
    for (const auto& each : forwardCases()) {
        if (session.stopToken().stop_requested())
            throw core::Cancelled();
        const auto measured = measuredCase(each);
        for (const auto& [key, value] : measured.items())
            result[fmt::format("{}_{}", each.name, key)] = value;
    }
    return result;
}

core::Json generationSuite(const Session& session)
{
    const auto model = zoo::buildModel("gpt", smallestGpt2(), 0);
    const int all = at::get_num_threads();
    core::Json result = {{"prompt", kPrompt}, {"tokens", kText}};
    for (int threads = 1; threads <= all; threads = threads == all ? all + 1 : all) {
        at::set_num_threads(threads);
        generation::Decoder decoder(model);
        std::vector<std::int64_t> read(kPrompt);
        for (std::int64_t i = 0; i < kPrompt; ++i)
            read[std::size_t(i)] = (37 * i + 11) % 50257;
        std::vector<double> times;
        for (std::int64_t i = 0; i <= kText; ++i) {
            if (session.stopToken().stop_requested())
                throw core::Cancelled();
            times.push_back(secondsFor([&] { read = {decoder.next(read, session.stopToken()).argmax().item<std::int64_t>()}; }));
        }
        times.erase(times.begin());  // the prompt
        result[fmt::format("tokens_per_second_{}_thread{}", threads, threads == 1 ? "" : "s")] = 1 / middleOf(times);
    }
    return result;
}

}  // namespace orrery::cli
