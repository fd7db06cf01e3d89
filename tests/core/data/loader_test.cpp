#include <core/data/augmentation.h>
#include <core/data/loader.h>
#include <core/data/splits.h>

#include <ATen/ATen.h>
#include <atomic>
#include <numeric>
#include <thread>

#include "../io/support.h"

using namespace orrery;
using namespace orrery::data;
using core::Json;
using io::messageOf;

namespace {

Json augmented()
{
    return {{"id", "digits"},
            {"limit", 200},
            {"augment", {{{"id", "shift"}, {"pixels", 2}}, "flip", {{"id", "crop"}}, {{"id", "rotate"}, {"degrees", 20}}}}};
}

std::vector<Batch> take(Loader& loader, int batches)
{
    std::vector<Batch> out;
    while (int(out.size()) < batches)
        if (std::optional<Batch> batch = loader.next())
            out.push_back(std::move(*batch));
    return out;
}

bool equal(const std::vector<Batch>& a, const std::vector<Batch>& b)
{
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i].indices != b[i].indices || !at::equal(a[i].inputs[0], b[i].inputs[0]) || !at::equal(a[i].targets, b[i].targets))
            return false;
    return true;
}

LoaderOptions options(int threads, std::uint64_t seed = 7)
{
    LoaderOptions out;
    out.batchSize = 16;
    out.threads = threads;
    out.seed = seed;
    return out;
}

/// Fails for one sample, as a broken file would.
class FailingSet : public DataSet {
public:
    std::int64_t size() const override { return 10; }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        for (const std::int64_t index : indices)
            if (index == 5)
                throw core::FormatError("sample 5 is broken");
        Batch batch;
        batch.inputs.push_back(at::zeros({std::int64_t(indices.size()), 1}));
        return batch;
    }
    std::string computeHash() const override { return {}; }
};

}  // namespace

class LoaderTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void batchesNeverExceedTheTokenCap_data()
    {
        QTest::addColumn<int>("cap");
        QTest::addColumn<int>("rows");
        QTest::newRow("small") << 11 << 1000;
        QTest::newRow("middle") << 64 << 1000;
        QTest::newRow("rows cap first") << 5000 << 16;
    }
    void batchesNeverExceedTheTokenCap()
    {
        QFETCH(int, cap);
        QFETCH(int, rows);
        const DataSetPtr data = openData({{"id", "string_reversal"}, {"samples", 500}});
        auto wanted = options(0);
        wanted.batchSize = rows;
        wanted.maxTokens = cap;
        Loader loader(data, Split::Train, wanted);
        const auto& train = data->split(Split::Train);
        QCOMPARE(loader.batchesPerEpoch(), batchesPerEpoch(*data, train, wanted));
        std::vector<std::vector<std::int64_t>> orders;
        for (int epoch = 0; epoch < 3; ++epoch) {
            std::vector<std::int64_t> seen;
            for (std::int64_t i = 0; i < loader.batchesPerEpoch(); ++i) {
                const auto batch = loader.next().value();
                QVERIFY(batch.size() <= rows);
                for (const auto& input : batch.inputs)
                    QVERIFY2(input.numel() <= cap, qPrintable(QString::number(input.numel())));
                seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
            }
            QVERIFY(!loader.next());
            QVERIFY(loader.epochOrder(epoch) == seen);
            orders.push_back(seen);
            std::sort(seen.begin(), seen.end());
            QVERIFY(seen == train);  // every sample once
        }
        QVERIFY(orders[0] != orders[1]);
    }

    void aSampleAboveTheTokenCapIsNamed()
    {
        const DataSetPtr data = openData({{"id", "string_reversal"}, {"samples", 500}});
        auto wanted = options(0);
        wanted.maxTokens = 8;
        QVERIFY(messageOf([&] { Loader(data, Split::Train, wanted); }).contains("at most 8 tokens (max_tokens)"));
    }

    void aTokenCappedLoaderGoesOnWhereItStood()
    {
        const DataSetPtr data = openData({{"id", "string_reversal"}, {"samples", 500}});
        auto wanted = options(1);
        wanted.maxTokens = 64;
        Loader whole(data, Split::Train, wanted), first(data, Split::Train, wanted), second(data, Split::Train, wanted);
        const auto all = take(whole, 60);
        const auto head = take(first, 25);
        second.restore(LoaderState::fromJson(first.state().toJson()));
        auto both = head;
        for (auto& batch : take(second, 35))
            both.push_back(std::move(batch));
        QVERIFY(equal(all, both));
    }

    void batchesDoNotDependOnThreads()
    {
        const DataSetPtr data = openData(augmented());
        Loader none(data, Split::Train, options(0)), one(data, Split::Train, options(1)), four(data, Split::Train, options(4));
        const auto expected = take(none, 30);
        QVERIFY(equal(expected, take(one, 30)));
        QVERIFY(equal(expected, take(four, 30)));
        Loader other(data, Split::Train, options(1, 8));
        QVERIFY(!equal(expected, take(other, 30)));
    }

    void augmentationDependsOnEpochAndSampleAlone()
    {
        const DataSetPtr data = openData(augmented());
        LoaderOptions small = options(0), large = options(0);
        small.batchSize = 3;
        large.batchSize = 70;
        Loader a(data, Split::Train, small), b(data, Split::Train, large);
        const Batch all = *b.next();
        std::vector<at::Tensor> parts;
        for (int i = 0; i < 23; ++i)
            parts.push_back(a.next()->inputs[0]);
        QVERIFY(at::equal(at::cat(parts), all.inputs[0].slice(0, 0, 69)));
    }

    void everySampleComesOnceAnEpoch()
    {
        const DataSetPtr data = openData("digits");
        Loader loader(data, Split::Val, options(2));
        QCOMPARE(loader.batchesPerEpoch(), std::int64_t(12));
        std::vector<std::vector<std::int64_t>> epochs;
        for (int epoch = 0; epoch < 2; ++epoch) {
            epochs.emplace_back();
            while (const auto batch = loader.next())
                epochs.back().insert(epochs.back().end(), batch->indices.begin(), batch->indices.end());
            QCOMPARE(epochs.back(), loader.epochOrder(epoch));
        }
        QVERIFY(epochs[0] != epochs[1]);
        for (auto& epoch : epochs) {
            std::sort(epoch.begin(), epoch.end());
            QCOMPARE(epoch, data->split(Split::Val));
        }
    }

    void dropLastLeavesOutTheRest()
    {
        LoaderOptions some = options(0);
        some.dropLast = true;
        Loader loader(openData("digits"), Split::Val, some);
        QCOMPARE(loader.batchesPerEpoch(), std::int64_t(11));
        QCOMPARE(loader.samplesPerEpoch(), std::int64_t(176));
        while (const auto batch = loader.next())
            QCOMPARE(batch->size(), std::int64_t(16));
    }

    void sequentialOrderIsTheOrderOfThePart()
    {
        LoaderOptions plain = options(1);
        plain.order = Order::Sequential;
        const DataSetPtr data = openData("iris");
        Loader loader(data, Split::Test, plain);
        QCOMPARE(loader.next()->indices, std::vector<std::int64_t>(data->split(Split::Test).begin(), data->split(Split::Test).begin() + 16));
    }

    void goesOnWhereItWasStored()
    {
        const DataSetPtr data = openData(augmented());
        for (const int taken : {0, 3, 8, 9, 10, 21}) {
            Loader first(data, Split::Train, options(1));
            if (taken)
                take(first, taken);
            const LoaderState state = LoaderState::fromJson(first.state().toJson());
            const auto rest = take(first, 12);
            for (const int threads : {0, 3}) {
                Loader second(data, Split::Train, options(threads));
                second.restore(state);
                QVERIFY(equal(rest, take(second, 12)));
            }
        }
        // A loader that has run ahead can be set back.
        Loader again(data, Split::Train, options(2));
        const auto start = take(again, 5);
        again.restore({0, 0});
        QVERIFY(equal(start, take(again, 5)));
        QVERIFY(messageOf<core::InputError>([&] { again.restore({0, 100}); }).contains("got epoch 0, batch 100"));
        QVERIFY(messageOf([] { LoaderState::fromJson({{"epoch", 1}}); }).startsWith("loader state: expected"));
    }

    void theEndOfAnEpochIsAPosition()
    {
        const DataSetPtr data = openData("iris");
        Loader loader(data, Split::Test, options(0));
        QVERIFY(loader.next().has_value());
        QVERIFY(loader.next().has_value());
        QCOMPARE(loader.state().epoch, std::int64_t(0));
        QCOMPARE(loader.state().batch, std::int64_t(2));
        Loader second(data, Split::Test, options(1));
        second.restore(loader.state());
        QVERIFY(!second.next().has_value());
        QVERIFY(second.next().has_value());
        QCOMPARE(second.state().epoch, std::int64_t(1));
    }

    void sizesAreChecked()
    {
        const DataSetPtr iris = openData("iris");
        LoaderOptions large = options(0);
        large.batchSize = 64;
        QCOMPARE(messageOf<core::InputError>([&] { Loader(iris, Split::Test, large); }),
                 QString("iris: expected a batch size of at most the 30 samples, got 64"));
        large.largeBatch = LargeBatch::Shrink;
        QCOMPARE(Loader(iris, Split::Test, large).next()->size(), std::int64_t(30));
        large.batchSize = 0;
        QCOMPARE(messageOf<core::InputError>([&] { Loader(iris, Split::Test, large); }), QString("expected a batch size of at least 1, got 0"));
        QCOMPARE(messageOf<core::InputError>([&] { Loader(iris, std::vector<std::int64_t>{}, options(0)); }),
                 QString("iris: expected samples to load, got none"));
    }

    void errorsArriveAtTheirBatch()
    {
        std::vector<std::int64_t> indices(10);
        std::iota(indices.begin(), indices.end(), 0);
        for (const int threads : {0, 1, 3}) {
            LoaderOptions plain;
            plain.batchSize = 2;
            plain.order = Order::Sequential;
            plain.threads = threads;
            Loader loader(std::make_shared<FailingSet>(), indices, plain);
            QVERIFY(loader.next().has_value());
            QVERIFY(loader.next().has_value());
            for (int attempt = 0; attempt < 2; ++attempt)
                QCOMPARE(messageOf([&] { loader.next(); }), QString("sample 5 is broken"));
            QCOMPARE(loader.state().batch, std::int64_t(2));
        }
    }

    void stopsWhenAsked()
    {
        for (const int threads : {0, 2}) {
            std::stop_source source;
            Loader loader(openData(augmented()), Split::Train, options(threads), source.get_token());
            std::atomic<bool> cancelled = false;
            std::thread consumer([&] {
                try {
                    while (true)
                        loader.next();
                } catch (const core::Cancelled&) {
                    cancelled = true;
                }
            });
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            source.request_stop();
            consumer.join();
            QVERIFY(cancelled);
        }
    }

    void shiftMovesPixels()
    {
        // Every shift of a single bright pixel leaves it bright or moves it out.
        const auto shift = augmentationRegistry().factory("shift")({{"pixels", 1}});
        core::SplitMix64 random(3);
        const float fill = -1;
        std::set<std::pair<int, int>> places;
        for (int i = 0; i < 200; ++i) {
            std::vector<float> image(9, 0.0f);
            image[4] = 1;
            shift->apply({image.data(), 1, 3, 3, {&fill, 1}}, random);
            const auto found = std::find(image.begin(), image.end(), 1.0f) - image.begin();
            places.emplace(int(found / 3), int(found % 3));
            const auto uncovered = std::count(image.begin(), image.end(), -1.0f);
            QVERIFY(uncovered == 0 || uncovered == 3 || uncovered == 5);
        }
        QCOMPARE(places.size(), std::size_t(9));
    }

    void flipAndRotateKnowTheirDirection()
    {
        core::SplitMix64 random(3);
        const float fill = 0;
        std::vector<float> image{1, 2, 3, 4, 5, 6};
        augmentationRegistry()
            .factory("flip")({{"probability", 1.0}, {"direction", "horizontal"}})
            ->apply({image.data(), 1, 2, 3, {&fill, 1}}, random);
        QCOMPARE(image, (std::vector<float>{3, 2, 1, 6, 5, 4}));
        augmentationRegistry().factory("flip")({{"probability", 1.0}, {"direction", "vertical"}})->apply({image.data(), 1, 2, 3, {&fill, 1}}, random);
        QCOMPARE(image, (std::vector<float>{6, 5, 4, 3, 2, 1}));
        augmentationRegistry().factory("rotate")({{"degrees", 0.0}})->apply({image.data(), 1, 2, 3, {&fill, 1}}, random);
        QCOMPARE(image, (std::vector<float>{6, 5, 4, 3, 2, 1}));
        augmentationRegistry().factory("crop")({{"minimum_area", 1.0}})->apply({image.data(), 1, 2, 3, {&fill, 1}}, random);
        QCOMPARE(image, (std::vector<float>{6, 5, 4, 3, 2, 1}));
    }

    void tablesCannotBeAugmented()
    {
        at::Tensor unused;
        QVERIFY(messageOf<core::InputError>([] { openData({{"id", "iris"}, {"augment", {"flip"}}}); }).startsWith("data.augment: "));
        QVERIFY(messageOf<core::InputError>([] { openData({{"id", "digits"}, {"augment", {"flipp"}}}); }).contains("did you mean \"flip\"?"));
    }

    void splitsKeepEveryClassInProportion()
    {
        std::vector<std::int64_t> classes;
        for (int i = 0; i < 1000; ++i)
            classes.push_back(i % 10 == 0 ? 1 : 0);
        const SplitLists lists = randomSplit(1000, {0.25, 0.1, 3, true}, classes);
        QCOMPARE(lists.test.size(), std::size_t(250));
        QCOMPARE(lists.val.size(), std::size_t(100));
        const auto rare = std::count_if(lists.test.begin(), lists.test.end(), [&](auto i) { return classes[std::size_t(i)] == 1; });
        QVERIFY(rare == 25);
        QVERIFY(std::is_sorted(lists.train.begin(), lists.train.end()));
        QCOMPARE(messageOf<core::InputError>([] { randomSplit(0, {}); }), QString("data.split: expected samples to train on, got none of 0"));
    }
};

QTEST_APPLESS_MAIN(LoaderTest)
#include "loader_test.moc"
