// The Jobs panel: what it shows equals the queue's snapshots; pause, resume, cancel in the middle, priority.
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QSignalSpy>
#include <QTableView>
#include <QTest>
#include <QToolButton>
#include <atomic>
#include <thread>

#include <core/jobs/queue.h>
#include <plugins/jobs/jobs_model.h>
#include <plugins/jobs/jobs_panel.h>
#include <widgets/session.h>

using namespace orrery;
using namespace orrery::plugins;

namespace {

/// A job that goes on, step by step, until it is told to end.
struct LongJob {
    std::shared_ptr<std::atomic<int>> steps = std::make_shared<std::atomic<int>>(0);
    std::shared_ptr<std::atomic<bool>> end = std::make_shared<std::atomic<bool>>(false);
    jobs::JobSpec spec(const char* title) const
    {
        jobs::JobSpec spec;
        spec.title = title;
        spec.function = [steps = steps, end = end](jobs::Context& context) -> std::any {
            context.info("started well");
            context.progress(25, 100, "steps", "training");
            while (!*end) {
                context.pausePoint();
                ++*steps;
                std::this_thread::yield();
            }
            return {};
        };
        return spec;
    }
};

struct Bench {
    widgets::Session session;
    std::unique_ptr<JobsPanel> panel;
    Bench()
    {
        session.jobs().setLimit(1);
        show();
    }
    void show()
    {
        panel = std::make_unique<JobsPanel>(session);
        panel->resize(1100, 300);
        panel->show();
    }
    widgets::TableView* table() const { return panel->findChild<widgets::TableView*>(); }
    QString cell(qint64 job, const char* column) const
    {
        auto* model = table()->model();
        return model->index(model->positionOf(job), model->columnIndex(column)).data().toString();
    }
    QToolButton* button(const char* name) const { return panel->findChild<QToolButton*>(name); }
    QPoint place(qint64 job, const char* column) const
    {
        auto* model = table()->model();
        return table()->table()->visualRect(model->index(model->positionOf(job), model->columnIndex(column))).center();
    }
    void click(qint64 job) const { QTest::mouseClick(table()->table()->viewport(), Qt::LeftButton, {}, place(job, "title")); }
};

}  // namespace

class JobsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void emptyListSaysWhatToDo();
    void numbersEqualTheQueues();
    void aJobIsPausedResumedAndCancelledInTheMiddle();
    void priorityIsEditedInPlace();
    void aFailedJobShowsItsError();
    void stateSurvivesARestart();
};

void JobsTest::emptyListSaysWhatToDo()
{
    Bench bench;
    QVERIFY(bench.panel->isShowingEmptyState());
    QSignalSpy asked(&bench.session, &widgets::Session::panelRequested);
    for (auto* button : bench.panel->findChildren<QAbstractButton*>())
        if (button->isVisible() && button->text() == "New run")
            QTest::mouseClick(button, Qt::LeftButton);
    QCOMPARE(asked.size(), 1);
    QVERIFY(!bench.button("cancel_all")->isEnabled());
}

void JobsTest::numbersEqualTheQueues()
{
    Bench bench;
    LongJob work;
    const auto job = bench.session.jobs().submit(work.spec("counting"));
    QTRY_VERIFY(bench.table()->model()->positionOf(job.id()) >= 0);
    QTRY_COMPARE(bench.cell(job.id(), "status"), QString("running"));
    QTRY_COMPARE(job.snapshot().progress.fraction(), 0.25);
    QTRY_COMPARE(bench.cell(job.id(), "progress").toDouble(), job.snapshot().progress.fraction());
    bench.click(job.id());
    QTRY_VERIFY(bench.panel->findChild<QPlainTextEdit*>()->toPlainText().contains("started well"));
    QCOMPARE(JobsModel::progressText(job.snapshot().progress), QString("25 / 100 steps, training"));
    *work.end = true;
    QTRY_COMPARE(bench.cell(job.id(), "status"), QString("finished"));
    QTRY_VERIFY(bench.button("remove_ended")->isEnabled());
    QTest::mouseClick(bench.button("remove_ended"), Qt::LeftButton);
    QTRY_VERIFY(bench.panel->isShowingEmptyState());
}

void JobsTest::aJobIsPausedResumedAndCancelledInTheMiddle()
{
    Bench bench;
    LongJob work;
    const auto job = bench.session.jobs().submit(work.spec("long"));
    QTRY_COMPARE(bench.cell(job.id(), "status"), QString("running"));
    bench.click(job.id());
    QTest::mouseClick(bench.button("pause"), Qt::LeftButton);
    QTRY_COMPARE(bench.cell(job.id(), "status"), QString("paused"));
    QCOMPARE(job.status(), jobs::JobStatus::Paused);
    QTRY_VERIFY(bench.button("resume")->isEnabled());
    const int before = *work.steps;
    QTest::mouseClick(bench.button("resume"), Qt::LeftButton);
    QTRY_VERIFY(*work.steps > before);
    QTRY_VERIFY(bench.button("cancel")->isEnabled());
    QTest::mouseClick(bench.button("cancel"), Qt::LeftButton);
    QTRY_COMPARE(bench.cell(job.id(), "status"), QString("cancelled"));
    QVERIFY(!bench.button("cancel")->isEnabled());
}

void JobsTest::priorityIsEditedInPlace()
{
    Bench bench;
    LongJob first, second;
    bench.session.jobs().submit(first.spec("first"));
    const auto waiting = bench.session.jobs().submit(second.spec("second"));
    QTRY_COMPARE(bench.cell(waiting.id(), "status"), QString("queued"));
    auto* view = bench.table()->table();
    QTest::mouseClick(view->viewport(), Qt::LeftButton, {}, bench.place(waiting.id(), "priority"));
    QTest::mouseDClick(view->viewport(), Qt::LeftButton, {}, bench.place(waiting.id(), "priority"));
    QTRY_VERIFY(view->viewport()->findChild<QWidget*>("qt_spinbox_lineedit"));
    auto* edit = view->viewport()->findChild<QLineEdit*>();
    edit->selectAll();
    QTest::keyClicks(edit, "7");
    QTest::keyClick(edit, Qt::Key_Return);
    QTRY_COMPARE(waiting.snapshot().priority, 7);
    QTRY_COMPARE(bench.cell(waiting.id(), "priority"), QString("7"));
    QTest::mouseClick(bench.button("cancel_all"), Qt::LeftButton);
    QTRY_COMPARE(bench.cell(waiting.id(), "status"), QString("cancelled"));
    bench.session.jobs().waitAll();
}

void JobsTest::aFailedJobShowsItsError()
{
    Bench bench;
    jobs::JobSpec spec;
    spec.title = "broken";
    spec.function = [](jobs::Context&) -> std::any { throw core::ShapeError("expected [2, 3], got [3, 2]"); };
    const auto job = bench.session.jobs().submit(std::move(spec));
    QTRY_COMPARE(bench.cell(job.id(), "status"), QString("failed"));
    bench.click(job.id());
    QTRY_VERIFY(bench.panel->findChild<QPlainTextEdit*>()->toPlainText().contains("expected [2, 3], got [3, 2]"));
}

void JobsTest::stateSurvivesARestart()
{
    Bench bench;
    bench.table()->setColumnShown("submitted", true);
    bench.table()->setColumnShown("threads", false);
    const auto state = bench.panel->saveState();
    bench.show();
    bench.panel->restoreState(state);
    QVERIFY(bench.table()->isColumnShown("submitted"));
    QVERIFY(!bench.table()->isColumnShown("threads"));
    bench.panel->restoreState({{"table", 1}, {"splitter", 2}});
}

QTEST_MAIN(JobsTest)
#include "jobs_test.moc"
