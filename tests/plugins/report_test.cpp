// The Report panel by mouse and keys: adding from elsewhere, order, titles, annotation, undo, preview, export, several reports, a restart.
#include <QAction>
#include <QApplication>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QListView>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QTimer>
#include <QToolButton>
#include <QUndoStack>

#include <core/base/files.h>
#include <core/io/image.h>
#include <core/report/report_document.h>
#include <plugins/report/report_panel.h>
#include <widgets/export.h>
#include <widgets/report_item.h>
#include <widgets/report_pdf.h>

#include "trained_bench.h"

using namespace orrery;
using namespace orrery::plugins;

namespace {

constexpr int kPatience = 30000;  ///< ms

struct Bench : test::PanelBench<ReportPanel> {
    using PanelBench::PanelBench;
    /// Shortcuts and focus need an active window.
    void show(const core::Json& state = core::Json::object())
    {
        PanelBench::show(state);
        panel->activateWindow();
        QVERIFY(QTest::qWaitForWindowActive(panel.get()));
    }
    store::Reports reports() const { return store::Reports(workspace()); }
    void note(const char* text) const { reports().add({}, {"note", core::Json(), text, std::string("text of ") + text}); }
    QListView* list() const { return child<QListView>("items"); }
    QStringList titles() const
    {
        QStringList all;
        for (int row = 0; row < list()->model()->rowCount(); ++row)
            all << list()->model()->index(row, 0).data().toString().section('\n', 0, 0);
        return all;
    }
    void click(const char* name) const { QTest::mouseClick(child<QToolButton>(name), Qt::LeftButton); }
    void clickRow(int row) const
    {
        QTest::mouseClick(list()->viewport(), Qt::LeftButton, {}, list()->visualRect(list()->model()->index(row, 0)).center());
    }
    QAction* action(const char* name) const { return panel->findChild<QAction*>(QString::fromLatin1(name)); }
};

QImage chequers(int size, int cell = 8)
{
    QImage image(size, size, QImage::Format_RGB32);
    for (int y = 0; y < size; ++y)
        for (int x = 0; x < size; ++x)
            image.setPixel(x, y, (x / cell + y / cell) % 2 ? qRgb(200, 30, 30) : qRgb(30, 30, 200));
    return image;
}

/// Drags in the list by events of the window system: while QDrag runs, it has a loop of its own and listens to nothing else.
void dragInList(const Bench& bench, QPoint from, QPoint to)
{
    auto* top = bench.panel->window();
    auto* window = top->windowHandle();
    const auto place = [&](QPoint at) { return bench.list()->viewport()->mapTo(top, at); };
    QTimer steps;
    int step = 0;
    QObject::connect(&steps, &QTimer::timeout, window, [&] {
        ++step;
        if (step <= 3)
            QTest::mouseMove(window, place(to) - QPoint(3 - step, 0));
        else
            QTest::mouseRelease(window, Qt::LeftButton, {}, place(to));
        if (step > 3)
            steps.stop();
    });
    steps.start(30);
    QTest::mousePress(window, Qt::LeftButton, {}, place(from));
    QTest::mouseMove(window, place(from) + QPoint(0, QApplication::startDragDistance() + 2));
    QTest::mouseMove(window, place(from) + QPoint(0, QApplication::startDragDistance() + 6));  // the drag runs in here
    QTRY_VERIFY(!steps.isActive());
}

}  // namespace

#define WAIT_FOR(condition) QTRY_VERIFY_WITH_TIMEOUT(condition, kPatience)
#define WAIT_FOR_TITLES(...) QTRY_COMPARE_WITH_TIMEOUT(bench.titles(), (QStringList{__VA_ARGS__}), kPatience)

class ReportPanelTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void emptyStatesSayWhatToDo()
    {
        Bench without(false);
        without.show();
        QVERIFY(without.panel->isShowingEmptyState());
        Bench bench;
        bench.show();
        WAIT_FOR(bench.panel->isIdle());
        QVERIFY(bench.panel->isShowingEmptyState());
        QVERIFY(bench.panel->commandLine().isEmpty());
        // The way out of the empty state is a button in it.
        bench.action("add_note")->trigger();
        WAIT_FOR(!bench.panel->isShowingEmptyState() && bench.titles().size() == 1);
        QCOMPARE(bench.reports().items(1)[0].kind, std::string("note"));
        QVERIFY(bench.panel->commandLine().contains("report --document Report --out report.html"));
    }

    void whatIsAddedElsewhereAppears()
    {
        Bench bench;
        bench.show();
        widgets::addToReport(bench.session, widgets::reportPicture("point_cloud", "A\nscene", chequers(64), "orrery-cli scene info a.ply"));
        WAIT_FOR_TITLES("1. A scene");
        QCOMPARE(bench.workspace()->analyses({}, "snapshot").size(), std::size_t(1));
        bench.note("from outside");
        WAIT_FOR_TITLES("1. A scene", "2. from outside");
        // As another process: through a workspace object of its own.
        store::Reports(store::Workspace::open(bench.workspace()->folder())).add({}, {"note", core::Json(), "from another process", "x"});
        WAIT_FOR_TITLES("1. A scene", "2. from outside", "3. from another process");
        WAIT_FOR(bench.panel->isIdle());
        // The thumbnail of the scene shows its colours.
        const QImage icon = bench.list()->model()->index(0, 0).data(Qt::DecorationRole).value<QIcon>().pixmap(128, 96).toImage();
        int red = 0, blue = 0;
        for (int y = 0; y < icon.height(); ++y)
            for (int x = 0; x < icon.width(); ++x) {
                const QColor colour = icon.pixelColor(x, y);
                red += colour.red() > 150 && colour.blue() < 100;
                blue += colour.blue() > 150 && colour.red() < 100;
            }
        QVERIFY2(red > 500 && blue > 500, qPrintable(QString("%1 red, %2 blue").arg(red).arg(blue)));
    }

    void keysMoveItemsAndUndoTakesBack()
    {
        Bench bench;
        for (const char* text : {"a", "b", "c"})
            bench.note(text);
        bench.show();
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        bench.clickRow(0);
        QTest::keyClick(bench.list(), Qt::Key_Down, Qt::AltModifier);
        WAIT_FOR_TITLES("1. b", "2. a", "3. c");
        WAIT_FOR(bench.panel->isIdle());
        QCOMPARE(bench.list()->currentIndex().row(), 1);  // the item stays chosen
        QTest::keyClick(bench.list(), Qt::Key_Down, Qt::AltModifier);
        WAIT_FOR_TITLES("1. b", "2. c", "3. a");
        WAIT_FOR(bench.panel->isIdle());
        QVERIFY(!bench.action("move_down")->isEnabled());
        bench.click("move_up_button");
        WAIT_FOR_TITLES("1. b", "2. a", "3. c");
        for (int i = 0; i < 3; ++i)
            bench.session.undoStack().undo();
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        bench.session.undoStack().redo();
        WAIT_FOR_TITLES("1. b", "2. a", "3. c");
        std::string stored;
        for (const auto& item : bench.reports().items(1))
            stored += item.title;
        QCOMPARE(stored, std::string("bac"));
    }

    void draggingAsksForThePlaceUnderThePointer()
    {
        Bench bench;
        for (const char* text : {"a", "b", "c"})
            bench.note(text);
        bench.show();
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        // A drag of Qt runs a loop of the window system; what it ends in is the drop on the model, at the row the view found.
        auto* model = bench.list()->model();
        const auto drop = [&](int from, int before) {
            std::unique_ptr<QMimeData> data(model->mimeData({model->index(from, 0)}));
            model->dropMimeData(data.get(), Qt::MoveAction, before, 0, {});
        };
        drop(0, 3);
        WAIT_FOR_TITLES("1. b", "2. c", "3. a");
        drop(2, 1);
        WAIT_FOR_TITLES("1. b", "2. a", "3. c");
        drop(1, 1);
        drop(1, 2);  // both leave it where it is
        WAIT_FOR(bench.panel->isIdle());
        QCOMPARE(bench.session.undoStack().count(), 2);
    }

    void aDragByTheMouseMovesAnItem()
    {
        Bench bench;
        for (const char* text : {"a", "b", "c"})
            bench.note(text);
        bench.show();
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        WAIT_FOR(bench.panel->isIdle());
        const auto rect = [&](int row) { return bench.list()->visualRect(bench.list()->model()->index(row, 0)); };
        dragInList(bench, rect(0).center(), QPoint(rect(2).center().x(), rect(2).bottom() - 1));
        WAIT_FOR_TITLES("1. b", "2. c", "3. a");
        WAIT_FOR(bench.panel->isIdle());
        bench.session.undoStack().undo();
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
    }

    void anExportCanBeCancelledInTheMiddle_data()
    {
        QTest::addColumn<QString>("button");
        QTest::addColumn<QString>("name");
        QTest::newRow("html") << "export_html_button"
                              << "out.html";
        QTest::newRow("pdf") << "export_pdf_button"
                             << "out.pdf";
    }

    void anExportCanBeCancelledInTheMiddle()
    {
        QFETCH(QString, button);
        QFETCH(QString, name);
        Bench bench;
        std::string lines;
        for (int i = 0; i < 1300; ++i)
            lines += fmt::format("line {} of a long note, with some words that have to be laid out\n\n", i);
        constexpr int kNotes = 24;
        for (int i = 0; i < kNotes; ++i)
            bench.reports().add({}, {"note", core::Json(), fmt::format("long {}", i), lines});
        bench.show();
        WAIT_FOR(bench.titles().size() == kNotes && bench.panel->isIdle());
        const QDir out(bench.folder.filePath("out"));
        QVERIFY(out.mkpath("."));
        core::writeFileAtomically(out.filePath(name).toStdString(), "what was there before");
        widgets::askSaveFile() = [&](QWidget*, const QString&, const QString&) { return out.filePath(name); };
        bench.click(button.toLatin1().constData());
        auto* cancel = bench.child<QPushButton>("cancel");
        QVERIFY(cancel->isVisible());
        QVERIFY(!bench.panel->isIdle());
        QTest::mouseClick(cancel, Qt::LeftButton);
        WAIT_FOR(bench.panel->isIdle() && !bench.session.hasBackgroundWork());
        // Nothing half-written (cancelled work may take a moment to put its temporary file away), and what was there is whole.
        QTRY_COMPARE(out.entryList(QDir::Files | QDir::Hidden), QStringList{name});
        QCOMPARE(core::readFile(out.filePath(name).toStdString()), std::string("what was there before"));
        QVERIFY(bench.panel->errorText().isEmpty());
        QVERIFY(bench.action("export_pdf")->isEnabled());
    }

    void aStoppedReportIsNotWritten()
    {
        Bench bench;
        bench.note("a");
        std::stop_source stop;
        stop.request_stop();
        const auto items = bench.reports().items(1);
        QVERIFY_EXCEPTION_THROWN(report::buildDocument(*bench.workspace(), bench.reports().report(1), items, {"", stop.get_token()}),
                                 core::Cancelled);
        const auto made = report::buildDocument(*bench.workspace(), bench.reports().report(1), items);
        const QString file = bench.folder.filePath("stopped.pdf");
        QVERIFY_EXCEPTION_THROWN(widgets::writePdf(made, file, stop.get_token()), core::Cancelled);
        QVERIFY(!QFile::exists(file));
    }

    void titlesAreEditedInTheListAndBeside()
    {
        Bench bench;
        bench.note("a");
        bench.note("b");
        bench.show();
        WAIT_FOR_TITLES("1. a", "2. b");
        bench.clickRow(1);
        QTest::keyClick(bench.list(), Qt::Key_F2);
        WAIT_FOR(qobject_cast<QLineEdit*>(QApplication::focusWidget()));
        auto* editor = QApplication::focusWidget();
        QTest::keySequence(editor, QKeySequence::SelectAll);
        QTest::keyClicks(editor, "renamed");
        // A thumbnail arrives meanwhile.
        static_cast<ReportItemsModel*>(bench.list()->model())->setThumbnail(bench.reports().items(1)[1].id, chequers(128));
        QTest::keyClick(editor, Qt::Key_Return);
        WAIT_FOR_TITLES("1. a", "2. renamed");
        auto* title = bench.child<QLineEdit>("title");
        WAIT_FOR(title->text() == "renamed");
        title->setFocus();
        title->selectAll();
        QTest::keyClick(title, Qt::Key_Delete);
        QTest::keyClick(title, Qt::Key_Return);
        WAIT_FOR_TITLES("1. a", "2. text of b");  // what the source is called
        QCOMPARE(title->placeholderText(), QString("text of b"));
    }

    void annotationsAreKeptWhileOneWrites()
    {
        Bench bench;
        bench.note("a");
        bench.note("b");
        bench.show();
        WAIT_FOR_TITLES("1. a", "2. b");
        bench.clickRow(0);
        auto* text = bench.child<QPlainTextEdit>("annotation");
        WAIT_FOR(text->toPlainText() == "text of a");
        text->setFocus();
        QTest::keySequence(text, QKeySequence::SelectAll);
        QTest::keyClicks(text, "# Why");
        // Something arrives from elsewhere while the text is not stored yet.
        bench.note("c");
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        QCOMPARE(text->toPlainText(), QString("# Why"));
        QTest::keyClicks(text, " not");
        WAIT_FOR(bench.reports().items(1)[0].annotation == "# Why not");
        WAIT_FOR(bench.panel->isIdle());
        QCOMPARE(bench.list()->currentIndex().row(), 0);
        // Choosing another item stores at once what was written.
        QTest::keyClicks(text, "?");
        bench.clickRow(1);
        WAIT_FOR(bench.reports().items(1)[0].annotation == "# Why not?");
        QCOMPARE(text->toPlainText(), QString("text of b"));
        QCOMPARE(bench.reports().items(1)[1].annotation, std::string("text of b"));
        bench.session.undoStack().undo();
        WAIT_FOR(bench.reports().items(1)[0].annotation == "# Why not");
    }

    void deleteRemovesInTheListAndALetterInTheText()
    {
        Bench bench;
        for (const char* text : {"a", "b", "c"})
            bench.note(text);
        bench.show();
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        bench.clickRow(1);
        auto* text = bench.child<QPlainTextEdit>("annotation");
        text->setFocus();
        QTest::keyClick(text, Qt::Key_Home);
        QTest::keyClick(text, Qt::Key_Delete);
        QCOMPARE(text->toPlainText(), QString("ext of b"));
        WAIT_FOR(bench.panel->isIdle());
        bench.list()->setFocus();
        QTest::keyClick(bench.list(), Qt::Key_Delete);
        WAIT_FOR_TITLES("1. a", "2. c");
        WAIT_FOR(bench.panel->isIdle());
        QCOMPARE(bench.list()->currentIndex().row(), 1);
        bench.session.undoStack().undo();
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        QCOMPARE(bench.reports().items(1)[1].annotation, std::string("ext of b"));
    }

    void thePreviewIsWhatIsPrinted()
    {
        Bench bench;
        widgets::addToReport(bench.session, widgets::reportPicture("point_cloud", "Scene", chequers(200, 50), ""));
        bench.show();
        WAIT_FOR_TITLES("1. Scene");
        WAIT_FOR(bench.panel->isIdle());
        auto* page = bench.child<QLabel>("page");
        QVERIFY(page);
        const QImage shown = page->pixmap(Qt::ReturnByValue).toImage();
        // The red of the picture takes the same share of the item's page of the report.
        const auto item = bench.reports().items(1)[0];
        const auto pages = widgets::paintPages(report::buildItem(*bench.workspace(), item), 1, 9);
        QCOMPARE(pages.size(), 1);
        const auto redOf = [](const QImage& image) {
            int red = 0;
            for (int y = 0; y < image.height(); ++y)
                for (int x = 0; x < image.width(); ++x)
                    red += image.pixelColor(x, y).red() > 170 && image.pixelColor(x, y).green() < 80;
            return red;
        };
        const double scale = shown.width() / (595.0 - 72);
        const double wanted = redOf(pages[0]) * scale * scale;
        QVERIFY(wanted > 5000);
        QVERIFY2(std::abs(redOf(shown) - wanted) < 0.05 * wanted, qPrintable(QString("%1, %2").arg(redOf(shown)).arg(wanted)));
    }

    void exportsAreWholeAndTheSame()
    {
        Bench bench;
        for (const char* text : {"a", "b"})
            bench.note(text);
        bench.show();
        WAIT_FOR_TITLES("1. a", "2. b");
        const QString html = bench.folder.filePath("out.html"), pdf = bench.folder.filePath("out");
        widgets::askSaveFile() = [&](QWidget*, const QString& suggested, const QString&) { return suggested.endsWith("html") ? html : pdf; };
        // What is being written belongs into the file.
        auto* text = bench.child<QPlainTextEdit>("annotation");
        bench.clickRow(0);
        text->setFocus();
        QTest::keySequence(text, QKeySequence::MoveToEndOfDocument);
        QTest::keyClicks(text, ", finished");
        bench.click("export_html_button");
        WAIT_FOR(QFile::exists(html) && bench.panel->isIdle());
        const std::string written = core::readFile(html.toStdString());
        QVERIFY(written.find("text of a, finished") != std::string::npos && written.ends_with("</html>\n"));
        bench.click("export_pdf_button");
        WAIT_FOR(QFile::exists(pdf + ".pdf") && bench.panel->isIdle());
        QVERIFY(core::readFile((pdf + ".pdf").toStdString()).starts_with("%PDF-"));
        QVERIFY2(bench.panel->errorText().isEmpty(), qPrintable(bench.panel->errorText()));
        // A file that cannot be written is an error in place.
        widgets::askSaveFile() = [&](QWidget*, const QString&, const QString&) { return bench.folder.filePath("no/such/folder/out.html"); };
        bench.click("export_html_button");
        WAIT_FOR(!bench.panel->errorText().isEmpty());
        QVERIFY2(bench.panel->errorText().contains("no/such/folder/out.html"), qPrintable(bench.panel->errorText()));
        WAIT_FOR(bench.panel->isIdle());
    }

    void thePdfHasThePagesOfThePreview()
    {
        Bench bench;
        std::string lines;
        for (int i = 0; i < 150; ++i)
            lines += fmt::format("line {}\n\n", i);
        bench.reports().add({}, {"note", core::Json(), "long", lines});
        const auto made = report::buildDocument(*bench.workspace(), bench.reports().report(1), bench.reports().items(1));
        const QString file = bench.folder.filePath("long.pdf");
        widgets::writePdf(made, file);
        const auto pages = widgets::paintPages(made, 0.5, 99);
        QVERIFY(pages.size() > 2);
        const QByteArray pdf = QByteArray::fromStdString(core::readFile(file.toStdString()));
        QCOMPARE(pdf.count("/Type /Page\n"), pages.size());
        QCOMPARE(widgets::paintPages(made, 0.5, 2).size(), 2);
    }

    void picturesAndRunsAreAddedHere()
    {
        Bench bench;
        const auto run = bench.workspace()->createRun({"one", core::Json::object(), 1, core::Json::object(), {}, "", {}});
        bench.note("a");
        bench.show();
        WAIT_FOR_TITLES("1. a");
        QVERIFY(!bench.action("add_runs")->isEnabled());
        bench.session.selectRuns({run});
        QVERIFY(bench.action("add_runs")->isEnabled());
        bench.click("add_runs_button");
        WAIT_FOR_TITLES("1. a", "2. run 1: one");
        chequers(32).save(bench.folder.filePath("view.png"));
        widgets::askOpenFile() = [&](QWidget*, const QString&, const QString&) { return bench.folder.filePath("view.png"); };
        bench.click("add_picture_button");
        WAIT_FOR_TITLES("1. a", "2. run 1: one", "3. view");
        core::writeFileAtomically(bench.folder.filePath("bad.png").toStdString(), "not a picture");
        widgets::askOpenFile() = [&](QWidget*, const QString&, const QString&) { return bench.folder.filePath("bad.png"); };
        bench.click("add_picture_button");
        WAIT_FOR(bench.panel->errorText().contains("expected a PNG, JPEG or WebP picture"));
        QCOMPARE(bench.titles().size(), 3);
    }

    void severalReportsAreKeptApart()
    {
        Bench bench;
        bench.note("a");
        bench.show();
        WAIT_FOR_TITLES("1. a");
        bench.panel->askName = [](const QString&, const QString&) { return QString("Paper"); };
        bench.action("new_report")->trigger();
        auto* documents = bench.child<QComboBox>("documents");
        WAIT_FOR(documents->currentText() == "Paper (0)");
        QVERIFY(bench.titles().isEmpty() && !bench.panel->isShowingEmptyState());
        QVERIFY(bench.child<QLabel>("hint")->text().contains("Ctrl+Shift+R"));
        widgets::addToReport(bench.session, {"n", [](store::Workspace&) { return report::noteItem("new"); }});
        WAIT_FOR_TITLES("1. n");
        documents->setFocus();
        QTest::keyClick(documents, Qt::Key_Up);
        QTest::keyClick(documents, Qt::Key_Return);
        WAIT_FOR_TITLES("1. a");
        bench.panel->askName = [](const QString&, const QString&) { return QString("Paper"); };
        bench.action("rename_report")->trigger();  // the name is taken
        WAIT_FOR(bench.panel->errorText().contains("\"Paper\" is taken by report 2"));
        bench.action("remove_report")->trigger();
        WAIT_FOR_TITLES("1. n");
        bench.session.undoStack().undo();
        WAIT_FOR_TITLES("1. a");
        QCOMPARE(documents->count(), 2);
    }

    void aRestartChoosesTheSameItem()
    {
        Bench bench;
        for (const char* text : {"a", "b", "c"})
            bench.note(text);
        bench.show();
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        WAIT_FOR(bench.panel->isIdle());
        bench.clickRow(1);
        const auto state = bench.panel->saveState();
        bench.show(state);
        WAIT_FOR_TITLES("1. a", "2. b", "3. c");
        WAIT_FOR(bench.panel->isIdle());
        QCOMPARE(bench.list()->currentIndex().row(), 1);
        bench.panel->restoreState({{"item", "x"}, {"splitter", 3}});
        bench.panel->restoreState(core::Json(3));
        QCOMPARE(bench.list()->currentIndex().row(), 1);
    }
};

QTEST_MAIN(ReportPanelTest)
#include "report_test.moc"
