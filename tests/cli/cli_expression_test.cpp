// orrery-cli expression: formulas rewritten and differentiated as text and JSON, models that other commands run, curves, wrong arguments.
#include <cmath>

#include "cli_runner.h"

using namespace orrery;
using core::Json;

class CliExpressionTest : public QObject {
    Q_OBJECT
    test::Cli m_cli;
private Q_SLOTS:
    void valuesRulesAndDerivativesAsJson()
    {
        const auto document = m_cli.json(
            {"expression", "log(1 + exp(x)) + x * x + x * x", "--at", "x=[0.5, -1]", "--derivative", "x", "--derivative", "x,x", "--rewrite"});
        const auto value = [](double x) { return std::log1p(std::exp(x)) + 2 * x * x; };
        QVERIFY(std::abs(document.at("value")[0].get<double>() - value(0.5)) < 1e-14);
        QVERIFY(std::abs(document.at("value")[1].get<double>() - value(-1)) < 1e-14);
        QCOMPARE(document.at("operations").get<int>(), 7);
        QCOMPARE(document.at("rewritten").at("operations").get<int>(), 4);
        QCOMPARE(document.at("rewritten").at("lines")[0].get<std::string>(), std::string("value = softplus(x) + 2 * x^2"));
        QVERIFY(document.at("rewritten").at("largest_difference").get<double>() < 1e-15);
        const auto& slopes = document.at("derivatives");
        QCOMPARE(slopes.size(), std::size_t(2));
        const double logistic = 1 / (1 + std::exp(-0.5));
        QVERIFY(std::abs(slopes[0].at("value")[0].get<double>() - (logistic + 2)) < 1e-14);
        QCOMPARE(slopes[1].at("name").get<std::string>(), std::string("d_x_x"));
        QVERIFY(std::abs(slopes[1].at("value")[0].get<double>() - (logistic * (1 - logistic) + 4)) < 1e-13);
        QVERIFY(slopes[1].at("central_differences").at("largest_difference").get<double>() < 1e-6);
    }

    void itWritesAModelThatOthersRunAndACurve()
    {
        m_cli.writeArray("x.npy", at::tensor({1.0, 2.0, 3.0}, at::kDouble));
        const auto answer = m_cli.compute({"expression", "sum(x^2) * s", "--at", "x=x.npy", "--at", "s=2", "--derivative", "x", "--derivative", "s",
                                           "--rewrite", "--out", "f.safetensors", "--plot", "s=-1:1", "--svg", "curve.svg"});
        QVERIFY2(answer.status == 0, qPrintable(answer.error));
        for (const char* text : {"formula (3 operations)", "value       28", "d_x", "central differences of 3 elements", "model       f.safetensors"})
            QVERIFY2(answer.out.contains(text), qPrintable(answer.out));
        QVERIFY(m_cli.read("curve.svg").find("d_s") != std::string::npos);
        m_cli.writeArray("s.npy", at::tensor({2.0}, at::kDouble));
        const auto run = m_cli.compute({"forward", "f.safetensors", "--input", "x=x.npy", "--input", "s=s.npy", "--out", "y.npy"});
        QVERIFY2(run.status == 0, qPrintable(run.error));
        QVERIFY(at::allclose(m_cli.array("y.npy").reshape({-1})[0], at::tensor(28.0, at::kDouble)));
    }

    void wrongArgumentsAreRefused_data()
    {
        QTest::addColumn<QStringList>("arguments");
        QTest::addColumn<QString>("message");
        QTest::newRow("formula") << QStringList{"x +"} << "column 4";
        QTest::newRow("value") << QStringList{"x"} << "the variable \"x\" has no value";
        QTest::newRow("assignment") << QStringList{"x", "--at", "x"} << "--at: expected NAME=VALUE, got \"x\"";
        QTest::newRow("twice") << QStringList{"x", "--at", "x=1", "--at", "x=2"} << "\"x\" is given twice";
        QTest::newRow("shapes") << QStringList{"x * y", "--at", "x=[1,2]", "--at", "y=[1,2,3]"} << "axis 1 from the right has 2 and 3 elements";
        QTest::newRow("by") << QStringList{"x", "--at", "x=1", "--derivative", "q"} << "no variable \"q\"";
        QTest::newRow("file") << QStringList{"x", "--at", "x=gone.npy"} << "gone.npy";
        QTest::newRow("range") << QStringList{"x", "--at", "x=1", "--plot", "x=3", "--svg", "c.svg"} << "--plot: expected NAME=FROM:TO";
        QTest::newRow("svg alone") << QStringList{"x", "--at", "x=1", "--svg", "c.svg"} << "both --plot NAME=FROM:TO and --svg";
    }
    void wrongArgumentsAreRefused()
    {
        QFETCH(QStringList, arguments);
        QFETCH(QString, message);
        VERIFY_REFUSED(m_cli.compute(QStringList{"expression"} + arguments), 2, message);
    }
};

QTEST_APPLESS_MAIN(CliExpressionTest)
#include "cli_expression_test.moc"
