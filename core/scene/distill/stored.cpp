#include "stored.h"

#include <chrono>

#include <core/base/files.h>
#include <core/models/model_file.h>

namespace orrery::scene {
namespace {

std::int64_t keep(const DistillTask& task, const core::Json& parameters, const DistillOutcome& outcome)
{
    store::NewAnalysis analysis;
    analysis.run = task.run;
    analysis.method = task.method;
    analysis.inputs = {{"model", task.teacherText}, {"seed", task.seed}};
    if (!task.data.is_null())
        analysis.inputs["data"] = task.data;
    analysis.parameters = parameters;
    analysis.results = outcome.comparison.toJson();
    analysis.results.update({{"teacher_parameters", outcome.teacherParameters}, {"student_parameters", outcome.studentParameters}});
    analysis.seconds = outcome.seconds;
    const std::int64_t id = task.workspace->addAnalysis(analysis);
    task.workspace->addAnalysisArtifact(id, {"student", "application/x-safetensors", {}}, core::readFile(task.file));
    return id;
}

}  // namespace

std::shared_ptr<const data::PosedPictures> picturesOf(const core::Json& data, const std::filesystem::path& folder)
{
    core::Json parameters = data;
    parameters.erase("id");
    const core::Json resolved = data::dataRegistry().at("rays").schema.resolve(parameters, "data");
    return std::make_shared<data::PosedPictures>(data::readPosedPictures("rays", resolved, folder));
}

core::Json raysOfRun(const store::RunRecord& run)
{
    const core::Json data = run.document.value("data", core::Json());
    return data.is_object() && data.value("id", std::string()) == "rays" ? data : core::Json();
}

DistillOutcome runDistillation(const DistillTask& task, jobs::Context& context)
{
    const core::Json parameters = distillers().at(task.method).schema.resolve(task.parameters, task.method);
    const FieldView teacher(task.teacher);
    const auto start = std::chrono::steady_clock::now();
    DistillOutcome out;
    out.student = distillers().factory(task.method)({task.teacher, parameters, task.seed, task.pictures}, context);
    out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    out.comparison = compareFields(teacher, FieldView(out.student), task.pictures.get(), task.views, task.size, context);
    out.teacherParameters = graph::parameterCount(*task.teacher.graph);
    out.studentParameters = graph::parameterCount(*out.student.graph);
    if (!task.file.empty())
        models::saveModel(task.file, out.student);
    if (task.workspace && !task.file.empty())
        out.analysis = keep(task, parameters, out);
    return out;
}

}  // namespace orrery::scene
