#include "distill.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include <core/base/error.h>
#include <core/base/rng.h>
#include <core/train/catalogue.h>
#include <core/zoo/ray_fields.h>
#include <core/zoo/zoo.h>

#include "teacher.h"

namespace orrery::scene {
namespace {

using core::Json;

const char* const kStudentKeys[] = {"grid", "frequencies", "width", "density_layers", "colour_layers", "steps", "occupancy_resolution"};

/// The student's weights as leaves that an optimizer changes.
class Student {
public:
    Student(graph::Model model, double rate, const core::Json& schedule, std::int64_t steps)
        : m_model(std::move(model)), m_executor(m_model.graph), m_weights(m_model.weights.clone()),
          m_rate(rate, train::makeSchedule(schedule), 0, steps, steps)
    {
        std::vector<train::Trainable> trainables;
        for (const graph::Parameter& parameter : m_model.graph->data().parameters) {
            if (parameter.kind != graph::Parameter::Kind::Parameter)
                continue;
            const at::Tensor leaf = m_weights.at(parameter.name).requires_grad_(true);
            m_leaves.push_back(leaf);
            trainables.push_back({parameter.name, leaf, true});
        }
        m_optimizer = train::makeOptimizer({{"id", "adam"}, {"lr", rate}, {"eps", 1e-15}}, std::move(trainables));
    }
    graph::RunResult run(graph::RunRequest request, const std::stop_token& stop) const
    {
        request.gradients = graph::Gradients::Parameters;
        request.stop = stop;
        return m_executor.run(m_weights, request);
    }
    void descend(const at::Tensor& loss, std::int64_t step)
    {
        const auto gradients = torch::autograd::grad({loss}, m_leaves, {}, c10::nullopt, false, true);
        m_optimizer->step(gradients, m_rate.at(step));
    }
    const std::string& valueOf(const char* canonical) const { return m_model.card.canonicalNames.at(canonical); }
    graph::Model finished() const
    {
        graph::Model out = m_model;
        for (const auto& [name, tensor] : m_weights.tensors())
            out.weights.set(name, tensor.detach().clone());
        return out;
    }

private:
    graph::Model m_model;
    graph::Executor m_executor;
    graph::Weights m_weights;
    std::vector<at::Tensor> m_leaves;
    std::unique_ptr<train::Optimizer> m_optimizer;
    train::LearningRate m_rate;
};

at::Tensor batchOf(std::int64_t of, std::int64_t size, std::uint64_t seed, std::int64_t step, const char* name)
{
    return at::randint(of, {std::min(of, size)}, at::detail::createCPUGenerator(core::deriveSeed(seed, std::uint64_t(step), name)), at::kLong);
}

/// One step: a loss of some samples, finite or a sentence.
void descend(Student& student, const at::Tensor& loss, std::int64_t step, const char* metric, jobs::Context& context)
{
    const double value = loss.item<double>();
    if (!std::isfinite(value))
        throw core::Error(fmt::format("{} became {} at step {}: lower lr", metric, value, step + 1));
    student.descend(loss, step);
    context.metric(metric, step + 1, value);
}

/// Opacity of one of the renderer's steps and colour at places, squared errors.
void learnPoints(Student& student, const Lesson& lesson, const DistillRequest& request, jobs::Context& context)
{
    const auto steps = request.parameters["distill_steps"].get<std::int64_t>();
    const double length = std::sqrt(3.0) / request.parameters["steps"].get<double>();
    const at::Tensor opacity = 1 - (-lesson.density * length).exp();
    for (std::int64_t step = 0; step < steps; ++step) {
        context.pausePoint();
        const at::Tensor rows =
            batchOf(lesson.positions.size(0), request.parameters["batch_points"].get<std::int64_t>(), request.seed, step, "points");
        const at::Tensor positions = lesson.positions.index_select(0, rows);
        graph::RunRequest run;
        run.inputs.emplace_back(at::cat({positions, lesson.directions.index_select(0, rows)}, 1));
        run.changed[student.valueOf("positions")] = positions;
        run.changed[student.valueOf("ray")] = at::arange(rows.numel(), at::kLong);
        run.targets = {student.valueOf("density"), student.valueOf("radiance")};
        const at::AutoGradMode gradients(true);
        const auto result = student.run(std::move(run), context.stopToken());
        const at::Tensor wanted = opacity.index_select(0, rows);
        const at::Tensor seen = (1 - (-result.tensor(0) * length).exp() - wanted).square().mean();
        const at::Tensor colour = ((result.tensor(1) - lesson.radiance.index_select(0, rows)).square() * wanted.unsqueeze(1)).mean();
        descend(student, seen + colour, step, "distill/loss", context);
        context.progress(double(step + 1), double(steps), "steps", "distilling");
    }
}

/// Rays of the pictures' training part, in the cube of the field.
RayLesson raysOfPictures(const data::PosedPictures& pictures, const FieldView& teacher, std::int64_t count, std::uint64_t seed)
{
    std::vector<std::size_t> views;
    for (std::size_t v = 0; v < pictures.cameras.size(); ++v)
        if (pictures.parts[v] == Part::Train)
            views.push_back(v);
    core::SplitMix64 random(core::deriveSeed(seed, 0, "pixels"));
    RayLesson out{at::empty({count, 6}), at::empty({count, 3})};
    float *row = out.rays.data_ptr<float>(), *colour = out.colours.data_ptr<float>();
    for (std::int64_t i = 0; i < count; ++i, row += 6, colour += 3) {
        const std::size_t v = views[random.below(views.size())];
        const Camera& camera = pictures.cameras[v];
        const auto pixel = std::int64_t(random.below(std::uint64_t(pictures.begins[v + 1] - pictures.begins[v])));
        const Ray ray = rayThrough(camera, double(pixel % camera.width) + 0.5, double(pixel / camera.width) + 0.5);
        for (std::size_t a = 0; a < 3; ++a) {
            row[a] = float((ray.origin[a] - teacher.middle()[a]) / teacher.size());
            row[3 + a] = float(ray.direction[a] / teacher.size());
            colour[a] = float(pictures.pixels[std::size_t(3 * (pictures.begins[v] + pixel)) + a]) / 255.0f;
        }
    }
    return out;
}

void learnRays(Student& student, const RayLesson& lesson, const DistillRequest& request, jobs::Context& context)
{
    const auto steps = request.parameters["refine_steps"].get<std::int64_t>(), first = request.parameters["distill_steps"].get<std::int64_t>();
    for (std::int64_t step = 0; step < steps; ++step) {
        context.pausePoint();
        const at::Tensor rows = batchOf(lesson.rays.size(0), request.parameters["batch_rays"].get<std::int64_t>(), request.seed, step, "rays");
        graph::RunRequest run;
        run.inputs.emplace_back(lesson.rays.index_select(0, rows));
        const at::AutoGradMode gradients(true);
        const auto result = student.run(std::move(run), context.stopToken());
        descend(student, (result.tensor() - lesson.colours.index_select(0, rows)).square().mean(), first + step, "refine/loss", context);
        context.progress(double(step + 1), double(steps), "steps", "refining");
    }
}

/// What a ray shows that passes the scene by.
Json backgroundOf(const FieldView& teacher)
{
    const auto& middle = teacher.middle();
    const at::Tensor past = at::tensor({middle[0], middle[1], middle[2] + 2 * teacher.size(), 0.0, 0.0, 1.0}, at::kDouble).view({1, 6});
    const at::Tensor colour = teacher.colours(past).to(at::kDouble).clamp(0, 1);
    return {colour[0][0].item<double>(), colour[0][1].item<double>(), colour[0][2].item<double>()};
}

/// An untrained student of the wanted sizes, that knows where the scene is and where it is empty.
graph::Model blankStudent(const DistillRequest& request, const FieldView& teacher, const at::Tensor& occupancy)
{
    Json parameters = Json::object();
    for (const char* key : kStudentKeys)
        parameters[key] = request.parameters.at(key);
    parameters["background"] = backgroundOf(teacher);
    graph::Model student = zoo::buildModel("kilo_nerf", parameters, request.seed);
    student.card.inputs.at(0).preprocessing = request.teacher.card.inputs.at(0).preprocessing;
    student.card.featureNames = request.teacher.card.featureNames;
    student.weights.set("occupancy", occupancy);
    return student;
}

}  // namespace

core::Component kiloDistillationComponent()
{
    core::Schema schema;
    const core::Schema& student = zoo::zooRegistry().at("kilo_nerf").schema;
    for (const char* key : kStudentKeys)
        schema.add(*student.find(key));
    schema.add(
        core::integer("occupancy_samples", 2, "Places an edge of each of these cells that are asked for their density; 3 in the paper.").range(1, 8));
    schema.add(core::integer("points", 300'000, "Places that the teacher is asked about.").range(1000, 100'000'000));
    schema.add(core::integer("distill_steps", 600, "Steps on places.").range(1, 1'000'000));
    schema.add(core::integer("batch_points", 16384, "Places a step.").range(64, 1 << 22));
    schema.add(core::integer("rays", 100'000, "Rays that are learned in the second part.").range(256, 100'000'000));
    schema.add(core::integer("refine_steps", 400, "Steps on rays; 0: places alone.").range(0, 1'000'000));
    schema.add(core::integer("batch_rays", 2048, "Rays a step.").range(16, 1 << 20));
    schema.add(core::real("lr", 0.005, "Learning rate of Adam; it falls to a tenth by a cosine.").above(0).log());
    return {"kilo_nerf_distillation",
            "Grid of tiny networks",
            "A trained field learned once more by a grid of tiny networks, which are drawn faster.",
            "Reiser, Peng, Liao & Geiger (2021), \"KiloNeRF\", arXiv:2103.13744, section 3",
            std::move(schema),
            {},
            {}};
}

graph::Model distillKiloNerf(const DistillRequest& request, jobs::Context& context)
{
    at::set_num_threads(std::max(1, context.threads()));
    const Json& parameters = request.parameters;
    const FieldView teacher(request.teacher);
    const at::Tensor densities = measuredOccupancy(teacher, parameters["occupancy_resolution"].get<std::int64_t>(),
                                                   parameters["occupancy_samples"].get<std::int64_t>(), request.seed, context);
    const double threshold = zoo::OccupancyGrid::threshold(parameters["steps"].get<std::int64_t>());
    // What counts as empty is 0, so that no sample ever lies where nothing was learned.
    const at::Tensor occupancy = densities * (densities > threshold);
    const Lesson lesson = lessonOf(teacher, densities, threshold, parameters["points"].get<std::int64_t>(), request.seed, context);
    const auto refine = parameters["refine_steps"].get<std::int64_t>();
    Student student(blankStudent(request, teacher, occupancy), parameters["lr"].get<double>(), {{"id", "cosine"}, {"final_factor", 0.1}},
                    parameters["distill_steps"].get<std::int64_t>() + refine);
    learnPoints(student, lesson, request, context);
    if (refine > 0) {
        const auto count = parameters["rays"].get<std::int64_t>();
        learnRays(student,
                  request.pictures ? raysOfPictures(*request.pictures, teacher, count, request.seed)
                                   : raysOfTeacher(teacher, count, request.seed, context),
                  request, context);
    }
    return student.finished();
}

const core::Registry<Distiller>& distillers()
{
    static const core::Registry<Distiller> registry = [] {
        core::Registry<Distiller> made("distillation", "Distillation of fields");
        made.add(kiloDistillationComponent(), distillKiloNerf);
        return made;
    }();
    return registry;
}

}  // namespace orrery::scene
