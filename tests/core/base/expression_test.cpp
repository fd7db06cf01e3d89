#include <QtTest>

#include <cmath>

#include <core/base/error.h>
#include <core/base/expression.h>

using namespace orrery;

namespace {

QString failure(const std::string& text, const std::set<std::string>& names = {})
{
    try {
        core::evaluate(core::parseExpression(text, names), {});
    } catch (const core::InputError& error) {
        return QString::fromUtf8(error.what());
    }
    return "nothing was thrown";
}

}  // namespace

class ExpressionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void valuesAreThoseOfArithmetic_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<double>("expected");
        QTest::newRow("precedence") << "1 + 2 * 3 - 4 / 8" << 6.5;
        QTest::newRow("left to right") << "10 - 4 - 3" << 3.0;
        QTest::newRow("division goes left to right") << "24 / 4 / 3" << 2.0;
        QTest::newRow("parentheses") << "(1 + 2) * (3 - 5)" << -6.0;
        QTest::newRow("power is right-associative") << "2 ^ 3 ^ 2" << 512.0;
        QTest::newRow("power before sign") << "-2 ^ 2" << -4.0;
        QTest::newRow("sign in an exponent") << "2 ^ -1" << 0.5;
        QTest::newRow("several signs") << "--+-3" << -3.0;
        QTest::newRow("variables") << "x * x.mean - logit[ 7 ]" << 3.0 * 0.5 - 11.0;
        QTest::newRow("numbers") << ".5 + 1.25e1 + 2E-1" << 13.2;
        QTest::newRow("relu") << "relu(-3) + relu(2)" << 2.0;
        QTest::newRow("sigmoid") << "sigmoid(0) + tanh(0)" << 0.5;
        QTest::newRow("sigmoid far out") << "sigmoid(-1000)" << 0.0;
        QTest::newRow("exp and log") << "log(exp(2)) + sqrt(9)" << 5.0;
        QTest::newRow("abs and sign") << "abs(-4) * sign(-0.1)" << -4.0;
        QTest::newRow("min and max of several") << "min(3, 1, 2) + max(3, 1, 2) + max(7)" << 11.0;
        QTest::newRow("clamp") << "clamp(5, 0, 2) + clamp(-5, 0, 2) + clamp(1, 0, 2)" << 3.0;
        QTest::newRow("infinite") << "1 / 0" << double(INFINITY);
    }
    void valuesAreThoseOfArithmetic()
    {
        QFETCH(QString, text);
        QFETCH(double, expected);
        const auto expression = core::parseExpression(text.toStdString());
        QCOMPARE(core::evaluate(expression, {{"x", 3.0}, {"x.mean", 0.5}, {"logit[7]", 11.0}}), expected);
    }

    void nanGoesThrough()
    {
        for (const char* text : {"relu(n)", "min(1, n)", "max(n, 1)", "clamp(n, 0, 1)", "sign(n)", "log(-1)", "n ^ 2"})
            QVERIFY2(std::isnan(core::evaluate(core::parseExpression(text), {{"n", std::nan("")}})), text);
    }

    void errorsSayTheColumn_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("part");
        QTest::newRow("empty") << ""
                               << "column 1: expected a number, a name or \"(\", found the end";
        QTest::newRow("blank") << "   "
                               << "column 4: expected a number";
        QTest::newRow("open end") << "1 + "
                                  << "column 5: expected a number, a name or \"(\", found the end";
        QTest::newRow("open parenthesis") << "(1 + 2"
                                          << "column 7: expected an operator or \")\", found the end";
        QTest::newRow("closed too often") << "1 + 2)"
                                          << "column 6: expected an operator or the end, found \")\"";
        QTest::newRow("two numbers") << "1 2"
                                     << "column 3: expected an operator or the end";
        QTest::newRow("odd character") << "x $ 2"
                                       << "column 3: expected an operator or the end, found \"$\"";
        QTest::newRow("unknown name") << "x + sorce"
                                      << "column 5: unknown name \"sorce\"; did you mean \"source\"?";
        QTest::newRow("unknown function") << "1 + relux(2)"
                                          << "column 5: unknown function \"relux\"; did you mean \"relu\"?";
        QTest::newRow("too few arguments") << "clamp(1, 2)"
                                           << "column 1: clamp takes 3 arguments, got 2";
        QTest::newRow("too many arguments") << "exp(1, 2)"
                                            << "exp takes 1 argument, got 2";
        QTest::newRow("no argument") << "max()"
                                     << "column 5: expected a number";
        QTest::newRow("huge number") << "1e999"
                                     << "column 1: expected a number that fits into double precision";
        QTest::newRow("no value") << "x"
                                  << "\"x\" has no value";
        QTest::newRow("open index") << "x[3"
                                    << "column 2: expected an index";
        QTest::newRow("deep") << QString(500, '(') + "1"
                              << "nested deeper than 200 levels";
        QTest::newRow("many signs") << QString(500, '-') + "1"
                                    << "nested deeper than 200 levels";
        QTest::newRow("long") << QString(20000, '1') << "expected at most 10000 characters, got 20000";
    }
    void errorsSayTheColumn()
    {
        QFETCH(QString, text);
        QFETCH(QString, part);
        const auto message = failure(text.toStdString(), {"x", "source"});
        QVERIFY2(message.contains(part), qPrintable(message));
    }

    void namesItsVariables()
    {
        const auto expression = core::parseExpression("clean.kl / max(a, b) + a");
        QCOMPARE(expression.variables(), (std::set<std::string>{"a", "b", "clean.kl"}));
    }
};

QTEST_APPLESS_MAIN(ExpressionTest)
#include "expression_test.moc"
