#include "interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

namespace orrery::cli {
namespace {

std::stop_source& source()
{
    static std::stop_source instance;
    return instance;
}

std::atomic<int> interrupts{0};
int wakePipe[2] = {-1, -1};

// Only what is safe in a signal handler: count and wake the thread below.
void onSignal(int)
{
    if (interrupts.fetch_add(1) > 0)
        _exit(130);
    const char byte = 1;
    [[maybe_unused]] const auto written = write(wakePipe[1], &byte, 1);
}

}  // namespace

void installInterruptHandler()
{
    source();
    if (pipe(wakePipe) != 0)
        return;
    std::signal(SIGINT, onSignal);
    std::signal(SIGTERM, onSignal);
    std::thread([] {
        char byte = 0;
        while (read(wakePipe[0], &byte, 1) < 0) {
        }
        source().request_stop();
    }).detach();
}

std::stop_token interruptToken()
{
    return source().get_token();
}
bool wasInterrupted()
{
    return interrupts.load() > 0;
}

}  // namespace orrery::cli
