#pragma once
#include <QIcon>
#include <QList>
#include <QPluginLoader>
#include <QString>
#include <QtPlugin>
#include <map>
#include <memory>
#include <vector>

namespace orrery::widgets {

class Panel;
class Session;

enum class DockSide { Left, Right, Bottom, Center };

/// What a panel's plugin says of itself without being loaded (its JSON metadata: `plugins/NAME/panel.json` plus the ABI added by `add_panel`).
struct PanelInfo {
    QString id;        ///< `attention_map`: the folder's name
    QString title;     ///< "Attention map"
    QString summary;   ///< one sentence: tooltip, welcome page
    QString icon;      ///< name in resources/icons, without ending
    QString shortcut;  ///< key sequence that shows the panel, may be empty
    DockSide side = DockSide::Right;
    int order = 100;     ///< position in menus and among tabs, ascending
    bool shown = false;  ///< visible in the default layout
    QString abi;         ///< must equal `panelAbi()`
    QString file;        ///< the plugin's path
};

/// The plugin object: it only makes panels. `add_panel` generates one; a plugin may bring its own (`NAME_plugin.cpp`).
class PanelFactory {
public:
    virtual ~PanelFactory() = default;
    /// Called once after loading: a plugin may add components to the registries.
    virtual void registerComponents() {}
    /// @return A new panel owned by `parent`. @throws core::Error if it cannot be made.
    virtual Panel* createPanel(Session& session, QWidget* parent) = 0;
};

/// What a plugin must have been built with to be loaded here: "orrery 0.1, qt 6.4, libtorch 1.13, gnu 12". One text, compared as a whole.
QString panelAbi();

/// A plugin that was left out, and why.
struct PluginProblem {
    QString file;
    QString message;  ///< "expected ABI ..., found ..."
};

/// Finds panel plugins in a folder by their metadata alone and loads each library when its panel is first wanted. UI thread.
class PanelHost {
public:
    PanelHost();
    ~PanelHost();
    PanelHost(const PanelHost&) = delete;
    PanelHost& operator=(const PanelHost&) = delete;

    /// Reads the metadata of every plugin in `folder`. Files of another ABI, without metadata, or with an id already taken become problems; a
    /// missing folder finds nothing.
    void scan(const QString& folder);
    /// In order (then by title).
    const std::vector<PanelInfo>& panels() const { return m_panels; }
    const PanelInfo* find(const QString& id) const;
    const std::vector<PluginProblem>& problems() const { return m_problems; }
    bool isLoaded(const QString& id) const;
    /// Loads the library if needed and makes a panel owned by `parent`.
    /// @throws core::InputError for an unknown id, core::Error if the library does not load or the panel cannot be made; both are remembered in
    /// `problems()`.
    Panel* create(const QString& id, Session& session, QWidget* parent);

    /// lib/orrery/plugins relative to the executable; `$ORRERY_PLUGINS` overrides it.
    static QString defaultFolder();

private:
    PanelFactory& factory(const PanelInfo& info);

    std::vector<PanelInfo> m_panels;
    std::vector<PluginProblem> m_problems;
    std::map<QString, std::unique_ptr<QPluginLoader>> m_loaders;
};

}  // namespace orrery::widgets

#define OrreryPanelFactory_iid "org.orrery.PanelFactory/1"
Q_DECLARE_INTERFACE(orrery::widgets::PanelFactory, OrreryPanelFactory_iid)
