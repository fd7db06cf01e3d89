#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace {

constexpr std::int64_t kMaxItems = 64;  // elements of a tensor of sizes that are followed one by one

}  // namespace

const Term& Call::in(std::size_t input) const
{
    if (!has(input))
        fail(fmt::format("expected input {}, found none", input));
    return m_inputs[input];
}

void Call::fail(const std::string& sentence) const
{
    throw core::FormatError(fmt::format("node {} ({}): {}", m_emitter.path(), m_node.op, sentence));
}

std::int64_t Call::integer(const std::string& name, std::int64_t otherwise) const
{
    const auto* attribute = m_node.find(name);
    return attribute && attribute->integer ? *attribute->integer : otherwise;
}

double Call::real(const std::string& name, double otherwise) const
{
    const auto* attribute = m_node.find(name);
    return attribute && attribute->real ? double(*attribute->real) : otherwise;
}

std::string Call::text(const std::string& name, const std::string& otherwise) const
{
    const auto* attribute = m_node.find(name);
    if (!attribute || !attribute->text)
        return otherwise;
    if (!std::all_of(attribute->text->begin(), attribute->text->end(), [](char c) { return c >= ' ' && c < 0x7f; }))
        fail(fmt::format("expected plain text as attribute \"{}\"", name));
    return *attribute->text;
}

std::vector<std::int64_t> Call::integers(const std::string& name, std::vector<std::int64_t> otherwise) const
{
    const auto* attribute = m_node.find(name);
    return attribute ? attribute->integers : otherwise;
}

std::vector<double> Call::reals(const std::string& name, std::vector<double> otherwise) const
{
    const auto* attribute = m_node.find(name);
    return attribute ? std::vector<double>(attribute->reals.begin(), attribute->reals.end()) : otherwise;
}

std::vector<std::string> Call::texts(const std::string& name) const
{
    const auto* attribute = m_node.find(name);
    return attribute ? attribute->texts : std::vector<std::string>();
}

const io::OnnxGraph& Call::graph(const std::string& name) const
{
    const auto* attribute = m_node.find(name);
    if (!attribute || !attribute->graph)
        fail(fmt::format("expected a graph as attribute \"{}\", found none", name));
    return *attribute->graph;
}

at::Tensor Call::tensor(const std::string& name) const
{
    const auto* attribute = m_node.find(name);
    if (!attribute || !attribute->tensor)
        fail(fmt::format("expected a tensor as attribute \"{}\", found none", name));
    return m_converter.tensors().read(*attribute->tensor);
}

void Call::out(std::size_t output, Term term)
{
    if (output >= m_outputs.size())
        return;
    m_emitter.nameAfterNode(term, output == 0 ? std::string() : fmt::format(".output{}", output));
    m_outputs[output] = std::move(term);
    m_given[output] = true;
}

std::optional<std::vector<std::int64_t>> Call::known(std::size_t input) const
{
    if (!has(input))
        return {};
    const auto& term = m_inputs[input];
    if (term.isConstant() && c10::isIntegralType(term.constant.scalar_type(), true) && term.constant.numel() <= 4096) {
        const auto flat = term.constant.to(at::kLong).contiguous();
        return std::vector<std::int64_t>(flat.data_ptr<std::int64_t>(), flat.data_ptr<std::int64_t>() + flat.numel());
    }
    if (!term.hasItems || term.isSequence())
        return {};
    std::vector<std::int64_t> numbers;
    for (const auto& item : term.items) {
        if (!item.isInt())
            return {};
        numbers.push_back(item.operand.constant.toInt());
    }
    return numbers;
}

std::optional<std::vector<double>> Call::knownReals(std::size_t input) const
{
    if (!has(input) || !m_inputs[input].isConstant() || m_inputs[input].constant.numel() > 4096)
        return {};
    const auto flat = m_inputs[input].constant.to(at::kDouble).contiguous();
    return std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
}

std::optional<std::vector<Term>> Call::items(const Term& term) const
{
    if (term.hasItems && !term.isSequence())
        return term.items;
    if (!term.isConstant() || !term.foldable || term.constant.scalar_type() != at::kLong || term.constant.dim() > 1 ||
        term.constant.numel() > kMaxItems)
        return {};
    std::vector<Term> items;
    const auto flat = term.constant.reshape(-1).contiguous();
    for (std::int64_t i = 0; i < flat.numel(); ++i)
        items.push_back(Term(flat.data_ptr<std::int64_t>()[i]));
    return items;
}

Term Call::ints(const Term& term)
{
    if (const auto each = items(term))
        return m_emitter.list(*each, "int");
    if (term.isConstant()) {
        const auto flat = term.constant.reshape(-1).to(at::kLong).contiguous();
        return Term(std::vector<std::int64_t>(flat.data_ptr<std::int64_t>(), flat.data_ptr<std::int64_t>() + flat.numel()));
    }
    return emit("orrery::onnx_ints", {term});
}

Term Call::oneInt(const Term& term)
{
    if (const auto each = items(term)) {
        if (each->size() != 1)
            fail(fmt::format("expected one number, found {}", each->size()));
        return each->front();
    }
    if (term.isConstant() && term.constant.numel() == 1)
        return Term(term.constant.reshape({}).to(at::kLong).item().toLong());
    return emit("aten::Int.Tensor", {term});
}

std::optional<Term> Call::axes(std::size_t index)
{
    if (hasAttribute("axes"))
        return Term(integers("axes"));
    if (!has(index))
        return {};
    const auto numbers = known(index);
    return numbers ? Term(*numbers) : ints(in(index));
}

std::int64_t Call::fromFront(std::int64_t axis, const Term& of) const
{
    if (axis >= 0)
        return axis;
    if (!of.rank)
        unsupported("its axis counts from the back of a tensor whose number of dimensions is not known");
    return axis + *of.rank;
}

}  // namespace orrery::models::onnx
