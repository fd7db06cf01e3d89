#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <core/base/json.h>
#include <core/base/schema.h>

namespace orrery::data {

/// Sample numbers of the three parts, each ascending.
struct SplitLists {
    std::vector<std::int64_t> train, val, test;
};

/// The parameter group `split`: fractions of the whole, drawn with a seed of their own, so that runs with different seeds share their test part.
struct SplitOptions {
    double test = 0.2, val = 0.1;
    std::uint64_t seed = 0;
    bool stratified = true;
    static SplitOptions fromJson(const core::Json& group);
};
core::Parameter splitParameter(const SplitOptions& defaults);

/// round(n * test) samples for testing, round(n * val) for validation, the rest for training, drawn at random.
/// @param classes  One a sample: each part then holds every class in its proportion, within one sample; empty: not stratified.
/// @throws core::InputError if test + val reach 1 or nothing is left to train on.
SplitLists randomSplit(std::int64_t samples, const SplitOptions& options, std::span<const std::int64_t> classes = {});

/// The test part is given by the data (files of their own): only the validation part is drawn, as a fraction of `trainable`.
SplitLists splitWithTest(std::span<const std::int64_t> trainable, std::vector<std::int64_t> test, const SplitOptions& options,
                         std::span<const std::int64_t> classes = {});

/// Keeps at most `limit` samples in all, every part in proportion (at least one where there was one), drawn with the split's seed.
void limitSplits(SplitLists& splits, std::int64_t limit, std::uint64_t seed);

/// Keeps round(fraction * n) of the samples, at least one, in ascending order, drawn with the split's seed. What a smaller fraction keeps, a larger one keeps, too.
void keepFraction(std::vector<std::int64_t>& samples, double fraction, std::uint64_t seed);

/// A random order by Fisher and Yates: the same on every machine.
/// Source: Durstenfeld (1964), "Algorithm 235: Random permutation", doi:10.1145/364520.364540.
void shuffle(std::vector<std::int64_t>& values, std::uint64_t seed);

}  // namespace orrery::data
