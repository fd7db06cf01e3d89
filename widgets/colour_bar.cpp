#include "colour_bar.h"

#include <QPainter>
#include <algorithm>

#include "theme.h"

namespace orrery::widgets {

ColourBar::ColourBar(QWidget* parent) : QWidget(parent)
{
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    setAccessibleName(tr("Colour scale"));
}

void ColourBar::setScale(const report::ColourMap& map, const QStringList& labels, const QString& title)
{
    m_map = &map;
    m_labels = labels;
    setToolTip(title);
    setAccessibleDescription(title);
    update();
}

QSize ColourBar::sizeHint() const
{
    return {260, fontMetrics().height() + 14};
}

void ColourBar::paintEvent(QPaintEvent*)
{
    if (!m_map || m_labels.size() < 2)
        return;
    QPainter painter(this);
    const QRectF bar(1, 1, width() - 2, 9);
    const int steps = std::max(2, int(bar.width()));
    for (int i = 0; i < steps; ++i)
        painter.fillRect(QRectF(bar.left() + i * bar.width() / steps, bar.top(), bar.width() / steps + 1, bar.height()),
                         toQColor(m_map->at((i + 0.5) / steps)));
    painter.setPen(palette().color(QPalette::WindowText));
    const QRectF texts(bar.left(), bar.bottom() + 1, bar.width(), height() - bar.bottom() - 1);
    const auto last = m_labels.size() - 1;
    for (qsizetype i = 0; i <= last; ++i) {
        const double width = fontMetrics().horizontalAdvance(m_labels[i]);
        const double left = std::clamp(texts.left() + texts.width() * double(i) / double(last) - width / 2, texts.left(),
                                       std::max(texts.left(), texts.right() - width));
        painter.drawText(QRectF(left, texts.top(), width + 1, texts.height()), Qt::AlignLeft | Qt::AlignVCenter, m_labels[i]);
    }
}

}  // namespace orrery::widgets
