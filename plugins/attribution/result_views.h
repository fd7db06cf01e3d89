#pragma once
#include <QWidget>
#include <memory>
#include <vector>

#include "channels_view.h"
#include "explanation.h"

class QComboBox;
class QLabel;
class QSlider;
class QTableWidget;

namespace orrery::widgets {
class ImageView;
class TokenView;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// The numbers of an explanation as a small table. `running`: a partial one still grows.
QString numbersHtml(const Explanation& made, bool running);

/// One explanation of a picture: the input beside the attribution over it.
class PictureResult : public QWidget {
    Q_OBJECT
public:
    explicit PictureResult(QWidget* parent = nullptr);
    void showInput(const PreparedSubject& subject);
    void showExplanation(const Explanation& explanation);
    double opacity() const;
    void setOpacity(double opacity);

Q_SIGNALS:
    void opacityChanged(double opacity);

private:
    widgets::ImageView *m_input, *m_overlay;
    QSlider* m_opacity;
    bool m_showsFound = false;  ///< an input that was found stands where the attribution stands else
};

/// Features or tokens with their values and attributions as numbers and bars, the scale symmetric around zero; texts are shown coloured above.
class ListResult : public QWidget {
    Q_OBJECT
public:
    explicit ListResult(QWidget* parent = nullptr);
    void showInput(const PreparedSubject& subject);
    void showExplanation(const Explanation& explanation);
    void choosePosition(int position);

Q_SIGNALS:
    void positionChosen(int position);

private:
    void fillRows(const PreparedSubject& subject, std::size_t count, bool ofElements);

    widgets::TokenView* m_text;
    QTableWidget* m_table;
};

/// One explanation at an inner value, with the choice of how its channels are looked at.
class ChannelsResult : public QWidget {
    Q_OBJECT
public:
    explicit ChannelsResult(QWidget* parent = nullptr);
    void clear();
    void showExplanation(const Explanation& explanation);
    const ChannelChoice& choice() const { return m_choice; }
    void setChoice(const ChannelChoice& choice);

Q_SIGNALS:
    void choiceChanged(const orrery::plugins::ChannelChoice& choice);

private:
    void updateControls();

    ChannelsView* m_view;
    QComboBox* m_mode;
    QSlider* m_index;
    QLabel *m_indexText, *m_scale;
    ChannelChoice m_choice;
};

}  // namespace orrery::plugins
