#pragma once
#include <QString>
#include <memory>
#include <set>
#include <string>

#include <core/graph/executor.h>
#include <core/graph/model.h>

namespace orrery::store {
class Workspace;
}

namespace orrery::widgets {

/// Tells one state of a file, or of a folder's files, from another; empty where there is nothing of that name (a run, a model of the zoo). Any thread.
QString fileState(const QString& name);

/// A model that stays open between computations on it. Any thread, one at a time.
class KeptModel {
public:
    /// Opens a MODEL argument as `openModelArgument` does, unless that is what is open and its file is what it was then. What was open stays if that fails.
    /// @return whether it was opened.
    bool open(const QString& argument, const std::shared_ptr<store::Workspace>& workspace, const std::set<std::string>& keepInputs = {});

    /// Null before the first.
    const std::shared_ptr<const graph::Model>& model() const { return m_model; }
    const std::shared_ptr<const graph::Executor>& executor() const { return m_executor; }
    /// `fileState` of what is open.
    const QString& state() const { return m_state; }

private:
    std::shared_ptr<const graph::Model> m_model;
    std::shared_ptr<const graph::Executor> m_executor;
    QString m_argument, m_state;
    std::shared_ptr<store::Workspace> m_workspace;
    std::set<std::string> m_keepInputs;  ///< inputs that are bound otherwise make another graph
};

}  // namespace orrery::widgets
