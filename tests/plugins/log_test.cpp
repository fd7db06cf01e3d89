// The Log panel: messages of any thread, level and text filter, copy, clear, state after a restart.
#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QLineEdit>
#include <QTest>
#include <QToolButton>
#include <thread>

#include <core/base/log.h>
#include <plugins/log/log_panel.h>
#include <widgets/session.h>

using namespace orrery;
using namespace orrery::plugins;

namespace {

struct Bench {
    widgets::Session session;
    std::unique_ptr<LogPanel> panel;
    Bench() { show(); }
    void show()
    {
        panel = std::make_unique<LogPanel>(session);
        panel->resize(800, 300);
        panel->show();
    }
    widgets::TableView* table() const { return panel->findChild<widgets::TableView*>(); }
    int rows() const { return table()->model()->rowCount(); }
    QString message(int row) const { return table()->model()->index(row, 2).data().toString(); }
    void clear() const { QTest::mouseClick(panel->findChild<QToolButton*>("clear"), Qt::LeftButton); }
};

}  // namespace

class LogTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void emptyLogSaysWhatWillCome();
    void messagesBeforeThePanelAreThere();
    void messagesOfManyThreadsAllArrive();
    void levelsAndWordsFilter();
    void copyGivesWhatIsShown();
    void stateSurvivesARestart();
};

void LogTest::emptyLogSaysWhatWillCome()
{
    Bench bench;
    bench.clear();
    QVERIFY(bench.panel->isShowingEmptyState());
    bench.session.report("something happened");
    QTRY_VERIFY(!bench.panel->isShowingEmptyState());
    QCOMPARE(bench.message(0), QString("something happened"));
}

void LogTest::messagesBeforeThePanelAreThere()
{
    core::log().warn("early {}", 1);
    Bench bench;
    QVERIFY(bench.rows() > 0);
    QCOMPARE(bench.message(bench.rows() - 1), QString("early 1"));
}

void LogTest::messagesOfManyThreadsAllArrive()
{
    Bench bench;
    bench.clear();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([t] {
            for (int i = 0; i < 250; ++i)
                core::log().info("thread {} message {}", t, i);
        });
    for (auto& thread : threads)
        thread.join();
    const auto kept = core::recentLog();
    QTRY_COMPARE(bench.rows(), 1000);
    for (int row = 0; row < 1000; ++row)
        QCOMPARE(bench.message(row), QString::fromStdString(kept[kept.size() - 1000 + std::size_t(row)].text));
}

void LogTest::levelsAndWordsFilter()
{
    Bench bench;
    bench.clear();
    core::log().info("plain words");
    core::log().warn("a warning");
    core::log().error("an error");
    QTRY_COMPARE(bench.rows(), 3);
    auto* level = bench.panel->findChild<QComboBox*>();
    level->setFocus();
    QTest::keyClick(level, Qt::Key_Down);
    QCOMPARE(bench.rows(), 2);
    QTest::keyClick(level, Qt::Key_Down);
    QCOMPARE(bench.rows(), 1);
    QCOMPARE(bench.message(0), QString("an error"));
    QTest::keyClick(level, Qt::Key_Up);
    QTest::keyClicks(bench.table()->filterEdit(), "warning");
    QTRY_COMPARE(bench.rows(), 1);
    QCOMPARE(bench.message(0), QString("a warning"));
}

void LogTest::copyGivesWhatIsShown()
{
    Bench bench;
    bench.clear();
    core::log().error("to be copied");
    QTRY_COMPARE(bench.rows(), 1);
    QTest::mouseClick(bench.panel->findChild<QToolButton*>("copy"), Qt::LeftButton);
    QVERIFY(QApplication::clipboard()->text().endsWith("error: to be copied\n"));
}

void LogTest::stateSurvivesARestart()
{
    Bench bench;
    bench.panel->findChild<QComboBox*>()->setCurrentIndex(3);
    QTest::keyClicks(bench.table()->filterEdit(), "disk");
    const auto state = bench.panel->saveState();
    bench.show();
    bench.panel->restoreState(state);
    QCOMPARE(bench.panel->findChild<QComboBox*>()->currentIndex(), 3);
    QCOMPARE(bench.table()->filterEdit()->text(), QString("disk"));
    bench.panel->restoreState({{"level", 4}, {"table", "x"}});
}

QTEST_MAIN(LogTest)
#include "log_test.moc"
