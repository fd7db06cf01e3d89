// What the program is for, in one sitting: train, watch, find a wrong answer, explain it, train again differently, compare, report.
#include <QAbstractItemView>
#include <QComboBox>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTabWidget>
#include <QTableView>

#include <set>

#include <core/base/files.h>
#include <core/explain/stored.h>
#include <tests/app/app_test.h>
#include <widgets/export.h>
#include <widgets/plot_view.h>

#include "blocking_watch.h"

using namespace orrery;

namespace {

constexpr int kPatience = 240000;  ///< ms

const char* const kDocument = R"(name: digits, short
seed: 1
model: {id: lenet, maps: [8, 16], kernel: 3, padding: 1, hidden: [32]}
data: {id: digits}
train:
  epochs: 100
  threads: 1
  batch_size: 64
  optimizer: {id: adam, lr: 0.002}
)";

template <class Widget>
Widget* named(QWidget* parent, const QString& name)
{
    for (auto* widget : parent->findChildren<Widget*>())
        if (widget->accessibleName() == name || widget->objectName() == name)
            return widget;
    return nullptr;
}

void clickItem(QAbstractItemView* view, int row, Qt::KeyboardModifiers modifiers = {})
{
    const auto index = view->model()->index(row, 0);
    view->scrollTo(index);
    QTest::mouseClick(view->viewport(), Qt::LeftButton, modifiers, view->visualRect(index).center());
}

/// Chooses an entry of a box by the keyboard.
void choose(QComboBox* box, const QString& entry)
{
    const int row = box->findText(entry);
    QVERIFY2(row >= 0, qPrintable("no entry " + entry));
    box->setFocus();
    QTest::keyClick(box, Qt::Key_Home);
    for (int i = 0; i < row; ++i)
        QTest::keyClick(box, Qt::Key_Down);
    QCOMPARE(box->currentText(), entry);
}

}  // namespace

class StoryTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::writeFileAtomically(file("digits.yaml").toStdString(), kDocument); }

    void fromAnEmptyWorkspaceToAReport()
    {
        test::BlockingWatch watch;
        test::Program program;
        QVERIFY(program.window->openWorkspace(file("w")));
        const auto workspace = program.session.workspace();

        watch.chapter("1 train and watch");
        program.window->startExperiment(file("digits.yaml"));
        QTRY_VERIFY_WITH_TIMEOUT(program.session.selection().runs == QList<qint64>{1}, kPatience);
        auto* experiments = program.panel("experiments");
        QVERIFY(experiments && experiments->isVisible());
        const auto pointsOnShow = [&] {
            auto* plot = named<widgets::PlotView>(experiments, "plot.loss");
            std::size_t points = 0;
            if (plot)
                for (const auto& id : plot->seriesIds())
                    points = std::max(points, plot->drawnData(id).x.size());
            return points;
        };
        // Live: the curve grows twice while the run has not ended. The status is read after the points, so an end in between is not taken for life.
        std::set<std::size_t> lengthsWhileRunning;
        const auto growsLive = [&] {
            const auto points = pointsOnShow();
            if (!store::hasEnded(workspace->run(1).status))
                lengthsWhileRunning.insert(points);
            return lengthsWhileRunning.size() >= 3 || store::hasEnded(workspace->run(1).status);
        };
        QTRY_VERIFY_WITH_TIMEOUT(growsLive(), kPatience);
        QVERIFY(lengthsWhileRunning.size() >= 3);
        QTRY_COMPARE_WITH_TIMEOUT(workspace->run(1).status, store::RunStatus::Finished, kPatience);

        watch.chapter("2 select the run");
        auto* runs = named<QTableView>(experiments, "Runs");
        QVERIFY(runs);
        program.session.selectRuns({});
        clickItem(runs, 0);
        QTRY_COMPARE(program.session.selection().runs, QList<qint64>{1});

        watch.chapter("3 wrong predictions in Data");
        QVERIFY(program.window->showPanel("data"));
        auto* data = program.panel("data");
        QTRY_VERIFY_WITH_TIMEOUT(program.window->isIdle(), kPatience);
        auto* samples = named<QAbstractItemView>(data, "samples");
        QVERIFY(samples);
        QTRY_VERIFY(samples->model()->rowCount() > 0);
        const int all = samples->model()->rowCount();
        if (auto* predict = test::buttonNamed(data, "Predict this part"); predict && predict->isEnabled())
            QTest::mouseClick(predict, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(program.window->isIdle(), kPatience);
        choose(named<QComboBox>(data, "Predictions"), "Wrong predictions");
        const double accuracy = workspace->run(1).lastMetrics.at("test/accuracy");
        QTRY_COMPARE(samples->model()->rowCount(), int(std::lround((1 - accuracy) * all)));
        QVERIFY(samples->model()->rowCount() > 0);
        clickItem(samples, 0);
        QTRY_COMPARE(program.session.selection().samples.size(), 1);

        watch.chapter("4 explain it");
        QTest::keyClick(samples, Qt::Key_Return);
        QTRY_VERIFY(program.panel("attribution") && program.panel("attribution")->isVisible());
        auto* attribution = program.panel("attribution");
        QTRY_VERIFY_WITH_TIMEOUT(attribution->isIdle(), kPatience);
        auto* explain = named<QPushButton>(attribution, "explain");
        QTRY_VERIFY(explain->isEnabled());
        QTest::mouseClick(explain, Qt::LeftButton);
        QTRY_VERIFY_WITH_TIMEOUT(!workspace->analyses(1).empty(), kPatience);
        QTRY_VERIFY(program.window->isIdle());
        QVERIFY2(attribution->errorText().isEmpty(), qPrintable(attribution->errorText()));
        QVERIFY(!named<QLabel>(attribution, "numbers")->text().isEmpty());
        QVERIFY2(named<QLabel>(attribution, "subject")->text().contains(QString("sample %1").arg(program.session.selection().samples.front())),
                 qPrintable(named<QLabel>(attribution, "subject")->text()));

        watch.chapter("5 a second run with another learning rate");
        QSignalSpy cloned(&program.session, &widgets::Session::draftChanged);
        QTest::mouseClick(named<QAbstractButton>(experiments, "clone"), Qt::LeftButton);
        QTRY_COMPARE(cloned.size(), 1);
        QTRY_VERIFY(program.panel("new_run") && program.panel("new_run")->isVisible());
        auto* newRun = program.panel("new_run");
        QTRY_VERIFY_WITH_TIMEOUT(newRun->isIdle(), kPatience);
        QLineEdit* rate = nullptr;
        QTRY_VERIFY((rate = named<QLineEdit>(newRun, "lr")));
        QCOMPARE(rate->text(), QStringLiteral("0.002"));
        rate->setFocus();
        rate->selectAll();
        QTest::keyClicks(rate, "0.01");
        auto* start = named<QPushButton>(newRun, "start");
        QTRY_VERIFY_WITH_TIMEOUT(newRun->isIdle() && start->isEnabled(), kPatience);
        QTest::mouseClick(start, Qt::LeftButton);
        QTRY_COMPARE_WITH_TIMEOUT(workspace->runs().runs.size(), std::size_t(2), kPatience);
        QTRY_COMPARE_WITH_TIMEOUT(workspace->run(2).status, store::RunStatus::Finished, kPatience);
        QCOMPARE(workspace->run(2).document.at("train").at("optimizer").at("lr").get<double>(), 0.01);

        watch.chapter("6 compare both");
        QVERIFY(program.window->showPanel("experiments"));
        QTRY_COMPARE(runs->model()->rowCount(), 2);
        clickItem(runs, 0);
        clickItem(runs, 1, Qt::ControlModifier);
        QTRY_COMPARE(program.session.selection().runs.size(), 2);
        QTRY_VERIFY_WITH_TIMEOUT(program.window->isIdle(), kPatience);
        QTRY_VERIFY(named<widgets::PlotView>(experiments, "plot.loss")->seriesIds().size() >= 2);
        auto* differences = named<QTableView>(experiments, "Differences of the documents");
        QVERIFY(differences);
        QString shown;
        for (int row = 0; row < differences->model()->rowCount(); ++row)
            for (int column = 0; column < differences->model()->columnCount(); ++column)
                shown += differences->model()->index(row, column).data().toString() + " ";
        QVERIFY2(shown.contains("train.optimizer.lr") && shown.contains("0.002") && shown.contains("0.01"), qPrintable(shown));

        watch.chapter("7 reports");
        for (const QString ending : {"html", "pdf"}) {
            const QString out = file("report." + ending);
            widgets::askSaveFile() = [out](QWidget*, const QString&, const QString&) { return out; };
            QTest::mouseClick(named<QAbstractButton>(experiments, "report"), Qt::LeftButton);
            QTRY_VERIFY_WITH_TIMEOUT(QFile::exists(out), kPatience);
            QTRY_VERIFY(program.window->isIdle());
        }
        const auto html = core::readFile(file("report.html").toStdString());
        QVERIFY(html.find("<svg") != std::string::npos && html.find("digits, short") != std::string::npos);
        QVERIFY(core::readFile(file("report.pdf").toStdString()).starts_with("%PDF-1."));

        watch.chapter("8 close");
        program.window->close();
        QVERIFY(!program.window->isVisible());
        watch.print();
    }

private:
    QString file(const QString& name) const { return m_folder.filePath(name); }
    QTemporaryDir m_folder;
};

int main(int argc, char** argv)
{
    return test::runAppTest<StoryTest>(argc, argv);
}

#include "story_test.moc"
