// Plugins for the tests of PanelHost: one that works, one whose factory throws, one of another ABI.
#include <QObject>

#include <core/base/error.h>
#include <widgets/panel.h>
#include <widgets/panel_plugin.h>

using namespace orrery;

#ifdef TEST_PANEL_ALIEN
namespace {
/// Shows that the library was loaded: it must not be.
const bool kLoaded = qputenv("ORRERY_TEST_ALIEN_LOADED", "1");
}  // namespace
#endif

class TestPlugin : public QObject, public widgets::PanelFactory {
    Q_OBJECT
    Q_PLUGIN_METADATA(IID OrreryPanelFactory_iid FILE "test_panel.json")
    Q_INTERFACES(orrery::widgets::PanelFactory)

public:
    widgets::Panel* createPanel(widgets::Session& session, QWidget* parent) override
    {
#ifdef TEST_PANEL_THROWS
        throw core::Error("this panel cannot be made");
#endif
        return new widgets::Panel(QStringLiteral("test_good"), QStringLiteral("Good panel"), session, parent);
    }
};

#include "test_panel.moc"
