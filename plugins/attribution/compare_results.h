#pragma once
#include <QWidget>
#include <map>

#include "card_view.h"

class QComboBox;
class QGridLayout;
class QLabel;
class QScrollArea;
class QToolButton;

namespace orrery::plugins {

class MethodTable;
class ScaleLegend;

/// The chosen methods side by side, on one common colour scale or each on its own, above the table of their numbers. UI thread.
class CompareResults : public QWidget {
    Q_OBJECT
public:
    explicit CompareResults(Cards& cards, QWidget* parent = nullptr);
    void setSubject(const PreparedPtr& subject);
    void setOpacity(double opacity);
    void setChannels(const ChannelChoice& channels);
    bool isScaleCommon() const;
    void setScaleCommon(bool common);
    void setRunning(bool running);
    /// Number of results on show.
    int shown() const;
    int chosen() const;
    void choose(int id);
    MethodTable* table() const { return m_table; }

Q_SIGNALS:
    void explainAllAsked();
    void measureAsked();
    void cardChosen(int id);

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    QLayout* makeTools();
    void rebuild();
    int columnsThatFit() const;
    void arrange();
    void showCard(int id);
    void showScale();
    CardLook look() const;

    Cards& m_cards;
    PreparedPtr m_subject;
    double m_opacity = 0.7, m_magnitude = -1;
    ChannelChoice m_channels;
    std::map<int, CardView*> m_views;
    int m_columns = 0;
    QToolButton *m_all = nullptr, *m_measure = nullptr, *m_remove = nullptr, *m_up = nullptr, *m_down = nullptr;
    QComboBox* m_scale = nullptr;
    ScaleLegend* m_legend;
    QLabel* m_hint;
    QWidget* m_body;
    QGridLayout* m_grid;
    QScrollArea* m_scroll;
    MethodTable* m_table;
};

}  // namespace orrery::plugins
