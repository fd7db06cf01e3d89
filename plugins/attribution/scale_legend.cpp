#include "scale_legend.h"

#include <QPainter>

#include <core/report/colour_map.h>
#include <widgets/theme.h>

#include "explanation.h"

namespace orrery::plugins {

ScaleLegend::ScaleLegend(QWidget* parent) : QWidget(parent)
{
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    setAccessibleName(tr("Colour scale"));
}

void ScaleLegend::setMagnitude(double magnitude)
{
    m_magnitude = magnitude;
    const QString text =
        magnitude > 0 ? tr("Common scale: %1 (blue, lowers the output) to %2 (red, raises it)").arg(fullNumber(-magnitude), fullNumber(magnitude))
                      : QString();
    setToolTip(text);
    setAccessibleDescription(text);
    update();
}

QSize ScaleLegend::sizeHint() const
{
    return {260, fontMetrics().height() + 14};
}

void ScaleLegend::paintEvent(QPaintEvent*)
{
    if (m_magnitude <= 0)
        return;
    QPainter painter(this);
    const QRectF bar(1, 1, width() - 2, 9);
    const int steps = std::max(2, int(bar.width()));
    for (int i = 0; i < steps; ++i)
        painter.fillRect(QRectF(bar.left() + i * bar.width() / steps, bar.top(), bar.width() / steps + 1, bar.height()),
                         widgets::toQColor(report::coolwarm().at((i + 0.5) / steps)));
    painter.setPen(palette().color(QPalette::WindowText));
    const QRectF texts(bar.left(), bar.bottom() + 1, bar.width(), height() - bar.bottom() - 1);
    painter.drawText(texts, Qt::AlignLeft | Qt::AlignVCenter, QString::number(-m_magnitude, 'g', 4));
    painter.drawText(texts, Qt::AlignHCenter | Qt::AlignVCenter, QStringLiteral("0"));
    painter.drawText(texts, Qt::AlignRight | Qt::AlignVCenter, QString::number(m_magnitude, 'g', 4));
}

}  // namespace orrery::plugins
