#include "builder.h"

#include <torch/csrc/jit/runtime/operator.h>

#include <core/base/error.h>
#include <core/base/stop.h>
#include <core/base/text.h>

#include "operators.h"

namespace orrery::graph {
namespace {

std::string outputType(const c10::Argument& argument)
{
    return argument.type()->annotation_str();
}

std::string shortName(const std::string& op)
{
    auto name = op.substr(op.find("::") + 2);
    if (name.size() > 1 && name.back() == '_' && name.front() != '_')
        name.pop_back();
    return name;
}

}  // namespace

Builder::Builder(std::string name)
{
    m_data.name = std::move(name);
    m_data.modules.push_back({"", m_data.name});
}

std::string Builder::path(const std::string& name) const
{
    if (m_scopes.empty())
        return name;
    return name.empty() ? m_scopes.back() : m_scopes.back() + "." + name;
}

std::string Builder::uniqueName(const std::string& base)
{
    const int count = ++m_nameCounts[base];
    return count == 1 ? base : fmt::format("{}#{}", base, count);
}

ValueId Builder::newValue(std::string name, std::string type)
{
    m_data.values.push_back({std::move(name), std::move(type)});
    return ValueId(m_data.values.size() - 1);
}

Builder::Var Builder::input(const std::string& name, const std::string& dtype, std::vector<std::string> shape, const std::string& kind)
{
    const Var var{newValue(uniqueName(name))};
    m_data.inputs.push_back({name, var.id});
    m_card.inputs.push_back({name, kind, dtype, std::move(shape), {}});
    return var;
}

Builder::Var Builder::training()
{
    if (!m_data.training)
        m_data.training = newValue(uniqueName("training"), "bool");
    return Var{*m_data.training};
}

Builder::Scope Builder::module(const std::string& name, const std::string& type)
{
    m_scopes.push_back(path(name));
    const bool known = std::any_of(m_data.modules.begin(), m_data.modules.end(), [&](const auto& module) { return module.path == m_scopes.back(); });
    if (!known)
        m_data.modules.push_back({m_scopes.back(), type});
    return Scope(*this);
}

void Builder::leave()
{
    m_scopes.pop_back();
}

Builder::Var Builder::parameter(const std::string& name, std::vector<std::int64_t> shape, core::Json init, Parameter::Kind kind, at::ScalarType dtype)
{
    const auto full = path(name);
    for (const auto& existing : m_data.parameters)  // a second call of one module uses the same parameter
        if (existing.name == full) {
            if (existing.shape != shape)
                throw core::ShapeError(
                    fmt::format("parameter {}: declared as {} and as {}", full, core::formatShape(existing.shape), core::formatShape(shape)));
            return Var{existing.value};
        }
    Parameter parameter{full, newValue(uniqueName(full)), kind, std::move(shape), dtype, std::move(init)};
    m_data.parameters.push_back(parameter);
    return Var{parameter.value};
}

Builder::Var Builder::tied(const std::string& name, Var parameter)
{
    const auto it = std::find_if(m_data.parameters.begin(), m_data.parameters.end(), [&](const auto& each) { return each.value == parameter.id; });
    if (it == m_data.parameters.end())
        throw core::InputError(fmt::format("{}: only a parameter can be tied", path(name)));
    m_data.aliases[path(name)] = it->name;
    return parameter;
}

std::vector<Builder::Var> Builder::ops(const std::string& qualifiedOp, std::vector<Arg> args, const std::string& name)
{
    core::throwIfStopped();
    const auto [op, overload] = splitQualifiedOp(qualifiedOp);
    const auto found = findOperator(op, overload);
    if (!found)
        throw core::InputError(fmt::format("libtorch has no operator {}; known overloads of {}: {}", qualifiedOp, op, knownOverloads(op)));
    const auto& schema = found->schema();
    Node node;
    node.op = op;
    node.overload = overload;
    node.module = m_scopes.empty() ? "" : m_scopes.back();
    for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
        const auto& argument = schema.arguments()[i];
        if (i < args.size())
            node.inputs.push_back(args[i].operand);
        else if (argument.default_value())
            node.inputs.push_back(Operand::literal(*argument.default_value()));
        else
            throw core::InputError(fmt::format("{}: argument {} (\"{}\") is missing", qualifiedOp, i, argument.name()));
    }
    if (args.size() > schema.arguments().size())
        throw core::InputError(fmt::format("{} takes {} arguments, got {}", qualifiedOp, schema.arguments().size(), args.size()));
    std::string base = path(name.empty() ? shortName(op) : name);
    if (name.empty() && writesArgument(schema, 0) && !node.inputs[0].isConstant()) {
        // Written in place: the value keeps its name and counts its versions, x, x@2, x@3.
        const auto& written = m_data.values[std::size_t(node.inputs[0].value)].name;
        const auto root = written.substr(0, written.rfind('@'));
        node.name = fmt::format("{}@{}", root, ++m_nameCounts[root + "@"] + 1);
    } else {
        node.name = uniqueName(base);
    }
    std::vector<Var> outputs;
    for (std::size_t i = 0; i < schema.returns().size(); ++i) {
        outputs.push_back({newValue(i == 0 ? node.name : fmt::format("{}:{}", node.name, i), outputType(schema.returns()[i]))});
        node.outputs.push_back(outputs.back().id);
    }
    m_data.body.nodes.push_back(std::move(node));
    return outputs;
}

Builder::Var Builder::op(const std::string& qualifiedOp, std::vector<Arg> args, const std::string& name)
{
    const auto outputs = ops(qualifiedOp, std::move(args), name);
    return outputs.empty() ? Var{} : outputs[0];
}

Builder::Var Builder::list(std::vector<Var> items, const std::string& elementType)
{
    Node node;
    node.op = "prim::ListConstruct";
    node.module = m_scopes.empty() ? "" : m_scopes.back();
    node.name = uniqueName(path("list"));
    for (const auto item : items)
        node.inputs.push_back(Operand::of(item.id));
    const Var var{newValue(node.name, "List[" + elementType + "]")};
    node.outputs.push_back(var.id);
    m_data.body.nodes.push_back(std::move(node));
    return var;
}

Builder::Var Builder::shape(std::vector<Arg> sizes)
{
    Node node;
    node.op = "prim::ListConstruct";
    node.module = m_scopes.empty() ? "" : m_scopes.back();
    node.name = uniqueName(path("shape"));
    for (const auto& arg : sizes)
        node.inputs.push_back(arg.operand);
    const Var list{newValue(node.name, "List[int]")};
    node.outputs.push_back(list.id);
    m_data.body.nodes.push_back(std::move(node));
    return list;
}

std::vector<Builder::Var> Builder::unpack(Var list, std::size_t count, const std::vector<std::string>& names)
{
    if (!names.empty() && names.size() != count)
        throw core::InputError(fmt::format("unpack: expected {} names, got {}", count, names.size()));
    Node node;
    node.op = "prim::ListUnpack";
    node.module = m_scopes.empty() ? "" : m_scopes.back();
    node.name = uniqueName(path(names.empty() ? "unpack" : names[0]));
    node.inputs.push_back(Operand::of(list.id));
    std::vector<Var> outputs;
    for (std::size_t i = 0; i < count; ++i) {
        outputs.push_back({newValue(i == 0 ? node.name : names.empty() ? fmt::format("{}:{}", node.name, i) : uniqueName(path(names[i])))});
        node.outputs.push_back(outputs.back().id);
    }
    m_data.body.nodes.push_back(std::move(node));
    return outputs;
}

Builder::Var Builder::linear(const std::string& name, Var x, std::int64_t in, std::int64_t out, bool bias)
{
    const auto scope = module(name, "Linear");
    const auto weight = parameter("weight", {out, in}, {{"kind", "kaiming_uniform"}, {"a", std::sqrt(5.0)}});
    const Arg biasArg = bias ? Arg(parameter("bias", {out}, {{"kind", "uniform"}, {"fan", in}})) : Arg(nullptr);
    return op("aten::linear", {x, weight, biasArg});
}

Builder::Var Builder::conv2d(const std::string& name, Var x, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                             std::int64_t padding, bool bias, std::int64_t groups, std::int64_t dilation)
{
    const auto scope = module(name, "Conv2d");
    const auto weight = parameter("weight", {out, in / groups, kernel, kernel}, {{"kind", "kaiming_uniform"}, {"a", std::sqrt(5.0)}});
    const Arg biasArg = bias ? Arg(parameter("bias", {out}, {{"kind", "uniform"}, {"fan", in / groups * kernel * kernel}})) : Arg(nullptr);
    const auto pair = [](std::int64_t n) { return std::vector<std::int64_t>{n, n}; };
    return op("aten::conv2d", {x, weight, biasArg, pair(stride), pair(padding), pair(dilation), groups});
}

Builder::Var Builder::batchNorm(const std::string& name, Var x, std::int64_t features, double momentum, double eps)
{
    const auto scope = module(name, "BatchNorm2d");
    const auto weight = parameter("weight", {features}, {{"kind", "ones"}});
    const auto bias = parameter("bias", {features}, {{"kind", "zeros"}});
    const auto mean = parameter("running_mean", {features}, {{"kind", "zeros"}}, Parameter::Kind::Buffer);
    const auto variance = parameter("running_var", {features}, {{"kind", "ones"}}, Parameter::Kind::Buffer);
    return op("aten::batch_norm", {x, weight, bias, mean, variance, training(), momentum, eps, true});
}

Builder::Var Builder::layerNorm(const std::string& name, Var x, std::int64_t features, double eps, bool bias)
{
    const auto scope = module(name, "LayerNorm");
    const auto weight = parameter("weight", {features}, {{"kind", "ones"}});
    const Arg biasArg = bias ? Arg(parameter("bias", {features}, {{"kind", "zeros"}})) : Arg(nullptr);
    return op("aten::layer_norm", {x, std::vector<std::int64_t>{features}, weight, biasArg, eps, true});
}

Builder::Var Builder::embedding(const std::string& name, Var indices, std::int64_t count, std::int64_t features, double std)
{
    const auto scope = module(name, "Embedding");
    const auto weight = parameter("weight", {count, features}, {{"kind", "normal"}, {"std", std}});
    return op("aten::embedding", {weight, indices});
}

Builder::Var Builder::dropout(const std::string& name, Var x, double p)
{
    if (p == 0)
        return x;
    const auto scope = module(name, "Dropout");
    return op("aten::dropout", {x, p, training()});
}

Builder::Var Builder::relu(Var x)
{
    return op("aten::relu", {x});
}
Builder::Var Builder::gelu(Var x, const std::string& approximate)
{
    return op("aten::gelu", {x, approximate.c_str()});
}
Builder::Var Builder::add(Var a, Var b)
{
    return op("aten::add.Tensor", {a, b});
}
Builder::Var Builder::matmul(Var a, Var b)
{
    return op("aten::matmul", {a, b});
}
Builder::Var Builder::softmax(Var x, std::int64_t dim)
{
    return op("aten::softmax.int", {x, dim});
}

Builder::Var Builder::maxPool2d(Var x, std::int64_t kernel, std::int64_t stride, std::int64_t padding)
{
    const auto step = stride ? stride : kernel;
    return op("aten::max_pool2d",
              {x, std::vector<std::int64_t>{kernel, kernel}, std::vector<std::int64_t>{step, step}, std::vector<std::int64_t>{padding, padding}});
}

Builder::Var Builder::avgPool2d(Var x, std::int64_t kernel, std::int64_t stride)
{
    const auto step = stride ? stride : kernel;
    return op("aten::avg_pool2d", {x, std::vector<std::int64_t>{kernel, kernel}, std::vector<std::int64_t>{step, step}});
}

Builder::Var Builder::adaptiveAvgPool2d(Var x, std::int64_t size)
{
    return op("aten::adaptive_avg_pool2d", {x, std::vector<std::int64_t>{size, size}});
}
Builder::Var Builder::flatten(Var x, std::int64_t from, std::int64_t to)
{
    return op("aten::flatten.using_ints", {x, from, to});
}

Builder::Var Builder::reshape(Var x, std::vector<Arg> shape)
{
    const bool literal = std::all_of(shape.begin(), shape.end(), [](const Arg& arg) { return arg.operand.isConstant(); });
    if (literal) {
        std::vector<std::int64_t> sizes;
        for (const auto& arg : shape)
            sizes.push_back(arg.operand.constant.toInt());
        return op("aten::reshape", {x, sizes});
    }
    return op("aten::reshape", {x, this->shape(std::move(shape))});
}

Builder::Var Builder::transpose(Var x, std::int64_t a, std::int64_t b)
{
    return op("aten::transpose.int", {x, a, b});
}
Builder::Var Builder::size(Var x, std::int64_t dim)
{
    return op("aten::size.int", {x, dim});
}

void Builder::setInit(const std::string& pattern, const core::Json& init)
{
    bool found = false;
    for (auto& parameter : m_data.parameters)
        if (parameter.name == path(pattern) || (core::isGlob(pattern) && core::matchesGlob(pattern, parameter.name))) {
            parameter.init = init;
            found = true;
        }
    if (!found)
        throw core::InputError(fmt::format("no parameter fits \"{}\"", pattern));
}

Model Builder::finish(std::vector<std::pair<std::string, Var>> outputs)
{
    for (const auto& [name, var] : outputs) {
        m_data.body.outputs.push_back(Operand::of(var.id));
        m_data.outputNames.push_back(name);
    }
    Model model;
    model.graph = std::make_shared<const Graph>(std::move(m_data));
    model.card = std::move(m_card);
    m_data = {};
    m_card = {};
    m_scopes.clear();
    m_nameCounts.clear();
    return model;
}

}  // namespace orrery::graph
