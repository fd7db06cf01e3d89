#pragma once
#include <QTimer>
#include <memory>
#include <optional>

#include <core/jobs/queue.h>
#include <widgets/background.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "scene_work.h"

class QComboBox;
class QLabel;
class QPushButton;
class QTabWidget;

namespace orrery::viewers {
class CameraForm;
class RadianceView;
}  // namespace orrery::viewers
namespace orrery::widgets {
class JobBar;
class PlotView;
}  // namespace orrery::widgets

namespace orrery::plugins {

class SetupPage;
class TakePage;

/// Radiance fields from posed pictures: starts the training as an ordinary run, shows the field while it learns, compares it with held-out pictures, takes its
/// surface and a fast student away. Follows the run that is selected.
class SceneTrainingPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit SceneTrainingPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~SceneTrainingPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    std::optional<widgets::ReportItem> reportItem() const override;
    bool isIdle() const override;

    /// Opens pictures to train on.
    void openPictures(const QString& path);
    void start();
    const std::optional<OpenRun>& run() const { return m_run; }
    const std::optional<OpenScene>& scene() const { return m_scene; }
    /// Step of the snapshot that is shown; -1: stored weights, or none.
    std::int64_t shownStep() const { return m_shownStep; }

private:
    void makeActions();
    QWidget* makeContent();
    QWidget* makeTop();
    void addPage(QWidget* page, const QString& title);
    void connectPages();
    void showNothing();
    void browse(bool folder);
    void followSelection(widgets::SelectionParts parts);
    void open(qint64 run, bool isFollowed);
    void showScene(const OpenScene& scene);
    void showRun(const OpenRun& run);
    void watch();
    void look();
    void showField();
    void chooseView(int index);
    void fillViews();
    void refreshCurves();
    void updateControls();
    void togglePause();
    void stopOrResume();
    void resumeRun();
    void exportSurface();
    void distil();
    void savePicture();
    QString statusText() const;
    QString folderOf(const QString& path) const;
    QString setupCommand() const;
    /// Runs in the queue with the panel's bar; errors appear in the panel.
    template <class Work, class Done>
    void runInQueue(const QString& title, const char* kind, Work work, Done done);

    std::optional<OpenScene> m_scene;
    std::optional<OpenRun> m_run;
    QString m_opening;  ///< pictures on their way
    qint64 m_openingRun = 0;
    jobs::Job m_job;  ///< the training, if it is one of this window
    std::shared_ptr<const scene::FieldView> m_field, m_student;
    std::int64_t m_shownStep = -1;
    bool m_isMakingField = false, m_isStarting = false;
    QTimer m_poll;
    viewers::RadianceView* m_view = nullptr;
    viewers::CameraForm* m_camera = nullptr;
    widgets::JobBar* m_bar = nullptr;
    widgets::PlotView* m_plot = nullptr;
    SetupPage* m_setup = nullptr;
    TakePage* m_take = nullptr;
    QTabWidget* m_tabs = nullptr;
    QLabel* m_status = nullptr;
    QComboBox* m_views = nullptr;
    QPushButton *m_pause = nullptr, *m_stop = nullptr;
    QAction *m_example = nullptr, *m_file = nullptr, *m_folder = nullptr, *m_picture = nullptr;
    std::optional<std::string> m_restoredCamera;
};

}  // namespace orrery::plugins
