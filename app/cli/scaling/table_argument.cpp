#include "table_argument.h"

#include <charconv>
#include <cmath>
#include <thread>

#include <core/base/text.h>

namespace orrery::cli {
namespace {

std::pair<std::string, std::string> takenApart(const std::string& option, const std::string& text, const char* wanted)
{
    const auto at = text.find('=');
    if (at == std::string::npos || at == 0 || at + 1 == text.size())
        throw core::InputError(fmt::format("{} {}: expected {}", option, text, wanted));
    return {text.substr(0, at), text.substr(at + 1)};
}

double factorFrom(const std::string& text, const std::string& whole)
{
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || !std::isfinite(value))
        throw core::InputError(fmt::format("--scale {}: expected NAME=FACTOR with a number > 0, such as N=1e6", whole));
    return value;
}

}  // namespace

void TableArgument::declare(CLI::App& app)
{
    app.add_option("data", file, "CSV file with a header row.");
    app.add_option("--runs", runs, "Take the points from finished runs of the workspace that match this query (\"\" is all), instead of a file.");
    app.add_option(
        "--column", columns,
        "Where a column comes from: NAME=COLUMN of the file (loss=val_loss); of runs NAME=METRIC (loss=test/loss) or NAME=arithmetic over numbers "
        "of their documents (D=train.steps*train.batch_size), in which `parameters` is the number of weights.");
    app.add_option("--scale", scales, "Factor of a column: N=1e6 for sizes in millions.");
    app.add_option("--x", x, "Column that a law of one input takes; the same as --column x=COLUMN.");
}

scaling::ColumnMap TableArgument::map() const
{
    scaling::ColumnMap map;
    for (const auto& text : columns) {
        const auto [name, source] = takenApart("--column", text, "NAME=COLUMN, such as loss=val_loss");
        map.sources[name] = source;
    }
    if (!x.empty())
        map.sources["x"] = x;
    for (const auto& text : scales) {
        const auto [name, factor] = takenApart("--scale", text, "NAME=FACTOR, such as N=1e6");
        map.scales[name] = factorFrom(factor, text);
    }
    return map;
}

scaling::Table TableArgument::open(const Session& session, const std::vector<std::string>& wanted) const
{
    if (file.empty() == !runs)
        throw core::InputError(file.empty() ? "scaling: expected a CSV file, or --runs QUERY with a workspace"
                                            : "scaling: expected a CSV file or --runs, got both");
    if (!runs)
        return scaling::readTable(file);
    auto sources = map().sources;
    for (const auto& name : wanted) {
        if (name == "N")
            sources.try_emplace(name, "parameters");
        if (!sources.contains(name))
            throw core::InputError(
                fmt::format("--runs: expected --column {}=SOURCE, a metric such as test/loss or arithmetic over numbers of the documents", name));
    }
    store::RunQuery query;
    query.where = *runs;
    query.statuses = {store::RunStatus::Finished};
    return scaling::tableOfRuns(*session.workspace(store::OpenMode::ReadOnly), query, sources);
}

core::Json TableArgument::document() const
{
    if (!runs)
        return {{"file", file}};
    core::Json sources = core::Json::object();
    for (const auto& [name, source] : map().sources)
        sources[name] = source;
    return {{"query", *runs}, {"sources", sources}};
}

jobs::DirectContext progressContext(Session& session)
{
    session.applyThreads();
    jobs::DirectContext context(session.stopToken(), session.threads > 0 ? session.threads : int(std::max(1u, std::thread::hardware_concurrency())));
    return context;
}

std::string percentText(double share)
{
    return fmt::format("{:.2f} %", 100 * share);
}

std::string numberText(double value)
{
    return fmt::format("{:.6g}", value);
}

}  // namespace orrery::cli
