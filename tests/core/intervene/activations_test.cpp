// Collecting activations: equal to running the samples by hand, for every way of pooling; rows, labels, limits and refusals.
#include <ATen/ATen.h>

#include <QTest>

#include <core/base/error.h>
#include <core/intervene/activations.h>
#include <core/train/predict.h>
#include <core/zoo/zoo.h>

using namespace orrery;
using namespace orrery::intervene;
using core::Json;
using data::Split;

namespace {

/// A model, its executor and data of its kind.
struct Bench {
    graph::Model model;
    graph::Executor executor;
    data::DataSetPtr data;
    Bench(const char* id, const Json& parameters, const Json& document)
        : model(zoo::buildModel(id, parameters, 5)), executor(model.graph), data(data::openData(document))
    {
    }
    Activations collect(CollectRequest request, const Control& control = {}) const
    {
        return collectActivations(model, executor, *data, Split::Test, request, control);
    }
    /// The value for samples of the test part.
    at::Tensor value(const std::string& name, const std::vector<std::int64_t>& numbers) const
    {
        std::vector<std::int64_t> indices;
        for (const auto number : numbers)
            indices.push_back(data->split(Split::Test)[std::size_t(number)]);
        graph::RunRequest request;
        request.inputs = {data->fetch(indices).inputs[0]};
        request.targets = {name};
        return executor.run(model.weights, request).tensor();
    }
    data::Batch batch(const std::vector<std::int64_t>& numbers) const
    {
        std::vector<std::int64_t> indices;
        for (const auto number : numbers)
            indices.push_back(data->split(Split::Test)[std::size_t(number)]);
        return data->fetch(indices);
    }
};

const Bench& table()
{
    static const Bench kBench("mlp", {{"features", 4}, {"hidden", {8}}, {"classes", 3}}, {{"id", "iris"}});
    return kBench;
}
const Bench& pictures()
{
    static const Bench kBench("lenet", {{"maps", {2, 3}}, {"kernel", 3}, {"padding", 1}, {"hidden", {6}}, {"image_size", 8}}, {{"id", "digits"}});
    return kBench;
}
const Bench& texts()
{
    static const Bench kBench("gpt", {{"vocabulary", 256}, {"block_length", 12}, {"layers", 2}, {"heads", 2}, {"width", 16}},
                              {{"id", "kjv"}, {"block_length", 12}, {"stride", nullptr}, {"limit", 400}});
    return kBench;
}

CollectRequest asking(std::vector<std::string> places, const char* pooling = "auto", std::int64_t limit = 0, Label label = Label::Target)
{
    CollectRequest request;
    request.places = std::move(places);
    request.pooling = poolingFromText(pooling);
    request.limit = limit;
    request.label = label;
    return request;
}

QString said(const std::function<void()>& call)
{
    try {
        call();
    } catch (const core::Error& error) {
        return QString::fromStdString(error.what());
    }
    return {};
}

double largest(const at::Tensor& difference)
{
    return difference.abs().max().item<double>();
}

}  // namespace

class ActivationsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void allSamplesOfATableEqualOneRun();
    void aLimitDrawsTheSameRowsForASeed();
    void mapsArePooledOrFlattened();
    void positionsArePooled_data();
    void positionsArePooled();
    void everyPositionIsARow();
    void labelsOfTokens();
    void wholeTextsAreKnownByTheirTokens();
    void globsLeaveOutWhatDoesNotFit();
    void answersAreTheModels();
    void memoryIsLookedAtBefore();
    void aStopIsHeard();
    void badRequestsAreRefused();
    void numbersThatAreNotFiniteAreNamed();
};

void ActivationsTest::allSamplesOfATableEqualOneRun()
{
    auto request = asking({"relu", "fc1"});
    request.batchSize = 7;
    request.inputs = true;
    const auto found = table().collect(request);
    QCOMPARE(found.values, (std::vector<std::string>{"fc1.linear", "relu"}));  // in the order of computation
    std::vector<std::int64_t> all(table().data->split(Split::Test).size());
    std::iota(all.begin(), all.end(), 0);
    QCOMPARE(found.samples, all);
    QCOMPARE(found.positions, std::vector<std::int64_t>(all.size(), -1));
    QVERIFY(largest(found.features[1] - table().value("relu", all)) < 1e-6);
    QVERIFY(at::equal(found.labels, table().batch(all).targets));
    QVERIFY(at::equal(found.inputs, table().batch(all).inputs[0]));
    QCOMPARE(found.classes, 3);
    QCOMPARE(found.classNames, table().data->info().classNames);
    QVERIFY(!found.types.defined());
}

void ActivationsTest::aLimitDrawsTheSameRowsForASeed()
{
    auto request = asking({"relu"}, "auto", 9);
    const auto first = table().collect(request), again = table().collect(request);
    QCOMPARE(first.rows(), 9);
    QCOMPARE(first.samples, again.samples);
    QVERIFY(std::is_sorted(first.samples.begin(), first.samples.end()));
    QVERIFY(at::equal(first.features[0], again.features[0]));
    QVERIFY(largest(first.features[0] - table().value("relu", first.samples)) < 1e-6);
    request.seed = 1;
    QVERIFY(table().collect(request).samples != first.samples);
}

void ActivationsTest::mapsArePooledOrFlattened()
{
    const at::Tensor raw = pictures().value("conv1.conv2d", {0, 1, 2});
    const auto flat = pictures().collect(asking({"conv1.conv2d"})), mean = pictures().collect(asking({"conv1.conv2d"}, "mean"));
    QVERIFY(largest(flat.features[0].slice(0, 0, 3) - raw.flatten(1)) < 1e-6);
    QVERIFY(largest(mean.features[0].slice(0, 0, 3) - raw.mean(at::IntArrayRef{2, 3})) < 1e-6);
    QCOMPARE(mean.features[0].size(1), raw.size(1));
}

void ActivationsTest::positionsArePooled_data()
{
    QTest::addColumn<QString>("pooling");
    for (const char* pooling : {"last", "mean", "flatten", "3"})
        QTest::newRow(pooling) << pooling;
}

void ActivationsTest::positionsArePooled()
{
    QFETCH(QString, pooling);
    const auto place = std::string("blocks.1.resid_post");
    const auto found = texts().collect(asking({place}, qPrintable(pooling), 20, Label::None));
    QCOMPARE(found.rows(), 20);
    const at::Tensor raw = texts().value(texts().model.card.canonicalNames.at(place), found.samples);
    const at::Tensor expected = pooling == "last"   ? raw.select(1, 11)
                                : pooling == "mean" ? raw.mean(1)
                                : pooling == "3"    ? raw.select(1, 3)
                                                    : raw.flatten(1);
    QVERIFY(largest(found.features[0] - expected) < 1e-5);
    // Inside attention: heads beside the features, at the query's position.
    const auto z = texts().collect(asking({"blocks.0.attn.z"}, qPrintable(pooling), 5, Label::None));
    const at::Tensor heads = texts().value(texts().model.card.canonicalNames.at("blocks.0.attn.z"), z.samples).permute({0, 2, 1, 3}).flatten(2);
    const at::Tensor wanted = pooling == "last"   ? heads.select(1, 11)
                              : pooling == "mean" ? heads.mean(1)
                              : pooling == "3"    ? heads.select(1, 3)
                                                  : heads.flatten(1);
    QVERIFY(largest(z.features[0] - wanted) < 1e-5);
}

void ActivationsTest::everyPositionIsARow()
{
    const auto found = texts().collect(asking({"blocks.*.resid_post"}, "auto", 100));
    QCOMPARE(found.rows(), 100);
    QCOMPARE(found.values.size(), std::size_t(2));
    QVERIFY(found.samples.front() >= 0 && found.samples.back() > found.samples.front());
    const auto name = texts().model.card.canonicalNames.at("blocks.0.resid_post");
    for (const std::size_t row : {std::size_t(0), std::size_t(41), std::size_t(99)}) {
        const auto sample = found.samples[row], position = found.positions[row];
        QVERIFY(largest(found.features[0][std::int64_t(row)] - texts().value(name, {sample})[0][position]) < 1e-5);
        const auto batch = texts().batch({sample});
        QCOMPARE(found.labels[std::int64_t(row)].item<std::int64_t>(), batch.targets[0][position].item<std::int64_t>());
        QCOMPARE(found.types[std::int64_t(row)].item<std::int64_t>(), batch.inputs[0][0][position].item<std::int64_t>());
    }
    QCOMPARE(found.classes, 256);
}

void ActivationsTest::labelsOfTokens()
{
    const auto token = texts().collect(asking({"blocks.0.resid_post"}, "last", 30, Label::Token));
    QVERIFY(at::equal(token.labels, texts().batch(token.samples).inputs[0].select(1, 11)));
    const auto previous = texts().collect(asking({"blocks.0.resid_post"}, "each", 0, Label::Previous));
    QCOMPARE(previous.rows(), std::int64_t(texts().data->split(Split::Test).size()) * 11);
    QVERIFY(*std::min_element(previous.positions.begin(), previous.positions.end()) == 1);
    for (const std::size_t row : {std::size_t(0), std::size_t(25)}) {
        const auto tokens = texts().batch({previous.samples[row]}).inputs[0][0];
        QCOMPARE(previous.labels[std::int64_t(row)].item<std::int64_t>(), tokens[previous.positions[row] - 1].item<std::int64_t>());
    }
}

void ActivationsTest::wholeTextsAreKnownByTheirTokens()
{
    auto asked = asking({"blocks.0.resid_post"}, "mean", 20, Label::None);
    asked.inputs = true;
    const auto found = texts().collect(asked);
    QCOMPARE(found.inputs.sizes(), at::IntArrayRef({20, 512}));
    const at::Tensor tokens = texts().batch({found.samples[7]}).inputs[0][0];
    for (std::int64_t token = 0; token < 512; ++token)
        QCOMPARE(found.inputs[7][token].item<float>(), (tokens == token).sum().item<float>());
    asked.pooling.kind = Pooling::Kind::Last;
    QVERIFY(!texts().collect(asked).inputs.defined());  // there the token itself is the type
}

void ActivationsTest::globsLeaveOutWhatDoesNotFit()
{
    // Sizes, masks and folded heads are no [batch, position, feature].
    const auto found = texts().collect(asking({"**"}, "auto", 10));
    QVERIFY(found.values.size() > 8);
    for (const auto& features : found.features)
        QCOMPARE(features.size(0), 10);
    QVERIFY(std::find(found.values.begin(), found.values.end(), "mask.triu") == found.values.end());
}

void ActivationsTest::answersAreTheModels()
{
    auto request = asking({"relu"}, "auto", 12);
    request.answers = true;
    const auto found = table().collect(request);
    const at::Tensor share = train::predict(table().model, table().batch(found.samples).inputs).to(at::kDouble).softmax(1);
    QVERIFY(at::equal(found.predicted, share.argmax(1).to(at::kDouble)));
    QVERIFY(largest(found.confidence - std::get<0>(share.max(1))) < 1e-6);
    auto each = asking({"blocks.0.resid_post"}, "auto", 12);
    each.answers = true;
    QCOMPARE(texts().collect(each).predicted.size(0), 12);
}

void ActivationsTest::memoryIsLookedAtBefore()
{
    auto request = asking({"relu"});
    request.memoryLimit = 100;
    const auto text = said([&] { table().collect(request); });
    QVERIFY2(text.contains("100 B may be taken: give fewer samples"), qPrintable(text));
}

void ActivationsTest::aStopIsHeard()
{
    std::stop_source source;
    Control control;
    control.stop = source.get_token();
    int reports = 0;
    control.progress = [&](double done, double total, const char* unit) {
        QCOMPARE(std::string(unit), std::string("samples"));
        QVERIFY(done < total);
        if (++reports == 2)
            source.request_stop();
    };
    auto request = asking({"relu"});
    request.batchSize = 2;
    QVERIFY_EXCEPTION_THROWN(table().collect(request, control), core::Cancelled);
    QCOMPARE(reports, 2);
}

void ActivationsTest::badRequestsAreRefused()
{
    QVERIFY(said([] { table().collect(asking({"rellu"})); }).contains("did you mean \"relu\"?"));
    QVERIFY(said([] { table().collect(asking({"relu"}, "last")); }).contains("has no positions: expected mean or flatten, got last"));
    QVERIFY(said([] { table().collect(asking({"relu"}, "auto", 0, Label::Token)); }).contains("label \"token\": the data \"iris\" hold no tokens"));
    QVERIFY(said([] { texts().collect(asking({"blocks.0.resid_post"}, "mean")); }).contains("expected positions each, last or a number, got mean"));
    QVERIFY(said([] { texts().collect(asking({"blocks.0.resid_post"}, "12")); }).contains("position 12: expected 0..11"));
    QVERIFY(said([] { texts().collect(asking({"mask.triu"})); }).contains("expected a floating tensor [batch, ...], got [12, 12]"));
    QVERIFY(said([] { poolingFromText("middle"); }).contains("expected auto, last, mean, each, flatten or a number from 0, got \"middle\""));
    QVERIFY(said([] { poolingFromText("-1"); }).contains("got \"-1\""));
    QVERIFY(said([] { labelFromText("tokens"); }).contains("expected target, token, previous or none"));
    QVERIFY(said([] { table().collect({}); }).contains("at least one value"));
    const Bench other("mlp", {{"features", 5}, {"hidden", {8}}, {"classes", 3}}, {{"id", "iris"}});
    QVERIFY(!said([&] { other.collect(asking({"relu"})); }).isEmpty());
    const auto empty = data::openData({{"id", "iris"}, {"split", {{"val", 0}}}});
    QVERIFY(said([&] {
                collectActivations(table().model, table().executor, *empty, Split::Val, asking({"relu"}));
            }).contains("val part of iris has no samples"));
}

void ActivationsTest::numbersThatAreNotFiniteAreNamed()
{
    at::Tensor x = at::ones({4, 2});
    requireFinite(x, "x");
    x[1][0] = std::nan("");
    x[1][1] = std::nan("");
    QVERIFY(said([&] { requireFinite(x, "value \"relu\""); }).contains("value \"relu\": 1 of 4 rows hold numbers that are not finite"));
}

QTEST_GUILESS_MAIN(ActivationsTest)
#include "activations_test.moc"
