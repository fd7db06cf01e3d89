// Gaussians go through the ordinary training: they learn a scene, resume to the last bit, are opened like any run, and say what is wrong.
#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <QTest>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include <core/base/files.h>
#include <core/data/views.h>
#include <core/io/image.h>
#include <core/scene/camera/camera_row.h>
#include <core/scene/field/synthesis.h>
#include <core/scene/splat/photometric.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/splat_ply.h>
#include <core/train/runs.h>
#include <core/train/splat_learner.h>
#include <core/zoo/zoo.h>

#include "../../train/training_fixture.h"
#include "scenes.h"

using namespace orrery;
using core::Json;
using test::MemorySink;

namespace {

/// Few Gaussians on small pictures of the built-in scene; Gaussians are added and removed between checkpoints.
Json smallSplats(const std::string& folder)
{
    return {{"name", "splats"},
            {"seed", 3},
            {"model", {{"id", "splats"}, {"gaussians", 400}, {"degree", 1}}},
            {"data", {{"id", "views"}, {"path", folder}}},
            {"train",
             {{"steps", 30},
              {"optimizer", {{"id", "splat_adam"}, {"degree_every", 10}, {"densify_from", 4}, {"densify_every", 5}, {"opacity_reset_every", 14}}},
              {"evaluate_every", 10},
              {"checkpoint", {{"every", 4}}},
              {"threads", 1}}}};
}

struct Trained {
    train::TrainResult result;
    MemorySink sink;
};

Trained trained(const train::Experiment& experiment)
{
    Trained out;
    jobs::DirectContext context({}, 2);
    out.result = train::trainExperiment(experiment, context, out.sink);
    return out;
}

at::Tensor rowOf(const scene::Camera& camera)
{
    const auto numbers = scene::cameraRow(camera);
    at::Tensor row = at::empty({1, scene::kCameraNumbers});
    std::copy(numbers.begin(), numbers.end(), row.data_ptr<float>());
    return row;
}

void synthesize(const QTemporaryDir& folder, int views, int side)
{
    scene::SynthesisOptions options;
    options.train = views;
    options.val = 2;
    options.test = 2;
    options.width = options.height = side;
    jobs::DirectContext context;
    scene::synthesize(
        folder.path().toStdString(), scene::shapesBox(), [](const scene::Camera& camera) { return scene::renderShapes(camera, 2); }, options,
        context);
}

/// The numbers of a picture's arrays, the largest difference.
double distance(const at::Tensor& tensor, const std::vector<float>& values)
{
    if (tensor.numel() != std::int64_t(values.size()))
        return INFINITY;
    const at::Tensor flat = tensor.detach().contiguous().view(-1);
    double most = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
        most = std::max(most, std::abs(double(flat.data_ptr<float>()[i]) - double(values[i])));
    return most;
}

}  // namespace

class SplatTrainingTest : public QObject {
    Q_OBJECT

    QTemporaryDir m_folder;
    std::string folder() const { return m_folder.path().toStdString(); }
    train::Experiment resolved(const std::vector<std::string>& changes = {}) const
    {
        Json document = smallSplats(folder());
        for (const auto& change : changes)
            core::setByPath(document, change);
        return train::resolveExperiment(document);
    }

private Q_SLOTS:
    void initTestCase() { synthesize(m_folder, 12, 32); }

    void theOperatorDrawsWhatTheRasteriserDraws()
    {
        const auto splats = test::randomSplats(60, 2, 7);
        const auto weights = scene::weightsOf(splats);
        scene::Camera cameras[] = {test::cameraAlongX(40, 30), test::cameraAlongX(40, 30)};
        cameras[1].focalX *= 1.5;
        const at::Tensor rows = at::cat({rowOf(cameras[0]), rowOf(cameras[1])});
        const auto drawn = scene::renderSplats(rows, weights.at("means"), weights.at("scales"), weights.at("rotations"), weights.at("opacities"),
                                               weights.at("harmonics"), {0.2, 0.4, 0.6}, true);
        QCOMPARE(drawn.colour.sizes().vec(), (std::vector<std::int64_t>{2, 30, 40, 3}));
        scene::SplatRasterizer rasterizer;
        scene::SplatRenderOptions options;
        options.background = {0.2f, 0.4f, 0.6f};
        options.antialias = true;
        for (std::int64_t i = 0; i < 2; ++i) {
            const auto& image = rasterizer.render(splats.view(), scene::cameraOfRow(rows[i].data_ptr<float>()), options);
            QCOMPARE(distance(drawn.colour[i], image.rgb), 0.0);
            QCOMPARE(distance(drawn.alpha[i], image.alpha), 0.0);
            QCOMPARE(distance(drawn.depth[i], image.depth), 0.0);
        }
        const auto back = scene::splatsOf(weights);
        QVERIFY(back.means == splats.means && back.rotations == splats.rotations && back.harmonics == splats.harmonics && back.degree == 2);
    }

    void gradientsThroughTheGraphAreThoseOfTheRasteriser()
    {
        const auto splats = test::randomSplats(40, 1, 9);
        auto weights = scene::weightsOf(splats);
        std::vector<at::Tensor> leaves;
        for (const char* name : {"means", "scales", "rotations", "opacities", "harmonics"}) {
            weights.set(name, weights.at(name).clone().requires_grad_(true));
            leaves.push_back(weights.at(name));
        }
        const auto camera = scene::cameraOfRow(rowOf(test::cameraAlongX(36, 28)).data_ptr<float>());
        const at::Tensor rows = rowOf(camera).repeat({2, 1});
        const auto drawn = scene::renderSplats(rows, leaves[0], leaves[1], leaves[2], leaves[3], leaves[4], {0, 0, 0}, false);
        const auto generator = at::detail::createCPUGenerator(4);
        const at::Tensor pull = at::rand(drawn.colour.sizes(), generator), pullDepth = at::rand(drawn.depth.sizes(), generator);
        const auto found = torch::autograd::grad({(drawn.colour * pull).sum() + (drawn.depth * pullDepth).sum()}, leaves);
        scene::SplatRasterizer rasterizer;
        std::vector<std::vector<float>> expected(5);
        for (std::int64_t i = 0; i < 2; ++i) {
            rasterizer.render(splats.view(), camera, {});
            scene::SplatImageGradient gradient;
            gradient.rgb.assign(pull[i].data_ptr<float>(), pull[i].data_ptr<float>() + pull[i].numel());
            gradient.depth.assign(pullDepth[i].data_ptr<float>(), pullDepth[i].data_ptr<float>() + pullDepth[i].numel());
            auto one = rasterizer.backward(splats.view(), gradient);
            std::vector<float>* parts[] = {&one.means, &one.scales, &one.rotations, &one.opacities, &one.harmonics};
            for (std::size_t k = 0; k < 5; ++k) {
                expected[k].resize(parts[k]->size());
                for (std::size_t j = 0; j < parts[k]->size(); ++j)
                    expected[k][j] += (*parts[k])[j];
            }
        }
        for (std::size_t k = 0; k < 5; ++k) {
            QCOMPARE(distance(found[k], expected[k]), 0.0);
            QVERIFY(found[k].abs().max().item<double>() > 1e-3);
        }
    }

    void thePictureLossIsThatOfTheTrainerWithItsGradient()
    {
        const auto generator = at::detail::createCPUGenerator(2);
        at::Tensor picture = at::rand({1, 17, 23, 3}, generator);
        const at::Tensor target = at::rand({1, 17, 23, 3}, generator);
        const auto values = [](const at::Tensor& t) { return std::vector<float>(t.data_ptr<float>(), t.data_ptr<float>() + t.numel()); };
        for (const double weight : {0.0, 0.2, 1.0}) {
            const auto expected = scene::photometricLoss(values(picture), values(target), 23, 17, weight);
            const auto loss = train::makeLoss(Json{{"id", "l1_ssim"}, {"ssim_weight", weight}});
            at::Tensor leaf = picture.clone().requires_grad_(true);
            const at::Tensor mean = loss.mean(leaf, target);
            QVERIFY2(std::abs(mean.item<double>() - expected.loss) < 1e-5, qPrintable(QString::number(weight)));
            QVERIFY(distance(torch::autograd::grad({mean}, {leaf})[0], expected.gradient) < 1e-6);
        }
        QVERIFY(test::errorOf([] { train::makeLoss("l1_ssim").mean(at::zeros({2, 3}), at::zeros({2, 3})); }).contains("[batch, height, width, 3]"));
    }

    void aViewIsItsCameraAndItsPicture()
    {
        const auto data = data::openData({{"id", "views"}, {"path", folder()}, {"background", {0.0, 0.5, 1.0}}});
        QCOMPARE(data->size(), std::int64_t(16));
        QCOMPARE(data->split(data::Split::Train).size(), std::size_t(12));
        const auto set = scene::readPosedImages(folder());
        const std::int64_t index = data->split(data::Split::Test)[1];
        const auto batch = data->fetch({&index, 1});
        const auto& camera = set.views[std::size_t(index)].camera;
        QVERIFY(at::equal(batch.inputs[0], rowOf(camera)));
        const auto image = scene::renderShapes(camera, 2).image;
        std::vector<float> expected;
        const double background[] = {0, 0.5, 1};
        for (std::size_t i = 0; i < image.pixels.size(); i += 4)
            for (std::size_t c = 0; c < 3; ++c) {
                const double alpha = image.pixels[i + 3] / 255.0;
                expected.push_back(float(alpha * image.pixels[i + c] / 255.0 + (1 - alpha) * background[c]));
            }
        QVERIFY(distance(batch.targets, expected) < 0.5 / 255 + 1e-6);  // stored as bytes
        QCOMPARE(data->targetText(index), std::string("[32, 32, 3]"));
        QVERIFY(test::errorOf([&] { data::openData({{"id", "views"}, {"path", folder() + "/none"}}); }).contains("none"));
    }

    void picturesOfADistortingLensAreStraightened()
    {
        // The built-in scene as such a lens sees it, and as a pinhole in the same place does.
        QTemporaryDir bent;
        scene::PosedSet set;
        std::vector<io::Image> straight;
        for (auto camera : scene::camerasAround(scene::shapesBox(), 4, 96, 96, 0.1, 0.6)) {
            straight.push_back(scene::renderShapes(camera, 3).image);
            camera.distortion.k1 = -0.3;
            camera.distortion.k2 = 0.05;
            camera.distortion.p1 = 0.003;
            scene::PosedView view;
            view.camera = camera;
            view.camera.image = fmt::format("{}.png", straight.size());
            io::writePng(bent.path().toStdString() + "/" + view.camera.image, scene::renderShapes(camera, 3).image);
            set.views.push_back(view);
        }
        core::writeFileAtomically(bent.path().toStdString() + "/transforms.json", scene::transformsDocument(set).dump());
        const auto data = data::openData({{"id", "views"}, {"path", bent.path().toStdString()}, {"holdout", 3}});
        for (std::int64_t i = 0; i < 4; ++i) {
            const auto batch = data->fetch({&i, 1});
            const auto camera = scene::cameraOfRow(batch.inputs[0].data_ptr<float>());
            QVERIFY(camera.distortion.isZero());
            double error = 0, unmended = 0;
            const auto crooked = io::readImage(bent.path().toStdString() + fmt::format("/{}.png", i + 1));
            for (std::size_t p = 0; p < 96 * 96; ++p)
                for (std::size_t c = 0; c < 3; ++c) {
                    const auto on = [&](const io::Image& image) {
                        const double alpha = image.pixels[4 * p + 3] / 255.0;
                        return alpha * image.pixels[4 * p + c] / 255.0 + 1 - alpha;
                    };
                    error += std::pow(on(straight[std::size_t(i)]) - double(batch.targets.data_ptr<float>()[3 * p + c]), 2) / (3 * 96 * 96);
                    unmended += std::pow(on(straight[std::size_t(i)]) - on(crooked), 2) / (3 * 96 * 96);
                }
            // What is left is the blur between four pixels at edges, which does not grow with the distortion.
            QVERIFY2(-10 * std::log10(error) > 28 && error < unmended / 5, qPrintable(QString("%1 %2").arg(error).arg(unmended)));
        }
    }

    void killedAndResumedEndsWithTheSameBits()
    {
        const auto experiment = resolved();
        const auto whole = trained(experiment);
        for (const char* name : {"train/loss", "train/psnr", "train/gaussians", "val/loss", "val/psnr", "test/psnr"})
            QVERIFY2(whole.sink.metrics.contains(name), name);
        const auto& counts = whole.sink.metrics.at("train/gaussians");
        QVERIFY(counts.back().value != 400);
        Trained pieces;
        for (const std::int64_t kill : {40, 37, -1}) {
            jobs::DirectContext context({}, 1);
            train::TrainOptions options;
            options.resume = pieces.sink.checkpoint();
            pieces.sink.dropAfter(options.resume ? options.resume->step : 0);
            pieces.sink.calls = 0;
            pieces.sink.killAtCall = kill;
            try {
                pieces.result = train::trainExperiment(experiment, context, pieces.sink, options);
            } catch (const MemorySink::Killed&) {
                QVERIFY(kill > 0);
            }
        }
        QVERIFY(test::sameWeights(pieces.result.model.weights, whole.result.model.weights));
        QVERIFY(pieces.sink.metrics == whole.sink.metrics);
        QVERIFY(pieces.sink.artifacts == whole.sink.artifacts);
        // The final Gaussians are those of the model, as a file that other programs read.
        const auto file = scene::parseSplatPly(whole.sink.artifacts.at(train::kFinalSplats), "final");
        QVERIFY(file.splats.means == scene::splatsOf(whole.result.model.weights).means);
    }

    void itLearnsTheScene()
    {
        // A dozen views do not say what the others look like; sixty do.
        QTemporaryDir views;
        synthesize(views, 60, 40);
        auto document = smallSplats(views.path().toStdString());
        document["model"]["gaussians"] = 3000;
        document["train"] = {{"steps", 1200},
                             {"evaluate_every", 600},
                             {"optimizer",
                              {{"id", "splat_adam"},
                               {"lr", 8e-4},
                               {"colours_lr", 5e-3},
                               {"degree_every", 300},
                               {"densify_from", 100},
                               {"densify_until", 900},
                               {"densify_gradient", 4e-4},
                               {"opacity_reset_every", nullptr}}}};
        const auto experiment = train::resolveExperiment(document);
        const auto [result, sink] = trained(experiment);
        const double start = sink.metrics.at("train/psnr").front().value;
        qInfo("PSNR %.2f dB at the first step; held-out views at the end %.2f dB with %.0f Gaussians", start, result.metrics.at("test/psnr"),
              result.metrics.at("train/gaussians"));
        QVERIFY(start < 15);
        QVERIFY(result.metrics.at("test/psnr") > 25);
        // The model as it is kept gives that number on its own.
        const auto found = train::evaluateModel(result.model, *experiment.data, data::Split::Test, nullptr, [] {
            train::EvaluateOptions options;
            options.batchSize = 1;
            return options;
        }());
        QVERIFY(std::abs(found.value("psnr") - result.metrics.at("test/psnr")) < 1e-9);
    }

    void aRunIsStoppedResumedAndOpened()
    {
        QTemporaryDir store;
        const auto workspace = store::Workspace::open(store.path().toStdString());
        const auto run = train::createRun(*workspace, resolved({"train.checkpoint.keep=100", "train.checkpoint.use=last"}));
        {
            std::stop_source stop;
            jobs::DirectContext context(stop.get_token());
            context.onProgress = [&](const jobs::Progress& progress) {
                if (progress.done >= 13)
                    stop.request_stop();
            };
            QVERIFY_EXCEPTION_THROWN(train::trainRun(workspace, run, context), core::Cancelled);
            QCOMPARE(workspace->run(run).status, store::RunStatus::Cancelled);
        }
        jobs::DirectContext context;
        std::vector<std::size_t> live;
        context.onPartial = [&](std::shared_ptr<const void> partial) {
            const auto snapshot = std::static_pointer_cast<const train::Snapshot>(partial);
            live.push_back(scene::splatsOf(snapshot->weights).size());
            graph::checkWeights(*snapshot->graph, snapshot->weights);
        };
        train::TrainOptions often;
        often.snapshotSeconds = 0;
        const auto result = train::trainRun(workspace, run, context, often);
        QVERIFY(live.size() > 10);
        QVERIFY(test::sameWeights(result.model.weights, trained(resolved({"train.checkpoint.use=last"})).result.model.weights));
        // At each step that is kept, with as many Gaussians as there were.
        const auto early = train::modelOfRun(*workspace, run, 4), late = train::modelOfRun(*workspace, run);
        QCOMPARE(scene::splatsOf(early.weights).size(), std::size_t(400));
        QCOMPARE(double(scene::splatsOf(late.weights).size()), result.metrics.at("train/gaussians"));
        QVERIFY(scene::isSplatModel(late));
        const auto picture = graph::Executor(late.graph).forward(late.weights, {resolved().data->fetch(std::vector<std::int64_t>{0}).inputs[0]});
        QCOMPARE(picture.sizes().vec(), (std::vector<std::int64_t>{1, 32, 32, 3}));
        // Another training may begin with them.
        auto document = smallSplats(folder());
        document["model"] = fmt::format("run:{}", run);
        document["train"]["steps"] = 1;
        const auto next = train::createRun(*workspace, train::resolveExperiment(document));
        jobs::DirectContext again;
        const double psnr = train::trainRun(workspace, next, again).metrics.at("train/psnr");
        const double fresh = trained(resolved({"train.steps=1"})).result.metrics.at("train/psnr");
        QVERIFY2(psnr > fresh + 1, qPrintable(QString("%1 %2").arg(psnr).arg(fresh)));
    }

    void theyStartAtThePointsOfTheData()
    {
        QTemporaryDir colmap;
        const auto place = std::filesystem::path(colmap.path().toStdString());
        std::filesystem::create_directories(place / "sparse/0");
        std::filesystem::create_directories(place / "images");
        std::string images;
        for (int i = 0; i < 6; ++i) {
            const auto name = fmt::format("train_{:03}.png", i);
            std::filesystem::copy_file(folder() + "/images/" + name, place / "images" / name);
            images += fmt::format("{} 1 0 0 0 {} 0 4 1 {}\n\n", i + 1, i, name);
        }
        core::writeFileAtomically(place / "sparse/0/cameras.txt", "1 PINHOLE 32 32 30 30 16 16\n");
        core::writeFileAtomically(place / "sparse/0/images.txt", images);
        std::string points;
        for (int i = 0; i < 5; ++i)
            points += fmt::format("{} {} 0 0 {} 0 255 0.1\n", i + 1, 0.5 * i, 51 * i);
        core::writeFileAtomically(place / "sparse/0/points3D.txt", points);
        auto document = smallSplats(place.string());
        document["model"]["gaussians"] = 3;
        document["train"]["steps"] = 1;
        document["train"]["optimizer"] = {{"id", "splat_adam"}, {"lr", 1e-9}, {"scales_lr", 1e-9}, {"colours_lr", 1e-9}, {"lr_final", 1e-9}};
        const auto experiment = train::resolveExperiment(document);
        const auto& known = dynamic_cast<const data::ViewSet&>(*experiment.data).points();
        QCOMPARE(known.size(), std::size_t(5));
        const auto splats = scene::splatsOf(trained(experiment).result.model.weights);
        QCOMPARE(splats.size(), std::size_t(3));
        const std::size_t picked[] = {0, 1, 3};  // evenly
        for (std::size_t i = 0; i < 3; ++i) {
            for (std::size_t k = 0; k < 3; ++k)
                QVERIFY(std::abs(double(splats.means[3 * i + k]) - known[picked[i]].position[k]) < 1e-5);
            // Red rises by a fifth a point, blue is full: 0.5 + C0 * harmonic.
            const double red = 0.5 + 0.28209479 * double(splats.harmonics[12 * i]), blue = 0.5 + 0.28209479 * double(splats.harmonics[12 * i + 2]);
            QVERIFY(std::abs(red - 0.2 * double(picked[i])) < 1e-5 && std::abs(blue - 1) < 1e-5);
        }
        // The mean distance of the others: 0.5 and 1.5 from the first, 0.5 and 1 from the second.
        QVERIFY(std::abs(std::exp(double(splats.scales[0])) - 1) < 1e-5 && std::abs(std::exp(double(splats.scales[3])) - 0.75) < 1e-5);
    }

    void wrongDocumentsNameThePlace_data()
    {
        QTest::addColumn<QString>("change");
        QTest::addColumn<QString>("message");
        QTest::newRow("optimizer") << "train.optimizer=adamw"
                                   << "train.optimizer: expected splat_adam, since the model is splats, got adamw";
        QTest::newRow("other model") << "model=mlp"
                                     << "train.optimizer: expected an optimizer of tensors, since the model is mlp, got splat_adam";
        QTest::newRow("batch size") << "train.batch_size=8"
                                    << "train.batch_size: expected 1, since Gaussians are trained picture by picture";
        QTest::newRow("clipping") << "train.clip_norm=1"
                                  << "train.clip_norm: expected null";
        QTest::newRow("schedule") << "train.schedule=cosine"
                                  << "train.schedule: expected constant";
        QTest::newRow("loss") << "train.loss=mse"
                              << "train.loss: expected l1_ssim";
        QTest::newRow("rate") << "train.optimizer.scales_lr=-1"
                              << "train.optimizer.scales_lr: expected";
        QTest::newRow("unknown rate") << "train.optimizer.scale_lr=1"
                                      << "train.optimizer.scale_lr: unknown key; did you mean \"scales_lr\"?";
        QTest::newRow("no Gaussians") << "model.gaussians=0"
                                      << "model.gaussians: expected";
        QTest::newRow("rays") << "data.id=rays"
                              << "data: expected whole pictures with cameras (views), got rays";
    }
    void wrongDocumentsNameThePlace()
    {
        QFETCH(QString, change);
        QFETCH(QString, message);
        const auto said = test::errorOf([&] { resolved({change.toStdString()}); });
        QVERIFY2(said.contains(message), qPrintable(said));
    }

    void whatIsLeftOpenIsWhatTrainsGaussians()
    {
        const auto experiment = train::resolveExperiment({{"model", "splats"}, {"data", {{"id", "views"}, {"path", folder()}}}});
        const Json& train = experiment.document["train"];
        QCOMPARE(train["optimizer"]["id"].get<std::string>(), std::string("splat_adam"));
        QCOMPARE(train["loss"]["id"].get<std::string>(), std::string("l1_ssim"));
        QCOMPARE(train["batch_size"].get<int>(), 1);
        QVERIFY(train::resolveExperiment(experiment.document).document == experiment.document);
        // The published settings.
        const auto settings = train::splatSettings(experiment.document, 7000);
        const scene::SplatTrainSettings published;
        QCOMPARE(settings.meansRate, published.meansRate);
        QCOMPARE(settings.meansRateSteps, std::int64_t(7000));
        QCOMPARE(settings.densifyGradient, published.densifyGradient);
        QCOMPARE(settings.opacityResetEvery, published.opacityResetEvery);
        QCOMPARE(settings.ssimWeight, 0.2);
    }

    void picturesThatAreMissingEmptyOrOfAnotherSizeAreNamed()
    {
        QTemporaryDir broken;
        const auto place = std::filesystem::path(broken.path().toStdString()) / "set";
        const auto fresh = [&] {
            std::filesystem::remove_all(place);
            std::filesystem::copy(folder(), place, std::filesystem::copy_options::recursive);
            return place / "images/train_005.png";
        };
        const auto said = [&] { return test::errorOf([&] { data::openData({{"id", "views"}, {"path", place.string()}}); }); };
        std::filesystem::remove(fresh());
        QVERIFY2(said().contains("train_005.png"), qPrintable(said()));
        core::writeFileAtomically(fresh(), "");
        QVERIFY2(said().contains("train_005.png"), qPrintable(said()));
        io::writePng(fresh(), {31, 32, 3, std::vector<std::uint8_t>(31 * 32 * 3)});
        QVERIFY2(said().contains("train_005.png: expected a picture of 32 x 32 pixels"), qPrintable(said()));
        fresh();
        QCOMPARE(said(), QString("no error"));
    }

    void aDamagedCheckpointIsRefused()
    {
        const auto experiment = resolved({"train.steps=4"});
        auto [result, sink] = trained(experiment);
        auto checkpoint = *sink.checkpoint();
        checkpoint.optimizer["splat_trainer"] = checkpoint.optimizer["splat_trainer"].slice(0, 0, 100).clone();
        jobs::DirectContext context;
        train::TrainOptions options;
        options.resume = checkpoint;
        const auto cut = test::errorOf([&] { train::trainExperiment(experiment, context, sink, options); });
        QVERIFY2(cut.contains("saved training of splats: expected 400 Gaussians"), qPrintable(cut));
        checkpoint.optimizer.clear();
        options.resume = checkpoint;
        QVERIFY(test::errorOf([&] { train::trainExperiment(experiment, context, sink, options); }).contains("found none"));
    }
};

QTEST_APPLESS_MAIN(SplatTrainingTest)
#include "splat_training_test.moc"
