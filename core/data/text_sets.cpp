#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include <core/base/files.h>
#include <core/base/hash.h>
#include <core/text/tokenizer_files.h>

#include "masking.h"
#include "sets.h"
#include "vocabulary.h"

namespace orrery::data {
namespace {

using core::Json;

/// Special tokens that a tokenizer puts around a text.
struct Affixes {
    std::vector<std::int64_t> before, after;
    std::int64_t size() const { return std::int64_t(before.size() + after.size()); }
};

Affixes affixesOf(const Vocabulary& vocabulary)
{
    Affixes out;
    if (!vocabulary.tokenizer())
        return out;
    const text::Encoding encoding = vocabulary.tokenizer()->encode("a");
    bool behind = false;
    for (std::size_t i = 0; i < encoding.size(); ++i) {
        behind = behind || !encoding.special[i];
        if (encoding.special[i])
            (behind ? out.after : out.before).push_back(encoding.ids[i]);
    }
    return out;
}

/// A text as one row of numbers; sample i is the block that begins at `starts[i]`, its targets the same block one further. With masks the targets are what they hide, and the
/// block stands between the special tokens that the tokenizer puts around a text.
class TokenDataSet : public DataSet {
public:
    struct Parts {
        at::Tensor tokens;  ///< [length] uint8 or int32
        Vocabulary vocabulary;
        std::int64_t block = 0;  ///< tokens of a sample, `affixes` among them
        std::vector<std::int64_t> starts;
        Affixes affixes;
        std::shared_ptr<const TokenMasking> masking;  ///< null: the next token is the target
        std::uint64_t maskSeed = 0;
    };
    explicit TokenDataSet(Parts parts) : m(std::move(parts)) {}
    std::int64_t size() const override { return std::int64_t(m.starts.size()); }
    const Vocabulary* vocabulary() const override { return &m.vocabulary; }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        Batch batch;
        const auto count = std::int64_t(indices.size());
        batch.inputs.push_back(at::empty({count, m.block}, at::kLong));
        batch.targets = at::full({count, m.block}, kIgnoredTarget, at::kLong);
        for (std::int64_t i = 0; i < count; ++i) {
            const TokenView row{batch.inputs[0].data_ptr<std::int64_t>() + i * m.block, batch.targets.data_ptr<std::int64_t>() + i * m.block, m.block};
            if (m.tokens.scalar_type() == at::kByte)
                fillRow(m.tokens.data_ptr<std::uint8_t>(), indices[std::size_t(i)], row);
            else
                fillRow(m.tokens.data_ptr<std::int32_t>(), indices[std::size_t(i)], row);
        }
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        hasher.add(fmt::format("tokens {} {};", m.block, m.vocabulary.toJson().dump()));
        if (m.masking)
            hasher.add(fmt::format("masked {} {} {} {} {};", m.masking->rules().share, m.masking->rules().random, m.masking->rules().kept, m.maskSeed,
                                   m.affixes.size()));
        hasher.add(m.tokens.data_ptr(), m.tokens.nbytes());
        hasher.add(m.starts.data(), m.starts.size() * sizeof(std::int64_t));
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            hasher.add(fmt::format(";{}", fmt::join(split(part), " ")));
        return hasher.hex();
    }

private:
    template <class Token>
    void fillRow(const Token* tokens, std::int64_t sample, TokenView row) const
    {
        const Token* const from = tokens + m.starts[std::size_t(sample)];
        std::int64_t* to = std::copy(m.affixes.before.begin(), m.affixes.before.end(), row.inputs);
        to = std::copy(from, from + m.block - m.affixes.size(), to);
        std::copy(m.affixes.after.begin(), m.affixes.after.end(), to);
        if (!m.masking) {
            std::copy(from + 1, from + 1 + m.block, row.targets);
            return;
        }
        core::SplitMix64 random(core::deriveSeed(m.maskSeed, std::uint64_t(sample), "data/mask"));
        m.masking->applyToTokens(row, random);
    }

    const Parts m;
};

at::Tensor tokensOf(const Vocabulary& vocabulary, std::string_view text)
{
    // The mask is no byte; a text that spells it out is rare, but it is one token then.
    const bool bytes = !vocabulary.tokenizer() && vocabulary.toJson().at("kind") == "bytes";
    if (bytes && (!vocabulary.mask() || text.find("[MASK]") == text.npos)) {
        at::Tensor out = at::empty({std::int64_t(text.size())}, at::kByte);
        std::copy(text.begin(), text.end(), out.data_ptr<std::uint8_t>());
        return out;
    }
    return at::tensor(vocabulary.encode(text), at::kLong).to(at::kInt);
}

/// The text is cut by position: training part first, then validation, then test. No block reaches from one part into another.
struct Blocks {
    std::vector<std::int64_t> starts;
    SplitLists splits;
};

Blocks cutBlocks(std::int64_t length, const SplitOptions& options, std::int64_t block, std::int64_t stride, const std::string& name)
{
    if (options.test + options.val >= 1)
        throw core::InputError(fmt::format("data.split: expected test + val below 1, got {} + {}", options.test, options.val));
    const std::int64_t testLength = std::llround(double(length) * options.test), valLength = std::llround(double(length) * options.val);
    const std::int64_t bounds[] = {0, length - testLength - valLength, length - testLength, length};
    Blocks out;
    std::vector<std::int64_t>* const lists[] = {&out.splits.train, &out.splits.val, &out.splits.test};
    for (int part = 0; part < 3; ++part) {
        const std::int64_t begin = bounds[part], end = bounds[part + 1];
        if (begin == end && part > 0)
            continue;
        if (end - begin < block + 1)
            throw core::InputError(fmt::format("{}: expected at least block_length + 1 = {} tokens in the {} part, got {}", name, block + 1,
                                               splitName(Split(part)), end - begin));
        for (std::int64_t start = begin; start + block + 1 <= end; start += stride) {
            lists[part]->push_back(std::int64_t(out.starts.size()));
            out.starts.push_back(start);
        }
    }
    return out;
}

core::Schema textSchema(core::Schema own)
{
    own.add(core::choice("vocabulary", {"bytes", "characters"}, "bytes", "Tokens: the 256 bytes, or the distinct characters of the text (UTF-8)."));
    own.add(core::text("tokenizer", "",
                       "Tokens: the pieces of a tokenizer (tokenizer.json, or a folder with one) in place of `vocabulary`; empty: none."));
    own.add(core::integer("block_length", 128, "Tokens in a sample.").atLeast(1));
    own.add(core::integer("stride", 1, "Distance between the starts of samples; none: block_length, so that they do not overlap.").atLeast(1).noneByDefault());
    own.add(core::group("split",
                        {core::real("test", 0.05, "Fraction of the text, at its end, kept for testing.").range(0, 0.95),
                         core::real("val", 0.05, "Fraction of the text, before the test part, for validation.").range(0, 0.95),
                         core::integer("seed", 0, "Seed of the choice that `limit` and `fraction` make.").atLeast(0)},
                        "The text is cut by position: training, validation, test."));
    addLimits(own);
    addMaskingParameters(own);
    return own;
}

Vocabulary vocabularyOf(const Json& parameters, const std::filesystem::path& base, std::string_view text, const std::string& name)
{
    if (const auto tokenizer = parameters.at("tokenizer").get<std::string>(); !tokenizer.empty())
        return Vocabulary::ofTokenizer(text::openTokenizer(core::resolvePath(tokenizer, base)));
    const Vocabulary plain = parameters.at("vocabulary") == "bytes" ? Vocabulary::bytes() : Vocabulary::charactersOf(text, name);
    return parameters.at("objective").is_null() ? plain : plain.withMask();
}

DataSetPtr makeTokenSet(DataInfo info, std::string_view text, const std::string& name, const Json& parameters, const std::filesystem::path& base)
{
    if (text.empty())
        throw core::FormatError(fmt::format("{}: expected a text, got an empty file", name));
    TokenDataSet::Parts parts;
    parts.vocabulary = vocabularyOf(parameters, base, text, name);
    parts.masking = maskingOf(parameters, parts.vocabulary);
    if (parts.masking) {
        parts.affixes = affixesOf(parts.vocabulary);
        parts.maskSeed = parameters.at("mask_seed").get<std::uint64_t>();
    }
    parts.tokens = tokensOf(parts.vocabulary, text);
    parts.block = parameters.at("block_length").get<std::int64_t>();
    const std::int64_t content = parts.block - parts.affixes.size();
    if (content < 1)
        throw core::InputError(fmt::format("data.block_length: expected more than the {} special tokens around a text, got {}", parts.affixes.size(), parts.block));
    const Json& split = parameters.at("split");
    const SplitOptions options{split.at("test").get<double>(), split.at("val").get<double>(), split.at("seed").get<std::uint64_t>(), false};
    const std::int64_t stride = parameters.at("stride").is_null() ? content : parameters.at("stride").get<std::int64_t>();
    Blocks blocks = cutBlocks(parts.tokens.numel(), options, content, stride, name);
    applyLimit(blocks.splits, parameters);
    info.kind = DataKind::Tokens;
    info.task = Task::NextToken;
    info.vocabularySize = parts.vocabulary.size();
    describe(info, {parts.block});
    std::vector<std::shared_ptr<const Augmentation>> augmentations;
    if (parts.masking) {
        describeMaskedTarget(info);
        augmentations.push_back(parts.masking);
    }
    parts.starts = std::move(blocks.starts);
    auto set = std::make_shared<TokenDataSet>(std::move(parts));
    DataBuilder::setUp(*set, std::move(info), std::move(blocks.splits), std::move(augmentations));
    return set;
}

/// Every line begins with its reference ("Ge1:1 "): everything up to the first blank goes.
std::string withoutReferences(std::string_view text)
{
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        const std::size_t blank = line.find(' ');
        out.append(blank == std::string_view::npos ? line : line.substr(blank + 1));
        if (end < text.size())
            out += '\n';
        at = end + 1;
    }
    return out;
}

constexpr const char* kKjvSource = "King James Bible (1611), as printed by Debian's bible-kjv 4.38; out of copyright";

DataSetPtr openKjv(const Json& parameters, const std::filesystem::path& base)
{
    constexpr const char* kFile = "kjv.txt.gz";
    const std::string text = core::inflateIfGzip(core::readFile(core::resolvePath(std::string("resource:") + kFile)), kFile);
    DataInfo info;
    info.id = "kjv";
    info.title = "King James Bible";
    info.source = kKjvSource;
    return makeTokenSet(std::move(info), parameters.at("references").get<bool>() ? text : withoutReferences(text), kFile, parameters, base);
}

DataSetPtr openTextFile(const Json& parameters, const std::filesystem::path& base)
{
    const std::filesystem::path file = core::resolvePath(parameters.at("path").get<std::string>(), base);
    DataInfo info;
    info.id = "text_file";
    info.title = file.filename().string();
    return makeTokenSet(std::move(info), readDataFile("text_file", file), file.filename().string(), parameters, base);
}

const std::vector<core::Port>& tokenPorts()
{
    static const std::vector<core::Port> ports{{"tokens", "token_id", {"batch", "position"}}};
    return ports;
}

}  // namespace

void addKjv(DataRegistry& registry)
{
    registry.add({"kjv",
                  "King James Bible",
                  "31,102 verses of English prose, 4.0 MB without the verse references; the next token is the target, or hidden ones are.",
                  kKjvSource,
                  textSchema({core::boolean("references", false, "Keep the reference (\"Ge1:1 \") at the start of each line.")}),
                  {},
                  tokenPorts()},
                 openKjv);
}

void addTextFile(DataRegistry& registry)
{
    registry.add({"text_file",
                  "Text file",
                  "Blocks of a text file; the next token is the target, or hidden ones are.",
                  "",
                  textSchema({core::required(core::text("path", "", "The file; gzip is understood."))}),
                  {},
                  tokenPorts()},
                 openTextFile);
}

}  // namespace orrery::data
