#include "patch_runner.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>

// The part of the runner that runs a causal model from a position on.
namespace orrery::intervene {
namespace {

/// So many places to start from: more save little and each is a graph to prepare.
constexpr std::int64_t kStarts = 8;
/// What rows of a product may differ by when other rows change.
constexpr double kSame = 1e-6;
/// How far the sums of a shorter run may differ from those of a whole one.
constexpr double kClose = 1e-4;

bool isSame(const at::Tensor& a, const at::Tensor& b, double tolerance)
{
    if (a.sizes() != b.sizes())
        return false;
    if (a.numel() == 0)
        return true;
    const double scale = std::max(1e-6, b.abs().max().item<double>());
    return (a - b).abs().max().item<double>() <= tolerance * scale;
}

at::Tensor repeatedRows(const at::Tensor& value, std::int64_t rows)
{
    return at::cat(std::vector<at::Tensor>(std::size_t(rows), value));
}

}  // namespace

std::unique_ptr<PatchRunner::Tail> PatchRunner::makeTail(std::int64_t begin) const
{
    auto suffix = graph::suffixed(runner().graph(), m_positionAxes, begin, m_positions, m_runnerOne, m_runnerTwo);
    if (!suffix)
        return nullptr;
    auto tail = std::make_unique<Tail>();
    graph::RunRequest request;
    request.inputs = base();
    for (const auto& before : suffix->before)
        request.keep.push_back(before.value);
    const auto kept = runner().run(*m_weights, request).values;
    for (const auto& before : suffix->before) {
        const auto id = std::size_t(*runner().graph()->findValue(before.value));
        const auto &one = m_runnerOne[id], &two = m_runnerTwo[id];
        auto twice = one;
        twice[0] *= 2;
        if (two != twice)  // rows elsewhere than in front, or none
            return nullptr;
        tail->before.emplace_back(one[0], kept.at(before.value).toTensor().slice(before.axis, 0, begin));
    }
    tail->executor = std::make_unique<graph::Executor>(suffix->graph);
    tail->suffix = std::move(*suffix);
    tail->begin = begin;
    return tail;
}

/// Two rows of the values that no other value leads to, with different noise from `begin` on.
std::map<std::string, at::Tensor> PatchRunner::withNoise(std::int64_t begin) const
{
    std::map<std::string, at::Tensor> roots;
    auto generator = at::detail::createCPUGenerator(0);
    for (const auto& [name, axis] : m_positionAxes) {
        const auto leadsHere = [&, here = name](const auto& other) {
            const auto cone = runner().dependencyCone({other.first});
            return other.first != here && std::find(cone.begin(), cone.end(), here) != cone.end();
        };
        if (std::any_of(m_positionAxes.begin(), m_positionAxes.end(), leadsHere))
            continue;
        const at::Tensor rows = repeatedRows(m_baseValues.at(name), 2);
        const at::Tensor changed = rows.slice(axis, begin);
        const double scale = std::max(1e-3, rows.abs().mean().item<double>());
        changed.add_(at::randn(changed.sizes(), generator, rows.options().device(at::kCPU)).to(rows.device()), scale);
        roots[name] = rows;
    }
    return roots;
}

/// What a whole run gives for changed rows, and what it keeps.
graph::RunResult PatchRunner::wholeRun(const std::string& value, const at::Tensor& rows, const graph::Suffix& suffix) const
{
    const Rows plain{rows, true, nullptr};
    const auto kept = keptFor(plain);
    auto request = requestFor(value, plain, kept);
    for (const auto& before : suffix.before)
        request.keep.push_back(before.value);
    return runner().run(*m_weights, request);
}

/// Whether nothing before the tail depends on what comes after, and whether the shorter run gives the whole run's output.
bool PatchRunner::holds(const Tail& tail) const
{
    for (const auto& [name, rows] : withNoise(tail.begin)) {
        const auto changed = wholeRun(name, rows, tail.suffix), same = wholeRun(name, repeatedRows(m_baseValues.at(name), 2), tail.suffix);
        for (const auto& before : tail.suffix.before) {
            const auto part = [&](const graph::RunResult& result) {
                return result.values.at(before.value).toTensor().slice(before.axis, 0, tail.begin);
            };
            if (changed.values.count(before.value) && !isSame(part(changed), part(same), kSame))
                return false;
        }
        if (!isSame(logitsOf(runRows(name, {rows, true, &tail}, m_stop)), logitsOf(changed), kClose))
            return false;
    }
    return true;
}

void PatchRunner::usePositions(const std::map<std::string, std::int64_t>& axes, std::int64_t length)
{
    if (!m_batches || length < 2)
        return;
    m_positions = length;
    for (const auto& [name, axis] : axes)
        if (!m_parts.count(name) && m_baseValues.at(name).is_floating_point())
            m_positionAxes[name] = axis;
    try {
        auto tail = m_positionAxes.empty() ? nullptr : makeTail(length / 2);
        if (tail && holds(*tail)) {
            m_tails[tail->begin] = std::move(tail);
            return;
        }
    } catch (const core::Error&) {
        // A model whose shorter form does not run is run as a whole.
    }
    m_positionAxes.clear();
}

bool PatchRunner::runsFromPosition(const std::string& value) const
{
    return m_positionAxes.count(value) > 0;
}

const PatchRunner::Tail* PatchRunner::tailFor(const std::string& value, std::int64_t from) const
{
    const auto step = std::max<std::int64_t>(1, (m_positions + kStarts - 1) / kStarts), begin = from / step * step;
    const auto axis = m_positionAxes.find(value);
    if (axis == m_positionAxes.end() || begin <= 0)
        return nullptr;
    const std::lock_guard lock(m_tailsMutex);
    if (!m_tails.count(begin))
        m_tails[begin] = makeTail(begin);
    const auto* tail = m_tails.at(begin).get();
    if (!tail)
        return nullptr;
    // A value that another one leads to may have come out cut along another axis: patches of it are run as a whole.
    const auto cut = tail->suffix.values.find(value);
    return cut == tail->suffix.values.end() || cut->second == axis->second ? tail : nullptr;
}

}  // namespace orrery::intervene
