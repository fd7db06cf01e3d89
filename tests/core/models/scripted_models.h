#pragma once
#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <QtTest>

#include <core/base/error.h>
#include <core/graph/executor.h>
#include <core/models/torchscript.h>

/// TorchScript fixtures, inputs for them, and libtorch's own answer.
namespace orrery::tests {

inline std::string fixture(const std::string& name)
{
    return std::string(ORRERY_TEST_DATA "/torchscript/") + name + ".pt";
}

inline at::Tensor numbers(std::vector<std::int64_t> shape, std::uint64_t seed)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    return at::randn(shape, generator);
}

inline at::Tensor tokens(std::vector<std::int64_t> shape, std::int64_t count, std::uint64_t seed)
{
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    return at::randint(count, shape, generator, at::TensorOptions(at::kLong));
}

inline std::vector<c10::IValue> inputsOf(const std::string& name)
{
    if (name.rfind("mlp", 0) == 0)
        return {numbers({5, 6}, 1)};
    if (name.rfind("cnn", 0) == 0)
        return {numbers({3, 1, 8, 8}, 2)};
    if (name == "rnn_loop")
        return {numbers({4, 2, 3}, 3), std::int64_t(4)};
    if (name == "branch")
        return {numbers({2, 3}, 4)};
    if (name == "containers")
        return {numbers({2, 2}, 5), numbers({2, 2}, 6)};
    if (name == "tuple_out")
        return {numbers({2, 2}, 7)};
    if (name == "in_place")
        return {numbers({4, 4}, 8), true};
    if (name == "twice")
        return {numbers({2, 4}, 9)};
    if (name == "tied")
        return {tokens({2, 3}, 7, 10)};
    if (name == "buffers")
        return {numbers({4, 3}, 11)};
    if (name.rfind("lstm", 0) == 0)
        return {numbers({2, 5, 3}, 12)};
    if (name.rfind("gpt", 0) == 0)
        return {tokens({2, 6}, 11, 13)};
    if (name == "dict_state")
        return {numbers({3, 2}, 14), std::int64_t(5)};
    if (name == "encoder_layer")
        return {numbers({2, 4, 8}, 15)};
    if (name == "views")
        return {numbers({2, 3, 4}, 16)};
    if (name == "own_class")
        return {numbers({2, 2}, 17)};
    if (name == "early")
        return {numbers({1, 2}, 18)};
    throw std::logic_error("no inputs for " + name);
}

/// Inputs of their own for each side, so that neither can write into the other's; floating ones are leaves.
inline std::vector<c10::IValue> ownInputs(const std::string& name)
{
    auto inputs = inputsOf(name);
    for (auto& input : inputs)
        if (input.isTensor())
            input = input.toTensor().clone();
    return inputs;
}

/// All tensors (and numbers, as tensors) of a result, in the order of its items.
inline void collect(const c10::IValue& value, std::vector<at::Tensor>& out)
{
    if (value.isTensor())
        out.push_back(value.toTensor());
    else if (value.isInt())
        out.push_back(at::scalar_tensor(double(value.toInt())));
    else if (value.isTuple())
        for (const auto& item : value.toTupleRef().elements())
            collect(item, out);
    else if (value.isList())
        for (const auto& item : value.toList().vec())
            collect(item, out);
    else if (value.isGenericDict())
        for (const auto& item : value.toGenericDict())
            collect(item.value(), out);
    else
        throw std::logic_error("unexpected result " + value.tagKind());
}

inline std::vector<at::Tensor> collected(const std::vector<c10::IValue>& values)
{
    std::vector<at::Tensor> out;
    for (const auto& value : values)
        collect(value, out);
    return out;
}

/// The sum of all floating outputs, each weighted differently, so that no gradient cancels.
inline at::Tensor lossOf(const std::vector<at::Tensor>& outputs)
{
    at::Tensor loss = at::zeros({});
    double factor = 1;
    for (const auto& output : outputs)
        if (output.is_floating_point())
            loss = loss + (output * output).sum() * (factor += 0.25);
    return loss;
}

inline bool identical(const at::Tensor& a, const at::Tensor& b)
{
    return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && at::equal(a, b);
}

}  // namespace orrery::tests
