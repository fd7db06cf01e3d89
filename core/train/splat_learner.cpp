#include "splat_learner.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include <core/data/views.h>
#include <core/scene/camera/vector.h>
#include <core/scene/cloud/kd_tree.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/splat_ply.h>
#include <core/zoo/zoo.h>

namespace orrery::train {
namespace {

using core::Json;

constexpr const char* kModel = "splats";
constexpr const char* kState = "splat_trainer";
constexpr double kC0 = 0.28209479177387814;  // the harmonic of degree 0
constexpr double kExtentMargin = 1.1;

/// 1.1 times the largest distance of a training camera from their middle; from one place alone: half the diagonal of the scene's box.
double extentOf(const data::ViewSet& views)
{
    const auto& part = views.split(data::Split::Train);
    const auto eye = [&](std::int64_t index) {
        const auto& pose = views.camera(index).cameraToWorld;
        return scene::Vector3{pose[3], pose[7], pose[11]};
    };
    scene::Vector3 middle{};
    for (const std::int64_t index : part)
        middle = scene::operator+(middle, scene::operator*(1.0 / double(part.size()), eye(index)));
    double radius = 0;
    for (const std::int64_t index : part)
        radius = std::max(radius, scene::length(scene::operator-(eye(index), middle)));
    if (radius > 0)
        return kExtentMargin * radius;
    const auto& box = views.box();
    return 0.5 * std::hypot(box[3] - box[0], box[4] - box[1], box[5] - box[2]);
}

/// Gaussians at the data's points, evenly picked if there are more than asked for: as large as the mean distance of the three nearest ones, in their colours.
scene::Splats startAtPoints(const std::vector<scene::ScenePoint>& points, std::size_t count, int degree)
{
    count = std::min(count, points.size());
    std::vector<float> positions;
    for (std::size_t i = 0; i < count; ++i)
        for (const double x : points[i * points.size() / count].position)
            positions.push_back(float(x));
    scene::Splats splats = scene::randomStart(count, {0, 0, 0, 1, 1, 1}, degree, 0);
    splats.means = positions;
    const scene::KdTree tree(positions);
    std::vector<scene::Neighbour> near;
    for (std::size_t i = 0; i < count; ++i) {
        tree.nearest(positions.data() + 3 * i, 4, near);
        double sum = 0;
        for (std::size_t k = 1; k < near.size(); ++k)
            sum += std::sqrt(near[k].squared) / double(near.size() - 1);
        for (std::size_t k = 0; k < 3; ++k) {
            splats.scales[3 * i + k] = float(std::log(std::max(sum, 1e-7)));
            splats.harmonics[3 * scene::harmonicsOf(degree) * i + k] = float((points[i * points.size() / count].colour[k] / 255.0 - 0.5) / kC0);
        }
    }
    return splats;
}

scene::Splats freshSplats(const Json& model, const data::ViewSet& views, std::uint64_t seed)
{
    const auto count = model["gaussians"].get<std::size_t>();
    const int degree = model["degree"];
    if (!views.points().empty())
        return startAtPoints(views.points(), count, degree);
    return scene::randomStart(count, views.box(), degree, seed);
}

const data::ViewSet& viewsOf(const Experiment& experiment)
{
    const auto* views = dynamic_cast<const data::ViewSet*>(experiment.data.get());
    if (!views)
        throw core::InputError(fmt::format("data: expected whole pictures with cameras (views), got \"{}\"", experiment.data->info().id));
    return *views;
}

/// Everything that changes from step to step is in the trainer of core/scene and goes into the checkpoint as its bytes; the arrays go there as weights, too, to be looked at.
class SplatLearner : public Learner {
public:
    explicit SplatLearner(const LearnerInput& input)
        : m_experiment(input.experiment), m_views(viewsOf(m_experiment)), m_model(openedModel(input)),
          m_settings(settings(m_experiment.document, input)), m_trainer(start(), m_settings),
          m_loader(m_experiment.data, data::Split::Train, loaderOptions(m_experiment.document), input.stop)
    {
    }

    std::vector<std::pair<std::string, double>> step(std::int64_t) override
    {
        const data::Batch batch = nextBatch();
        const float* const values = batch.targets.data_ptr<float>();
        const auto done = m_trainer.step(m_views.camera(batch.indices[0]), std::vector<float>(values, values + batch.targets.numel()));
        m_loaderState = m_loader.state();
        return {{"loss", done.loss}, {"psnr", done.psnr}, {"gaussians", double(done.count)}};
    }

    graph::Weights evaluated() const override { return scene::weightsOf(m_trainer.splats()); }
    graph::Model modelWith(graph::Weights weights) const override { return scene::splatModelWith(m_model, std::move(weights)); }

    void save(Checkpoint& checkpoint) const override
    {
        const std::string bytes = m_trainer.save();
        at::Tensor state = at::empty({std::int64_t(bytes.size())}, at::kByte);
        std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(state.data_ptr<std::uint8_t>()));
        checkpoint.loader = m_loaderState;
        checkpoint.weights = evaluated();
        checkpoint.optimizer = {{kState, state}};
    }

    void restore(const Checkpoint& checkpoint) override
    {
        const auto found = checkpoint.optimizer.find(kState);
        if (found == checkpoint.optimizer.end() || found->second.scalar_type() != at::kByte)
            throw core::FormatError(fmt::format("checkpoint: expected the state of a training of splats (\"{}\"), found none", kState));
        const at::Tensor state = found->second.contiguous();
        m_trainer.restore({reinterpret_cast<const char*>(state.data_ptr<std::uint8_t>()), std::size_t(state.numel())});
        m_loader.restore(checkpoint.loader);
        m_loaderState = checkpoint.loader;
    }

    void storeFinal(const graph::Model& model, std::int64_t step, RunSink& sink) const override
    {
        scene::SplatFile file;
        file.splats = scene::splatsOf(model.weights);
        sink.artifact(kFinalSplats, "application/x-ply", step, scene::splatPlyBytes(file));
    }

private:
    /// The graph of the document's model. For a component without weights: Gaussians start where the data says.
    static graph::Model openedModel(const LearnerInput& input)
    {
        const Json& document = input.experiment.document["model"];
        graph::Model model;
        if (document.is_object()) {
            Json parameters = document;
            parameters.erase("id");
            model = zoo::buildGraph(kModel, parameters);
        } else {
            model = buildExperimentModel(input.experiment, input.options.openModel);
            if (!scene::isSplatModel(model))
                throw core::InputError(fmt::format("model: expected Gaussians, since train.optimizer is {}, got {}", kSplatOptimizer, model.origin));
        }
        completeCard(model.card, *input.experiment.data);
        return model;
    }

    scene::Splats start() const
    {
        const Json& document = m_experiment.document;
        return m_model.weights.empty() ? freshSplats(document["model"], m_views, document["seed"].get<std::uint64_t>())
                                       : scene::splatsOf(m_model.weights);
    }

    scene::SplatTrainSettings settings(const Json& document, const LearnerInput& input) const
    {
        auto settings = splatSettings(document, input.length.steps);
        settings.extent = extentOf(m_views);
        settings.render = scene::splatOptionsOf(m_model);
        settings.render.threads = at::get_num_threads();
        return settings;
    }

    static data::LoaderOptions loaderOptions(const Json& document)
    {
        data::LoaderOptions options = trainingLoader(document["train"]);
        options.seed = document["seed"].get<std::uint64_t>();
        return options;
    }

    data::Batch nextBatch()
    {
        auto batch = m_loader.next();
        if (!batch)
            batch = m_loader.next();
        if (!batch)
            throw core::Error("the loader gave no picture");
        return std::move(*batch);
    }

    const Experiment& m_experiment;
    const data::ViewSet& m_views;
    const graph::Model m_model;
    const scene::SplatTrainSettings m_settings;
    scene::SplatTrainer m_trainer;
    data::Loader m_loader;
    data::LoaderState m_loaderState;
};

}  // namespace

std::unique_ptr<Learner> makeSplatLearner(const LearnerInput& input)
{
    return std::make_unique<SplatLearner>(input);
}

}  // namespace orrery::train
