#include <unistd.h>

#include <ATen/Parallel.h>

#include <core/jobs/queue.h>
#include <core/jobs/worker.h>

#include "cli.h"

namespace orrery::cli {

// Started by the process engine, never by people: it is not listed. Messages go out where standard output was; what libraries print joins standard error.
std::function<Exit(Session&)> declareWorker(CLI::App& app)
{
    app.group("");
    return [](Session& session) {
        const int output = ::dup(STDOUT_FILENO);
        ::dup2(STDERR_FILENO, STDOUT_FILENO);
        jobs::Queue::setThreadHook([](int threads) { at::set_num_threads(threads); });
        return Exit(jobs::runWorker(STDIN_FILENO, output, session.stopToken()));
    };
}

}  // namespace orrery::cli
