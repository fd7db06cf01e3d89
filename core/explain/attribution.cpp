#include "attribution.h"

#include <core/base/text.h>

#include "methods.h"

namespace orrery::explain {
namespace {

bool isFloating(const c10::IValue& value)
{
    return value.isTensor() && value.toTensor().defined() && at::isFloatingType(value.toTensor().scalar_type());
}

c10::IValue repeated(const c10::IValue& value, std::int64_t repeats)
{
    if (repeats == 1 || !value.isTensor() || value.toTensor().dim() == 0)
        return value;
    std::vector<std::int64_t> counts(std::size_t(value.toTensor().dim()), 1);
    counts[0] = repeats;
    return value.toTensor().repeat(counts);
}

}  // namespace

void Control::report(double done, double total, const char* unit) const
{
    if (stop.stop_requested())
        throw core::Cancelled();
    if (progress)
        progress(done, total, unit);
}

std::string ScalarFunction::chooseSite(const std::string& wanted) const
{
    const auto& graph = *m_executor.graph();
    if (!wanted.empty()) {
        const auto ids = graph.resolve(wanted);
        if (ids.size() != 1)
            throw core::InputError(fmt::format("site \"{}\": expected one value, the pattern names {}", wanted, ids.size()));
        return graph.value(ids[0]).name;
    }
    for (std::size_t i = 0; i < m_request.inputs.size() && i < graph.data().inputs.size(); ++i)
        if (isFloating(m_request.inputs[i]))
            return graph.data().inputs[i].name;
    // A model of tokens: its first floating value that depends on the tokens, the embedding.
    if (graph.data().inputs.empty())
        throw core::InputError("the model has no input to attribute to");
    const auto cone = m_executor.dependencyCone({graph.data().inputs[0].name});
    graph::RunRequest request;
    request.inputs = m_request.inputs;
    request.stop = m_control.stop;
    std::string first;
    for (const auto& name : cone)
        request.probes.push_back(graph::Probe::replacing(name, [&first](const std::string& value, const c10::IValue& content) {
            if (first.empty() && isFloating(content))
                first = value;
            return content;
        }));
    m_executor.run(m_weights, request);
    if (first.empty())
        throw core::InputError("no value that depends on the input is floating point; expected a site that has gradients");
    return first;
}

at::Tensor ScalarFunction::pick(const at::Tensor& output, std::int64_t repeats) const
{
    const auto batch = std::int64_t(m_targets.size()) * repeats;
    auto row = output;
    if (row.dim() == 0 || row.size(0) != batch)
        throw core::ShapeError(fmt::format("output: expected a first axis of {} (the batch), got {}", batch, core::formatShape(output.sizes())));
    if (row.dim() == 1)
        return row;
    if (row.dim() == 3)
        row = row.select(1, m_request.position.value_or(row.size(1) - 1));
    if (row.dim() != 2)
        throw core::ShapeError("output: expected [batch], [batch, class] or [batch, position, class], got " + core::formatShape(output.sizes()));
    auto index = at::empty({std::int64_t(m_targets.size()), 1}, at::kLong);
    for (std::size_t i = 0; i < m_targets.size(); ++i)
        index[std::int64_t(i)][0] = std::max<std::int64_t>(m_targets[i], 0);
    return row.gather(1, index.repeat({repeats, 1}).to(row.device())).squeeze(1);
}

graph::RunResult ScalarFunction::run(const at::Tensor& x, std::int64_t repeats, bool gradient) const
{
    graph::RunRequest request;
    const auto& graph = *m_executor.graph();
    for (std::size_t i = 0; i < m_request.inputs.size(); ++i) {
        const bool isSite = m_siteIsInput && i < graph.data().inputs.size() && graph.data().inputs[i].name == m_site;
        request.inputs.push_back(isSite ? c10::IValue(x) : repeated(m_request.inputs[i], repeats));
    }
    if (!m_siteIsInput)
        request.changed[m_site] = x;
    request.gradients = gradient ? graph::Gradients::Inputs : graph::Gradients::None;
    request.stop = m_control.stop;
    return m_executor.run(m_weights, request);
}

ScalarFunction::ScalarFunction(const graph::Executor& executor, const graph::Weights& weights, const AttributionRequest& request,
                               const Control& control)
    : m_executor(executor), m_weights(weights), m_request(request), m_control(control)
{
    m_site = chooseSite(request.site);
    const auto& inputs = executor.graph()->data().inputs;
    m_siteIsInput = std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) { return input.name == m_site; });
    graph::RunRequest plain;
    plain.inputs = request.inputs;
    plain.keep = {m_site};
    plain.stop = control.stop;
    const auto result = executor.run(weights, plain);
    m_value = result.value(m_site).detach();
    if (!at::isFloatingType(m_value.scalar_type()))
        throw core::InputError(fmt::format("site \"{}\" holds {}; expected floating-point values", m_site, graph::dtypeName(m_value.scalar_type())));
    auto output = result.tensor(request.output).detach();
    if (output.dim() == 0)
        throw core::ShapeError("output: expected a batch axis, got a scalar");
    const auto batch = output.size(0);
    if (output.dim() == 3) {
        const auto position = request.position.value_or(output.size(1) - 1);
        if (position < 0 || position >= output.size(1))
            throw core::InputError(fmt::format("position: expected 0..{}, got {}", output.size(1) - 1, position));
    }
    const auto classes = output.dim() >= 2 ? output.size(-1) : 0;
    if (request.target && classes == 0)
        throw core::InputError(fmt::format("target {}: the output {} has no classes", *request.target, core::formatShape(output.sizes())));
    if (request.target && (*request.target < 0 || *request.target >= classes))
        throw core::InputError(fmt::format("target: expected 0..{}, got {}", classes - 1, *request.target));
    m_targets.assign(std::size_t(batch), classes ? request.target.value_or(0) : -1);
    if (classes && !request.target) {
        auto row = output.dim() == 3 ? output.select(1, request.position.value_or(output.size(1) - 1)) : output;
        const auto best = row.argmax(-1).to(at::kCPU).contiguous();
        m_targets.assign(best.data_ptr<std::int64_t>(), best.data_ptr<std::int64_t>() + batch);
    }
    m_outputs = pick(output, 1);
}

at::Tensor ScalarFunction::at(const at::Tensor& x, std::int64_t repeats) const
{
    at::NoGradGuard noGrad;
    return pick(run(x, repeats, false).tensor(m_request.output), repeats).detach();
}

std::pair<at::Tensor, at::Tensor> ScalarFunction::withGradient(const at::Tensor& x, std::int64_t repeats) const
{
    at::AutoGradMode enable(true);
    const auto leaf = x.detach().requires_grad_(true);
    const auto values = pick(run(leaf, repeats, true).tensor(m_request.output), repeats);
    if (!values.requires_grad())
        throw core::InputError(fmt::format("the output does not depend on \"{}\" in a differentiable way", m_site));
    const auto gradient =
        torch::autograd::grad({values}, {leaf}, {at::ones_like(values)}, /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true)[0];
    return {values.detach(), gradient.defined() ? gradient : at::zeros_like(leaf).detach()};
}

const core::Registry<AttributionMethod>& attributionRegistry()
{
    static const auto registry = [] {
        auto made = std::make_unique<core::Registry<AttributionMethod>>("attribution", "Attribution methods");
        addSaliency(*made);
        addInputXGradient(*made);
        addIntegratedGradients(*made);
        addOcclusion(*made);
        return made;
    }();
    return *registry;
}

AttributionResult attribute(const graph::Executor& executor, const graph::Weights& weights, const std::string& method, AttributionRequest request,
                            const Control& control)
{
    const auto& component = attributionRegistry().at(method);
    request.parameters = component.schema.resolve(request.parameters, method);
    const ScalarFunction function(executor, weights, request, control);
    auto result = attributionRegistry().factory(method)(function, request.parameters, request.seed, control);
    result.site = function.site();
    result.value = function.value();
    result.outputs = function.outputs();
    result.targets = function.targets();
    return result;
}

}  // namespace orrery::explain
