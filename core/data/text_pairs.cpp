// Pairs of texts, one to be turned into the other: synthetic reversal, and files of pairs.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include <core/base/files.h>
#include <core/base/hash.h>
#include <core/base/rng.h>
#include <core/base/text.h>

#include "sets.h"
#include "vocabulary.h"

namespace orrery::data {
namespace {

using core::Json;

using Pair = std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>;

/// Three control characters of the vocabulary mark padding, begin and end: the lowest code points, hence the numbers 0, 1 and 2.
constexpr std::string_view kMarks("\x00\x02\x03", 3);

/// Inputs: the source [batch, longest source], and the target behind the begin mark [batch, longest target + 1]; targets: the same one further, with the end
/// mark. Shorter rows are padded; padded targets are -100, which losses and metrics leave out.
class PairDataSet : public DataSet {
public:
    PairDataSet(std::vector<Pair> pairs, Vocabulary vocabulary) : m_pairs(std::move(pairs)), m_vocabulary(std::move(vocabulary)) {}
    std::int64_t size() const override { return std::int64_t(m_pairs.size()); }
    const Vocabulary* vocabulary() const override { return &m_vocabulary; }
    std::int64_t length(std::int64_t index) const override
    {
        const Pair& pair = m_pairs[std::size_t(index)];
        return std::int64_t(std::max(pair.first.size(), pair.second.size() + 1));
    }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        std::size_t source = 1, target = 1;
        for (const std::int64_t index : indices) {
            source = std::max(source, m_pairs[std::size_t(index)].first.size());
            target = std::max(target, m_pairs[std::size_t(index)].second.size() + 1);
        }
        const auto rows = std::int64_t(indices.size());
        Batch batch;
        batch.inputs = {at::full({rows, std::int64_t(source)}, kPaddingToken, at::kLong), at::full({rows, std::int64_t(target)}, kPaddingToken, at::kLong)};
        batch.targets = at::full({rows, std::int64_t(target)}, kIgnoredTarget, at::kLong);
        for (std::int64_t row = 0; row < rows; ++row)
            fillRow(batch, row, m_pairs[std::size_t(indices[std::size_t(row)])]);
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        hasher.add("pairs " + m_vocabulary.toJson().dump());
        for (const auto& [source, target] : m_pairs)
            hasher.add(fmt::format(";{}>{}", fmt::join(source, " "), fmt::join(target, " ")));
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            hasher.add(fmt::format(";{}", fmt::join(split(part), " ")));
        return hasher.hex();
    }

private:
    static void fillRow(Batch& batch, std::int64_t row, const Pair& pair)
    {
        const auto begin = [row](at::Tensor& tensor) { return tensor.data_ptr<std::int64_t>() + row * tensor.size(1); };
        std::copy(pair.first.begin(), pair.first.end(), begin(batch.inputs[0]));
        *begin(batch.inputs[1]) = kBeginToken;
        std::copy(pair.second.begin(), pair.second.end(), begin(batch.inputs[1]) + 1);
        std::copy(pair.second.begin(), pair.second.end(), begin(batch.targets));
        begin(batch.targets)[pair.second.size()] = kEndToken;
    }

    std::vector<Pair> m_pairs;
    Vocabulary m_vocabulary;
};

DataSetPtr makePairSet(DataInfo info, const std::vector<std::pair<std::string, std::string>>& texts, const Json& parameters)
{
    std::string all(kMarks);
    for (const auto& [source, target] : texts)
        all += source + target;
    Vocabulary vocabulary = Vocabulary::charactersOf(all, info.title);
    std::vector<Pair> pairs;
    std::int64_t longest = 1;
    for (const auto& [source, target] : texts) {
        pairs.emplace_back(vocabulary.encode(source), vocabulary.encode(target));
        longest = std::max({longest, std::int64_t(pairs.back().first.size()), std::int64_t(pairs.back().second.size()) + 1});
    }
    SplitLists splits = randomSplit(std::int64_t(pairs.size()), SplitOptions::fromJson(parameters.at("split")));
    applyLimit(splits, parameters);
    info.kind = DataKind::Tokens;
    info.task = Task::NextToken;
    info.vocabularySize = vocabulary.size();
    describe(info, {longest});
    info.inputs = {{"source", "token_id", {"batch", "position"}}, {"target", "token_id", {"batch", "position"}}};
    auto set = std::make_shared<PairDataSet>(std::move(pairs), std::move(vocabulary));
    DataBuilder::setUp(*set, std::move(info), std::move(splits), {});
    return set;
}

DataSetPtr openReversal(const Json& parameters, const std::filesystem::path&)
{
    const auto shortest = parameters.at("shortest").get<std::int64_t>(), longest = parameters.at("longest").get<std::int64_t>();
    if (shortest > longest)
        throw core::InputError(fmt::format("data.shortest: expected at most longest = {}, got {}", longest, shortest));
    core::SplitMix64 random(core::deriveSeed(parameters.at("seed").get<std::uint64_t>(), 0, "string_reversal"));
    std::vector<std::pair<std::string, std::string>> texts;
    for (std::int64_t i = 0; i < parameters.at("samples").get<std::int64_t>(); ++i) {
        std::string text(std::size_t(shortest) + std::size_t(random.below(std::uint64_t(longest - shortest + 1))), ' ');
        for (char& letter : text)
            letter = char('a' + random.below(parameters.at("letters").get<std::uint64_t>()));
        texts.emplace_back(text, std::string(text.rbegin(), text.rend()));
    }
    DataInfo info;
    info.id = "string_reversal";
    info.title = "String reversal";
    return makePairSet(std::move(info), texts, parameters);
}

DataSetPtr openTextPairs(const Json& parameters, const std::filesystem::path& base)
{
    const std::filesystem::path file = core::resolvePath(parameters.at("path").get<std::string>(), base);
    const std::string name = file.filename().string(), content = readDataFile("text_pairs", file);
    std::vector<std::pair<std::string, std::string>> texts;
    const auto lines = core::split(content, '\n');
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string line(lines[i].ends_with('\r') ? lines[i].substr(0, lines[i].size() - 1) : lines[i]);
        if (line.empty())
            continue;
        const auto fields = core::split(line, '\t');
        if (fields.size() != 2 || fields[0].empty() || line.find_first_of(kMarks) != std::string::npos)
            throw core::FormatError(fmt::format("{}: line {}: expected source<TAB>target without control characters, got {} fields", name, i + 1, fields.size()));
        texts.emplace_back(fields[0], fields[1]);
    }
    if (texts.empty())
        throw core::FormatError(fmt::format("{}: expected lines source<TAB>target, found none", name));
    DataInfo info;
    info.id = "text_pairs";
    info.title = name;
    return makePairSet(std::move(info), texts, parameters);
}

core::Schema pairSchema(core::Schema own)
{
    own.add(splitParameter({0.1, 0.1, 0, false}));
    addLimits(own);
    return own;
}

const std::vector<core::Port>& pairPorts()
{
    static const std::vector<core::Port> ports{{"source", "token_id", {"batch", "position"}}, {"target", "token_id", {"batch", "position"}}};
    return ports;
}

}  // namespace

void addStringReversal(DataRegistry& registry)
{
    registry.add({"string_reversal",
                  "String reversal",
                  "Random strings and the same strings backwards: the smallest task that needs a sequence-to-sequence model.",
                  "",
                  pairSchema({core::integer("letters", 12, "Number of different letters.").range(1, 26),
                              core::integer("shortest", 3, "Shortest string.").range(1, 1000).withUnit("letters"),
                              core::integer("longest", 10, "Longest string.").range(1, 1000).withUnit("letters"),
                              core::integer("samples", 8000, "Number of strings.").range(10, 1'000'000),
                              core::integer("seed", 0, "Seed of the strings.").atLeast(0)}),
                  {},
                  pairPorts()},
                 openReversal);
}

void addTextPairs(DataRegistry& registry)
{
    registry.add({"text_pairs",
                  "Pairs of texts",
                  "Lines source<TAB>target: translation, summaries, spelling; characters are the tokens.",
                  "",
                  pairSchema({core::required(core::text("path", "", "The file, UTF-8; gzip is understood."))}),
                  {},
                  pairPorts()},
                 openTextPairs);
}

}  // namespace orrery::data
