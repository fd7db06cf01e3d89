// Distillation of analytic fields: the student shows what its teacher shows, and skips what is empty.
#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <QtTest>

#include <cmath>

#include <core/base/error.h>
#include <core/models/model_file.h>
#include <core/scene/distill/stored.h>
#include <core/scene/distill/teacher.h>
#include <core/scene/field/synthesis.h>
#include <core/zoo/ray_fields.h>
#include <core/zoo/zoo.h>

#include "../../message_of.h"

using namespace orrery;
using namespace orrery::scene;
using core::Json;

namespace {

constexpr double kRadius = 0.3;

/// A ball with a soft edge whose colour follows the place, as a graph: density `dense` inside the radius, red `red` everywhere.
graph::Model ball(double dense = 80, double red = 0.8)
{
    zoo::Builder builder("ball");
    const zoo::Var rays = zoo::raysInput(builder);
    const Json sizes{{"occupancy_resolution", 4}, {"occupancy_decay", 0.7}, {"steps", 128}};
    zoo::OccupancyGrid occupancy(builder, sizes, rays);
    const zoo::Samples samples = occupancy.march();
    const zoo::Var radius = builder.op("aten::linalg_vector_norm", {samples.positions, 2, std::vector<std::int64_t>{1}, false});
    const zoo::Var inside = builder.op("aten::sigmoid", {builder.op("aten::mul.Scalar", {builder.op("aten::rsub.Scalar", {radius, kRadius}), 60.0})});
    const zoo::Var density = builder.op("aten::mul.Scalar", {inside, dense}, "density");
    const zoo::Var place = builder.op("aten::add.Scalar", {samples.positions, 0.5});
    const zoo::Var colour =
        builder.op("aten::clamp", {builder.op("aten::add.Scalar", {builder.op("aten::mul.Scalar", {place, 0.3}), red - 0.15}), 0.0, 1.0});
    graph::Model model = zoo::rendered(builder, density, colour, samples, {1.0, 0.5, 0.0});
    model.weights = graph::initialize(*model.graph, 0);
    // A cube of edge 4 around (1, 2, 3).
    model.card.inputs[0].preprocessing = {{"mean", {1, 2, 3, 0, 0, 0}}, {"std", {4, 4, 4, 4, 4, 4}}};
    return model;
}

/// Small enough for a test; grid 3 cells an edge.
Json small(const std::vector<std::string>& changes = {})
{
    Json parameters{{"grid", 3},        {"width", 16},          {"frequencies", 2},     {"steps", 96},  {"occupancy_resolution", 16},
                    {"points", 20'000}, {"distill_steps", 150}, {"batch_points", 2048}, {"rays", 4096}, {"refine_steps", 60},
                    {"batch_rays", 512}};
    for (const auto& change : changes)
        core::setByPath(parameters, change);
    return distillers().at("kilo_nerf_distillation").schema.resolve(parameters);
}

graph::Model distilled(const graph::Model& teacher, const Json& parameters, std::shared_ptr<const data::PosedPictures> pictures = {}, int threads = 2)
{
    jobs::DirectContext context({}, threads);
    return distillKiloNerf({teacher, parameters, 5, std::move(pictures)}, context);
}

FieldComparison compared(const graph::Model& teacher, const graph::Model& student, const data::PosedPictures* pictures = nullptr)
{
    jobs::DirectContext context({}, 2);
    return compareFields(FieldView(teacher), FieldView(student), pictures, 3, 48, context);
}

/// Pictures of a field from all around, three to train on and two to test.
std::shared_ptr<data::PosedPictures> picturesOfField(const graph::Model& model)
{
    auto out = std::make_shared<data::PosedPictures>();
    const FieldView field(model);
    for (const Camera& camera : camerasAround({-1, 0, 1, 3, 4, 5}, 5, 32, 32, -0.2, 0.8)) {
        const at::Tensor bytes = (field.render(camera).colour * 255).round().to(at::kByte).contiguous();
        out->cameras.push_back(camera);
        out->parts.push_back(out->parts.size() < 3 ? Part::Train : Part::Test);
        out->begins.push_back(out->begins.back() + 32 * 32);
        out->pixels.insert(out->pixels.end(), bytes.data_ptr<std::uint8_t>(), bytes.data_ptr<std::uint8_t>() + bytes.numel());
    }
    return out;
}

void verifyEqual(const graph::Weights& a, const graph::Weights& b)
{
    QCOMPARE(a.tensors().size(), b.tensors().size());
    for (const auto& [name, tensor] : a.tensors())
        QVERIFY2(at::equal(tensor, b.at(name)), name.c_str());
}

}  // namespace

class DistillTest : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void theOccupancyOfABallIsTheBall()
    {
        jobs::DirectContext context;
        constexpr std::int64_t kEdge = 20;
        const at::Tensor grid = measuredOccupancy(FieldView(ball(80)), kEdge, 2, 1, context);
        const auto densityAt = [](double r) { return 80 / (1 + std::exp((r - kRadius) * 60)); };
        for (std::int64_t x = 0; x < kEdge; ++x)
            for (std::int64_t y = 0; y < kEdge; ++y)
                for (std::int64_t z = 0; z < kEdge; ++z) {
                    const double measured = grid[x][y][z].item<double>();
                    const double middle =
                        std::sqrt(std::pow((x + 0.5) / kEdge - 0.5, 2) + std::pow((y + 0.5) / kEdge - 0.5, 2) + std::pow((z + 0.5) / kEdge - 0.5, 2));
                    const double half = 0.5 * std::sqrt(3.0) / kEdge;
                    QVERIFY(measured <= densityAt(middle - half) * (1 + 1e-4) && measured >= densityAt(middle + half) * (1 - 1e-4));
                }
    }

    void aBallIsDistilled()
    {
        const graph::Model teacher = ball(), student = distilled(teacher, small());
        const FieldComparison c = compared(teacher, student);
        QVERIFY2(c.psnr > 25 && c.lowestPsnr > 23, qPrintable(QString::number(c.psnr)));
        QVERIFY(c.teacherSeconds > 0 && c.studentSeconds > 0 && !c.teacherTruth);
        QCOMPARE(c.views, std::int64_t(3));
        // It stands where its teacher stands, and its background is its teacher's.
        const FieldView field(student);
        QCOMPARE(field.middle(), (std::array<double, 3>{1, 2, 3}));
        const at::Tensor past = field.colours(at::tensor({100.0, 0.0, 0.0, 1.0, 0.0, 0.0}).view({1, 6}));
        QVERIFY((past - at::tensor({1.0f, 0.5f, 0.0f})).abs().max().item<double>() < 1e-6);
        // Compared with itself it is perfect: the comparison measures what it says.
        QCOMPARE(compared(student, student).psnr, 120.0);
    }

    void placesAloneTeachLessThanPlacesAndRays()
    {
        const graph::Model teacher = ball();
        const double places = compared(teacher, distilled(teacher, small({"refine_steps=0"}))).psnr,
                     nothing = compared(teacher, distilled(teacher, small({"refine_steps=0", "distill_steps=1"}))).psnr,
                     both = compared(teacher, distilled(teacher, small())).psnr;
        QVERIFY2(nothing + 3 < places && places < both, qPrintable(QString("%1 %2 %3").arg(nothing).arg(places).arg(both)));
    }

    void picturesOverruleTheTeacher()
    {
        const graph::Model teacher = ball(80, 0.8), truth = ball(80, 0.5);
        const auto pictures = picturesOfField(truth);
        const FieldComparison c = compared(teacher, distilled(teacher, small({"refine_steps=150"}), pictures), pictures.get());
        QVERIFY2(*c.studentTruth > *c.teacherTruth + 3, qPrintable(QString("%1 %2").arg(*c.studentTruth).arg(*c.teacherTruth)));
        QCOMPARE(c.views, std::int64_t(2));  // the test part
        QCOMPARE(viewsToCompare(*pictures, 9), (std::vector<std::size_t>{3, 4}));
        // What the comparison says of the teacher is what one gets by hand.
        double byHand = 0;
        for (const std::size_t v : {3, 4})
            byHand += psnr(FieldView(teacher).render(pictures->cameras[v]).colour, FieldView(truth).render(pictures->cameras[v]).colour) / 2;
        QVERIFY(std::abs(byHand - *c.teacherTruth) < 0.05);
    }

    void skippingEmptyCellsChangesNoPixel()
    {
        // Random networks; in every other cell the density is e^-28, and the grid says so.
        graph::Model skipping = zoo::openZoo("zoo:kilo_nerf?grid=4&width=16&occupancy_resolution=16&steps=128", 3);
        skipping.card.inputs[0].preprocessing = ball().card.inputs[0].preprocessing;
        at::Tensor bias = skipping.weights.at("geometry.2.bias").clone(), weight = skipping.weights.at("geometry.2.weight").clone();
        at::Tensor grid = at::full({16, 16, 16}, 100.0f);
        for (std::int64_t cell = 0; cell < 64; ++cell) {
            const std::int64_t x = cell / 16, y = cell / 4 % 4, z = cell % 4;
            if ((x + y + z) % 2)
                continue;
            bias.index_put_({cell, 0}, -28.0f);
            weight.select(0, cell).select(0, 0).zero_();
            grid.slice(0, 4 * x, 4 * x + 4).slice(1, 4 * y, 4 * y + 4).slice(2, 4 * z, 4 * z + 4).zero_();
        }
        skipping.weights.set("geometry.2.bias", bias);
        skipping.weights.set("geometry.2.weight", weight);
        graph::Model whole = skipping;
        skipping.weights.set("occupancy", grid);
        whole.weights.set("occupancy", at::full({16, 16, 16}, 100.0f));
        const Camera camera = camerasAround({-1, 0, 1, 3, 4, 5}, 1, 40, 40, 0.3, 0.4)[0];
        const at::Tensor a = FieldView(skipping).render(camera).colour, b = FieldView(whole).render(camera).colour;
        QVERIFY2((a - b).abs().max().item<double>() < 1e-5, qPrintable(QString::number((a - b).abs().max().item<double>())));
        QVERIFY((a - 1).abs().max().item<double>() > 0.1);  // there is something to see
        const auto samplesOf = [](const graph::Model& model) {
            graph::RunRequest request;
            request.inputs.emplace_back(at::tensor({-1.0f, 0.1f, 0.1f, 1.0f, 0.0f, 0.0f}).view({1, 6}));
            request.targets = {model.card.canonicalNames.at("positions")};
            return graph::Executor(model.graph).run(model.weights, request).tensor().size(0);
        };
        QVERIFY(samplesOf(skipping) < samplesOf(whole) * 3 / 5);
    }

    void aCropShowsWhatIsInsideAlone()
    {
        const FieldView field(ball());
        const Camera camera = camerasAround({-1, 0, 1, 3, 4, 5}, 1, 40, 40, 0.3, 0.4)[0];
        const auto whole = field.render(camera);
        // A box around all of the ball changes nothing, one beside it shows the background, half of it half of it.
        const auto cropped = [&](const std::array<double, 6>& box) { return field.render(camera, {}, {}, box); };
        QVERIFY((cropped({-1, 0, 1, 3, 4, 5}).colour - whole.colour).abs().max().item<double>() < 1e-6);
        const auto nothing = cropped({2.8, 3.8, 4.8, 3, 4, 5});
        QVERIFY(nothing.opacity.max().item<double>() < 1e-6);
        QVERIFY((nothing.colour - at::tensor({1.0f, 0.5f, 0.0f})).abs().max().item<double>() < 1e-6);
        const auto half = cropped({-1, 0, 1, 3, 4, 3});
        const double share = (half.opacity > 0.5).sum().item<double>() / (whole.opacity > 0.5).sum().item<double>();
        QVERIFY2(share > 0.45 && share < 0.8, qPrintable(QString::number(share)));
        // What is left is nowhere outside: every depth leads into the box.
        for (std::int64_t y = 0; y < 40; ++y)
            for (std::int64_t x = 0; x < 40; ++x) {
                const double depth = half.depth[y][x].item<double>();
                if (!std::isfinite(depth))
                    continue;
                const Ray ray = rayThrough(camera, double(x) + 0.5, double(y) + 0.5);
                const Vector3 middle = rayThrough(camera, 20, 20).direction;
                double cosine = 0;
                for (std::size_t a = 0; a < 3; ++a)
                    cosine += ray.direction[a] * middle[a];
                QVERIFY(ray.origin[2] + depth / cosine * ray.direction[2] < 3 + 0.02);
            }
        QVERIFY(messageOf([&] {
                    graph::Model blind = ball();
                    blind.card.canonicalNames.erase("positions");
                    FieldView(blind).render(camera, {}, {}, std::array<double, 6>{0, 0, 0, 1, 1, 1});
                }).find("can be asked at places") != std::string::npos);
    }

    void theSameSeedGivesTheSameStudent()
    {
        const Json parameters = small({"distill_steps=20", "refine_steps=10"});
        const graph::Model teacher = ball();
        verifyEqual(distilled(teacher, parameters, {}, 1).weights, distilled(teacher, parameters, {}, 1).weights);
    }

    void isKeptWithTheRun()
    {
        QTemporaryDir folder;
        const auto path = std::filesystem::path(folder.path().toStdString());
        DistillTask task;
        task.teacher = ball();
        task.teacherText = "ball.safetensors";
        task.parameters = {{"grid", 2},      {"width", 8},         {"steps", 32},       {"occupancy_resolution", 8},
                           {"points", 2000}, {"distill_steps", 3}, {"refine_steps", 2}, {"rays", 512}};
        task.views = 1;
        task.size = 16;
        task.file = path / "student.safetensors";
        task.workspace = store::Workspace::open(path / "w");
        jobs::DirectContext context;
        std::vector<std::string> metrics;
        context.onMetric = [&](std::string_view name, std::int64_t step, double) { metrics.push_back(fmt::format("{}@{}", name, step)); };
        const auto outcome = runDistillation(task, context);
        QCOMPARE(metrics, (std::vector<std::string>{"distill/loss@1", "distill/loss@2", "distill/loss@3", "refine/loss@4", "refine/loss@5"}));
        verifyEqual(models::loadModel(task.file).weights, outcome.student.weights);
        const auto analysis = task.workspace->analysis(outcome.analysis.value());
        QCOMPARE(analysis.method, std::string("kilo_nerf_distillation"));
        QCOMPARE(analysis.parameters["grid"].get<int>(), 2);
        QCOMPARE(analysis.results["psnr"].get<double>(), outcome.comparison.psnr);
        QCOMPARE(analysis.artifacts.size(), std::size_t(1));
        // The artifact is a model, too, and draws the same picture.
        const Camera camera = camerasAround({-1, 0, 1, 3, 4, 5}, 1, 16, 16, 0, 0.5)[0];
        const FieldView stored(models::loadModel(task.workspace->artifactPath(analysis.artifacts[0])));
        QVERIFY(at::equal(stored.render(camera).colour, FieldView(outcome.student).render(camera).colour));
    }

    void saysWhatIsWrong()
    {
        const auto said = [](const graph::Model& teacher, const Json& parameters) { return messageOf([&] { distilled(teacher, parameters); }); };
        QVERIFY(said(zoo::openZoo("zoo:mlp", 0), small()).find("expected a radiance field") == 0);
        QVERIFY(said(ball(1e-4), small()).find("its highest density is") != std::string::npos);
        QVERIFY(said(ball(std::nan("")), small()).find("densities and colours are finite") != std::string::npos);
        QVERIFY(messageOf([] { small({"grid=0"}); }).find("grid") != std::string::npos);
        QVERIFY(messageOf([] { small({"gird=4"}); }).find("grid") != std::string::npos);
        QVERIFY(said(ball(), small({"grid=32", "width=256", "density_layers=8"})).find("at most 268435456 weights") != std::string::npos);
        QVERIFY(said(ball(), small({"lr=1e30"})).find("lower lr") != std::string::npos);
    }

    void stopsInEveryPhase_data()
    {
        QTest::addColumn<QString>("phase");
        for (const char* phase : {"looking for what is empty", "asking the teacher", "distilling", "refining"})
            QTest::newRow(phase) << phase;
    }
    void stopsInEveryPhase()
    {
        QFETCH(QString, phase);
        QTemporaryDir folder;
        DistillTask task;
        task.teacher = ball();
        task.parameters = small({"distill_steps=5"});
        task.file = folder.path().toStdString() + "/student.safetensors";
        std::stop_source stop;
        jobs::DirectContext context(stop.get_token());
        context.onProgress = [&](const jobs::Progress& progress) {
            if (progress.phase == phase.toStdString())
                stop.request_stop();
        };
        bool cancelled = false;
        try {
            runDistillation(task, context);
        } catch (const core::Cancelled&) {
            cancelled = true;
        }
        QVERIFY(cancelled);
        QVERIFY(!std::filesystem::exists(task.file));
    }
};

QTEST_APPLESS_MAIN(DistillTest)
#include "distill_test.moc"
