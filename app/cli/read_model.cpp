#include <core/models/isolated_reading.h>

#include "cli.h"

namespace orrery::cli {
namespace {

struct ReadModelOptions {
    std::string file, folder, method = "forward";
    std::vector<std::string> keep;
    std::uint64_t memory = 0;
};

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
        models::TorchScriptOptions read;
        read.method = options->method;
        read.keepInputs.insert(options->keep.begin(), options->keep.end());
        models::readIntoFolder(options->file, read, options->folder, options->memory);
        return Exit::Done;
    };
}

}  // namespace orrery::cli
