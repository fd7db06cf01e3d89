// Losses and metrics against hand values and brute force.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <QTest>
#include <cmath>

#include <core/base/error.h>
#include <core/train/catalogue.h>

using namespace orrery;
using core::Json;

namespace {

at::Tensor random(at::IntArrayRef shape, std::uint64_t seed)
{
    return at::randn(shape, at::make_generator<at::CPUGeneratorImpl>(seed));
}

at::Tensor randomClasses(std::int64_t count, std::int64_t classes, std::uint64_t seed)
{
    return at::randint(classes, {count}, at::make_generator<at::CPUGeneratorImpl>(seed), at::kLong);
}

/// The value called `name` after the rows were added in batches of 7 (so that streaming is tested with a ragged last batch).
double metric(const Json& document, const at::Tensor& output, const at::Tensor& target, const std::string& name)
{
    const auto metric = train::makeMetric(document);
    for (std::int64_t i = 0; i < output.size(0); i += 7) {
        const std::int64_t end = std::min<std::int64_t>(i + 7, output.size(0));
        metric->add({output.slice(0, i, end), target.slice(0, i, end), 0, 0});
    }
    for (const auto& [key, value] : metric->values())
        if (key == name)
            return value;
    return -1;
}

bool near(double a, double b, double tolerance = 1e-12)
{
    return std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b));
}

QString errorOf(const std::function<void()>& call)
{
    try {
        call();
    } catch (const core::Error& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace

class LossMetricTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void crossEntropyEqualsItsFormula()
    {
        const at::Tensor logits = random({5, 4}, 1).to(at::kDouble), target = randomClasses(5, 4, 2);
        for (const double smoothing : {0.0, 0.2}) {
            const auto loss = train::makeLoss({{"id", "cross_entropy"}, {"label_smoothing", smoothing}});
            double expected = 0;
            for (int row = 0; row < 5; ++row) {
                double sum = 0;
                for (int c = 0; c < 4; ++c)
                    sum += std::exp(logits[row][c].item<double>());
                for (int c = 0; c < 4; ++c) {
                    const double weight = smoothing / 4 + (c == target[row].item<std::int64_t>() ? 1 - smoothing : 0);
                    expected -= weight * (logits[row][c].item<double>() - std::log(sum)) / 5;
                }
            }
            QVERIFY(near(loss.mean(logits, target).item<double>(), expected));
        }
    }

    void sequencesHaveTheClassAxisLast()
    {
        const auto loss = train::makeLoss("cross_entropy");
        const at::Tensor logits = random({2, 3, 4}, 1), target = randomClasses(6, 4, 2).reshape({2, 3});
        QVERIFY(at::equal(loss.mean(logits, target), loss.mean(logits.reshape({6, 4}), target.reshape({6}))));
        QCOMPARE(loss.count(logits, target), 6);
        QCOMPARE(errorOf([&] { loss.mean(logits, target.reshape({6})); }),
                 QString("cross_entropy: expected output [..., class] and target [...], got [2, 3, 4] and [6]"));
    }

    void squaredErrorDoesNotBroadcast()
    {
        const auto loss = train::makeLoss("mse");
        QCOMPARE(loss.mean(at::tensor({1.0, 2.0, 4.0}).unsqueeze(1), at::tensor({1.0, 1.0, 1.0})).item<double>(), 10.0 / 3);
        QCOMPARE(errorOf([&] {
                     loss.mean(at::ones({3, 2}), at::ones({3}));
                 }),
                 QString("mse: expected output and target of one shape, got [3, 2] and [3]"));
    }

    void binaryCrossEntropyEqualsItsFormula()
    {
        const at::Tensor logits = at::tensor({0.3, -1.2, 40.0}, at::kDouble), target = at::tensor({1, 0, 0}, at::kLong);
        const double expected = (std::log1p(std::exp(-0.3)) + std::log1p(std::exp(-1.2)) + 40.0) / 3;
        QVERIFY(near(train::makeLoss("binary_cross_entropy").mean(logits.unsqueeze(1), target).item<double>(), expected));
        const double weighted = (3 * std::log1p(std::exp(-0.3)) + std::log1p(std::exp(-1.2)) + 40.0) / 3;
        QVERIFY(near(train::makeLoss({{"id", "binary_cross_entropy"}, {"pos_weight", 3}}).mean(logits, target).item<double>(), weighted));
    }

    void lossesHaveTheRightGradients()
    {
        for (const char* id : {"cross_entropy", "mse", "binary_cross_entropy"}) {
            const bool classes = std::string(id) == "cross_entropy";
            at::Tensor output = random({3, 2}, 1).to(at::kDouble);
            const at::Tensor target = classes ? at::tensor({1, 0, 1}, at::kLong) : random({3, 2}, 2).sigmoid().to(at::kDouble);
            const auto loss = train::makeLoss(id);
            output.requires_grad_();
            loss.mean(output, target).backward();
            for (int i = 0; i < 6; ++i) {
                const at::Tensor shift = at::zeros({6}, at::kDouble);
                shift[i] = 1e-6;
                const at::Tensor base = output.detach(), step = shift.reshape({3, 2});
                const double numeric = (loss.mean(base + step, target) - loss.mean(base - step, target)).item<double>() / 2e-6;
                QVERIFY2(std::abs(numeric - output.grad().reshape({6})[i].item<double>()) < 1e-8, id);
            }
        }
    }

    void accuracyAndTopKEqualSorting()
    {
        const at::Tensor logits = random({50, 6}, 3), target = randomClasses(50, 6, 4);
        for (const int k : {1, 2, 5, 9}) {
            int right = 0;
            for (int row = 0; row < 50; ++row) {
                const at::Tensor order = logits[row].argsort(0, true);
                for (int i = 0; i < std::min(k, 6); ++i)
                    right += order[i].item<std::int64_t>() == target[row].item<std::int64_t>();
            }
            QVERIFY(near(metric({{"id", "top_k"}, {"k", k}}, logits, target, "top_" + std::to_string(k)), right / 50.0));
            if (k == 1)
                QVERIFY(near(metric("accuracy", logits, target, "accuracy"), right / 50.0));
        }
    }

    void ofEqualLogitsTheFirstCounts()
    {
        const at::Tensor logits = at::zeros({3, 3}), target = at::tensor({0, 1, 2}, at::kLong);
        QVERIFY(near(metric("accuracy", logits, target, "accuracy"), 1.0 / 3));
        QVERIFY(near(metric({{"id", "top_k"}, {"k", 2}}, logits, target, "top_2"), 2.0 / 3));
        QVERIFY(near(metric("accuracy", at::full({3, 3}, NAN), target, "accuracy"), 0));
    }

    void confusionMatrixAndF1ByHand()
    {
        // Truth 0 0 0 1 1 2, predicted 0 0 1 1 1 0.
        const at::Tensor target = at::tensor({0, 0, 0, 1, 1, 2}, at::kLong),
                         logits = at::one_hot(at::tensor({0, 0, 1, 1, 1, 0}, at::kLong), 3).to(at::kFloat);
        const auto confusion = train::makeMetric("confusion_matrix");
        confusion->add({logits, target, 0, 0});
        QVERIFY(confusion->detail() == Json::parse(R"({"counts": [[2, 1, 0], [0, 2, 0], [1, 0, 0]]})"));
        // F1: 2*2/(3+3), 2*2/(3+2), 0.
        const double zero = 2.0 / 3, one = 0.8;
        QVERIFY(near(metric("f1", logits, target, "f1"), (zero + one) / 3));
        QVERIFY(near(metric({{"id", "f1"}, {"average", "micro"}}, logits, target, "f1"), 4.0 / 6));
        QVERIFY(near(metric({{"id", "f1"}, {"average", "per_class"}}, logits, target, "f1_1"), one));
    }

    void rocAucEqualsAllPairs_data()
    {
        QTest::addColumn<int>("levels");
        QTest::newRow("no ties") << 1000000;
        QTest::newRow("many ties") << 5;
        QTest::newRow("all tied") << 1;
    }
    void rocAucEqualsAllPairs()
    {
        QFETCH(int, levels);
        const at::Tensor scores = randomClasses(80, levels, 5).to(at::kDouble), target = randomClasses(80, 2, 6);
        double wins = 0, pairs = 0;
        for (int i = 0; i < 80; ++i)
            for (int j = 0; j < 80; ++j)
                if (target[i].item<std::int64_t>() == 1 && target[j].item<std::int64_t>() == 0) {
                    const double a = scores[i].item<double>(), b = scores[j].item<double>();
                    wins += a > b ? 1 : a == b ? 0.5 : 0;
                    ++pairs;
                }
        QVERIFY(near(metric("roc_auc", scores, target, "roc_auc"), wins / pairs));
        QVERIFY(near(metric("roc_auc", at::stack({at::zeros_like(scores), scores}, 1), target, "roc_auc"), wins / pairs));
    }

    void rocAucOfManyClassesIsTheMeanOfOneAgainstTheRest()
    {
        const at::Tensor logits = random({60, 3}, 7), target = randomClasses(60, 3, 8), probability = logits.to(at::kDouble).softmax(1);
        double sum = 0;
        for (int c = 0; c < 3; ++c)
            sum += metric("roc_auc", probability.select(1, c), target.eq(c).to(at::kLong), "roc_auc");
        QVERIFY(near(metric("roc_auc", logits, target, "roc_auc"), sum / 3));
        QVERIFY(std::isnan(metric("roc_auc", logits, at::zeros({60}, at::kLong), "roc_auc")));
    }

    void regressionMetricsByHand()
    {
        const at::Tensor target = random({40}, 9).to(at::kDouble) * 3 + 1e6, output = target + random({40}, 10);
        const at::Tensor error = output - target;
        QVERIFY(near(metric("mae", output.unsqueeze(1), target, "mae"), error.abs().mean().item<double>()));
        QVERIFY(near(metric("rmse", output, target, "rmse"), std::sqrt(error.square().mean().item<double>())));
        const double r2 = 1 - error.square().sum().item<double>() / (target - target.mean()).square().sum().item<double>();
        QVERIFY(near(metric("r2", output, target, "r2"), r2, 1e-9));
        QVERIFY(std::isnan(metric("r2", at::ones({3}), at::ones({3}), "r2")));
        // Two outputs of different level: the means alone explain nothing. As sklearn.metrics.r2_score, "uniform_average".
        const at::Tensor two = at::stack({target - 1e6, target}, 1), means = two.mean(0).expand({40, 2});
        QVERIFY(near(metric("r2", means, two, "r2"), 0, 1e-6));
        const at::Tensor mixed = at::stack({two.select(1, 0), means.select(1, 1)}, 1);
        QVERIFY(near(metric("r2", mixed, two, "r2"), 0.5, 1e-6));
    }

    void uniformGuessesCostLog2OfTheClasses()
    {
        QVERIFY(near(metric("bits_per_character", at::zeros({4, 5, 256}), at::zeros({4, 5}, at::kLong), "bits_per_character"), 8, 1e-6));
    }

    void lossIsWeightedByTheSizeOfTheBatches()
    {
        const auto loss = train::makeMetric("loss");
        loss->add({{}, {}, 1.0, 30});
        loss->add({{}, {}, 4.0, 10});
        QVERIFY(near(loss->values()[0].second, 1.75));
    }

    void coloursAreMeasuredInDecibels()
    {
        const at::Tensor colours = at::full({7, 3}, 0.4);
        QVERIFY(near(metric("psnr", colours, colours + 0.1, "psnr"), 20, 1e-4));
        QVERIFY(near(metric("psnr", colours, colours, "psnr"), 120, 1e-9));
        const auto loss = train::makeLoss("photometric");
        QVERIFY(near(loss.mean(colours, colours + 0.1).item<double>(), 0.01, 1e-6));
        QCOMPARE(loss.report(0.01)[0].first, std::string("psnr"));
        QVERIFY(near(loss.report(0.01)[0].second, 20, 1e-9));
        QCOMPARE(errorOf([] {
                     train::makeLoss("photometric").mean(at::zeros({2, 3}), at::zeros({2}));
                 }),
                 QString("photometric: expected colours and target of one shape, got [2, 3] and [2]"));
    }

    /// Row b58. By hand: log(1 + e^-2), log(1 + e^1) and log(1 + e^3), the last one of a label that is there.
    void missingLabelsGiveNeitherLossNorGradient()
    {
        const double none = std::nan("");
        const at::Tensor logits = at::tensor({2.0, 7.0, 1.0, -3.0, 400.0, 0.5}, at::kDouble).view({2, 3}).requires_grad_(),
                         target = at::tensor({1.0, none, 0.0, 1.0, none, none}, at::kDouble).view({2, 3});
        const double expected = (std::log1p(std::exp(-2.0)) + std::log1p(std::exp(1.0)) + std::log1p(std::exp(3.0))) / 3;
        const auto loss = train::makeLoss("masked_binary_cross_entropy");
        const at::Tensor mean = loss.mean(logits, target);
        QVERIFY(near(mean.item<double>(), expected));
        QCOMPARE(loss.count(logits, target), std::int64_t(3));
        mean.backward();
        const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
        const at::Tensor gradient =
            at::tensor({(sigmoid(2) - 1) / 3, 0.0, sigmoid(1) / 3, (sigmoid(-3) - 1) / 3, 0.0, 0.0}, at::kDouble).view({2, 3});
        QVERIFY(at::allclose(logits.grad(), gradient, 1e-12, 1e-14));
        QCOMPARE(logits.grad()[0][1].item<double>(), 0.0);
        // Present labels may weigh more.
        const auto weighted = train::makeLoss({{"id", "masked_binary_cross_entropy"}, {"pos_weight", 4.0}});
        QVERIFY(near(weighted.mean(logits, target).item<double>(),
                     (4 * std::log1p(std::exp(-2.0)) + std::log1p(std::exp(1.0)) + 4 * std::log1p(std::exp(3.0))) / 3));
    }

    void aBatchWithoutAKnownLabelChangesNothing()
    {
        const at::Tensor logits = random({4, 2}, 3).requires_grad_(), target = at::full({4, 2}, std::nan(""));
        const auto loss = train::makeLoss("masked_binary_cross_entropy");
        const at::Tensor mean = loss.mean(logits, target);
        QCOMPARE(mean.item<double>(), 0.0);
        QCOMPARE(loss.count(logits, target), std::int64_t(0));
        mean.backward();
        QVERIFY(at::equal(logits.grad(), at::zeros({4, 2})));
        QCOMPARE(errorOf([&] { loss.mean(logits, target.slice(1, 0, 1)); }),
                 QString("masked_binary_cross_entropy: expected one logit a label, got [4, 2] logits for [4, 1] labels"));
    }

    void areasUnderTheCurveCountKnownLabelsAlone()
    {
        const at::Tensor scores = random({60, 3}, 21).to(at::kDouble);
        at::Tensor target = random({60, 3}, 22).gt(0.3).to(at::kDouble);
        target.masked_fill_(random({60, 3}, 23).gt(0.4), std::nan(""));
        target.select(1, 2).masked_fill_(target.select(1, 2).eq(1), 0.0);  // the third label is never there
        double sum = 0;
        for (int label = 0; label < 2; ++label) {
            double wins = 0, pairs = 0;
            for (int i = 0; i < 60; ++i)
                for (int j = 0; j < 60; ++j)
                    if (target[i][label].item<double>() == 1 && target[j][label].item<double>() == 0) {
                        pairs += 1;
                        wins += scores[i][label].item<double>() > scores[j][label].item<double>();
                    }
            const Json document{{"id", "label_auc"}, {"labels", {"mass", "nodule", "hernia"}}};
            QVERIFY(near(metric(document, scores, target, label ? "auc_nodule" : "auc_mass"), wins / pairs));
            sum += wins / pairs;
        }
        QVERIFY(near(metric("label_auc", scores, target, "auc"), sum / 2));
        QVERIFY(std::isnan(metric("label_auc", scores, target, "auc_2")));
        QCOMPARE(errorOf([&] {
                     metric({{"id", "label_auc"}, {"labels", {"mass"}}}, scores, target, "");
                 }),
                 QString("label_auc: expected 1 labels, as it has names, got 3"));
    }

    void nothingAddedIsNan()
    {
        for (const std::string& id : train::metrics().ids())
            for (const auto& [name, value] : train::makeMetric(id)->values())
                QVERIFY2(std::isnan(value), name.c_str());
    }

    void targetsThatAreNoClassAreRefused()
    {
        QCOMPARE(errorOf([] {
                     metric("accuracy", at::zeros({2, 3}), at::tensor({0, 3}, at::kLong), "");
                 }),
                 QString("accuracy: expected targets in 0..2, got 0..3"));
        QCOMPARE(errorOf([] {
                     metric("f1", at::zeros({2, 3}), at::zeros({2, 1}, at::kLong), "");
                 }),
                 QString("f1: expected output [..., class] and target [...], got [2, 3] and [2, 1]"));
    }
};

QTEST_APPLESS_MAIN(LossMetricTest)
#include "loss_metric_test.moc"
