#pragma once
#include <QWidget>

#include "ablation.h"

class QDoubleSpinBox;
class QLabel;
class QPushButton;
class QSpinBox;
class QStackedWidget;
class QTableWidget;

namespace orrery::widgets {
class TokenView;
}

namespace orrery::plugins {

class BrushView;

/// Leaving out by hand: paint on the picture, click tokens, tick features; below it the model's answer before and after, live. UI thread.
class AblationView : public QWidget {
    Q_OBJECT
public:
    explicit AblationView(Ablation& ablation, QWidget* parent = nullptr);
    int brushSize() const;
    void setBrushSize(int pixels);

private:
    QLayout* makeTools();
    void makeInputs();
    void showSubject();
    void showLeftOut();
    void showAnswer();
    void fillAnswerRow(int row, const QString& name, double before, double after);
    void toggle(std::int64_t element);

    Ablation& m_ablation;
    PreparedPtr m_subject;
    QSpinBox* m_size;
    QDoubleSpinBox* m_baseline;
    QPushButton* m_clear;
    QLabel *m_hint, *m_state;
    QStackedWidget* m_inputs;
    BrushView* m_picture;
    widgets::TokenView* m_tokens;
    QTableWidget *m_features, *m_answer;
};

}  // namespace orrery::plugins
