#include "screenshot.h"

#include <QApplication>
#include <QElapsedTimer>
#include <QPixmap>
#include <QTimer>
#include <iostream>

#include "main_window.h"

namespace orrery::app {

void screenshotWhenIdle(MainWindow& window, const QString& file, int timeoutMs)
{
    auto* timer = new QTimer(&window);
    auto clock = std::make_shared<QElapsedTimer>();
    auto quiet = std::make_shared<int>(0);
    clock->start();
    QObject::connect(timer, &QTimer::timeout, &window, [=, &window] {
        // Idle for a few looks in a row: a panel may start the next piece of work when the first one has come back.
        *quiet = window.isIdle() ? *quiet + 1 : 0;
        const bool late = clock->elapsed() > timeoutMs;
        if (*quiet < 8 && !late)
            return;
        timer->stop();
        if (late)
            std::cerr << "orrery: the window was still busy after " << timeoutMs / 1000 << " s\n";
        const bool saved = window.grab().save(file);
        if (!saved)
            std::cerr << "orrery: cannot write " << file.toStdString() << "\n";
        QGuiApplication::setQuitOnLastWindowClosed(false);  // else closing would end the program with status 0
        window.setQuiet(true);
        window.close();
        QApplication::exit(saved && !late ? 0 : 1);
    });
    timer->start(40);
}

}  // namespace orrery::app
