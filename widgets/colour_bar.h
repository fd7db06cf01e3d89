#pragma once
#include <QStringList>
#include <QWidget>

#include <core/report/colour_map.h>

namespace orrery::widgets {

/// The colours of a scale as a lying bar, with what its ends (and places between) stand for below it. UI thread.
class ColourBar : public QWidget {
    Q_OBJECT
public:
    explicit ColourBar(QWidget* parent = nullptr);
    /// @param labels  From the left end to the right, evenly spread: at least two. None: nothing is drawn.
    /// @param title   What the colours stand for: the tool tip, and what is read aloud.
    void setScale(const report::ColourMap& map, const QStringList& labels, const QString& title);
    const QStringList& labels() const { return m_labels; }
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return {120, sizeHint().height()}; }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    const report::ColourMap* m_map = nullptr;  ///< one of those that stand for ever
    QStringList m_labels;
};

}  // namespace orrery::widgets
