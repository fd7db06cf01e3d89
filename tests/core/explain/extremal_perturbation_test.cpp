// Extremal perturbation: the mask operator by its formula, the area constraint, and a network that looks for one patch.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <bit>
#include <cmath>

#include <core/base/error.h>
#include <core/explain/attribution.h>
#include <core/explain/blur.h>
#include <core/explain/mask_operator.h>
#include <core/graph/builder.h>
#include <core/zoo/zoo.h>

#include <QTest>

#include "../message_of.h"
#include "planted_patch.h"
#include "trained_digits.h"

using namespace orrery;
using core::Json;
using explain::AttributionRequest;
using explain::AttributionResult;

namespace {

AttributionResult extremal(const graph::Model& model, const at::Tensor& x, Json parameters, const explain::Control& control = {})
{
    AttributionRequest request;
    request.inputs = {x};
    request.parameters = std::move(parameters);
    request.target = 0;
    return explain::attribute(graph::Executor(model.graph), model.weights, "extremal_perturbation", request, control);
}

double outputOf(const graph::Model& model, const at::Tensor& x)
{
    return graph::Executor(model.graph).forward(model.weights, {x})[0][0].item<double>();
}

// The smoothed mask's highest pixel lies on the 3x3 patch: pointing as the reference implementation does it.
bool pointsInto(const at::Tensor& mask, std::pair<std::int64_t, std::int64_t> place)
{
    const auto best = explain::gaussianBlur(mask, 1).flatten().argmax().item<std::int64_t>();
    const auto row = best / 13 - place.first, column = best % 13 - place.second;
    return row >= 0 && row < 3 && column >= 0 && column < 3;
}

/// Class 0 is the sum of relu(conv(x)) over some of eight channels; every channel is a copy of the image, more or less bright.
graph::Model countingChannels(const std::vector<std::int64_t>& counting)
{
    graph::Builder builder("counting");
    const auto x = builder.input("image", "float64", {"batch", "1", "8", "8"}, "image");
    const auto maps = builder.relu(builder.conv2d("conv", x, 1, 8, 1));
    auto model = builder.finish({{"logits", builder.linear("out", builder.flatten(maps), 8 * 64, 2)}});
    auto head = at::zeros({2, 8, 64}, at::kDouble);
    for (const auto channel : counting)
        head[0][channel].fill_(0.01);
    // The bright channels are those that do not count.
    auto bright = at::full({8}, 2, at::kDouble).index_fill_(0, at::tensor(counting), 0.5);
    model.weights = graph::Weights({{"conv.weight", bright.reshape({8, 1, 1, 1})},
                                    {"conv.bias", at::zeros({8}, at::kDouble)},
                                    {"out.weight", head.reshape({2, 8 * 64})},
                                    {"out.bias", at::zeros({2}, at::kDouble)}});
    return model;
}

std::vector<double> listed(const at::Tensor& row)
{
    const auto plain = row.to(at::kDouble).contiguous();
    return {plain.data_ptr<double>(), plain.data_ptr<double>() + plain.numel()};
}

/// The explained outputs [choice, sample] with every choice of `count` of 16 channels kept and the others set to 0.
at::Tensor outputsOfAllChoices(const graph::Model& model, const graph::Executor& executor, const AttributionResult& result, const at::Tensor& rows,
                               int count)
{
    std::vector<at::Tensor> outputs;
    const auto target = at::tensor(result.targets).unsqueeze(1);
    for (unsigned choice = 0; choice < 1u << 16; ++choice) {
        if (std::popcount(choice) != count)
            continue;
        auto mask = at::zeros({16});
        for (int channel = 0; channel < 16; ++channel)
            mask.data_ptr<float>()[channel] = float(choice >> channel & 1);
        graph::RunRequest run;
        run.inputs = {rows};
        run.changed[result.site] = result.value * mask.reshape({1, 16, 1, 1});
        outputs.push_back(executor.run(model.weights, run).tensor().gather(1, target).squeeze(1));
    }
    return at::stack(outputs);
}

}  // namespace

class ExtremalPerturbationTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void theMaskIsASmoothMaximumOfBells();
    void theMaskGradientAgreesWithDifferences();
    void areasAreReached_data();
    void areasAreReached();
    void theMaskFindsThePlantedPatch();
    void aDeletingMaskHidesThePatch();
    void itBeatsRandomMasksOfItsArea();
    void onTrainedDigitsItBeatsRandomMasks();
    void aMaskOfChannelsFindsTheChannelsThatCount_data();
    void aMaskOfChannelsFindsTheChannelsThatCount();
    void aMaskOfChannelsIsNearTheBestOfAll();
    void theScaleOfTheOutputDoesNotMatter();
    void randomMasksStandBeside();
    void theDefaultsFollowTheImagesSize();
    void masksArriveWhileTheyGrow();
    void badRequestsSayWhatWasExpected();
    void stopsWhenAsked();
};

void ExtremalPerturbationTest::theMaskIsASmoothMaximumOfBells()
{
    const explain::MaskOperator mask(6, 5, 2, 1.5, at::TensorOptions().dtype(at::kDouble));
    QCOMPARE(mask.rows(), std::int64_t(3));
    QCOMPARE(mask.columns(), std::int64_t(3));
    auto nodes = at::rand({1, 3, 3}, at::detail::createCPUGenerator(4), at::TensorOptions().dtype(at::kDouble));
    const auto found = mask(nodes)[0];
    // Pixel (3, 2) in cell (1, 1): every node within two cells, those outside the grid with a bell of zero.
    double weights = 0, sum = 0;
    for (int row = -1; row <= 3; ++row)
        for (int column = -1; column <= 3; ++column) {
            const bool inside = row >= 0 && row < 3 && column >= 0 && column < 3;
            const double distance = std::hypot(3 - (2 * row + 0.5), 2 - (2 * column + 0.5));
            const double bell = std::exp(-2 * std::pow(std::max(distance / 1.5 - 0.5, 0.0), 2));
            const double lifted = inside ? bell * nodes[0][row][column].item<double>() : 0;
            sum += lifted * std::exp(20 * lifted);
            weights += std::exp(20 * lifted);
        }
    QVERIFY(std::abs(found[3][2].item<double>() - sum / weights) < 1e-12);
    QCOMPARE(mask(at::zeros({1, 3, 3}, at::kDouble)).abs().max().item<double>(), 0.0);
    QVERIFY(mask(at::ones({1, 3, 3}, at::kDouble)).max().item<double>() <= 1);
}

void ExtremalPerturbationTest::theMaskGradientAgreesWithDifferences()
{
    at::AutoGradMode enable(true);
    const explain::MaskOperator mask(6, 5, 2, 1.5, at::TensorOptions().dtype(at::kDouble));
    const auto nodes = at::rand({1, 3, 3}, at::detail::createCPUGenerator(4), at::TensorOptions().dtype(at::kDouble)).requires_grad_(true);
    const auto weight = at::rand({6, 5}, at::detail::createCPUGenerator(5), at::TensorOptions().dtype(at::kDouble));
    const auto gradient = torch::autograd::grad({(mask(nodes)[0] * weight).sum()}, {nodes})[0];
    for (int i = 0; i < 9; ++i) {
        double sides[2];
        for (int side = 0; side < 2; ++side) {
            auto moved = nodes.detach().clone();
            moved.view(-1)[i] += side ? 1e-6 : -1e-6;
            sides[side] = (mask(moved)[0] * weight).sum().item<double>();
        }
        QVERIFY(std::abs((sides[1] - sides[0]) / 2e-6 - gradient.view(-1)[i].item<double>()) < 1e-7);
    }
}

void ExtremalPerturbationTest::areasAreReached_data()
{
    QTest::addColumn<int>("size");
    QTest::newRow("digits, 8x8") << 8;
    QTest::newRow("lenet's 32x32") << 32;
}

// Within one per cent of the image for each of two areas at once; near it before it is made exact.
void ExtremalPerturbationTest::areasAreReached()
{
    QFETCH(int, size);
    const auto model = zoo::buildModel("lenet", {{"image_size", size}, {"kernel", 3}, {"padding", 1}, {"activation", "relu"}}, 3);
    const auto x = at::rand({1, 1, size, size}, at::detail::createCPUGenerator(7));
    const auto result = extremal(model, x, {{"areas", {0.1, 0.4}}, {"max_iter", size == 8 ? 800 : 600}});
    QCOMPARE(result.attribution.sizes().vec(), x.sizes().vec());
    for (const auto& area : result.details.at("areas")) {
        const double found = area.at("area")[0].get<double>(), wanted = area.at("target").get<double>();
        const double before = area.at("optimised_area")[0].get<double>();
        QVERIFY2(std::abs(found - wanted) < 0.001 && std::abs(before - wanted) < 0.05,
                 qPrintable(QString("%1: %2, %3").arg(wanted).arg(found).arg(before)));
    }
    QVERIFY(std::abs(result.attribution.mean().item<double>() - 0.25) < 0.001);
}

void ExtremalPerturbationTest::theMaskFindsThePlantedPatch()
{
    const auto patch = test::PlantedPatch::bright();
    int hits = 0, centre = 0;
    for (std::uint64_t i = 0; i < 4; ++i) {
        const auto place = test::PlantedPatch::placeOf(i);
        const auto result = extremal(patch.model, patch.image(place, i), {{"areas", {9.0 / 169}}, {"perturbation", "fade"}, {"max_iter", 800}});
        hits += pointsInto(result.attribution, place);
        centre += 6 >= place.first && 6 < place.first + 3 && 6 >= place.second && 6 < place.second + 3;
    }
    QCOMPARE(hits, 4);
    QCOMPARE(centre, 0);
}

void ExtremalPerturbationTest::aDeletingMaskHidesThePatch()
{
    const auto patch = test::PlantedPatch::bright();
    const auto x = patch.image({8, 2}, 1);
    const auto result =
        extremal(patch.model, x, {{"areas", {0.1}}, {"perturbation", "fade"}, {"baseline", 0.05}, {"variant", "delete"}, {"max_iter", 800}});
    QVERIFY(pointsInto(result.attribution, {8, 2}));
    QVERIFY(result.details.at("areas")[0].at("output")[0].get<double>() < outputOf(patch.model, x));
}

void ExtremalPerturbationTest::itBeatsRandomMasksOfItsArea()
{
    const auto patch = test::PlantedPatch::bright();
    const auto x = patch.image({2, 5}, 3);
    const auto result = extremal(patch.model, x, {{"areas", {0.1}}, {"perturbation", "fade"}, {"max_iter", 800}});
    const double found = result.details.at("areas")[0].at("output")[0].get<double>();
    // Random smooth masks of that area: the highest tenth of blurred noise.
    double best = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        const auto rough = at::rand({1, 1, 13, 13}, at::detail::createCPUGenerator(1000 + seed), at::TensorOptions().dtype(at::kDouble));
        const auto smooth = explain::gaussianBlur(rough, 1.2);
        const auto limit = std::get<0>(smooth.flatten().sort(0, true))[17].item<double>();
        auto mask = explain::gaussianBlur(smooth.ge(limit).to(at::kDouble), 0.5);
        mask = mask * (0.1 / mask.mean().item<double>());
        best = std::max(best, outputOf(patch.model, mask.clamp(0, 1) * x));
    }
    QVERIFY2(found > best && found > 0, qPrintable(QString("%1 against %2").arg(found).arg(best)));
}

// A quarter of a digit chosen by the method, against the mean and the best of twenty random smooth masks of that area.
void ExtremalPerturbationTest::onTrainedDigitsItBeatsRandomMasks()
{
    const test::TrainedDigits digits;
    QVERIFY2(digits.accuracy > 0.9, qPrintable(QString::number(digits.accuracy)));
    const auto rows = digits.images.narrow(0, 0, 6);
    AttributionRequest request;
    request.inputs = {rows};
    request.parameters = {{"areas", {0.25}}, {"perturbation", "fade"}, {"baseline", rows.min().item<double>()}};
    const graph::Executor executor(digits.model.graph);
    const auto result = explain::attribute(executor, digits.model.weights, "extremal_perturbation", request);
    const auto area = result.details.at("areas")[0];
    const auto targets = at::tensor(result.targets).unsqueeze(1);
    const auto score = [&](const at::Tensor& mask) {
        const auto masked = rows.min() + mask * (rows - rows.min());
        return executor.forward(digits.model.weights, {masked}).gather(1, targets).squeeze(1);
    };
    std::vector<at::Tensor> random;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const auto smooth = explain::gaussianBlur(at::rand({1, 1, 8, 8}, at::detail::createCPUGenerator(seed)), 0.75);
        const auto limit = std::get<0>(smooth.flatten().sort(0, true))[16].item<float>();
        random.push_back(score(smooth.gt(limit).to(at::kFloat)));
    }
    const auto all = at::stack(random);
    int beaten = 0;
    for (int i = 0; i < 6; ++i) {
        const double found = area.at("output")[std::size_t(i)].get<double>();
        QVERIFY(std::abs(area.at("area")[std::size_t(i)].get<double>() - 0.25) < 0.01);
        QVERIFY2(found > all.select(1, i).mean().item<double>(), qPrintable(QString("%1: %2 against %3, area %4")
                                                                                .arg(i)
                                                                                .arg(found)
                                                                                .arg(all.select(1, i).mean().item<double>())
                                                                                .arg(area.at("optimised_area")[std::size_t(i)].get<double>())));
        beaten += found > all.select(1, i).max().item<double>();
    }
    QVERIFY2(beaten >= 5, qPrintable(QString::number(beaten)));
}

void ExtremalPerturbationTest::aMaskOfChannelsFindsTheChannelsThatCount_data()
{
    QTest::addColumn<QString>("variant");
    QTest::addColumn<std::vector<std::int64_t>>("counting");
    using Numbers = std::vector<std::int64_t>;
    for (const char* variant : {"preserve", "delete"}) {
        QTest::addRow("%s, the first", variant) << variant << Numbers{0};
        QTest::addRow("%s, one in the middle", variant) << variant << Numbers{5};
        QTest::addRow("%s, the last", variant) << variant << Numbers{7};
        QTest::addRow("%s, three", variant) << variant << Numbers{1, 4, 6};
    }
}

// Where the output is the sum of some channels by construction, these are what a mask of their number keeps, and what a deleting one takes.
void ExtremalPerturbationTest::aMaskOfChannelsFindsTheChannelsThatCount()
{
    QFETCH(QString, variant);
    QFETCH(std::vector<std::int64_t>, counting);
    const auto model = countingChannels(counting);
    AttributionRequest request;
    request.inputs = {at::rand({2, 1, 8, 8}, at::detail::createCPUGenerator(7), at::kDouble) + 0.5};
    request.site = "relu";
    request.target = 0;
    request.parameters = {{"areas", {double(counting.size()) / 8}}, {"mask", "channels"}, {"variant", variant.toStdString()}};
    const auto result = explain::attribute(graph::Executor(model.graph), model.weights, "extremal_perturbation", request);
    QCOMPARE(result.attribution.sizes().vec(), (std::vector<std::int64_t>{2, 8, 8, 8}));
    auto wanted = at::zeros({8}, at::kDouble).index_fill_(0, at::tensor(counting), 1);
    const auto found = result.attribution.mean({2, 3});
    for (int i = 0; i < 2; ++i)
        QVERIFY2((found[i] - wanted).abs().max().item<double>() < 0.05, qPrintable(QString::fromStdString(core::Json(listed(found[i])).dump())));
}

// On the trained digits a mask of a quarter or a half of the second convolution's channels, against every choice of as many: it beats nearly all of them,
// and what they give in the mean by far.
void ExtremalPerturbationTest::aMaskOfChannelsIsNearTheBestOfAll()
{
    const test::TrainedDigits digits;
    const auto rows = digits.images.narrow(0, 0, 6);
    const graph::Executor executor(digits.model.graph);
    AttributionRequest request;
    request.inputs = {rows};
    request.site = "conv2";
    request.parameters = {{"areas", {0.25, 0.5}}, {"mask", "channels"}};
    const auto result = explain::attribute(executor, digits.model.weights, "extremal_perturbation", request);
    QCOMPARE(result.site, std::string("conv2.conv2d"));
    QCOMPARE(result.attribution.sizes().vec(), result.value.sizes().vec());
    QCOMPARE(result.details.at("channels").get<int>(), 16);
    for (std::size_t a = 0; a < 2; ++a) {
        const auto area = result.details.at("areas")[a];
        const auto all = outputsOfAllChoices(digits.model, executor, result, rows, a == 0 ? 4 : 8);
        for (int i = 0; i < 6; ++i) {
            QVERIFY(std::abs(area.at("area")[std::size_t(i)].get<double>() - area.at("target").get<double>()) < 0.01);
            const double found = area.at("output")[std::size_t(i)].get<double>(), mean = all.select(1, i).mean().item<double>();
            const double better = all.select(1, i).gt(found).to(at::kDouble).mean().item<double>();
            const QString text =
                QString("area %1, sample %2: %3 of the choices are better than %4; their mean is %5").arg(a).arg(i).arg(better).arg(found).arg(mean);
            QVERIFY2(better < 0.01, qPrintable(text));
            QVERIFY2(found > mean, qPrintable(text));
            // The masks drawn at random are a sample of those choices.
            const double spread = all.select(1, i).std().item<double>() / std::sqrt(10.0);
            QVERIFY2(std::abs(area.at("random_output")[std::size_t(i)].get<double>() - mean) < 4 * spread, qPrintable(text));
        }
    }
}

// Ten thousand times the output, and its ten-thousandth part, have the same extremal channels.
void ExtremalPerturbationTest::theScaleOfTheOutputDoesNotMatter()
{
    auto model = countingChannels({2, 3});
    const auto plain = model.weights.at("out.weight").clone();
    AttributionRequest request;
    request.inputs = {at::rand({1, 1, 8, 8}, at::detail::createCPUGenerator(7), at::kDouble) + 0.5};
    request.site = "relu";
    request.target = 0;
    request.parameters = {{"areas", {0.25}}, {"mask", "channels"}};
    std::vector<at::Tensor> found;
    for (const double scale : {1e-4, 1.0, 1e4}) {
        model.weights.set("out.weight", plain * scale);
        found.push_back(explain::attribute(graph::Executor(model.graph), model.weights, "extremal_perturbation", request).attribution);
    }
    QVERIFY(at::allclose(found[0], found[1], 0, 1e-6));
    QVERIFY(at::allclose(found[2], found[1], 0, 1e-6));
}

void ExtremalPerturbationTest::randomMasksStandBeside()
{
    const auto patch = test::PlantedPatch::bright();
    const auto x = patch.image({2, 5}, 3);
    const auto result = extremal(patch.model, x, {{"areas", {0.1, 0.3}}, {"perturbation", "fade"}});
    for (const auto& area : result.details.at("areas")) {
        QVERIFY(area.at("random_output")[0].get<double>() < area.at("output")[0].get<double>());
        QVERIFY(area.at("random_output")[0].get<double>() > 0);
    }
    QVERIFY(!extremal(patch.model, x, {{"random_masks", 0}, {"max_iter", 1}}).details.at("areas")[0].contains("random_output"));
}

void ExtremalPerturbationTest::theDefaultsFollowTheImagesSize()
{
    const auto model = zoo::buildModel("lenet", {{"image_size", 32}}, 3);
    const auto result = extremal(model, at::rand({1, 1, 32, 32}, at::detail::createCPUGenerator(7)), {{"max_iter", 1}});
    QCOMPARE(result.details.at("step").get<int>(), 1);
    QCOMPARE(result.details.at("sigma").get<double>(), 3.0);
}

void ExtremalPerturbationTest::masksArriveWhileTheyGrow()
{
    const test::PlantedPatch patch;
    std::vector<at::Tensor> seen;
    explain::Control control;
    control.partial = [&](const at::Tensor& mask) { seen.push_back(mask.clone()); };
    extremal(patch.model, patch.image({1, 1}, 1), {{"max_iter", 31}}, control);
    QCOMPARE(seen.size(), std::size_t(3));
    QVERIFY(seen[2].mean().item<double>() < seen[0].mean().item<double>());
}

void ExtremalPerturbationTest::badRequestsSayWhatWasExpected()
{
    const test::PlantedPatch patch;
    const auto x = patch.image({1, 1}, 1);
    QVERIFY(saidBy([&] { extremal(patch.model, x, {{"areas", Json::array()}}); }).contains("expected at least one area"));
    QVERIFY(saidBy([&] { extremal(patch.model, x, {{"areas", {1.5}}}); }).contains("areas"));
    QVERIFY(saidBy([&] { extremal(patch.model, x, {{"step", 14}}); }).contains("step: expected 1..13"));
    QVERIFY(saidBy([&] { extremal(patch.model, x * std::nan(""), Json::object()); }).contains("not finite"));
    const Json ofChannels = {{"mask", "channels"}};
    QCOMPARE(
        saidBy([&] { extremal(patch.model, x, ofChannels); }),
        QString(
            "extremal_perturbation: a mask of channels expects [batch, channel, ...] with at least two channels at \"image\", got [1, 1, 13, 13]; "
            "choose an inner value"));
    const auto mlp = zoo::buildModel("mlp", {{"features", 3}}, 1);
    QVERIFY(saidBy([&] {
                extremal(mlp, at::ones({1, 3}), Json::object());
            }).contains("expected an image [batch, channel, height, width] at \"table\", got [1, 3]"));
}

void ExtremalPerturbationTest::stopsWhenAsked()
{
    const test::PlantedPatch patch;
    std::stop_source source;
    explain::Control control;
    control.stop = source.get_token();
    double reached = 0;
    control.progress = [&](double done, double, const char*) {
        reached = done;
        if (done == 5)
            source.request_stop();
    };
    bool cancelled = false;
    try {
        extremal(patch.model, patch.image({1, 1}, 1), Json::object(), control);
    } catch (const core::Cancelled&) {
        cancelled = true;
    }
    QVERIFY(cancelled);
    QCOMPARE(reached, 5.0);
}

QTEST_GUILESS_MAIN(ExtremalPerturbationTest)
#include "extremal_perturbation_test.moc"
