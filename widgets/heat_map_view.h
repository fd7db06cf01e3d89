#pragma once
#include <QList>
#include <QString>
#include <QStringList>
#include <QWidget>
#include <memory>
#include <optional>
#include <vector>

#include <core/report/colour_map.h>

class QAction;

namespace orrery::widgets {

/// Sequential: from low to high (viridis). Diverging: symmetric around zero (coolwarm).
using MapKind = report::MapKind;

/// Which numbers colour the cells of a confusion matrix.
enum class Normalisation { None, Rows, Columns };

/// A matrix as coloured cells with row and column names: confusion matrices, attention patterns, weights. Numbers stand in the cells when they fit,
/// black or white by the cell's own lightness. Value under the pointer as tooltip, keyboard cursor, export. UI thread.
class HeatMapView : public QWidget {
    Q_OBJECT
public:
    explicit HeatMapView(QWidget* parent = nullptr);
    ~HeatMapView() override;

    /// @param values  rows * columns numbers, row-major. NaN cells are hatched. @throws core::ShapeError if the count differs.
    void setMatrix(std::vector<double> values, int rows, int columns);
    /// Empty lists: numbers from 0.
    void setLabels(const QStringList& rows, const QStringList& columns);
    void setAxisTitles(const QString& rows, const QString& columns);
    /// What the colours stand for, with its unit: written along the colour bar.
    void setValueTitle(const QString& title);
    QString valueTitle() const;
    void setMapKind(MapKind kind);
    /// Colours follow the share within the row or column; the numbers in the cells stay as they are, the tooltip gives both.
    void setNormalisation(Normalisation normalisation);
    /// Value range of the colours; nothing: from the data (symmetric for Diverging).
    void setColorRange(std::optional<double> low, std::optional<double> high);
    /// 0: chosen from the values. Digits after the point.
    void setDecimals(std::optional<int> decimals);
    int rows() const;
    int columns() const;
    double value(int row, int column) const;
    /// Text drawn in a cell now; empty if it does not fit.
    QString cellText(int row, int column) const;
    QColor cellColor(int row, int column) const;
    /// In this widget's coordinates.
    QRectF cellRect(int row, int column) const;
    std::optional<std::pair<int, int>> currentCell() const;
    void setCurrentCell(int row, int column);

    /// As `PlotView::exportTo`: png, svg, pdf, csv.
    void exportTo(const QString& file, QSize size = {}) const;
    QString toCsv() const;
    QList<QAction*> exportActions() const;
    QSize sizeHint() const override { return {420, 380}; }
    QSize minimumSizeHint() const override { return {140, 120}; }

Q_SIGNALS:
    void cellClicked(int row, int column);
    void currentCellChanged(int row, int column);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
