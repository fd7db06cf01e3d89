// The Lens panel: from an empty state to numbers that equal core's, a measurement cancelled in the middle, state after a restart.
#include <ATen/ATen.h>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSlider>
#include <QSpinBox>
#include <QTabBar>
#include <QTabWidget>
#include <QTableView>
#include <QTableWidget>

#include <core/catalogue.h>
#include <core/intervene/lens_methods.h>
#include <core/jobs/queue.h>
#include <core/models/model_file.h>
#include <core/train/samples.h>
#include <plugins/lens/attention_page.h>
#include <plugins/lens/checkpoints_page.h>
#include <plugins/lens/lens_panel.h>
#include <widgets/commands.h>
#include <widgets/heat_map_view.h>
#include <widgets/job_bar.h>
#include <widgets/lines_edit.h>
#include <widgets/plot_view.h>
#include <widgets/token_view.h>

#include "../core/intervene/hand_built.h"
#include "../core/train/bert_folder.h"
#include "../widgets/shots.h"
#include "damaged_models.h"
#include "panel_faults.h"
#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using Bench = test::PanelBench<LensPanel>;

namespace {

/// Two layers of attention, a few steps, every second one kept.
store::RunId smallRun(const Bench& bench, int steps = 12, int width = 24)
{
    const core::Json document{{"name", "small"},
                              {"model", {{"id", "gpt"}, {"layers", 2}, {"heads", 3}, {"width", width}, {"mlp", false}}},
                              {"data", {{"id", "repeated_sequences"}, {"vocabulary", 12}, {"length", 6}, {"samples", 300}}},
                              {"train",
                               {{"epochs", nullptr},
                                {"steps", steps},
                                {"batch_size", 16},
                                {"threads", 1},
                                {"evaluate_every", 4},
                                {"checkpoint", {{"every", 2}, {"keep", 100}, {"use", "last"}}}}}};
    const auto run = train::createRun(*bench.workspace(), train::resolveExperiment(document));
    jobs::DirectContext context;
    train::trainRun(bench.workspace(), run, context);
    bench.workspace()->flush();
    return run;
}

void chooseTab(const Bench& bench, int index)
{
    auto* bar = bench.panel->findChild<QTabWidget*>()->tabBar();
    QTest::mouseClick(bar, Qt::LeftButton, {}, bar->tabRect(index).center());
}

void settle(const Bench& bench)
{
    QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && !bench.session.hasBackgroundWork(), 60000);
}

/// The same by core alone.
intervene::LensResult expected(const Bench& bench, store::RunId run, const char* kind, std::int64_t sample = 0,
                               core::Json parameters = core::Json::object(), std::optional<std::int64_t> step = {})
{
    const auto model = train::modelOfRun(*bench.workspace(), run, step);
    const auto data = train::dataOfRun(*bench.workspace(), run);
    const std::int64_t index = data->split(data::Split::Test)[std::size_t(sample)];
    const graph::Executor executor(model.graph);
    return intervene::runLens({executor, model}, kind, {data->fetch({&index, 1}).inputs[0], {}, std::move(parameters)});
}

QString handBuilt(const Bench& bench, const graph::Model& model, const char* name)
{
    const QString file = bench.folder.filePath(name);
    models::saveModel(file.toStdString(), model);
    return file;
}

}  // namespace

class LensTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }

    void emptyStatesSayWhatToDo()
    {
        Bench without(false);
        without.show();
        QTRY_VERIFY(without.panel->isShowingEmptyState());
        QCOMPARE(without.panel->commandLine(), QString());
        Bench bench;
        bench.show();
        QTRY_VERIFY(bench.panel->isShowingEmptyState());
        bench.session.openModel("zoo:mlp?features=4&classes=3");
        settle(bench);
        QVERIFY(bench.panel->isShowingEmptyState());  // no transformer
    }

    void theGridEqualsCore()
    {
        Bench bench;
        const auto run = smallRun(bench);
        bench.show();
        QTRY_VERIFY(bench.panel->isShowingEmptyState());
        bench.session.selectRuns({run});
        auto* table = bench.child<QTableView>("grid");
        QTRY_COMPARE(table->model()->rowCount(), 12);
        QCOMPARE(table->model()->columnCount(), 3);
        const auto result = expected(bench, run, "logit_lens");
        const auto& grid = std::get<intervene::LensGrid>(result.value);
        for (int row = 0; row < 12; ++row)
            for (int column = 0; column < 3; ++column) {
                const auto cell = table->model()->index(row, column);
                QCOMPARE(cell.data().toString(), QString::number(grid.topTokens[column][row][0].item<std::int64_t>()));
                QVERIFY(
                    cell.data(Qt::ToolTipRole).toString().contains(QString::number(grid.topProbabilities[column][row][0].item<double>(), 'f', 4)));
            }
        QVERIFY(bench.child<QLabel>("gridSummary")->text().endsWith(": 0"));
        settle(bench);
        takeShots(*bench.panel, "lens-grid");
        // A click selects token and value everywhere.
        QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, table->visualRect(table->model()->index(5, 1)).center());
        QCOMPARE(bench.session.selection().token, std::optional<qint64>(5));
        QCOMPARE(bench.session.selection().valuePath.toStdString(), grid.places[1].value);
        QCOMPARE(bench.child<widgets::TokenView>("tokens")->current(), 5);
        bench.session.changeSelection([](widgets::Selection& s) { s.token = 7; });
        QCOMPARE(table->currentIndex().row(), 7);
        // Another sample.
        auto* sample = bench.child<QSpinBox>("sample");
        sample->setFocus();
        QTest::keyClick(sample, Qt::Key_Up);
        QTRY_COMPARE(bench.session.selection().samples, QList<qint64>{1});
        const auto other = expected(bench, run, "logit_lens", 1);
        settle(bench);
        QCOMPARE(table->model()->index(3, 2).data().toString(),
                 QString::number(std::get<intervene::LensGrid>(other.value).topTokens[2][3][0].item<std::int64_t>()));
    }

    void attentionBetweenTwoTextsIsShown()
    {
        const test::BertFolder given("bert-masked");
        const auto [model, inputs] = given.pairModel("god [MASK] the light", "it was good");
        graph::RunRequest request;
        request.inputs = inputs;
        request.keep = {model.card.canonicalNames.at("blocks.0.attn.pattern")};
        const auto run = graph::Executor(model.graph).run(model.weights, request);
        const at::Tensor probabilities = run.tensor().softmax(-1)[0];
        Bench bench;
        bench.show({{"input", 1}});
        bench.session.openModel(QString::fromStdString(given.folder.string()));
        auto *text = bench.child<widgets::LinesEdit>("text"), *pair = bench.child<widgets::LinesEdit>("pair");
        settle(bench);
        QVERIFY(text->isVisible() && pair->isVisible());
        text->setFocus();
        QTest::keyClicks(text, "god [MASK] the light");
        QTest::keyClicks(pair, "it was good");
        QTest::keyClick(pair, Qt::Key_Return);
        auto* table = bench.child<QTableView>("grid");
        const auto count = int(inputs[0].toTensor().size(1));
        QTRY_VERIFY2_WITH_TIMEOUT(table->model()->rowCount() == count, qPrintable(bench.panel->errorText()), 60000);
        settle(bench);
        // The last column is the model's own prediction of the pair.
        const int last = table->model()->columnCount() - 1;
        for (int row = 0; row < count; ++row)
            QVERIFY(table->model()
                        ->index(row, last)
                        .data(Qt::ToolTipRole)
                        .toString()
                        .contains(QString::number(probabilities[row].max().item<double>(), 'f', 4)));
        QVERIFY2(bench.panel->commandLine().contains("--text 'god [MASK] the light' --pair 'it was good'"), qPrintable(bench.panel->commandLine()));
        // What takes a logit apart reads one text, and says so; a model that goes on writing reads one, too.
        chooseTab(bench, 1);
        QTRY_VERIFY2(bench.panel->errorText().contains("expected logit_lens or attention"), qPrintable(bench.panel->errorText()));
        chooseTab(bench, 0);
        bench.session.openModel(handBuilt(bench, intervene::copyingModel(), "copying.safetensors"));
        QTRY_VERIFY(!pair->isVisible());
        text->selectAll();
        QTest::keyClicks(text, "eabc");
        QTest::keyClick(text, Qt::Key_Return);
        QTRY_COMPARE(table->model()->rowCount(), 4);
        settle(bench);
        QVERIFY(bench.panel->errorText().isEmpty() && !bench.panel->commandLine().contains("--pair"));
    }

    void statesAreReadInAnotherContext()
    {
        Bench bench;
        bench.show();
        bench.session.openModel(handBuilt(bench, intervene::copyingModel(), "copying.safetensors"));
        settle(bench);
        auto* kind = bench.child<QComboBox>("inputKind");
        kind->setFocus();
        QTest::keyClick(kind, Qt::Key_Down);
        auto* text = bench.child<widgets::LinesEdit>("text");
        text->setFocus();
        QTest::keyClicks(text, "eabc");
        QTest::keyClick(text, Qt::Key_Return);
        auto* table = bench.child<QTableView>("grid");
        QTRY_COMPARE(table->model()->rowCount(), 4);
        settle(bench);
        auto* by = bench.child<QComboBox>("readBy");
        QVERIFY(!bench.child<QLineEdit>("context")->isVisible());
        by->setFocus();
        QTest::keyClick(by, Qt::Key_Down);
        auto* context = bench.child<QLineEdit>("context");
        QVERIFY(context->isVisible());
        context->setFocus();
        QTest::keyClicks(context, "db");
        QTest::keyClick(context, Qt::Key_Return);
        auto* ahead = bench.child<QSpinBox>("ahead");
        ahead->setFocus();
        QTest::keyClick(ahead, Qt::Key_Up);
        settle(bench);
        // From layer 1 on the state says what it holds; before it the context's first letter is copied.
        QTRY_COMPARE(table->model()->index(2, 1).data().toString(), QString("ed"));
        QCOMPARE(table->model()->index(2, 0).data().toString(), QString("dd"));
        QVERIFY2(bench.panel->commandLine().contains("--kind transplant --set offset=2 --set context=db"), qPrintable(bench.panel->commandLine()));
        QTest::mouseClick(table->viewport(), Qt::LeftButton, {}, table->visualRect(table->model()->index(2, 1)).center());
        const QString cell = bench.child<QLabel>("gridCell")->text();
        const QString high = QString::number(std::exp(5) / (std::exp(5) + 5), 'f', 4);
        QVERIFY2(cell.startsWith("Position 2, block 0:") && cell.contains("1 ahead   e   " + high) && cell.contains("2 ahead   d"), qPrintable(cell));
        settle(bench);
        takeShots(*bench.panel, "lens-transplant");
        // A context that leaves no room is explained; what was typed stays.
        context->setFocus();
        QTest::keyClicks(context, "aaa");
        QTest::keyClick(context, Qt::Key_Return);
        QTRY_VERIFY2(bench.panel->errorText().contains("expected an offset up to 1"), qPrintable(bench.panel->errorText()));
        settle(bench);
        // What stood there stays, and says that it is of other settings.
        QCOMPARE(table->model()->index(2, 1).data().toString(), QString("ed"));
        QVERIFY2(bench.panel->shownCommand().endsWith("context=db"), qPrintable(bench.panel->shownCommand()));
        QTRY_VERIFY(bench.panel->isShownOutdated());
        const auto state = bench.panel->saveState();
        bench.show(state);
        QCOMPARE(bench.child<QLineEdit>("context")->text(), QString("dbaaa"));
        QCOMPARE(bench.child<QComboBox>("readBy")->currentIndex(), 1);
        settle(bench);
    }

    void modelsThatCannotBeUsedAreExplained()
    {
        Bench bench;
        bench.show({{"input", 1}, {"text", "eabc"}});
        bench.session.openModel(test::cutModel(bench.folder.path()));
        QTRY_VERIFY2(bench.panel->errorText().contains("cut.safetensors"), qPrintable(bench.panel->errorText()));
        settle(bench);
        bench.session.openModel(test::nanModel(bench.folder.path()));
        QTRY_VERIFY2(bench.panel->errorText().contains("NaN"), qPrintable(bench.panel->errorText()));
        settle(bench);
        QCOMPARE(bench.child<QTableView>("grid")->model()->rowCount(), 0);
        // A sound one, then a text that is too long: what was typed stays to be shortened.
        bench.session.openModel(handBuilt(bench, intervene::copyingModel(), "copying.safetensors"));
        QTRY_COMPARE(bench.child<QTableView>("grid")->model()->rowCount(), 4);
        QVERIFY(bench.panel->errorText().isEmpty());
        auto* text = bench.child<widgets::LinesEdit>("text");
        text->setFocus();
        QTest::keyClicks(text, "dd");
        QTest::keyClick(text, Qt::Key_Return);
        QTRY_VERIFY2(bench.panel->errorText().contains("expected at most 5 tokens"), qPrintable(bench.panel->errorText()));
        QCOMPARE(text->text(), QString("eabcdd"));
        QTRY_VERIFY(bench.panel->isShownOutdated());
        QTest::keyClick(text, Qt::Key_Backspace);
        QTest::keyClick(text, Qt::Key_Backspace);
        QTest::keyClick(text, Qt::Key_Return);
        QTRY_VERIFY(bench.panel->errorText().isEmpty() && !bench.panel->isShownOutdated());
        settle(bench);
    }

    void whatCannotBeUsedIsNamed_data() { test::addFaults(); }
    void whatCannotBeUsedIsNamed()
    {
        Bench bench;
        bench.show();
        test::checkFault(bench, nullptr, [&] { return bench.child<QTableView>("grid")->model()->rowCount() == 8; });
    }

    void aReplacedFileIsReadAnew()
    {
        Bench bench;
        bench.show();
        test::checkReplacedModel(bench, [&] {
            const auto* grid = bench.child<QTableView>("grid")->model();
            return grid->index(0, 0).data(Qt::ToolTipRole).toString();
        });
    }

    void theSliderGoesThroughTheSizes()
    {
        Bench bench;
        const auto large = smallRun(bench, 6, 48), small = smallRun(bench, 4, 12), middle = smallRun(bench, 6, 24);
        bench.show();
        bench.session.selectRuns({large, small, middle});
        auto* slider = bench.child<QSlider>("size");
        auto* model = bench.child<QComboBox>("model");
        QTRY_VERIFY(slider->isVisible());
        settle(bench);
        QCOMPARE(slider->maximum(), 2);
        QCOMPARE(slider->value(), 2);  // the first one that is selected is the largest
        const auto name = [&] { return bench.child<QLabel>("sizeName")->text(); };
        const auto count = graph::parameterCount(*train::modelOfRun(*bench.workspace(), large).graph);
        QVERIFY2(name().contains(QLocale().toString(count)) && name().contains("3 of 3") && name().contains("same data order"), qPrintable(name()));
        slider->setFocus();
        QTest::keyClick(slider, Qt::Key_Left);
        settle(bench);
        QCOMPARE(model->currentData().toString(), QStringLiteral("run:%1").arg(middle));
        auto* checkpoint = bench.child<QSlider>("checkpoint");
        checkpoint->setFocus();
        QTest::keyClick(checkpoint, Qt::Key_Left);  // step 6
        settle(bench);
        QVERIFY(bench.child<QLabel>("checkpointName")->text().startsWith("step 6"));
        slider->setFocus();
        QTest::keyClick(slider, Qt::Key_Left);
        settle(bench);
        QCOMPARE(model->currentData().toString(), QStringLiteral("run:%1").arg(small));
        QVERIFY2(bench.child<QLabel>("checkpointName")->text().startsWith("step 4"), qPrintable(bench.child<QLabel>("checkpointName")->text()));
        const auto result = expected(bench, small, "logit_lens", 0, core::Json::object(), 4);
        const auto& grid = std::get<intervene::LensGrid>(result.value);
        auto* table = bench.child<QTableView>("grid");
        for (int row = 0; row < 12; ++row)
            QCOMPARE(table->model()->index(row, 2).data().toString(), QString::number(grid.topTokens[2][row][0].item<std::int64_t>()));
        QCOMPARE(bench.session.selection().weightsRun, std::optional<qint64>(small));
        QCOMPARE(bench.session.selection().checkpointStep, std::optional<qint64>(4));
        takeShots(*bench.panel, "lens-sizes");
        bench.session.selectRuns({small});
        settle(bench);
        QVERIFY(!slider->isVisible());
    }

    void aTextIsReadByTheTokenizer()
    {
        Bench bench;
        bench.show();
        bench.session.openModel(handBuilt(bench, intervene::copyingModel(), "copying.safetensors"));
        settle(bench);
        QVERIFY(bench.child<QLabel>("hint")->isVisible());
        auto* kind = bench.child<QComboBox>("inputKind");
        kind->setFocus();
        QTest::keyClick(kind, Qt::Key_Down);
        auto* text = bench.child<widgets::LinesEdit>("text");
        QVERIFY(text->isVisible());
        text->setFocus();
        QTest::keyClicks(text, "eabcd");
        QTest::keyClick(text, Qt::Key_Return);
        auto* table = bench.child<QTableView>("grid");
        QTRY_COMPARE(table->model()->rowCount(), 5);
        for (int row = 0; row < 5; ++row)
            QCOMPARE(table->model()->index(row, 2).data().toString(), QString("e"));
        QVERIFY(!bench.child<QLabel>("hint")->isVisible());
        settle(bench);
        // The logit of the copied token is written by the copying head alone.
        chooseTab(bench, 1);
        auto* parts = bench.child<QTableWidget>("parts");
        QTRY_VERIFY(parts->rowCount() > 0);
        for (int row = 0; row < parts->rowCount(); ++row)
            QCOMPARE(parts->item(row, 1)->text().toDouble(), parts->item(row, 0)->text() == "head 0.0" ? intervene::kCopyLogit : 0.0);
        settle(bench);
        takeShots(*bench.panel, "lens-attribution");
        QVERIFY(bench.panel->commandLine().contains("--text eabcd --kind direct_logit_attribution"));
        // A text that the model cannot read.
        text->setFocus();
        QTest::keyClicks(text, "z");
        QTest::keyClick(text, Qt::Key_Return);
        QTRY_VERIFY(bench.panel->errorText().contains("U+007A"));
        settle(bench);
    }

    void attributionFollowsTheToken()
    {
        Bench bench;
        const auto run = smallRun(bench);
        bench.show({{"tab", 1}});
        bench.session.selectRuns({run});
        auto* parts = bench.child<QTableWidget>("parts");
        const auto compare = [&](const core::Json& parameters) {
            const auto result = expected(bench, run, "direct_logit_attribution", 0, parameters);
            const auto& made = std::get<intervene::DirectLogitAttribution>(result.value);
            settle(bench);
            QCOMPARE(parts->rowCount(), int(made.parts.size()));
            for (int row = 0; row < parts->rowCount(); ++row)
                QCOMPARE(parts->item(row, 1)->text(), QString::number(made.parts[std::size_t(row)].value, 'g', 6));
            auto* heads = bench.child<widgets::HeatMapView>("directHeads");
            QCOMPARE(heads->value(1, 2), made.heads[1][2].item<double>());
        };
        QTRY_VERIFY(parts->rowCount() > 0);
        compare(core::Json::object());
        bench.session.changeSelection([](widgets::Selection& s) { s.token = 4; });
        QTRY_VERIFY(bench.child<QLabel>("directSummary")->text().contains("token 4"));
        compare({{"position", 4}});
        auto* target = bench.child<QLineEdit>("directTarget");
        target->setFocus();
        QTest::keyClicks(target, "3");
        QTest::keyClick(target, Qt::Key_Return);
        QTRY_VERIFY(bench.child<QLabel>("directSummary")->text().contains("“3”"));
        compare({{"position", 4}, {"target", "3"}});
        QTest::keyClicks(target, "33");
        QTest::keyClick(target, Qt::Key_Return);
        QTRY_VERIFY(bench.panel->errorText().contains("target 333"));
        settle(bench);
    }

    void patternsAreEnlarged()
    {
        Bench bench;
        bench.show({{"tab", 2}, {"input", 1}, {"text", "abcabc"}});
        bench.session.openModel(handBuilt(bench, intervene::inductionModel(), "induction.safetensors"));
        QTRY_COMPARE(bench.panel->findChildren<PatternTile*>().size(), 1);
        settle(bench);
        takeShots(*bench.panel, "lens-heads");
        auto* layer = bench.child<QComboBox>("attentionLayer");
        layer->setFocus();
        QTest::keyClick(layer, Qt::Key_Down);
        QTest::mouseClick(bench.panel->findChildren<PatternTile*>().first(), Qt::LeftButton);
        auto* pattern = bench.child<widgets::HeatMapView>("pattern");
        QTRY_VERIFY(pattern->isVisible());
        QCOMPARE(pattern->rows(), 6);
        // The second "a" looks at what followed the first.
        QCOMPARE(pattern->value(3, 1), 1.0);
        QCOMPARE(pattern->value(4, 2), 1.0);
        QVERIFY(bench.child<QLabel>("attentionCaption")->text().contains("induction 1.000"));
        QCOMPARE(bench.session.selection().valueIndex, (QList<qint64>{0, 0}));
        takeShots(*bench.panel, "lens-pattern");
    }

    void theInductionHeadStandsOut()
    {
        Bench bench;
        bench.show({{"tab", 3}});
        bench.session.openModel(handBuilt(bench, intervene::inductionModel(), "induction.safetensors"));
        auto* map = bench.child<widgets::HeatMapView>("inductionMap");
        QTRY_COMPARE(map->rows(), 2);
        QCOMPARE(map->value(1, 0), 1.0);
        QVERIFY(map->value(0, 0) < 0.01);
        auto* summary = bench.child<QLabel>("inductionSummary");
        QVERIFY2(summary->text().contains("Induction heads: 1.0.") && summary->text().contains("100.0 %"), qPrintable(summary->text()));
        settle(bench);
        takeShots(*bench.panel, "lens-induction");
        auto* ablate = bench.child<QLineEdit>("ablate");
        ablate->setFocus();
        QTest::keyClicks(ablate, "1.0");
        QTest::keyClick(ablate, Qt::Key_Return);
        QTRY_VERIFY(!summary->text().contains("100.0 %"));
        settle(bench);
        ablate->setFocus();
        QTest::keyClicks(ablate, " 7.0");
        QTest::keyClick(ablate, Qt::Key_Return);
        QTRY_VERIFY(bench.panel->errorText().contains("no head 7.0"));
        settle(bench);
    }

    void theSliderGoesAlongTheTraining()
    {
        Bench bench;
        const auto run = smallRun(bench);
        bench.show();
        bench.session.selectRuns({run});
        auto* slider = bench.child<QSlider>("checkpoint");
        QTRY_VERIFY(slider->isVisible());
        settle(bench);
        QCOMPARE(slider->maximum(), 6);
        QCOMPARE(bench.child<QLabel>("checkpointName")->text(), QString("final weights"));
        slider->setFocus();
        QTest::keyClick(slider, Qt::Key_Home);
        settle(bench);
        QCOMPARE(bench.child<QLabel>("checkpointName")->text(), QString("step 2 (1 of 6)"));
        QCOMPARE(bench.session.selection().checkpointStep, std::optional<qint64>(2));
        const auto result = expected(bench, run, "logit_lens", 0, core::Json::object(), 2);
        const auto& grid = std::get<intervene::LensGrid>(result.value);
        auto* table = bench.child<QTableView>("grid");
        for (int row = 0; row < 12; ++row)
            QVERIFY(table->model()
                        ->index(row, 2)
                        .data(Qt::ToolTipRole)
                        .toString()
                        .contains(QString::number(grid.topProbabilities[2][row][0].item<double>(), 'f', 4)));
        QVERIFY(bench.panel->commandLine().contains(QString("run:%1@2").arg(run)));
        // Chosen elsewhere: the slider follows.
        bench.session.changeSelection([](widgets::Selection& s) { s.checkpointStep = 6; });
        settle(bench);
        QCOMPARE(slider->value(), 2);
    }

    void everyCheckpointIsMeasured()
    {
        Bench bench;
        const auto run = smallRun(bench);
        bench.show({{"tab", 4}});
        bench.session.selectRuns({run});
        auto* measure = bench.child<QPushButton>("measure");
        QTRY_VERIFY(measure->isVisible() && measure->isEnabled());
        QTest::mouseClick(measure, Qt::LeftButton);
        auto* page = bench.panel->findChild<CheckpointsPage*>();
        QTRY_COMPARE_WITH_TIMEOUT(page->points().size(), std::size_t(6), 60000);
        settle(bench);
        for (const auto& point : page->points()) {
            if (point.step % 4 == 0)
                QCOMPARE(point.loss.computed, point.loss.logged);  // a checkpoint gives its logged loss again
            QCOMPARE(point.memorised->sequences(), 200);
            const auto result = expected(bench, run, "induction", 0, core::Json::object(), point.step);
            QCOMPARE(point.bestScore, std::get<intervene::InductionScores>(result.value).scores.induction.max().item<double>());
        }
        auto* plot = bench.child<widgets::PlotView>("checkpointScore");
        QCOMPARE(plot->drawnData("induction").x.size(), std::size_t(6));
        QVERIFY2(bench.child<QLabel>("checkpointSummary")->text().contains("6 of 6"), qPrintable(bench.child<QLabel>("checkpointSummary")->text()));
        QVERIFY(bench.panel->commandLine().contains("--kind induction --checkpoints all"));
        takeShots(*bench.panel, "lens-checkpoints");
    }

    void aMeasurementIsCancelledInTheMiddle_data() { test::addWaysToEnd(); }
    void aMeasurementIsCancelledInTheMiddle()
    {
        QFETCH(bool, fromOutside);
        Bench bench;
        const auto run = smallRun(bench, 120);  // sixty checkpoints
        bench.show({{"tab", 4}});
        bench.session.selectRuns({run});
        auto* measure = bench.child<QPushButton>("measure");
        QTRY_VERIFY(measure->isVisible() && measure->isEnabled());
        QTest::mouseClick(measure, Qt::LeftButton);
        auto* page = bench.panel->findChild<CheckpointsPage*>();
        QTRY_VERIFY_WITH_TIMEOUT(page->points().size() >= 2, 60000);
        QVERIFY(!bench.panel->isIdle());
        test::endJob(bench.session, bench.panel->findChild<widgets::JobBar*>()->findChild<QPushButton*>("cancel"), fromOutside);
        settle(bench);
        const auto kept = page->points().size();
        QVERIFY(kept >= 2 && kept < 60);  // what there was stays
        QTRY_VERIFY(measure->isEnabled());
    }

    void theFutureLensIsFittedOnTheData()
    {
        Bench bench;
        const auto run = smallRun(bench);
        bench.show();
        bench.session.selectRuns({run});
        auto* table = bench.child<QTableView>("grid");
        QTRY_COMPARE(table->model()->rowCount(), 12);
        auto* ahead = bench.child<QSpinBox>("ahead");
        ahead->setFocus();
        QTest::keyClick(ahead, Qt::Key_Up);
        QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLabel>("gridSummary")->text().contains("bigram chain"), 60000);
        settle(bench);
        QVERIFY(bench.panel->commandLine().contains("--kind future --set offset=2"));
    }

    void whatIsOnShowIsKept()
    {
        Bench bench;
        const auto run = smallRun(bench);
        bench.show({{"tab", 3}});
        bench.session.selectRuns({run});
        QTRY_COMPARE(bench.child<widgets::HeatMapView>("inductionMap")->rows(), 2);
        settle(bench);
        for (auto* action : bench.panel->panelActions())
            if (action->text() == "Keep in the run")
                action->trigger();
        QTRY_COMPARE(bench.workspace()->analyses(run, "induction").size(), std::size_t(1));
        settle(bench);
    }

    void stateSurvivesARestart()
    {
        Bench bench;
        const auto run = smallRun(bench);
        bench.session.selectRuns({run});
        bench.show();
        auto* color = bench.child<QComboBox>("gridColor");
        color->setFocus();
        QTest::keyClick(color, Qt::Key_Down);
        settle(bench);
        chooseTab(bench, 3);
        settle(bench);
        const auto state = bench.panel->saveState();
        bench.panel.reset();
        bench.show(state);
        QCOMPARE(bench.panel->findChild<QTabWidget*>()->currentIndex(), 3);
        QCOMPARE(bench.child<QComboBox>("gridColor")->currentIndex(), 1);
        QTRY_COMPARE(bench.child<widgets::HeatMapView>("inductionMap")->rows(), 2);
        bench.panel->restoreState({{"tab", "third"}, {"grid", 7}, {"attention", {{"layer", -3}, {"head", "x"}}}, {"text", 5}});
        QCOMPARE(bench.panel->findChild<QTabWidget*>()->currentIndex(), 3);
        settle(bench);
    }
};

QTEST_MAIN(LensTest)
#include "lens_test.moc"
