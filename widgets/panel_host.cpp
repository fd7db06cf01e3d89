#include <QCoreApplication>
#include <QDir>
#include <QJsonObject>
#include <QLibrary>
#include <algorithm>
#include <fmt/format.h>

#include <core/base/error.h>

#include "panel.h"
#include "panel_plugin.h"

namespace orrery::widgets {
namespace {

DockSide sideFromText(const QString& text)
{
    if (text == "left")
        return DockSide::Left;
    if (text == "bottom")
        return DockSide::Bottom;
    return text == "center" ? DockSide::Center : DockSide::Right;
}

PanelInfo infoFrom(const QJsonObject& metadata, const QString& file)
{
    PanelInfo info;
    info.id = metadata.value("id").toString();
    info.title = metadata.value("title").toString(info.id);
    info.summary = metadata.value("summary").toString();
    info.icon = metadata.value("icon").toString(info.id);
    info.shortcut = metadata.value("shortcut").toString();
    info.side = sideFromText(metadata.value("side").toString());
    info.order = metadata.value("order").toInt(100);
    info.shown = metadata.value("shown").toBool();
    info.abi = metadata.value("abi").toString();
    info.file = file;
    return info;
}

std::string problemText(const QString& file, const QString& what)
{
    return fmt::format("{}: {}", QFileInfo(file).fileName().toStdString(), what.toStdString());
}

/// What stands against a plugin, judged by its metadata alone; empty if nothing.
QString objection(const QJsonObject& outer, const PanelInfo& info, bool taken)
{
    if (outer.isEmpty())
        return QStringLiteral("expected a Qt plugin with metadata, found none");
    if (outer.value("IID").toString() != OrreryPanelFactory_iid)
        return QStringLiteral("expected the interface \"%1\", found \"%2\"").arg(OrreryPanelFactory_iid, outer.value("IID").toString());
    if (info.id.isEmpty())
        return QStringLiteral("expected an \"id\" in the plugin's metadata, found none");
    if (info.abi != panelAbi())
        return QStringLiteral("expected a plugin built with \"%1\", found \"%2\"").arg(panelAbi(), info.abi);
    return taken ? QStringLiteral("expected an unused panel id, found \"%1\" twice").arg(info.id) : QString();
}

}  // namespace

QString panelAbi()
{
    return QStringLiteral(ORRERY_PANEL_ABI);
}

PanelHost::PanelHost() = default;
/// Libraries stay loaded: widgets and registered components made by them may live on.
PanelHost::~PanelHost() = default;

QString PanelHost::defaultFolder()
{
    const QString fromEnvironment = qEnvironmentVariable("ORRERY_PLUGINS");
    return fromEnvironment.isEmpty() ? QDir::cleanPath(QCoreApplication::applicationDirPath() + "/../lib/orrery/plugins") : fromEnvironment;
}

void PanelHost::scan(const QString& folder)
{
    const QFileInfoList files = QDir(folder).entryInfoList(QDir::Files, QDir::Name);
    for (const QFileInfo& file : files) {
        if (!QLibrary::isLibrary(file.fileName()))
            continue;
        const QJsonObject outer = QPluginLoader(file.absoluteFilePath()).metaData();
        const PanelInfo info = infoFrom(outer.value("MetaData").toObject(), file.absoluteFilePath());
        if (const QString problem = objection(outer, info, find(info.id) != nullptr); !problem.isEmpty())
            m_problems.push_back({info.file, problem});
        else
            m_panels.push_back(info);
    }
    std::stable_sort(m_panels.begin(), m_panels.end(),
                     [](const PanelInfo& a, const PanelInfo& b) { return std::pair(a.order, a.title) < std::pair(b.order, b.title); });
}

const PanelInfo* PanelHost::find(const QString& id) const
{
    const auto found = std::find_if(m_panels.begin(), m_panels.end(), [&](const PanelInfo& info) { return info.id == id; });
    return found == m_panels.end() ? nullptr : &*found;
}

bool PanelHost::isLoaded(const QString& id) const
{
    return m_loaders.contains(id);
}

PanelFactory& PanelHost::factory(const PanelInfo& info)
{
    if (const auto found = m_loaders.find(info.id); found != m_loaders.end())
        return *qobject_cast<PanelFactory*>(found->second->instance());
    auto loader = std::make_unique<QPluginLoader>(info.file);
    auto* factory = qobject_cast<PanelFactory*>(loader->instance());
    if (!factory)
        throw core::Error(
            problemText(info.file, loader->isLoaded() ? QStringLiteral("expected a panel factory, found another object") : loader->errorString()));
    factory->registerComponents();
    m_loaders.emplace(info.id, std::move(loader));
    return *factory;
}

Panel* PanelHost::create(const QString& id, Session& session, QWidget* parent)
{
    const PanelInfo* info = find(id);
    if (!info)
        throw core::InputError(fmt::format("unknown panel \"{}\"", id.toStdString()));
    const auto fail = [&](const std::string& text) {
        m_problems.push_back({info->file, QString::fromStdString(text)});
        return core::Error(text);
    };
    try {
        if (Panel* panel = factory(*info).createPanel(session, parent))
            return panel;
    } catch (const std::exception& error) {
        throw fail(error.what());
    }
    throw fail(problemText(info->file, QStringLiteral("the plugin made no panel")));
}

}  // namespace orrery::widgets
