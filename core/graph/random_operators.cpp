#include "random_operators.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <core/base/error.h>

#include "operators.h"

namespace orrery::graph {
namespace {

using torch::jit::Stack;

c10::IValue popAt(Stack& stack, std::size_t index, std::size_t count)
{
    return stack[stack.size() - count + index];
}

void replaceTop(Stack& stack, std::size_t count, std::initializer_list<at::Tensor> results)
{
    stack.erase(stack.end() - std::ptrdiff_t(count), stack.end());
    for (const auto& result : results)
        stack.emplace_back(result);
}

at::Tensor noiseFor(const at::Tensor& input, bool feature)
{
    if (!feature)
        return at::empty_like(input);
    std::vector<std::int64_t> sizes{input.size(0), input.size(1)};
    sizes.resize(std::size_t(input.dim()), 1);
    return input.new_empty(sizes);
}

// The formulas of libtorch's `_dropout` (ATen/native/Dropout.cpp), so that equal generator states give equal bits.
at::Tensor dropped(const at::Tensor& input, double p, bool train, bool feature, bool alpha, const at::Generator& generator)
{
    if (p < 0 || p > 1)
        throw core::InputError(fmt::format("dropout probability: expected 0..1, got {}", p));
    if (p == 0 || !train || input.numel() == 0)
        return input;
    if (p == 1)
        return input.mul(at::zeros({}, input.options()));
    auto noise = noiseFor(input, feature);
    noise.bernoulli_(1 - p, generator);
    if (!alpha) {
        noise.div_(1 - p);
        return input * noise;
    }
    constexpr double kAlpha = 1.7580993408473766;
    const double a = 1. / std::sqrt((kAlpha * kAlpha * p + 1) * (1 - p));
    const auto b = noise.add(-1).mul_(kAlpha * a).add_(kAlpha * a * p);
    noise.mul_(a);
    return input * noise + b;
}

std::optional<SeededOperator> dropoutForm(const std::string& op)
{
    const bool inPlace = op.back() == '_';
    const auto base = inPlace ? op.substr(0, op.size() - 1) : op;
    const bool known =
        base == "aten::dropout" || base == "aten::feature_dropout" || base == "aten::alpha_dropout" || base == "aten::feature_alpha_dropout";
    if (!known)
        return std::nullopt;
    const bool feature = base.find("feature") != std::string::npos, alpha = base.find("alpha") != std::string::npos;
    return [=](Stack& stack, const at::Generator& generator) {
        const auto input = popAt(stack, 0, 3).toTensor();
        const auto result = dropped(input, popAt(stack, 1, 3).toDouble(), popAt(stack, 2, 3).toBool(), feature, alpha, generator);
        if (inPlace && !result.is_same(input))
            input.copy_(result);
        replaceTop(stack, 3, {inPlace ? input : result});
    };
}

std::optional<SeededOperator> nativeDropoutForm(const std::string& op)
{
    if (op != "aten::native_dropout")
        return std::nullopt;
    return [](Stack& stack, const at::Generator& generator) {
        const auto input = popAt(stack, 0, 3).toTensor();
        const double p = popAt(stack, 1, 3).toDouble();
        const auto train = popAt(stack, 2, 3);
        if ((!train.isNone() && !train.toBool()) || input.numel() == 0)
            return replaceTop(stack, 3, {input, at::ones_like(input, input.options().dtype(at::kBool))});
        const auto mask = at::empty_like(input, input.options().dtype(at::kBool)).bernoulli_(1 - p, generator);
        replaceTop(stack, 3, {input.mul(mask).mul_(p == 1 ? 0.0 : 1.0 / (1.0 - p)), mask});
    };
}

// rand_like(self, *, dtype, layout, device, pin_memory, memory_format) and kin have no generator overload: same shape, then drawn in place.
std::optional<SeededOperator> likeForm(const std::string& op, const c10::FunctionSchema& schema)
{
    if (op != "aten::rand_like" && op != "aten::randn_like" && op != "aten::randint_like")
        return std::nullopt;
    const auto count = schema.arguments().size();
    const int dtypeAt = argumentIndex(schema, "dtype"), deviceAt = argumentIndex(schema, "device"), lowAt = argumentIndex(schema, "low"),
              highAt = argumentIndex(schema, "high");
    return [=](Stack& stack, const at::Generator& generator) {
        auto options = popAt(stack, 0, count).toTensor().options();
        if (dtypeAt >= 0 && !popAt(stack, std::size_t(dtypeAt), count).isNone())
            options = options.dtype(popAt(stack, std::size_t(dtypeAt), count).toScalarType());
        if (deviceAt >= 0 && !popAt(stack, std::size_t(deviceAt), count).isNone())
            options = options.device(popAt(stack, std::size_t(deviceAt), count).toDevice());
        auto result = at::empty_like(popAt(stack, 0, count).toTensor(), options);
        if (op == "aten::rand_like")
            result.uniform_(0, 1, generator);
        else if (op == "aten::randn_like")
            result.normal_(0, 1, generator);
        else
            result.random_(lowAt >= 0 ? popAt(stack, std::size_t(lowAt), count).toInt() : 0, popAt(stack, std::size_t(highAt), count).toInt(),
                           generator);
        replaceTop(stack, count, {result});
    };
}

bool isGenerator(const c10::Argument& argument)
{
    return argument.name() == "generator";
}

std::optional<SeededOperator> argumentForm(const c10::FunctionSchema& schema, const std::function<void(Stack&)>& plain)
{
    const auto& arguments = schema.arguments();
    const auto it = std::find_if(arguments.begin(), arguments.end(), isGenerator);
    if (it == arguments.end())
        return std::nullopt;
    const auto fromTop = arguments.size() - std::size_t(it - arguments.begin());
    return [=](Stack& stack, const at::Generator& generator) {
        stack[stack.size() - fromTop] = c10::IValue(generator);
        plain(stack);
    };
}

// randn(size, *, dtype...) -> randn.generator(size, *, generator, dtype...): the overload whose arguments are the same ones and a generator.
std::optional<SeededOperator> siblingForm(const Node& node, const c10::FunctionSchema& schema)
{
    for (const auto& sibling : torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(node.op))) {
        const auto& theirs = sibling->schema().arguments();
        if (theirs.size() != schema.arguments().size() + 1 || std::none_of(theirs.begin(), theirs.end(), isGenerator))
            continue;
        std::vector<int> from;
        bool fits = true;
        for (const auto& argument : theirs) {
            from.push_back(isGenerator(argument) ? -1 : argumentIndex(schema, argument.name()));
            fits = fits && (isGenerator(argument) || from.back() >= 0);
        }
        if (!fits)
            continue;
        const auto count = schema.arguments().size();
        auto operation = sibling->getOperation();
        return [=](Stack& stack, const at::Generator& generator) mutable {
            Stack arguments;
            for (const int index : from)
                arguments.push_back(index < 0 ? c10::IValue(generator) : popAt(stack, std::size_t(index), count));
            operation(arguments);
            stack.erase(stack.end() - std::ptrdiff_t(count), stack.end());
            stack.insert(stack.end(), arguments.begin(), arguments.end());
        };
    }
    return std::nullopt;
}

// Fused operators with a dropout inside: harmless while they do not drop.
SeededOperator refusingForm(const Node& node, const c10::FunctionSchema& schema, const std::function<void(Stack&)>& plain)
{
    int dropoutAt = argumentIndex(schema, "dropout_p");
    if (dropoutAt < 0)
        dropoutAt = argumentIndex(schema, "dropout");
    const int trainAt = argumentIndex(schema, "train");
    const auto count = schema.arguments().size();
    return [=, op = node.qualifiedOp()](Stack& stack, const at::Generator&) {
        const bool drops = dropoutAt < 0 || popAt(stack, std::size_t(dropoutAt), count).toDouble() > 0;
        const bool trains = trainAt < 0 || popAt(stack, std::size_t(trainAt), count).toBool();
        if (drops && trains)
            throw core::InputError(op + " draws random numbers that cannot be seeded; expected an operator with a generator, or dropout 0");
        plain(stack);
    };
}

bool isTaggedRandom(const std::string& op, const std::string& overload)
{
    const auto found = findOperator(op, overload);
    if (!found || !found->isC10Op())
        return false;
    for (const auto tag : found->getTags())
        if (tag == at::Tag::nondeterministic_seeded)
            return true;
    return false;
}

bool isRecurrent(const std::string& op)
{
    return op == "aten::lstm" || op == "aten::gru" || op == "aten::rnn_tanh" || op == "aten::rnn_relu";
}

}  // namespace

std::optional<SeededOperator> seededOperator(const Node& node, const c10::FunctionSchema& schema, const std::function<void(Stack&)>& plain)
{
    if (auto form = dropoutForm(node.op))
        return form;
    if (auto form = nativeDropoutForm(node.op))
        return form;
    if (auto form = likeForm(node.op, schema))
        return form;
    if (auto form = argumentForm(schema, plain))
        return form;
    if (isRecurrent(node.op))
        return refusingForm(node, schema, plain);
    if (!isTaggedRandom(node.op, node.overload))
        return std::nullopt;
    if (auto form = siblingForm(node, schema))
        return form;
    return refusingForm(node, schema, plain);
}

at::Generator makeGenerator(c10::Device device, std::uint64_t seed)
{
    if (device.is_cpu())
        return at::make_generator<at::CPUGeneratorImpl>(seed);
    auto generator = at::globalContext().defaultGenerator(device).clone();
    generator.set_current_seed(seed);
    return generator;
}

}  // namespace orrery::graph
