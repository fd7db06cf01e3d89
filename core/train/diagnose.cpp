#include "diagnose.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <set>
#include <torch/csrc/autograd/autograd.h>

namespace orrery::train {
namespace {

struct Flaw {
    bool nan = false, infinite = false;
    bool any() const { return nan || infinite; }
    const char* text() const { return nan ? "nan" : "infinite"; }
};

Flaw flawOf(const at::Tensor& tensor)
{
    if (!tensor.defined() || !at::isFloatingType(tensor.scalar_type()) || tensor.numel() == 0)
        return {};
    const at::NoGradGuard noGrad;
    return {at::isnan(tensor).any().item<bool>(), at::isinf(tensor).any().item<bool>()};
}

/// The first flaw that was made and not handed on.
class Search {
public:
    explicit Search(const graph::Graph& graph) : m_graph(graph) {}

    void value(const std::string& name, const c10::IValue& value)
    {
        if (!value.isTensor())
            return;
        const std::string base(graph::splitStep(name).first);
        const Flaw flaw = flawOf(value.toTensor());
        if (flaw.any() && m_place.empty() && isMadeBy(base, flaw))
            found(name, flaw);
        m_flaws[base] = flaw;
    }

    void gradient(const std::string& name, const at::Tensor& gradient)
    {
        if (const Flaw flaw = flawOf(gradient); flaw.any() && m_place.empty())
            found("gradient at " + name, flaw);
    }

    void other(const std::string& place, const at::Tensor& tensor)
    {
        if (const Flaw flaw = flawOf(tensor); flaw.any() && m_place.empty())
            found(place, flaw);
    }

    const std::string& place() const { return m_place; }
    const char* kind() const { return m_kind; }

private:
    void found(std::string place, const Flaw& flaw)
    {
        m_place = std::move(place);
        m_kind = flaw.text();
    }

    bool isMadeBy(const std::string& name, const Flaw& flaw) const
    {
        const auto id = m_graph.findValue(name);
        const graph::Node* const node = id ? m_graph.producer(*id) : nullptr;
        if (!node)
            return true;
        Flaw before;
        for (const graph::Operand& input : node->inputs) {
            const auto seen = input.isConstant() ? m_flaws.end() : m_flaws.find(m_graph.value(input.value).name);
            if (seen != m_flaws.end()) {
                before.nan |= seen->second.nan;
                before.infinite |= seen->second.infinite;
            }
        }
        if (flaw.nan)
            return !before.nan;
        static const std::set<std::string> kMasks{"aten::masked_fill", "aten::masked_fill_", "aten::where",
                                                  "aten::full",        "aten::full_like",    "aten::fill_"};
        return !before.any() && !kMasks.contains(node->op);
    }

    const graph::Graph& m_graph;
    std::map<std::string, Flaw> m_flaws;
    std::string m_place;
    const char* m_kind = "";
};

void searchPass(const graph::Executor& executor, const graph::Weights& weights, const StepPass& pass, const Loss& loss, Search& search)
{
    graph::RunRequest request = pass.request;
    request.probes = {graph::Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
        search.value(name, value);
        if (value.isTensor() && value.toTensor().defined() && value.toTensor().requires_grad() && !value.toTensor().is_leaf())
            value.toTensor().register_hook([&search, name](const at::Tensor& gradient) { search.gradient(name, gradient); });
    })};
    const at::Tensor output = executor.run(weights, request).tensor();
    search.other("targets", pass.target);
    const at::Tensor mean = loss.mean(output, pass.target);
    search.other("loss", mean);
    std::vector<at::Tensor> leaves;
    std::vector<std::string> names;
    for (const auto& [name, tensor] : weights.tensors())
        if (tensor.requires_grad()) {
            leaves.push_back(tensor);
            names.push_back(name);
        }
    const auto gradients = torch::autograd::grad({mean}, leaves, {}, c10::nullopt, false, true);
    for (std::size_t i = 0; i < gradients.size(); ++i)
        search.other("gradient of " + names[i], gradients[i]);
}

}  // namespace

void throwNonFinite(const graph::Executor& executor, const graph::Weights& weights, const std::vector<StepPass>& passes, const Loss& loss,
                    std::int64_t step)
{
    Search search(*executor.graph());
    for (const auto& [name, tensor] : weights.tensors())
        search.other("weights of " + name, tensor);
    for (const StepPass& pass : passes)
        if (search.place().empty())
            searchPass(executor, weights, pass, loss, search);
    const std::string place = search.place().empty() ? "the sum of the gradients" : search.place();
    throw NonFiniteError(step, place,
                         fmt::format("training stopped at step {}: loss or gradients are not finite; the first value that is not is \"{}\" ({})",
                                     step, place, search.place().empty() ? "infinite" : search.kind()));
}

}  // namespace orrery::train
