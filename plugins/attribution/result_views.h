#pragma once
#include <QWidget>
#include <memory>
#include <vector>

#include "attribution_model.h"

class QLabel;
class QSlider;
class QTableWidget;
class QTextEdit;

namespace orrery::widgets {
class ImageView;
}

namespace orrery::plugins {

/// One explanation of a picture: the input beside the attribution over it.
class PictureResult : public QWidget {
    Q_OBJECT
public:
    explicit PictureResult(QWidget* parent = nullptr);
    void showInput(const PreparedSubject& subject);
    void showExplanation(const Explanation& explanation);
    double opacity() const;
    void setOpacity(double opacity);
    widgets::ImageView* overlayView() const { return m_overlay; }

private:
    widgets::ImageView *m_input, *m_overlay;
    QSlider* m_opacity;
};

/// Features or tokens with their values and attributions as numbers and bars, the scale symmetric around zero; texts are shown coloured above.
class ListResult : public QWidget {
    Q_OBJECT
public:
    explicit ListResult(QWidget* parent = nullptr);
    void showInput(const PreparedSubject& subject);
    void showExplanation(const Explanation& explanation);
    QTableWidget* table() const { return m_table; }

Q_SIGNALS:
    void positionChosen(int position);

private:
    void fillRows(const PreparedSubject& subject);
    void showText(const PreparedSubject& subject, const std::vector<double>& values, double magnitude);

    QTextEdit* m_text;
    QTableWidget* m_table;
};

/// The last results on one common scale, side by side (pictures) or as columns (lists).
class CompareResults : public QWidget {
    Q_OBJECT
public:
    explicit CompareResults(QWidget* parent = nullptr);
    /// Newest first; those of another kind or size than the newest are left out.
    void setExplanations(const std::vector<std::shared_ptr<const Explanation>>& explanations);
    int shown() const { return m_shown; }

private:
    void showPictures(const std::vector<std::shared_ptr<const Explanation>>& chosen, double magnitude);
    void showTable(const std::vector<std::shared_ptr<const Explanation>>& chosen, double magnitude);

    QWidget* m_body = nullptr;
    QLabel* m_scale;
    int m_shown = 0;
};

}  // namespace orrery::plugins
