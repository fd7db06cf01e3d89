#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include <core/base/text.h>
#include <core/scene/cloud/formats.h>
#include <core/scene/cloud/points.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/statistics.h>
#include <core/scene/splat/synthetic.h>

#include "../model_argument.h"
#include "cloud_documents.h"
#include "model_pictures.h"
#include "scene.h"

namespace orrery::cli {
namespace {

// Smallest, largest and mean value; NaN counts as missing.
core::Json fieldJson(const scene::PointField& field)
{
    double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0;
    std::size_t known = 0;
    for (const float value : field.values) {
        if (!std::isfinite(value))
            continue;
        low = std::min(low, double(value));
        high = std::max(high, double(value));
        sum += double(value);
        ++known;
    }
    core::Json document = {{"name", field.name}, {"min", nullptr}, {"max", nullptr}, {"mean", nullptr}, {"missing", field.values.size() - known}};
    if (known > 0) {
        document["min"] = field.offset + low;
        document["max"] = field.offset + high;
        document["mean"] = field.offset + sum / double(known);
    }
    return document;
}

core::Json infoJson(const std::string& name, const scene::CloudFile& file)
{
    const auto& cloud = file.mesh.points;
    auto document = cloudJson(file.mesh);
    document["file"] = name;
    document["format"] = file.format;
    document["encoding"] = file.encoding;
    document["fields"] = core::Json::array();
    for (const auto& field : cloud.fields)
        document["fields"].push_back(fieldJson(field));
    document["dropped"] = file.dropped;
    document["left_out"] = file.leftOut;
    document["comments"] = file.comments;
    return document;
}

void printInfo(const std::string& name, const scene::CloudFile& file)
{
    std::cout << fmt::format("{}: {}, {}\n", name, file.format, file.encoding);
    printCloud(file.mesh);
    for (const auto& field : file.mesh.points.fields) {
        const auto range = fieldJson(field);
        const auto number = [&](const char* key) {
            return range.at(key).is_null() ? std::string("none") : core::formatNumber(range.at(key).get<double>());
        };
        std::cout << fmt::format("  field {:<20} {} to {}, mean {}", field.name, number("min"), number("max"), number("mean"));
        std::cout << (range.at("missing") == 0 ? "\n" : fmt::format(", {} missing\n", range.at("missing").get<std::size_t>()));
    }
    for (const auto& comment : file.comments)
        std::cout << "  comment " << comment << "\n";
    printNotices(file);
}

core::Json histogramJson(const scene::Histogram& histogram)
{
    return {{"low", histogram.low}, {"high", histogram.high}, {"counts", histogram.counts}};
}

Exit splatInfo(Session& session, const std::string& name, const scene::Splats& splats)
{
    const auto found = scene::splatStatistics(splats);
    if (session.json) {
        session.print({{"file", name},
                       {"gaussians", found.count},
                       {"degree", found.degree},
                       {"bounds", found.box},
                       {"middle", found.middleBox},
                       {"opacity", {{"median", found.medianOpacity}, {"faint", found.faint}, {"histogram", histogramJson(found.opacity)}}},
                       {"size", {{"median", found.medianSize}, {"log10_histogram", histogramJson(found.size)}}},
                       {"bytes", found.bytes}});
        return Exit::Done;
    }
    std::cout << fmt::format("{}: {} Gaussians, harmonics of degree {}, {}\n", name, found.count, found.degree, core::formatBytes(found.bytes));
    const auto& b = found.box;
    for (std::size_t axis = 0; axis < 3; ++axis)
        std::cout << fmt::format("  {} {} to {}\n", "xyz"[axis], core::formatNumber(b[axis]), core::formatNumber(b[axis + 3]));
    std::cout << fmt::format("  opacity: median {}, {} Gaussians below 1/255\n", core::formatNumber(found.medianOpacity), found.faint);
    std::cout << fmt::format("  largest standard deviation: median {}\n", core::formatNumber(found.medianSize));
    return Exit::Done;
}

Exit info(Session& session, const std::string& file)
{
    if (namesModel(file)) {
        const auto model = ModelArgument{file, {}}.open(session);
        if (!scene::isSplatModel(model))
            throw core::InputError(fmt::format("{}: expected points or Gaussians; for the layers of a model: orrery-cli inspect {}", file, file));
        return splatInfo(session, file, scene::splatsOf(model.weights));
    }
    if (scene::holdsSplats(file))
        return splatInfo(session, file, scene::openSplats(file).splats);
    const auto read = scene::readCloud(file, session.stopToken());
    if (session.json)
        session.print(infoJson(file, read));
    else
        printInfo(file, read);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneInfo(CLI::App& app)
{
    auto file = std::make_shared<std::string>();
    app.add_option("file", *file, "PLY, PCD, LAS, XYZ, CSV or OBJ; Gaussians: a PLY, run:ID[@STEP] or synthetic:room.")->required();
    return [file](Session& session) { return info(session, *file); };
}

}  // namespace orrery::cli
