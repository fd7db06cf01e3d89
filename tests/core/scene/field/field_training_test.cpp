// Fields go through the ordinary training: they learn a scene, resume to the last bit, and say what is wrong.
#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <QtTest>

#include <cmath>
#include <map>

#include <core/base/files.h>
#include <core/io/image.h>
#include <core/scene/camera/vector.h>
#include <core/scene/field/marching_cubes.h>
#include <core/scene/field/surface.h>
#include <core/scene/field/synthesis.h>
#include <core/scene/field/views.h>
#include <core/zoo/zoo.h>

#include "../../message_of.h"
#include "../../train/training_fixture.h"

using namespace orrery;
using core::Json;
using test::MemorySink;

namespace {

/// A small field on small pictures of the built-in scene.
Json smallField(const std::string& folder, const std::string& model)
{
    return {{"name", "field"},
            {"seed", 3},
            {"model", model},
            {"data", {{"id", "rays"}, {"path", folder}}},
            {"train",
             {{"steps", 12},
              {"batch_size", 256},
              {"loss", "photometric"},
              {"metrics", {"loss", "psnr"}},
              {"optimizer", {{"id", "adam"}, {"lr", 0.01}}},
              {"evaluate_every", 4},
              {"evaluate_samples", 200},
              {"checkpoint", {{"every", 4}}},
              {"threads", 1}}}};
}

const std::string kHash = "zoo:hash_field?levels=6&log2_entries=12&finest_resolution=64&width=16&occupancy_resolution=16&steps=64";
const std::string kKilo = "zoo:kilo_nerf?grid=3&width=16&occupancy_resolution=16&steps=64";
const std::string kNerf = "zoo:nerf?depth=4&width=32&frequencies=6&samples=16&importance_samples=16";

std::pair<train::TrainResult, MemorySink> trained(const train::Experiment& experiment)
{
    std::pair<train::TrainResult, MemorySink> out;
    jobs::DirectContext context({}, 1);
    out.first = train::trainExperiment(experiment, context, out.second);
    return out;
}

void verifyEqual(const graph::Weights& a, const graph::Weights& b)
{
    QCOMPARE(a.tensors().size(), b.tensors().size());
    for (const auto& [name, tensor] : a.tensors())
        QVERIFY2(at::equal(tensor, b.at(name)), name.c_str());
}

}  // namespace

class FieldTrainingTest : public QObject {
    Q_OBJECT

    QTemporaryDir m_folder;
    std::string folder() const { return m_folder.path().toStdString(); }

private Q_SLOTS:
    void initTestCase()
    {
        scene::SynthesisOptions options;
        options.train = 12;
        options.val = 2;
        options.test = 2;
        options.width = options.height = 32;
        jobs::DirectContext context;
        scene::synthesize(
            folder(), scene::shapesBox(), [](const scene::Camera& camera) { return scene::renderShapes(camera, 2); }, options, context);
    }

    void synthesisIsExactAndRepeatable()
    {
        const auto set = scene::readPosedImages(folder());
        QCOMPARE(set.views.size(), std::size_t(16));
        // Each depth is that of the surface: the point at that depth on the pixel's ray lies on it.
        const auto& camera = set.views[3].camera;
        const auto view = scene::renderShapes(camera, 1);
        int hits = 0;
        for (int y = 0; y < 32; y += 3)
            for (int x = 0; x < 32; x += 3) {
                const float depth = view.depth[std::size_t(y * 32 + x)];
                if (!std::isfinite(depth))
                    continue;
                ++hits;
                const auto ray = scene::rayThrough(camera, x + 0.5, y + 0.5);
                const auto surface = scene::shapesSurface(ray);
                QVERIFY(surface.has_value());
                const auto seen = scene::project(camera, scene::operator+(ray.origin, scene::operator*(surface->distance, ray.direction)));
                QVERIFY(std::abs(seen[0] - x - 0.5) < 1e-6 && std::abs(seen[2] - double(depth)) < 1e-5);
            }
        QVERIFY(hits > 10);
        QTemporaryDir again;
        scene::SynthesisOptions options;
        options.train = 12, options.val = 2, options.test = 2, options.width = options.height = 32;
        jobs::DirectContext context;
        scene::synthesize(
            again.path().toStdString(), scene::shapesBox(), [](const scene::Camera& c) { return scene::renderShapes(c, 2); }, options, context);
        for (const char* file : {"transforms.json", "images/train_003.png", "depth/test_001.npy"})
            QVERIFY(core::readFile(again.path().toStdString() + "/" + file) == core::readFile(folder() + "/" + file));
    }

    void resumesToTheLastBit_data()
    {
        QTest::addColumn<QString>("model");
        QTest::newRow("hash grid") << QString::fromStdString(kHash);
        QTest::newRow("frequencies") << QString::fromStdString(kNerf);
        QTest::newRow("grid of networks") << QString::fromStdString(kKilo);
    }
    void resumesToTheLastBit()
    {
        QFETCH(QString, model);
        const auto experiment = train::resolveExperiment(smallField(folder(), model.toStdString()));
        const auto [whole, sink] = trained(experiment);
        QVERIFY(sink.metrics.contains("train/psnr") && sink.metrics.contains("val/psnr") && sink.metrics.contains("test/psnr"));
        // Killed after some calls, then resumed from the stored checkpoint.
        MemorySink pieces;
        train::TrainResult result;
        for (const std::int64_t kill : {40, -1}) {
            jobs::DirectContext context({}, 1);
            train::TrainOptions options;
            options.resume = pieces.checkpoint();
            QVERIFY(kill > 0 || (options.resume && options.resume->step > 0));
            pieces.dropAfter(options.resume ? options.resume->step : 0);
            pieces.calls = 0;
            pieces.killAtCall = kill;
            try {
                result = train::trainExperiment(experiment, context, pieces, options);
            } catch (const MemorySink::Killed&) {
            }
        }
        verifyEqual(result.model.weights, whole.model.weights);
        QVERIFY(pieces.metrics == sink.metrics);
    }

    void evaluationLeavesTheOccupancyAlone()
    {
        const auto experiment = train::resolveExperiment(smallField(folder(), kHash));
        const auto [result, sink] = trained(experiment);
        const at::Tensor grid = result.model.weights.at("occupancy"), start = zoo::openZoo(kHash, 3).weights.at("occupancy");
        QVERIFY(!at::equal(grid, start));  // training changes it
        const graph::Executor executor(result.model.graph);
        graph::RunRequest request;
        request.inputs.emplace_back(at::zeros({3, 6}));
        QVERIFY(executor.run(result.model.weights, request).bufferUpdates.empty());
        request.training = true;
        QVERIFY(executor.run(result.model.weights, request).bufferUpdates.contains("occupancy"));
    }

    void learnsTheScene()
    {
        Json document = smallField(folder(), kHash);
        document["train"]["steps"] = 400;
        document["train"]["evaluate_every"] = 400;
        document["train"]["batch_size"] = 1024;
        document["train"]["threads"] = 0;
        const auto [result, sink] = trained(train::resolveExperiment(document));
        QVERIFY2(result.metrics.at("test/psnr") > 20, qPrintable(QString::number(result.metrics.at("test/psnr"))));
        // The same picture by picture, through the saved card.
        const scene::FieldView field(result.model);
        const auto set = scene::readPosedImages(folder());
        double error = 0;
        for (const auto& view : set.views) {
            if (view.part != scene::Part::Test)
                continue;
            const auto picture = field.render(view.camera);
            const io::Image image = io::readImage(set.folder / view.camera.image);
            const at::Tensor pixels = at::from_blob(const_cast<std::uint8_t*>(image.pixels.data()), {32, 32, 4}, at::kByte).to(at::kDouble) / 255;
            const at::Tensor alpha = pixels.slice(2, 3, 4), truth = alpha * pixels.slice(2, 0, 3) + (1 - alpha);
            error += (picture.colour.to(at::kDouble) - truth).square().mean().item<double>() / 2;
            QVERIFY(picture.opacity.max().item<double>() <= 1 + 1e-6);
        }
        QVERIFY(std::abs(-10 * std::log10(error) - result.metrics.at("test/psnr")) < 0.1);
        // Its densities are those of the renderer: dense somewhere, and a surface comes out.
        scene::SurfaceOptions surface;
        surface.resolution = 24;
        surface.density = 5;
        const auto mesh = scene::fieldSurface(field, surface);
        QVERIFY(mesh.triangleCount() > 100 && mesh.points.hasColours() && mesh.points.hasNormals());
        surface.density = 1e9;
        QVERIFY(messageOf([&] { scene::fieldSurface(field, surface); }).find("its highest density is") != std::string::npos);
    }

    void marchedSpheresAreClosedAndOfTheRightSize()
    {
        constexpr int kEdge = 40;
        std::vector<float> values;
        for (int x = 0; x < kEdge; ++x)
            for (int y = 0; y < kEdge; ++y)
                for (int z = 0; z < kEdge; ++z)
                    values.push_back(
                        float(0.7 - std::sqrt(std::pow(x * 0.05 - 0.975, 2) + std::pow(y * 0.05 - 0.975, 2) + std::pow(z * 0.05 - 0.975, 2))));
        const auto mesh = scene::marchingCubes(values, kEdge, 0, {-0.975, -0.975, -0.975}, 0.05);
        std::map<std::pair<std::uint32_t, std::uint32_t>, int> edges;
        double volume = 0, area = 0;
        for (std::size_t t = 0; t < mesh.triangles.size(); t += 3) {
            scene::Vector3 p[3];
            for (std::size_t k = 0; k < 3; ++k) {
                for (std::size_t a = 0; a < 3; ++a)
                    p[k][a] = mesh.points.positions[3 * mesh.triangles[t + k] + a];
                ++edges[{mesh.triangles[t + k], mesh.triangles[t + (k + 1) % 3]}];
            }
            const auto normal = scene::cross(scene::operator-(p[1], p[0]), scene::operator-(p[2], p[0]));
            area += 0.5 * scene::length(normal);
            volume += scene::dot(p[0], normal) / 6;
        }
        // Each edge once in each direction: closed and oriented alike; Euler's characteristic of a sphere.
        for (const auto& [edge, count] : edges)
            QVERIFY(count == 1 && edges.contains({edge.second, edge.first}));
        QCOMPARE(std::int64_t(mesh.points.size()) - std::int64_t(edges.size() / 2) + std::int64_t(mesh.triangleCount()), std::int64_t(2));
        QVERIFY2(std::abs(volume - 4.0 / 3 * M_PI * 0.343) < 0.01, qPrintable(QString::number(volume)));
        QVERIFY(std::abs(area - 4 * M_PI * 0.49) < 0.05);
    }

    void marchedNoiseHasNoCracks()
    {
        constexpr int kEdge = 12;
        const at::Tensor noise = at::rand({kEdge, kEdge, kEdge}, at::detail::createCPUGenerator(5));
        at::Tensor padded = at::zeros({kEdge + 2, kEdge + 2, kEdge + 2});
        padded.slice(0, 1, kEdge + 1).slice(1, 1, kEdge + 1).slice(2, 1, kEdge + 1).copy_(noise);
        const auto mesh = scene::marchingCubes({padded.data_ptr<float>(), std::size_t(padded.numel())}, kEdge + 2, 0.5f, {0, 0, 0}, 1);
        std::map<std::pair<std::uint32_t, std::uint32_t>, int> edges;
        for (std::size_t t = 0; t < mesh.triangles.size(); t += 3)
            for (std::size_t k = 0; k < 3; ++k)
                ++edges[{mesh.triangles[t + k], mesh.triangles[t + (k + 1) % 3]}];
        QVERIFY(edges.size() > 1000);
        for (const auto& [edge, count] : edges) {
            const auto back = edges.find({edge.second, edge.first});
            QVERIFY(back != edges.end() && back->second == count);
        }
    }

    void saysWhatIsWrong()
    {
        const auto resolved = [&](const std::vector<std::string>& changes) {
            Json document = smallField(folder(), kHash);
            for (const auto& change : changes)
                core::setByPath(document, change);
            return messageOf([&] { train::resolveExperiment(document); });
        };
        QVERIFY(resolved({"data.path=/nowhere"}).find("found nothing") != std::string::npos);
        QVERIFY(resolved({"data.box=[0,0,0,0,1,1]"}).find("data.box: expected") != std::string::npos);
        QVERIFY(resolved({"data.background=[1,1]"}).find("data.background: expected 3") != std::string::npos);
        QVERIFY(messageOf([&] { zoo::openZoo("zoo:hash_field?base_resolution=64&finest_resolution=32", 0); }).find("finest_resolution: expected") ==
                0);
        QVERIFY(messageOf([&] { zoo::openZoo("zoo:nerf?background=[1,1]", 0); }).find("background: expected 3") == 0);
        // Not a field; a field without a place.
        QVERIFY(messageOf([&] { scene::FieldView(zoo::openZoo("zoo:mlp", 0)); }).find("expected a radiance field") == 0);
        QVERIFY(messageOf([&] { scene::FieldView(zoo::openZoo(kHash, 0)); }).find("with the place of its scene") != std::string::npos);
        // Rows of another width.
        QVERIFY(messageOf([&] {
                    graph::Executor(zoo::openZoo(kHash, 0).graph).forward(zoo::openZoo(kHash, 0).weights, {at::zeros({4, 5})});
                }).find("expected float32 [-1, 6]") != std::string::npos);
    }

    void namesThePictureWhoseSizeIsWrong()
    {
        QTemporaryDir copy;
        std::filesystem::copy(folder(), copy.path().toStdString(),
                              std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
        io::writePng(copy.path().toStdString() + "/images/train_002.png", {8, 8, 3, std::vector<std::uint8_t>(192)});
        const auto message = messageOf([&] { train::resolveExperiment(smallField(copy.path().toStdString(), kHash)); });
        QVERIFY2(message.find("images/train_002.png: expected a picture of 32 x 32 pixels") != std::string::npos, message.c_str());
    }

    void stopsInMidWorkAndLeavesNoDocument()
    {
        QTemporaryDir target;
        std::stop_source stop;
        jobs::DirectContext context(stop.get_token());
        int views = 0;
        scene::SynthesisOptions options;
        options.width = options.height = 8;
        const auto render = [&](const scene::Camera& camera) {
            if (++views == 3)
                stop.request_stop();
            return scene::renderShapes(camera, 1);
        };
        bool cancelled = false;
        try {
            scene::synthesize(target.path().toStdString(), scene::shapesBox(), render, options, context);
        } catch (const core::Cancelled&) {
            cancelled = true;
        }
        QVERIFY(cancelled);
        QVERIFY(!std::filesystem::exists(target.path().toStdString() + "/transforms.json"));
    }
};

QTEST_APPLESS_MAIN(FieldTrainingTest)
#include "field_training_test.moc"
