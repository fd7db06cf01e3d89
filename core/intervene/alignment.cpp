#include "alignment.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include <core/base/rng.h>
#include <core/base/text.h>
#include <core/graph/random_operators.h>

#include "selection.h"

namespace orrery::intervene {
namespace {

/// Kingma & Ba (2014), arXiv:1412.6980, algorithm 1, on one tensor.
class Adam {
public:
    Adam(const at::Tensor& like, double rate) : m_first(at::zeros_like(like)), m_second(at::zeros_like(like)), m_rate(rate) {}
    at::Tensor step(const at::Tensor& gradient)
    {
        ++m_steps;
        m_first = 0.9 * m_first + 0.1 * gradient;
        m_second = 0.999 * m_second + 0.001 * gradient * gradient;
        const auto first = m_first / (1 - std::pow(0.9, m_steps)), second = m_second / (1 - std::pow(0.999, m_steps));
        return m_rate * first / (second.sqrt() + 1e-8);
    }

private:
    at::Tensor m_first, m_second;
    double m_rate;
    int m_steps = 0;
};

at::Tensor orthonormal(const at::Tensor& columns)
{
    return std::get<0>(at::linalg_qr(columns));  // [features, dimensions]
}

class Search {
public:
    Search(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card, const AlignmentPairs& pairs,
           const std::string& at, const core::Json& unit, const Control& control)
        : m_executor(executor), m_weights(weights), m_card(card), m_pairs(pairs), m_control(control), m_value(resolveOne(*executor.graph(), card, at))
    {
        std::vector<core::Issue> issues;
        m_unit = Unit::fromJson(unit, "unit", issues);
        if (!issues.empty())
            throw core::DocumentError(std::move(issues));
        m_source = sourceValue();
        checkPairs();
    }

    const std::string& value() const { return m_value; }
    std::int64_t features() const { return m_source.size(-1); }
    std::int64_t count() const { return m_pairs.labels.size(0); }

    /// Logits [rows, class] of the chosen pairs with the projection onto `basis` [features, dimensions] swapped.
    at::Tensor logits(const at::Tensor& rows, const at::Tensor& basis, bool gradient) const
    {
        graph::RunRequest request;
        for (const auto& input : m_pairs.base)
            request.inputs.push_back(input.isTensor() && input.toTensor().dim() > 0 ? c10::IValue(input.toTensor().index_select(0, rows)) : input);
        const auto source = m_source.index_select(0, rows);
        request.probes = {graph::Probe::replacing(
            m_value, [&](const std::string&, const c10::IValue& content) -> c10::IValue { return swapped(content.toTensor(), source, basis); })};
        request.gradients = gradient ? graph::Gradients::Parameters : graph::Gradients::None;
        request.stop = m_control.stop;
        const auto output = m_executor.run(m_weights, request).tensor();
        if (output.dim() != 2 && output.dim() != 3)
            throw core::ShapeError("output: expected [batch, class] or [batch, position, class], got " + core::formatShape(output.sizes()));
        return output.dim() == 3 ? output.select(1, output.size(1) - 1) : output;
    }

    at::Tensor labels(const at::Tensor& rows) const { return m_pairs.labels.to(at::kLong).index_select(0, rows); }

    double accuracy(const at::Tensor& basis) const
    {
        std::int64_t right = 0;
        for (std::int64_t from = 0; from < count(); from += 256) {
            m_control.report(double(from), double(count()), "pairs");
            const auto rows = at::arange(from, std::min(count(), from + 256), at::kLong);
            right += (logits(rows, basis, false).argmax(-1) == labels(rows)).sum().item<std::int64_t>();
        }
        return double(right) / double(count());
    }

private:
    at::Tensor sourceValue() const
    {
        graph::RunRequest request;
        request.inputs = m_pairs.source;
        request.keep = request.targets = {m_value};
        request.stop = m_control.stop;
        const auto value = m_executor.run(m_weights, request).value(m_value).detach();
        if (!at::isFloatingType(value.scalar_type()) || value.dim() < 2)
            throw core::InputError(fmt::format("\"{}\": expected floating-point values [batch, ..., feature], got {} {}", m_value,
                                               graph::dtypeName(value.scalar_type()), core::formatShape(value.sizes())));
        return value;
    }

    void checkPairs() const
    {
        const auto& labels = m_pairs.labels;
        if (labels.dim() != 1 || labels.size(0) == 0 || labels.size(0) != m_source.size(0))
            throw core::ShapeError(
                fmt::format("labels: expected one class number a pair, [{}], got {}", m_source.size(0), core::formatShape(labels.sizes())));
        for (const auto& input : m_pairs.base)
            if (input.isTensor() && input.toTensor().dim() > 0 && input.toTensor().size(0) != labels.size(0))
                throw core::ShapeError(fmt::format("base inputs: expected {} samples as in the source, got {}", labels.size(0),
                                                   core::formatShape(input.toTensor().sizes())));
        const auto classes = logits(at::zeros({1}, at::kLong), at::zeros({features(), 1}, at::kDouble), false).size(1);
        const auto low = labels.min().item<std::int64_t>(), high = labels.max().item<std::int64_t>();
        if (low < 0 || high >= classes)
            throw core::InputError(fmt::format("labels: expected 0..{}, got {}", classes - 1, low < 0 ? low : high));
    }

    at::Tensor swapped(const at::Tensor& x, const at::Tensor& source, const at::Tensor& basis) const
    {
        if (x.sizes() != source.sizes())
            throw core::InputError(fmt::format("\"{}\": expected one shape for base and source, got {} and {}", m_value, core::formatShape(x.sizes()),
                                               core::formatShape(source.sizes())));
        const auto axes = axesOf(*m_executor.graph(), m_card, m_value, std::size_t(x.dim()));
        const auto selection = Selection::resolve(m_unit, axes, x.sizes(), "unit");
        if (selection.isElements() || selection.along(axes.size() - 1))
            throw core::InputError("unit: directions span the whole last axis; expected a unit along the other axes");
        const auto part = selection.gather(x, "unit").to(at::kDouble), other = selection.gather(source, "unit").to(at::kDouble);
        return selection.scatter(x, (part + (other - part).matmul(basis).matmul(basis.t())).to(x.scalar_type()));
    }

    const graph::Executor& m_executor;
    const graph::Weights& m_weights;
    const graph::ModelCard& m_card;
    const AlignmentPairs& m_pairs;
    const Control& m_control;
    std::string m_value;
    Unit m_unit;
    at::Tensor m_source;
};

at::Tensor randomRows(std::int64_t count, std::int64_t batch, std::uint64_t seed)
{
    core::SplitMix64 random(seed);
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < batch; ++i)
        rows.push_back(std::int64_t(random.below(std::uint64_t(count))));
    return at::tensor(rows, at::kLong);
}

core::Json directionsJson(const at::Tensor& directions)
{
    auto list = core::Json::array();
    for (std::int64_t i = 0; i < directions.size(0); ++i) {
        const auto row = directions[i].contiguous();
        list.push_back(std::vector<double>(row.data_ptr<double>(), row.data_ptr<double>() + row.numel()));
    }
    return list;
}

core::Json documentFor(const std::string& at, const core::Json& unit, const at::Tensor& directions)
{
    core::Json entry = {{"at", at}, {"do", {{"id", "subspace_interchange"}, {"directions", directionsJson(directions)}}}, {"source", "source"}};
    if (!unit.is_null())
        entry["unit"] = unit;
    return {{"interventions", core::Json::array({entry})}};
}

}  // namespace

const core::Schema& alignmentSchema()
{
    static const core::Schema kSchema = {
        core::integer("dimensions", 1, "Directions of the subspace.").range(1, 1 << 16),
        core::integer("steps", 200, "Gradient steps.").range(1, 1'000'000),
        core::real("lr", 0.02, "Learning rate of Adam.").range(1e-8, 10),
        core::integer("batch_size", 64, "Pairs a step.").range(1, 1 << 20),
    };
    return kSchema;
}

AlignmentResult findAlignment(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card,
                              const AlignmentPairs& pairs, const std::string& at, const core::Json& unit, const core::Json& parameters,
                              std::uint64_t seed, const Control& control)
{
    const auto settings = alignmentSchema().resolve(parameters, "align");
    const Search search(executor, weights, card, pairs, at, unit, control);
    const auto dimensions = settings["dimensions"].get<std::int64_t>(), steps = settings["steps"].get<std::int64_t>();
    if (dimensions > search.features())
        throw core::InputError(
            fmt::format("align.dimensions: expected at most the {} features of \"{}\", got {}", search.features(), search.value(), dimensions));
    AlignmentResult result;
    result.value = search.value();
    auto columns = at::randn({search.features(), dimensions}, graph::makeGenerator(at::kCPU, core::deriveSeed(seed, 0, "alignment")),
                             at::TensorOptions().dtype(at::kDouble));
    result.accuracyBefore = search.accuracy(orthonormal(columns));
    Adam adam(columns, settings["lr"].get<double>());
    for (std::int64_t step = 0; step < steps; ++step) {
        control.report(double(step), double(steps), "steps");
        at::AutoGradMode enable(true);
        const auto leaf = columns.detach().requires_grad_(true);
        const auto rows =
            randomRows(search.count(), settings["batch_size"].get<std::int64_t>(), core::deriveSeed(seed, std::uint64_t(step), "pairs"));
        const auto loss = at::cross_entropy_loss(search.logits(rows, orthonormal(leaf), true).to(at::kDouble), search.labels(rows));
        columns = columns - adam.step(torch::autograd::grad({loss}, {leaf})[0].detach());
        result.losses.push_back(loss.item<double>());
    }
    const auto basis = orthonormal(columns.detach());
    result.accuracy = search.accuracy(basis);
    result.directions = basis.t().contiguous();
    result.document = documentFor(at, unit, result.directions);
    return result;
}

}  // namespace orrery::intervene
