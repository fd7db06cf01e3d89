#include <core/debug/value_expression.h>

#include <core/debug/condition.h>

#include <QtTest>

#include "../message_of.h"

using namespace orrery;
using namespace orrery::debug;

namespace {

const at::Tensor& table()
{
    static const at::Tensor kTable = at::arange(24, at::kFloat).reshape({2, 3, 4});
    return kTable;
}

ValueScope scope()
{
    ValueScope scope;
    scope.exists = [](const std::string& name) {
        return name == "a.b" || name == "lstm:1" || name == "relu#2" || name == "cell[3]" || name == "cell";
    };
    scope.value = [](const std::string& name) {
        if (name == "a.b" || name == "lstm:1" || name == "relu#2")
            return table();
        if (name == "cell[3]")
            return at::tensor({5.f, 6.f});
        throw core::InputError("there is no value \"" + name + "\"");
    };
    return scope;
}

double valueOf(const char* text)
{
    return evaluateValue(text, scope()).to(at::kDouble).item<double>();
}

}  // namespace

class ValueExpressionTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void slicesAreThoseOfNumPy()
    {
        QVERIFY(at::equal(evaluateValue("a.b", scope()), table()));
        QVERIFY(at::equal(evaluateValue("a.b[1]", scope()), table()[1]));
        QVERIFY(at::equal(evaluateValue("a.b[-1, 2]", scope()), table()[1][2]));
        QVERIFY(at::equal(evaluateValue("lstm:1[..., 1:3]", scope()), table().slice(2, 1, 3)));
        QVERIFY(at::equal(evaluateValue("relu#2[:, ::2, -1]", scope()), table().slice(1, 0, 3, 2).select(2, 3)));
        QVERIFY(at::equal(evaluateValue("cell[3][1]", scope()), at::scalar_tensor(6.f)));
    }

    void arithmeticAndStatistics()
    {
        QVERIFY(std::isnan(valueOf("nan")) && std::isnan(valueOf("nan * 0")));
        QCOMPARE(valueOf("-inf"), -std::numeric_limits<double>::infinity());
        QCOMPARE(valueOf("max(a.b)"), 23.0);
        QCOMPARE(valueOf("mean(a.b[0, 0])"), 1.5);
        QCOMPARE(valueOf("std(a.b[0, 0])"), std::sqrt(1.25));
        QCOMPARE(valueOf("absmax(a.b - 20)"), 20.0);
        QCOMPARE(valueOf("zeros(a.b)"), 1 / 24.0);
        QCOMPARE(valueOf("a.b[0,0,3] * 2 - 1e-1"), 5.9);
        QCOMPARE(valueOf("norm(cell[3]) ^ 2"), 61.0);
        QCOMPARE(valueOf("max(max(cell[3]), 7)"), 7.0);
        QCOMPARE(valueOf("clamp(a.b[1,2,3], 0, 1.5)"), 1.5);
    }

    void autogradFollows()
    {
        ValueScope inRun = scope();
        at::Tensor leaf = table().clone().requires_grad_(true);
        inRun.value = [&](const std::string&) { return leaf; };
        evaluateValue("a.b[0,1,2] - mean(a.b)", inRun).backward();
        at::Tensor expected = at::full({2, 3, 4}, -1 / 24.0, at::kFloat);
        expected[0][1][2] += 1;
        QVERIFY(at::allclose(leaf.grad(), expected));
    }

    void namesMayHoldAnySign()
    {
        // As ONNX files have them: each is a value of its own.
        const std::vector<std::string> names = {"26_x", "7", "dense-1", "a(b", "odd \"one\"", "x=y[z", "y"};
        ValueScope given;
        given.exists = [&](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
        given.value = [&](const std::string& name) {
            const auto place = std::find(names.begin(), names.end(), name);
            if (place == names.end())
                throw core::InputError("there is no value \"" + name + "\"");
            return at::tensor({float(place - names.begin()), 10.f});
        };
        const auto first = [&](const std::string& text) { return evaluateValue(text, given).reshape({-1})[0].to(at::kDouble).item<double>(); };
        for (std::size_t i = 0; i < names.size(); ++i) {
            QCOMPARE(first(names[i]), double(i));
            QCOMPARE(first(names[i] + "[1]"), 10.0);
            QCOMPARE(valuesOf(names[i] + "[1]", given.exists), (std::vector<std::string>{names[i]}));
            QCOMPARE(parseReference(names[i] + "[1]", given.exists).name, names[i]);
            QCOMPARE(parseReference(names[i] + " [1]", given.exists).slice, std::string("1"));
            std::string quoted = names[i];
            for (auto quote = quoted.find('"'); quote != std::string::npos; quote = quoted.find('"', quote + 2))
                quoted.insert(quote, 1, '"');
            quoted = '"' + quoted + '"';
            QCOMPARE(first("2 * " + quoted + "[0] + 1"), 2.0 * double(i) + 1);
            QCOMPARE(first("sum(" + quoted + ") - max(" + quoted + "[1], y[0])"), double(i) + 10 - 10);
            QCOMPARE(valuesOf("sum(" + quoted + ") - a.b", given.exists), (std::vector<std::string>{names[i], "a.b"}));
        }
        QCOMPARE(first("26_x[1] + 7"), 17.0);  // begins with a digit; 7 alone would be the value
        QCOMPARE(valuesOf("26_x[1] + 7", given.exists), (std::vector<std::string>{"26_x"}));
        QVERIFY(saidBy([&] { evaluateValue("27_x + 1", given); }).contains("there is no value \"27_x\""));
        QVERIFY(saidBy([&] { evaluateValue("\"y + 1", given); }).contains("expected a \" behind the name"));
    }

    void wrongTextIsRefused_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("empty") << ""
                               << "expected a value";
        QTest::newRow("unknown") << "ab"
                                 << "there is no value \"ab\"";
        QTest::newRow("index") << "a.b[2]"
                               << "index 2 is out of range: axis 0 of [2, 3, 4] has 2 elements";
        QTest::newRow("axes") << "a.b[0,0,0,0]"
                              << "expected at most 3 axes";
        QTest::newRow("step") << "a.b[::0]"
                              << "with a step of at least 1";
        QTest::newRow("word") << "a.b[x]"
                              << "got \"x\"";
        QTest::newRow("open") << "a.b[0"
                              << "expected a \"]\"";
        QTest::newRow("function") << "maxx(a.b)"
                                  << "there is no function \"maxx\"; did you mean \"max\"?";
        QTest::newRow("gradient") << "grad(a.b)"
                                  << "after a backward pass";
        QTest::newRow("shapes") << "a.b + cell[3]"
                                << "must match";
        QTest::newRow("operator") << "a.b *"
                                  << "\"a.b *\", column 6: ";
        QTest::newRow("two signs") << "a.b  ** 2"
                                   << "\"a.b  ** 2\", column 7: ";
        QTest::newRow("two signs behind a part") << "max(a.b) + a.b[0, :2] ** 2"
                                                 << "\"max(a.b) + a.b[0, :2] ** 2\", column 24: ";
        QTest::newRow("sign that means nothing") << "a.b @ cell[3]"
                                                 << "\"a.b @ cell[3]\", column 5: ";
    }
    void wrongTextIsRefused()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        const QString said = saidBy([&] { evaluateValue(text.toStdString(), scope()); });
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void namesAreFound()
    {
        const auto names = valuesOf("max(a.b[0, :2]) - 1e-5 * cell[3][0] + grad(relu#2)", scope().exists);
        QCOMPARE(names, (std::vector<std::string>{"a.b", "cell[3]", "relu#2"}));
        const auto reference = parseReference("cell[3][0]", scope().exists);
        QCOMPARE(reference.name, std::string("cell[3]"));
        QCOMPARE(reference.slice, std::string("0"));
        QVERIFY(saidBy([] { parseReference("a.b[0] x", scope().exists); }).contains("expected NAME or NAME[slice]"));
    }

    void conditionsAreRead()
    {
        const Condition condition = parseCondition(" grad. norm >= 1e-3");
        QVERIFY(condition.ofGradient);
        QCOMPARE(condition.statistic, std::string("norm"));
        QCOMPARE(condition.threshold, 1e-3);
        QVERIFY(condition.relation == Condition::Relation::AtLeast);
        QCOMPARE(parseCondition("sd > 1").statistic, std::string("std"));
        QVERIFY(saidBy([] { parseCondition("maximum > 2"); }).contains("no statistic \"maximum\""));
        QVERIFY(saidBy([] { parseCondition("nann"); }).contains("did you mean \"nan\"?"));
        QVERIFY(saidBy([] { parseCondition("max > many"); }).contains("expected a number behind \">\", got \"many\""));
        QVERIFY(saidBy([] { parseCondition("max ! 3"); }).contains("expected one of > >= < <= == !="));
    }

    void conditionsOnOddValuesDoNotHold()
    {
        QVERIFY(!fulfilled(parseCondition("max > 0"), at::zeros({0})));
        QVERIFY(!fulfilled(parseCondition("nan"), c10::IValue(3)));
        QVERIFY(!fulfilled(parseCondition("nan"), at::ones({3}, at::kLong)));
        QVERIFY(!fulfilled(parseCondition("max > 0"), at::full({1}, std::nan(""))));
        QCOMPARE(*fulfilled(parseCondition("max == 7"), at::full({1}, 7, at::kLong)), std::string("max 7 == 7"));
    }
};

QTEST_APPLESS_MAIN(ValueExpressionTest)
#include "value_expression_test.moc"
