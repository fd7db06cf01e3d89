#include "representation_argument.h"
#include "number_checks.h"

namespace orrery::cli {
namespace {

SampleArgument dataArgument(const RepresentationArgument& rows)
{
    SampleArgument sample;
    sample.data = rows.data;
    sample.split = rows.split;
    return sample;
}

}  // namespace

void RepresentationArgument::declare(CLI::App& app)
{
    app.add_option("--data", data, "Data set: a registered id, JSON, or a path; default: the data of run:ID.");
    app.add_option("--split", split, "Part of the data: train, val or test.");
    app.add_option(
        "--position", position,
        "Positions of a sequence: last, mean, each (a row a position), flatten, or a number; maps: mean or flatten. auto: each where every "
        "position has a label, else mean; maps: flatten.");
    app.add_option("--limit", limit, "At most so many rows of a part, drawn with --seed; 0: all.")->check(notNegative());
}

intervene::CollectRequest RepresentationArgument::request(std::uint64_t seed) const
{
    intervene::CollectRequest request;
    request.pooling = intervene::poolingFromText(position);
    request.limit = limit;
    request.seed = seed;
    return request;
}

Opened::Opened(Session& session, const ModelArgument& argument, const RepresentationArgument& rows)
    : model(argument.open(session)), executor(model.graph), document(dataArgument(rows).document(session, argument)),
      data(dataArgument(rows).open(session, argument))
{
    control.stop = session.stopToken();
    control.progress = [&session](double done, double total, const char* unit) { session.showProgress(done, total, unit); };
}

std::shared_ptr<store::Workspace> Opened::storeIn(Session& session, const ModelArgument& argument) const
{
    return runOf(argument.text) ? session.namedWorkspace(store::OpenMode::Open) : nullptr;
}

intervene::StudyOrigin Opened::origin(const ModelArgument& argument, const RepresentationArgument& rows) const
{
    return {argument.text, document, rows.split, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count()};
}

}  // namespace orrery::cli
