#pragma once
#include <QString>
#include <QStringList>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <core/base/json.h>
#include <core/data/dataset.h>
#include <core/graph/model.h>

#include "selection.h"

namespace orrery::store {
class Workspace;
}

namespace orrery::widgets {

/// The MODEL argument that a selection means: the weights' run and step, else the model, else the first chosen run; empty if it means none.
QString modelArgument(const Selection& selection);
/// All that it could mean, without repetition: the one above first.
QStringList modelArguments(const Selection& selection);
/// ID of `run:ID` or `run:ID@STEP`.
std::optional<qint64> runOfArgument(const QString& argument);
/// The run whose data and predictions are meant: the one the model comes from, else the first chosen one.
std::optional<qint64> runOfSelection(const Selection& selection);

/// Opens a MODEL argument; `run:` looks into the workspace (may be null). `keepInputs` as in models::OpenOptions. Any thread. @throws as `models::openModel`; core::InputError for `run:` without a workspace.
graph::Model openModelArgument(const QString& argument, const std::shared_ptr<store::Workspace>& workspace,
                               const std::set<std::string>& keepInputs = {});

/// `--data` as the command line takes it: the id alone, or the document as JSON.
QString dataArgument(const core::Json& document);

}  // namespace orrery::widgets
