// Formulas as graphs: values against double arithmetic, rewriting that keeps values, gradients against central differences and autograd, texts and faults.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <QTemporaryDir>
#include <QtTest>

#include <cmath>
#include <random>

#include <core/graph/executor.h>
#include <core/models/model_file.h>
#include <core/symbolic/formula_graph.h>

#include "../message_of.h"

using namespace orrery;
using namespace orrery::symbolic;

namespace {

using Values = std::map<std::string, at::Tensor>;

/// A formula drawn at random, with parts that stand in it twice, zeros, ones and numbers next to each other: what rules live on.
class RandomText {
public:
    explicit RandomText(std::uint64_t seed) : m_random(seed) {}
    std::string make(int depth)
    {
        if (depth == 0)
            return leaf();
        const int which = drawn(0, 11);
        if (which == 0 && !m_parts.empty())
            return m_parts[std::size_t(drawn(0, int(m_parts.size()) - 1))];
        std::string made;
        if (which < 7) {
            const char* const signs[] = {"+", "-", "*", "/"};
            made = "(" + make(depth - 1) + " " + signs[drawn(0, 3)] + " " + make(depth - 1) + ")";
        } else if (which < 10) {
            const char* const names[] = {"exp", "log", "sqrt", "tanh", "sigmoid", "relu", "abs", "sin", "cos", "softplus", "erf", "-"};
            made = std::string(names[drawn(0, 11)]) + "(" + make(depth - 1) + ")";
        } else if (which == 10) {
            const char* const powers[] = {"0", "1", "2", "3", "-1", "0.5"};
            made = "(" + make(depth - 1) + ")^" + powers[drawn(0, 5)];
        } else {
            made = std::string(drawn(0, 1) ? "max" : "min") + "(" + make(depth - 1) + ", " + make(depth - 1) + ")";
        }
        m_parts.push_back(made);
        return made;
    }

private:
    int drawn(int low, int high) { return std::uniform_int_distribution<int>(low, high)(m_random); }
    std::string leaf()
    {
        const char* const leaves[] = {"x", "y", "x", "y", "z", "0", "1", "2", "0.5", "3"};
        return leaves[drawn(0, 9)];
    }
    std::mt19937_64 m_random;
    std::vector<std::string> m_parts;
};

Values drawnValues(std::uint64_t seed, const std::map<std::string, Shape>& shapes)
{
    Values values;
    auto generator = at::detail::createCPUGenerator(seed);
    for (const auto& [name, shape] : shapes)
        values[name] = at::randn(shape, generator, at::TensorOptions(at::kDouble));
    return values;
}

double largest(const at::Tensor& tensor)
{
    return tensor.numel() ? tensor.abs().max().item<double>() : 0;
}

/// How far two tensors are apart where the first is a moderate number (and `where`, if given); a shape that differs is infinitely far.
double apart(const at::Tensor& a, const at::Tensor& b, const at::Tensor& where = {})
{
    if (a.sizes() != b.sizes())
        return INFINITY;
    auto counts = a.isfinite().logical_and(a.abs() < 1e6);
    if (where.defined())
        counts = counts.logical_and(where);
    return largest(at::where(counts, (a - b) / (1 + a.abs()), at::zeros_like(a)).nan_to_num(INFINITY));
}

/// Where a formula of elementwise operations and all its parts are finite.
at::Tensor finiteThroughout(Formula formula, const Values& values)
{
    const Shape whole = formula.shapes[formula.outputs[0].term];
    formula.outputs.clear();
    for (std::size_t i = 0; i < formula.terms.size(); ++i)
        formula.outputs.push_back({"part" + std::to_string(i), i});
    at::Tensor finite = at::ones(whole, at::kBool);
    for (const auto& [name, part] : evaluateAt(formula, values))
        finite = finite.logical_and(part.isfinite());
    return finite;
}

/// The gradient of the sum of the first output by autograd.
Values autograd(const Formula& formula, const Values& values)
{
    const graph::Model model = toModel(formula);
    graph::RunRequest request;
    request.gradients = graph::Gradients::Inputs;
    std::vector<at::Tensor> leaves;
    for (const auto& [name, shape] : formula.variables)
        leaves.push_back(values.at(name).detach().clone().requires_grad_(true));
    request.inputs.assign(leaves.begin(), leaves.end());
    const at::Tensor value = graph::Executor(model.graph).run(model.weights, request).tensor(0);
    if (value.requires_grad())
        value.sum().backward();
    Values gradients;
    std::size_t at = 0;
    for (const auto& [name, shape] : formula.variables) {
        const at::Tensor& leaf = leaves[at++];
        gradients[name] = leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf);
    }
    return gradients;
}

/// The same by central differences.
at::Tensor centralDifference(const Formula& formula, Values values, const std::string& name)
{
    const at::Tensor at = values[name].clone(), result = at::zeros_like(at);
    const double step = 1e-5;
    for (std::int64_t i = 0; i < at.numel(); ++i) {
        const auto sumAt = [&](double change) {
            values[name] = at.clone();
            values[name].view(-1)[i] += change;
            return evaluateAt(formula, values).at("value").sum().item<double>();
        };
        result.view(-1)[i] = (sumAt(step) - sumAt(-step)) / (2 * step);
    }
    return result;
}

std::vector<std::string> namesOf(const Formula& formula)
{
    std::vector<std::string> names;
    for (const auto& [name, shape] : formula.variables)
        names.push_back(name);
    return names;
}

int countOf(const Rewritten& rewritten, const std::string& rule)
{
    for (const auto& each : rewritten.rules)
        if (each.rule == rule)
            return each.count;
    return 0;
}

const std::map<std::string, Shape> kTensors = {{"x", {4, 3}}, {"w", {3, 5}}, {"b", {5}}, {"y", {4, 5}}, {"s", {}}, {"c", {4, 1}}};

}  // namespace

class SymbolicTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void graphsGiveWhatTheExpressionGives_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text :
             {"x", "-x^2", "2", "3 - x", "3 - 2 / x", "2^x", "x^y", "x^-2", "clamp(x, -0.5, 0.5)", "clamp(x, y, 1)", "max(x, y, 0.2)", "min(x)",
              "exp(x) / (1 + exp(x))", "log(abs(x)) + sqrt(abs(y)) - sign(x) * relu(y)", "tanh(x) * sigmoid(y)", "1e-3 * x - .5"})
            QTest::newRow(text) << text;
    }
    void graphsGiveWhatTheExpressionGives()
    {
        QFETCH(QString, text);
        const std::string written = text.toStdString();
        const auto expression = core::parseExpression(written);
        const Formula formula = parseFormula(written, {{"x", {}}, {"y", {}}});
        for (const auto& [x, y] : {std::pair(0.3, -1.2), std::pair(-0.7, 0.4), std::pair(2.5, 0.1)}) {
            const double expected = core::evaluate(expression, {{"x", x}, {"y", y}});
            const auto value = evaluateAt(formula, {{"x", at::scalar_tensor(x, at::kDouble)}, {"y", at::scalar_tensor(y, at::kDouble)}}).at("value");
            QVERIFY2(std::abs(value.item<double>() - expected) <= 1e-14 * (1 + std::abs(expected)) ||
                         (std::isnan(expected) && std::isnan(value.item<double>())),
                     qPrintable(QString("%1 at %2, %3: %4 against %5").arg(text).arg(x).arg(y).arg(value.item<double>()).arg(expected)));
        }
    }

    void rewritingKeepsTheValuesOfRandomFormulas()
    {
        const std::map<std::string, Shape> shapes = {{"x", {3, 4}}, {"y", {4}}, {"z", {}}};
        int shorter = 0, compared = 0;
        for (std::uint64_t seed = 1; seed <= 300; ++seed) {
            const std::string text = RandomText(seed).make(5);
            const Formula formula = parseFormula(text, shapes);
            const Rewritten made = rewrite(formula);
            const Values values = drawnValues(seed, shapes);
            const at::Tensor before = evaluateAt(formula, values).at("value"), after = evaluateAt(made.formula, values).at("value");
            const at::Tensor finite = finiteThroughout(formula, values);
            const std::string message = text + " -> " + toLines(made.formula).back() + ": " + std::to_string(apart(before, after, finite));
            QVERIFY2(apart(before, after, finite) < 1e-9, message.c_str());
            QCOMPARE(made.before, formula.operations());
            QCOMPARE(made.after, made.formula.operations());
            QVERIFY2(made.after <= made.before, text.c_str());
            shorter += made.after < made.before;
            compared += int(finite.sum().item<std::int64_t>());
            // Rewriting again finds nothing.
            const Rewritten again = rewrite(made.formula);
            QVERIFY2(again.rules.empty(), (text + ": " + (again.rules.empty() ? "" : again.rules[0].rule)).c_str());
        }
        QVERIFY2(shorter > 150 && compared > 1000, qPrintable(QString("%1 %2").arg(shorter).arg(compared)));
    }

    void rules_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("expected");
        QTest::addColumn<QString>("rule");
        const auto row = [](const char* text, const char* expected, const char* rule) { QTest::newRow(text) << text << expected << rule; };
        row("2 * 3 + x", "6 + x", "constant folding");
        row("x + 0", "x", "adding zero");
        row("0 - x", "-x", "adding zero");
        row("x - x", "0", "difference with itself");
        row("x - (-y)", "x + y", "adding a negative");
        row("-(-x)", "x", "two signs");
        row("(x + 2) - 3", "x + -1", "numbers of sums together");
        row("x + x", "2 * x", "like terms");
        row("3 * x - x", "2 * x", "like terms");
        row("1 - sigmoid(x)", "sigmoid(-x)", "complement of the logistic function");
        row("y + x + x", "y + 2 * x", "like terms");
        row("exp(x) * sigmoid(-x)", "sigmoid(x)", "logistic function");
        row("x * 1", "x", "product with one");
        row("0 * x", "0", "product with zero");
        row("(x * y) / y", "x", "quotient with itself");
        row("(-x) * y", "-(x * y)", "signs outside");
        row("2 * (3 * x)", "6 * x", "numbers of products together");
        row("x * x^2", "x^3", "powers together");
        row("x^1", "x", "simple powers");
        row("(x^2)^3", "x^6", "power of a power");
        row("sqrt(x)^2", "x", "power of a power");
        row("sqrt(x^2)", "abs(x)", "inverse functions");
        row("log(exp(x))", "x", "inverse functions");
        row("1 / (1 + exp(-x))", "sigmoid(x)", "logistic function");
        row("log(1 + exp(x))", "softplus(x)", "logarithm without overflow");
        row("abs(exp(x))", "exp(x)", "never negative");
        row("cos(-x)", "cos(x)", "odd and even functions");
        row("(-x)^2", "x^2", "even power of a negative");
        row("max(x + y, y + x)", "x + y", "larger of equals");
        row("sum(2 * m)", "2 * sum(m)", "factors outside sums");
        row("transpose(transpose(m))", "m", "transposed twice");
        row("count(exp(m))", "count(m)", "only the shape counts");
        row("expand_like(m, m)", "m", "same shape");
        row("expand_like(x, m) * m", "x * m", "broadcast anyway");
        row("exp(x) * y + exp(x)", "t1 = exp(x); value = t1 * y + t1", "shared subexpressions");
    }
    void rules()
    {
        QFETCH(QString, text);
        QFETCH(QString, expected);
        QFETCH(QString, rule);
        const Rewritten made = rewrite(parseFormula(text.toStdString(), {{"m", {2, 3}}}));
        QString lines;
        for (const auto& line : toLines(made.formula))
            lines += (lines.isEmpty() ? "" : "; ") + QString::fromStdString(line);
        QCOMPARE(lines, expected.contains('=') ? expected : "value = " + expected);
        QVERIFY2(countOf(made, rule.toStdString()) >= 1, qPrintable(rule));
    }
    void everyRuleIsTested()
    {
        // "expanded twice" comes up in gradients only; see secondDerivativesAreDerivativesOfDerivatives.
        QCOMPARE(rewriteRules().size(), std::size_t(30));
    }

    void whatMustNotBeRewrittenStays()
    {
        for (const char* text : {"sqrt(x^2 + 1)", "(x^2)^0.5 + 1", "x^0.5 * y^0.5", "log(x^2)", "x / (x + 1)", "sin(x)^2 + cos(x)^2", "max(x, -x)"}) {
            const Formula formula = parseFormula(text);
            const Values values = {{"x", at::scalar_tensor(-1.7, at::kDouble)}, {"y", at::scalar_tensor(-0.4, at::kDouble)}};
            const double before = evaluateAt(formula, values).at("value").item<double>();
            const double after = evaluateAt(rewrite(formula).formula, values).at("value").item<double>();
            QVERIFY2(std::isnan(before) || std::abs(before - after) < 1e-12, text);
        }
        // A constant result keeps the shape it had.
        const Formula zero = rewrite(parseFormula("0 * x", {{"x", {2, 3}}})).formula;
        QCOMPARE(evaluateAt(zero, {{"x", at::ones({2, 3}, at::kDouble)}}).at("value").sizes().vec(), (std::vector<std::int64_t>{2, 3}));
    }

    void rewritingMakesWhatOverflowsANumber()
    {
        const Values values = {{"x", at::scalar_tensor(1000.0, at::kDouble)}};
        for (const auto& [text, expected] :
             {std::pair("log(1 + exp(x))", 1000.0), std::pair("exp(x) / (1 + exp(x))", 1.0), std::pair("log(exp(x))", 1000.0)}) {
            const Formula formula = parseFormula(text);
            QVERIFY2(!std::isfinite(evaluateAt(formula, values).at("value").item<double>()), text);
            QCOMPARE(evaluateAt(rewrite(formula).formula, values).at("value").item<double>(), expected);
        }
    }

    void duplicatesReduceTheNodeCount()
    {
        const Formula formula = parseFormula("exp(x + y) * exp(x + y) + exp(y + x)");
        const Rewritten made = rewrite(formula);
        const auto nodes = [](const Formula& each) { return toModel(each).graph->nodes().size(); };
        QCOMPARE(formula.operations(), 8);
        QCOMPARE(nodes(formula), std::size_t(8));
        QCOMPARE(made.after, 4);  // the sum, exp, its square, the outer sum
        QCOMPARE(nodes(made.formula), std::size_t(4));
        QCOMPARE(countOf(made, "shared subexpressions"), 4);
        QVERIFY(!made.steps.empty());
    }

    void gradientsOfRandomFormulasAreThoseOfAutograd()
    {
        const std::map<std::string, Shape> shapes = {{"x", {2, 3}}, {"y", {3}}, {"z", {}}};
        int compared = 0;
        for (std::uint64_t seed = 1; seed <= 400; ++seed) {
            const std::string text = RandomText(seed).make(4);
            const Formula formula = parseFormula(text, shapes);
            const Values values = drawnValues(seed, shapes);
            if (!finiteThroughout(formula, values).all().item<bool>())
                continue;
            const Values expected = autograd(formula, values);
            const Formula gradient = derivative(formula, {"x", "y", "z"});
            const Values plain = evaluateAt(gradient, values), short_ = evaluateAt(rewrite(gradient).formula, values);
            for (const auto& [name, value] : expected) {
                const std::string message = text + " by " + name;
                QCOMPARE(plain.at("d_" + name).sizes(), value.sizes());
                // Where 0 meets infinity on the way, both have no number, perhaps not the same one.
                if (!value.isfinite().all().item<bool>() || !plain.at("d_" + name).isfinite().all().item<bool>())
                    continue;
                QVERIFY2(apart(value, plain.at("d_" + name)) < 1e-8, message.c_str());
                QVERIFY2(apart(value, short_.at("d_" + name)) < 1e-8, (message + ", rewritten").c_str());
                ++compared;
            }
        }
        QVERIFY2(compared > 250, qPrintable(QString::number(compared)));
    }

    void gradientsOfTensorFormulasAreThoseOfCentralDifferences_data()
    {
        QTest::addColumn<QString>("text");
        QTest::newRow("regression") << "mean((matmul(x, w) + b - y)^2)";
        QTest::newRow("cross entropy") << "-sum(y * log(exp(matmul(x, w)) / sum(exp(matmul(x, w)), -1)))";
        QTest::newRow("softmax by columns") << "exp(y) / sum(exp(y), 0)";
        QTest::newRow("network") << "mean((matmul(tanh(matmul(x, w) + b), transpose(w)) - x)^2)";
        QTest::newRow("broadcast") << "c * y + s * b - s^2";
        QTest::newRow("means") << "mean(y, 1) * c + mean(y, 0) * b";
        QTest::newRow("clamp") << "clamp(y * s, -0.4, 0.7) + clamp(y, b, c)";
        QTest::newRow("power of variables") << "(1 + abs(y))^(b + c)";
        QTest::newRow("standardised") << "(y - mean(y, -1)) / sqrt(mean((y - mean(y, -1))^2, -1) + 0.1)";
        QTest::newRow("unused") << "sum(w)";
        QTest::newRow("shaped") << "sum_like(y * c, b) + expand_like(s, b)";
        QTest::newRow("batch") << "matmul(expand_like(x, x), w) * count(y) / count(y, 1)";
    }
    void gradientsOfTensorFormulasAreThoseOfCentralDifferences()
    {
        QFETCH(QString, text);
        const Formula formula = parseFormula(text.toStdString(), kTensors);
        const Values values = drawnValues(7, kTensors);
        const Formula gradient = derivative(formula, namesOf(formula));
        const Values own = evaluateAt(gradient, values), rewritten = evaluateAt(rewrite(gradient).formula, values), by = autograd(formula, values);
        for (const auto& name : namesOf(formula)) {
            const at::Tensor expected = centralDifference(formula, values, name);
            QVERIFY2(apart(expected, own.at("d_" + name)) < 1e-6, name.c_str());
            QVERIFY2(apart(by.at(name), own.at("d_" + name)) < 1e-12, name.c_str());
            QVERIFY2(apart(by.at(name), rewritten.at("d_" + name)) < 1e-12, name.c_str());
        }
        QVERIFY(rewrite(gradient).after < gradient.operations() || text == "sum(w)");
    }

    void secondDerivativesAreDerivativesOfDerivatives()
    {
        // d2/dx2 of x^3 sin(x) is 6 x sin(x) + 6 x^2 cos(x) - x^3 sin(x).
        const Formula formula = parseFormula("x^3 * sin(x)", {{"x", {5}}});
        const Formula second = derivative(derivative(formula, {"x"}), {"x"}, "d_x");
        const at::Tensor x = at::linspace(-2, 2, 5, at::kDouble);
        const at::Tensor expected = 6 * x * x.sin() + 6 * x.pow(2) * x.cos() - x.pow(3) * x.sin();
        QVERIFY(apart(expected, evaluateAt(second, {{"x", x}}).at("d_x")) < 1e-13);
        const Rewritten made = rewrite(second);
        QVERIFY(apart(expected, evaluateAt(made.formula, {{"x", x}}).at("d_x")) < 1e-13);
        QVERIFY2(made.after < made.before, qPrintable(QString("%1 %2").arg(made.before).arg(made.after)));
        const Formula kept = derivative(formula, {"x"}, "value", true);
        QCOMPARE(kept.outputs.size(), std::size_t(2));
        QVERIFY(apart(x.pow(3) * x.sin(), evaluateAt(kept, {{"x", x}}).at("value")) < 1e-14);
    }

    void kinksHaveTheSlopesThatAreSaid()
    {
        const Values zero = {{"x", at::scalar_tensor(0.0, at::kDouble)}};
        for (const auto& [text, slope] :
             {std::pair("relu(x)", 0.0), std::pair("abs(x)", 0.0), std::pair("max(x, 0)", 0.5), std::pair("min(2 * x, x)", 1.5)})
            QCOMPARE(evaluateAt(derivative(parseFormula(text), {"x"}), zero).at("d_x").item<double>(), slope);
    }

    void textsAreReadAgain()
    {
        for (std::uint64_t seed = 1; seed <= 100; ++seed) {
            const Formula formula = parseFormula(RandomText(seed).make(5));
            const std::string text = toText(formula, formula.outputs[0].term, 100'000);
            const Formula again = parseFormula(text);
            QCOMPARE(toText(again, again.outputs[0].term, 100'000), text);
            QCOMPARE(again.operations(), formula.operations());
        }
        const Formula formula = parseFormula("-(x - y)^-2 / (x / y) - (x - (y - 1))");
        QCOMPARE(toText(formula, formula.outputs[0].term), std::string("-(x - y)^-2 / (x / y) - (x - (y - 1))"));
        QCOMPARE(toText(formula, formula.outputs[0].term, 5), std::string("..."));
    }

    void modelsAreSavedAndReadWithTheirSources()
    {
        const QTemporaryDir folder;
        const std::string file = folder.filePath("formula.safetensors").toStdString();
        const Values values = drawnValues(3, {{"x", {2, 3}}});
        const Formula formula = parseFormula("max(2^x, 0.25) + 3 / x", {{"x", {2, 3}}});
        models::saveModel(file, toModel(formula, "formula", values));
        const graph::Model read = models::loadModel(file);
        const at::Tensor value = graph::Executor(read.graph).forward(read.weights, {values.at("x")});
        QVERIFY(at::equal(value, evaluateAt(formula, values).at("value")));
        QCOMPARE(read.card.title, std::string("value = max(2^x, 0.25) + 3 / x"));
        QCOMPARE(read.graph->nodes().front().source, std::string("2^x"));
        QCOMPARE(read.card.example["x"].size(), std::size_t(6));
    }

    void whatIsWrongIsSaidWithItsPlace_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        QTest::newRow("shapes") << "x + y"
                                << "formula, column 3: + of [4, 3] and [4, 5]: axis 1 from the right has 3 and 5 elements";
        QTest::newRow("matmul") << "matmul(x, y)"
                                << "formula, column 1: matmul of [4, 3] and [4, 5]: the first has 3 columns, the second 4 rows";
        QTest::newRow("vector") << "matmul(x, b)"
                                << "formula, column 1: matmul: expected matrices (two axes or more), got [4, 3] and [5]";
        QTest::newRow("axis") << "sum(x, 2)"
                              << "formula, column 1: sum: expected the number of one of 2 axes (-1: the last), got 2";
        QTest::newRow("half axis") << "sum(x, 0.5)"
                                   << "formula, column 1: sum: expected the number of one of 2 axes (-1: the last), got 0.5";
        QTest::newRow("computed axis") << "mean(x, s)"
                                       << "formula, column 1: mean: expected the number of one of 2 axes (-1: the last), got something computed";
        QTest::newRow("three") << "sum(x, 0, 1)"
                               << "formula, column 1: sum takes a value and an axis, got 3 arguments";
        QTest::newRow("transpose") << "transpose(b)"
                                   << "formula, column 1: transpose: expected two axes or more, got [5]";
        QTest::newRow("like") << "sum_like(b, x)"
                              << "formula, column 1: sum_like: [4, 3] does not broadcast to [5]";
        QTest::newRow("index") << "x[0] + 1"
                               << "formula, column 1: expected a name of letters, digits and _, got \"x[0]\"";
        QTest::newRow("function") << "sinus(x)"
                                  << "expression \"sinus(x)\", column 1: unknown function \"sinus\"; did you mean \"sin\"?";
        QTest::newRow("open") << "(x"
                              << "expression \"(x\", column 3: expected an operator or \")\", found the end";
    }
    void whatIsWrongIsSaidWithItsPlace()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        QCOMPARE(saidBy([&] { parseFormula(text.toStdString(), kTensors); }), message);
    }
    void otherFaultsAreSaid()
    {
        const Formula formula = parseFormula("x * 2", {{"x", {2}}});
        QCOMPARE(saidBy([&] { derivative(formula, {"q"}); }), QString("the formula has no variable \"q\""));
        QCOMPARE(saidBy([&] { derivative(formula, {"x"}, "loss"); }), QString("the formula has no output \"loss\": it has value"));
        QCOMPARE(saidBy([&] { evaluateAt(formula, {}); }), QString("the variable \"x\" has no value"));
        QCOMPARE(saidBy([&] { evaluateAt(formula, {{"x", at::ones({3}, at::kDouble)}}); }), QString("variable \"x\": expected [2], got [3]"));
        QCOMPARE(saidBy([&] { parseFormula("x", {{"x", {0, 2}}}); }), QString("variable \"x\": expected sizes of 1 or more, got [0, 2]"));
    }

    void valuesAreReadAsTyped()
    {
        QCOMPARE(valueFromText("x", " -1.5 ").item<double>(), -1.5);
        QVERIFY(at::equal(valueFromText("x", "[[1, 2], [3, 4]]"), at::tensor({1.0, 2.0, 3.0, 4.0}, at::kDouble).reshape({2, 2})));
        QVERIFY(at::equal(valueFromText("x", "linspace(0, 1, 5)"), at::linspace(0, 1, 5, at::kDouble)));
        const at::Tensor drawn = valueFromText("x", "randn[2, 3]", 4);
        QVERIFY(at::equal(drawn, valueFromText("x", "randn[2, 3]", 4)));
        QVERIFY(!at::equal(drawn, valueFromText("y", "randn[2, 3]", 4)));
        for (const char* text : {"", "abc", "[]", "[[1], [2, 3]]", "[1, \"a\"]", "randn[0]", "randn[100000, 100000]", "randn[a]", "linspace(1, 2)",
                                 "linspace(1, 2, 99999999)", "{\"a\": 1}", "[[[[[[[[[[1]]]]]]]]]]", "linspace(", "randn[", "null", "[[1, 2], 3]"}) {
            const std::string said = messageOf([&] { valueFromText("x", text); });
            QVERIFY2(said.starts_with("x: expected"), (std::string(text) + ": " + said).c_str());
        }
    }
};

QTEST_MAIN(SymbolicTest)
#include "symbolic_test.moc"
