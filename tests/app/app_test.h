#pragma once
// What tests of the whole window share: a home of their own, a window, drops, and finding what is on the screen.
#include <ATen/Parallel.h>
#include <QAbstractButton>
#include <QApplication>
#include <QDockWidget>
#include <QDropEvent>
#include <QLabel>
#include <QLineEdit>
#include <QMessageBox>
#include <QMimeData>
#include <QPointer>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <QUrl>

#include <app/main_window.h>
#include <app/settings_dialog.h>
#include <core/catalogue.h>
#include <core/jobs/job.h>
#include <core/jobs/queue.h>
#include <core/store/workspace.h>
#include <core/train/runs.h>
#include <widgets/panel.h>

namespace orrery::test {

/// Settings and data of the user in a folder that is gone afterwards. Made before QApplication.
class TemporaryHome {
public:
    TemporaryHome()
    {
        QCoreApplication::setOrganizationName("Orrery");
        QCoreApplication::setApplicationName("orrery");
        const auto home = m_folder.path().toUtf8();
        qputenv("HOME", home);
        qputenv("XDG_CONFIG_HOME", home + "/config");
        qputenv("XDG_DATA_HOME", home + "/data");
        qputenv("XDG_CACHE_HOME", home + "/cache");
        qputenv("ORRERY_PLUGINS", ORRERY_TEST_PLUGINS);
    }

private:
    QTemporaryDir m_folder;
};

/// The program as main() starts it.
struct Program {
    widgets::Theme theme;
    widgets::Session session;
    std::unique_ptr<app::MainWindow> window;

    Program()
    {
        app::applySettings(session, theme);
        window = std::make_unique<app::MainWindow>(session, theme);
        window->show();
        window->activateWindow();
        if (!QTest::qWaitForWindowActive(window.get()))
            qWarning("the window did not become active");
    }
    QDockWidget* dock(const QString& panel) const { return window->findChild<QDockWidget*>("dock." + panel); }
    bool isShown(const QString& panel) const { return dock(panel)->isVisible(); }
    widgets::Panel* panel(const QString& id) const { return dock(id) ? qobject_cast<widgets::Panel*>(dock(id)->widget()) : nullptr; }
    QString message() const { return window->findChild<QLabel*>("message")->text(); }
    /// Opens the command palette by its keys, types, presses Return.
    void command(const QString& typed) const
    {
        QTest::keyClick(window.get(), Qt::Key_P, Qt::ControlModifier | Qt::ShiftModifier);
        const auto line = [] { return QApplication::activeModalWidget() ? QApplication::activeModalWidget()->findChild<QLineEdit*>() : nullptr; };
        if (!QTest::qWaitFor([&] { return line() && line()->isVisible(); }))
            return qWarning("no command palette");
        QTest::keyClicks(line(), typed);
        QTest::keyClick(line(), Qt::Key_Return);
    }
};

/// A visible button by its accessible name or text; null if there is none.
inline QAbstractButton* buttonNamed(const QWidget* parent, const QString& name)
{
    for (auto* button : parent->findChildren<QAbstractButton*>())
        if (button->isVisible() && (button->accessibleName() == name || button->text().remove('&') == name))
            return button;
    return nullptr;
}

/// A file dragged onto a widget and dropped there.
inline void dropFile(QWidget* widget, const QString& file)
{
    QMimeData data;
    data.setUrls({QUrl::fromLocalFile(file)});
    const QPoint middle = widget->rect().center();
    QDragEnterEvent enter(middle, Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(widget, &enter);
    QVERIFY2(enter.isAccepted(), "the file is not welcome");
    QDragMoveEvent move(middle, Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(widget, &move);
    QDropEvent drop(middle, Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(widget, &drop);
}

/// Answers the next message box with `button` as soon as it is there, and keeps its text.
class Answer : public QObject {
public:
    explicit Answer(QMessageBox::StandardButton button)
    {
        connect(&m_timer, &QTimer::timeout, this, [this, button] {
            auto* box = qobject_cast<QMessageBox*>(QApplication::activeModalWidget());
            if (!box || !box->isVisible())
                return;
            text = box->text();
            m_timer.stop();
            QTest::mouseClick(box->button(button), Qt::LeftButton);
        });
        m_timer.start(5);
    }
    QString text;

private:
    QTimer m_timer;
};

/// A small training on bundled data.
inline core::Json smallExperiment(int epochs)
{
    return {{"name", "wine"},
            {"seed", 3},
            {"model", {{"id", "mlp"}, {"hidden", {16}}}},
            {"data", {{"id", "wine"}}},
            {"train", {{"epochs", epochs}, {"batch_size", 32}, {"optimizer", {{"id", "adam"}, {"lr", 0.01}}}}}};
}

/// Adds a run that has been trained to its end.
inline store::RunId addTrainedRun(const QString& folder, int epochs = 3)
{
    const auto workspace = store::Workspace::open(folder.toStdString());
    const auto run = train::createRun(*workspace, train::resolveExperiment(smallExperiment(epochs)));
    jobs::DirectContext context;
    train::trainRun(workspace, run, context);
    return run;
}

template <class Test>
int runAppTest(int argc, char** argv)
{
    TemporaryHome home;
    core::registerAll();
    jobs::Queue::setThreadHook([](int threads) { at::set_num_threads(threads); });
    QApplication application(argc, argv);
    QApplication::setQuitOnLastWindowClosed(false);
    Test test;
    return QTest::qExec(&test, argc, argv);
}

}  // namespace orrery::test
