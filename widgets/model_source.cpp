#include "model_source.h"

#include <core/base/error.h>
#include <core/models/open_model.h>
#include <core/train/runs.h>

namespace orrery::widgets {

QStringList modelArguments(const Selection& selection)
{
    QStringList out;
    if (selection.weightsRun)
        out << QStringLiteral("run:%1").arg(*selection.weightsRun) +
                   (selection.checkpointStep ? QStringLiteral("@%1").arg(*selection.checkpointStep) : QString());
    if (!selection.model.isEmpty())
        out << selection.model;
    for (const qint64 run : selection.runs)
        out << QStringLiteral("run:%1").arg(run);
    out.removeDuplicates();
    return out;
}

QString modelArgument(const Selection& selection)
{
    return modelArguments(selection).value(0);
}

std::optional<qint64> runOfArgument(const QString& argument)
{
    if (!argument.startsWith(QLatin1String("run:")))
        return std::nullopt;
    bool ok = false;
    const qint64 run = argument.mid(4).section(QLatin1Char('@'), 0, 0).toLongLong(&ok);
    return ok ? std::optional(run) : std::nullopt;
}

std::optional<qint64> runOfSelection(const Selection& selection)
{
    if (const auto run = runOfArgument(modelArgument(selection)))
        return run;
    return selection.runs.isEmpty() ? std::nullopt : std::optional(selection.runs.front());
}

graph::Model openModelArgument(const QString& argument, const std::shared_ptr<store::Workspace>& workspace, const std::set<std::string>& keepInputs)
{
    models::OpenOptions options;
    options.keepInputs = keepInputs;
    options.openRun = [&](const std::string& reference) {
        if (!workspace)
            throw core::InputError("run:" + reference + ": no workspace is open");
        return train::modelOfReference(*workspace, reference);
    };
    return models::openModel(argument.toStdString(), options);
}

QString dataArgument(const core::Json& document)
{
    if (document.is_string())
        return QString::fromStdString(document.get<std::string>());
    if (document.is_object() && document.size() == 1 && document.contains("id") && document["id"].is_string())
        return QString::fromStdString(document["id"].get<std::string>());
    return QString::fromStdString(document.dump());
}

}  // namespace orrery::widgets
