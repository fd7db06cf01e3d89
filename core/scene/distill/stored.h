#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <core/store/workspace.h>

#include "compare.h"
#include "distill.h"

/// A distillation from a field to a file and the workspace: what the command and the panel do.
namespace orrery::scene {

struct DistillTask {
    graph::Model teacher;
    std::string teacherText;  ///< the MODEL text it came from
    std::string method = "kilo_nerf_distillation";
    core::Json parameters;  ///< of the method; may leave out what has a default
    std::uint64_t seed = 0;
    core::Json data;                                      ///< the `rays` document of `pictures`, kept with the analysis; null: none
    std::shared_ptr<const data::PosedPictures> pictures;  ///< of the scene; null: none
    std::size_t views = 4;                                ///< to compare on
    int size = 128;                                       ///< pixels a side of these views where there are no pictures
    std::filesystem::path file;                           ///< the student: one of our model files
    std::shared_ptr<store::Workspace> workspace;          ///< where the analysis is kept; null: nowhere
    std::optional<store::RunId> run;                      ///< the teacher's run there
};

struct DistillOutcome {
    graph::Model student;
    FieldComparison comparison;
    double seconds = 0;  ///< of the distillation, without the comparison
    std::int64_t teacherParameters = 0, studentParameters = 0;
    std::optional<std::int64_t> analysis;
};

/// Distils, compares, writes the file (last, under a temporary name), and keeps an analysis with the student as its artifact "student".
/// @throws core::InputError, core::DocumentError (parameters), core::StorageError, core::Cancelled: nothing is left behind then.
DistillOutcome runDistillation(const DistillTask& task, jobs::Context& context);

/// The pictures of a `rays` document. @throws core::DocumentError, core::InputError, core::FormatError, core::StorageError.
std::shared_ptr<const data::PosedPictures> picturesOf(const core::Json& data, const std::filesystem::path& folder);
/// The `rays` document of the data that a run was trained on; null if it was trained on something else.
core::Json raysOfRun(const store::RunRecord& run);

}  // namespace orrery::scene
