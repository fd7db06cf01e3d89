#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <random>

#include <core/base/error.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>
#include <core/scaling/width/counters.h>
#include <core/zoo/zoo.h>

#include "cost_model.h"

namespace orrery::debug {
namespace {

constexpr double kMostCaseFlops = 4e8;
constexpr double kMostCaseElements = 4e6;

/// One operator in a graph of its own.
struct TimedCase {
    graph::Model model;
    std::vector<c10::IValue> inputs;
};

/// Draws shapes and builds the graphs. The same seed gives the same cases.
class CaseMaker {
public:
    explicit CaseMaker(std::uint64_t seed) : m_random(seed), m_seed(seed) {}
    using Build = TimedCase (CaseMaker::*)();
    static std::vector<Build> builders();
    /// A small network, in turn a language model, one of pictures, an encoder, ...: views, look-ups and sizes that no single operator shows.
    TimedCase network(int round)
    {
        const std::int64_t heads = 2 * size(1, 4), width = heads * size(8, 48), layers = size(1, 3), batch = size(1, 8), length = size(8, 128);
        const std::pair<const char*, core::Json> kinds[] = {
            {"gpt", {{"vocabulary", 256}, {"block_length", 128}, {"layers", layers}, {"heads", heads}, {"width", width}}},
            {"resnet", {{"depth", 8}, {"width", size(4, 32)}}},
            {"bert", {{"vocabulary", 512}, {"block_length", 128}, {"layers", layers}, {"heads", heads}, {"width", width}, {"dropout", 0}}},
            {"lenet", {{"maps", {size(4, 16), size(8, 48)}}}},
            {"vit",
             {{"image_size", 8 * size(3, 12)}, {"patch_size", 8}, {"layers", layers}, {"heads", heads}, {"width", width}, {"mlp_width", 4 * width}}}};
        const auto& [id, parameters] = kinds[std::size_t(round) % std::size(kinds)];
        TimedCase made;
        made.model = zoo::buildModel(id, parameters, m_seed);
        made.inputs = scaling::sizedInputs(made.model, batch, std::min(length, scaling::defaultLength(made.model)));
        return made;
    }

private:
    using Shape = std::vector<std::int64_t>;
    using Var = graph::Builder::Var;
    /// A size between two ends, even in its logarithm.
    std::int64_t size(double low, double high)
    {
        return std::int64_t(std::lround(std::exp(std::uniform_real_distribution<double>(std::log(low), std::log(high))(m_random))));
    }
    at::Tensor drawn(const Shape& shape) { return at::randn(shape, at::detail::createCPUGenerator(++m_seed), at::TensorOptions()); }
    /// A tensor of two or three axes, small to large.
    Shape anyShape()
    {
        Shape shape{size(1, 64), size(1, 512), size(4, 1024)};
        while (double(shape[0] * shape[1] * shape[2]) > kMostCaseElements)
            shape[0] = std::max<std::int64_t>(1, shape[0] / 2), shape[1] = std::max<std::int64_t>(1, shape[1] / 2);
        if (shape[0] == 1)
            shape.erase(shape.begin());
        return shape;
    }
    Var input(graph::Builder& builder, const Shape& shape, TimedCase& made)
    {
        std::vector<std::string> words;
        for (const auto each : shape)
            words.push_back(std::to_string(each));
        made.inputs.emplace_back(drawn(shape));
        return builder.input("x" + std::to_string(made.inputs.size()), "float32", words);
    }
    TimedCase finish(graph::Builder& builder, Var out, TimedCase made)
    {
        made.model = builder.finish({{"out", out}});
        made.model.weights = graph::initialize(*made.model.graph, m_seed);
        return made;
    }
    template <class Make>
    TimedCase elementwise(const Make& make)
    {
        graph::Builder builder("timed");
        TimedCase made;
        const Shape shape = anyShape();
        const Var x = input(builder, shape, made);
        return finish(builder, make(builder, x, shape), std::move(made));
    }
    TimedCase relu()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.relu(x); });
    }
    TimedCase gelu()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.gelu(x); });
    }
    TimedCase tanh()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::tanh", {x}); });
    }
    TimedCase sigmoid()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::sigmoid", {x}); });
    }
    TimedCase silu()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::silu", {x}); });
    }
    TimedCase exponential()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::exp", {x}); });
    }
    TimedCase powers()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::pow.Tensor_Scalar", {x, 2}); });
    }
    TimedCase softmax()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.softmax(x, -1); });
    }
    TimedCase logSoftmax()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::log_softmax.int", {x, -1}); });
    }
    TimedCase layerNorm()
    {
        return elementwise([](auto& b, Var x, const Shape& shape) { return b.layerNorm("norm", x, shape.back()); });
    }
    TimedCase mean()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::mean.dim", {x, std::vector<std::int64_t>{-1}, false}); });
    }
    TimedCase sum()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::sum.dim_IntList", {x, std::vector<std::int64_t>{-1}, false}); });
    }
    TimedCase scaled()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::mul.Scalar", {x, 0.5}); });
    }
    TimedCase view()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.transpose(x, -1, -2); });
    }
    TimedCase copied()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::contiguous", {b.transpose(x, -1, -2)}); });
    }
    TimedCase dropoutOff()
    {
        return elementwise([](auto& b, Var x, const Shape&) { return b.op("aten::dropout", {x, 0.1, false}); });
    }
    TimedCase binary(const char* op)
    {
        graph::Builder builder("timed");
        TimedCase made;
        const Shape shape = anyShape();
        const Var a = input(builder, shape, made), b = input(builder, shape, made);
        std::vector<graph::Builder::Arg> arguments{a, b};
        if (std::string_view(op) != "aten::mul.Tensor")
            arguments.emplace_back(1);
        return finish(builder, builder.op(op, std::move(arguments)), std::move(made));
    }
    TimedCase added() { return binary("aten::add.Tensor"); }
    TimedCase multiplied() { return binary("aten::mul.Tensor"); }
    TimedCase joined()
    {
        graph::Builder builder("timed");
        TimedCase made;
        const Shape shape = anyShape();
        const Var a = input(builder, shape, made), b = input(builder, shape, made);
        return finish(builder, builder.op("aten::cat", {builder.list({a, b}), -1}), std::move(made));
    }
    TimedCase linear()
    {
        graph::Builder builder("timed");
        TimedCase made;
        const std::int64_t in = size(4, 1024), out = size(4, 1024);
        const std::int64_t rows = std::max<std::int64_t>(1, std::min(size(1, 2048), std::int64_t(kMostCaseFlops / double(2 * in * out))));
        const Var x = input(builder, {rows, in}, made);
        return finish(builder, builder.linear("fc", x, in, out), std::move(made));
    }
    TimedCase matmul()
    {
        graph::Builder builder("timed");
        TimedCase made;
        const std::int64_t heads = size(1, 16), n = size(4, 256), k = size(8, 128), m = size(4, 256);
        const Var a = input(builder, {heads, n, k}, made), b = input(builder, {heads, k, m}, made);
        return finish(builder, builder.matmul(a, b), std::move(made));
    }
    TimedCase convolution()
    {
        graph::Builder builder("timed");
        TimedCase made;
        const std::int64_t in = size(1, 64), out = size(4, 64), side = size(6, 48),
                           kernel = 1 + 2 * std::uniform_int_distribution<int>(0, 2)(m_random);
        const std::int64_t batch =
            std::max<std::int64_t>(1, std::min(size(1, 16), std::int64_t(kMostCaseFlops / double(2 * in * out * side * side * kernel * kernel))));
        const Var x = input(builder, {batch, in, side, side}, made);
        return finish(builder, builder.conv2d("conv", x, in, out, kernel, 1, kernel / 2), std::move(made));
    }
    Shape picture() { return {size(1, 16), size(1, 64), size(4, 48), size(4, 48)}; }
    TimedCase batchNorm()
    {
        graph::Builder builder("timed");
        TimedCase made;
        const Shape shape = picture();
        const Var x = input(builder, shape, made);
        return finish(builder, builder.batchNorm("bn", x, shape[1]), std::move(made));
    }
    TimedCase maxPool()
    {
        graph::Builder builder("timed");
        TimedCase made;
        const Var x = input(builder, picture(), made);
        return finish(builder, builder.maxPool2d(x, 2), std::move(made));
    }
    TimedCase averagePool()
    {
        graph::Builder builder("timed");
        TimedCase made;
        const Var x = input(builder, picture(), made);
        return finish(builder, builder.adaptiveAvgPool2d(x, 1), std::move(made));
    }
    TimedCase embedding()
    {
        graph::Builder builder("timed");
        TimedCase made;
        const std::int64_t words = size(16, 4096), width = size(8, 512), rows = size(1, 16), length = size(4, 512);
        const Var x = builder.input("tokens", "int64", {std::to_string(rows), std::to_string(length)}, "tokens");
        made.inputs.emplace_back(at::randint(words, {rows, length}, at::detail::createCPUGenerator(++m_seed), at::TensorOptions(at::kLong)));
        return finish(builder, builder.embedding("embedding", x, words, width), std::move(made));
    }
    std::mt19937_64 m_random;
    std::uint64_t m_seed;
};

std::vector<CaseMaker::Build> CaseMaker::builders()
{
    using M = CaseMaker;
    return {&M::relu,       &M::gelu,        &M::tanh,       &M::sigmoid, &M::silu,       &M::exponential, &M::powers,      &M::softmax,
            &M::logSoftmax, &M::layerNorm,   &M::mean,       &M::sum,     &M::scaled,     &M::view,        &M::copied,      &M::dropoutOff,
            &M::added,      &M::joined,      &M::multiplied, &M::linear,  &M::matmul,     &M::linear,      &M::convolution, &M::batchNorm,
            &M::maxPool,    &M::averagePool, &M::embedding,  &M::matmul,  &M::convolution};
}

}  // namespace

std::vector<CostRow> timeOperators(const TimingOptions& options, std::stop_token stop)
{
    if (options.cases < 1 || options.runs < 1)
        throw core::InputError(fmt::format("cost model: expected at least one case and one run, got {} and {}", options.cases, options.runs));
    const auto builders = CaseMaker::builders();
    CaseMaker maker(options.seed);
    ProfileOptions profile;
    profile.runs = options.runs;
    std::vector<CostRow> rows;
    int done = 0;
    const auto time = [&](const TimedCase& timed, int round) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const auto result = profileModel(graph::Executor(timed.model.graph), timed.model.weights, timed.inputs, profile, stop);
        for (const auto& node : result.nodes)
            if (node.quickest > 0) {
                rows.push_back(costRowOf(node));
                rows.back().round = round;
            }
        if (options.progress)
            options.progress(++done, double(options.cases) * double(builders.size() + 1));
    };
    // Shape by shape, not operator by operator: what disturbs the machine for a second falls on all.
    for (int round = 0; round < options.cases; ++round) {
        for (const auto build : builders)
            time((maker.*build)(), round);
        time(maker.network(round), round);
    }
    return rows;
}

}  // namespace orrery::debug
