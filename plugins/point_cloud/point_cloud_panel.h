#pragma once
#include <QString>
#include <optional>
#include <vector>

#include <core/base/devices.h>
#include <viewers/camera_form.h>
#include <viewers/scene_view.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "cloud_work.h"

class QComboBox;
class QLabel;
class QListWidget;
class QPushButton;

namespace orrery::widgets {
class JobBar;
class SchemaForm;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// A point cloud or mesh of a file: view, filters with undo, measures, export. Opens what the selection names as scene, and what is dropped or chosen.
class PointCloudPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit PointCloudPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~PointCloudPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    std::optional<widgets::ReportItem> reportItem() const override;

    void open(const QString& file);
    /// What is shown; used by undo, too.
    void showCloud(const OpenCloud& cloud, bool isNewScene);
    const std::optional<OpenCloud>& cloud() const { return m_cloud; }
    /// Bytes that opening a file may take; for tests.
    void setMemoryLimit(std::size_t bytes) { m_memory = bytes; }

private:
    enum class Tool { Pick, Distance, Angle };
    void makeActions();
    QWidget* makeContent();
    QWidget* makeCloudPage();
    QWidget* makeMeasurePage();
    void followSelection(widgets::SelectionParts parts);
    void showNothing();
    void chooseFile();
    void chooseFilter();
    void applyFilter();
    void changeStyle(const viewers::CloudStyle& style);
    void click(const QPointF& position);
    void finishMeasure();
    void updateMarks();
    void clearMeasures();
    void updateControls();
    void saveCloud();
    void savePicture();

    std::optional<OpenCloud> m_cloud;
    QString m_file;  ///< asked for, perhaps still on its way
    std::size_t m_memory = core::machineMemory();
    viewers::SceneView* m_view = nullptr;
    viewers::CameraForm* m_camera = nullptr;
    widgets::JobBar* m_bar = nullptr;
    widgets::SchemaForm* m_form = nullptr;
    QComboBox *m_filter = nullptr, *m_tool = nullptr;
    QLabel *m_info = nullptr, *m_picked = nullptr;
    QListWidget *m_applied = nullptr, *m_measures = nullptr;
    QPushButton* m_apply = nullptr;
    QAction *m_open = nullptr, *m_example = nullptr, *m_save = nullptr, *m_picture = nullptr;
    std::optional<viewers::OrbitCamera> m_restored;  ///< for the cloud that the last session showed
    std::vector<scene::Vector3> m_points;            ///< of the measure that is being made
    std::vector<viewers::SceneMark> m_marks;
};

}  // namespace orrery::plugins
