// A training in a process of its own: the same bits, and whatever happens to the process, the run says so and can go on.
#include <csignal>
#include <unistd.h>

#include <QTemporaryDir>
#include <QTest>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <core/catalogue.h>
#include <core/jobs/process_engine.h>
#include <core/jobs/queue.h>
#include <core/train/process_kind.h>
#include <core/train/runs.h>

#include "training_fixture.h"

using namespace orrery;
using core::Json;

namespace {

std::string finalHash(const store::Workspace& workspace, store::RunId run)
{
    return workspace.findArtifact(run, train::kFinalWeights)->hash;
}

std::shared_ptr<jobs::Engine> engineFor(const store::Workspace& workspace)
{
    return jobs::makeEngine({"process", workspace.folder(), 0});
}

Json longDigits(int steps)
{
    Json document = test::smallDigits();
    document["train"].erase("epochs");
    document["train"]["steps"] = steps;
    return document;
}

/// The one process that this one has started and that still runs; -1 if there is none.
pid_t childProcess()
{
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::ifstream file(entry.path() / "stat");
        std::string text;
        if (!std::getline(file, text) || text.rfind(") ") == std::string::npos)
            continue;
        std::istringstream rest(text.substr(text.rfind(") ") + 2));
        std::string state;
        pid_t parent = 0;
        if (rest >> state >> parent && parent == ::getpid() && state != "Z")
            return std::stoi(entry.path().filename().string());
    }
    return -1;
}

}  // namespace

class ProcessKindTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { core::registerAll(); }

    void theSameBitsAsInAThread()
    {
        const QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto experiment = train::resolveExperiment(test::smallDigits());
        const auto inThread = train::createRun(*workspace, experiment), inProcess = train::createRun(*workspace, experiment);
        jobs::Queue::setThreadHook({});
        jobs::Queue queue(1);
        queue.submit(train::trainJob(workspace, inThread, 1)).result();
        const jobs::Job job = queue.submit(train::trainJob(workspace, inProcess, 1), engineFor(*workspace));
        const auto result = std::any_cast<train::TrainResult>(job.result());
        QVERIFY(workspace->run(inProcess).status == store::RunStatus::Finished);
        QCOMPARE(finalHash(*workspace, inProcess), finalHash(*workspace, inThread));
        QVERIFY(workspace->run(inProcess).lastMetrics == workspace->run(inThread).lastMetrics);
        for (const auto& info : workspace->metricInfos(inThread)) {
            const auto a = workspace->metricSeries(inThread, info.name), b = workspace->metricSeries(inProcess, info.name);
            QCOMPARE(a.buckets.size(), b.buckets.size());
            for (std::size_t i = 0; i < a.buckets.size(); ++i)
                QVERIFY(a.buckets[i].firstStep == b.buckets[i].firstStep && a.buckets[i].mean == b.buckets[i].mean);
        }
        QVERIFY(test::sameWeights(result.model.weights, train::modelOfRun(*workspace, inThread).weights));
        QVERIFY(result.metrics == workspace->run(inThread).lastMetrics);
        QVERIFY(result.steps > 20);
        // The last snapshot is what the averaged weights were after the last step.
        const auto snapshot = std::static_pointer_cast<const train::Snapshot>(job.partial());
        QVERIFY(snapshot && snapshot->step == result.steps);
        const auto last = workspace->findArtifact(inThread, train::checkpointName(result.steps));
        QVERIFY(test::sameWeights(snapshot->weights, train::readCheckpoint(workspace->readArtifact(*last), last->name).average));
    }

    void aKilledProcessFailsTheRunWhichGoesOnToTheSameEnd()
    {
        const QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto experiment = train::resolveExperiment(longDigits(300));
        const auto whole = train::createRun(*workspace, experiment), broken = train::createRun(*workspace, experiment);
        jobs::Queue queue(1);
        queue.submit(train::trainJob(workspace, whole, 1)).result();
        const jobs::Job job = queue.submit(train::trainJob(workspace, broken, 1), engineFor(*workspace));
        QTRY_VERIFY_WITH_TIMEOUT(job.snapshot().progress.done > 40, 60000);
        const pid_t worker = childProcess();
        QVERIFY(worker > 0);
        ::kill(worker, SIGKILL);
        QVERIFY(job.wait() == jobs::JobStatus::Failed);
        const auto record = workspace->run(broken);
        QVERIFY(record.status == store::RunStatus::Failed);
        QCOMPARE(record.error, job.snapshot().error);
        QVERIFY2(record.error.find("SIGKILL") != std::string::npos, record.error.c_str());
        QCOMPARE(workspace->logLines(broken).back().text, record.error);
        QVERIFY(queue.submit(train::trainJob(workspace, broken, 1), engineFor(*workspace)).wait() == jobs::JobStatus::Finished);
        QCOMPARE(finalHash(*workspace, broken), finalHash(*workspace, whole));
        QVERIFY(workspace->run(broken).error.empty());
        QCOMPARE(workspace->check().size(), std::size_t(0));
    }

    void pauseAndCancelReachTheRun()
    {
        const QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto run = train::createRun(*workspace, train::resolveExperiment(longDigits(100000)));
        jobs::Queue queue(1);
        const jobs::Job job = queue.submit(train::trainJob(workspace, run, 1), engineFor(*workspace));
        QTRY_VERIFY_WITH_TIMEOUT(job.snapshot().progress.done > 3, 60000);
        job.pause();
        QTRY_VERIFY_WITH_TIMEOUT(job.status() == jobs::JobStatus::Paused, 30000);
        QVERIFY(workspace->run(run).status == store::RunStatus::Paused);
        job.resume();
        QTRY_COMPARE_WITH_TIMEOUT(workspace->run(run).status, store::RunStatus::Running, 30000);
        job.cancel();
        QVERIFY(job.wait() == jobs::JobStatus::Cancelled);
        QVERIFY(workspace->run(run).status == store::RunStatus::Cancelled);
        QVERIFY(train::lastCheckpoint(*workspace, run).has_value());
    }

    void whatTheRunRefusesIsToldAsInAThread()
    {
        const QTemporaryDir folder;
        const auto workspace = store::Workspace::open(folder.path().toStdString());
        const auto run = train::createRun(*workspace, train::resolveExperiment(longDigits(2)));
        jobs::Queue queue(1);
        queue.submit(train::trainJob(workspace, run, 1)).result();
        const jobs::Job again = queue.submit(train::trainJob(workspace, run, 1), engineFor(*workspace));
        QVERIFY_THROWS_EXCEPTION(core::InputError, again.result());
        QCOMPARE(again.snapshot().error, std::string("run 1 has finished: expected a run that can go on"));
        QVERIFY(workspace->run(run).status == store::RunStatus::Finished);
    }
};

QTEST_APPLESS_MAIN(ProcessKindTest)
#include "process_kind_test.moc"
