#include "random_graphs.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <random>
#include <set>

#include <core/graph/builder.h>
#include <core/graph/executor.h>

namespace orrery::debug {
namespace {

using Shape = std::vector<std::int64_t>;

/// Keeps values away from where a domain ends.
constexpr double kDomainMargin = 0.1;
constexpr std::int64_t kMostElements = 20'000;

struct Typed {
    graph::Builder::Var var;
    Shape shape;
};

std::int64_t elements(const Shape& shape)
{
    std::int64_t count = 1;
    for (const auto size : shape)
        count *= size;
    return count;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b)
{
    Shape out(std::max(a.size(), b.size()));
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto from = [&](const Shape& shape) { return i < shape.size() ? shape[shape.size() - 1 - i] : 1; };
        if (from(a) != from(b) && from(a) != 1 && from(b) != 1)
            return std::nullopt;
        out[out.size() - 1 - i] = std::max(from(a), from(b));
    }
    return out;
}

class RandomBuilder {
public:
    RandomBuilder(std::uint64_t seed, int nodes) : m_random(seed), m_builder("random"), m_nodes(nodes) {}
    RandomGraph make(std::uint64_t seed)
    {
        const int inputs = drawn(1, 2);
        for (int i = 0; i < inputs; ++i)
            addInput(i);
        using Rule = void (RandomBuilder::*)();
        const Rule rules[] = {&RandomBuilder::unary,       &RandomBuilder::unary,  &RandomBuilder::binary,    &RandomBuilder::binary,
                              &RandomBuilder::limited,     &RandomBuilder::linear, &RandomBuilder::biased,    &RandomBuilder::matmul,
                              &RandomBuilder::convolution, &RandomBuilder::reduce, &RandomBuilder::normalise, &RandomBuilder::rearrange,
                              &RandomBuilder::join,        &RandomBuilder::part};
        for (int tries = 0; tries < 20 * m_nodes && m_made < m_nodes; ++tries)
            (this->*rules[drawn(0, int(std::size(rules)) - 1)])();
        return finish(seed);
    }

private:
    int drawn(int low, int high) { return std::uniform_int_distribution<int>(low, high)(m_random); }
    std::size_t place() { return std::size_t(drawn(0, int(m_values.size()) - 1)); }
    Typed any() { return m_values[place()]; }
    int axisOf(const Typed& x) { return drawn(0, int(x.shape.size()) - 1); }
    void add(graph::Builder::Var var, Shape shape)
    {
        m_values.push_back({var, std::move(shape)});
        ++m_made;
    }
    void addInput(int index)
    {
        Shape shape(std::size_t(drawn(2, 3)));
        std::vector<std::string> words;
        for (auto& size : shape)
            words.push_back(std::to_string(size = drawn(1, 5)));
        m_values.push_back({m_builder.input("x" + std::to_string(index), "float32", words), shape});
        m_inputShapes.push_back(shape);
    }
    void unary()
    {
        const char* const names[] = {"tanh", "sigmoid", "relu", "abs", "neg", "sin", "cos", "silu", "erf"};
        const Typed x = any();
        add(m_builder.op(std::string("aten::") + names[drawn(0, 8)], {x.var}), x.shape);
    }
    void binary()
    {
        const Typed a = any(), b = any();
        const auto shape = broadcast(a.shape, b.shape);
        if (!shape || elements(*shape) > kMostElements)
            return;
        const int which = drawn(0, 4);
        if (which < 2)
            add(m_builder.op(which ? "aten::sub.Tensor" : "aten::add.Tensor", {a.var, b.var, 1}), *shape);
        else
            add(m_builder.op(which == 2 ? "aten::mul.Tensor" : which == 3 ? "aten::maximum" : "aten::minimum", {a.var, b.var}), *shape);
    }
    /// Operators that give no number everywhere.
    void limited()
    {
        const Typed x = any();
        const int which = drawn(0, 2);
        if (which < 2) {
            m_domains.emplace_back(x.var.id, which ? "sqrt" : "log");
            return add(m_builder.op(which ? "aten::sqrt" : "aten::log", {x.var}), x.shape);
        }
        const Typed y = any();
        const auto shape = broadcast(y.shape, x.shape);
        if (!shape)
            return;
        m_domains.emplace_back(x.var.id, "div");
        add(m_builder.op("aten::div.Tensor", {y.var, x.var}), *shape);
    }
    graph::Builder::Var weight(const Shape& shape)
    {
        return m_builder.parameter("w" + std::to_string(m_parameters++), shape, {{"kind", "normal"}, {"mean", 0}, {"std", 0.5}});
    }
    void linear()
    {
        const Typed x = any();
        const std::int64_t out = drawn(1, 6);
        Shape shape = x.shape;
        shape.back() = out;
        add(m_builder.linear("fc" + std::to_string(m_parameters++), x.var, x.shape.back(), out, drawn(0, 1) == 1), shape);
    }
    /// A product, a bias and a GELU: what the fusion looks for.
    void biased()
    {
        const Typed x = any();
        const auto sum = m_builder.op("aten::add.Tensor", {x.var, weight({x.shape.back()}), 1});
        add(sum, x.shape);
        add(m_builder.gelu(sum, drawn(0, 1) ? "tanh" : "none"), x.shape);
    }
    void matmul()
    {
        const Typed x = any();
        const std::int64_t out = drawn(1, 6);
        Shape shape = x.shape;
        shape.back() = out;
        add(m_builder.matmul(x.var, weight({x.shape.back(), out})), shape);
    }
    void convolution()
    {
        const Typed x = any();
        if (x.shape.size() != 3)
            return;
        const std::int64_t out = drawn(1, 4);
        add(m_builder.op("aten::conv1d", {x.var, weight({out, x.shape[1], 3}), nullptr, Shape{1}, Shape{1}, Shape{1}, 1}),
            {x.shape[0], out, x.shape[2]});
    }
    void reduce()
    {
        const Typed x = any();
        const int axis = axisOf(x);
        const bool keeps = drawn(0, 1) == 1 || x.shape.size() < 3;
        Shape shape = x.shape;
        keeps ? void(shape[std::size_t(axis)] = 1) : void(shape.erase(shape.begin() + axis));
        add(m_builder.op(drawn(0, 1) ? "aten::sum.dim_IntList" : "aten::mean.dim", {x.var, Shape{axis}, keeps, nullptr}), shape);
    }
    void normalise()
    {
        const Typed x = any();
        if (drawn(0, 1))
            return add(m_builder.softmax(x.var, axisOf(x)), x.shape);
        if (x.shape.back() > 1)
            add(m_builder.layerNorm("norm" + std::to_string(m_parameters++), x.var, x.shape.back()), x.shape);
    }
    void rearrange()
    {
        const Typed x = any();
        Shape shape = x.shape;
        const int which = drawn(0, 3);
        if (which == 0) {
            const int a = axisOf(x), b = axisOf(x);
            std::swap(shape[std::size_t(a)], shape[std::size_t(b)]);
            add(m_builder.transpose(x.var, a, b), shape);
        } else if (which == 1 && shape.size() == 3) {
            add(m_builder.flatten(x.var, 0, 1), {shape[0] * shape[1], shape[2]});
        } else if (which == 2 && shape.size() == 2) {
            const int axis = drawn(0, 2);
            shape.insert(shape.begin() + axis, 1);
            add(m_builder.op("aten::unsqueeze", {x.var, axis}), shape);
        } else {
            add(m_builder.op("aten::flip", {x.var, Shape{axisOf(x)}}), shape);
        }
    }
    void join()
    {
        const Typed x = any();
        const int axis = axisOf(x);
        Shape shape = x.shape;
        shape[std::size_t(axis)] *= 2;
        if (elements(shape) > kMostElements)
            return;
        const auto other = m_builder.op("aten::tanh", {x.var});
        add(other, x.shape);
        add(m_builder.op("aten::cat", {m_builder.list({x.var, other}), axis}), shape);
    }
    void part()
    {
        const Typed x = any();
        const int axis = axisOf(x);
        Shape shape = x.shape;
        const std::int64_t size = shape[std::size_t(axis)], from = drawn(0, int(size) - 1);
        shape[std::size_t(axis)] = size - from;
        add(m_builder.op("aten::slice.Tensor", {x.var, axis, from, size, 1}), shape);
    }
    RandomGraph finish(std::uint64_t seed)
    {
        std::vector<std::pair<std::string, graph::Builder::Var>> outputs = {{"out", m_values.back().var}};
        for (std::size_t i = m_inputShapes.size(); i + 1 < m_values.size(); i += 3)
            outputs.emplace_back("out" + std::to_string(i), m_values[i].var);
        RandomGraph made = RandomGraph::drawn(m_builder.finish(outputs), m_inputShapes, seed);
        for (std::size_t i = m_inputShapes.size(); i < m_values.size(); ++i)
            made.shapes[made.model.graph->value(m_values[i].var.id).name] = m_values[i].shape;
        for (const auto& [id, domain] : m_domains)
            made.domains.emplace(made.model.graph->value(id).name, domain);
        return made;
    }

    std::mt19937_64 m_random;
    graph::Builder m_builder;
    int m_nodes, m_made = 0, m_parameters = 0;
    std::vector<Typed> m_values;
    std::vector<Shape> m_inputShapes;
    std::vector<std::pair<graph::ValueId, std::string>> m_domains;
};

/// How far a value is outside its domain, summed over its elements.
at::Tensor violation(const std::string& domain, const at::Tensor& value)
{
    return at::relu(kDomainMargin - (domain == "div" ? value.abs() : value)).sum();
}

}  // namespace

RandomGraph RandomGraph::drawn(graph::Model model, const std::vector<std::vector<std::int64_t>>& inputShapes, std::uint64_t seed)
{
    RandomGraph made;
    made.model = std::move(model);
    made.model.weights = graph::initialize(*made.model.graph, seed);
    auto generator = at::detail::createCPUGenerator(seed);
    for (const auto& shape : inputShapes)
        made.inputs.emplace_back(at::randn(shape, generator, at::TensorOptions()));
    return made;
}

RandomGraph randomGraph(std::uint64_t seed, int nodes)
{
    return RandomBuilder(seed, nodes).make(seed);
}

bool searchFiniteInputs(RandomGraph& graph)
{
    const graph::Executor executor(graph.model.graph);
    graph::RunRequest request;
    request.gradients = graph::Gradients::Inputs;
    for (const auto& [name, domain] : graph.domains)
        request.keep.push_back(name);
    for (int step = 0; step < 100; ++step) {
        request.inputs.clear();
        for (const auto& input : graph.inputs)
            request.inputs.emplace_back(input.toTensor().detach().requires_grad_(true));
        const graph::RunResult result = executor.run(graph.model.weights, request);
        const bool finite = std::all_of(result.outputs.begin(), result.outputs.end(),
                                        [](const auto& output) { return output.toTensor().isfinite().all().template item<bool>(); });
        if (finite)
            return true;
        // The first violation in execution order: behind it there are no numbers to go by.
        at::Tensor loss = at::zeros({});
        for (const auto& [name, domain] : graph.domains) {
            const at::Tensor hurt = violation(domain, result.value(name));
            if (hurt.isfinite().item<bool>())
                loss = loss + hurt;
        }
        if (!loss.requires_grad())
            return false;
        loss.backward();
        for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
            const at::Tensor gradient = request.inputs[i].toTensor().grad();
            if (gradient.defined())
                graph.inputs[i] = graph.inputs[i].toTensor() - 0.2 * gradient.nan_to_num(0, 0, 0).clamp(-1, 1);
        }
    }
    return false;
}

graph::Model cutTo(const graph::Model& model, const std::string& value)
{
    const graph::Graph& graph = *model.graph;
    graph::GraphData data = graph.data();
    const auto id = graph.findValue(value);
    if (!id)
        throw core::InputError("there is no value \"" + value + "\"");
    std::set<graph::ValueId> needed = {*id};
    for (auto node = data.body.nodes.rbegin(); node != data.body.nodes.rend(); ++node) {
        if (std::none_of(node->outputs.begin(), node->outputs.end(), [&](auto output) { return needed.count(output) > 0; }))
            continue;
        for (const auto& input : node->inputs)
            if (!input.isConstant())
                needed.insert(input.value);
    }
    std::erase_if(data.body.nodes, [&](const auto& node) {
        return node.blocks.empty() && std::none_of(node.outputs.begin(), node.outputs.end(), [&](auto output) { return needed.count(output) > 0; });
    });
    data.body.outputs = {graph::Operand::of(*id)};
    data.outputNames = {"out"};
    data.bufferUpdates.clear();
    graph::Model cut = model;
    cut.graph = std::make_shared<const graph::Graph>(std::move(data));
    return cut;
}

}  // namespace orrery::debug
