// Report documents in the store: order, undo, several writers, an older database.
#include <QtTest>
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>

#include <core/store/reports.h>
#include <core/store/schema.h>

#include "store_test_support.h"

using namespace store_test;

namespace {

NewReportItem note(const std::string& text)
{
    return {"note", core::Json(), "", text};
}

std::string texts(const Reports& reports, ReportId report)
{
    std::string all;
    for (const ReportItem& item : reports.items(report))
        all += item.annotation;
    return all;
}

}  // namespace

class ReportsTest : public QObject {
    Q_OBJECT

    std::unique_ptr<Folder> m_folder;
    std::shared_ptr<Workspace> m_workspace;

private Q_SLOTS:
    void init()
    {
        m_folder = std::make_unique<Folder>();
        m_workspace = Workspace::open(*m_folder / "w");
    }
    void cleanup()
    {
        m_workspace.reset();
        m_folder.reset();
    }

    void theFirstItemMakesTheFirstReport()
    {
        Reports reports(m_workspace);
        QVERIFY(reports.list().empty() && !reports.current());
        const ReportItem item = reports.add({}, {"runs", core::Json{{"runs", {1, 2}}}, "  Two runs ", "why"});
        QCOMPARE(reports.list().size(), std::size_t(1));
        QCOMPARE(reports.list()[0].name, std::string("Report"));
        QCOMPARE(reports.list()[0].items, std::size_t(1));
        QCOMPARE(*reports.current(), item.report);
        const ReportItem stored = reports.item(item.id);
        QCOMPARE(stored.title, std::string("Two runs"));
        QCOMPARE(stored.kind, std::string("runs"));
        QCOMPARE(stored.source.at("runs").at(1).get<int>(), 2);
        QCOMPARE(stored.annotation, std::string("why"));
    }

    void itemsMoveToThePlaceAskedFor_data()
    {
        QTest::addColumn<int>("item");
        QTest::addColumn<int>("place");
        QTest::addColumn<QString>("order");
        QTest::newRow("down by one") << 0 << 1 << "bacd";
        QTest::newRow("to the end") << 0 << 3 << "bcda";
        QTest::newRow("to the start") << 3 << 0 << "dabc";
        QTest::newRow("where it is") << 2 << 2 << "abcd";
        QTest::newRow("past the end") << 1 << 99 << "acdb";
    }
    void itemsMoveToThePlaceAskedFor()
    {
        QFETCH(int, item);
        QFETCH(int, place);
        QFETCH(QString, order);
        Reports reports(m_workspace);
        std::vector<std::int64_t> ids;
        for (const char* text : {"a", "b", "c", "d"})
            ids.push_back(reports.add({}, note(text)).id);
        reports.moveItem(ids[std::size_t(item)], std::size_t(place));
        QCOMPARE(texts(reports, 1), order.toStdString());
    }

    void removalsAreTakenBackWithTheirIds()
    {
        Reports reports(m_workspace);
        for (const char* text : {"a", "b", "c"})
            reports.add({}, note(text));
        const ReportItem second = reports.items(1)[1];
        reports.removeItem(second.id);
        QCOMPARE(texts(reports, 1), std::string("ac"));
        reports.restoreItem(second, 1);
        QCOMPARE(texts(reports, 1), std::string("abc"));
        QCOMPARE(reports.items(1)[1].id, second.id);
        const auto items = reports.items(1);
        const ReportDocument document = reports.report(1);
        reports.remove(1);
        QVERIFY(reports.list().empty());
        reports.restore(document, items);
        QCOMPARE(texts(reports, 1), std::string("abc"));
        QCOMPARE(reports.report(1).name, std::string("Report"));
        // A new item does not take a number that was given before.
        reports.removeItem(3);
        QVERIFY(reports.add({}, note("d")).id > 3);
    }

    void reportsAreFoundByNameAndNumber()
    {
        Reports reports(m_workspace);
        const ReportId first = reports.create("Digits"), second = reports.create("2");
        QCOMPARE(reports.find("Digits").id, first);
        QCOMPARE(reports.find("1").id, first);
        QCOMPARE(reports.find("2").id, second);  // a name counts before a number
        QCOMPARE(*reports.current(), second);
        reports.makeCurrent(first);
        QCOMPARE(reports.add({}, note("x")).report, first);
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.find("Digts"); }), "there is no report \"Digts\""));
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.find("Digts"); }), "Digits"));
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.create(" Digits "); }), "\"Digits\" is taken by report 1"));
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.rename(second, "Digits"); }), "is taken"));
        reports.rename(first, "Digits");  // its own name is no conflict
        reports.remove(first);
        QCOMPARE(*reports.current(), second);
    }

    void badInputChangesNothing()
    {
        Reports reports(m_workspace);
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.create(" "); }), "expected some text, got none"));
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.add({}, {"note", {}, "two\nlines", ""}); }), "expected one line, got several"));
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.add({}, note(std::string(kMostAnnotation + 1, 'x'))); }),
                         "expected at most 100000 bytes, got 100001"));
        QVERIFY2(reports.list().empty(), "a report was left behind by an item that was refused");
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.add(7, note("x")); }), "there is no report 7 in this workspace"));
        QVERIFY(contains(messageOf<core::InputError>([&] { reports.removeItem(3); }), "there is no report item 3 in this workspace"));
        const auto readOnly = std::make_unique<Reports>(Workspace::open(*m_folder / "w", OpenMode::ReadOnly));
        QVERIFY(contains(messageOf<core::StorageError>([&] { readOnly->add({}, note("x")); }), "is open for reading only"));
    }

    void manyWritersLoseNothing()
    {
        std::vector<std::thread> threads;
        for (int writer = 0; writer < 4; ++writer)
            threads.emplace_back([&, writer] {
                // As another process: a workspace object of its own on the same folder.
                Reports reports(Workspace::open(*m_folder / "w"));
                for (int i = 0; i < 10; ++i)
                    reports.moveItem(reports.add({}, note(std::to_string(writer))).id, 0);
            });
        for (std::thread& thread : threads)
            thread.join();
        const Reports reports(m_workspace);
        QCOMPARE(reports.list().size(), std::size_t(1));
        const auto items = reports.items(reports.list()[0].id);
        QCOMPARE(items.size(), std::size_t(40));
        std::map<std::string, int> counts;
        for (const ReportItem& item : items)
            ++counts[item.annotation];
        for (const auto& [writer, count] : counts)
            QCOMPARE(count, 10);
    }

    void listenersHearOfChanges()
    {
        std::atomic<int> heard = 0;
        const auto subscription = m_workspace->subscribe([&](const Change& change) { heard += change.reports ? 1 : 0; });
        Reports reports(m_workspace);
        const auto item = reports.add({}, note("a"));
        QVERIFY(eventually([&] { return heard == 1; }));
        reports.changeItem(item.id, "t", "b");
        QVERIFY(eventually([&] { return heard == 2; }));
    }

    void version2IsBroughtUpToDate()
    {
        const auto run = m_workspace->createRun(newRun("kept"));
        const auto exported = *m_folder / "runs.orrery";
        m_workspace->exportRuns(std::vector{run}, exported);
        m_workspace.reset();
        {
            // What version 2 had: everything but what versions 3 and 4 added.
            SQLite::Database database((*m_folder / "w" / "orrery.db").string(), SQLite::OPEN_READWRITE);
            database.exec(
                "DROP TABLE report_items; DROP TABLE reports; DROP TABLE document_paths; DROP TABLE document_values; PRAGMA user_version = 2");
        }
        QVERIFY(contains(messageOf<core::StorageError>([&] { Workspace::open(*m_folder / "w", OpenMode::ReadOnly); }),
                         fmt::format("expected a database of version {}, found version 2", kSchemaVersion)));
        m_workspace = Workspace::open(*m_folder / "w");
        QCOMPARE(m_workspace->run(run).name, std::string("kept"));
        Reports reports(m_workspace);
        QCOMPARE(reports.add({}, note("new")).report, ReportId(1));
        QVERIFY(m_workspace->check().empty());
        // Files of exported runs did not change: they hold no reports, and their version is still 2.
        {
            SQLite::Database file(exported.string(), SQLite::OPEN_READONLY);
            QCOMPARE(file.execAndGet("PRAGMA user_version").getInt(), 2);
        }
        QCOMPARE(m_workspace->importRuns(exported).size(), std::size_t(1));
    }
};

QTEST_GUILESS_MAIN(ReportsTest)
#include "reports_test.moc"
