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

// The handler must not run on a thread that computes: generated matrix kernels use the stack pointer for their own data, and the frame that the kernel
// pushes for a handler would be written into it. So this thread and all that it makes later block the signals; the one below alone takes them.
void installInterruptHandler()
{
    source();
    if (pipe(wakePipe) != 0)
        return;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGINT, onSignal);
    std::signal(SIGTERM, onSignal);
    std::thread([signals] {
        pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
        for (char byte = 0;;)
            if (read(wakePipe[0], &byte, 1) == 1)
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
