#include "compare.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>

#include <core/scene/field/synthesis.h>

namespace orrery::scene {
namespace {

double median(std::vector<double> values)
{
    std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2), values.end());
    return values[values.size() / 2];
}

/// A picture and how long it took, seconds.
std::pair<at::Tensor, double> timed(const FieldView& field, const Camera& camera, jobs::Context& context)
{
    const auto start = std::chrono::steady_clock::now();
    at::Tensor colour = field.render(camera, context.stopToken()).colour;
    return {std::move(colour), std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
}

struct View {
    Camera camera;
    at::Tensor truth;  // undefined: none
};

std::vector<View> chosenViews(const FieldView& teacher, const data::PosedPictures* pictures, std::size_t count, int size)
{
    std::vector<View> out;
    if (pictures) {
        for (const std::size_t v : viewsToCompare(*pictures, count))
            out.push_back({pictures->cameras[v], pictureOf(*pictures, v)});
        return out;
    }
    std::array<double, 6> box{};
    for (std::size_t a = 0; a < 3; ++a) {
        box[a] = teacher.middle()[a] - 0.5 * teacher.size();
        box[a + 3] = teacher.middle()[a] + 0.5 * teacher.size();
    }
    for (const Camera& camera : camerasAround(box, int(count), size, size, -0.1, 0.9))
        out.push_back({camera, {}});
    return out;
}

}  // namespace

core::Json FieldComparison::toJson() const
{
    core::Json out{{"views", views},
                   {"width", width},
                   {"height", height},
                   {"psnr", psnr},
                   {"lowest_psnr", lowestPsnr},
                   {"teacher_seconds", teacherSeconds},
                   {"student_seconds", studentSeconds},
                   {"ratio", ratio()}};
    if (teacherTruth && studentTruth)
        out.update({{"teacher_psnr", *teacherTruth}, {"student_psnr", *studentTruth}});
    return out;
}

std::vector<std::size_t> viewsToCompare(const data::PosedPictures& pictures, std::size_t count)
{
    for (const Part part : {Part::Test, Part::Val, Part::Train}) {
        std::vector<std::size_t> found;
        for (std::size_t v = 0; v < pictures.parts.size() && found.size() < count; ++v)
            if (pictures.parts[v] == part)
                found.push_back(v);
        if (!found.empty())
            return found;
    }
    return {};
}

at::Tensor pictureOf(const data::PosedPictures& pictures, std::size_t view)
{
    const Camera& camera = pictures.cameras[view];
    auto* const pixels = const_cast<std::uint8_t*>(pictures.pixels.data()) + 3 * pictures.begins[view];
    return at::from_blob(pixels, {camera.height, camera.width, 3}, at::kByte).to(at::kFloat) / 255;
}

FieldComparison compareFields(const FieldView& teacher, const FieldView& student, const data::PosedPictures* pictures, std::size_t count, int size,
                              jobs::Context& context)
{
    const std::vector<View> views = chosenViews(teacher, pictures, std::max<std::size_t>(1, count), size);
    FieldComparison out;
    out.views = std::int64_t(views.size());
    out.width = views.at(0).camera.width;
    out.height = views[0].camera.height;
    timed(student, views[0].camera, context);  // the first picture pays for memory that the next ones find
    std::vector<double> teacherTimes, studentTimes;
    double teacherTruth = 0, studentTruth = 0;
    for (std::size_t v = 0; v < views.size(); ++v) {
        context.pausePoint();
        const auto [before, teacherTime] = timed(teacher, views[v].camera, context);
        const auto [after, studentTime] = timed(student, views[v].camera, context);
        teacherTimes.push_back(teacherTime);
        studentTimes.push_back(studentTime);
        const double decibels = psnr(after, before);
        out.psnr += decibels / double(views.size());
        out.lowestPsnr = v == 0 ? decibels : std::min(out.lowestPsnr, decibels);
        if (views[v].truth.defined()) {
            teacherTruth += psnr(before, views[v].truth) / double(views.size());
            studentTruth += psnr(after, views[v].truth) / double(views.size());
        }
        context.progress(double(v + 1), double(views.size()), "views", "comparing");
    }
    if (pictures) {
        out.teacherTruth = teacherTruth;
        out.studentTruth = studentTruth;
    }
    out.teacherSeconds = median(teacherTimes);
    out.studentSeconds = median(studentTimes);
    return out;
}

}  // namespace orrery::scene
