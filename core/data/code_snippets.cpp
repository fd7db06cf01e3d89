// Small functions in which a variable stands where another one belongs: what a reader of code notices.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/hash.h>
#include <core/base/rng.h>
#include <core/text/tokenizer_files.h>
#include <core/text/training.h>

#include "masking.h"
#include "sets.h"
#include "vocabulary.h"

namespace orrery::data {
namespace {

using core::Json;

/// `$0` is where variable 0 gets its value, `?0` where it is used, `@` the function's name, `~` an operator. In each of them one variable alone fits each use.
constexpr std::array<std::string_view, 6> kSnippetForms{
    "def @($0, $1):\n    $2 = ?0 ~ ?1\n    return ?2\n",
    "def @($0, $1):\n    if ?0 > ?1:\n        return ?0\n    return ?1\n",
    "def @($0):\n    $1 = 0\n    for $2 in ?0:\n        ?1 += ?2\n    return ?1\n",
    "def @($0):\n    $1 = []\n    for $2 in ?0:\n        ?1.append(?2)\n    return ?1\n",
    "def @($0, $1):\n    while ?0 < ?1:\n        ?0 += 1\n    return ?0\n",
    "def @($0):\n    with open(?0) as $1:\n        $2 = ?1.read()\n    return ?2\n",
};
constexpr std::array<std::string_view, 16> kVariableNames{"count", "total", "items", "value", "index", "path",  "data", "result",
                                                          "left",  "right", "name",  "size",  "start", "limit", "key",  "entry"};
constexpr std::array<std::string_view, 8> kFunctionNames{"compute", "update", "collect", "load", "merge", "find", "scale", "check"};
constexpr std::string_view kOperators = "+-*";

constexpr const char* kPaddingPiece = "<pad>";
constexpr std::int64_t kCorpusSnippets = 600;
constexpr std::size_t kCorpusVocabulary = 360;

std::vector<std::string_view> distinctNames(std::size_t count, std::size_t names, core::SplitMix64& random)
{
    std::vector<std::string_view> out;
    while (out.size() < count)
        if (const auto name = kVariableNames[std::size_t(random.below(names))]; std::find(out.begin(), out.end(), name) == out.end())
            out.push_back(name);
    return out;
}

/// One function. With a misuse one use has another variable of the same function.
std::string snippetOf(std::uint64_t seed, bool misuse, std::size_t variableNames = kVariableNames.size())
{
    core::SplitMix64 random(seed);
    const std::string_view form = kSnippetForms[std::size_t(random.below(kSnippetForms.size()))];
    const auto slots = std::size_t(*std::max_element(form.begin(), form.end(),
                                                     [](char a, char b) { return (a >= '0' && a <= '9' ? a : 0) < (b >= '0' && b <= '9' ? b : 0); }) -
                                   '0') +
                       1;
    const auto names = distinctNames(slots, variableNames, random);
    const auto uses = std::count(form.begin(), form.end(), '?');
    const auto wrong = misuse ? std::int64_t(random.below(std::uint64_t(uses))) : -1;
    const auto shift = 1 + std::size_t(random.below(slots - 1));
    std::string out;
    std::int64_t use = 0;
    for (std::size_t i = 0; i < form.size(); ++i)
        switch (form[i]) {
        case '@': out += kFunctionNames[std::size_t(random.below(kFunctionNames.size()))]; break;
        case '~': out += kOperators[std::size_t(random.below(kOperators.size()))]; break;
        case '$': out += names[std::size_t(form[++i] - '0')]; break;
        case '?': out += names[(std::size_t(form[++i] - '0') + (use++ == wrong ? shift : 0)) % slots]; break;
        default: out += form[i];
        }
    return out;
}

/// Byte-level pieces learned from snippets that depend on nothing: every set of them reads alike, and any text comes back.
Vocabulary snippetVocabulary()
{
    static const auto tokenizer = [] {
        std::string corpus;
        for (std::int64_t i = 0; i < kCorpusSnippets; ++i)
            corpus += snippetOf(core::deriveSeed(0, std::uint64_t(i), "variable_misuse/corpus"), false);
        text::MergeTraining training;
        training.vocabulary = kCorpusVocabulary;
        training.special = {kPaddingPiece, "<mask>"};
        return text::trainTokenizer(text::TrainedKind::BytePairs, corpus, training);
    }();
    return Vocabulary::ofTokenizer(tokenizer);
}

class SnippetSet : public DataSet {
public:
    SnippetSet(at::Tensor tokens, at::Tensor classes, Vocabulary vocabulary, std::shared_ptr<const TokenMasking> masking, std::uint64_t maskSeed)
        : m_tokens(std::move(tokens)), m_classes(std::move(classes)), m_vocabulary(std::move(vocabulary)), m_masking(std::move(masking)),
          m_maskSeed(maskSeed)
    {
    }
    std::int64_t size() const override { return m_tokens.size(0); }
    const Vocabulary* vocabulary() const override { return &m_vocabulary; }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        const at::Tensor which = at::tensor(at::IntArrayRef(indices.data(), indices.size()), at::kLong);
        Batch batch;
        batch.inputs.push_back(m_tokens.index_select(0, which));
        if (!m_masking) {
            batch.targets = m_classes.index_select(0, which);
            return batch;
        }
        const std::int64_t block = m_tokens.size(1);
        batch.targets = at::full({std::int64_t(indices.size()), block}, kIgnoredTarget, at::kLong);
        for (std::size_t i = 0; i < indices.size(); ++i) {
            core::SplitMix64 random(core::deriveSeed(m_maskSeed, std::uint64_t(indices[i]), "data/mask"));
            const std::int64_t at = std::int64_t(i) * block;
            m_masking->applyToTokens({batch.inputs[0].data_ptr<std::int64_t>() + at, batch.targets.data_ptr<std::int64_t>() + at, block}, random);
        }
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        hasher.add("variable_misuse " + m_vocabulary.toJson().dump());
        if (m_masking)
            hasher.add(fmt::format("masked {} {} {} {}", m_masking->rules().share, m_masking->rules().random, m_masking->rules().kept, m_maskSeed));
        for (const at::Tensor& tensor : {m_tokens, m_classes})
            hasher.add(tensor.data_ptr(), tensor.nbytes());
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            hasher.add(fmt::format(";{}", fmt::join(split(part), " ")));
        return hasher.hex();
    }

private:
    at::Tensor m_tokens;   ///< [sample, position] int64
    at::Tensor m_classes;  ///< [sample] int64
    Vocabulary m_vocabulary;
    std::shared_ptr<const TokenMasking> m_masking;  ///< null: the class is the target
    std::uint64_t m_maskSeed;
};

std::int64_t paddingIdOf(const text::Tokenizer& tokenizer)
{
    for (const char* name : {kPaddingPiece, "[PAD]"})
        if (const auto id = tokenizer.idOf(name))
            return *id;
    throw core::InputError("data.tokenizer: expected a tokenizer with padding ([PAD] or <pad>), got one without");
}

at::Tensor snippetTokens(const text::Tokenizer& tokenizer, const at::Tensor& classes, const Json& parameters)
{
    const auto seed = parameters.at("seed").get<std::uint64_t>();
    const auto block = parameters.at("block_length").get<std::int64_t>();
    const auto names = parameters.at("names").get<std::size_t>();
    at::Tensor out = at::full({classes.size(0), block}, paddingIdOf(tokenizer), at::kLong);
    for (std::int64_t i = 0; i < classes.size(0); ++i) {
        const bool misuse = classes.data_ptr<std::int64_t>()[i] == 1;
        const auto ids = tokenizer.ids(snippetOf(core::deriveSeed(seed, std::uint64_t(i), "variable_misuse"), misuse, names), true);
        if (std::int64_t(ids.size()) > block)
            throw core::InputError(
                fmt::format("data.block_length: expected room for every snippet, got {}; snippet {} has {} tokens", block, i, ids.size()));
        std::copy(ids.begin(), ids.end(), out.data_ptr<std::int64_t>() + i * block);
    }
    return out;
}

DataSetPtr openVariableMisuse(const Json& parameters, const std::filesystem::path& base)
{
    const auto named = parameters.at("tokenizer").get<std::string>();
    const Vocabulary vocabulary = named.empty() ? snippetVocabulary() : Vocabulary::ofTokenizer(text::openTokenizer(core::resolvePath(named, base)));
    const auto masking = maskingOf(parameters, vocabulary);
    const auto samples = parameters.at("samples").get<std::int64_t>(), block = parameters.at("block_length").get<std::int64_t>();
    // What fills masks learns from functions as they should be.
    const at::Tensor classes = masking ? at::zeros({samples}, at::kLong) : at::arange(samples, at::kLong).remainder(2);
    at::Tensor tokens = snippetTokens(*vocabulary.tokenizer(), classes, parameters);
    SplitLists splits =
        randomSplit(samples, SplitOptions::fromJson(parameters.at("split")), {classes.data_ptr<std::int64_t>(), std::size_t(samples)});
    applyLimit(splits, parameters);
    DataInfo info;
    info.id = "variable_misuse";
    info.title = "Variable misuse";
    info.kind = DataKind::Tokens;
    info.task = masking ? Task::NextToken : Task::Classification;
    info.classNames = masking ? std::vector<std::string>{} : std::vector<std::string>{"right", "misuse"};
    info.vocabularySize = vocabulary.size();
    describe(info, {block});
    std::vector<std::shared_ptr<const Augmentation>> augmentations;
    if (masking) {
        describeMaskedTarget(info);
        augmentations.push_back(masking);
    }
    const auto maskSeed = masking ? parameters.at("mask_seed").get<std::uint64_t>() : 0;
    auto set = std::make_shared<SnippetSet>(std::move(tokens), classes, vocabulary, masking, maskSeed);
    DataBuilder::setUp(*set, std::move(info), std::move(splits), std::move(augmentations));
    return set;
}

core::Schema misuseSchema()
{
    core::Schema schema{
        core::integer("samples", 4000, "Number of functions; half of them are right.").range(10, 200'000),
        core::integer("seed", 0, "Seed of the functions.").atLeast(0),
        core::integer("names", 6, "Different names of variables: the more, the less can be learned by heart.")
            .range(3, std::int64_t(kVariableNames.size())),
        core::text("tokenizer", "",
                   "Tokens: the pieces of this tokenizer (tokenizer.json, or a folder with one); empty: pieces learned from such functions."),
        core::integer("block_length", 48, "Tokens in a sample; shorter functions are filled up.").range(4, 4096),
        splitParameter({0.2, 0.1, 0, true})};
    addLimits(schema);
    addMaskingParameters(schema);
    return schema;
}

}  // namespace

void addVariableMisuse(DataRegistry& registry)
{
    registry.add(
        {"variable_misuse",
         "Variable misuse",
         "Small Python functions; in half of them one use of a variable has another variable of the function. With masks: right functions alone.",
         "Task: Kanade et al. (2020), \"Learning and Evaluating Contextual Embedding of Source Code\", arXiv:2001.00059, section 3.2; functions made "
         "up here",
         misuseSchema(),
         {},
         {{"tokens", "token_id", {"batch", "position"}}}},
        openVariableMisuse);
}

}  // namespace orrery::data
