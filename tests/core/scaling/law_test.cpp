// Laws: values by hand, gradients against central differences, coordinates that give the parameters back.
#include <QTest>

#include <core/scaling/differentiable_expression.h>

#include "../message_of.h"
#include "scaling_test_support.h"

using namespace orrery;
using namespace orrery::scaling;
using core::Json;

class LawTest : public QObject {
    Q_OBJECT

    struct Case {
        const char* name;
        Json law;
        std::vector<std::string> columns;
        std::vector<double> parameters;
        std::vector<std::vector<double>> inputs;
    };
    static std::vector<Case> cases()
    {
        const std::vector<std::vector<double>> one = {{1e3, 2e4, 5e5, 1e7}};
        return {{"power_law", "power_law", {}, {12, 0.31}, one},
                {"power_law_floor", "power_law_floor", {}, {12, 0.31, 0.7}, one},
                {"chinchilla", "chinchilla", {}, kPublished, sizesByData(3, 3)},
                {"broken_law", "broken_law", {}, {0.5, 30, 0.1, 0.4, 3e4, 0.6}, one},
                {"sharp break", "broken_law", {}, {0.5, 30, 0.4, -0.3, 1e5, 0.05}, one},
                {"expression",
                 {{"id", "expression"}, {"text", "c + A * (1 + n / k) ^ (-b) + relu(m * log(n) - 5)"}, {"ranges", {{"m", {-1, 2}}}}},
                 {"n"},
                 {3, 0.2, 1.5, 2000, 0.7},
                 one}};
    }
private Q_SLOTS:
    void valuesAreThoseByHand()
    {
        const auto value = [](const Json& law, const std::vector<double>& parameters, const std::vector<double>& at) {
            return makeLaw(law)->at(parameters, at);
        };
        QVERIFY(relativeError(value("power_law", {3, 0.5}, {16}), 0.75) < 1e-15);
        QVERIFY(relativeError(value("power_law_floor", {3, 0.5, 2}, {16}), 2.75) < 1e-15);
        // 1.69 + 406.4 / 70e9^0.34 + 410.7 / 1.4e12^0.28: the model Chinchilla itself.
        QVERIFY(relativeError(value("chinchilla", kPublished, {70e9, 1.4e12}), 1.69 + 406.4 / std::pow(70e9, 0.34) + 410.7 / std::pow(1.4e12, 0.28)) <
                1e-14);
        QVERIFY(relativeError(value("broken_law", {0.5, 8, 1, 2, 4, 0.5}, {4}), 0.5 + 8 / 4.0 / 2) < 1e-14);  // (1 + 1)^(-2 * 0.5)
    }

    void gradientsAreCentralDifferences_data()
    {
        QTest::addColumn<int>("index");
        for (int i = 0; i < int(cases().size()); ++i)
            QTest::newRow(cases()[std::size_t(i)].name) << i;
    }
    void gradientsAreCentralDifferences()
    {
        QFETCH(int, index);
        const auto test = cases()[std::size_t(index)];
        const auto law = makeLaw(test.law, test.columns);
        const Rows rows = makeRows(test.inputs);
        const auto at = law->coordinatesOf(test.parameters, rows.centre);
        const std::size_t count = at.size();
        std::vector<double> values(rows.count), gradient(rows.count * count), above(rows.count), below(rows.count);
        law->evaluate(rows, at.data(), values.data(), gradient.data());
        for (std::size_t k = 0; k < count; ++k) {
            const double step = 1e-6 * std::max(1.0, std::abs(at[k]));
            auto moved = at;
            moved[k] = at[k] + step;
            law->evaluate(rows, moved.data(), above.data(), nullptr);
            moved[k] = at[k] - step;
            law->evaluate(rows, moved.data(), below.data(), nullptr);
            for (std::size_t row = 0; row < rows.count; ++row)
                QVERIFY2(std::abs((above[row] - below[row]) / (2 * step) - gradient[row * count + k]) < 1e-8 * std::max(1.0, std::abs(values[row])),
                         qPrintable(QString("coordinate %1, row %2").arg(k).arg(row)));
        }
    }

    void coordinatesGiveTheParametersBack()
    {
        for (const auto& test : cases()) {
            const auto law = makeLaw(test.law, test.columns);
            const Rows rows = makeRows(test.inputs);
            const auto back = law->parametersOf(law->coordinatesOf(test.parameters, rows.centre), rows.centre);
            QCOMPARE(back.size(), test.parameters.size());
            for (std::size_t k = 0; k < back.size(); ++k)
                QVERIFY2(relativeError(back[k], test.parameters[k]) < 1e-13, test.name);
        }
    }

    void everyStartIsFiniteAndEveryRangeIsOne()
    {
        for (const auto& test : cases()) {
            const auto law = makeLaw(test.law, test.columns);
            const Rows rows = makeRows(test.inputs);
            const auto loss = law->predict(test.parameters, test.inputs);
            const auto starts = law->grid(rows, loss);
            QVERIFY(starts.size() >= 7);
            for (const auto& start : starts)
                for (const double coordinate : law->coordinatesOf(start, rows.centre))
                    QVERIFY2(std::isfinite(coordinate), test.name);
            QCOMPARE(law->coordinateRanges(rows, loss).size(), test.parameters.size());
            for (const auto& [low, high] : law->coordinateRanges(rows, loss))
                QVERIFY2(low < high, test.name);
        }
        // As in the paper: 5 x 6 x 6 x 5 x 5.
        const auto law = makeLaw("chinchilla");
        QCOMPARE(law->grid(makeRows(sizesByData(2, 2)), std::vector<double>{3, 3, 3, 3}).size(), std::size_t(4500));
    }

    void expressionsAreDifferentiated_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<double>("byX");
        QTest::addColumn<double>("byY");
        const double x = 0.7, y = 1.9;
        QTest::newRow("sum") << "x + 3 * y - x" << 0.0 << 3.0;
        QTest::newRow("product") << "x * y" << y << x;
        QTest::newRow("quotient") << "x / y" << 1 / y << -x / (y * y);
        QTest::newRow("power") << "x ^ y" << y * std::pow(x, y - 1) << std::pow(x, y) * std::log(x);
        QTest::newRow("square") << "-(x - y) ^ 2" << -2 * (x - y) << 2 * (x - y);
        QTest::newRow("exp") << "exp(x * y)" << y * std::exp(x * y) << x * std::exp(x * y);
        QTest::newRow("log") << "log(x + y)" << 1 / (x + y) << 1 / (x + y);
        QTest::newRow("sqrt") << "sqrt(x)" << 0.5 / std::sqrt(x) << 0.0;
        QTest::newRow("tanh") << "tanh(y)" << 0.0 << 1 - std::tanh(y) * std::tanh(y);
        QTest::newRow("sigmoid") << "sigmoid(x)" << std::exp(-x) / std::pow(1 + std::exp(-x), 2) << 0.0;
        QTest::newRow("kinks") << "relu(x) + relu(-y) + abs(x - y) + sign(x)" << 0.0 << 1.0;
        QTest::newRow("smallest, largest") << "min(x, y, 5) + 2 * max(x, y, 1)" << 1.0 << 2.0;
        QTest::newRow("clamped inside") << "clamp(x, 0, y)" << 1.0 << 0.0;
        QTest::newRow("clamped above") << "clamp(5, 0, y)" << 0.0 << 1.0;
        QTest::newRow("used twice") << "x * x * x" << 3 * x * x << 0.0;
    }
    void expressionsAreDifferentiated()
    {
        QFETCH(QString, text);
        QFETCH(double, byX);
        QFETCH(double, byY);
        const auto expression = core::parseExpression(text.toStdString());
        const DifferentiableExpression compiled(expression, {"x", "y"});
        DifferentiableExpression::Workspace workspace;
        const double variables[] = {0.7, 1.9};
        double gradient[2];
        const double value = compiled.evaluate(variables, gradient, workspace);
        QVERIFY(std::abs(value - core::evaluate(expression, {{"x", 0.7}, {"y", 1.9}})) < 1e-14);
        QVERIFY2(std::abs(gradient[0] - byX) < 1e-13 && std::abs(gradient[1] - byY) < 1e-13,
                 qPrintable(QString("%1 %2").arg(gradient[0]).arg(gradient[1])));
    }

    void badLawsAreRefused_data()
    {
        QTest::addColumn<QString>("law");
        QTest::addColumn<QString>("message");
        QTest::newRow("unknown") << R"("chinchila")"
                                 << "did you mean \"chinchilla\"?";
        QTest::newRow("no text") << R"({"id": "expression"})"
                                 << "text: ";
        QTest::newRow("syntax") << R"({"id": "expression", "text": "E + A / "})"
                                << "column 9: expected a number, a name or \"(\", found the end";
        QTest::newRow("no column") << R"({"id": "expression", "text": "E + A"})"
                                   << "expected the name of a column in it; there are N, D";
        QTest::newRow("nothing to fit") << R"({"id": "expression", "text": "N + 1"})"
                                        << "expected 1 to 16 names that are no columns, to be fitted; got 0";
        QTest::newRow("range of nothing") << R"({"id": "expression", "text": "E + A / N", "ranges": {"B": [1, 2]}})"
                                          << "\"B\" is no parameter";
        QTest::newRow("range upside down") << R"({"id": "expression", "text": "E + A / N", "ranges": {"A": [2, 1]}})"
                                           << "range of \"A\": expected [low, high] with low < high, got [2,1]";
        QTest::newRow("unknown setting") << R"({"id": "power_law", "flor": 1})"
                                         << "flor: unknown key";
    }
    void badLawsAreRefused()
    {
        QFETCH(QString, law);
        QFETCH(QString, message);
        const auto said = saidBy([&] { makeLaw(Json::parse(law.toStdString()), {"N", "D"}); });
        QVERIFY2(said.contains(message), qPrintable(said));
    }
};

QTEST_APPLESS_MAIN(LawTest)
#include "law_test.moc"
