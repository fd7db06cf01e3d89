#include "intervention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "kinds.h"
#include "positions.h"
#include "selection.h"
#include "sources.h"

namespace orrery::intervene {
namespace {

/// One intervention at one value.
struct Entry {
    Intervention intervention;
    std::string place;  // "interventions[2]"
    std::string value;  // exact name
    std::string steps;  // of a loop: "[3]"
    Prepared prepared;
    std::uint64_t seed = 0;
};

/// What one run's interventions share. Errors thrown inside the executor would come out as the node's.
struct Pass {
    std::optional<std::int64_t> promptLength;
    std::map<std::string, at::Tensor> observed;
    std::exception_ptr error;
};

struct Target {
    std::string at, value, steps;
};

std::vector<std::string> modulePaths(const graph::Graph& graph)
{
    std::vector<std::string> paths;
    for (const auto& module : graph.data().modules)
        if (!module.path.empty())
            paths.push_back(module.path);
    return paths;
}

std::vector<Target> moduleTargets(const graph::Graph& graph, const std::string& place, const std::string& where)
{
    const auto paths = modulePaths(graph);
    std::vector<Target> targets;
    for (const auto& path : paths) {
        if (path != place && !(core::isGlob(place) && core::matchesGlob(place, path)))
            continue;
        const auto outputs = graph.moduleOutputs(path);
        if (outputs.size() != 1)
            throw core::InputError(fmt::format("{}.at: module \"{}\" has {} outputs; expected one", where, path, outputs.size()));
        targets.push_back({path, graph.value(outputs[0]).name, {}});
    }
    if (targets.empty())
        throw core::InputError(fmt::format("{}.at: expected a module, \"{}\" is none{}", where, place, core::didYouMean(place, paths)));
    return targets;
}

/// The canonical scores of the block that a canonical name, value or module belongs to.
std::string scoresFor(const graph::ModelCard& card, const std::string& value, const std::string& where)
{
    const auto canonical = canonicalNameOf(card, value).value_or("");
    const auto dot = canonical.find('.', canonical.find('.') + 1);
    const auto it = card.canonicalNames.find(canonical.substr(0, dot) + ".attn.scores");
    if (!canonical.starts_with("blocks.") || it == card.canonicalNames.end())
        throw core::InputError(
            fmt::format("{}.at: attention_knockout acts on attention scores (blocks.N.attn.scores); \"{}\" belongs to no block with such a "
                        "canonical value",
                        where, value));
    return it->second;
}

std::vector<Target> valueTargets(const graph::Graph& graph, const graph::ModelCard& card, const std::string& place, const std::string& where)
{
    const auto [base, steps] = graph.findValue(place) ? std::pair<std::string_view, std::string_view>(place, "") : graph::splitStep(place);
    std::vector<Target> targets;
    try {
        for (const auto& value : resolvePlace(graph, card, std::string(base)))
            targets.push_back({place, value, std::string(steps)});
    } catch (const core::InputError& error) {
        throw core::InputError(where + ".at: " + error.what());
    }
    return targets;
}

std::vector<Target> targetsOf(const graph::Graph& graph, const graph::ModelCard& card, const Intervention& intervention, const std::string& where)
{
    const auto& kind = interventionRegistry().factory(intervention.kind);
    if (kind.onModules)
        return moduleTargets(graph, intervention.at, where);
    if (!kind.onScores)
        return valueTargets(graph, card, intervention.at, where);
    std::vector<Target> targets;
    for (const auto& target : valueTargets(graph, card, intervention.at, where)) {
        const auto scores = scoresFor(card, target.value, where);
        if (std::none_of(targets.begin(), targets.end(), [&](const auto& earlier) { return earlier.value == scores; }))
            targets.push_back({target.at, scores, {}});
    }
    return targets;
}

at::Tensor sourcePart(const Entry& entry, const Situation& s)
{
    auto source = s.sourceWhole;
    const auto mismatch = [&](at::IntArrayRef found) {
        return core::ShapeError(fmt::format("{}: source \"{}\" of \"{}\": expected {}, got {}", entry.place, entry.intervention.source, s.value,
                                            core::formatShape(s.x.sizes()), core::formatShape(found)));
    };
    if (source.dim() != s.whole.dim())
        throw mismatch(source.sizes());
    if (source.dim() > 0 && source.size(0) == 1 && s.whole.size(0) != 1) {
        auto shape = source.sizes().vec();
        shape[0] = s.whole.size(0);
        source = source.expand(shape);
    }
    auto selection = *s.selection;
    if (!entry.prepared.sourcePositions.empty()) {
        if (!s.positionAxis)
            throw core::InputError(fmt::format("{}.do.source_position: \"{}\" has no axis of positions", entry.place, s.value));
        selection.setAlong(*s.positionAxis, resolveIndices(entry.prepared.sourcePositions, source.size(std::int64_t(*s.positionAxis)),
                                                           entry.place + ".do.source_position"));
    }
    const auto part = selection.gather(source, fmt::format("{}: source \"{}\"", entry.place, entry.intervention.source));
    if (part.sizes() != s.x.sizes())
        throw mismatch(part.sizes());
    return part;
}

at::Tensor checkedTensor(const Entry& entry, const std::string& name, const c10::IValue& content)
{
    if (!content.isTensor() || !content.toTensor().defined())
        throw core::InputError(fmt::format("{}: \"{}\" holds {}; expected a tensor", entry.place, name, content.tagKind()));
    const auto tensor = content.toTensor();
    if (entry.prepared.floatingOnly && !at::isFloatingType(tensor.scalar_type()))
        throw core::InputError(fmt::format("{}: \"{}\" holds {}; {} expects floating-point numbers", entry.place, name,
                                           graph::dtypeName(tensor.scalar_type()), entry.intervention.kind));
    return tensor;
}

}  // namespace

struct InterventionProgram::Private {
    const graph::Executor& executor;
    const graph::Weights& weights;
    const graph::ModelCard& card;
    std::vector<Entry> entries;
    std::vector<std::string> values;
    SourceValues sources;

    void compile(const InterventionDocument& document, const Options& options);
    void addEntry(const Intervention& intervention, const Target& target, const std::string& where, const Options& options);
    void checkSources(const InterventionDocument& document, const SourceInputs& given) const;
    std::vector<SourceNeed> needs() const;
    at::Tensor applied(const Entry& entry, const std::string& name, const c10::IValue& content, const Pass& pass) const;
    std::optional<Selection> selectionFor(const Entry& entry, const Situation& situation) const;
    std::vector<graph::Probe> probes(Pass& pass) const;
};

void InterventionProgram::Private::addEntry(const Intervention& intervention, const Target& target, const std::string& where, const Options& options)
{
    const auto& graph = *executor.graph();
    Entry entry{intervention, where, target.value, target.steps, {}, core::deriveSeed(options.seed, entries.size(), target.value)};
    const KindContext context{graph, card, where, target.at, target.value, !intervention.source.empty(), options.folder};
    entry.prepared = interventionRegistry().factory(intervention.kind).prepare(intervention.parameters, context);
    if (entry.prepared.needsSource && intervention.source.empty())
        throw core::InputError(
            fmt::format("{}.source: {} takes values from a source run; expected the name of a source input", where, intervention.kind));
    entries.push_back(std::move(entry));
}

void InterventionProgram::Private::compile(const InterventionDocument& document, const Options& options)
{
    const auto& graph = *executor.graph();
    for (std::size_t i = 0; i < document.interventions.size(); ++i) {
        const auto& intervention = document.interventions[i];
        const auto where = fmt::format("interventions[{}]", i);
        if (!intervention.enabled)
            continue;
        for (const auto& target : targetsOf(graph, card, intervention, where))
            addEntry(intervention, target, where, options);
    }
    for (const auto& entry : entries)
        if (std::find(values.begin(), values.end(), entry.value) == values.end())
            values.push_back(entry.value);
    std::sort(values.begin(), values.end(), [&](const auto& a, const auto& b) { return graph.findValue(a) < graph.findValue(b); });
}

void InterventionProgram::Private::checkSources(const InterventionDocument& document, const SourceInputs& given) const
{
    std::vector<std::string> names;
    for (const auto& [name, inputs] : given)
        names.push_back(name);
    for (const auto& name : document.sources())
        if (!given.contains(name))
            throw core::InputError(fmt::format("source \"{}\": the document names it, but no such input is given{}{}", name,
                                               names.empty() ? "" : "; given are " + core::join(names, ", "), core::didYouMean(name, names)));
}

std::vector<SourceNeed> InterventionProgram::Private::needs() const
{
    std::vector<SourceNeed> needs;
    for (const auto& entry : entries)
        if (!entry.intervention.source.empty() && (entry.prepared.needsSource || entry.prepared.wholeSource))
            needs.push_back({entry.intervention.source, entry.prepared.sourceValue.empty() ? entry.value : entry.prepared.sourceValue,
                             entry.prepared.sourceMean});
    return needs;
}

std::optional<Selection> InterventionProgram::Private::selectionFor(const Entry& entry, const Situation& s) const
{
    const auto& when = entry.intervention.parsedWhen;
    const auto& unit = entry.intervention.parsedUnit;
    if (!s.promptLength) {
        if (when.kind == When::Kind::New || when.kind == When::Kind::Steps)
            return std::nullopt;
        return Selection::resolve(unit, s.axes, s.whole.sizes(), entry.place + ".unit");
    }
    return selectionInText(unit, when, s.axes, s.whole.sizes(), *s.promptLength, entry.place + ".unit");
}

at::Tensor InterventionProgram::Private::applied(const Entry& entry, const std::string& name, const c10::IValue& content, const Pass& pass) const
{
    Situation s;
    s.place = entry.place;
    s.value = name;
    s.whole = checkedTensor(entry, name, content);
    s.axes = axesOf(*executor.graph(), card, entry.value, std::size_t(s.whole.dim()));
    s.positionAxis = findAxis(s.axes, Axis::Position);
    s.promptLength = pass.promptLength;
    s.seed = entry.seed;
    const auto selection = selectionFor(entry, s);
    if (!selection)
        return s.whole;
    s.selection = &*selection;
    s.x = selection->gather(s.whole, entry.place);
    if (s.x.numel() == 0)
        return s.whole;
    if (!entry.prepared.observed.empty())
        s.other = pass.observed.at(entry.prepared.observed);
    if (!entry.intervention.source.empty() && (entry.prepared.needsSource || entry.prepared.wholeSource)) {
        const auto& from = entry.prepared.sourceValue.empty() ? name : entry.prepared.sourceValue;
        s.sourceWhole = sources.at(entry.intervention.source, from, entry.prepared.sourceMean).to(s.whole.device());
        if (!entry.prepared.wholeSource)
            s.source = sourcePart(entry, s);
    }
    const auto changed = entry.prepared.apply(s).to(s.whole.options());
    return selection->scatter(s.whole, stretched(changed, s.x.sizes(), entry.place));
}

std::vector<graph::Probe> InterventionProgram::Private::probes(Pass& pass) const
{
    std::vector<graph::Probe> result;
    std::set<std::string> observed;
    for (const auto& entry : entries)
        if (!entry.prepared.observed.empty() && observed.insert(entry.prepared.observed).second)
            result.push_back(graph::Probe::onValue(entry.prepared.observed, [&pass](const std::string& name, const c10::IValue& content) {
                if (content.isTensor())
                    pass.observed[name] = content.toTensor();
            }));
    for (const auto& value : values)
        result.push_back(graph::Probe::replacing(value, [this, &pass, value](const std::string& name, const c10::IValue& content) {
            auto current = content;
            try {
                for (const auto& entry : entries)
                    if (entry.value == value && (entry.steps.empty() || core::matchesGlob(value + entry.steps, name)))
                        current = applied(entry, name, current, pass);
            } catch (const core::Error&) {
                pass.error = std::current_exception();
                throw;
            }
            return current;
        }));
    return result;
}

InterventionProgram::InterventionProgram(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card,
                                         const InterventionDocument& document, const SourceInputs& sources, const Options& options,
                                         const Control& control)
    : d(new Private{executor, weights, card, {}, {}, {}})
{
    d->compile(document, options);
    d->checkSources(document, sources);
    d->sources = SourceValues::compute(executor, weights, sources, d->needs(), control);
}

InterventionProgram::~InterventionProgram() = default;

const std::vector<std::string>& InterventionProgram::values() const
{
    return d->values;
}

graph::RunResult InterventionProgram::run(graph::RunRequest request, std::optional<std::int64_t> promptLength) const
{
    Pass pass;
    pass.promptLength = promptLength;
    for (auto& probe : d->probes(pass))
        request.probes.push_back(std::move(probe));
    try {
        return d->executor.run(d->weights, request);
    } catch (const core::Error&) {
        if (pass.error)
            std::rethrow_exception(pass.error);
        throw;
    }
}

}  // namespace orrery::intervene
