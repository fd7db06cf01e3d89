// The Beam search panel: what it shows equals the search of core; cancel in mid-search; a restart.
#include <QDoubleSpinBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QTableWidget>

#include <core/data/vocabulary.h>
#include <core/intervene/beam_search.h>
#include <core/report/analysis_blocks.h>
#include <plugins/beam_search/beam_search_panel.h>
#include <plugins/beam_search/beam_tree_view.h>
#include <widgets/export.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>

#include "damaged_models.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 60000;  ///< ms

struct Bench : test::PanelBench<BeamSearchPanel> {
    store::RunId run = 0;
    Bench()
    {
        const core::Json model{{"id", "seq2seq"}, {"width", 16}, {"heads", 2}, {"layers", 1}};
        const core::Json document{{"name", "reversal"},
                                  {"model", model},
                                  {"data", {{"id", "string_reversal"}, {"samples", 200}}},
                                  {"train", {{"epochs", 1}, {"optimizer", {{"id", "adamw"}, {"lr", 0.01}}}}}};
        run = train::createRun(*workspace(), train::resolveExperiment(document));
        jobs::DirectContext context;
        train::trainRun(workspace(), run, context);
        workspace()->flush();
    }
};

}  // namespace

class BeamSearchPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void withoutAModelItSaysWhatToDo()
    {
        test::PanelBench<BeamSearchPanel> bench;
        bench.show();
        QVERIFY(bench.panel->isShowingEmptyState());
        QVERIFY(bench.panel->commandLine().isEmpty() && !bench.panel->reportItem());
    }

    void numbersEqualCores()
    {
        Bench bench;
        bench.show();
        bench.session.selectRuns({bench.run});
        QVERIFY(!bench.panel->isShowingEmptyState());
        auto* text = bench.child<QLineEdit>("text");
        text->setFocus();
        QTest::keyClicks(text, "abcde");
        bench.child<QSpinBox>("beams")->setValue(3);
        bench.child<QSpinBox>("longest")->setValue(9);
        QTest::keyClick(text, Qt::Key_Return);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && bench.child<QTableWidget>("hypotheses")->rowCount() == 3, kPatience);
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        const auto model = widgets::openModelArgument(QString("run:%1").arg(bench.run), bench.workspace());
        intervene::BeamOptions options;
        options.beams = 3;
        options.maxLength = 9;
        const auto expected = intervene::searchText(model, "abcde", options);
        auto* table = bench.child<QTableWidget>("hypotheses");
        auto* tree = bench.child<BeamTreeView>("tree");
        for (int row = 0; row < 3; ++row)
            QCOMPARE(table->item(row, 0)->text(), QString::number(expected.hypotheses[std::size_t(row)].score, 'f', 4));
        QCOMPARE(tree->tokenProbability(0, 0), std::exp(expected.steps[0][0].logProbability));
        QVERIFY(bench.panel->commandLine().contains("--beam 3") && bench.panel->commandLine().contains("--max-length 9"));
        // Settings that were changed since are said; the report keeps the command of what is on show.
        const QString shown = bench.panel->commandLine();
        QVERIFY(bench.panel->shownCommand() == shown && !bench.panel->isShownOutdated());
        bench.child<QSpinBox>("beams")->setValue(4);
        QTRY_VERIFY(bench.panel->isShownOutdated());
        // The report gets the same numbers and the tree.
        const auto item = bench.panel->reportItem();
        QVERIFY(item);
        const auto made = item->make(*bench.workspace());
        QCOMPARE(bench.workspace()->analysis(made.source.at("analysis").get<std::int64_t>()).inputs.at("command"), core::Json(shown.toStdString()));
        const auto section = report::analysisSection(*bench.workspace(), bench.workspace()->analysis(made.source.at("analysis").get<std::int64_t>()));
        QVERIFY(std::get_if<report::Picture>(&section.blocks.at(0).content));
        const auto& rows = std::get<report::Table>(section.blocks.at(1).content).rows;
        QCOMPARE(rows.size(), std::size_t(3));
        for (std::size_t row = 0; row < rows.size(); ++row)
            QCOMPARE(QString::fromStdString(rows[row][1].text), QString::number(expected.hypotheses[row].score, 'f', 4));
        // The tree as a picture.
        const QString file = bench.folder.filePath("tree.png");
        widgets::askSaveFile() = [file](QWidget*, const QString&, const QString&) { return file; };
        for (auto* action : bench.panel->actions())
            if (action->text().startsWith("Save the tree"))
                action->trigger();
        QVERIFY(!QImage(file).isNull());
    }

    void aTextTheModelCannotReadIsAnErrorInPlace()
    {
        Bench bench;
        bench.show();
        bench.session.selectRuns({bench.run});
        QTest::keyClicks(bench.child<QLineEdit>("text"), "ABC");
        QTest::mouseClick(bench.child<QPushButton>("search"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!bench.panel->errorText().isEmpty(), kPatience);
        QVERIFY2(bench.panel->errorText().contains("\"A\"") || bench.panel->errorText().contains("vocabulary"), qPrintable(bench.panel->errorText()));
        QVERIFY(bench.panel->isIdle());
    }

    void brokenWeightsAreNamed()
    {
        test::PanelBench<BeamSearchPanel> bench;
        bench.show();
        bench.session.openModel(test::nanModel(bench.folder.path()));
        QTest::keyClicks(bench.child<QLineEdit>("text"), "abc");
        QTest::mouseClick(bench.child<QPushButton>("search"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!bench.panel->errorText().isEmpty(), kPatience);
        QVERIFY2(bench.panel->errorText().contains("the model's logits hold NaN: its weights are broken"), qPrintable(bench.panel->errorText()));
        QTRY_VERIFY(bench.panel->isIdle());
        QCOMPARE(bench.child<QTableWidget>("hypotheses")->rowCount(), 0);
        QVERIFY(bench.child<QPushButton>("search")->isEnabled());
    }

    void theTabKeyWalksFromFieldToField()
    {
        Bench bench;
        bench.show();
        bench.session.selectRuns({bench.run});
        bench.panel->activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(bench.panel.get()));
        auto* text = bench.child<QLineEdit>("text");
        text->setFocus();
        QTest::keyClicks(text, "abc");
        for (const char* next : {"beams", "longest", "penalty", "search", "hypotheses"}) {
            QTest::keyClick(QApplication::focusWidget(), Qt::Key_Tab);
            QCOMPARE(QApplication::focusWidget()->objectName(), QString::fromLatin1(next));
        }
    }

    void aSearchCanBeCancelledInTheMiddle()
    {
        Bench bench;
        bench.show();
        bench.session.openModel("zoo:seq2seq?vocabulary=64&width=512&layers=12&heads=8&block_length=1100");
        // A model without a tokenizer: the search ends with a message, so a run is used for the long one.
        bench.session.changeSelection([&](widgets::Selection& selection) {
            selection.model.clear();
            selection.runs = {bench.run};
        });
        bench.child<QLineEdit>("text")->setText("abcabc");
        bench.child<QSpinBox>("beams")->setValue(64);
        bench.child<QSpinBox>("longest")->setValue(10);
        QTest::mouseClick(bench.child<QPushButton>("search"), Qt::LeftButton);
        QVERIFY(!bench.panel->isIdle());
        auto* cancel = bench.child<QPushButton>("cancel");
        QVERIFY(cancel);
        QTest::mouseClick(cancel, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QCOMPARE(bench.child<QTableWidget>("hypotheses")->rowCount(), 0);
        QVERIFY(bench.child<QPushButton>("search")->isEnabled());
        // The same by a key, wherever in the panel it is pressed.
        QTest::mouseClick(bench.child<QPushButton>("search"), Qt::LeftButton);
        QVERIFY(!bench.panel->isIdle() && cancel->isVisible());
        QTest::keyClick(bench.child<QLineEdit>("text"), Qt::Key_Escape);
        QVERIFY(!cancel->isVisible());
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        QCOMPARE(bench.child<QTableWidget>("hypotheses")->rowCount(), 0);
    }

    void aRestartBringsBackTheForm()
    {
        Bench bench;
        bench.show();
        bench.session.selectRuns({bench.run});
        bench.child<QLineEdit>("text")->setText("hello");
        bench.child<QSpinBox>("beams")->setValue(7);
        bench.child<QDoubleSpinBox>("penalty")->setValue(0.5);
        const auto state = bench.panel->saveState();
        bench.show(state);
        QCOMPARE(bench.child<QLineEdit>("text")->text(), QString("hello"));
        QCOMPARE(bench.child<QSpinBox>("beams")->value(), 7);
        QCOMPARE(bench.child<QDoubleSpinBox>("penalty")->value(), 0.5);
        bench.panel->restoreState({{"beams", "many"}, {"text", 3}});
        QCOMPARE(bench.child<QSpinBox>("beams")->value(), 7);
    }
};

QTEST_MAIN(BeamSearchPanelTest)
#include "beam_search_test.moc"
