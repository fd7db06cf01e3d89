// The inputs of the Debugger panel: texts, pairs and several of them, samples, files; what does not fit is refused, and what was set stays.
#include <sys/stat.h>

#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QTableWidget>
#include <QToolButton>

#include <core/base/text.h>
#include <core/catalogue.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/models/model_file.h>
#include <plugins/debugger/debugger_panel.h>
#include <plugins/debugger/step_page.h>
#include <widgets/export.h>
#include <widgets/lines_edit.h>

#include "../core/graph/sample_graphs.h"
#include "../core/train/bert_folder.h"
#include "../widgets/shots.h"
#include "debugger_bench.h"

using namespace orrery;
using namespace orrery::plugins;
using test::kPatience;
using test::smallGpt;
using Bench = test::DebuggerBench;

class DebuggerInputsTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_home;
private Q_SLOTS:
    void initTestCase()
    {
        core::registerAll();
        test::keepKnownPeaks(m_home);
    }

    void aTextForTheModelBeforeIsNoMistake()
    {
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        Q_EMIT bench.child<QComboBox>("kind")->activated(2);
        bench.type("text", "abc");
        bench.waitReady();
        models::saveModel(bench.file("numbers.safetensors").toStdString(), graph::residualModel());
        bench.session.openModel(bench.file("numbers.safetensors"));
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().contains("float32 [1, 6]"), kPatience);
        QCOMPARE(bench.panel->errorText(), QString());
        // Chosen by hand it is one.
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        Q_EMIT bench.child<QComboBox>("kind")->activated(2);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("the model takes no text"), kPatience);
    }

    void textsAndSamplesAreInputs()
    {
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        auto* kind = bench.child<QComboBox>("kind");
        kind->setCurrentIndex(2);
        // Without a text there is nothing to run yet, and no mistake.
        QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLabel>("status")->text().contains("Type a text") && bench.panel->errorText().isEmpty(), kPatience);
        bench.type("text", "hello");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().contains("int64 [1, 5]"), kPatience);
        // A model that goes on writing reads no pairs.
        QVERIFY(bench.child<widgets::LinesEdit>("text")->isVisible() && !bench.child<widgets::LinesEdit>("pair")->isVisible());
        bench.press(Qt::Key_F5);
        QVERIFY(bench.place().contains("at the end"));
        QVERIFY2(bench.panel->commandLine().contains("--text hello"), qPrintable(bench.panel->commandLine()));
        takeShots(*bench.panel, "debugger-narrow");
        bench.panel->resize(1180, 760);
        QTRY_VERIFY(bench.panel->width() > 1000);
        takeShots(*bench.panel, "debugger-wide");
        kind->setCurrentIndex(1);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("expected a data set"), kPatience);
    }

    void aPairOfTextsIsRead()
    {
        const test::BertFolder given("bert-sequence");
        const auto [model, inputs] = given.pairModel("god saw the light", "it was good");
        graph::RunRequest request;
        request.inputs = inputs;
        const at::Tensor logits = graph::Executor(model.graph).run(model.weights, request).outputs.at(0).toTensor();
        Bench bench;
        bench.show();
        bench.session.openModel(QString::fromStdString(given.folder.string()));
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        bench.type("text", "god saw the light");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready(), kPatience);
        const QString alone = bench.child<QLabel>("status")->text();
        bench.type("pair", "it was good");
        const QString shape = QString::fromStdString("int64 " + core::formatShape(inputs[0].toTensor().sizes()));
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().count(shape) == 3, kPatience);
        QVERIFY(bench.child<QLabel>("status")->text() != alone);
        bench.press(Qt::Key_F5);
        const auto shown =
            bench.step()->debugSession()->tensor(QString::fromStdString(model.graph->value(model.graph->data().body.outputs[0].value).name), {});
        QVERIFY(at::tensor(shown.values).equal(logits.reshape({-1})));
        QVERIFY2(bench.panel->commandLine().contains("--text \"god saw the light\" --pair \"it was good\"") ||
                     bench.panel->commandLine().contains("--text 'god saw the light' --pair 'it was good'"),
                 qPrintable(bench.panel->commandLine()));
        QCOMPARE(bench.panel->saveState().at("texts"), core::Json::parse(R"([["god saw the light", "it was good"]])"));
        takeShots(*bench.panel, "debugger-pair");
        bench.child<QComboBox>("kind")->setCurrentIndex(0);
        QVERIFY(!bench.child<widgets::LinesEdit>("pair")->isVisible());
    }

    void severalTextsAreOneBatch()
    {
        const test::BertFolder given("bert-sequence");
        // Each of them alone, by hand.
        const std::pair<const char*, const char*> texts[] = {{"god saw the light", "it was good"}, {"the evening and the morning", "god"}};
        std::vector<at::Tensor> alone;
        QString output;
        for (const auto& [first, second] : texts) {
            const auto [model, inputs] = given.pairModel(first, second);
            graph::RunRequest request;
            request.inputs = inputs;
            alone.push_back(graph::Executor(model.graph).run(model.weights, request).outputs.at(0).toTensor());
            output = QString::fromStdString(model.graph->value(model.graph->data().body.outputs[0].value).name);
        }
        Bench bench;
        bench.show();
        bench.session.openModel(QString::fromStdString(given.folder.string()));
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        bench.type("text", texts[0].first);
        bench.type("pair", texts[0].second);
        QTest::mouseClick(bench.child<QToolButton>("add_text"), Qt::LeftButton);
        bench.type("text2", texts[1].first);
        bench.type("pair2", texts[1].second);
        QTRY_VERIFY2_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().count("int64 [2, ") == 3,
                                  qPrintable(bench.child<QLabel>("status")->text()), kPatience);
        bench.press(Qt::Key_F5);
        const auto shown = bench.step()->debugSession()->tensor(output, {});
        const at::Tensor expected = at::cat(alone);
        QVERIFY((at::tensor(shown.values).reshape_as(expected) - expected).abs().max().item<double>() < 1e-5);
        QVERIFY2(
            bench.panel->commandLine().contains("--text 'god saw the light' --text 'the evening and the morning' --pair 'it was good' --pair god"),
            qPrintable(bench.panel->commandLine()));
        takeShots(*bench.panel, "debugger-batch");
        // Taken away, the first is left.
        QTest::mouseClick(bench.child<QToolButton>("remove_text2"), Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().count("int64 [1, ") == 3, kPatience);
        QVERIFY(!bench.child<widgets::LinesEdit>("text2") || !bench.child<widgets::LinesEdit>("text2")->isVisible());
    }

    void anotherInputKeepsBreakpointsAndWatches()
    {
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        bench.child<QComboBox>("kind")->setCurrentIndex(2);
        bench.type("text", "hello");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().contains("int64 [1, 5]"), kPatience);
        bench.showTab("stepTabs", 2);
        bench.type("breakLine", "if shape");
        bench.showTab("stepTabs", 1);
        const QString watch = QStringLiteral("max(%1)").arg(QString::fromStdString(bench.model.graph->data().inputs[0].name));
        bench.type("watchLine", watch);
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.place().contains("at the end"), qPrintable(bench.place()));
        bench.type("text", "hello you");
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.child<QLabel>("status")->text().contains("int64 [1, 9]"), kPatience);
        QTRY_COMPARE_WITH_TIMEOUT(bench.child<QListWidget>("breakpoints")->count(), 1, kPatience);
        QCOMPARE(bench.child<QTableWidget>("watches")->rowCount(), 1);
        bench.press(Qt::Key_F5);
        QVERIFY2(bench.place().contains("shape"), qPrintable(bench.place()));
        QVERIFY2(bench.panel->commandLine().contains(QStringLiteral("--command 'break if shape' --command '%1'").arg("watch " + watch)),
                 qPrintable(bench.panel->commandLine()));
    }

    void theFilesOfAnInputAreChosen()
    {
        Bench bench;
        bench.show();
        bench.open(graph::loopModel(3));
        io::writeNpy(bench.file("a x.npy").toStdString(), io::toArray(at::ones({3, 4})));
        io::writeNpy(bench.file("h0.npy").toStdString(), io::toArray(at::zeros({4})));
        auto* choose = bench.child<QToolButton>("chooseFile");
        QVERIFY(!choose->isVisible());
        bench.child<QComboBox>("kind")->setCurrentIndex(3);
        QTRY_VERIFY_WITH_TIMEOUT(choose->isVisible(), kPatience);
        QStringList answers{bench.file("a x.npy"), QString(), bench.file("h0.npy")};
        const auto before = std::exchange(widgets::askOpenFile(), [&](QWidget*, const QString&, const QString&) { return answers.takeFirst(); });
        QTest::mouseClick(choose, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("input \"h0\" is missing"), kPatience);
        QTest::mouseClick(choose, Qt::LeftButton);  // given up
        QCOMPARE(bench.child<QLineEdit>("input")->text(), QStringLiteral("\"%1\"").arg(bench.file("a x.npy")));
        QTest::mouseClick(choose, Qt::LeftButton);
        widgets::askOpenFile() = before;
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.panel->errorText().isEmpty(), kPatience);
        QVERIFY2(bench.child<QLabel>("status")->text().contains("float32 [3, 4]; float32 [4]"), qPrintable(bench.child<QLabel>("status")->text()));
    }

    void inputsThatDoNotFitAreRefused()
    {
        Bench bench;
        bench.show();
        bench.open(graph::residualModel());
        bench.waitReady();
        io::writeNpy(bench.file("wrong.npy").toStdString(), io::toArray(at::zeros({2, 7})));
        at::Tensor odd = at::zeros({2, 6});
        odd[1][2] = std::nan("");
        io::writeNpy(bench.file("odd.npy").toStdString(), io::toArray(odd));
        bench.child<QComboBox>("kind")->setCurrentIndex(3);
        bench.type("input", bench.file("wrong.npy"));
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("got [2, 7]"), kPatience);
        bench.type("input", bench.file("odd.npy"));
        QTRY_VERIFY_WITH_TIMEOUT(bench.child<QLabel>("status")->text().contains("1 of 12 values are NaN or infinite"), kPatience);
        bench.child<QComboBox>("kind")->setCurrentIndex(1);
        bench.type("input", "abc");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->errorText().contains("expected a whole number of at least 0, got \"abc\""), kPatience);
        bench.child<QComboBox>("kind")->setCurrentIndex(0);
        bench.waitReady();
        QVERIFY2(bench.panel->commandLine().contains("--example"), qPrintable(bench.panel->commandLine()));
    }

    void inputsThatDoNotSuitAreNamed_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("message");
        QTest::newRow("no such file") << "gone.npy"
                                      << "gone.npy";
        QTest::newRow("pipe") << "pipe.npy"
                              << "pipe.npy: expected an NPY file";
        QTest::newRow("tokens outside the vocabulary") << "outside.npy"
                                                       << "expected tokens from 0 to 255, got 999";
        QTest::newRow("too long") << "long.npy"
                                  << "expected at most 32 tokens (the model's longest sequence), got 33";
        QTest::newRow("no tokens") << "none.npy"
                                   << "expected at least one token, got none";
        QTest::newRow("not whole") << "halves.npy"
                                   << "expected whole numbers for the model's input \"tokens\", got 0.5";
    }

    void inputsThatDoNotSuitAreNamed()
    {
        QFETCH(QString, file);
        QFETCH(QString, message);
        Bench bench;
        bench.show();
        bench.open(smallGpt());
        bench.waitReady();
        const auto write = [&](const char* name, const at::Tensor& tensor) { io::writeNpy(bench.file(name).toStdString(), io::toArray(tensor)); };
        write("outside.npy", at::full({1, 3}, 999, at::kLong));
        write("long.npy", at::ones({1, 33}, at::kLong));
        write("none.npy", at::ones({1, 0}, at::kLong));
        write("halves.npy", at::full({1, 3}, 0.5));
        write("good.npy", at::ones({1, 3}, at::kLong));
        ::mkfifo(bench.file("pipe.npy").toUtf8().constData(), 0600);
        bench.child<QComboBox>("kind")->setCurrentIndex(3);
        bench.type("input", bench.file(file.toUtf8().constData()));
        QTRY_VERIFY2_WITH_TIMEOUT(bench.panel->errorText().contains(message), qPrintable(bench.panel->errorText()), kPatience);
        bench.type("input", bench.file("good.npy"));
        bench.waitReady();
        QCOMPARE(bench.panel->errorText(), QString());
    }
};

QTEST_MAIN(DebuggerInputsTest)
#include "debugger_inputs_test.moc"
