#include "splits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include <core/base/rng.h>

namespace orrery::data {
namespace {

void checkFractions(const SplitOptions& options, double test)
{
    if (test + options.val >= 1)
        throw core::InputError(fmt::format("data.split: expected test + val below 1, got {} + {}", test, options.val));
}

/// The samples of each class in random order, class by class; without classes one group of all.
std::vector<std::vector<std::int64_t>> shuffledGroups(std::span<const std::int64_t> samples, const SplitOptions& options,
                                                      std::span<const std::int64_t> classes)
{
    std::map<std::int64_t, std::vector<std::int64_t>> groups;
    for (const std::int64_t sample : samples)
        groups[classes.empty() || !options.stratified ? 0 : classes[std::size_t(sample)]].push_back(sample);
    std::vector<std::vector<std::int64_t>> out;
    for (auto& [group, members] : groups) {
        shuffle(members, core::deriveSeed(options.seed, std::uint64_t(group), "data/split"));
        out.push_back(std::move(members));
    }
    return out;
}

/// How many of `groups` go into a part: the running sum is rounded, so that the whole is exact and each group is off by at most one.
std::vector<std::size_t> shares(const std::vector<std::vector<std::int64_t>>& groups, double fraction)
{
    std::vector<std::size_t> out;
    double seen = 0;
    std::int64_t given = 0;
    for (const auto& group : groups) {
        seen += double(group.size());
        const auto upToHere = std::int64_t(std::llround(seen * fraction));
        out.push_back(std::size_t(std::clamp<std::int64_t>(upToHere - given, 0, std::int64_t(group.size()))));
        given += std::int64_t(out.back());
    }
    return out;
}

SplitLists divide(std::span<const std::int64_t> samples, double test, const SplitOptions& options, std::span<const std::int64_t> classes)
{
    checkFractions(options, test);
    const auto groups = shuffledGroups(samples, options, classes);
    const auto testShares = shares(groups, test), valShares = shares(groups, options.val);
    SplitLists lists;
    for (std::size_t g = 0; g < groups.size(); ++g) {
        const auto begin = groups[g].begin();
        const auto testEnd = begin + std::ptrdiff_t(testShares[g]),
                   valEnd = testEnd + std::min<std::ptrdiff_t>(std::ptrdiff_t(valShares[g]), groups[g].end() - testEnd);
        lists.test.insert(lists.test.end(), begin, testEnd);
        lists.val.insert(lists.val.end(), testEnd, valEnd);
        lists.train.insert(lists.train.end(), valEnd, groups[g].end());
    }
    for (auto* list : {&lists.train, &lists.val, &lists.test})
        std::sort(list->begin(), list->end());
    if (lists.train.empty())
        throw core::InputError(fmt::format("data.split: expected samples to train on, got none of {}", samples.size()));
    return lists;
}

}  // namespace

SplitOptions SplitOptions::fromJson(const core::Json& group)
{
    return {group.at("test").get<double>(), group.at("val").get<double>(), group.at("seed").get<std::uint64_t>(), group.at("stratified").get<bool>()};
}

core::Parameter splitParameter(const SplitOptions& defaults)
{
    return core::group(
        "split",
        {core::real("test", defaults.test, "Fraction of the samples kept for testing; without effect where the data bring a test part.")
             .range(0, 0.95),
         core::real("val", defaults.val, "Fraction of the samples (where the data bring a test part: of the others) for validation.").range(0, 0.95),
         core::integer("seed", std::int64_t(defaults.seed), "Seed of the split alone: runs with other seeds keep their test part.").atLeast(0),
         core::boolean("stratified", defaults.stratified, "Every class in its proportion in each part.")},
        "How the samples are divided.");
}

SplitLists randomSplit(std::int64_t samples, const SplitOptions& options, std::span<const std::int64_t> classes)
{
    std::vector<std::int64_t> all(std::size_t(std::max<std::int64_t>(samples, 0)));
    std::iota(all.begin(), all.end(), 0);
    return divide(all, options.test, options, classes);
}

SplitLists splitWithTest(std::span<const std::int64_t> trainable, std::vector<std::int64_t> test, const SplitOptions& options,
                         std::span<const std::int64_t> classes)
{
    SplitLists lists = divide(trainable, 0, options, classes);
    lists.test = std::move(test);
    return lists;
}

void limitSplits(SplitLists& splits, std::int64_t limit, std::uint64_t seed)
{
    const std::size_t total = splits.train.size() + splits.val.size() + splits.test.size();
    if (std::size_t(limit) >= total)
        return;
    const double factor = double(limit) / double(total);
    std::uint64_t part = 0;
    for (auto* list : {&splits.train, &splits.val, &splits.test}) {
        const auto keep = std::max<std::size_t>(list->empty() ? 0 : 1, std::size_t(std::floor(double(list->size()) * factor)));
        shuffle(*list, core::deriveSeed(seed, part++, "data/limit"));
        list->resize(std::min(keep, list->size()));
        std::sort(list->begin(), list->end());
    }
}

void keepFraction(std::vector<std::int64_t>& samples, double fraction, std::uint64_t seed)
{
    const auto keep = std::max<std::int64_t>(1, std::llround(fraction * double(samples.size())));
    shuffle(samples, core::deriveSeed(seed, 0, "data/fraction"));
    samples.resize(std::min(std::size_t(keep), samples.size()));
    std::sort(samples.begin(), samples.end());
}

void shuffle(std::vector<std::int64_t>& values, std::uint64_t seed)
{
    core::SplitMix64 random(seed);
    for (std::size_t i = values.size(); i > 1; --i)
        std::swap(values[i - 1], values[std::size_t(random.below(i))]);
}

}  // namespace orrery::data
