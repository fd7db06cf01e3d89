#include "formula_graph.h"

#include <ATen/ATen.h>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/builder.h>
#include <core/graph/executor.h>

#include "formula_dag.h"

namespace orrery::symbolic {
namespace {

using Var = graph::Builder::Var;

/// Beyond this softplus(x) is x to the last bit of a double.
constexpr double kSoftplusThreshold = 50;

class ModelWriter {
public:
    ModelWriter(const Formula& formula, const std::string& name) : m_formula(formula), m_builder(name), m_made(formula.terms.size()) {}
    graph::Model write(const std::map<std::string, at::Tensor>& example)
    {
        declareInputs();
        const auto needed = neededTerms(m_formula);
        for (std::size_t i = 0; i < m_formula.terms.size(); ++i) {
            const Term& term = m_formula.terms[i];
            if (!needed[i] || term.kind == TermKind::Number)
                continue;
            m_made[i] = term.kind == TermKind::Variable ? m_inputs.at(term.name) : operation(term);
            if (term.kind != TermKind::Variable)
                m_sources[m_made[i].id] = toText(m_formula, i, 200);
        }
        std::vector<std::pair<std::string, Var>> outputs;
        for (const auto& output : m_formula.outputs)
            outputs.emplace_back(output.name, value(output.term));
        graph::Model model = m_builder.finish(std::move(outputs));
        model.card.title = toLines(m_formula).back();
        writeExample(model.card, example);
        model.weights = graph::Weights(std::move(m_constants));
        nameSources(model);
        return model;
    }

private:
    void declareInputs()
    {
        for (const auto& [name, shape] : m_formula.variables) {
            std::vector<std::string> words;
            for (const auto size : shape)
                words.push_back(std::to_string(size));
            if (words.empty())
                words = {"1"};
            m_inputs[name] = m_builder.input(name, "float64", std::move(words));
        }
    }
    bool isNumber(std::size_t term) const { return m_formula.terms[term].kind == TermKind::Number; }
    double number(std::size_t term) const { return m_formula.terms[term].number; }
    /// A term as a value: numbers become constants, each once.
    Var value(std::size_t term)
    {
        if (!isNumber(term))
            return m_made[term];
        const double value = number(term);
        if (const auto known = m_numbers.find(value); known != m_numbers.end())
            return known->second;
        const std::string name = fmt::format("number{}", m_numbers.size());
        m_constants[name] = at::scalar_tensor(value, at::TensorOptions(at::kDouble));
        const auto made = m_builder.parameter(name, {}, {{"kind", "constant"}, {"value", value}}, graph::Parameter::Kind::Constant, at::kDouble);
        return m_numbers[value] = made;
    }
    Var operation(const Term& term)
    {
        const auto& in = term.arguments;
        switch (term.kind) {
        case TermKind::Negate: return m_builder.op("aten::neg", {value(in[0])});
        case TermKind::Add: return sum(in[0], in[1]);
        case TermKind::Subtract: return difference(in[0], in[1]);
        case TermKind::Multiply: return product(in[0], in[1]);
        case TermKind::Divide:
            if (isNumber(in[1]) && !isNumber(in[0]))
                return m_builder.op("aten::div.Scalar", {value(in[0]), number(in[1])});
            return m_builder.op("aten::div.Tensor", {value(in[0]), value(in[1])});
        case TermKind::Power:
            if (isNumber(in[1]) && !isNumber(in[0]))
                return m_builder.op("aten::pow.Tensor_Scalar", {value(in[0]), number(in[1])});
            return m_builder.op("aten::pow.Tensor_Tensor", {value(in[0]), value(in[1])});
        default: return called(term);
        }
    }
    Var sum(std::size_t a, std::size_t b)
    {
        if (isNumber(a))
            std::swap(a, b);
        if (isNumber(b) && !isNumber(a))
            return m_builder.op("aten::add.Scalar", {value(a), number(b), 1});
        return m_builder.op("aten::add.Tensor", {value(a), value(b), 1});
    }
    Var difference(std::size_t a, std::size_t b)
    {
        if (isNumber(a) && !isNumber(b))
            return m_builder.op("aten::rsub.Scalar", {value(b), number(a), 1});
        if (isNumber(b) && !isNumber(a))
            return m_builder.op("aten::sub.Scalar", {value(a), number(b), 1});
        return m_builder.op("aten::sub.Tensor", {value(a), value(b), 1});
    }
    Var product(std::size_t a, std::size_t b)
    {
        if (isNumber(a))
            std::swap(a, b);
        if (isNumber(b) && !isNumber(a))
            return m_builder.op("aten::mul.Scalar", {value(a), number(b)});
        return m_builder.op("aten::mul.Tensor", {value(a), value(b)});
    }
    Var called(const Term& term)
    {
        const auto& in = term.arguments;
        const std::string& name = term.name;
        if (name == "min" || name == "max")
            return m_builder.op(name == "min" ? "aten::minimum" : "aten::maximum", {value(in[0]), value(in[1])});
        if (name == "clamp")
            return clamped(in);
        if (name == "softplus")
            return m_builder.op("aten::softplus", {value(in[0]), 1.0, kSoftplusThreshold});
        if (name == "step")
            return m_builder.op("aten::relu", {m_builder.op("aten::sign", {value(in[0])})});
        if (name == "transpose")
            return m_builder.op("aten::transpose.int", {value(in[0]), -2, -1});
        if (name == "sum" || name == "mean" || name == "count")
            return reduced(term);
        if (name == "expand_like")
            return m_builder.op("aten::expand_as", {value(in[0]), value(in[1])});
        if (name == "sum_like")
            return m_builder.op("aten::sum_to_size", {value(in[0]), m_builder.op("aten::size", {value(in[1])})});
        return m_builder.op("aten::" + name, inputs(in));
    }
    std::vector<graph::Builder::Arg> inputs(const std::vector<std::size_t>& terms)
    {
        std::vector<graph::Builder::Arg> made;
        for (const auto term : terms)
            made.emplace_back(value(term));
        return made;
    }
    Var clamped(const std::vector<std::size_t>& in)
    {
        if (isNumber(in[1]) && isNumber(in[2]) && !isNumber(in[0]))
            return m_builder.op("aten::clamp", {value(in[0]), number(in[1]), number(in[2])});
        return m_builder.op("aten::minimum", {m_builder.op("aten::maximum", {value(in[0]), value(in[1])}), value(in[2])});
    }
    Var reduced(const Term& term)
    {
        const std::size_t x = term.arguments[0];
        const bool whole = term.arguments.size() == 1;
        const std::int64_t axis = whole ? 0 : axisOf(term, m_formula.terms[term.arguments[1]], m_formula.shapes[x].size());
        if (term.name == "count") {
            const auto count = whole ? m_builder.op("aten::numel", {value(x)}) : m_builder.op("aten::size.int", {value(x), axis});
            return m_builder.op("prim::NumToTensor.Scalar", {count});
        }
        const std::string op = "aten::" + term.name;
        if (whole)
            return m_builder.op(op, {value(x)});
        return m_builder.op(op + (term.name == "sum" ? ".dim_IntList" : ".dim"), {value(x), std::vector<std::int64_t>{axis}, true});
    }
    void writeExample(graph::ModelCard& card, const std::map<std::string, at::Tensor>& example) const
    {
        card.example = core::Json::object();
        for (const auto& [name, shape] : m_formula.variables) {
            const auto given = example.find(name);
            if (given == example.end())
                continue;
            const at::Tensor flat = given->second.to(at::kDouble).contiguous().reshape(-1);
            card.example[name] = std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
        }
    }
    void nameSources(graph::Model& model) const
    {
        graph::GraphData data = model.graph->data();
        for (auto& node : data.body.nodes)
            for (const auto output : node.outputs)
                if (const auto source = m_sources.find(output); source != m_sources.end())
                    node.source = source->second;
        model.graph = std::make_shared<const graph::Graph>(std::move(data));
    }

    const Formula& m_formula;
    graph::Builder m_builder;
    std::vector<Var> m_made;
    std::map<std::string, Var> m_inputs;
    std::map<double, Var> m_numbers;
    std::map<std::string, at::Tensor> m_constants;
    std::map<graph::ValueId, std::string> m_sources;
};

/// Lists of numbers, all rows equally long.
class NestedNumbers {
public:
    explicit NestedNumbers(const std::string& place) : m_place(place) {}
    at::Tensor read(const core::Json& json)
    {
        for (const core::Json* part = &json; part->is_array(); part = &part->front()) {
            if (part->empty() || m_shape.size() >= 8)
                fail("lists that are not empty, nested at most eight deep");
            m_shape.push_back(std::int64_t(part->size()));
        }
        collect(json, 0);
        return at::tensor(m_numbers, at::kDouble).reshape(m_shape);
    }

private:
    [[noreturn]] void fail(const std::string& expected) const { throw core::InputError(fmt::format("{}: expected {}", m_place, expected)); }
    void collect(const core::Json& json, std::size_t depth)
    {
        if (depth == m_shape.size()) {
            if (!json.is_number())
                fail("numbers, got " + json.dump());
            m_numbers.push_back(json.get<double>());
            return;
        }
        if (!json.is_array() || std::int64_t(json.size()) != m_shape[depth])
            fail(fmt::format("lists of {} elements, got {}", m_shape[depth], json.dump().substr(0, 60)));
        for (const auto& item : json)
            collect(item, depth + 1);
    }
    std::string m_place;
    Shape m_shape;
    std::vector<double> m_numbers;
};

[[noreturn]] void failValue(const std::string& name, std::string_view text)
{
    throw core::InputError(
        fmt::format("{}: expected a number, a list such as [[1, 2], [3, 4]], randn[2, 3] or linspace(-1, 1, 5), got \"{}\"", name, text));
}

core::Json parsedOr(const std::string& name, std::string_view whole, const std::string& text)
{
    const core::Json json = core::Json::parse(text, nullptr, false);
    if (json.is_discarded() || (json.is_array() && json.empty()))
        failValue(name, whole);
    return json;
}

at::Tensor drawn(const std::string& name, std::string_view text, std::uint64_t seed)
{
    const core::Json sizes = parsedOr(name, text, std::string(text.substr(5)));
    Shape shape;
    std::int64_t count = 1;
    for (const auto& size : sizes) {
        if (!size.is_number_integer() || size.get<std::int64_t>() < 1 || size.get<std::int64_t>() > 10'000'000 / count)
            throw core::InputError(fmt::format("{}: expected sizes of 1 or more, ten million numbers at most, got \"{}\"", name, text));
        shape.push_back(size.get<std::int64_t>());
        count *= shape.back();
    }
    for (const char letter : name)  // variables of one seed differ
        seed = seed * 1099511628211ULL + std::uint64_t(static_cast<unsigned char>(letter));
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kDouble));
}

at::Tensor spaced(const std::string& name, std::string_view text)
{
    const auto end = text.find(')');
    const core::Json parts = parsedOr(name, text, "[" + std::string(text.substr(9, end == std::string_view::npos ? end : end - 9)) + "]");
    if (parts.size() != 3 || !parts[0].is_number() || !parts[1].is_number() || !parts[2].is_number_integer() || parts[2] < 1 || parts[2] > 10'000'000)
        failValue(name, text);
    return at::linspace(parts[0].get<double>(), parts[1].get<double>(), parts[2].get<std::int64_t>(), at::TensorOptions(at::kDouble));
}

}  // namespace

graph::Model toModel(const Formula& formula, const std::string& name, const std::map<std::string, at::Tensor>& example)
{
    return ModelWriter(formula, name).write(example);
}

std::map<std::string, at::Tensor> evaluateAt(const Formula& formula, const std::map<std::string, at::Tensor>& values)
{
    const graph::Model model = toModel(formula);
    graph::RunRequest request;
    for (const auto& [name, shape] : formula.variables) {
        const auto given = values.find(name);
        if (given == values.end())
            throw core::InputError(fmt::format("the variable \"{}\" has no value", name));
        if (given->second.sizes() != at::IntArrayRef(shape))
            throw core::ShapeError(
                fmt::format("variable \"{}\": expected {}, got {}", name, core::formatShape(shape), core::formatShape(given->second.sizes())));
        request.inputs.emplace_back(given->second);
    }
    const auto result = graph::Executor(model.graph).run(model.weights, request);
    std::map<std::string, at::Tensor> outputs;
    for (std::size_t i = 0; i < formula.outputs.size(); ++i)
        outputs[formula.outputs[i].name] = result.tensor(i);
    return outputs;
}

std::map<std::string, Shape> shapesOf(const std::map<std::string, at::Tensor>& values)
{
    std::map<std::string, Shape> shapes;
    for (const auto& [name, value] : values)
        shapes[name] = value.sizes().vec();
    return shapes;
}

at::Tensor valueFromText(const std::string& name, std::string_view given, std::uint64_t seed)
{
    const std::string_view text = core::trim(given);
    if (text.starts_with("randn["))
        return drawn(name, text, seed);
    if (text.starts_with("linspace("))
        return spaced(name, text);
    const core::Json json = parsedOr(name, text, std::string(text));
    if (json.is_number())
        return at::scalar_tensor(json.get<double>(), at::TensorOptions(at::kDouble));
    if (!json.is_array())
        failValue(name, text);
    return NestedNumbers(name).read(json);
}

}  // namespace orrery::symbolic
