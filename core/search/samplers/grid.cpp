// Every combination.

#include <algorithm>

#include <fmt/format.h>

#include <core/base/error.h>

#include "../sampler.h"

namespace orrery::search {
namespace {

constexpr std::int64_t kMostCombinations = 100'000;

class GridSampler : public Sampler {
public:
    explicit GridSampler(std::vector<std::int64_t> counts, std::vector<bool> isChoice, std::int64_t size)
        : m_counts(std::move(counts)), m_isChoice(std::move(isChoice)), m_size(size)
    {
    }

    std::int64_t trials(std::optional<std::int64_t> asked) const override { return std::min(asked.value_or(m_size), m_size); }

    Place place(std::int64_t trial, std::span<const Outcome>) const override
    {
        Place place(m_counts.size());
        for (std::size_t i = m_counts.size(); i-- > 0; trial /= m_counts[i]) {
            const double index = double(trial % m_counts[i]), count = double(m_counts[i]);
            // A choice is met in the middle of its part; of a range the ends belong to the grid.
            place[i] = m_isChoice[i] ? (index + 0.5) / count : count == 1 ? 0.5 : index / (count - 1);
        }
        return place;
    }

private:
    const std::vector<std::int64_t> m_counts;
    const std::vector<bool> m_isChoice;
    const std::int64_t m_size;
};

std::unique_ptr<Sampler> makeGrid(const Space& space, const core::Json& settings)
{
    std::vector<std::int64_t> counts;
    std::vector<bool> isChoice;
    std::int64_t size = 1;
    for (const Dimension& dimension : space) {
        std::int64_t count = dimension.points > 0 ? dimension.points : settings.at("points").get<std::int64_t>();
        if (dimension.count() > 0)
            count = dimension.isChoice() ? dimension.count() : std::min(count, dimension.count());
        if (count > kMostCombinations / size)
            throw core::InputError(
                fmt::format("expected a grid of at most {} combinations, got more: give fewer points, or sample it at random", kMostCombinations));
        size *= count;
        counts.push_back(count);
        isChoice.push_back(dimension.isChoice());
    }
    return std::make_unique<GridSampler>(std::move(counts), std::move(isChoice), size);
}

}  // namespace

void addGridSampler(SamplerRegistry& registry)
{
    using namespace core;
    registry.add({"grid",
                  "Grid",
                  "Tries every combination, in the order of the parameters: the last one changes fastest.",
                  "Full factorial design; Bergstra & Bengio (2012), JMLR 13, section 1",
                  {integer("points", 3, "Values taken of each range that does not say so itself (\"points\"), both ends included").range(1, 10'000)},
                  {},
                  {}},
                 [](const Space& space, const Json& settings, std::uint64_t) { return makeGrid(space, settings); });
}

}  // namespace orrery::search
