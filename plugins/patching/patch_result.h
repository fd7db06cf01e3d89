#pragma once
#include <QWidget>
#include <optional>
#include <vector>

#include "patching_model.h"

class QComboBox;
class QLabel;
class QTableWidget;

namespace orrery::widgets {
class HeatMapView;
}

namespace orrery::plugins {

/// The maps of a sweep as one heat map at a time, filled in while it runs, and the classes of the cell that was chosen.
class PatchResultView : public QWidget {
    Q_OBJECT
public:
    explicit PatchResultView(QWidget* parent = nullptr);

    /// Empty maps of a sweep that begins.
    void start(const PatchSweepPtr& sweep);
    void clear();
    /// Finished cells; those of an older sweep are ignored.
    void addCells(const PatchSweep* sweep, const std::vector<intervene::PatchCell>& cells);
    const PatchSweepPtr& sweep() const { return m_sweep; }
    std::size_t finished() const { return m_finished; }

    /// What the run of a cell answers.
    void showClasses(const intervene::PatchCell& cell, const std::vector<ClassInRuns>& classes);
    /// Makes the cell of a value and column current, if there is one; emits nothing.
    void select(const QString& value, std::optional<qint64> column);
    int mapIndex() const;
    void setMapIndex(int index);

Q_SIGNALS:
    /// A cell that has a value was clicked or reached by keys.
    void cellChosen(const orrery::intervene::PatchCell& cell);

private:
    void fillChoices();
    void showMap();
    void chooseCell(int row, int column);
    QStringList rowLabels() const;
    std::optional<intervene::PatchCell> cellAt(int row, int column) const;
    bool headsAreColumns() const;

    PatchSweepPtr m_sweep;
    std::vector<std::vector<double>> m_cells;  ///< of each map, [site, head, column]
    std::size_t m_finished = 0;
    std::optional<intervene::PatchCell> m_chosen;
    QComboBox *m_map, *m_head;
    QLabel *m_mapLabel, *m_headLabel, *m_place;
    widgets::HeatMapView* m_heat;
    QTableWidget* m_classes;
};

}  // namespace orrery::plugins
