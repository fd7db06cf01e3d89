#pragma once
#include <QWidget>
#include <optional>

#include "lens_model.h"

class QComboBox;
class QGridLayout;
class QLabel;
class QScrollArea;
class QStackedWidget;
class QToolButton;

namespace orrery::widgets {
class HeatMapView;
}

namespace orrery::plugins {

/// One head's pattern as a small picture that is clicked to be enlarged.
class PatternTile : public QWidget {
    Q_OBJECT
public:
    PatternTile(QString title, const at::Tensor& pattern, QWidget* parent = nullptr);
    QSize sizeHint() const override { return {132, 150}; }
    QSize minimumSizeHint() const override { return {96, 112}; }

Q_SIGNALS:
    void chosen();

protected:
    void paintEvent(QPaintEvent* event) override;
    void mouseReleaseEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;

private:
    QString m_title;
    QImage m_picture;
};

/// Attention patterns: the heads of a layer side by side, one of them large with its tokens.
class AttentionPage : public QWidget {
    Q_OBJECT
public:
    explicit AttentionPage(QWidget* parent = nullptr);
    void show(const LensAnswer& answer);
    void clear();
    int layer() const { return m_wantedLayer; }
    /// Shows one head large; nothing: the overview.
    void choose(int layer, std::optional<int> head);
    void setPosition(int position);
    widgets::HeatMapView* large() const { return m_large; }
    std::optional<int> head() const { return m_head; }
    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    void headChosen(int layer, int head);
    void cellChosen(int query, int key);

private:
    void fill();
    void showLarge();
    QString scoresOf(int head) const;
    std::optional<LensAnswer> m_answer;
    int m_wantedLayer = 0;
    std::optional<int> m_head;
    QComboBox* m_layer;
    QToolButton* m_back;
    QStackedWidget* m_stack;
    QScrollArea* m_scroll;
    widgets::HeatMapView* m_large;
    QLabel* m_caption;
};

}  // namespace orrery::plugins
