#include <iostream>

#include <core/scene/cloud/formats.h>

#include "cloud_documents.h"
#include "scene.h"

namespace orrery::cli {
namespace {

struct SceneConvertOptions {
    std::string in, out;
    std::vector<std::string> settings;
};

Exit convert(Session& session, const SceneConvertOptions& options)
{
    scene::formatForWriting(options.out);  // a wrong name is told before the work
    const auto file = scene::readCloud(options.in);
    printNotices(file);
    const auto lost = writeWithNotices(options.out, file.mesh, options.settings);
    if (session.json) {
        auto document = cloudJson(file.mesh);
        document["file"] = options.out;
        document["format"] = scene::formatForWriting(options.out);
        document["dropped"] = file.dropped;
        document["left_out"] = file.leftOut;
        document["lost"] = lost;
        session.print(document);
    } else
        std::cout << options.out << ": " << file.mesh.points.size() << " points\n";
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneConvert(CLI::App& app)
{
    auto options = std::make_shared<SceneConvertOptions>();
    app.add_option("in", options->in, "PLY, PCD, LAS, XYZ, CSV or OBJ.")->required();
    app.add_option("out", options->out, "The file to write; its extension says the format.")->required();
    app.add_option("--set", options->settings, "Parameter of the format: encoding=ascii (`describe cloud_format/ply`).");
    return [options](Session& session) { return convert(session, *options); };
}

}  // namespace orrery::cli
