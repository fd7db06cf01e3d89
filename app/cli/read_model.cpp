#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/models/isolated_reading.h>

#include "cli.h"

namespace orrery::cli {
namespace {

struct ReadModelOptions {
    std::string file, folder, method = "forward";
    std::vector<std::string> keep;
    std::uint64_t memory = 0;
};

// Beyond what the libraries have taken already.
void limitMemory(std::uint64_t bytes)
{
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    if (bytes == 0 || pages == 0)
        return;
    const rlim_t total = rlim_t(pages) * rlim_t(::sysconf(_SC_PAGESIZE)) + bytes;
    const rlimit limit{total, total};
    ::setrlimit(RLIMIT_AS, &limit);
}

}  // namespace

// Started by models::readIsolated, never by people: it is not listed.
std::function<Exit(Session&)> declareReadModel(CLI::App& app)
{
    auto options = std::make_shared<ReadModelOptions>();
    app.group("");
    app.add_option("file", options->file)->required();
    app.add_option("folder", options->folder)->required();
    app.add_option("--method", options->method);
    app.add_option("--keep", options->keep);
    app.add_option("--memory", options->memory);
    return [options](Session& session) {
        session.applyThreads();
        limitMemory(options->memory);
        models::TorchScriptOptions read;
        read.method = options->method;
        read.keepInputs.insert(options->keep.begin(), options->keep.end());
        try {
            models::readIntoFolder(options->file, read, options->folder);
        } catch (const std::bad_alloc&) {
            throw core::FormatError(fmt::format("{}: damaged file, or too large: reading it took more than {} of memory", options->file,
                                                core::formatBytes(options->memory)));
        }
        return Exit::Done;
    };
}

}  // namespace orrery::cli
