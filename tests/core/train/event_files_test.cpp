#include <QTemporaryDir>
#include <QTest>

#include <cmath>

#include <core/base/files.h>
#include <core/io/tensorboard.h>
#include <core/train/event_files.h>

#include "../message_of.h"

using namespace orrery;
using io::ScalarEvent;

namespace {

struct Folders {
    QTemporaryDir directory;
    std::filesystem::path path(const std::string& name) const { return std::filesystem::path(directory.path().toStdString()) / name; }
    std::shared_ptr<store::Workspace> workspace(const std::string& name) const { return store::Workspace::open(path(name)); }
    void write(const std::string& name, std::string_view content) const
    {
        std::filesystem::create_directories(path(name).parent_path());
        core::writeFileAtomically(path(name), content);
    }
    void writeEvents(const std::string& name, const std::vector<ScalarEvent>& events) const { write(name, io::eventFileBytes(events, 100)); }
};

std::vector<std::pair<std::int64_t, double>> points(const store::Workspace& workspace, store::RunId run, const std::string& metric)
{
    std::vector<std::pair<std::int64_t, double>> all;
    for (const auto& bucket : workspace.metricSeries(run, metric).buckets)
        all.emplace_back(bucket.firstStep, bucket.mean);
    return all;
}

}  // namespace

class EventFilesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void eachFolderIsARunAndALaterFileTakesUpAnEarlierOne()
    {
        const Folders folders;
        folders.writeEvents("logs/a/events.out.tfevents.0000000100.host",
                            {{"loss", 1, 100, 4}, {"loss", 2, 101.5, 3}, {"acc", 2, 101.5, 0.5}, {"loss", 3, 102, 9}});
        folders.writeEvents("logs/a/events.out.tfevents.0000000200.host", {{"loss", 3, 200, 2}, {"loss", 4, 201, 1}});
        folders.writeEvents("logs/b/deep/events.out.tfevents.0000000100.host", {{"loss", 1, 100, 7}});
        folders.write("logs/notes.txt", "no events");
        const auto workspace = folders.workspace("w");
        const auto imported = train::importEventFiles(*workspace, folders.path("logs"));
        QCOMPARE(imported.runs.size(), std::size_t(2));
        QVERIFY(imported.notes.empty());
        const auto a = workspace->run(imported.runs[0]), b = workspace->run(imported.runs[1]);
        QCOMPARE(a.name, std::string("a"));
        QCOMPARE(b.name, std::string("b/deep"));
        QVERIFY(a.status == store::RunStatus::Finished && a.tags == std::vector<std::string>{"tensorboard"});
        using Points = std::vector<std::pair<std::int64_t, double>>;
        QCOMPARE(points(*workspace, a.id, "loss"), (Points{{1, 4}, {2, 3}, {3, 2}, {4, 1}}));
        QCOMPARE(points(*workspace, a.id, "acc"), (Points{{2, 0.5}}));
        QCOMPARE(workspace->metricSeries(a.id, "loss").buckets[1].firstTime, 101.5);
        QCOMPARE(points(*workspace, b.id, "loss"), (Points{{1, 7}}));
    }

    void whatGoesOutComesBack()
    {
        const Folders folders;
        const auto from = folders.workspace("from"), to = folders.workspace("to");
        const auto run = from->createRun({"out", core::Json::object(), 0, core::Json::object(), {}, "", {}});
        from->startRun(run);
        // More than one packed chunk, and what is no finite number.
        for (std::int64_t step = 1; step <= 9000; ++step)
            from->metric(run, "train/loss", step, 1.0 / double(step), 1000 + double(step) / 8);
        from->metric(run, "val/loss", 10, std::nan(""), 1002);
        from->metric(run, "val/loss", 20, INFINITY, 1003);
        from->flush();
        from->setStatus(run, store::RunStatus::Finished);
        const auto file = train::exportEventFile(*from, run, folders.path("out"));
        QVERIFY(file.filename().string().starts_with("events.out.tfevents."));
        const auto imported = train::importEventFiles(*to, file);
        QCOMPARE(imported.runs.size(), std::size_t(1));
        QCOMPARE(to->metricNames(), from->metricNames());
        QCOMPARE(points(*to, imported.runs[0], "train/loss"), points(*from, run, "train/loss"));
        const auto all = [&](const store::Workspace& workspace, store::RunId id) {
            return workspace.metricSeries(id, "train/loss", 1, 9000, 1 << 20).buckets;
        };
        const auto before = all(*from, run), after = all(*to, imported.runs[0]);
        QCOMPARE(after.size(), std::size_t(9000));
        for (std::size_t i = 0; i < after.size(); ++i)
            QVERIFY(before[i].firstStep == after[i].firstStep && before[i].mean == after[i].mean && before[i].firstTime == after[i].firstTime);
        const auto odd = to->metricSeries(imported.runs[0], "val/loss").buckets;
        QVERIFY(odd[0].nans == 1 && odd[1].mean == INFINITY);
    }

    void faultsAreSaidAndLeaveNothing()
    {
        const Folders folders;
        const auto workspace = folders.workspace("w");
        std::filesystem::create_directories(folders.path("empty"));
        QVERIFY(
            saidBy([&] { train::importEventFiles(*workspace, folders.path("empty")); }).contains("expected a folder with TensorBoard event files"));
        std::string damaged = io::eventFileBytes(std::vector<ScalarEvent>{{"loss", 1, 1, 1}}, 1);
        damaged[damaged.size() - 6] ^= 1;
        folders.writeEvents("logs/a/x.tfevents.1", {{"loss", 1, 1, 1}});
        folders.write("logs/b/x.tfevents.1", damaged);
        QVERIFY(saidBy([&] { train::importEventFiles(*workspace, folders.path("logs")); }).contains("byte 52: the checksum of a record is wrong"));
        // The good folder was read before the damaged one, and is not added by halves.
        QCOMPARE(workspace->runs().matching, std::size_t(0));
        bool isCancelled = false;
        try {
            train::importEventFiles(*workspace, folders.path("logs"), [] { return true; });
        } catch (const core::Cancelled&) {
            isCancelled = true;
        }
        QVERIFY(isCancelled);
        const std::string whole = io::eventFileBytes(std::vector<ScalarEvent>{{"loss", 1, 1, 1}, {"loss", 2, 1, 1}}, 1);
        folders.write("running/x.tfevents.1", std::string_view(whole).substr(0, whole.size() - 3));
        const auto imported = train::importEventFiles(*workspace, folders.path("running"));
        QCOMPARE(imported.notes.size(), std::size_t(1));
        QVERIFY2(imported.notes[0].find("is not whole") != std::string::npos, imported.notes[0].c_str());
        QCOMPARE(points(*workspace, imported.runs[0], "loss").size(), std::size_t(1));
        // A file that nothing was written to yet makes no run, and keeps no other from being read.
        folders.write("both/a/x.tfevents.1", "");
        folders.writeEvents("both/b/x.tfevents.1", {{"loss", 1, 1, 1}});
        const auto one = train::importEventFiles(*workspace, folders.path("both"));
        QVERIFY(one.runs.size() == 1 && one.notes.size() == 1);
        QVERIFY2(one.notes[0].find("holds no numbers; no run was made of it") != std::string::npos, one.notes[0].c_str());
        QVERIFY(saidBy([&] { train::importEventFiles(*workspace, folders.path("both/a")); }).contains("expected event files with numbers in them"));
        const auto bare = workspace->createRun({"bare", core::Json::object(), 0, core::Json::object(), {}, "", {}});
        QVERIFY(saidBy([&] { train::exportEventFile(*workspace, bare, folders.path("out")); }).contains("(bare) has no metrics to export"));
    }
};

QTEST_APPLESS_MAIN(EventFilesTest)
#include "event_files_test.moc"
