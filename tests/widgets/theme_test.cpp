#include <QApplication>
#include <QCheckBox>
#include <QDBusConnection>
#include <QDBusContext>
#include <QDBusMessage>
#include <QDBusVariant>
#include <QLineEdit>
#include <QListWidget>
#include <QProcess>
#include <QSignalSpy>
#include <QTest>
#include <QToolBar>
#include <QToolButton>
#include <QVBoxLayout>

#include <widgets/theme.h>

using namespace orrery::widgets;

/// Stands for the desktop portal on a private bus. `Read` wraps its value twice, as the real one does.
class FakePortal : public QObject {
    Q_OBJECT
    Q_CLASSINFO("D-Bus Interface", "org.freedesktop.portal.Settings")
public:
    uint scheme = 0;
    int reads = 0;
    void change(uint to)
    {
        scheme = to;
        Q_EMIT SettingChanged("org.freedesktop.appearance", "color-scheme", QDBusVariant(to));
    }

public Q_SLOTS:
    QDBusVariant Read(const QString& group, const QString& key)
    {
        ++reads;
        return QDBusVariant(QVariant::fromValue(QDBusVariant(group == "org.freedesktop.appearance" && key == "color-scheme" ? scheme : 99U)));
    }

Q_SIGNALS:
    void SettingChanged(const QString& group, const QString& key, const QDBusVariant& value);
};

class ThemeTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void cleanupTestCase();
    // First, before anything has been sent on the bus: as in the program.
    void systemFollowsThePortal();
    void manualChoiceWinsOverTheDesktop();
    void withoutAWishTheStartingPaletteDecides();
    void choicesHaveTexts();
    void toolsWithoutRoomAreReachedInBothThemes();
    void boxesAndChosenRowsAreSeen_data();
    void boxesAndChosenRowsAreSeen();

private:
    QProcess m_daemon;
    FakePortal m_portal;
    bool m_onBus = false;
};

void ThemeTest::initTestCase()
{
    m_daemon.start("dbus-daemon", {"--session", "--nofork", "--print-address=1"});
    if (!m_daemon.waitForStarted(3000) || !m_daemon.waitForReadyRead(5000))
        return;
    qputenv("DBUS_SESSION_BUS_ADDRESS", m_daemon.readLine().trimmed());
    QDBusConnection bus = QDBusConnection::connectToBus(QString::fromUtf8(qgetenv("DBUS_SESSION_BUS_ADDRESS")), "portal");
    m_onBus = bus.registerObject("/org/freedesktop/portal/desktop", &m_portal, QDBusConnection::ExportAllSlots | QDBusConnection::ExportAllSignals) &&
              bus.registerService("org.freedesktop.portal.Desktop");
}

void ThemeTest::cleanupTestCase()
{
    QDBusConnection::disconnectFromBus("portal");
    m_daemon.terminate();
    m_daemon.waitForFinished(3000);
}

void ThemeTest::manualChoiceWinsOverTheDesktop()
{
    Theme theme;
    QSignalSpy changed(&theme, &Theme::changed);
    theme.setChoice(ThemeChoice::Dark);
    QVERIFY(theme.isDark() && isDark(QApplication::palette()));
    theme.setChoice(ThemeChoice::Light);
    QVERIFY(!theme.isDark() && !isDark(QApplication::palette()));
    QCOMPARE(changed.size(), 2);
}

void ThemeTest::systemFollowsThePortal()
{
    if (!m_onBus)
        QSKIP("no dbus-daemon here");
    QApplication::setPalette(Theme::palette(false));
    m_portal.scheme = 1;
    Theme theme;
    QTRY_VERIFY(theme.isDark());
    m_portal.change(2);
    QTRY_VERIFY(!theme.isDark());
    m_portal.change(1);
    QTRY_VERIFY(theme.isDark());
    theme.setChoice(ThemeChoice::Light);
    QSignalSpy changed(&theme, &Theme::changed);
    m_portal.change(0);
    QTRY_VERIFY(changed.size() > 0);
    QVERIFY(!theme.isDark());
}

void ThemeTest::withoutAWishTheStartingPaletteDecides()
{
    m_portal.scheme = 0;
    for (const bool dark : {true, false}) {
        QApplication::setPalette(Theme::palette(dark));
        const int before = m_portal.reads;
        Theme theme;
        if (m_onBus)
            QTRY_VERIFY(m_portal.reads > before);
        QCOMPARE(theme.isDark(), dark);
    }
}

/// The strongest contrast of a pixel of the button behind which a narrow tool bar keeps what it has no room for, with the ground beside it.
static double contrastOfExtension(Theme& theme, ThemeChoice choice)
{
    theme.setChoice(choice);
    QToolBar bar;
    for (const char* text : {"Over", "Into", "Out", "Node", "Continue", "Back"})
        bar.addAction(text);
    bar.resize(120, 30);
    bar.show();
    auto* more = bar.findChild<QToolButton*>("qt_toolbar_ext_button");
    if (!more || !QTest::qWaitFor([&] { return more->isVisible(); }))
        return 0;
    const QImage image = more->grab().toImage();
    double best = 0;
    for (int y = 3; y < image.height() - 3; ++y)
        for (int x = 3; x < image.width() - 3; ++x)
            best = std::max(best, contrast(image.pixelColor(x, y), bar.palette().color(QPalette::Window)));
    return best;
}

void ThemeTest::toolsWithoutRoomAreReachedInBothThemes()
{
    Theme theme;
    for (const auto choice : {ThemeChoice::Light, ThemeChoice::Dark}) {
        const double best = contrastOfExtension(theme, choice);
        QVERIFY2(best > 4.5, qPrintable(QString("%1: %2").arg(Theme::choiceText(choice)).arg(best)));
    }
}

void ThemeTest::boxesAndChosenRowsAreSeen_data()
{
    QTest::addColumn<bool>("dark");
    QTest::newRow("light") << false;
    QTest::newRow("dark") << true;
}

/// 3:1, as WCAG 2.1 asks of what is no text (criterion 1.4.11), in pixels as they are drawn.
void ThemeTest::boxesAndChosenRowsAreSeen()
{
    QFETCH(bool, dark);
    Theme theme;
    theme.setChoice(dark ? ThemeChoice::Dark : ThemeChoice::Light);
    QWidget window;
    auto* layout = new QVBoxLayout(&window);
    auto* line = new QLineEdit;
    auto* box = new QCheckBox;
    auto* rows = new QListWidget;
    rows->addItems({"one", "two"});
    for (QWidget* widget : {static_cast<QWidget*>(line), static_cast<QWidget*>(box), static_cast<QWidget*>(rows)})
        layout->addWidget(widget);
    rows->setCurrentRow(1);
    window.show();
    window.activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(&window));
    line->setFocus();
    QTRY_VERIFY(line->hasFocus());
    const QImage picture = window.grab().toImage();
    const auto colourAt = [&](const QWidget* widget, QPoint at) { return picture.pixelColor(widget->mapTo(&window, at)); };
    // From outside into the box there is an edge.
    double edge = 0;
    for (int x = 0; x < box->height() / 2; ++x)
        edge = std::max(edge, contrast(colourAt(box, {x, box->height() / 2}), QApplication::palette().color(QPalette::Window)));
    QVERIFY2(edge >= 3, qPrintable(QString::number(edge)));
    const QRect chosen = rows->visualItemRect(rows->item(1));
    const QColor row = colourAt(rows->viewport(), {chosen.right() - 3, chosen.center().y()});
    const double seen = contrast(row, colourAt(rows->viewport(), {chosen.right() - 3, chosen.bottom() + 20}));
    QVERIFY2(seen >= 3, qPrintable(QString::number(seen)));
    QVERIFY(contrast(row, QApplication::palette().color(QPalette::HighlightedText)) >= 4.5);
    // A box that has nothing to choose from still says whose numbers are on show.
    const QPalette palette = QApplication::palette();
    QVERIFY(contrast(palette.color(QPalette::Disabled, QPalette::ButtonText), palette.color(QPalette::Button)) >= 4.5);
}

void ThemeTest::choicesHaveTexts()
{
    for (const ThemeChoice choice : {ThemeChoice::System, ThemeChoice::Light, ThemeChoice::Dark})
        QVERIFY(Theme::choiceFromText(Theme::choiceText(choice)) == choice);
    QVERIFY(Theme::choiceFromText("purple") == ThemeChoice::System);
}

QTEST_MAIN(ThemeTest)
#include "theme_test.moc"
