#include "attribution.h"

#include <ATen/Parallel.h>

#include <core/base/text.h>
#include <core/kernels/parallel.h>

#include "fast_model.h"
#include "methods.h"
#include "padded_batch.h"

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

/// Rows of one pass: enough to fill the operators of small networks. More do not make it faster, and take memory.
constexpr std::int64_t kRowsPerPass = 32;
/// Fewer rows are not worth a thread of their own.
constexpr std::int64_t kFewestRows = 8;

/// Stacked copies of a batch, cut into runs of `copies` each (the last ones may have one fewer).
struct CopyShares {
    std::int64_t count = 1, copies = 1, withOneFewer = 0;
    std::int64_t begin(std::int64_t share) const { return share * copies - std::max<std::int64_t>(0, share - (count - withOneFewer)); }
    std::int64_t size(std::int64_t share) const { return begin(share + 1) - begin(share); }
};

CopyShares sharesOf(const at::Tensor& x, std::int64_t batch, std::int64_t repeats)
{
    const auto threads = std::int64_t(at::get_num_threads());
    const bool hasRows = x.dim() > 0 && x.size(0) == batch * repeats;
    if (!hasRows || !x.device().is_cpu() || threads == 1 || at::in_parallel_region() || batch * repeats < threads * kFewestRows)
        return {1, repeats, 0};
    const auto wanted = (batch * repeats + kRowsPerPass - 1) / kRowsPerPass;
    const auto count = std::min((wanted + threads - 1) / threads * threads, repeats);
    const auto copies = (repeats + count - 1) / count;
    return {count, copies, count * copies - repeats};
}

/// work(share, its part of x, copies) for each share. Samples do not depend on each other, so each thread takes some of them through the whole model: they stay in its
/// cache, and no thread waits for the others after every operator.
template <class Work>
void forShares(const CopyShares& shares, const at::Tensor& x, std::int64_t batch, const Work& work)
{
    if (shares.count == 1)
        return work(0, x, shares.copies);
    kernels::parallelFor(0, shares.count, 1, [&](std::int64_t from, std::int64_t to) {
        for (auto share = from; share < to; ++share)
            work(share, x.narrow(0, shares.begin(share) * batch, shares.size(share) * batch), shares.size(share));
    });
}

/// @throws core::InputError for positions that the output does not have.
void checkPositions(const std::vector<std::int64_t>& positions, const at::Tensor& output)
{
    if (positions.empty())
        return;
    if (output.dim() != 3)
        throw core::InputError(fmt::format("position {}: the output {} has no positions", positions[0], core::formatShape(output.sizes())));
    if (positions.size() != 1 && std::int64_t(positions.size()) != output.size(0))
        throw core::InputError(fmt::format("position: expected one for all samples or {}, one each, got {}", output.size(0), positions.size()));
    for (const auto position : positions)
        if (position < 0 || position >= output.size(1))
            throw core::InputError(fmt::format("position: expected 0..{}, got {}", output.size(1) - 1, position));
}

}  // namespace

at::Tensor atPositions(const at::Tensor& output, const std::vector<std::int64_t>& positions)
{
    if (output.dim() != 3)
        return output;
    if (positions.size() <= 1)
        return output.select(1, positions.empty() ? output.size(1) - 1 : positions[0]);
    const auto copies = output.size(0) / std::int64_t(positions.size());
    const auto each = at::tensor(positions, at::kLong).repeat({copies}).to(output.device());
    return output.gather(1, each.reshape({-1, 1, 1}).expand({-1, 1, output.size(2)})).squeeze(1);
}

void Control::report(double done, double total, const char* unit) const
{
    if (stop.stop_requested())
        throw core::Cancelled();
    if (progress)
        progress(done, total, unit);
}

std::string ScalarFunction::nameOf(const std::string& pattern) const
{
    const auto& graph = *m_executor.graph();
    const auto ids = graph.resolve(pattern);
    if (ids.size() != 1)
        throw core::InputError(fmt::format("site \"{}\": expected one value, the pattern names {}", pattern, ids.size()));
    return graph.value(ids[0]).name;
}

bool ScalarFunction::isInput(const std::string& name) const
{
    const auto& inputs = m_executor.graph()->data().inputs;
    return std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) { return input.name == name; });
}

std::string ScalarFunction::chooseSite(const std::string& wanted) const
{
    const auto& graph = *m_executor.graph();
    if (!wanted.empty())
        return nameOf(wanted);
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
    row = atPositions(row, m_request.positions);
    if (row.dim() != 2)
        throw core::ShapeError("output: expected [batch], [batch, class] or [batch, position, class], got " + core::formatShape(output.sizes()));
    auto index = at::empty({std::int64_t(m_targets.size()), 1}, at::kLong);
    for (std::size_t i = 0; i < m_targets.size(); ++i)
        index[std::int64_t(i)][0] = std::max<std::int64_t>(m_targets[i], 0);
    return row.gather(1, index.repeat({repeats, 1}).to(row.device())).squeeze(1);
}

graph::RunResult ScalarFunction::run(const std::string& from, const at::Tensor& x, std::int64_t repeats, bool gradient, const PassRequest& asked,
                                     std::int64_t rowsInAll) const
{
    graph::RunRequest request;
    const auto& inputs = m_executor.graph()->data().inputs;
    // Where nobody sees the values inside, the model may run in another form.
    const bool isPlain = asked.values.empty() && asked.probes.empty();
    const auto* fast = isPlain && m_fixed.empty() ? m_fast->form(from, rowsInAll) : nullptr;
    const auto entry = isPlain ? m_fast->laidOut(x) : x;
    for (std::size_t i = 0; i < m_request.inputs.size(); ++i) {
        const bool isFrom = i < inputs.size() && inputs[i].name == from;
        request.inputs.push_back(isFrom ? c10::IValue(entry) : repeated(m_request.inputs[i], repeats));
    }
    for (const auto& [name, value] : m_fixed)
        request.changed[name] = repeated(value, repeats);
    if (!isInput(from))
        request.changed[from] = entry;
    request.keep = asked.values;
    request.probes = asked.probes;
    request.gradients = gradient ? graph::Gradients::Inputs : graph::Gradients::None;
    request.stop = m_control.stop;
    return fast ? fast->executor.run(fast->weights, request) : m_executor.run(m_weights, request);
}

ScalarFunction::ScalarFunction(const graph::Executor& executor, const graph::Weights& weights, const AttributionRequest& request,
                               const Control& control)
    : m_executor(executor), m_weights(weights), m_request(request), m_control(control)
{
    m_fast = std::make_shared<const FastModel>(executor, weights);
    m_site = chooseSite(request.site);
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
    if (output.dim() == 3 && output.size(1) == 0)
        throw core::InputError("expected at least one position, got none: the input is empty");
    const auto fits = [&](std::int64_t position) { return output.dim() == 3 && position < output.size(1); };
    if (request.positionsAreUsual && !std::all_of(request.positions.begin(), request.positions.end(), fits))
        m_request.positions.clear();
    checkPositions(m_request.positions, output);
    const auto classes = output.dim() >= 2 ? output.size(-1) : 0;
    if (request.target && classes == 0)
        throw core::InputError(fmt::format("target {}: the output {} has no classes", *request.target, core::formatShape(output.sizes())));
    if (request.target && (*request.target < 0 || *request.target >= classes))
        throw core::InputError(fmt::format("target: expected 0..{}, got {}", classes - 1, *request.target));
    m_targets.assign(std::size_t(batch), classes ? request.target.value_or(0) : -1);
    if (classes && !request.target) {
        const auto best = atPositions(output, m_request.positions).argmax(-1).to(at::kCPU).contiguous();
        m_targets.assign(best.data_ptr<std::int64_t>(), best.data_ptr<std::int64_t>() + batch);
    }
    m_outputs = pick(output, 1);
    if (output.dim() == 3)
        m_explained = m_request.positions.empty() ? std::vector<std::int64_t>{output.size(1) - 1} : m_request.positions;
}

at::Tensor ScalarFunction::wholeOutput(const at::Tensor& x, std::int64_t repeats) const
{
    const auto batch = std::int64_t(m_targets.size());
    const auto shares = sharesOf(x, batch, repeats);
    std::vector<at::Tensor> outputs(std::size_t(shares.count));
    forShares(shares, x, batch, [&](std::int64_t share, const at::Tensor& part, std::int64_t copies) {
        at::NoGradGuard noGrad;
        outputs[std::size_t(share)] = run(m_site, part, copies, false, {}, batch * repeats).tensor(m_request.output).detach();
    });
    return shares.count == 1 ? outputs[0] : at::cat(outputs);
}

at::Tensor ScalarFunction::at(const at::Tensor& x, std::int64_t repeats) const
{
    return pick(wholeOutput(x, repeats), repeats).detach();
}

std::pair<at::Tensor, at::Tensor> ScalarFunction::withGradient(const at::Tensor& x, std::int64_t repeats) const
{
    const auto batch = std::int64_t(m_targets.size());
    const auto shares = sharesOf(x, batch, repeats);
    std::vector<at::Tensor> outputs(std::size_t(shares.count)), gradients(std::size_t(shares.count));
    forShares(shares, x, batch, [&](std::int64_t share, const at::Tensor& part, std::int64_t copies) {
        auto result = passOf(m_site, part, copies, {}, batch * repeats);
        outputs[std::size_t(share)] = std::move(result.outputs);
        gradients[std::size_t(share)] = std::move(result.gradient);
    });
    return shares.count == 1 ? std::pair{outputs[0], gradients[0]} : std::pair{at::cat(outputs), at::cat(gradients)};
}

Pass ScalarFunction::pass(const std::string& from, const at::Tensor& x, std::int64_t repeats, const PassRequest& request) const
{
    return passOf(from, x, repeats, request, x.dim() > 0 ? x.size(0) : 1);
}

Pass ScalarFunction::passOf(const std::string& from, const at::Tensor& x, std::int64_t repeats, const PassRequest& request,
                            std::int64_t rowsInAll) const
{
    at::AutoGradMode enable(true);
    const auto leaf = x.detach().requires_grad_(true);
    const auto result = run(from, leaf, repeats, true, request, rowsInAll);
    const auto outputs = pick(result.tensor(m_request.output), repeats);
    Pass pass;
    std::map<std::string, at::Tensor> attached;
    std::vector<at::Tensor> sources = {leaf};
    std::vector<std::string> sourceNames;
    for (const auto& name : request.values) {
        const auto value = name == from ? leaf : result.value(name);
        attached[name] = value;
        pass.values[name] = value.detach();
        if (value.requires_grad() && name != from) {
            sources.push_back(value);
            sourceNames.push_back(name);
        }
    }
    const auto objective = request.objective ? request.objective(outputs, attached) : outputs;
    if (!objective.requires_grad())
        throw core::InputError(fmt::format("the output does not depend on \"{}\" in a differentiable way", from));
    const auto gradients = torch::autograd::grad({objective}, sources, {at::ones_like(objective)}, /*retain_graph=*/false, /*create_graph=*/false,
                                                 /*allow_unused=*/true);
    const auto orZeros = [](const at::Tensor& gradient, const at::Tensor& like) {
        return gradient.defined() ? gradient.contiguous() : at::zeros_like(like).detach();
    };
    pass.outputs = outputs.detach();
    pass.gradient = orZeros(gradients[0], leaf);
    for (std::size_t i = 0; i < sourceNames.size(); ++i)
        pass.gradients[sourceNames[i]] = orZeros(gradients[i + 1], sources[i + 1]);
    for (const auto& [name, value] : attached)
        if (!pass.gradients.count(name))
            pass.gradients[name] = name == from ? pass.gradient : at::zeros_like(value).detach();
    return pass;
}

Pass ScalarFunction::forward(const std::string& from, const at::Tensor& x, std::int64_t repeats, const PassRequest& request) const
{
    at::NoGradGuard noGrad;
    const auto result = run(from, x, repeats, false, request, x.dim() > 0 ? x.size(0) : 1);
    Pass pass;
    pass.outputs = pick(result.tensor(m_request.output), repeats).detach();
    for (const auto& name : request.values)
        pass.values[name] = (name == from ? x : result.value(name)).detach();
    return pass;
}

at::Tensor ScalarFunction::valueOf(const std::string& pattern) const
{
    const auto name = nameOf(pattern);
    graph::RunRequest request;
    request.inputs = m_request.inputs;
    request.keep = {name};
    request.targets = {name};
    request.changed.insert(m_fixed.begin(), m_fixed.end());
    request.stop = m_control.stop;
    return m_executor.run(m_weights, request).value(name).detach();
}

ScalarFunction ScalarFunction::copied(std::int64_t repeats) const
{
    auto copy = *this;
    for (auto& input : copy.m_request.inputs)
        input = repeated(input, repeats);
    for (auto& fixed : copy.m_fixed)
        fixed.second = repeated(fixed.second, repeats).toTensor();
    if (m_request.positions.size() > 1) {
        copy.m_request.positions.clear();
        for (std::int64_t i = 0; i < repeats; ++i)
            copy.m_request.positions.insert(copy.m_request.positions.end(), m_request.positions.begin(), m_request.positions.end());
    }
    copy.m_targets.clear();
    for (std::int64_t i = 0; i < repeats; ++i)
        copy.m_targets.insert(copy.m_targets.end(), m_targets.begin(), m_targets.end());
    return copy;
}

ScalarFunction::ScalarFunction(const ScalarFunction& other, const graph::Weights& weights)
    : m_executor(other.m_executor), m_weights(weights), m_request(other.m_request), m_control(other.m_control), m_site(other.m_site),
      m_fast(std::make_shared<const FastModel>(other.m_executor, weights)), m_fixed(other.m_fixed), m_targets(other.m_targets)
{
    graph::RunRequest request;
    request.inputs = m_request.inputs;
    request.changed.insert(m_fixed.begin(), m_fixed.end());
    request.keep = {m_site};
    request.stop = m_control.stop;
    const auto result = m_executor.run(weights, request);
    m_value = result.value(m_site).detach();
    m_outputs = pick(result.tensor(m_request.output), 1).detach();
}

ScalarFunction ScalarFunction::withWeights(const graph::Weights& weights) const
{
    return ScalarFunction(*this, weights);
}

ScalarFunction ScalarFunction::moved(const at::Tensor& x, std::int64_t repeats) const
{
    auto copy = copied(repeats);
    const auto& inputs = m_executor.graph()->data().inputs;
    for (std::size_t i = 0; i < copy.m_request.inputs.size() && i < inputs.size(); ++i)
        if (inputs[i].name == m_site)
            copy.m_request.inputs[i] = x;
    if (copy.m_fixed.count(m_site))
        copy.m_fixed[m_site] = x.detach();
    copy.m_value = x.detach();
    copy.m_outputs = at(x, repeats);
    return copy;
}

ScalarFunction ScalarFunction::movedAtOrigin(const at::Tensor& x, std::int64_t repeats) const
{
    const auto from = origin();
    auto copy = copied(repeats);
    const auto& inputs = m_executor.graph()->data().inputs;
    for (std::size_t i = 0; i < copy.m_request.inputs.size() && i < inputs.size(); ++i)
        if (inputs[i].name == from)
            copy.m_request.inputs[i] = x;
    if (!isInput(from))
        copy.m_fixed[from] = x.detach();
    PassRequest asked;
    asked.values = {m_site};
    const auto pass = copy.forward(from, x, 1, asked);
    copy.m_value = pass.values.at(m_site);
    copy.m_outputs = pass.outputs;
    return copy;
}

const core::Registry<AttributionMethod>& attributionRegistry()
{
    static const auto registry = [] {
        auto made = std::make_unique<core::Registry<AttributionMethod>>("attribution", "Attribution methods");
        addSaliency(*made);
        addInputXGradient(*made);
        addIntegratedGradients(*made);
        addOcclusion(*made);
        addNoiseTunnel(*made);
        addGradientShap(*made);
        addDeepLift(*made);
        addDeconvolution(*made);
        addGuidedBackprop(*made);
        addGradCam(*made);
        addGuidedGradCam(*made);
        addLayerActivation(*made);
        addLayerGradientXActivation(*made);
        addLayerConductance(*made);
        addInternalInfluence(*made);
        addNeuronGradient(*made);
        addNeuronConductance(*made);
        addLrp(*made);
        addAttentionRollout(*made);
        addExtremalPerturbation(*made);
        addFeatureInversion(*made);
        addFeatureAblation(*made);
        addShapleyValues(*made);
        addShapleyValueSampling(*made);
        addKernelShap(*made);
        addLime(*made);
        addRise(*made);
        return made;
    }();
    return *registry;
}

namespace {

AttributionResult attributeWhole(const graph::Executor& executor, const graph::Weights& weights, const std::string& method,
                                 const AttributionRequest& request, const Control& control)
{
    const ScalarFunction function(executor, weights, request, control);
    if (function.outputs().numel() == 0)
        throw core::InputError(
            fmt::format("{}: expected at least one sample, got {} {}", method, function.site(), core::formatShape(function.value().sizes())));
    // One such sample beside others stays its own affair; alone it would give numbers that look like an explanation.
    if (!function.outputs().isfinite().any().item<bool>())
        throw core::InputError(
            fmt::format("{}: the explained output is not finite (NaN or infinity); look for NaN in the input and in the model's weights", method));
    auto result = attributionRegistry().factory(method)(function, request.parameters, request.seed, control);
    if (result.site.empty()) {
        result.site = function.site();
        result.value = function.value();
    }
    result.outputs = function.outputs();
    result.targets = function.targets();
    result.positions = function.explainedPositions();
    return result;
}

AttributionResult attributeRows(const graph::Executor& executor, const graph::Weights& weights, const std::string& method,
                                const AttributionRequest& request, const std::vector<std::int64_t>& tokens, const Control& control)
{
    const auto alone = rowsAlone(executor, weights, request, tokens);
    std::vector<AttributionResult> rows;
    for (std::size_t row = 0; row < alone.size(); ++row)
        ofRow(row, tokens[row],
              [&] { rows.push_back(attributeWhole(executor, weights, method, alone[row], controlOfRow(control, row, alone.size()))); });
    auto whole = request;
    whole.site = rows[0].site;
    return stacked(std::move(rows), valueAt(executor, weights, whole));
}

}  // namespace

at::Tensor valueAt(const graph::Executor& executor, const graph::Weights& weights, const AttributionRequest& request)
{
    auto plain = request;
    plain.positions.clear();
    plain.target.reset();
    return ScalarFunction(executor, weights, plain, {}).value();
}

AttributionResult attribute(const graph::Executor& executor, const graph::Weights& weights, const std::string& method, AttributionRequest request,
                            const Control& control)
{
    request.parameters = attributionRegistry().at(method).schema.resolve(request.parameters, method);
    if (const auto tokens = tokensOfRows(*executor.graph(), request.inputs))
        return attributeRows(executor, weights, method, request, *tokens, control);
    return attributeWhole(executor, weights, method, request, control);
}

}  // namespace orrery::explain
