#include <fmt/format.h>

#include <iostream>

#include <core/base/component_text.h>
#include <core/scene/cloud/cloud_session.h>
#include <core/scene/cloud/formats.h>

#include "cloud_documents.h"
#include "scene.h"

namespace orrery::cli {
namespace {

struct SceneFilterOptions {
    std::string in, out;
    std::vector<std::string> filters, settings;
};

core::Json filterJson(const scene::AppliedFilter& filter)
{
    return {{"id", filter.id}, {"parameters", filter.parameters}, {"seed", filter.seed}, {"points", filter.points}, {"details", filter.details}};
}

Exit applyFilters(Session& session, const SceneFilterOptions& options)
{
    scene::formatForWriting(options.out);
    std::vector<core::ComponentText> filters;  // all are checked before the first one works
    for (const auto& text : options.filters)
        filters.push_back(core::parseComponentText(scene::cloudFilters(), text));
    auto file = scene::readCloud(options.in, session.stopToken());
    printNotices(file);
    jobs::DirectContext context(session.stopToken(), session.threads);
    context.onProgress = [&](const jobs::Progress& progress) { session.showProgress(progress.done, progress.total, progress.unit, progress.phase); };
    scene::CloudSession cloud(std::make_shared<const scene::TriangleMesh>(std::move(file.mesh)));
    for (const auto& filter : filters) {
        cloud = cloud.with(filter.id, filter.parameters, session.seed, context);
        session.endProgress();
        if (!session.json)
            std::cout << fmt::format("{}: {} points {}\n", cloud.applied().back().text(), cloud.applied().back().points,
                                     cloud.applied().back().details.dump());
    }
    const auto lost = writeWithNotices(options.out, cloud.current(), options.settings);
    if (session.json) {
        auto document = cloudJson(cloud.current());
        document["file"] = options.out;
        document["lost"] = lost;
        document["filters"] = core::Json::array();
        for (const auto& filter : cloud.applied())
            document["filters"].push_back(filterJson(filter));
        session.print(document);
    }
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneFilter(CLI::App& app)
{
    auto options = std::make_shared<SceneFilterOptions>();
    app.add_option("in", options->in, "PLY, PCD, LAS, XYZ, CSV or OBJ.")->required();
    app.add_option("out", options->out, "The file to write; its extension says the format.")->required();
    app.add_option("--apply", options->filters,
                   "A filter with its parameters, ID?key=value&key=value (`list cloud_filter`); several are applied in this order.")
        ->required()
        ->allow_extra_args(false);
    app.add_option("--set", options->settings, "Parameter of the format that is written: encoding=ascii.")->allow_extra_args(false);
    return [options](Session& session) { return applyFilters(session, *options); };
}

}  // namespace orrery::cli
