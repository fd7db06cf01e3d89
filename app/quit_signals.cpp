#include "quit_signals.h"

#include <QSocketNotifier>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>

#include "main_window.h"

namespace orrery::app {
namespace {

int pipeEnds[2] = {-1, -1};

// Nothing of Qt may be called in a handler: a byte through a pipe wakes the event loop.
void onSignal(int signal)
{
    std::signal(signal, SIG_DFL);
    const char byte = 1;
    if (write(pipeEnds[1], &byte, 1) != 1)
        raise(signal);
}

}  // namespace

void closeOnSignals(MainWindow& window)
{
    if (pipe2(pipeEnds, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    auto* notifier = new QSocketNotifier(pipeEnds[0], QSocketNotifier::Read, &window);
    QObject::connect(notifier, &QSocketNotifier::activated, &window, [&window, notifier] {
        notifier->setEnabled(false);
        window.setQuiet(true);
        window.close();
    });
    for (const int signal : {SIGINT, SIGTERM})
        std::signal(signal, onSignal);
}

}  // namespace orrery::app
