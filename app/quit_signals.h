#pragma once

namespace orrery::app {

class MainWindow;

/// SIGINT and SIGTERM close `window` as its close button would, without asking: jobs are cancelled, the layout is saved. A second signal ends the program at once.
/// Call once, from the UI thread.
void closeOnSignals(MainWindow& window);

}  // namespace orrery::app
