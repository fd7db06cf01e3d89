#include "patching.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include <core/base/error.h>
#include <core/base/text.h>

#include "patch_runner.h"

namespace orrery::intervene {
namespace {

/// Larger batches are no faster (measured from 1 to 64 MiB on a 6-layer GPT of width 128: within 7 %), and smaller ones stream and cancel sooner.
constexpr std::int64_t kCacheBytes = 8 << 20;
constexpr std::int64_t kManyPatches = 64;  ///< so many pay for what running them from their positions on has to prepare

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
    std::unique_ptr<PatchRunner> runner;
    std::unique_ptr<BoundMetric> metric;
    std::int64_t patches = 0;
    bool denoises = true;

    void prepare(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card, const PatchRequest& request,
                 std::stop_token stop);
    void layOutSites(const graph::Graph& graph, const graph::ModelCard& card);
    MetricReference reference() const;
    void tryCausality(const graph::ModelCard& card) const;
    std::int64_t rowsFor(const PatchSite& site) const;
    std::int64_t batchRows(const PatchSite& site) const;  ///< as many in each batch
    /// Patches [first, first + count) of a site, counted head by head.
    at::Tensor logits(const PatchSite& site, std::int64_t first, std::int64_t count, std::stop_token stop) const;
    /// The first position that any of these patches changes; nothing if they are not patches of positions.
    static std::optional<PatchRunner::Beginning> beginning(const PatchSite& site, std::int64_t first, std::int64_t count);
    void takeCells(PatchResult& result, std::size_t site, std::int64_t first, const at::Tensor& values, const PatchControl& control) const;
};

MetricReference Patching::State::reference() const
{
    return denoises ? MetricReference{runner->sourceLogits(), runner->baseLogits()} : MetricReference{runner->baseLogits(), runner->sourceLogits()};
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
    tryCausality(card);
    metric = std::make_unique<BoundMetric>(settings["metric"], reference());
    settings["metric"] = metric->document();
}

// Where the first batch that begins behind the first position begins.
void Patching::State::tryCausality(const graph::ModelCard& card) const
{
    if (patches < kManyPatches)
        return;
    for (const auto& site : sites) {
        const auto rows = batchRows(site);
        const auto first = rows < site.patches() ? beginning(site, rows, 1) : std::nullopt;
        if (first && first->first > 0)
            return runner->tryCausality(card, site.value, first->first);
    }
}

std::int64_t Patching::State::batchRows(const PatchSite& site) const
{
    const auto most = rowsFor(site), batches = (site.patches() + most - 1) / most;
    return (site.patches() + batches - 1) / batches;
}

std::int64_t Patching::State::rowsFor(const PatchSite& site) const
{
    if (!runner->takesBatches())
        return 1;
    const auto bytes = runner->bytesPerRow(site.value);
    const auto limit = std::int64_t(settings["memory_limit"].get<double>() * (1 << 20));
    return std::max<std::int64_t>(1, std::min(limit, kCacheBytes) / bytes);
}

at::Tensor Patching::State::logits(const PatchSite& site, std::int64_t first, std::int64_t count, std::stop_token stop) const
{
    const at::Tensor &base = runner->baseValue(site.value), &source = runner->sourceValue(site.value);
    auto sizes = base.sizes().vec();
    sizes[0] = count;
    const at::Tensor patched = base.expand(sizes).clone(at::MemoryFormat::Contiguous);
    const auto units = std::int64_t(site.units.size());
    for (std::int64_t row = 0; row < count; ++row) {
        const auto head = (first + row) / units, unit = site.units[std::size_t((first + row) % units)];
        patchedPart(site, patched, row, head, unit).copy_(patchedPart(site, source, 0, head, unit));
    }
    return runner->logits(site.value, patched, std::move(stop), beginning(site, first, count));
}

std::optional<PatchRunner::Beginning> Patching::State::beginning(const PatchSite& site, std::int64_t first, std::int64_t count)
{
    if (!site.unitAxis || (site.unit != Axis::Position && site.unit != Axis::Query))
        return {};
    const auto units = std::int64_t(site.units.size());
    PatchRunner::Beginning from{std::int64_t(*site.unitAxis), std::numeric_limits<std::int64_t>::max()};
    for (std::int64_t row = first; row < first + count; ++row)
        from.first = std::min(from.first, site.units[std::size_t(row % units)]);
    return from.first < 0 ? std::nullopt : std::optional(from);
}

void Patching::State::takeCells(PatchResult& result, std::size_t site, std::int64_t first, const at::Tensor& values,
                                const PatchControl& control) const
{
    const auto [map, row] = places[site];
    const auto units = std::int64_t(sites[site].units.size());
    const at::Tensor worth = values.to(at::kCPU, at::kDouble).contiguous();
    auto all = result.maps[map].cells.accessor<double, 3>();
    std::vector<PatchCell> cells;
    for (std::int64_t i = 0; i < worth.size(0); ++i) {
        cells.push_back({map, row, (first + i) / units, (first + i) % units, worth.data_ptr<double>()[i]});
        all[row][cells.back().head][cells.back().column] = cells.back().value;
    }
    if (control.cells)
        control.cells(cells);
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
    PatchResult result{m_state->settings, m_state->maps, metric().clean(), metric().corrupted(), reference.clean, reference.corrupted, 0, 0, 0};
    for (auto& map : result.maps)
        map.cells = map.cells.clone();
    for (std::size_t i = 0; i < m_state->sites.size(); ++i) {
        const auto& site = m_state->sites[i];
        const auto rows = m_state->batchRows(site);
        for (std::int64_t first = 0; first < site.patches(); first += rows) {
            if (control.stop.stop_requested())
                throw core::Cancelled();
            const auto count = std::min(rows, site.patches() - first);
            m_state->takeCells(result, i, first, metric()(m_state->logits(site, first, count, control.stop)), control);
            result.patches += count;
            ++result.runs;
            if (control.progress)
                control.progress(double(result.patches), double(m_state->patches), "patches");
        }
    }
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
        return m_state->logits(site, cell.head * units + cell.column, 1, std::move(stop))[0].to(at::kCPU, at::kDouble);
    }
    throw core::InputError(
        fmt::format("patching: there is no cell at map {}, site {}, head {}, column {}", cell.map, cell.site, cell.head, cell.column));
}

core::Json PatchResult::summary() const
{
    core::Json document = {{"settings", settings}, {"clean", clean}, {"corrupted", corrupted},
                           {"patches", patches},   {"runs", runs},   {"seconds", seconds}};
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
