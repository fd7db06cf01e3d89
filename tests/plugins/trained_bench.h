#pragma once
#include <QPushButton>
#include <QTemporaryDir>
#include <QTest>
#include <memory>

#include <core/jobs/job.h>
#include <core/jobs/queue.h>
#include <core/store/workspace.h>
#include <core/train/experiment.h>
#include <core/train/runs.h>
#include <widgets/panel.h>
#include <widgets/session.h>

namespace orrery::test {

/// Trains a small model on a registered data set and gives the run.
inline store::RunId trainedRun(const std::shared_ptr<store::Workspace>& workspace, const core::Json& model, const char* data, int epochs)
{
    const core::Json document{
        {"name", data}, {"model", model}, {"data", {{"id", data}}}, {"train", {{"epochs", epochs}, {"optimizer", {{"id", "adamw"}, {"lr", 0.01}}}}}};
    const auto run = train::createRun(*workspace, train::resolveExperiment(document));
    jobs::DirectContext context;
    train::trainRun(workspace, run, context);
    workspace->flush();
    return run;
}

/// A panel in a window of its own, on a workspace in a temporary folder.
template <class Panel>
struct PanelBench {
    QTemporaryDir folder;
    widgets::Session session;
    std::unique_ptr<Panel> panel;

    explicit PanelBench(bool withWorkspace = true)
    {
        if (withWorkspace)
            session.openWorkspace(folder.filePath("workspace"));
    }
    std::shared_ptr<store::Workspace> workspace() const { return session.workspace(); }
    /// Makes the panel as the window does: new, then the state of the last time.
    void show(const core::Json& state = core::Json::object())
    {
        panel = std::make_unique<Panel>(session);
        panel->resize(460, 900);
        panel->show();
        panel->restoreState(state);
        QVERIFY(QTest::qWaitForWindowExposed(panel.get()));
    }
    template <class Widget>
    Widget* child(const char* name) const
    {
        return panel->template findChild<Widget*>(QString::fromLatin1(name));
    }
};

/// Rows of a test that ends a job in its middle: by the panel's button, and from outside (the Jobs panel, an end of its process).
inline void addWaysToEnd()
{
    QTest::addColumn<bool>("fromOutside");
    QTest::newRow("by its button") << false;
    QTest::newRow("killed in the queue") << true;
}

inline void endJob(widgets::Session& session, QPushButton* cancel, bool fromOutside)
{
    if (fromOutside)
        return session.jobs().cancelAll();
    QTRY_VERIFY(cancel->isVisible());
    QTest::mouseClick(cancel, Qt::LeftButton);
}

}  // namespace orrery::test
