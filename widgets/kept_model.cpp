#include "kept_model.h"

#include <QDateTime>
#include <QDir>

#include "model_source.h"

namespace orrery::widgets {

QString fileState(const QString& name)
{
    constexpr qsizetype kMostFiles = 4096;
    const auto stateOf = [](const QFileInfo& file) {
        return QStringLiteral("%1 %2 %3 %4;")
            .arg(file.fileName())
            .arg(file.size())
            .arg(file.lastModified().toMSecsSinceEpoch())
            .arg(file.metadataChangeTime().toMSecsSinceEpoch());
    };
    const QFileInfo file(name);
    if (!file.exists())
        return {};
    QString state = stateOf(file);
    if (file.isDir())
        for (const auto& entry : QDir(name).entryInfoList(QDir::Files, QDir::Name).mid(0, kMostFiles))
            state += stateOf(entry);
    return state;
}

bool KeptModel::open(const QString& argument, const std::shared_ptr<store::Workspace>& workspace, const std::set<std::string>& keepInputs)
{
    const QString state = fileState(argument);
    if (m_model && m_argument == argument && m_state == state && m_workspace == workspace && m_keepInputs == keepInputs)
        return false;
    auto model = std::make_shared<const graph::Model>(openModelArgument(argument, workspace, keepInputs));
    m_executor = std::make_shared<const graph::Executor>(model->graph);
    m_model = std::move(model);
    m_argument = argument;
    m_state = state;
    m_workspace = workspace;
    m_keepInputs = keepInputs;
    return true;
}

}  // namespace orrery::widgets
