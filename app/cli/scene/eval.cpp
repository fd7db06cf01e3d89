#include <ATen/ATen.h>

#include <iostream>

#include <core/base/files.h>
#include <core/io/image.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/field/synthesis.h>
#include <core/scene/field/views.h>

#include "../model_argument.h"
#include "model_pictures.h"
#include "scene.h"

namespace orrery::cli {
namespace {

struct SceneEvalOptions {
    ModelArgument model;
    std::string data, part = "test", out;
    std::vector<double> background{1, 1, 1};
};

/// The pictures of one part: those of files, or the built-in scene's.
scene::PosedSet chosenViews(const SceneEvalOptions& options, bool& made)
{
    made = options.data == scene::kShapesName;
    scene::PosedSet set = made ? scene::plannedViews(scene::shapesBox(), {}) : scene::readPosedImages(core::resolvePath(options.data));
    scene::assignParts(set);
    const auto part = options.part == "train" ? scene::Part::Train : options.part == "val" ? scene::Part::Val : scene::Part::Test;
    if (options.part != "all")
        std::erase_if(set.views, [&](const scene::PosedView& view) { return view.part != part; });
    if (set.views.empty())
        throw core::InputError(fmt::format("{}: expected views in the part \"{}\", found none", options.data, options.part));
    return set;
}

at::Tensor truthOf(const io::Image& image, const std::vector<double>& background)
{
    const at::Tensor pixels =
        at::from_blob(const_cast<std::uint8_t*>(image.pixels.data()), {image.height, image.width, image.channels}, at::kByte).to(at::kDouble) / 255;
    if (image.channels == 1)
        return pixels.expand({-1, -1, 3});
    const at::Tensor colour = pixels.slice(2, 0, 3);
    if (image.channels == 3)
        return colour;
    const at::Tensor alpha = pixels.slice(2, 3, 4);
    return alpha * colour + (1 - alpha) * at::tensor(background, at::kDouble);
}

void writePicture(const std::filesystem::path& file, const at::Tensor& colour)
{
    const at::Tensor bytes = (colour * 255).round().clamp(0, 255).to(at::kByte).contiguous();
    const auto* const data = bytes.data_ptr<std::uint8_t>();
    io::writePng(file, {int(colour.size(1)), int(colour.size(0)), 3, std::vector<std::uint8_t>(data, data + bytes.numel())});
}

Exit evaluate(Session& session, const SceneEvalOptions& options)
{
    if (options.background.size() != 3)
        throw core::InputError("--background: expected r,g,b from 0 to 1");
    const auto draw = modelPictures(options.model.open(session), session.stopToken(), session.threads);
    bool made = false;
    const auto set = chosenViews(options, made);
    if (!options.out.empty())
        std::filesystem::create_directories(options.out);
    core::Json views = core::Json::array();
    double psnr = 0, ssim = 0;
    for (std::size_t i = 0; i < set.views.size(); ++i) {
        const auto& camera = set.views[i].camera;
        const io::Image image = made ? scene::renderShapes(camera).image : io::readImage(set.folder / camera.image);
        const at::Tensor truth = truthOf(image, options.background);
        const auto picture = draw(camera);
        const double p = scene::psnr(picture.colour, truth), s = scene::ssim(picture.colour, truth);
        psnr += p / double(set.views.size());
        ssim += s / double(set.views.size());
        views.push_back({{"image", camera.image}, {"psnr", p}, {"ssim", s}});
        if (!options.out.empty())
            writePicture(std::filesystem::path(options.out) / (std::filesystem::path(camera.image).stem().string() + ".png"), picture.colour);
        session.showProgress(double(i + 1), double(set.views.size()), "views", "rendering");
    }
    session.endProgress();
    if (session.json) {
        session.print(
            {{"model", options.model.text}, {"data", options.data}, {"part", options.part}, {"psnr", psnr}, {"ssim", ssim}, {"views", views}});
        return Exit::Done;
    }
    for (const auto& view : views)
        std::cout << fmt::format("{:<32} PSNR {:6.2f} dB   SSIM {:.4f}\n", view["image"].get<std::string>(), view["psnr"].get<double>(),
                                 view["ssim"].get<double>());
    std::cout << fmt::format("{:<32} PSNR {:6.2f} dB   SSIM {:.4f}\n", fmt::format("mean of {} views", views.size()), psnr, ssim);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneEval(CLI::App& app)
{
    auto options = std::make_shared<SceneEvalOptions>();
    options->model.declare(app);
    app.add_option("--data", options->data, "Posed images: transforms.json, a folder, or synthetic:shapes.")->required();
    app.add_option("--part", options->part, "train, val, test or all.")->check(CLI::IsMember({"train", "val", "test", "all"}));
    app.add_option("--background", options->background, "Colour behind transparent pictures: r,g,b.")->delimiter(',');
    app.add_option("--out", options->out, "Write the rendered pictures into this folder.");
    return [options](Session& session) { return evaluate(session, *options); };
}

}  // namespace orrery::cli
