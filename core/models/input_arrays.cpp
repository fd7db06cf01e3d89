#include "input_arrays.h"

#include <ATen/ATen.h>

#include <charconv>

#include <core/base/text.h>

namespace orrery::models {
namespace {

/// Tokens and other numbers that count something: a file of floating-point numbers may hold them, if they are whole.
at::Tensor wholeNumbers(const at::Tensor& tensor, const std::string& place, const std::string& input)
{
    const bool isFloating = at::isFloatingType(tensor.scalar_type());
    if (isFloating && tensor.numel() > 0) {
        const auto odd = tensor.reshape(-1).masked_select(at::ne(tensor, tensor.round()).logical_or(tensor.isfinite().logical_not()).reshape(-1));
        if (odd.numel() > 0)
            throw core::InputError(fmt::format("{}: expected whole numbers for the model's input \"{}\", got {}", place, input,
                                               core::formatNumber(odd[0].item<double>())));
    } else if (!isFloating && !at::isIntegralType(tensor.scalar_type(), /*includeBool=*/true)) {
        throw core::InputError(
            fmt::format("{}: expected whole numbers for the model's input \"{}\", got {}", place, input, graph::dtypeName(tensor.scalar_type())));
    }
    return tensor.to(at::kLong);
}

at::ScalarType modelDtype(const graph::Model& model)
{
    for (const auto& parameter : model.graph->data().parameters)
        if (at::isFloatingType(parameter.dtype))
            return parameter.dtype;
    for (std::size_t i = 0; i < model.card.inputs.size(); ++i)  // a formula has no weights
        if (scalarKind(model, i).empty())
            if (const auto dtype = graph::dtypeFromName(model.card.inputs[i].dtype); at::isFloatingType(dtype))
                return dtype;
    return at::kFloat;
}

/// In the dtype of the model's input; where the card does not know it, floating numbers become the model's own and others stay.
at::Tensor inModelDtype(const at::Tensor& tensor, const graph::Model& model, std::size_t index, const std::string& place)
{
    const auto* input = index < model.card.inputs.size() ? &model.card.inputs[index] : nullptr;
    if (input && input->dtype == "int64")
        return wholeNumbers(tensor, place, input->name);
    const bool readsFloats = input && !input->shape.empty() && input->dtype.starts_with("float");
    if (readsFloats && at::isComplexType(tensor.scalar_type()))
        throw core::InputError(fmt::format("{}: expected real numbers for the model's input \"{}\", got {}", place, input->name,
                                           graph::dtypeName(tensor.scalar_type())));
    return readsFloats || at::isFloatingType(tensor.scalar_type()) ? tensor.to(modelDtype(model)) : tensor;
}

}  // namespace

void checkShape(at::IntArrayRef shape, const graph::ModelCard::Input& expected, const std::string& place)
{
    const auto& axes = expected.shape;
    if (axes.empty())
        return;
    const bool anyBefore = axes[0] == "...";
    bool fits = anyBefore ? shape.size() + 1 >= axes.size() : shape.size() == axes.size();
    for (std::size_t back = 1; fits && back <= axes.size() - anyBefore; ++back) {
        const auto& axis = axes[axes.size() - back];
        const bool isNumber = !axis.empty() && axis.find_first_not_of("0123456789") == std::string::npos;
        fits = !isNumber || axis == std::to_string(shape[shape.size() - back]);
    }
    if (!fits)
        throw core::ShapeError(fmt::format("{}: expected [{}] for the model's input \"{}\", got {}", place, core::join(axes, ", "), expected.name,
                                           core::formatShape(shape)));
}

at::Tensor asModelReads(const at::Tensor& tensor, const graph::Model& model, std::size_t index, const std::string& place)
{
    const at::Tensor read = inModelDtype(tensor, model, index, place);
    if (index < model.card.inputs.size())
        checkShape(read.sizes(), model.card.inputs[index], place);
    return read;
}

std::string scalarKind(const graph::Model& model, std::size_t index)
{
    const auto dtype = index < model.card.inputs.size() ? model.card.inputs[index].dtype : std::string();
    return dtype == "int" || dtype == "float" || dtype == "bool" ? dtype : std::string();
}

std::optional<c10::IValue> scalarFromWord(const std::string& word, const std::string& kind)
{
    if (kind == "bool")
        return word == "true" || word == "false" ? std::optional<c10::IValue>(word == "true") : std::nullopt;
    const auto parsed = [&](auto number) -> std::optional<c10::IValue> {
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
        return !word.empty() && error == std::errc() && end == word.data() + word.size() ? std::optional<c10::IValue>(number) : std::nullopt;
    };
    return kind == "int" ? parsed(std::int64_t(0)) : parsed(0.0);
}

c10::IValue scalarFromArray(const at::Tensor& tensor, const std::string& kind, const std::string& place)
{
    if (tensor.numel() != 1)
        throw core::InputError(fmt::format("{}: expected one element, got {}", place, core::formatShape(tensor.sizes())));
    const auto number = tensor.reshape(-1)[0];
    if (kind == "bool")
        return number.ne(0).item<bool>();
    if (kind == "int")
        return wholeNumbers(number, place, kind).item<std::int64_t>();
    return number.to(at::kDouble).item<double>();
}

std::int64_t notFinite(const at::Tensor& tensor)
{
    return at::isFloatingType(tensor.scalar_type()) ? tensor.numel() - tensor.isfinite().sum().item<std::int64_t>() : 0;
}

}  // namespace orrery::models
