// Texts with hidden tokens: how many, which, when they change, and what is refused.
#include <QTemporaryDir>
#include <QTest>

#include <ATen/ATen.h>
#include <cmath>
#include <map>
#include <set>

#include <core/base/files.h>
#include <core/data/loader.h>
#include <core/data/masking.h>
#include <core/data/vocabulary.h>
#include <core/text/card_tokenizer.h>
#include <core/text/training.h>

#include "../io/support.h"

using namespace orrery;
using namespace orrery::data;
using core::Json;

namespace {

constexpr std::int64_t kByteMask = 256;

Json masked(const Json& more = Json::object())
{
    Json document{{"id", "kjv"}, {"block_length", 100}, {"limit", 3000}, {"objective", "masked"}};
    document.update(more);
    return document;
}

LoaderOptions loaderOptions(std::uint64_t seed = 7)
{
    LoaderOptions out;
    out.batchSize = 64;
    out.seed = seed;
    return out;
}

/// An epoch of training in the order of the sample numbers: inputs and targets, [sample, position].
std::pair<at::Tensor, at::Tensor> epochInOrder(Loader& loader)
{
    std::map<std::int64_t, std::pair<at::Tensor, at::Tensor>> rows;
    while (const auto batch = loader.next())
        for (std::int64_t i = 0; i < batch->size(); ++i)
            rows[batch->indices[std::size_t(i)]] = {batch->inputs[0][i].clone(), batch->targets[i].clone()};
    std::vector<at::Tensor> inputs, targets;
    for (const auto& [sample, row] : rows) {
        inputs.push_back(row.first);
        targets.push_back(row.second);
    }
    return {at::stack(inputs), at::stack(targets)};
}

double shareOf(const at::Tensor& flags)
{
    return flags.to(at::kDouble).mean().item<double>();
}

/// Four standard errors of a share found in n draws: what chance exceeds once in 16,000.
double fourErrors(double share, double n)
{
    return 4 * std::sqrt(share * (1 - share) / n);
}

}  // namespace

class MaskedTextTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void fifteenPercentAreHiddenAsBertHidesThem()
    {
        const DataSetPtr set = openData(masked());
        const Json plainDocument{{"id", "kjv"}, {"block_length", 100}, {"limit", 3000}};
        const DataSetPtr plain = openData(plainDocument);
        const auto& train = set->split(Split::Train);
        const at::Tensor original = plain->fetch(train).inputs[0];
        Loader loader(set, Split::Train, loaderOptions());
        const auto [inputs, targets] = epochInOrder(loader);
        QCOMPARE(inputs.sizes(), original.sizes());
        const at::Tensor chosen = targets.ne(kIgnoredTarget);
        const double tokens = double(chosen.numel());
        QVERIFY2(std::abs(shareOf(chosen) - 0.15) < fourErrors(0.15, tokens), qPrintable(QString::number(shareOf(chosen))));
        // The targets are what stands in the text, and all else is as it was.
        QVERIFY(at::equal(targets.masked_select(chosen), original.masked_select(chosen)));
        QVERIFY(at::equal(inputs.masked_select(chosen.logical_not()), original.masked_select(chosen.logical_not())));
        // Of the chosen 80 % are the mask; a token drawn at random is the right one once in 256.
        const at::Tensor shown = inputs.masked_select(chosen), truth = original.masked_select(chosen);
        const double n = double(shown.numel()), same = 0.1 + 0.1 / 256;
        QVERIFY(std::abs(shareOf(shown.eq(kByteMask)) - 0.8) < fourErrors(0.8, n));
        QVERIFY(std::abs(shareOf(shown.eq(truth)) - same) < fourErrors(same, n));
        // Those drawn at random come from the whole vocabulary: most bytes never occur in this text.
        const at::Tensor drawn = shown.masked_select(shown.ne(kByteMask).logical_and(shown.ne(truth)));
        std::set<std::int64_t> distinct(drawn.data_ptr<std::int64_t>(), drawn.data_ptr<std::int64_t>() + drawn.numel());
        QCOMPARE(distinct.size(), std::size_t(256));
        // Each place is chosen as often as any other.
        const at::Tensor byPlace = chosen.to(at::kDouble).mean(0);
        QVERIFY((byPlace - 0.15).abs().max().item<double>() < fourErrors(0.15, double(chosen.size(0))) * 1.2);
    }

    void eachEpochHidesOthers()
    {
        const DataSetPtr set = openData(masked());
        Loader loader(set, Split::Train, loaderOptions()), again(set, Split::Train, loaderOptions()), other(set, Split::Train, loaderOptions(8));
        const auto first = epochInOrder(loader), second = epochInOrder(loader);
        const at::Tensor one = first.second.ne(kIgnoredTarget), two = second.second.ne(kIgnoredTarget);
        // Independent choices meet in 0.15 * 0.15 of the places.
        const double both = shareOf(one.logical_and(two));
        QVERIFY2(std::abs(both - 0.0225) < fourErrors(0.0225, double(one.numel())), qPrintable(QString::number(both)));
        // The same seed gives the same masks, another one others.
        const auto firstAgain = epochInOrder(again);
        QVERIFY(at::equal(first.first, firstAgain.first) && at::equal(first.second, firstAgain.second));
        QVERIFY(!at::equal(first.second, epochInOrder(other).second));
    }

    void aLoaderGoesOnWithTheSameMasks()
    {
        const DataSetPtr set = openData(masked({{"limit", 300}}));
        auto options = loaderOptions();
        options.batchSize = 50;
        for (const int threads : {0, 3}) {
            options.threads = threads;
            Loader whole(set, Split::Train, options), part(set, Split::Train, options);
            for (int i = 0; i < 9; ++i)  // into the second epoch
                whole.next();
            part.restore(whole.state());
            for (int i = 0; i < 4; ++i) {
                const auto a = whole.next(), b = part.next();
                QCOMPARE(a.has_value(), b.has_value());
                QVERIFY(!a || (at::equal(a->inputs[0], b->inputs[0]) && at::equal(a->targets, b->targets)));
            }
        }
    }

    void evaluationAlwaysSeesTheSameMasks()
    {
        const DataSetPtr set = openData(masked({{"limit", 300}})), again = openData(masked({{"limit", 300}})),
                         other = openData(masked({{"limit", 300}, {"mask_seed", 1}}));
        const auto& test = set->split(Split::Test);
        const Batch a = set->fetch(test), b = again->fetch(test), c = other->fetch(test);
        QVERIFY(at::equal(a.inputs[0], b.inputs[0]) && at::equal(a.targets, b.targets));
        QVERIFY(!at::equal(a.targets, c.targets));
        QVERIFY(set->contentHash() == again->contentHash() && set->contentHash() != other->contentHash());
        // One sample alone has the masks that it has among others.
        QVERIFY(at::equal(set->fetch({&test[3], 1}).inputs[0][0], a.inputs[0][3]));
        auto options = loaderOptions();
        options.batchSize = 5;
        options.augment = false;
        options.order = Order::Sequential;
        Loader loader(set, test, options);
        QVERIFY(at::equal(loader.next()->inputs[0], a.inputs[0].slice(0, 0, 5)));
    }

    void aTextWithoutMasksIsWhatItWas()
    {
        // Runs of earlier versions are resumed: their data must be the same, bit for bit.
        const DataSetPtr set = openData({{"id", "kjv"}, {"block_length", 16}, {"limit", 40}});
        QVERIFY(set->augmentations().empty());
        QCOMPARE(set->info().target.name, "next_token");
        QCOMPARE(set->info().vocabularySize, std::int64_t(256));
        const Batch batch = set->fetch(set->split(Split::Train));
        QVERIFY(at::equal(batch.inputs[0].slice(1, 1), batch.targets.slice(1, 0, 15)));
    }

    void specialTokensAreNeitherHiddenNorPutIn()
    {
        const QTemporaryDir folder;
        const auto file = std::filesystem::path(folder.path().toStdString()) / "text.txt", vocabulary = file.parent_path() / "tokenizer.json";
        std::string text;
        for (int i = 0; i < 400; ++i)
            text += "the light was good and the darkness he called night " + std::to_string(i) + "\n";
        core::writeFileAtomically(file, text);
        text::MergeTraining training;
        training.vocabulary = 120;
        core::writeFileAtomically(vocabulary,
                                  text::trainTokenizer(text::TrainedKind::WordPiece, text, training)->toJson()["json"].get<std::string>());
        const Json document{
            {"id", "text_file"}, {"path", file.string()}, {"tokenizer", vocabulary.string()}, {"objective", "masked"}, {"block_length", 12}};
        const DataSetPtr set = openData(document);
        const auto* tokenizer = set->vocabulary()->tokenizer();
        const std::int64_t begin = tokenizer->idOf("[CLS]").value(), end = tokenizer->idOf("[SEP]").value(), mask = tokenizer->idOf("[MASK]").value();
        Loader loader(set, Split::Train, loaderOptions());
        const auto [inputs, targets] = epochInOrder(loader);
        QCOMPARE(inputs.size(1), std::int64_t(12));
        QVERIFY(inputs.select(1, 0).eq(begin).all().item<bool>() && inputs.select(1, 11).eq(end).all().item<bool>());
        const at::Tensor inner = inputs.slice(1, 1, 11);
        QVERIFY(targets.select(1, 0).eq(kIgnoredTarget).all().item<bool>() && targets.select(1, 11).eq(kIgnoredTarget).all().item<bool>());
        QVERIFY(inner.eq(mask).any().item<bool>());
        for (const char* special : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"})
            QVERIFY2(!inner.eq(tokenizer->idOf(special).value()).any().item<bool>(), special);
        // Where the masks are taken back, the blocks are the text's own tokens, one after the other.
        const at::Tensor whole = at::where(targets.ne(kIgnoredTarget), targets, inputs).slice(1, 1, 11).reshape({-1});
        const auto ids = tokenizer->ids(text);
        QVERIFY(std::equal(whole.data_ptr<std::int64_t>(), whole.data_ptr<std::int64_t>() + whole.numel(), ids.begin()));
    }

    void aMaskInATextIsOneToken()
    {
        for (const Vocabulary& plain : {Vocabulary::bytes(), Vocabulary::charactersOf("abc", "text")}) {
            const Vocabulary vocabulary = plain.withMask();
            QCOMPARE(vocabulary.size(), plain.size() + 1);
            const auto tokens = vocabulary.encode("a[MASK]b[MASK]");
            QCOMPARE(tokens.size(), std::size_t(4));
            QCOMPARE(tokens[1], plain.size());
            QCOMPARE(tokens[3], vocabulary.mask().value());
            QCOMPARE(vocabulary.decode(tokens), "a[MASK]b[MASK]");
            QVERIFY(Vocabulary::fromJson(vocabulary.toJson()).encode("a[MASK]b[MASK]") == tokens);
            QVERIFY(!plain.mask() && plain.special().empty());
            const auto tokenizer = text::tokenizerFromCard(vocabulary.toJson());
            QVERIFY(tokenizer->idOf("[MASK]") == vocabulary.mask() && tokenizer->isSpecial(tokens[1]) && !tokenizer->isSpecial(tokens[0]));
            QCOMPARE(tokenizer->decode(tokens, true), "ab");
            const auto encoding = tokenizer->encode("a[MASK]b");
            QVERIFY(encoding.ids == vocabulary.encode("a[MASK]b") && encoding.offsets[2].begin == 7 && encoding.special[1] == 1);
        }
    }

    void shortTextsHideAtLeastOneToken()
    {
        const TokenMasking masking({0.15, 0, 0, 9, {9}, 10});
        for (std::uint64_t seed = 0; seed < 200; ++seed) {
            std::int64_t inputs[] = {3, 4}, targets[] = {kIgnoredTarget, kIgnoredTarget};
            core::SplitMix64 random(seed);
            masking.applyToTokens({inputs, targets, 2}, random);
            QCOMPARE((inputs[0] == 9) + (inputs[1] == 9), 1);
            QVERIFY((targets[0] == 3 && targets[1] == kIgnoredTarget) || (targets[0] == kIgnoredTarget && targets[1] == 4));
        }
        std::int64_t inputs[] = {9, 9}, targets[] = {kIgnoredTarget, kIgnoredTarget};
        core::SplitMix64 random(0);
        masking.applyToTokens({inputs, targets, 2}, random);  // nothing that could be hidden
        QVERIFY(targets[0] == kIgnoredTarget && targets[1] == kIgnoredTarget);
    }

    void whatCannotBeMaskedIsRefused()
    {
        using io::messageOf;
        QVERIFY(messageOf<core::InputError>([] {
                    openData(masked({{"mask_random", 0.7}, {"mask_kept", 0.5}}));
                }).contains("at most 1, got 0.7 + 0.5"));
        QVERIFY(messageOf<core::InputError>([] { openData(masked({{"mask_share", 0}})); }).contains("data.mask_share"));
        QVERIFY(messageOf<core::InputError>([] { openData(masked({{"objective", "hidden"}})); }).contains("data.objective"));
        const QTemporaryDir folder;
        const auto tokenizer = std::filesystem::path(folder.path().toStdString()) / "tokenizer.json";
        text::MergeTraining training;
        training.vocabulary = 300;
        const auto write = [&] {
            core::writeFileAtomically(
                tokenizer, text::trainTokenizer(text::TrainedKind::BytePairs, "in the beginning", training)->toJson()["json"].get<std::string>());
        };
        write();
        const auto message = messageOf<core::InputError>([&] { openData(masked({{"tokenizer", tokenizer.string()}})); });
        QVERIFY2(message.contains("tokenizer with a mask") && message.contains("--special"), qPrintable(message));
        training.special = {"<mask>"};
        write();
        QVERIFY(predictsMaskedTokens(openData(masked({{"tokenizer", tokenizer.string()}, {"block_length", 20}}))->info()));
    }

    void aFractionLeavesTheHeldOutPartsWhole()
    {
        for (const Json& document : {Json{{"id", "digits"}, {"standardize", false}}, Json{{"id", "kjv"}, {"block_length", 1000}},
                                     Json{{"id", "string_reversal"}, {"samples", 900}}, Json{{"id", "repeated_sequences"}, {"samples", 900}}}) {
            const auto with = [&](double fraction) {
                Json changed = document;
                if (fraction < 1)
                    changed["fraction"] = fraction;
                return openData(changed);
            };
            const auto whole = with(1), half = with(0.5), tenth = with(0.1), least = with(1e-9);
            const auto& all = whole->split(Split::Train);
            for (const auto& part : {half, tenth, least}) {
                QVERIFY(part->split(Split::Test) == whole->split(Split::Test) && part->split(Split::Val) == whole->split(Split::Val));
                QVERIFY(at::equal(part->fetch(part->split(Split::Test)).inputs[0], whole->fetch(whole->split(Split::Test)).inputs[0]));
                QVERIFY(part->contentHash() != whole->contentHash());
            }
            QCOMPARE(half->split(Split::Train).size(), std::size_t(std::llround(0.5 * double(all.size()))));
            QCOMPARE(tenth->split(Split::Train).size(), std::size_t(std::llround(0.1 * double(all.size()))));
            QCOMPARE(least->split(Split::Train).size(), std::size_t(1));
            const auto contains = [](const std::vector<std::int64_t>& large, const std::vector<std::int64_t>& small) {
                return std::includes(large.begin(), large.end(), small.begin(), small.end());
            };
            QVERIFY(contains(all, half->split(Split::Train)) && contains(half->split(Split::Train), tenth->split(Split::Train)));
        }
        QVERIFY(io::messageOf<core::InputError>([] { openData({{"id", "iris"}, {"fraction", 1.5}}); }).contains("data.fraction"));
    }

    void aFractionIsStandardisedByItselfAlone()
    {
        const DataSetPtr set = openData({{"id", "iris"}, {"fraction", 0.3}});
        const at::Tensor train = set->fetch(set->split(Split::Train)).inputs[0];
        QVERIFY(train.mean(0).abs().max().item<double>() < 1e-5);
    }
};

QTEST_APPLESS_MAIN(MaskedTextTest)
#include "masked_text_test.moc"
