#pragma once
#include <QMap>
#include <QSet>
#include <QStringList>
#include <QTimer>
#include <QWidget>
#include <map>
#include <vector>

#include <core/base/json.h>
#include <core/train/run_groups.h>
#include <widgets/background.h>
#include <widgets/plot_view.h>

class QCheckBox;
class QGridLayout;
class QLabel;
class QMenu;
class QSlider;
class QPushButton;

namespace orrery::widgets {
class Session;
}
namespace orrery::store {
class Workspace;
}

namespace orrery::plugins {

/// `val/accuracy` -> `accuracy`: metrics of one name share a plot.
QString metricGroup(const QString& metric);
/// The points of a metric as a plot takes them: mean of each bucket, with a band of minimum and maximum unless every bucket is one point.
widgets::PlotData plotData(const store::MetricSeries& series);
/// The mean with a band of one standard deviation.
widgets::PlotData plotData(const train::MeanCurve& curve);

/// The curves of the chosen runs: one plot for each chosen metric, a run in one colour (train solid, validation dashed, test as a point), live while runs go on.
/// UI thread; points are read in the background, from the store's pyramid.
class RunCurves : public QWidget {
    Q_OBJECT
public:
    explicit RunCurves(widgets::Session& session, QWidget* parent = nullptr);

    /// What curves stand for, in the order of their colours: a run, or a group of runs, whose mean is drawn with a band of one standard deviation.
    struct Line {
        qint64 id = 0;  ///< of the run; of a group a number of its own
        QString title;
        QList<qint64> members;  ///< of a group; empty: a run
        bool operator==(const Line&) const = default;
    };
    void setLines(std::vector<Line> lines);
    /// Points were added to these runs (empty: perhaps to any).
    void refresh(const QList<qint64>& runs);
    bool isIdle() const;
    /// Metrics (`loss`, `accuracy`) that have a plot now.
    QStringList shownMetrics() const { return m_plots.keys(); }
    widgets::PlotView* plot(const QString& metric) const { return m_plots.value(metric); }
    QSlider* smoothingSlider() const { return m_smoothing; }

    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    void idleChanged();

protected:
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    using MetricNames = std::map<qint64, QStringList>;
    void build();
    void buildMenu();
    void readNames();
    void showPlots();
    void showSeries(widgets::PlotView& plot, const QString& group, bool areRetitled = false);
    widgets::PlotSeries series(const Line& line, int position, const QString& metric) const;
    void arrange();
    void applyOptions();
    void showLegend(widgets::PlotView& plot) const;
    QStringList available() const;
    QStringList effective() const;

    widgets::Session& m_session;
    std::vector<Line> m_lines;
    MetricNames m_names;
    QStringList m_chosen{"loss", "accuracy"};
    QMap<QString, widgets::PlotView*> m_plots;
    QWidget* m_area = nullptr;
    QGridLayout* m_grid = nullptr;
    QLabel *m_hint = nullptr, *m_smoothingText = nullptr;
    QPushButton* m_metrics = nullptr;
    QMenu* m_menu = nullptr;
    QSlider* m_smoothing = nullptr;
    QCheckBox *m_logX = nullptr, *m_logY = nullptr, *m_legend = nullptr;
    QTimer m_refreshTimer;
    QSet<qint64> m_stale;
    bool m_isAlone = false;  ///< the series are titled for one line alone
    bool m_allStale = false, m_reading = false, m_readAgain = false;
};

}  // namespace orrery::plugins
