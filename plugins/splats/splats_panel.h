#pragma once
#include <QString>
#include <optional>

#include <viewers/camera_form.h>
#include <viewers/splat_view.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "run_follower.h"
#include "splat_work.h"

class QLabel;
class QTabWidget;

namespace orrery::widgets {
class JobBar;
class PlotView;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// Gaussians of a file, or of a run, also while it trains: view, crop, statistics, the values of one, export. Opens what the selection names as scene if it
/// is a PLY of Gaussians, and follows the first selected run if it trains Gaussians.
class SplatsPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit SplatsPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~SplatsPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    std::optional<widgets::ReportItem> reportItem() const override;
    bool isIdle() const override;

    /// A file or `synthetic:room`.
    void open(const QString& file);
    void followRun(qint64 run);
    const std::optional<OpenSplats>& splats() const { return m_splats; }
    /// Bytes that opening a file may take; for tests.
    void setMemoryLimit(std::size_t bytes) { m_memory = bytes; }

private:
    void makeActions();
    QWidget* makeContent();
    QWidget* makeTabs();
    QWidget* makeStatisticsPage();
    void connectFollower();
    void followSelection(widgets::SelectionParts parts);
    void openIfSplats(const QString& file);
    void followIfSplats(qint64 run);
    void showNothing();
    void showSplats(const OpenSplats& splats);
    void showStatistics();
    void showGaussian(std::optional<std::uint32_t> gaussian);
    void updateControls();
    void click(const QPointF& position);
    void chooseFile();
    void saveSplats();
    void savePicture();

    viewers::SplatView* m_view = nullptr;
    widgets::JobBar* m_bar = nullptr;
    QTabWidget* m_tabs = nullptr;
    QLabel *m_title = nullptr, *m_info = nullptr, *m_gaussian = nullptr;
    widgets::PlotView *m_opacities = nullptr, *m_sizes = nullptr;
    QAction *m_open = nullptr, *m_example = nullptr, *m_save = nullptr, *m_picture = nullptr, *m_copy = nullptr;
    RunFollower m_follower;
    std::optional<OpenSplats> m_splats;
    QString m_source;  ///< what is shown or being opened
    std::optional<std::uint32_t> m_picked;
    std::optional<viewers::OrbitCamera> m_restored;
    std::size_t m_memory;
};

}  // namespace orrery::plugins
