// The same work on CPU and GPU.
#include <ATen/Context.h>

#include <core/cuda/kernels.h>
#include <core/graph/executor.h>
#include <core/scene/camera/camera_row.h>
#include <core/scene/field/field.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/synthetic.h>
#include <core/zoo/zoo.h>

#include "cli.h"
#include "selftest.h"

namespace orrery::cli {
namespace {

void requireGpu()
{
    if (!at::globalContext().hasCUDA())
        throw Skip{"no CUDA device"};
}

void requireKernels()
{
    requireGpu();
    if (const auto missing = cuda::kernelsMissing(); !missing.empty())
        throw Skip{"no CUDA kernels: " + missing};
}

/// The largest difference, relative to the largest value.
double relative(const at::Tensor& cpu, const at::Tensor& gpu)
{
    return largest(cpu - gpu.to(at::kCPU)) / std::max(largest(cpu), 1e-12);
}

double modelError(const char* id, const core::Json& parameters, std::vector<std::int64_t> shape, bool tokens)
{
    requireGpu();
    const auto model = zoo::buildModel(id, parameters, 21);
    const auto x = tokens ? at::arange(shape[0] * shape[1], at::kLong).remainder(32).reshape(shape) : noise(shape, 22);
    const auto cpu = graph::Executor(model.graph).forward(model.weights, {x});
    const auto gpu = graph::Executor(graph::moved(model.graph, c10::kCUDA)).forward(model.weights.to(c10::kCUDA), {x.to(c10::kCUDA)});
    return relative(cpu, gpu);
}

using Inputs = std::vector<at::Tensor>;
/// Outputs of some work, and its gradients: of the sum of outputs times fixed noise, by the inputs that require them.
Inputs outputsAndGradients(const std::function<Inputs(const Inputs&)>& work, Inputs inputs, c10::Device device)
{
    for (at::Tensor& input : inputs)
        input = input.detach().to(device).requires_grad_(input.requires_grad());
    Inputs out = work(inputs);
    at::Tensor sum;
    for (std::size_t i = 0; i < out.size(); ++i)
        if (out[i].requires_grad()) {
            const at::Tensor part = (out[i] * noise(out[i].sizes().vec(), 90 + i).to(device)).sum();
            sum = sum.defined() ? sum + part : part;
        }
    if (sum.defined())
        sum.backward();
    for (const at::Tensor& input : inputs)
        if (input.requires_grad())
            out.push_back(input.grad());
    return out;
}

double bothError(const std::function<Inputs(const Inputs&)>& work, const Inputs& inputs)
{
    requireKernels();
    const Inputs cpu = outputsAndGradients(work, inputs, c10::kCPU), gpu = outputsAndGradients(work, inputs, c10::kCUDA);
    double error = 0;
    for (std::size_t i = 0; i < cpu.size(); ++i) {
        if (cpu[i].sizes() != gpu[i].sizes())
            return std::numeric_limits<double>::infinity();
        if (cpu[i].is_floating_point())
            error = std::max(error, relative(cpu[i].detach(), gpu[i].detach()));
        else
            error = std::max(error, cpu[i].equal(gpu[i].to(at::kCPU)) ? 0.0 : 1.0);
    }
    return error;
}

double hashError()
{
    const auto levels = scene::hashLevels(8, 4, 1.6, 10);
    const at::Tensor positions = noise({5000, 3}, 51) * 0.3, table = noise({levels.offsets.back(), 2}, 52).requires_grad_();
    return bothError([&](const Inputs& in) { return Inputs{scene::hashEncode(in[0], in[1], levels.resolutions, levels.offsets)}; },
                     {positions, table});
}

double mlpError()
{
    const Inputs inputs{noise({3001, 19}, 53).requires_grad_(), noise({64, 19}, 54).requires_grad_(), noise({33, 64}, 55).requires_grad_(),
                        noise({3, 33}, 56).requires_grad_()};
    return bothError([](const Inputs& in) { return Inputs{scene::fusedMlp(in[0], {in[1], in[2], in[3]})}; }, inputs);
}

at::Tensor raysTowardsTheCube(std::int64_t count)
{
    const at::Tensor from = noise({count, 3}, 57), origin = from / from.norm(2, 1, true) * 1.5, to = noise({count, 3}, 58) * 0.2;
    return at::cat({origin, (to - origin) / 3}, 1);
}

double marchError()
{
    const at::Tensor rays = raysTowardsTheCube(700), grid = noise({24, 24, 24}, 59).abs(), jitter = noise({700}, 60).abs().clamp_max(0.99);
    return bothError(
        [](const Inputs& in) {
            const auto samples = scene::marchRays(in[0], in[1], in[2], true, 256, 0.5);
            return Inputs{samples.positions, samples.rays, samples.distances, samples.lengths, samples.starts};
        },
        {rays, grid, jitter});
}

double compositeError()
{
    const at::Tensor rays = raysTowardsTheCube(300), grid = noise({24, 24, 24}, 61).abs();
    const auto samples = scene::marchRays(rays, grid, at::zeros({300}), false, 128, 0.5);
    const std::int64_t count = samples.distances.numel();
    return bothError(
        [](const Inputs& in) {
            scene::RaySamples own;
            own.distances = in[2];
            own.lengths = in[3];
            own.starts = in[4];
            const auto out = scene::composite(in[0], in[1], own, {0.2, 0.5, 0.9});
            return Inputs{out.colour, out.opacity, out.depth, out.weights};
        },
        {(noise({count}, 62).abs() * 8).requires_grad_(), noise({count, 3}, 63).requires_grad_(), samples.distances, samples.lengths,
         samples.starts});
}

double directionError()
{
    return bothError([](const Inputs& in) { return Inputs{scene::directionEncode(in[0])}; }, {noise({1000, 6}, 64)});
}

/// A picture of a room and its gradients. Decisions at thresholds may fall the other way in a few pixels: the mean error counts, relative to the mean value.
double splatError(bool antialias)
{
    requireKernels();
    const auto splats = scene::syntheticRoom(20000, 3);
    const auto weights = scene::weightsOf(splats);
    const auto row = scene::cameraRow(scene::roomCamera(0.3, 200, 150));
    const at::Tensor camera = at::tensor(std::vector<float>(row.begin(), row.end())).unsqueeze(0);
    const auto work = [&](const Inputs& in) {
        const auto out = scene::renderSplats(camera, in[0], in[1], in[2], in[3], in[4], {0.1, 0.2, 0.3}, antialias);
        return Inputs{out.colour, out.alpha, out.depth};
    };
    Inputs inputs;
    for (const char* name : {"means", "scales", "rotations", "opacities", "harmonics"})
        inputs.push_back(weights.at(name).clone().requires_grad_());
    const Inputs cpu = outputsAndGradients(work, inputs, c10::kCPU), gpu = outputsAndGradients(work, inputs, c10::kCUDA);
    double error = 0;
    for (std::size_t i = 0; i < cpu.size(); ++i) {
        const at::Tensor a = cpu[i].detach().to(at::kDouble), b = gpu[i].detach().to(at::kCPU, at::kDouble);
        error = std::max(error, ((a - b).abs().mean() / a.abs().mean().clamp_min(1e-12)).item<double>());
    }
    return error;
}

/// Gradients of splats come in a fixed order: twice the same bits.
double repeatError()
{
    requireKernels();
    const auto weights = scene::weightsOf(scene::syntheticRoom(5000, 4));
    const auto row = scene::cameraRow(scene::roomCamera(0.7, 160, 120));
    const at::Tensor camera = at::tensor(std::vector<float>(row.begin(), row.end())).unsqueeze(0);
    Inputs inputs;
    for (const char* name : {"means", "scales", "rotations", "opacities", "harmonics"})
        inputs.push_back(weights.at(name).clone().requires_grad_());
    const auto work = [&](const Inputs& in) {
        return Inputs{scene::renderSplats(camera, in[0], in[1], in[2], in[3], in[4], {0, 0, 0}, false).colour};
    };
    const Inputs first = outputsAndGradients(work, inputs, c10::kCUDA), second = outputsAndGradients(work, inputs, c10::kCUDA);
    double error = 0;
    for (std::size_t i = 0; i < first.size(); ++i)
        error = std::max(error, largest(first[i].detach() - second[i].detach()));
    return error;
}

}  // namespace

std::vector<Check> cudaChecks()
{
    return {
        {"cuda.resnet20", "ResNet-20 on CPU and GPU, relative", 1e-4,
         [] {
             return modelError("resnet", {{"depth", 20}}, {2, 3, 32, 32}, false);
         }},
        {"cuda.gpt", "a small GPT on CPU and GPU, relative", 1e-4,
         [] {
             return modelError("gpt", {{"layers", 2}, {"width", 64}, {"heads", 4}, {"vocabulary", 32}, {"block_length", 32}}, {2, 32}, true);
         }},
        {"cuda.hash_encode", "hash grid and its gradient on CPU and GPU, relative", 1e-5, hashError},
        {"cuda.fused_mlp", "a small network and its gradients on CPU and GPU, relative", 1e-5, mlpError},
        {"cuda.march_rays", "samples of rays through a grid on CPU and GPU", 1e-6, marchError},
        {"cuda.composite", "emission and absorption and gradients on CPU and GPU, relative", 1e-5, compositeError},
        {"cuda.direction_encode", "harmonics of directions on CPU and GPU, relative", 1e-6, directionError},
        {"cuda.splats", "a picture of 20,000 Gaussians and its gradients on CPU and GPU, mean relative", 1e-4, [] { return splatError(false); }},
        {"cuda.splats_antialias", "the same with compensation of the low-pass filter", 1e-4, [] { return splatError(true); }},
        {"cuda.splats_repeat", "gradients of Gaussians on the GPU repeat to the last bit", 0, repeatError},
    };
}

}  // namespace orrery::cli
