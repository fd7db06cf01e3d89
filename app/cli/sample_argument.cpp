#include "sample_argument.h"

#include <core/train/samples.h>

#include "arrays.h"
#include "number_checks.h"

namespace orrery::cli {

void SampleArgument::declare(CLI::App& app)
{
    app.add_option("--data", data, "Data set that --sample is taken from: a registered id, JSON, or a path; default: the data of run:ID.");
    app.add_option("--split", split, "Part of the data: train, val or test.");
    app.add_option("--sample", samples, "Number of a sample within the part, from 0; may be given several times.")->check(notNegative());
}

std::optional<store::RunId> runOf(const std::string& model)
{
    if (!model.starts_with("run:"))
        return std::nullopt;
    const auto digits = model.substr(4, model.find('@') == std::string::npos ? std::string::npos : model.find('@') - 4);
    if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
        return std::nullopt;
    return std::stoll(digits);
}

data::DataSetPtr SampleArgument::open(Session& session, const ModelArgument& model) const
{
    if (!data.empty())
        return data::openData(data::dataDocument(data));
    if (const auto run = runOf(model.text))
        return train::dataOfRun(*session.workspace(store::OpenMode::ReadOnly), *run);
    throw core::InputError("--sample: expected --data ID|PATH, or a model run:ID whose data are meant");
}

std::vector<c10::IValue> SampleArgument::inputs(const data::DataSet& set, const graph::Model& model) const
{
    const auto indices = train::samplesOfPart(set, data::splitFromName(split), samples);
    return train::sampleInputs(model, set, indices);
}

core::Json SampleArgument::document(Session& session, const ModelArgument& model) const
{
    if (!data.empty())
        return data::dataDocument(data);
    if (const auto run = runOf(model.text))
        return session.workspace(store::OpenMode::ReadOnly)->run(*run).document.value("data", core::Json());
    return nullptr;
}

std::vector<c10::IValue> inputsFrom(Session& session, const std::vector<std::string>& files, const SampleArgument& sample,
                                    const ModelArgument& argument, const graph::Model& model, data::DataSetPtr* set)
{
    if (files.empty() == !sample.given())
        throw core::InputError("expected either --input FILE or --sample N (with --data ID|PATH)");
    if (!sample.given())
        return readInputs(files, model, session.chosenDevice());
    const auto opened = sample.open(session, argument);
    if (set)
        *set = opened;
    return sample.inputs(*opened, model);
}

}  // namespace orrery::cli
