#pragma once
#include <QColor>
#include <QList>
#include <QString>
#include <QStringList>
#include <QWidget>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

class QAction;

namespace orrery::widgets {

/// Points in a plane, coloured by category (colour and shape of the marker, so that either suffices) or by number, with a legend. Selecting by click or
/// rubber band (Shift adds), zoom by wheel, pan by the middle button. Keyboard: left and right step through the points, + - zoom, Home shows all, Ctrl+A
/// selects all, Escape none. Ten thousand points are painted once into a picture, so that selecting and hovering only lay something over it. Follows the
/// palette. UI thread.
class ScatterView : public QWidget {
    Q_OBJECT
public:
    explicit ScatterView(QWidget* parent = nullptr);
    ~ScatterView() override;

    /// Replaces the points and shows all; the selection and the colours stay if there are as many as before. NaN points are not drawn.
    /// @throws core::ShapeError if x and y differ in length.
    void setPoints(std::vector<double> x, std::vector<double> y);
    int count() const;
    QPointF point(int index) const;
    void setAxisTitles(const QString& x, const QString& y);

    /// Colours by category: a number into `names` for each point; -1: none (grey). @throws core::ShapeError for another count.
    void setCategories(std::vector<int> categories, const QStringList& names, const QString& title = {});
    /// Colours by number, viridis from the smallest to the largest. @throws core::ShapeError for another count.
    void setNumbers(std::vector<double> numbers, const QString& title);
    /// One colour for all.
    void clearColours();
    QColor pointColour(int index) const;
    QStringList legend() const;

    QList<int> selected() const;
    /// Emits nothing.
    void setSelected(const QList<int>& indices);
    /// Text (rich) for a point under the pointer.
    void setToolTipText(std::function<QString(int index)> text);

    /// Where a point is drawn, in this widget's coordinates; and the point drawn there, within 6 px.
    QPointF toPixel(int index) const;
    std::optional<int> pointAt(QPointF position) const;
    void showAll();

    /// png, svg, pdf; csv: x, y, colour. @throws as `PlotView::exportTo`.
    void exportTo(const QString& file, QSize size = {}) const;
    QString toCsv() const;
    QList<QAction*> exportActions() const;
    QSize sizeHint() const override { return {420, 380}; }
    QSize minimumSizeHint() const override { return {160, 140}; }

Q_SIGNALS:
    /// By mouse or keyboard; ascending.
    void selectionChanged(const QList<int>& indices);
    /// Double click or Enter.
    void pointActivated(int index);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void mouseDoubleClickEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void changeEvent(QEvent* event) override;
    bool event(QEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

private:
    void select(const QList<int>& indices);
    void step(int change);
    void zoom(double factor, QPointF around);

    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
