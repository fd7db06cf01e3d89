// The Expression panel: graphs, values and rules equal core's; typing, choosing derivatives, errors in place; the result opens as a model; a restart.
#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTabWidget>
#include <QTableWidget>

#include <ATen/ATen.h>

#include <cmath>

#include <core/graph/inspect.h>
#include <core/models/open_model.h>
#include <plugins/expression/expression_panel.h>
#include <widgets/graph_view.h>
#include <widgets/plot_view.h>
#include <widgets/report_item.h>

#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 60000;  ///< ms

struct Bench : test::PanelBench<ExpressionPanel> {
    using test::PanelBench<ExpressionPanel>::PanelBench;
    void open(const core::Json& state = core::Json::object())
    {
        test::PanelBench<ExpressionPanel>::show(state);
        settle();
    }
    void settle() { QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle() && panel->result(), kPatience); }
    void type(const QString& formula)
    {
        auto* edit = child<QLineEdit>("formula");
        edit->setFocus();
        edit->selectAll();
        QTest::keyClicks(edit, formula);
        QTest::keyClick(edit, Qt::Key_Return);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle() && (panel->result()->request.text == formula.toStdString() || !panel->errorText().isEmpty()),
                                 kPatience);
    }
    QString cell(const char* table, int row, int column) const { return child<QTableWidget>(table)->item(row, column)->text(); }
    QString title(const char* name) const { return child<QLabel>(name)->text(); }
    std::size_t boxes(const char* name) const
    {
        std::size_t nodes = 0;
        for (const auto& item : child<widgets::GraphView>(name)->content()->tree->items())
            nodes += item.kind == layout::Item::Kind::Node;
        return nodes;
    }
};

}  // namespace

class ExpressionPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void itStartsWithAnExample()
    {
        Bench bench;
        bench.open();
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        // log(1 + exp(x y)) + (x y)^2 at 0.5 and 2.
        const double value = std::log(1 + std::exp(1.0)) + 1;
        QVERIFY(std::abs(bench.panel->result()->study.original.value.item<double>() - value) < 1e-12);
        QVERIFY2(std::abs(bench.cell("values", 0, 2).toDouble() - value) < 1e-3, qPrintable(bench.cell("values", 0, 2)));
        QCOMPARE(bench.title("original_title"), QString("As typed: 7 operations"));
        QCOMPARE(bench.title("rewritten_title"), QString("Rewritten: 4 operations"));
        QCOMPARE(bench.boxes("original"), std::size_t(7));
        QCOMPARE(bench.boxes("rewritten"), std::size_t(4));
        QVERIFY(bench.boxes("derivative") > 0);
    }

    void aTypedFormulaIsStudied()
    {
        Bench bench;
        bench.open();
        bench.type("exp(x + y) * exp(x + y) + exp(y + x)");
        QCOMPARE(bench.title("original_title"), QString("As typed: 8 operations"));
        QCOMPARE(bench.title("rewritten_title"), QString("Rewritten: 4 operations"));
        QCOMPARE(bench.child<QTableWidget>("values")->rowCount(), 3);
        QCOMPARE(bench.cell("values", 1, 0), QString("d_x"));
        // d/dx of e^2s + e^s is 2 e^2s + e^s, s = 2.5.
        const double slope = 2 * std::exp(5.0) + std::exp(2.5);
        QVERIFY(std::abs(bench.panel->result()->study.derivatives.at(0).part.value.item<double>() - slope) < 1e-9);
        QVERIFY(bench.cell("values", 1, 4).contains("(1 element"));
        bool shared = false;
        for (int row = 0; row < bench.child<QTableWidget>("rules")->rowCount(); ++row)
            shared |= bench.cell("rules", row, 2) == "shared subexpressions" && bench.cell("rules", row, 1).toInt() >= 3;
        QVERIFY(shared);
        QVERIFY(bench.child<QPlainTextEdit>("text")->toPlainText().contains("t1 = exp(x + y)"));
        const auto drawn = bench.child<widgets::PlotView>("curve")->drawnData("value");
        QCOMPARE(drawn.x.size(), std::size_t(201));
        QVERIFY(std::abs(drawn.y.front() - (std::exp(-2.0) + std::exp(-1.0))) < 1e-9);
    }

    void arraysAndChosenDerivatives()
    {
        Bench bench;
        bench.open();
        bench.type("sum(matmul(x, y))");
        QVERIFY(bench.panel->errorText().contains("matmul: expected matrices"));
        auto* table = bench.child<QTableWidget>("variables");
        table->item(0, 1)->setText("[[1, 2], [3, 4]]");
        table->item(1, 1)->setText("[[1], [10]]");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.panel->result()->request.text == "sum(matmul(x, y))", kPatience);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        QCOMPARE(bench.panel->result()->study.original.value.item<double>(), 64.0);
        table->item(0, 2)->setCheckState(Qt::Unchecked);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.panel->result()->request.by.size() == 1, kPatience);
        QCOMPARE(bench.child<QTableWidget>("values")->rowCount(), 2);
        QCOMPARE(bench.cell("values", 1, 0), QString("d_y"));
        QCOMPARE(bench.cell("values", 1, 1), QString("[2, 1]"));
    }

    void whatIsWrongIsSaidInPlace()
    {
        Bench bench;
        bench.open();
        bench.type("exp(x");
        QVERIFY2(bench.panel->errorText().contains("column 6"), qPrintable(bench.panel->errorText()));
        QTRY_VERIFY(bench.panel->isShownOutdated());  // graphs and values are of the formula before
        // A letter that does not belong there is quoted whole.
        bench.child<QLineEdit>("formula")->setText(QString::fromUtf8("नम + 1"));
        QTest::keyClick(bench.child<QLineEdit>("formula"), Qt::Key_Return);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && !bench.panel->errorText().isEmpty(), kPatience);
        QVERIFY2(bench.panel->errorText().endsWith(QString::fromUtf8("found \"न\"")), qPrintable(bench.panel->errorText()));
        // A notice without blanks takes the panel's width and no more.
        const int narrowest = bench.panel->minimumSizeHint().width();
        bench.type(QString("(").repeated(300) + "x");
        QVERIFY(!bench.panel->errorText().isEmpty());
        QCOMPARE(bench.panel->minimumSizeHint().width(), narrowest);
        bench.type("exp(x)");
        QVERIFY(bench.panel->errorText().isEmpty());
        bench.child<QTableWidget>("variables")->item(0, 1)->setText("one");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("x: expected a number"), kPatience);
    }

    void aStudyThatIsOutrunIsCancelled()
    {
        Bench bench;
        bench.open();
        auto* table = bench.child<QTableWidget>("variables");
        table->item(0, 1)->setText("randn[1000, 1000]");
        table->item(0, 1)->setText("randn[900, 900]");
        table->item(0, 1)->setText("0.25");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.panel->result()->request.values.at("x") == "0.25", kPatience);
        QCOMPARE(bench.panel->result()->values.at("x").item<double>(), 0.25);
    }

    void itOpensAsAModel()
    {
        Bench bench;
        bench.open();
        bench.type("x * x + 2 * x");
        const QSignalSpy asked(&bench.session, &widgets::Session::panelRequested);
        QTest::mouseClick(bench.child<QPushButton>("open"), Qt::LeftButton);
        QTRY_COMPARE_WITH_TIMEOUT(asked.count(), 1, kPatience);
        QCOMPARE(asked[0][0].toString(), QString("model"));
        const auto model = models::openModel(bench.session.selection().model.toStdString());
        graph::RunRequest request;
        request.inputs = {at::full({1}, 3.0, at::kDouble)};
        const auto result = graph::Executor(model.graph).run(model.weights, request);
        QCOMPARE(result.tensor(0).item<double>(), 15.0);
        QCOMPARE(result.tensor(1).item<double>(), 8.0);
        QCOMPARE(graph::exampleInputs(model).at(0).toTensor().item<double>(), 0.5);
    }

    void aRestartBringsBackTheFormula()
    {
        Bench bench;
        bench.open();
        bench.type("tanh(a) * b");
        bench.child<QTableWidget>("variables")->item(1, 1)->setText("[1, 2]");
        bench.settle();
        bench.child<QTableWidget>("variables")->item(1, 2)->setCheckState(Qt::Unchecked);
        bench.settle();
        const auto state = bench.panel->saveState();
        bench.open(state);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->result()->request.text == "tanh(a) * b", kPatience);
        bench.settle();
        QCOMPARE(bench.child<QTableWidget>("variables")->item(1, 1)->text(), QString("[1, 2]"));
        QCOMPARE(bench.panel->result()->request.by, std::vector<std::string>{"a"});
        QVERIFY(bench.panel->commandLine().startsWith("orrery-cli expression 'tanh(a) * b' --at a=1"));
        QVERIFY(bench.panel->reportItem().has_value());
        bench.panel->restoreState({{"formula", 5}, {"values", "many"}, {"by", 7}, {"from", "low"}});
        bench.settle();
    }
};

QTEST_MAIN(ExpressionPanelTest)
#include "expression_test.moc"
