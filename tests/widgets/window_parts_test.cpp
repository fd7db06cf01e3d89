#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QFile>
#include <QLineEdit>
#include <QMainWindow>
#include <QMenuBar>
#include <QPushButton>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

#include <core/base/error.h>
#include <widgets/command_palette.h>
#include <widgets/commands.h>
#include <widgets/panel.h>
#include <widgets/panel_plugin.h>
#include <widgets/session.h>

#include "shots.h"

using namespace orrery;
using namespace orrery::widgets;

/// Panels, how they are found and loaded, the command palette, commands.
class WindowPartsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QApplication::setStyle("Fusion");
        QApplication::setPalette(Theme::palette(false));
    }
    void hostListsPanelsInOrderWithoutLoadingThem();
    void hostRefusesAnotherAbiBeforeLoading();
    void hostSkipsBrokenFiles();
    void hostTakesAnIdOnce();
    void panelsAreMadeWhenAskedFor();
    void aFactoryThatThrowsIsReported();
    void unknownPanelsAreRefused();
    void missingFoldersHoldNothing();
    void emptyStateShowsWhatToDoAndItsButtonsWork();
    void errorsStandInTheirPanelUntilClosed();
    void anErrorGoesWithItsModel();
    void theFocusComesBackToTheButtonThatWasPressed_data();
    void theFocusComesBackToTheButtonThatWasPressed();
    void busyPanelsAreNotIdle();
    void fuzzyScorePrefersWordStartsAndRuns();
    void paletteFindsAndRunsAnAction();
    void paletteLeavesOutSeparatorsAndGreysDisabled();
    void paletteArrowsChoose();
    void collectedActionsIncludeMenusOnce();
    void commandsAreQuotedForTheShell_data();
    void commandsAreQuotedForTheShell();
    void copyAsCommandFillsTheClipboard();
    void pictures();
};

void WindowPartsTest::hostListsPanelsInOrderWithoutLoadingThem()
{
    PanelHost host;
    host.scan(TEST_PANELS "/good");
    QCOMPARE(host.panels().size(), std::size_t(2));
    QCOMPARE(host.panels()[0].id, QStringLiteral("test_early"));
    QCOMPARE(host.panels()[1].id, QStringLiteral("test_good"));
    QCOMPARE(host.panels()[1].title, QStringLiteral("Good panel"));
    QVERIFY(host.panels()[1].side == DockSide::Bottom);
    QVERIFY(!host.isLoaded("test_good"));
    QVERIFY(host.problems().empty());
}

void WindowPartsTest::hostRefusesAnotherAbiBeforeLoading()
{
    PanelHost host;
    host.scan(TEST_PANELS "/alien");
    QVERIFY(host.panels().empty());
    QCOMPARE(host.problems().size(), std::size_t(1));
    QCOMPARE(host.problems()[0].message, QStringLiteral("expected a plugin built with \"%1\", found \"orrery 99.0, qt 9.9\"").arg(panelAbi()));
    // Its library would have said so had it been loaded.
    QVERIFY(qEnvironmentVariableIsEmpty("ORRERY_TEST_ALIEN_LOADED"));
}

void WindowPartsTest::hostSkipsBrokenFiles()
{
    QTemporaryDir folder;
    QFile(TEST_PANELS "/good/test_good.so").copy(folder.filePath("good.so"));
    QFile text(folder.filePath("text.so"));
    QVERIFY(text.open(QIODevice::WriteOnly));
    text.write("this is no library");
    text.close();
    QFile whole(TEST_PANELS "/good/test_good.so"), half(folder.filePath("half.so"));
    QVERIFY(whole.open(QIODevice::ReadOnly) && half.open(QIODevice::WriteOnly));
    half.write(whole.read(whole.size() / 3));
    half.close();
    PanelHost host;
    host.scan(folder.path());
    QCOMPARE(host.panels().size(), std::size_t(1));
    QCOMPARE(host.problems().size(), std::size_t(2));
}

void WindowPartsTest::hostTakesAnIdOnce()
{
    PanelHost host;
    host.scan(TEST_PANELS "/good");
    host.scan(TEST_PANELS "/good");
    QCOMPARE(host.panels().size(), std::size_t(2));
    QCOMPARE(host.problems().size(), std::size_t(2));
    QVERIFY(host.problems()[0].message.contains("twice"));
}

void WindowPartsTest::panelsAreMadeWhenAskedFor()
{
    PanelHost host;
    host.scan(TEST_PANELS "/good");
    Session session;
    QWidget window;
    Panel* panel = host.create("test_good", session, &window);
    QVERIFY(panel);
    QCOMPARE(panel->parentWidget(), &window);
    QCOMPARE(panel->id(), QStringLiteral("test_good"));
    QVERIFY(host.isLoaded("test_good"));
    QVERIFY(!host.isLoaded("test_early"));
    QVERIFY(host.create("test_good", session, &window) != panel);
}

void WindowPartsTest::aFactoryThatThrowsIsReported()
{
    PanelHost host;
    host.scan(TEST_PANELS "/good");
    Session session;
    QWidget window;
    try {
        host.create("test_early", session, &window);
        QFAIL("expected an error");
    } catch (const core::Error& error) {
        QCOMPARE(QString(error.what()), QStringLiteral("this panel cannot be made"));
    }
    QCOMPARE(host.problems().size(), std::size_t(1));
    // The others still work.
    QVERIFY(host.create("test_good", session, &window));
}

void WindowPartsTest::unknownPanelsAreRefused()
{
    PanelHost host;
    Session session;
    QVERIFY_EXCEPTION_THROWN(host.create("nothing", session, nullptr), core::InputError);
}

void WindowPartsTest::missingFoldersHoldNothing()
{
    PanelHost host;
    host.scan("/nowhere/at/all");
    QVERIFY(host.panels().empty() && host.problems().empty());
}

namespace {

class PlainPanel : public Panel {
public:
    PlainPanel(Session& session) : Panel("plain", "Plain", session) { setContent(new QLineEdit(this)); }
    using Panel::addBusy;
};

}  // namespace

void WindowPartsTest::emptyStateShowsWhatToDoAndItsButtonsWork()
{
    Session session;
    PlainPanel panel(session);
    QAction open("Open a model…");
    panel.showEmptyState("No model", "Open a model file, or choose one of the built-in architectures.", {&open});
    panel.resize(400, 300);
    panel.show();
    QVERIFY(QTest::qWaitForWindowExposed(&panel));
    QVERIFY(panel.isShowingEmptyState());
    QSignalSpy triggered(&open, &QAction::triggered);
    auto* button = panel.findChild<QPushButton*>();
    QVERIFY(button && button->isVisible());
    QTest::mouseClick(button, Qt::LeftButton);
    QCOMPARE(triggered.size(), 1);
    open.setEnabled(false);
    QVERIFY(!button->isEnabled());
    panel.showContent();
    QVERIFY(!panel.isShowingEmptyState());
    QVERIFY(panel.findChild<QLineEdit*>()->isVisible());
}

void WindowPartsTest::errorsStandInTheirPanelUntilClosed()
{
    Session session;
    PlainPanel panel(session);
    panel.show();
    QVERIFY(QTest::qWaitForWindowExposed(&panel));
    panel.showError("expected 3 channels, got 1");
    QCOMPARE(panel.errorText(), QStringLiteral("expected 3 channels, got 1"));
    for (QToolButton* button : panel.findChildren<QToolButton*>())
        if (button->accessibleName() == "Close this message")
            QTest::mouseClick(button, Qt::LeftButton);
    QVERIFY(panel.errorText().isEmpty());
}

void WindowPartsTest::anErrorGoesWithItsModel()
{
    Session session;
    session.openModel("zoo:mlp?hidden=4");
    PlainPanel panel(session);
    panel.showError("expected a model that writes text");
    session.changeSelection([](Selection& s) { s.samples = {3}; });
    QVERIFY(!panel.errorText().isEmpty());
    session.openModel("zoo:gpt");
    QVERIFY(panel.errorText().isEmpty());
}

/// While the work runs, the button is disabled, or another one stands in its place.
void WindowPartsTest::theFocusComesBackToTheButtonThatWasPressed_data()
{
    QTest::addColumn<bool>("isReplaced");
    QTest::addColumn<bool>("goesOn");
    QTest::newRow("disabled") << false << false;
    QTest::newRow("replaced by Cancel") << true << false;
    QTest::newRow("somebody went on") << false << true;
}

void WindowPartsTest::theFocusComesBackToTheButtonThatWasPressed()
{
    QFETCH(bool, isReplaced);
    QFETCH(bool, goesOn);
    Session session;
    PlainPanel panel(session);
    auto* box = panel.findChild<QLineEdit*>()->parentWidget();
    auto *run = new QPushButton("Run", box), *cancel = new QPushButton("Cancel", box), *copy = new QPushButton("Copy", box),
         *other = new QPushButton("Other", box);
    for (auto* button : {run, copy, other})
        button->show();
    cancel->hide();
    panel.show();
    panel.activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(&panel));
    const auto work = [&](bool runs) {
        isReplaced ? run->setHidden(runs) : run->setEnabled(!runs);
        cancel->setVisible(runs && isReplaced);
    };
    run->setFocus();
    QTRY_VERIFY(run->hasFocus());
    work(true);
    QTRY_VERIFY(!run->hasFocus());
    if (goesOn)
        other->setFocus();
    work(false);
    QCoreApplication::processEvents();
    QTRY_COMPARE(QApplication::focusWidget(), static_cast<QWidget*>(goesOn ? other : run));
}

void WindowPartsTest::busyPanelsAreNotIdle()
{
    Session session;
    PlainPanel panel(session);
    QSignalSpy changed(&panel, &Panel::idleChanged);
    QVERIFY(panel.isIdle());
    panel.addBusy(1);
    panel.addBusy(1);
    panel.addBusy(-1);
    QVERIFY(!panel.isIdle());
    panel.addBusy(-1);
    QVERIFY(panel.isIdle());
    QCOMPARE(changed.size(), 4);
}

void WindowPartsTest::fuzzyScorePrefersWordStartsAndRuns()
{
    QVERIFY(fuzzyScore("nr", "New run") > fuzzyScore("nr", "Import"
                                                           " another"));
    QVERIFY(fuzzyScore("open", "Open workspace") > fuzzyScore("open", "Overlay of pen"));
    QVERIFY(fuzzyScore("log", "Log") > fuzzyScore("log", "Logarithmic axis"));
    QVERIFY(!fuzzyScore("xyz", "Export"));
    QVERIFY(!fuzzyScore("longer than the text", "text"));
    QCOMPARE(fuzzyScore("", "anything"), std::optional(0));
}

void WindowPartsTest::paletteFindsAndRunsAnAction()
{
    QMainWindow window;
    window.resize(800, 600);
    QAction open("&Open workspace…"), theme("Dark theme"), quit("Q");
    quit.setProperty("paletteText", "Quit");  // where its own text says too little outside its menu
    QSignalSpy triggered(&theme, &QAction::triggered);
    CommandPalette palette([&] { return QList<QAction*>{&open, &theme, &quit}; }, &window);
    window.show();
    QVERIFY(QTest::qWaitForWindowExposed(&window));
    palette.open();
    QVERIFY(QTest::qWaitForWindowExposed(&palette));
    QCOMPARE(palette.shownTexts(), (QStringList{"Open workspace…", "Dark theme", "Quit"}));
    auto* line = palette.findChild<QLineEdit*>();
    QTest::keyClicks(line, "dth");
    QCOMPARE(palette.shownTexts(), QStringList{"Dark theme"});
    QTest::keyClicks(line, "x");
    QCOMPARE(palette.shownTexts(), QStringList{"No command is called so"});
    QTest::keyClick(line, Qt::Key_Return);
    QVERIFY(palette.isVisible());
    QTest::keyClick(line, Qt::Key_Backspace);
    QTest::keyClick(line, Qt::Key_Return);
    QTRY_COMPARE(triggered.size(), 1);
    QVERIFY(!palette.isVisible());
    palette.open();
    QVERIFY(line->text().isEmpty());
    QTest::keyClick(line, Qt::Key_Escape);
    QTRY_VERIFY(!palette.isVisible());
}

void WindowPartsTest::paletteLeavesOutSeparatorsAndGreysDisabled()
{
    QWidget window;
    QAction first("First"), off("Fir off"), separator, hidden("Fir hidden");
    off.setEnabled(false);
    separator.setSeparator(true);
    hidden.setVisible(false);
    QSignalSpy triggered(&off, &QAction::triggered);
    CommandPalette palette([&] { return QList<QAction*>{&off, &separator, &hidden, &first}; }, &window);
    palette.open();
    QTest::keyClicks(palette.findChild<QLineEdit*>(), "fir");
    QCOMPARE(palette.shownTexts(), (QStringList{"First", "Fir off"}));
    QTest::keyClick(palette.findChild<QLineEdit*>(), Qt::Key_Down);
    QTest::keyClick(palette.findChild<QLineEdit*>(), Qt::Key_Return);
    QVERIFY(palette.isVisible());
    QCOMPARE(triggered.size(), 0);
}

void WindowPartsTest::paletteArrowsChoose()
{
    QWidget window;
    QAction a("Alpha"), b("Beta"), c("Gamma");
    QSignalSpy triggered(&b, &QAction::triggered);
    CommandPalette palette([&] { return QList<QAction*>{&a, &b, &c}; }, &window);
    palette.open();
    auto* line = palette.findChild<QLineEdit*>();
    QTest::keyClick(line, Qt::Key_Down);
    QTest::keyClick(line, Qt::Key_Down);
    QTest::keyClick(line, Qt::Key_Up);
    QTest::keyClick(line, Qt::Key_Return);
    QTRY_COMPARE(triggered.size(), 1);
}

void WindowPartsTest::collectedActionsIncludeMenusOnce()
{
    QMainWindow window;
    QMenu* file = window.menuBar()->addMenu("&File");
    QAction* open = file->addAction("Open");
    file->addSeparator();
    window.addAction(open);
    auto* inner = new QWidget(&window);
    QAction* deep = new QAction("Deep", inner);
    inner->addAction(deep);
    const QList<QAction*> actions = collectActions(&window);
    QCOMPARE(actions.count(open), 1);
    QCOMPARE(actions.count(deep), 1);
    for (const QAction* action : actions)
        QVERIFY(!action->isSeparator() && !action->menu());
}

void WindowPartsTest::commandsAreQuotedForTheShell_data()
{
    QTest::addColumn<QString>("argument");
    QTest::addColumn<QString>("expected");
    QTest::newRow("plain") << "run:3@100"
                           << "run:3@100";
    QTest::newRow("query") << "zoo:mlp?depth=2&width=8"
                           << "'zoo:mlp?depth=2&width=8'";
    QTest::newRow("space") << "my file.npy"
                           << "'my file.npy'";
    QTest::newRow("quote") << "it's"
                           << "'it'\\''s'";
    QTest::newRow("empty") << ""
                           << "''";
    QTest::newRow("newline") << "a\nb"
                             << "'a\nb'";
}

void WindowPartsTest::commandsAreQuotedForTheShell()
{
    QFETCH(QString, argument);
    QFETCH(QString, expected);
    QCOMPARE(shellQuoted(argument), expected);
}

void WindowPartsTest::copyAsCommandFillsTheClipboard()
{
    QObject parent;
    QString command = cliCommand({"forward", "my model.pt", "--input", "x.npy"});
    QAction* copy = makeCopyAsCommandAction(&parent, [&] { return command; });
    copy->trigger();
    QCOMPARE(QApplication::clipboard()->text(), QStringLiteral("orrery-cli forward 'my model.pt' --input x.npy"));
    command.clear();
    copy->trigger();
    QCOMPARE(QApplication::clipboard()->text(), QStringLiteral("orrery-cli forward 'my model.pt' --input x.npy"));
}

void WindowPartsTest::pictures()
{
    Session session;
    PlainPanel panel(session);
    QAction open("Open a model…"), example("Open an example");
    panel.showEmptyState("No model",
                         "Open a model file, drop one on the window, or choose one of the built-in architectures to look at its layers and weights.",
                         {&open, &example});
    panel.showError(
        "model.pt: expected a TorchScript file, found a ZIP archive without code (a state dictionary?); open it together with --arch NAME");
    panel.resize(460, 360);
    panel.show();
    QVERIFY(QTest::qWaitForWindowExposed(&panel));
    takeShots(panel, "empty");
    QWidget window;
    window.resize(700, 500);
    QAction a("Open workspace…"), b("New run"), c("Show Experiments"), off("Resume run");
    a.setShortcut(QKeySequence("Ctrl+O"));
    b.setShortcut(QKeySequence("Ctrl+N"));
    off.setEnabled(false);
    CommandPalette palette([&] { return QList<QAction*>{&a, &b, &c, &off}; }, &window);
    palette.open();
    takeShots(palette, "palette");
}

QTEST_MAIN(WindowPartsTest)
#include "window_parts_test.moc"
