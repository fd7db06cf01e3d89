#pragma once
// What tests of the Model panel share: the panel in a window wide enough for the picture beside the tree.
#include <QComboBox>
#include <QTabWidget>

#include <plugins/model/graph_page.h>
#include <plugins/model/model_panel.h>
#include <plugins/model/tensor_detail.h>
#include <widgets/graph_view.h>

#include "trained_bench.h"

namespace orrery::test {

inline const char* const kLenet = "zoo:lenet?image_size=8&kernel=3&padding=1";

/// A panel wide enough for the picture beside the tree.
struct WideBench : PanelBench<plugins::ModelPanel> {
    explicit WideBench(int width = 1200)
    {
        show();
        panel->resize(width, 800);
        panel->activateWindow();  // shortcuts belong to the active window
        QVERIFY(QTest::qWaitForWindowActive(panel.get()));
    }
    void open(const QString& argument)
    {
        session.openModel(argument);
        QTRY_VERIFY_WITH_TIMEOUT(!panel->isShowingEmptyState() && panel->isIdle(), 30000);
    }
    widgets::GraphView* view() const { return child<widgets::GraphView>("graph"); }
    plugins::GraphPage* page() const { return child<plugins::GraphPage>("graphPage"); }
    plugins::TensorDetail* tensor() const { return panel->findChild<plugins::TensorDetail*>(); }
    int item(const std::string& path) const { return view()->content()->tree->find(path); }
    void choose(const std::string& path)
    {
        session.changeSelection([&](widgets::Selection& s) { s.valuePath = QString::fromStdString(path); });
        QTRY_VERIFY(panel->isIdle());
    }
    void showPage(const char* name)
    {
        auto* tabs = panel->findChild<QTabWidget*>(QString(), Qt::FindChildrenRecursively);
        for (auto* candidate : panel->findChildren<QTabWidget*>())
            for (int i = 0; i < candidate->count(); ++i)
                if (candidate->widget(i)->objectName() == QLatin1String(name))
                    tabs = candidate;
        for (int i = 0; i < tabs->count(); ++i)
            if (tabs->widget(i)->objectName() == QLatin1String(name))
                tabs->setCurrentIndex(i);
    }
    void chooseColour(const char* id)
    {
        auto* box = child<QComboBox>("colour");
        box->setCurrentIndex(box->findData(QString::fromLatin1(id)));
        QTRY_VERIFY(panel->isIdle());
    }
};

}  // namespace orrery::test
