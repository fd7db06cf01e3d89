#pragma once
#include <QString>

namespace orrery::app {

class MainWindow;

/// Waits until the window is painted and idle (at most `timeoutMs`), saves its picture, quits the program with status 0, or 1 if that failed.
void screenshotWhenIdle(MainWindow& window, const QString& file, int timeoutMs = 60000);

}  // namespace orrery::app
