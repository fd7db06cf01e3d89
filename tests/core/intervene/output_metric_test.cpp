#include <ATen/ATen.h>

#include <cmath>

#include <core/base/error.h>
#include <core/intervene/output_metric.h>

#include <QTest>

using namespace orrery;
using intervene::BoundMetric;
using intervene::MetricReference;

namespace {

const std::vector<double> kClean = {2.0, 0.5, -1.0, 0.25}, kCorrupted = {-0.5, 1.5, 0.75, 0.0}, kRun = {0.25, 1.0, -2.0, 3.0};

MetricReference reference()
{
    return {at::tensor(kClean), at::tensor(kCorrupted)};
}

double probability(const std::vector<double>& logits, std::size_t index)
{
    double sum = 0;
    for (const double logit : logits)
        sum += std::exp(logit);
    return std::exp(logits[index]) / sum;
}

double divergence(const std::vector<double>& from, const std::vector<double>& to)
{
    double sum = 0;
    for (std::size_t i = 0; i < from.size(); ++i)
        sum += probability(from, i) * std::log(probability(from, i) / probability(to, i));
    return sum;
}

double valueOf(core::Json document, const std::vector<double>& logits = kRun)
{
    document["normalised"] = false;
    return BoundMetric(document, reference())(at::tensor(logits).unsqueeze(0))[0].item<double>();
}

QString failure(const core::Json& document, const MetricReference& runs = reference())
{
    try {
        BoundMetric(document, runs);
    } catch (const core::Error& error) {
        return QString::fromUtf8(error.what());
    }
    return "nothing was thrown";
}

}  // namespace

class OutputMetricTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void valuesAreTheirFormulas_data();
    void valuesAreTheirFormulas();
    void answersDefaultToWhatTheRunsSay();
    void normalisedMetricsAreOneAndZeroForTheTwoRuns_data();
    void normalisedMetricsAreOneAndZeroForTheTwoRuns();
    void divergenceSkipsClassesWithoutProbability();
    void badParametersAreNamed_data();
    void badParametersAreNamed();
    void runsThatAgreeCannotBeNormalised();
    void nanIsRefused();
    void positionsCountFromBothEnds();
};

void OutputMetricTest::valuesAreTheirFormulas_data()
{
    QTest::addColumn<QString>("document");
    QTest::addColumn<double>("expected");
    const auto row = [](const char* name, const char* document, double expected) { QTest::newRow(name) << QString(document) << expected; };
    row("logit difference", R"({"id": "logit_difference", "answer": 3, "wrong": 1})", 3.0 - 1.0);
    row("probability", R"({"id": "probability", "answer": 1})", probability(kRun, 1));
    row("log probability", R"({"id": "log_probability", "answer": 2})", std::log(probability(kRun, 2)));
    row("kl", R"({"id": "kl"})", divergence(kClean, kRun));
    row("expression of logits", R"({"id": "expression", "expression": "2 * logit[3] - logit[0] ^ 2"})", 2 * 3.0 - 0.25 * 0.25);
    row("expression of probabilities", R"({"id": "expression", "expression": "p[3] / clean.p[0] + corrupted.logit[1]"})",
        probability(kRun, 3) / probability(kClean, 0) + 1.5);
    row("expression of log probabilities", R"_({"id": "expression", "expression": "max(logprob[0], -100)"})_", std::log(probability(kRun, 0)));
}

void OutputMetricTest::valuesAreTheirFormulas()
{
    QFETCH(QString, document);
    QFETCH(double, expected);
    QVERIFY(std::abs(valueOf(core::Json::parse(document.toStdString())) - expected) < 1e-12);
}

void OutputMetricTest::answersDefaultToWhatTheRunsSay()
{
    const auto document = intervene::resolvedMetric("logit_difference", reference());
    QCOMPARE(document["answer"].get<int>(), 0);
    QCOMPARE(document["wrong"].get<int>(), 1);
    // The corrupted run says the same: the largest other class is taken.
    const auto same = intervene::resolvedMetric("logit_difference", {at::tensor(kClean), at::tensor({5.0, 1.0, 2.0, 0.0})});
    QCOMPARE(same["answer"].get<int>(), 0);
    QCOMPARE(same["wrong"].get<int>(), 2);
}

void OutputMetricTest::normalisedMetricsAreOneAndZeroForTheTwoRuns_data()
{
    QTest::addColumn<QString>("document");
    for (const auto& component : intervene::outputMetrics().components())
        QTest::newRow(component.id.c_str()) << QString::fromStdString(
            component.id == "expression" ? R"({"id": "expression", "expression": "logit[0] - p[1]"})" : R"({"id": ")" + component.id + "\"}");
}

void OutputMetricTest::normalisedMetricsAreOneAndZeroForTheTwoRuns()
{
    QFETCH(QString, document);
    const BoundMetric metric(core::Json::parse(document.toStdString()), reference());
    QVERIFY(metric.isNormalised());
    const auto values = metric(at::stack({at::tensor(kClean), at::tensor(kCorrupted)}));
    QVERIFY(std::abs(values[0].item<double>() - 1) < 1e-12);
    QVERIFY(std::abs(values[1].item<double>()) < 1e-12);
    // In between it is linear in the metric itself.
    const double own = valueOf(metric.document());
    const double expected = (own - metric.corrupted()) / (metric.clean() - metric.corrupted());
    QVERIFY(std::abs(metric(at::tensor(kRun).unsqueeze(0))[0].item<double>() - expected) < 1e-12);
}

void OutputMetricTest::divergenceSkipsClassesWithoutProbability()
{
    const double infinity = std::numeric_limits<double>::infinity();
    const MetricReference runs{at::tensor({0.0, -infinity, 0.0}), at::tensor({1.0, 0.0, 0.0})};
    const BoundMetric metric({{"id", "kl"}, {"normalised", false}}, runs);
    const auto value = metric(at::tensor({0.0, -infinity, 0.0}).unsqueeze(0))[0].item<double>();
    QCOMPARE(value, 0.0);
}

void OutputMetricTest::badParametersAreNamed_data()
{
    QTest::addColumn<QString>("document");
    QTest::addColumn<QString>("message");
    QTest::newRow("unknown metric") << R"({"id": "logit_diference"})"
                                    << "did you mean \"logit_difference\"?";
    QTest::newRow("class out of range") << R"({"id": "probability", "answer": 4})"
                                        << "probability.answer: expected a class from 0 to 3, got 4";
    QTest::newRow("negative class") << R"({"id": "probability", "answer": -1})"
                                    << "expected an integer >= 0 or null, got -1";
    QTest::newRow("unknown parameter") << R"({"id": "kl", "answr": 1})"
                                       << "answr";
    QTest::newRow("no formula") << R"({"id": "expression"})"
                                << "expression";
    QTest::newRow("unknown name") << R"({"id": "expression", "expression": "logits[1]"})"
                                  << "unknown name \"logits[1]\"";
    QTest::newRow("index out of range") << R"({"id": "expression", "expression": "logit[4]"})"
                                        << "expected a class from 0 to 3";
    QTest::newRow("no index") << R"({"id": "expression", "expression": "logit"})"
                              << "logit[class]";
    QTest::newRow("not finite") << R"_({"id": "expression", "expression": "log(logit[2])"})_"
                                << "gives nan";
}

void OutputMetricTest::badParametersAreNamed()
{
    QFETCH(QString, document);
    QFETCH(QString, message);
    const auto text = failure(core::Json::parse(document.toStdString()));
    QVERIFY2(text.contains(message), qPrintable(text));
}

void OutputMetricTest::runsThatAgreeCannotBeNormalised()
{
    const MetricReference same{at::tensor(kClean), at::tensor(kClean)};
    QVERIFY2(failure("probability", same).contains("nothing to normalise by"), qPrintable(failure("probability", same)));
    QCOMPARE(failure({{"id", "probability"}, {"normalised", false}}, same), "nothing was thrown");
}

void OutputMetricTest::nanIsRefused()
{
    const MetricReference broken{at::tensor({std::nan(""), 1.0}), at::tensor({0.0, 1.0})};
    const auto text = failure({{"id", "probability"}, {"answer", 1}}, broken);
    QVERIFY2(text.contains("the clean run gives nan"), qPrintable(text));
}

void OutputMetricTest::positionsCountFromBothEnds()
{
    QCOMPARE(intervene::positionIndex(-1, 7), 6);
    QCOMPARE(intervene::positionIndex(2, 7), 2);
    QVERIFY_EXCEPTION_THROWN(intervene::positionIndex(7, 7), core::InputError);
    QVERIFY_EXCEPTION_THROWN(intervene::positionIndex(-8, 7), core::InputError);
    const auto output = at::arange(12.0).reshape({2, 3, 2});
    QVERIFY(at::equal(intervene::logitsAt(output, -1), at::tensor({4.0, 5.0, 10.0, 11.0}).reshape({2, 2}).to(output.scalar_type())));
    QVERIFY_EXCEPTION_THROWN(intervene::logitsAt(at::zeros({3}), 0), core::ShapeError);
}

QTEST_APPLESS_MAIN(OutputMetricTest)
#include "output_metric_test.moc"
