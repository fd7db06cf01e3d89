#include "activations.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <numeric>

#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/data/splits.h>
#include <core/data/vocabulary.h>
#include <core/graph/output_kind.h>
#include <core/train/evaluate.h>
#include <core/train/samples.h>

#include "layout.h"

namespace orrery::intervene {
namespace {

using Kind = Pooling::Kind;

constexpr std::int64_t kTokenBins = 512;
constexpr std::pair<std::string_view, Kind> kPoolings[] = {
    {"auto", Kind::Auto}, {"last", Kind::Last}, {"mean", Kind::Mean}, {"each", Kind::Each}, {"flatten", Kind::Flatten}};
constexpr std::pair<std::string_view, Label> kLabels[] = {
    {"target", Label::Target}, {"token", Label::Token}, {"previous", Label::Previous}, {"none", Label::None}};

/// One value: where its positions are and how they are pooled.
struct Site {
    std::string name;
    bool given = false;  ///< named without a glob
    std::vector<Axis> axes;
    Pooling pooling;
    std::int64_t features = 0;
};

bool isMap(const std::vector<Axis>& axes)
{
    return axes.size() == 4 && axes[1] == Axis::Channel;
}

bool positionsAreRows(const Site& site)
{
    return site.pooling.kind == Kind::Each;
}

// [batch, position, feature] with everything else flattened into the features.
at::Tensor positionSecond(const at::Tensor& value, std::size_t axis)
{
    return value.movedim(std::int64_t(axis), 1).flatten(2);
}

// [row, feature]; `Each` gives sample-major rows.
at::Tensor pooled(const at::Tensor& raw, const Site& site)
{
    const at::Tensor value = raw.detach().to(at::kCPU, at::kFloat);
    const auto axis = findAxis(site.axes, Axis::Position);
    if (isMap(site.axes))
        return site.pooling.kind == Kind::Mean ? value.mean(at::IntArrayRef{2, 3}) : value.flatten(1);
    if (!axis)
        return value.dim() == 2 ? value : value.flatten(1);
    const at::Tensor rows = value.dim() == 2 ? value.unsqueeze(2) : positionSecond(value, *axis);
    switch (site.pooling.kind) {
    case Kind::Last: return rows.select(1, rows.size(1) - 1);
    case Kind::Mean: return rows.mean(1);
    case Kind::Each: return rows.flatten(0, 1);
    case Kind::Index: return rows.select(1, site.pooling.index);
    default: return rows.flatten(1);
    }
}

Pooling chosenPooling(const Site& site, const Pooling& wanted, bool labelsByPosition, at::IntArrayRef shape)
{
    const auto axis = findAxis(site.axes, Axis::Position);
    if (!axis) {
        if (labelsByPosition)
            throw core::InputError(fmt::format("\"{}\" {} has no positions, but each position of these data has a label of its own", site.name,
                                               core::formatShape(shape)));
        if (wanted.kind == Kind::Last || wanted.kind == Kind::Each || wanted.kind == Kind::Index)
            throw core::InputError(fmt::format("\"{}\" {} has no positions: expected mean or flatten, got {}", site.name, core::formatShape(shape),
                                               poolingText(wanted)));
        return {wanted.kind == Kind::Mean ? Kind::Mean : Kind::Flatten, 0};
    }
    if (wanted.kind == Kind::Auto)
        return {labelsByPosition ? Kind::Each : Kind::Mean, 0};
    if (labelsByPosition && (wanted.kind == Kind::Mean || wanted.kind == Kind::Flatten))
        throw core::InputError(fmt::format("each position of these data has a label of its own: expected positions each, last or a number, got {}",
                                           poolingText(wanted)));
    if (wanted.kind == Kind::Index && (wanted.index < 0 || wanted.index >= shape[*axis]))
        throw core::InputError(
            fmt::format("position {}: expected 0..{} (\"{}\" is {})", wanted.index, shape[*axis] - 1, site.name, core::formatShape(shape)));
    return wanted;
}

/// Collects in three steps: what is there (a run of two samples), memory, the batches.
class Collector {
public:
    Collector(const graph::Model& model, const graph::Executor& executor, const data::DataSet& data, data::Split part, const CollectRequest& request,
              const Control& control)
        : m_model(model), m_executor(executor), m_data(data), m_part(part), m_request(request), m_control(control)
    {
        const bool tokens = data.info().kind == data::DataKind::Tokens;
        const bool ofToken = request.label == Label::Token || request.label == Label::Previous;
        m_labelsByPosition = ofToken || (request.label == Label::Target && data.info().task == data::Task::NextToken);
        if (ofToken && !tokens)
            throw core::InputError(fmt::format("label \"{}\": the data \"{}\" hold no tokens", labelName(request.label), data.info().id));
    }

    Activations collect()
    {
        findSites();
        chooseSamples();
        checkMemory();
        for (std::size_t begin = 0; begin < m_chosen.size(); begin += std::size_t(m_request.batchSize)) {
            m_control.report(double(begin), double(m_chosen.size()), "samples");
            addBatch(begin, std::min(m_chosen.size(), begin + std::size_t(m_request.batchSize)));
        }
        joinBatches();
        nameLabels();
        drawRows();
        m_control.report(double(m_chosen.size()), double(m_chosen.size()), "samples");
        return std::move(m_out);
    }

private:
    void findSites();
    graph::RunResult firstRun(std::span<const std::int64_t> indices) const;
    void describe(Site& site, const c10::IValue& value, std::int64_t rows);
    void chooseSamples();
    void checkMemory() const;
    void addBatch(std::size_t begin, std::size_t end);
    void addLabels(const data::Batch& batch);
    void addAnswers(const at::Tensor& output);
    void joinBatches();
    void nameLabels();
    void drawRows();
    void keepRows(const at::Tensor& rows);
    graph::RunResult run(std::span<const std::int64_t> indices, bool answers) const;
    bool rowsArePositions() const { return positionsAreRows(m_sites.front()); }
    bool hasRowPosition() const;
    at::Tensor ofRows(const at::Tensor& byPosition) const;
    static at::Tensor tokenCounts(const at::Tensor& tokens);

    const graph::Model& m_model;
    const graph::Executor& m_executor;
    const data::DataSet& m_data;
    data::Split m_part;
    const CollectRequest& m_request;
    const Control& m_control;
    bool m_labelsByPosition = false;
    std::vector<Site> m_sites;
    std::int64_t m_length = 1;                     ///< positions of a row-making value
    std::vector<std::int64_t> m_chosen;            ///< numbers within the part
    std::vector<std::vector<at::Tensor>> m_parts;  ///< of each site, one a batch
    std::vector<at::Tensor> m_labels, m_types, m_inputs, m_predicted, m_confidence;
    Activations m_out;
};

graph::RunResult Collector::run(std::span<const std::int64_t> indices, bool answers) const
{
    graph::RunRequest request;
    request.inputs = train::sampleInputs(m_model, m_data, indices);
    request.stop = m_control.stop;
    for (const auto& site : m_sites)
        request.targets.push_back(site.name);
    if (answers)
        request.targets.push_back(m_model.graph->value(m_model.graph->data().body.outputs.at(0).value).name);
    return m_executor.run(m_model.weights, request);
}

graph::RunResult Collector::firstRun(std::span<const std::int64_t> indices) const
{
    try {
        return run(indices, false);
    } catch (const graph::NodeError& error) {
        const auto shape = m_data.info().inputShape;
        throw core::InputError(
            fmt::format("the model does not take the data \"{}\" (samples {}): {}", m_data.info().id, core::formatShape(shape), error.what()));
    }
}

void Collector::findSites()
{
    for (const auto& place : m_request.places)
        for (auto& name : resolvePlace(*m_model.graph, m_model.card, place))
            if (std::none_of(m_sites.begin(), m_sites.end(), [&](const Site& site) { return site.name == name; }))
                m_sites.push_back({std::move(name), !core::isGlob(place), {}, {}, 0});
    if (m_sites.empty())
        throw core::InputError("expected at least one value to collect");
    std::stable_sort(m_sites.begin(), m_sites.end(),
                     [&](const Site& a, const Site& b) { return m_model.graph->findValue(a.name) < m_model.graph->findValue(b.name); });
    const auto& all = m_data.split(m_part);
    if (all.empty())
        throw core::InputError(fmt::format("the {} part of {} has no samples", data::splitName(m_part), m_data.info().id));
    // Two samples where there are two: a value whose first axis is not the batch shows itself.
    const auto count = std::min<std::size_t>(2, all.size());
    const auto result = firstRun(std::span(all).first(count));
    std::vector<Site> usable;
    std::string why;
    for (std::size_t i = 0; i < m_sites.size(); ++i) {
        try {
            describe(m_sites[i], result.outputs[i], std::int64_t(count));
            usable.push_back(m_sites[i]);
        } catch (const core::InputError& error) {
            if (m_sites[i].given)
                throw;
            why = error.what();
        }
    }
    if (usable.empty())
        throw core::InputError(why);
    m_sites = std::move(usable);
    for (const auto& site : m_sites)
        if (positionsAreRows(site) != rowsArePositions())
            throw core::InputError(
                fmt::format("\"{}\" and \"{}\" give different rows: one a position and one a sample", m_sites.front().name, site.name));
}

void Collector::describe(Site& site, const c10::IValue& value, std::int64_t rows)
{
    const bool fits = value.isTensor() && value.toTensor().defined() && at::isFloatingType(value.toTensor().scalar_type()) &&
                      value.toTensor().dim() >= 2 && value.toTensor().size(0) == rows;
    if (!fits)
        throw core::InputError(fmt::format("\"{}\": expected a floating tensor [batch, ...], got {}", site.name,
                                           value.isTensor() ? core::formatShape(value.toTensor().sizes()) : value.tagKind()));
    const at::Tensor tensor = value.toTensor();
    site.axes = axesOf(*m_model.graph, m_model.card, site.name, std::size_t(tensor.dim()));
    site.pooling = chosenPooling(site, m_request.pooling, m_labelsByPosition, tensor.sizes());
    const auto axis = findAxis(site.axes, Axis::Position);
    const auto length = axis && positionsAreRows(site) ? tensor.size(std::int64_t(*axis)) : 1;
    if (m_length > 1 && length > 1 && length != m_length)
        throw core::InputError(fmt::format("\"{}\" has {} positions, a value before it has {}", site.name, length, m_length));
    m_length = std::max(m_length, length);
    site.features = pooled(tensor, site).size(1);
}

void Collector::chooseSamples()
{
    const auto size = std::int64_t(m_data.split(m_part).size());
    std::int64_t wanted = m_request.limit > 0 ? m_request.limit : size;
    // Rows of one sequence resemble each other: four times as many sequences as needed, a quarter of the rows of each.
    if (rowsArePositions() && m_request.limit > 0)
        wanted = std::max<std::int64_t>(1, (4 * m_request.limit + m_length - 1) / m_length);
    m_chosen.resize(std::size_t(size));
    std::iota(m_chosen.begin(), m_chosen.end(), 0);
    if (wanted >= size)
        return;
    data::shuffle(m_chosen, m_request.seed);
    m_chosen.resize(std::size_t(wanted));
    std::sort(m_chosen.begin(), m_chosen.end());
}

void Collector::checkMemory() const
{
    std::uint64_t bytes = 0;
    const auto rows = std::uint64_t(m_chosen.size()) * std::uint64_t(rowsArePositions() ? m_length : 1);
    for (const auto& site : m_sites)
        bytes += rows * std::uint64_t(site.features) * sizeof(float);
    const auto limit = m_request.memoryLimit > 0 ? m_request.memoryLimit : freeMemory() / 4 * 3;
    // Twice: the batches, and the whole they are put together to.
    if (2 * bytes > limit)
        throw core::InputError(fmt::format("{} rows of {} need {}, {} may be taken: give fewer samples or fewer values, or positions mean", rows,
                                           core::counted(std::int64_t(m_sites.size()), "value"), core::formatBytes(2 * bytes),
                                           core::formatBytes(limit)));
}

bool Collector::hasRowPosition() const
{
    const auto kind = m_sites.front().pooling.kind;
    return kind == Kind::Each || kind == Kind::Last || kind == Kind::Index;
}

// [batch, position] as one number a row.
at::Tensor Collector::ofRows(const at::Tensor& byPosition) const
{
    const auto& pooling = m_sites.front().pooling;
    if (pooling.kind == Kind::Each)
        return byPosition.reshape(-1);
    return byPosition.select(1, pooling.kind == Kind::Index ? pooling.index : byPosition.size(1) - 1).contiguous();
}

// [batch, position] as counts of tokens, [batch, bin]: numbers that k-means can tell alike from unlike.
at::Tensor Collector::tokenCounts(const at::Tensor& tokens)
{
    const at::Tensor counts = at::zeros({tokens.size(0), kTokenBins}, at::TensorOptions(at::kFloat));
    return counts.scatter_add(1, tokens.remainder(kTokenBins), at::ones_like(tokens, at::TensorOptions(at::kFloat)));
}

void Collector::addLabels(const data::Batch& batch)
{
    const bool tokens = m_data.info().kind == data::DataKind::Tokens;
    if (tokens && hasRowPosition())
        m_types.push_back(ofRows(batch.inputs.at(0)));
    if (m_request.label == Label::Previous)
        m_labels.push_back(ofRows(at::constant_pad_nd(batch.inputs.at(0).slice(1, 0, batch.inputs.at(0).size(1) - 1), {1, 0}, -1)));
    else if (m_request.label == Label::Token)
        m_labels.push_back(ofRows(batch.inputs.at(0)));
    else if (m_labelsByPosition)
        m_labels.push_back(ofRows(batch.targets));
    else if (m_request.label == Label::Target && m_data.info().task != data::Task::None)
        m_labels.push_back(rowsArePositions() ? batch.targets.repeat_interleave(m_length, 0) : batch.targets);
    if (m_request.inputs && !tokens) {
        const at::Tensor flat = batch.inputs.at(0).flatten(1).to(at::kFloat);
        m_inputs.push_back(rowsArePositions() ? flat.repeat_interleave(m_length, 0) : flat);
    }
    if (m_request.inputs && tokens && !hasRowPosition())
        m_inputs.push_back(tokenCounts(batch.inputs.at(0)));
}

void Collector::addAnswers(const at::Tensor& output)
{
    at::Tensor logits = graph::classLogits(output.detach().to(at::kCPU, at::kDouble), graph::outputKind(*m_model.graph, m_model.card, output.dim()));
    if (logits.dim() == 3 && hasRowPosition())
        logits = rowsArePositions()
                     ? logits.flatten(0, 1)
                     : logits.select(1, m_sites.front().pooling.kind == Kind::Index ? m_sites.front().pooling.index : logits.size(1) - 1);
    if (logits.dim() != 2 || m_data.info().task == data::Task::Regression || m_data.info().task == data::Task::None)
        return;
    const at::Tensor share = logits.size(1) == 1 ? at::cat({1 - logits.sigmoid(), logits.sigmoid()}, 1) : logits.softmax(1);
    auto [confidence, predicted] = share.max(1);
    if (rowsArePositions() && output.dim() == 2) {
        confidence = confidence.repeat_interleave(m_length, 0);
        predicted = predicted.repeat_interleave(m_length, 0);
    }
    m_predicted.push_back(predicted.to(at::kDouble));
    m_confidence.push_back(confidence);
}

void Collector::addBatch(std::size_t begin, std::size_t end)
{
    const auto& all = m_data.split(m_part);
    std::vector<std::int64_t> indices;
    for (std::size_t i = begin; i < end; ++i) {
        indices.push_back(all[std::size_t(m_chosen[i])]);
        for (std::int64_t position = 0; position < (rowsArePositions() ? m_length : 1); ++position) {
            m_out.samples.push_back(m_chosen[i]);
            m_out.positions.push_back(rowsArePositions() ? position : -1);
        }
    }
    const auto result = run(indices, m_request.answers);
    m_parts.resize(m_sites.size());
    for (std::size_t i = 0; i < m_sites.size(); ++i)
        m_parts[i].push_back(pooled(result.outputs[i].toTensor(), m_sites[i]));
    if (m_request.answers)
        addAnswers(result.tensor(m_sites.size()));
    addLabels(m_data.fetch(indices));
}

void Collector::keepRows(const at::Tensor& rows)
{
    const auto pick = [&](at::Tensor& tensor) {
        if (tensor.defined())
            tensor = tensor.index_select(0, rows);
    };
    for (auto& features : m_out.features)
        pick(features);
    for (auto* tensor : {&m_out.labels, &m_out.types, &m_out.inputs, &m_out.predicted, &m_out.confidence})
        pick(*tensor);
    const auto* numbers = rows.data_ptr<std::int64_t>();
    std::vector<std::int64_t> samples, positions;
    for (std::int64_t i = 0; i < rows.numel(); ++i) {
        samples.push_back(m_out.samples[std::size_t(numbers[i])]);
        positions.push_back(m_out.positions[std::size_t(numbers[i])]);
    }
    m_out.samples = std::move(samples);
    m_out.positions = std::move(positions);
}

void Collector::joinBatches()
{
    for (std::size_t i = 0; i < m_sites.size(); ++i) {
        m_out.values.push_back(m_sites[i].name);
        m_out.features.push_back(at::cat(m_parts[i], 0).contiguous());
        m_parts[i].clear();
    }
    const auto joined = [](const std::vector<at::Tensor>& parts) { return parts.empty() ? at::Tensor() : at::cat(parts, 0); };
    m_out.labels = joined(m_labels);
    m_out.types = joined(m_types);
    m_out.inputs = joined(m_inputs);
    m_out.predicted = joined(m_predicted);
    m_out.confidence = joined(m_confidence);
}

void Collector::nameLabels()
{
    const auto& info = m_data.info();
    if (m_labelsByPosition) {
        m_out.classes = info.vocabularySize;
        if (const auto* vocabulary = m_data.vocabulary())
            for (std::int64_t token = 0; token < info.vocabularySize; ++token)
                m_out.classNames.push_back(vocabulary->tokenText(token));
    } else if (info.task == data::Task::Classification && m_out.labels.defined()) {
        m_out.classes = std::max<std::int64_t>(info.outputSize, std::int64_t(info.classNames.size()));
        m_out.classNames = info.classNames;
    } else if (m_out.labels.defined()) {
        m_out.labels = m_out.labels.to(at::kDouble).reshape({m_out.rows(), -1});
    }
}

// Rows that have a label, at most as many as asked for.
void Collector::drawRows()
{
    std::vector<std::int64_t> rows(std::size_t(m_out.rows()));
    std::iota(rows.begin(), rows.end(), 0);
    if (m_labelsByPosition) {
        const at::Tensor labels = m_out.labels.contiguous();
        std::erase_if(rows, [&](std::int64_t row) { return labels.data_ptr<std::int64_t>()[row] < 0; });
    }
    if (m_request.limit > 0 && std::int64_t(rows.size()) > m_request.limit) {
        data::shuffle(rows, m_request.seed + 1);
        rows.resize(std::size_t(m_request.limit));
        std::sort(rows.begin(), rows.end());
    }
    if (rows.empty())
        throw core::InputError("no row has a label: position 0 has no token before it, padding and what is not masked have no target");
    if (std::int64_t(rows.size()) < m_out.rows())
        keepRows(at::tensor(rows, at::kLong));
}

}  // namespace

std::uint64_t freeMemory()
{
    std::ifstream file("/proc/meminfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("MemAvailable:"))
            return std::stoull(line.substr(line.find_first_of("0123456789"))) * 1024;
    return std::uint64_t(-1);
}

Pooling poolingFromText(const std::string& text)
{
    for (const auto& [name, kind] : kPoolings)
        if (text == name)
            return {kind, 0};
    std::int64_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || index < 0)
        throw core::InputError(fmt::format("positions: expected auto, last, mean, each, flatten or a number from 0, got \"{}\"", text));
    return {Kind::Index, index};
}

std::string poolingText(const Pooling& pooling)
{
    for (const auto& [name, kind] : kPoolings)
        if (pooling.kind == kind)
            return std::string(name);
    return std::to_string(pooling.index);
}

Label labelFromText(const std::string& text)
{
    for (const auto& [name, label] : kLabels)
        if (text == name)
            return label;
    throw core::InputError(fmt::format("label: expected target, token, previous or none, got \"{}\"", text));
}

std::string_view labelName(Label label)
{
    return kLabels[std::size_t(label)].first;
}

Activations collectActivations(const graph::Model& model, const graph::Executor& executor, const data::DataSet& data, data::Split part,
                               const CollectRequest& request, const Control& control)
{
    if (request.batchSize < 1 || request.limit < 0)
        throw core::InputError(fmt::format("expected a batch size from 1 and a limit from 0, got {} and {}", request.batchSize, request.limit));
    const at::NoGradGuard noGrad;
    return Collector(model, executor, data, part, request, control).collect();
}

void requireFinite(const at::Tensor& features, const std::string& what)
{
    const auto bad = features.isfinite().flatten(1).all(1).logical_not().sum().item<std::int64_t>();
    if (bad > 0)
        throw core::InputError(
            fmt::format("{}: {} of {} rows hold numbers that are not finite: the weights or the data are broken (a training that diverged?)", what,
                        bad, features.size(0)));
}

}  // namespace orrery::intervene
