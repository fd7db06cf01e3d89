#pragma once
#include <optional>
#include <vector>

#include <core/base/json.h>
#include <core/data/posed_pictures.h>
#include <core/jobs/job.h>
#include <core/scene/field/views.h>

namespace orrery::scene {

/// Two fields of one scene, picture by picture. PSNR in dB, means over the views; times are medians over the views.
struct FieldComparison {
    std::int64_t views = 0;
    int width = 0, height = 0;                         ///< of the first view
    double psnr = 0, lowestPsnr = 0;                   ///< student against teacher
    std::optional<double> teacherTruth, studentTruth;  ///< against the pictures themselves
    double teacherSeconds = 0, studentSeconds = 0;     ///< for a picture
    double ratio() const { return teacherSeconds / studentSeconds; }
    core::Json toJson() const;
};

/// The views that fields are compared on: the first `count` of the test part (else of the validation part, else of the training part), or, without pictures,
/// cameras around the teacher's cube of `size` pixels a side.
std::vector<std::size_t> viewsToCompare(const data::PosedPictures& pictures, std::size_t count);
/// A picture of a set, [height, width, 3] float, 0..1.
at::Tensor pictureOf(const data::PosedPictures& pictures, std::size_t view);

/// @param pictures  Null: cameras around the scene. @throws core::Cancelled.
FieldComparison compareFields(const FieldView& teacher, const FieldView& student, const data::PosedPictures* pictures, std::size_t count, int size,
                              jobs::Context& context);

}  // namespace orrery::scene
