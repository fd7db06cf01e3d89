#include "patching.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/output_kind.h>
#include <core/kernels/parallel.h>
#include <core/train/text_batch.h>

#include "patch_runner.h"

namespace orrery::intervene {
namespace {

/// What the batches that run at a time may take: larger ones are no faster, and smaller ones stream and cancel sooner.
constexpr std::int64_t kCacheBytes = 8 << 20;
constexpr std::int64_t kManyPatches = 64;  ///< so many pay for what running them from their positions on has to prepare

bool givesPosition(const core::Json& settings)
{
    return settings.is_object() && settings.contains("metric") && settings["metric"].is_object() && settings["metric"].contains("position");
}

core::Schema settingsSchema()
{
    return {
        core::list(
            "components", core::text("", "", ""), core::Json::array({"resid_pre"}),
            "What is patched: canonical values of a transformer's blocks (resid_pre, attn_out, resid_mid, mlp_out, resid_post, q, k, v, pattern, z, "
            "mlp.pre, mlp.post), or paths and patterns of any values.")
            .atLeast(1),
        core::list("layers", core::integer("", 0, "").range(-1000, 999), core::Json::array(),
                   "Blocks whose values are patched; negative numbers count from the last; none given: all."),
        core::list("positions", core::integer("", 0, "").range(-(1 << 30), 1 << 30), core::Json::array(),
                   "Positions (or channels, features) that are patched; negative numbers count from the end; none given: all."),
        core::boolean("by_position", true, "One patch for each position (channel, feature); off: all of them at once."),
        core::boolean("by_head", false, "One patch for each attention head, where a value has heads; off: all heads at once."),
        core::choice("direction", {"denoise", "noise"}, "denoise",
                     "denoise: run the corrupted input and restore clean values; noise: run the clean input and insert corrupted values."),
        core::component("metric", "output_metric", "logit_difference", "What a run's output is worth."),
        core::integer("output", 0, "Number of the model's output that is read.").range(0, 1000),
        core::real("memory_limit", 1024, "Most memory that a batch of patched runs may take.").above(0).withUnit("MiB")};
}

std::vector<std::int64_t> integers(const core::Json& list)
{
    return list.get<std::vector<std::int64_t>>();
}

PatchMap mapOf(const std::string& component)
{
    PatchMap map;
    map.component = component;
    return map;
}

void addSite(PatchMap& map, const PatchSite& site)
{
    map.sites.push_back(site.label);
    map.values.push_back(site.value);
    map.heads = std::max(map.heads, site.heads);
    map.byHead = map.byHead || site.headAxis.has_value();
    if (site.unitAxis)
        map.unit = axisName(site.unit);
    if (site.units.size() > map.columns.size())
        map.columns = site.units;
}

/// One map a component, in the order they were asked for.
std::vector<PatchMap> mapsOf(const std::vector<PatchSite>& sites)
{
    std::vector<PatchMap> maps;
    for (const auto& site : sites) {
        if (maps.empty() || maps.back().component != site.component)
            maps.push_back(mapOf(site.component));
        addSite(maps.back(), site);
    }
    for (auto& map : maps)
        map.cells = at::full({std::int64_t(map.sites.size()), map.heads, std::int64_t(map.columns.size())}, std::numeric_limits<double>::quiet_NaN(),
                             at::kDouble);
    return maps;
}

std::vector<AnswerChange> changesAt(const at::Tensor& reference, const at::Tensor& logits, const at::Tensor& order, std::size_t count)
{
    const at::Tensor before = at::softmax(reference.to(at::kDouble), 0), after = at::softmax(logits.to(at::kDouble), 0);
    std::vector<AnswerChange> changes;
    for (std::int64_t i = 0; i < order.size(0) && changes.size() < count; ++i) {
        const auto index = order[i].item<std::int64_t>();
        changes.push_back({index, before[index].item<double>(), after[index].item<double>()});
    }
    return changes;
}

/// Patches of one site that run together, counted head by head.
struct Batch {
    std::size_t site = 0;
    std::vector<std::int64_t> patches;
};

struct FinishedBatch {
    const Batch* batch = nullptr;
    at::Tensor worth;  ///< the metric of each
    std::int64_t nodes = 0;
    bool fromPosition = false;
};

/// What several threads finish, until the one that asked takes it.
class FinishedBatches {
public:
    void add(FinishedBatch batch)
    {
        const std::lock_guard lock(m_mutex);
        m_waiting.push_back(std::move(batch));
    }
    std::vector<FinishedBatch> take()
    {
        const std::lock_guard lock(m_mutex);
        return std::exchange(m_waiting, {});
    }

private:
    std::mutex m_mutex;  // guards m_waiting
    std::vector<FinishedBatch> m_waiting;
};

bool patchesPositions(const PatchSite& site)
{
    return site.unitAxis && (site.unit == Axis::Position || site.unit == Axis::Query);
}

void checkHeads(const std::vector<PatchSite>& sites, bool byHead)
{
    if (byHead && std::none_of(sites.begin(), sites.end(), [](const PatchSite& site) { return site.headAxis.has_value(); }))
        throw core::InputError(
            fmt::format("by_head: none of the patched values has heads (the first is {} {}); expected components such as z, q, k, v, pattern",
                        sites.front().value, core::formatShape(sites.front().shape)));
}

}  // namespace

const core::Component& patchingComponent()
{
    static const core::Component component = {
        "patching",
        "Activation patching",
        "Which part of which value carries the answer: one part at a time is taken from another run.",
        "Vig et al. (2020), arXiv:2004.12265; Meng et al. (2022), arXiv:2202.05262; Wang et al. (2022), arXiv:2211.00593",
        settingsSchema(),
        {},
        {}};
    return component;
}

struct Patching::State {
    core::Json settings;
    std::vector<PatchSite> sites;
    std::vector<std::pair<std::size_t, std::int64_t>> places;  // of each site: its map and its row there
    std::vector<PatchMap> maps;
    graph::OutputKind kind = graph::OutputKind::Logits;  // of the model's output; everything here is logits
    std::unique_ptr<PatchRunner> runner;
    std::unique_ptr<BoundMetric> metric;
    std::int64_t patches = 0;
    bool denoises = true;

    void prepare(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card, const PatchRequest& request,
                 std::stop_token stop);
    void layOutSites(const graph::Graph& graph, const graph::ModelCard& card);
    MetricReference reference() const;
    std::vector<std::string> positionValues() const;
    std::int64_t memoryLimit() const;  ///< bytes
    /// Batches that are run at a time, each by a thread; 1: one after the other, their operators on all threads.
    std::int64_t workers() const;
    /// Largest number of rows of a batch from position `begin` on.
    std::int64_t rowsFor(const PatchSite& site, std::int64_t bytesPerRow, std::int64_t begin, std::int64_t atATime) const;
    std::map<std::int64_t, std::vector<std::int64_t>> patchesByBegin(const PatchSite& site) const;
    /// All batches, site by site.
    std::vector<Batch> batches(std::int64_t atATime) const;
    /// These patches of a site. Any thread.
    PatchRunner::Batch run(const PatchSite& site, std::span<const std::int64_t> patches, std::stop_token stop) const;
    /// The first position that any of these patches changes; nothing if they are not patches of positions.
    static std::optional<PatchRunner::Beginning> beginning(const PatchSite& site, std::span<const std::int64_t> patches);
    void takeCells(PatchResult& result, const FinishedBatch& finished, const PatchControl& control) const;
};

MetricReference Patching::State::reference() const
{
    const at::Tensor base = graph::classLogits(runner->baseLogits(), kind), source = graph::classLogits(runner->sourceLogits(), kind);
    return denoises ? MetricReference{source, base} : MetricReference{base, source};
}

void Patching::State::layOutSites(const graph::Graph& graph, const graph::ModelCard& card)
{
    const auto units = integers(settings["positions"]);
    const bool byHead = settings["by_head"].get<bool>(), byUnit = settings["by_position"].get<bool>();
    for (auto& site : sites) {
        layOut(site, graph, card, runner->baseValue(site.value).sizes(), byHead, byUnit, units);
        patches += site.patches();
    }
    checkHeads(sites, byHead);
    maps = mapsOf(sites);
    for (std::size_t map = 0; map < maps.size(); ++map)
        for (std::size_t row = 0; row < maps[map].sites.size(); ++row)
            places.emplace_back(map, std::int64_t(row));
}

void Patching::State::prepare(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card,
                              const PatchRequest& request, std::stop_token stop)
{
    settings = patchingComponent().schema.resolve(request.settings, "patching");
    // A model that fills masks answers at the first one of the clean input.
    if (card.task == "masked_language_model" && !givesPosition(request.settings))
        if (const auto answers = train::answerPositions(*executor.graph(), card, request.clean); !answers.empty())
            settings["metric"]["position"] = answers[0];
    denoises = settings["direction"] == "denoise";
    sites = sitesOf(*executor.graph(), card, settings["components"].get<std::vector<std::string>>(), integers(settings["layers"]));
    PatchRunner::Inputs inputs{request.clean,
                               request.corrupted,
                               !denoises,
                               settings["output"].get<std::size_t>(),
                               settings["metric"].value("position", std::int64_t(-1)),
                               {}};
    for (const auto& site : sites)
        inputs.values.push_back(site.value);
    runner = std::make_unique<PatchRunner>(executor, weights, std::move(inputs), stop);
    layOutSites(*executor.graph(), card);
    kind = graph::outputKind(*executor.graph(), card, runner->outputRank(), settings["output"].get<std::size_t>());
    runner->prepare(card, positionValues());
    metric = std::make_unique<BoundMetric>(settings["metric"], reference());
    settings["metric"] = metric->document();
}

/// Values whose patches may be run from their positions on.
std::vector<std::string> Patching::State::positionValues() const
{
    std::vector<std::string> values;
    for (const auto& site : sites)
        if (patches >= kManyPatches && patchesPositions(site))
            values.push_back(site.value);
    return values;
}

std::int64_t Patching::State::workers() const
{
    if (!runner->baseValue(sites.front().value).device().is_cpu())
        return 1;
    std::int64_t most = 1;
    for (const auto& site : sites)
        most = std::max(most, runner->bytesPerRow(site.value));
    return std::clamp<std::int64_t>(memoryLimit() / most, 1, at::get_num_threads());
}

std::int64_t Patching::State::memoryLimit() const
{
    return std::int64_t(settings["memory_limit"].get<double>() * (1 << 20));
}

std::int64_t Patching::State::rowsFor(const PatchSite& site, std::int64_t bytesPerRow, std::int64_t begin, std::int64_t atATime) const
{
    if (!runner->takesBatches())
        return 1;
    // Of a run from some position on only later positions take memory.
    const auto positions = site.unitAxis ? site.shape[*site.unitAxis] : 1;
    const double bytes = double(bytesPerRow) * double(positions - begin) / double(positions);
    return std::max<std::int64_t>(1, std::int64_t(double(std::min(memoryLimit(), kCacheBytes)) / double(atATime) / bytes));
}

std::vector<Batch> Patching::State::batches(std::int64_t atATime) const
{
    std::vector<Batch> all;
    for (std::size_t i = 0; i < sites.size(); ++i) {
        const auto bytes = runner->bytesPerRow(sites[i].value);
        for (const auto& [begin, patches] : patchesByBegin(sites[i])) {
            const auto count = std::int64_t(patches.size()), most = rowsFor(sites[i], bytes, begin, atATime);
            const auto cuts = (count + most - 1) / most, rows = (count + cuts - 1) / cuts;  // as many in each
            for (std::int64_t first = 0; first < count; first += rows)
                all.push_back({i, {patches.begin() + first, patches.begin() + std::min(count, first + rows)}});
        }
    }
    return all;
}

/// Patches that are run from the same position on.
std::map<std::int64_t, std::vector<std::int64_t>> Patching::State::patchesByBegin(const PatchSite& site) const
{
    std::map<std::int64_t, std::vector<std::int64_t>> groups;
    for (std::int64_t patch = 0; patch < site.patches(); ++patch) {
        const auto from = beginning(site, std::span(&patch, 1));
        groups[from ? runner->begin(site.value, from->first) : 0].push_back(patch);
    }
    return groups;
}

PatchRunner::Batch Patching::State::run(const PatchSite& site, std::span<const std::int64_t> patches, std::stop_token stop) const
{
    const at::Tensor &base = runner->baseValue(site.value), &source = runner->sourceValue(site.value);
    auto sizes = base.sizes().vec();
    sizes[0] = std::int64_t(patches.size());
    const at::Tensor patched = base.expand(sizes).clone(at::MemoryFormat::Contiguous);
    const auto units = std::int64_t(site.units.size());
    for (std::size_t row = 0; row < patches.size(); ++row) {
        const auto head = patches[row] / units, unit = site.units[std::size_t(patches[row] % units)];
        patchedPart(site, patched, std::int64_t(row), head, unit).copy_(patchedPart(site, source, 0, head, unit));
    }
    auto made = runner->run(site.value, patched, std::move(stop), beginning(site, patches));
    made.logits = graph::classLogits(made.logits, kind);
    return made;
}

std::optional<PatchRunner::Beginning> Patching::State::beginning(const PatchSite& site, std::span<const std::int64_t> patches)
{
    if (!patchesPositions(site))
        return {};
    const auto units = std::int64_t(site.units.size());
    PatchRunner::Beginning from{std::int64_t(*site.unitAxis), std::numeric_limits<std::int64_t>::max()};
    for (const auto patch : patches)
        from.first = std::min(from.first, site.units[std::size_t(patch % units)]);
    return from.first < 0 ? std::nullopt : std::optional(from);
}

void Patching::State::takeCells(PatchResult& result, const FinishedBatch& finished, const PatchControl& control) const
{
    const auto& batch = *finished.batch;
    const auto [map, row] = places[batch.site];
    const auto units = std::int64_t(sites[batch.site].units.size());
    const at::Tensor worth = finished.worth.to(at::kCPU, at::kDouble).contiguous();
    auto all = result.maps[map].cells.accessor<double, 3>();
    std::vector<PatchCell> cells;
    for (std::size_t i = 0; i < batch.patches.size(); ++i) {
        cells.push_back({map, row, batch.patches[i] / units, batch.patches[i] % units, worth.data_ptr<double>()[i]});
        all[row][cells.back().head][cells.back().column] = cells.back().value;
    }
    result.patches += std::int64_t(cells.size());
    if (finished.fromPosition)
        result.fromPosition += std::int64_t(cells.size());
    result.nodes += finished.nodes;
    ++result.runs;
    if (control.cells)
        control.cells(cells);
    if (control.progress)
        control.progress(double(result.patches), double(patches), "patches");
}

Patching::Patching(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card, const PatchRequest& request,
                   std::stop_token stop)
    : m_state(std::make_unique<State>())
{
    at::NoGradGuard noGradients;
    m_state->prepare(executor, weights, card, request, std::move(stop));
}

Patching::~Patching() = default;
Patching::Patching(Patching&&) noexcept = default;

const std::vector<PatchMap>& Patching::maps() const
{
    return m_state->maps;
}

std::int64_t Patching::patches() const
{
    return m_state->patches;
}

const BoundMetric& Patching::metric() const
{
    return *m_state->metric;
}

MetricReference Patching::reference() const
{
    return m_state->reference();
}

PatchResult Patching::sweep(const PatchControl& control) const
{
    at::NoGradGuard noGradients;
    const auto started = std::chrono::steady_clock::now();
    const auto reference = m_state->reference();
    PatchResult result{m_state->settings, m_state->maps, metric().clean(), metric().corrupted(), reference.clean, reference.corrupted};
    for (auto& map : result.maps)
        map.cells = map.cells.clone();
    const auto atATime = m_state->workers();
    const auto batches = m_state->batches(atATime);
    const auto caller = std::this_thread::get_id();
    FinishedBatches finished;
    const auto handOver = [&] {
        for (const auto& each : finished.take())
            m_state->takeCells(result, each, control);
    };
    std::atomic<std::size_t> next{0};
    // Each thread takes the next batch; the operators of a batch then run on that thread alone, which costs less than meeting after each of them.
    kernels::parallelFor(0, std::min(atATime, std::int64_t(batches.size())), 1, [&](std::int64_t, std::int64_t) {
        at::NoGradGuard noGradientsHere;
        try {
            for (std::size_t i; (i = next.fetch_add(1)) < batches.size();) {
                if (control.stop.stop_requested())
                    throw core::Cancelled();
                const auto& batch = batches[i];
                const auto made = m_state->run(m_state->sites[batch.site], batch.patches, control.stop);
                finished.add({&batch, metric()(made.logits), made.nodes, made.fromPosition});
                if (std::this_thread::get_id() == caller)
                    handOver();
            }
        } catch (...) {
            next = batches.size();  // the others end, too
            throw;
        }
    });
    handOver();
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return result;
}

at::Tensor Patching::outputOf(const PatchCell& cell, std::stop_token stop) const
{
    at::NoGradGuard noGradients;
    for (std::size_t i = 0; i < m_state->places.size(); ++i) {
        const auto& site = m_state->sites[i];
        if (m_state->places[i] != std::pair{cell.map, cell.site})
            continue;
        const auto units = std::int64_t(site.units.size());
        if (cell.head < 0 || cell.head >= site.heads || cell.column < 0 || cell.column >= units)
            break;
        const std::int64_t patch = cell.head * units + cell.column;
        return m_state->run(site, std::span(&patch, 1), std::move(stop)).logits[0].to(at::kCPU, at::kDouble);
    }
    throw core::InputError(
        fmt::format("patching: there is no cell at map {}, site {}, head {}, column {}", cell.map, cell.site, cell.head, cell.column));
}

core::Json PatchResult::summary() const
{
    core::Json document = {{"settings", settings}, {"clean", clean}, {"corrupted", corrupted},        {"patches", patches},
                           {"runs", runs},         {"nodes", nodes}, {"from_position", fromPosition}, {"seconds", seconds}};
    auto described = core::Json::array();
    for (const auto& map : maps)
        described.push_back({{"component", map.component},
                             {"sites", map.sites},
                             {"values", map.values},
                             {"unit", map.unit},
                             {"columns", map.columns},
                             {"heads", map.byHead ? core::Json(map.heads) : core::Json()},
                             {"shape", map.cells.sizes().vec()}});
    document["maps"] = described;
    return document;
}

std::vector<AnswerChange> largestChanges(const at::Tensor& reference, const at::Tensor& logits, std::size_t count)
{
    const at::Tensor change = at::softmax(logits.to(at::kDouble), 0) - at::softmax(reference.to(at::kDouble), 0);
    return changesAt(reference, logits, change.abs().argsort(0, /*descending=*/true), count);
}

std::vector<AnswerChange> mostProbable(const at::Tensor& reference, const at::Tensor& logits, std::size_t count)
{
    return changesAt(reference, logits, logits.argsort(0, /*descending=*/true), count);
}

}  // namespace orrery::intervene
