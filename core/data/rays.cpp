// Posed images as rays: one sample a pixel.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include "posed_pictures.h"
#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;

/// Sample i is pixel i of all views one after another; its ray is made when it is fetched.
class Rays : public DataSet {
public:
    explicit Rays(PosedPictures pictures) : m_pictures(std::move(pictures)), m_size(m_pictures.box[3] - m_pictures.box[0])
    {
        for (std::size_t a = 0; a < 3; ++a)
            m_middle[a] = 0.5 * (m_pictures.box[a] + m_pictures.box[a + 3]);
    }
    std::int64_t size() const override { return m_pictures.begins.back(); }
    std::vector<double> mean() const { return {m_middle[0], m_middle[1], m_middle[2], 0, 0, 0}; }
    std::vector<double> deviation() const { return std::vector<double>(6, m_size); }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        Batch batch;
        const std::int64_t count = std::int64_t(indices.size());
        batch.inputs.push_back(at::empty({count, 6}));
        batch.targets = at::empty({count, 3});
        float *row = batch.inputs[0].data_ptr<float>(), *target = batch.targets.data_ptr<float>();
        for (const std::int64_t index : indices) {
            const auto view =
                std::size_t(std::upper_bound(m_pictures.begins.begin(), m_pictures.begins.end(), index) - m_pictures.begins.begin()) - 1;
            const scene::Camera& camera = m_pictures.cameras[view];
            const std::int64_t pixel = index - m_pictures.begins[view];
            const scene::Ray ray = scene::rayThrough(camera, double(pixel % camera.width) + 0.5, double(pixel / camera.width) + 0.5);
            for (std::size_t a = 0; a < 3; ++a) {
                row[a] = float((ray.origin[a] - m_middle[a]) / m_size);
                row[3 + a] = float(ray.direction[a] / m_size);
                target[a] = float(m_pictures.pixels[std::size_t(3 * index) + a]) / 255.0f;
            }
            row += 6;
            target += 3;
        }
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        addToHash(hasher, m_pictures, fmt::format("{} {}", fmt::join(m_middle, " "), m_size));
        addToHash(hasher, *this);
        return hasher.hex();
    }

private:
    PosedPictures m_pictures;
    std::array<double, 3> m_middle{};
    double m_size;
};

/// The pixels of each part's views.
SplitLists pixelsOfParts(const PosedPictures& pictures)
{
    SplitLists out;
    for (std::size_t v = 0; v < pictures.parts.size(); ++v) {
        auto& part = pictures.parts[v] == scene::Part::Train ? out.train : pictures.parts[v] == scene::Part::Val ? out.val : out.test;
        for (std::int64_t i = pictures.begins[v]; i < pictures.begins[v + 1]; ++i)
            part.push_back(i);
    }
    return out;
}

DataSetPtr openRays(const Json& parameters, const std::filesystem::path& base)
{
    PosedPictures pictures = readPosedPictures("rays", parameters, base);
    SplitLists splits = pixelsOfParts(pictures);
    if (const Json& limit = parameters.at("limit"); !limit.is_null())
        limitSplits(splits, limit.get<std::int64_t>(), 0);
    DataInfo info;
    info.id = "rays";
    info.title = "Rays of posed images";
    info.kind = DataKind::Table;
    info.task = Task::Regression;
    info.featureNames = {"origin_x", "origin_y", "origin_z", "direction_x", "direction_y", "direction_z"};
    info.targetNames = {"red", "green", "blue"};
    describe(info, {6});
    auto set = std::make_shared<Rays>(std::move(pictures));
    info.mean = set->mean();
    info.std = set->deviation();
    DataBuilder::setUp(*set, std::move(info), std::move(splits), {});
    return set;
}

}  // namespace

void addRays(DataRegistry& registry)
{
    registry.add(
        {"rays",
         "Rays of posed images",
         "One sample a pixel: its ray in the cube of the scene, and its colour. Reads transforms.json of nerfstudio, instant-ngp and Blender, and "
         "COLMAP models.",
         "Mildenhall et al. (2020), \"NeRF\", arXiv:2003.08934, section 4",
         posedSchema(core::integer("limit", 100'000, "Use at most so many rays in all, every part in proportion.").atLeast(3).noneByDefault()),
         {},
         {{"table", "float", {"batch", "feature"}}}},
        openRays);
}

}  // namespace orrery::data
