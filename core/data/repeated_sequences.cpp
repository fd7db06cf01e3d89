// Random sequences that repeat: what an induction head is good for, and nothing else is.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/hash.h>
#include <core/base/rng.h>

#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;

struct RepeatedSettings {
    std::int64_t vocabulary = 0, shortest = 0, longest = 0, block = 0, samples = 0;
    std::uint64_t seed = 0;
};

/// Sample i is drawn from (seed, i) alone when it is fetched: nothing is kept.
class RepeatedSequences : public DataSet {
public:
    explicit RepeatedSequences(const RepeatedSettings& settings) : m_settings(settings) {}
    std::int64_t size() const override { return m_settings.samples; }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        const std::int64_t block = m_settings.block, count = std::int64_t(indices.size());
        Batch batch;
        batch.inputs.push_back(at::empty({count, block}, at::kLong));
        batch.targets = at::empty({count, block}, at::kLong);
        std::int64_t* input = batch.inputs[0].data_ptr<std::int64_t>();
        std::int64_t* target = batch.targets.data_ptr<std::int64_t>();
        std::vector<std::int64_t> tokens(std::size_t(block) + 1);
        for (std::int64_t i = 0; i < count; ++i, input += block, target += block) {
            draw(indices[std::size_t(i)], tokens);
            std::copy(tokens.begin(), tokens.end() - 1, input);
            std::copy(tokens.begin() + 1, tokens.end(), target);
        }
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        hasher.add(fmt::format("repeated_sequences {} {} {} {} {} {}", m_settings.vocabulary, m_settings.shortest, m_settings.longest,
                               m_settings.block, m_settings.samples, m_settings.seed));
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            hasher.add(fmt::format(";{}", fmt::join(split(part), " ")));
        return hasher.hex();
    }

private:
    void draw(std::int64_t sample, std::vector<std::int64_t>& tokens) const
    {
        core::SplitMix64 random(core::deriveSeed(m_settings.seed, std::uint64_t(sample), "repeated_sequences"));
        const auto period =
            std::size_t(m_settings.shortest + std::int64_t(random.below(std::uint64_t(m_settings.longest - m_settings.shortest + 1))));
        for (std::size_t i = 0; i < tokens.size(); ++i)
            tokens[i] = i < period ? std::int64_t(random.below(std::uint64_t(m_settings.vocabulary))) : tokens[i - period];
    }

    RepeatedSettings m_settings;
};

DataSetPtr openRepeatedSequences(const Json& parameters, const std::filesystem::path&)
{
    RepeatedSettings settings;
    settings.vocabulary = parameters.at("vocabulary").get<std::int64_t>();
    settings.longest = parameters.at("length").get<std::int64_t>();
    settings.shortest = parameters.at("shortest").is_null() ? settings.longest : parameters.at("shortest").get<std::int64_t>();
    settings.block = parameters.at("block_length").is_null() ? 2 * settings.longest : parameters.at("block_length").get<std::int64_t>();
    settings.samples = parameters.at("samples").get<std::int64_t>();
    settings.seed = parameters.at("seed").get<std::uint64_t>();
    if (settings.shortest > settings.longest)
        throw core::InputError(fmt::format("data.shortest: expected at most the length {}, got {}", settings.longest, settings.shortest));
    if (settings.block <= settings.longest)
        throw core::InputError(
            fmt::format("data.block_length: expected more than the length {}, so that something repeats, got {}", settings.longest, settings.block));
    SplitLists splits = randomSplit(settings.samples, SplitOptions::fromJson(parameters.at("split")));
    applyLimit(splits, parameters);
    DataInfo info;
    info.id = "repeated_sequences";
    info.title = "Repeated random sequences";
    info.kind = DataKind::Tokens;
    info.task = Task::NextToken;
    info.vocabularySize = settings.vocabulary;
    describe(info, {settings.block});
    auto set = std::make_shared<RepeatedSequences>(settings);
    DataBuilder::setUp(*set, std::move(info), std::move(splits), {});
    return set;
}

core::Schema repeatedSchema()
{
    core::Schema schema = {
        core::integer("vocabulary", 64, "Number of tokens; each is as likely as any other.").range(2, 1 << 20),
        core::integer("length", 24, "Longest sequence that repeats.").range(1, 1 << 16).withUnit("tokens"),
        core::integer("shortest", 8, "Shortest one: each sample draws its own length, so that positions alone tell nothing; none: all have `length`.")
            .range(1, 1 << 16)
            .withUnit("tokens")
            .noneByDefault(),
        core::integer("block_length", 48, "Tokens in a sample, filled by repeating; none: twice the length.").range(2, 1 << 17).noneByDefault(),
        core::integer("samples", 20'000, "Number of samples; they are drawn when they are used and take no memory.").range(1, 10'000'000),
        core::integer("seed", 0, "Seed of the tokens.").atLeast(0),
        splitParameter({0.05, 0.05, 0, false})};
    addLimits(schema);
    return schema;
}

}  // namespace

void addRepeatedSequences(DataRegistry& registry)
{
    registry.add({"repeated_sequences",
                  "Repeated random sequences",
                  "Random tokens, then the same tokens again; the next token is the target. Only looking back at what followed last time predicts "
                  "the repetition.",
                  "Olsson et al. (2022), \"In-context Learning and Induction Heads\", arXiv:2209.11895: sequences of random tokens, repeated",
                  repeatedSchema(),
                  {},
                  {{"tokens", "token_id", {"batch", "position"}}}},
                 openRepeatedSequences);
}

}  // namespace orrery::data
