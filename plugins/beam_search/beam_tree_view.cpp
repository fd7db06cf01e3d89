#include "beam_tree_view.h"

#include <QHelpEvent>
#include <QPainter>
#include <QPainterPath>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include <core/report/colour_map.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr int kNodeWidth = 44, kNodeHeight = 24, kColumn = 84, kRow = 32, kMargin = 12;

}  // namespace

BeamTreeView::BeamTreeView(QWidget* parent) : QWidget(parent)
{
    setObjectName("tree");
    setAccessibleName(tr("Tree of kept prefixes"));
}

void BeamTreeView::setResult(intervene::BeamResult result, std::vector<std::vector<QString>> tokenTexts)
{
    m_result = std::move(result);
    m_texts = std::move(tokenTexts);
    m_path.clear();
    std::size_t most = 0;
    for (const auto& nodes : m_result.steps)
        most = std::max(most, nodes.size());
    setFixedSize(2 * kMargin + int(m_result.steps.size()) * kColumn, 2 * kMargin + int(most) * kRow);
    update();
}

void BeamTreeView::setHypothesis(std::optional<int> index)
{
    m_path = index && *index < int(m_result.hypotheses.size()) ? m_result.pathOf(m_result.hypotheses[std::size_t(*index)]) : std::vector<int>();
    update();
}

QRect BeamTreeView::nodeRect(int step, int node) const
{
    return {kMargin + step * kColumn, kMargin + node * kRow, kNodeWidth, kNodeHeight};
}

double BeamTreeView::tokenProbability(int step, int node) const
{
    const auto& own = m_result.steps[std::size_t(step)][std::size_t(node)];
    const double before = step == 0 || own.parent < 0 ? 0 : m_result.steps[std::size_t(step) - 1][std::size_t(own.parent)].logProbability;
    return std::exp(own.logProbability - before);
}

QString BeamTreeView::nodeText(int step, int node) const
{
    return m_texts[std::size_t(step)][std::size_t(node)];
}

bool BeamTreeView::isOnPath(int step, int node) const
{
    return std::size_t(step) < m_path.size() && m_path[std::size_t(step)] == node;
}

QColor BeamTreeView::nodeColor(int step, int node) const
{
    return widgets::toQColor(report::viridis().atScaled(tokenProbability(step, node), 0, 1));
}

void BeamTreeView::paintEdges(QPainter& painter) const
{
    const auto colors = widgets::themeColors(palette());
    for (int step = 1; step < int(m_result.steps.size()); ++step)
        for (int node = 0; node < int(m_result.steps[std::size_t(step)].size()); ++node) {
            const int parent = m_result.steps[std::size_t(step)][std::size_t(node)].parent;
            const bool thick = isOnPath(step, node) && isOnPath(step - 1, parent);
            painter.setPen(QPen(thick ? palette().color(QPalette::Text) : colors.axisLine, thick ? 2.5 : 1));
            const QPointF from = nodeRect(step - 1, parent).center() + QPointF(kNodeWidth / 2.0, 0),
                          to = nodeRect(step, node).center() - QPointF(kNodeWidth / 2.0, 0);
            QPainterPath path(from);
            const double middle = (from.x() + to.x()) / 2;
            path.cubicTo({middle, from.y()}, {middle, to.y()}, to);
            painter.drawPath(path);
        }
}

void BeamTreeView::paintNode(QPainter& painter, int step, int node) const
{
    const QColor fill = nodeColor(step, node);
    const auto& own = m_result.steps[std::size_t(step)][std::size_t(node)];
    painter.setPen(isOnPath(step, node) ? QPen(palette().color(QPalette::Text), 2.5) : QPen(fill.darker(130), 1));
    painter.setBrush(fill);
    painter.drawRoundedRect(nodeRect(step, node), own.ended ? kNodeHeight / 2.0 : 3, own.ended ? kNodeHeight / 2.0 : 3);
    painter.setPen(widgets::textColorOn(fill));
    painter.drawText(nodeRect(step, node), Qt::AlignCenter,
                     painter.fontMetrics().elidedText(m_texts[std::size_t(step)][std::size_t(node)], Qt::ElideRight, kNodeWidth - 4));
}

void BeamTreeView::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    paintEdges(painter);
    for (int step = 0; step < int(m_result.steps.size()); ++step)
        for (int node = 0; node < int(m_result.steps[std::size_t(step)].size()); ++node)
            paintNode(painter, step, node);
}

bool BeamTreeView::event(QEvent* event)
{
    if (event->type() != QEvent::ToolTip)
        return QWidget::event(event);
    const auto* help = static_cast<QHelpEvent*>(event);
    const int step = (help->pos().x() - kMargin) / kColumn, node = (help->pos().y() - kMargin) / kRow;
    const bool hit = step >= 0 && node >= 0 && step < int(m_result.steps.size()) && node < int(m_result.steps[std::size_t(step)].size()) &&
                     nodeRect(step, node).contains(help->pos());
    if (hit)
        QToolTip::showText(help->globalPos(),
                           tr("token \"%1\", step %2\nprobability given the prefix %3\nlog probability of the prefix %4")
                               .arg(nodeText(step, node))
                               .arg(step + 1)
                               .arg(tokenProbability(step, node), 0, 'g', 6)
                               .arg(m_result.steps[std::size_t(step)][std::size_t(node)].logProbability, 0, 'g', 8),
                           this);
    else
        QToolTip::hideText();
    return true;
}

}  // namespace orrery::plugins
