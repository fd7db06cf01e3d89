// The Debugger's tabs Profile and Divergence in trouble: each fault says what to do, nothing is lost, and the next result arrives as if nothing had been.
#include <QCheckBox>
#include <QComboBox>
#include <QPushButton>

#include <core/base/files.h>
#include <core/catalogue.h>
#include <core/io/npy.h>
#include <core/io/tensors.h>
#include <core/jobs/queue.h>
#include <plugins/debugger/divergence_page.h>
#include <plugins/debugger/profile_page.h>

#include "../core/graph/sample_graphs.h"
#include "damaged_models.h"
#include "debugger_bench.h"
#include "model_faults.h"

using namespace orrery;
using namespace orrery::plugins;
using test::kPatience;
using test::smallGpt;

namespace {

enum Tab { Step, Profile, Divergence };

/// The panel with one of its tabs in front.
struct Bench : test::DebuggerBench {
    Bench() { show(); }
    Bench(Tab tab, const graph::Model& opened)
    {
        show();
        open(opened);
        waitReady();
        showTab("pages", tab);
    }
    ProfilePage* profile() const { return panel->findChild<ProfilePage*>(); }
    DivergencePage* divergence() const { return panel->findChild<DivergencePage*>(); }
    QWidget* page() const { return child<QTabWidget>("pages")->currentWidget(); }
    QPushButton* button(const char* name = "run") const { return page()->findChild<QPushButton*>(QString::fromLatin1(name)); }
    void setOther(const QString& model) const { divergence()->findChild<QLineEdit*>("other")->setText(model); }
    QString first() const { return divergence()->findChild<QLabel*>("first")->text(); }
    void run() const
    {
        QVERIFY2(button()->isEnabled(), qPrintable(button()->toolTip()));
        QTest::mouseClick(button(), Qt::LeftButton);
    }
    void waitForStatus(const QString& text) const
    {
        QTRY_VERIFY2_WITH_TIMEOUT(ready() && child<QLabel>("status")->text().contains(text), qPrintable(panel->errorText()), kPatience);
    }
    void waitForError(const QString& text) const
    {
        QTRY_VERIFY2_WITH_TIMEOUT(panel->errorText().contains(text), qPrintable("said: " + panel->errorText()), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle() && !session.hasBackgroundWork(), kPatience);
    }
    /// The next result arrives, and nothing is left of the fault.
    void checkGoesOn() const
    {
        run();
        QTRY_VERIFY2_WITH_TIMEOUT(panel->isIdle() &&
                                      (page() == profile() ? profile()->profile().has_value() : divergence()->divergence().has_value()),
                                  qPrintable(panel->errorText()), kPatience);
        QCOMPARE(panel->errorText(), QString());
    }
};

/// Long enough to be caught: two hundred products of 700 x 700.
graph::Model longModel()
{
    graph::Builder builder("long");
    const auto start = builder.input("x", "float32", {"700", "700"}, "float");
    auto x = start;
    for (int i = 0; i < 200; ++i)
        x = builder.op("aten::matmul", {x, start});
    return builder.finish({{"out", x}});
}

/// A float model whose weights are as after a training that diverged.
graph::Model nanModel()
{
    auto model = graph::residualModel();
    model.weights = model.weights.clone();
    model.weights.at("blocks.1.fc.weight").fill_(std::nan(""));
    return model;
}

}  // namespace

class DebuggerFaultsTest : public QObject {
    Q_OBJECT
    QTemporaryDir m_home;
private Q_SLOTS:
    void initTestCase()
    {
        core::registerAll();
        test::keepKnownPeaks(m_home);
    }

    void withoutAModelNothingCanBeStarted()
    {
        test::DebuggerBench bench;
        bench.show();
        for (QWidget* page :
             {static_cast<QWidget*>(bench.panel->findChild<ProfilePage*>()), static_cast<QWidget*>(bench.panel->findChild<DivergencePage*>())}) {
            QVERIFY(!page->findChild<QPushButton*>("run")->isEnabled());
            QCOMPARE(page->findChild<QPushButton*>("run")->toolTip(), QStringLiteral("Choose a model first"));
        }
        QVERIFY(!bench.child<QPushButton>("measurePeaks")->isEnabled());
        QCOMPARE(bench.panel->commandLine(), QString());
    }

    void theOtherModelIsDamaged_data() { test::addModelFaults(); }
    void theOtherModelIsDamaged()
    {
        QFETCH(QString, kind);
        QFETCH(QString, message);
        Bench bench(Divergence, graph::residualModel());
        bench.setOther(test::faultyModel(kind, bench.folder.path(), *bench.workspace()));
        bench.run();
        bench.waitForError(message);
        QVERIFY(!bench.divergence()->divergence());
        bench.setOther({});
        bench.checkGoesOn();
    }

    void theOtherModelDoesNotSuit_data()
    {
        QTest::addColumn<QString>("other");
        QTest::addColumn<QString>("message");
        QTest::newRow("nothing in common") << "zoo:mlp?features=9&classes=2"
                                           << "Nothing was compared";
        QTest::newRow("takes more inputs") << "LOOP"
                                           << "expected 2 inputs";
        QTest::newRow("no such architecture") << "zoo:mpl"
                                              << "did you mean \"mlp\"?";
    }
    void theOtherModelDoesNotSuit()
    {
        QFETCH(QString, other);
        QFETCH(QString, message);
        Bench bench(Divergence, graph::residualModel());
        models::saveModel(bench.file("loop.safetensors").toStdString(), graph::loopModel(3));
        io::writeNpy(bench.file("x.npy").toStdString(), io::toArray(at::full({2, 6}, 0.5)));
        bench.child<QComboBox>("kind")->setCurrentIndex(3);
        bench.type("input", bench.file("x.npy"));
        bench.waitForStatus("float32 [2, 6]");
        bench.setOther(other == "LOOP" ? bench.file("loop.safetensors") : other);
        bench.run();
        QTRY_VERIFY2_WITH_TIMEOUT((bench.panel->errorText() + bench.first()).contains(message),
                                  qPrintable("said: " + bench.panel->errorText() + bench.first()), kPatience);
        bench.setOther({});
        bench.checkGoesOn();
        QVERIFY2(bench.first().contains("No difference"), qPrintable(bench.first()));
    }

    void settingsOutOfRangeAreRefusedBeforeTheJob()
    {
        Bench bench(Divergence, graph::residualModel());
        auto* tolerance = bench.divergence()->findChild<QLineEdit*>("rtol");
        for (const char* text : {"-1", "abc", "nan", "1e"}) {
            tolerance->setText(text);
            QVERIFY2(!bench.button()->isEnabled() && bench.button()->toolTip().contains("expected a number that is not negative"), text);
            QCOMPARE(bench.panel->commandLine(), QString());
        }
        tolerance->setText("0.5");
        bench.checkGoesOn();
    }

    void aFileThatVanishedIsNamed()
    {
        Bench bench(Divergence, graph::residualModel());
        const QString other = bench.file("other.safetensors");
        models::saveModel(other.toStdString(), graph::residualModel());
        bench.setOther(other);
        bench.checkGoesOn();
        QFile::remove(other);
        bench.run();
        bench.waitForError("other.safetensors");
        // What was found before is no answer to this question.
        QVERIFY(bench.first().contains("No difference"));
        QCOMPARE(bench.panel->shownCommand(), bench.panel->commandLine());
        models::saveModel(other.toStdString(), nanModel());
        bench.checkGoesOn();
        QTRY_VERIFY2(bench.first().contains("blocks.1.fc.linear"), qPrintable(bench.first()));
    }

    void aModelThatIsCutWhileItIsOpenIsNamed_data()
    {
        QTest::addColumn<int>("tab");
        QTest::newRow("profile") << int(Profile);
        QTest::newRow("divergence") << int(Divergence);
    }
    void aModelThatIsCutWhileItIsOpenIsNamed()
    {
        QFETCH(int, tab);
        Bench bench(Tab(tab), smallGpt());
        test::cutInPlace(bench.file());
        bench.run();
        QTRY_VERIFY2_WITH_TIMEOUT((bench.panel->errorText() + bench.first()).contains("the file was cut short while it was open here"),
                                  qPrintable("said: " + bench.panel->errorText() + bench.first()), kPatience);
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle(), kPatience);
        bench.open(smallGpt());
        QTRY_VERIFY_WITH_TIMEOUT(bench.ready() && bench.panel->errorText().isEmpty(), kPatience);
        bench.checkGoesOn();
    }

    void numbersThatAreNotFiniteAreNumbers()
    {
        Bench bench(Divergence, nanModel());
        bench.run();
        QTRY_VERIFY_WITH_TIMEOUT(bench.divergence()->divergence() && bench.panel->isIdle(), kPatience);
        QVERIFY2(bench.first().contains("blocks.1.fc.linear") && bench.first().contains("nan against nan"), qPrintable(bench.first()));
        bench.divergence()->findChild<QCheckBox*>("equalNan")->setChecked(true);
        bench.checkGoesOn();
        QTRY_VERIFY2(bench.first().contains("No difference"), qPrintable(bench.first()));
        bench.showTab("pages", Profile);
        bench.checkGoesOn();
        for (const auto& node : bench.profile()->profile()->nodes)
            QVERIFY(node.seconds > 0);
    }

    void aNodeThatFailsIsNamed()
    {
        Bench bench;
        bench.open(graph::loopModel(3));
        io::writeNpy(bench.file("x.npy").toStdString(), io::toArray(at::zeros({2, 4})));  // the loop wants three rows
        io::writeNpy(bench.file("long.npy").toStdString(), io::toArray(at::zeros({3, 4})));
        io::writeNpy(bench.file("h0.npy").toStdString(), io::toArray(at::zeros({4})));
        bench.child<QComboBox>("kind")->setCurrentIndex(3);
        bench.type("input", bench.file("x.npy") + " " + bench.file("h0.npy"));
        bench.waitForStatus("float32 [2, 4]");
        bench.showTab("pages", Profile);
        bench.run();
        bench.waitForError("row[2]");
        bench.type("input", bench.file("long.npy") + " " + bench.file("h0.npy"));
        bench.waitForStatus("float32 [3, 4]");
        bench.checkGoesOn();
    }

    void workIsEndedInTheMiddle_data()
    {
        QTest::addColumn<int>("tab");
        QTest::addColumn<QString>("how");
        for (const auto& [tab, name] : {std::pair(Profile, "profile"), {Divergence, "divergence"}})
            for (const char* how : {"button", "queue", "closed"})
                QTest::addRow("%s, %s", name, how) << int(tab) << QString::fromLatin1(how);
    }
    void workIsEndedInTheMiddle()
    {
        QFETCH(int, tab);
        QFETCH(QString, how);
        Bench bench(Tab(tab), longModel());
        bench.run();
        QTRY_VERIFY(bench.session.hasBackgroundWork() && bench.button("cancel")->isVisible());
        if (how == "closed") {
            bench.panel.reset();
            QTRY_VERIFY_WITH_TIMEOUT(!bench.session.hasBackgroundWork(), kPatience);
            return;
        }
        test::endJob(bench.session, bench.button("cancel"), how == "queue");
        QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && !bench.session.hasBackgroundWork(), kPatience);
        QVERIFY(!bench.profile()->profile() && !bench.divergence()->divergence());
        QVERIFY(bench.button()->isEnabled());
        bench.open(graph::residualModel());
        bench.waitForStatus("float32 [1, 6]");
        bench.checkGoesOn();
    }

    void anotherModelEndsTheWork()
    {
        // What arrived late would stand there as the new model's.
        for (const auto tab : {Profile, Divergence}) {
            Bench bench(tab, longModel());
            bench.run();
            QTRY_VERIFY(bench.session.hasBackgroundWork());
            bench.open(graph::residualModel());
            bench.waitForStatus("float32 [1, 6]");
            QTRY_VERIFY_WITH_TIMEOUT(bench.panel->isIdle() && !bench.session.hasBackgroundWork(), kPatience);
            QVERIFY(!bench.profile()->profile() && !bench.divergence()->divergence());
            bench.checkGoesOn();
        }
    }

    void aWorkspaceThatCannotBeWrittenIsNoMatter()
    {
        // Nothing of these results is stored: the folder may be gone.
        Bench bench(Profile, graph::residualModel());
        QDir(bench.folder.filePath("workspace")).removeRecursively();
        bench.checkGoesOn();
        bench.showTab("pages", Divergence);
        bench.checkGoesOn();
    }
};

QTEST_MAIN(DebuggerFaultsTest)
#include "debugger_faults_test.moc"
