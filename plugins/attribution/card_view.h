#pragma once
#include <QFrame>

#include "cards.h"
#include "channels_view.h"

class QLabel;
class QStackedLayout;
class QTableWidget;

namespace orrery::widgets {
class ImageView;
class TokenView;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// How all cards are shown.
struct CardLook {
    std::optional<double> magnitude;  ///< the common scale; nothing: each its own
    double opacity = 0.7;
    ChannelChoice channels;
};

/// One card of the comparison: title, state, and the result in the view that fits it.
class CardView : public QFrame {
    Q_OBJECT
public:
    explicit CardView(QWidget* parent = nullptr);
    /// @param current  The subject on show; results of another one say so.
    void showCard(const Card& card, const PreparedPtr& current, const CardLook& look);
    void setChosen(bool chosen);
    bool isWide() const { return m_wide; }

Q_SIGNALS:
    void clicked();

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void paintEvent(QPaintEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    void muteNote();
    QString noteOf(const Card& card, const PreparedPtr& current) const;
    QWidget* fill(const Explanation& result, const CardLook& look);
    void fillBars(const Explanation& result, double magnitude);

    QLabel *m_title, *m_note, *m_nothing;
    QStackedLayout* m_stack;
    widgets::ImageView* m_picture;
    ChannelsView* m_channels;
    widgets::TokenView* m_tokens;
    QTableWidget* m_bars;
    ExplanationPtr m_shown;
    bool m_wide = false, m_chosen = false;
};

}  // namespace orrery::plugins
