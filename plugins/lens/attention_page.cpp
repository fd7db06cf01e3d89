#include "attention_page.h"

#include <ATen/ATen.h>
#include <QComboBox>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QImage>
#include <QKeyEvent>
#include <QLabel>
#include <QPainter>
#include <QScrollArea>
#include <QStackedWidget>
#include <QStyleOptionFocusRect>
#include <QToolButton>
#include <QVBoxLayout>
#include <cmath>

#include <core/report/colour_map.h>
#include <widgets/heat_map_view.h>
#include <widgets/numbers.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

/// Attention is mostly small: the square root shows where it is not zero.
QImage pictureOf(const at::Tensor& pattern)
{
    const at::Tensor values = pattern.to(at::kFloat).sqrt().contiguous();
    QImage picture(int(values.size(1)), int(values.size(0)), QImage::Format_RGB32);
    const float* value = values.data_ptr<float>();
    for (int y = 0; y < picture.height(); ++y)
        for (int x = 0; x < picture.width(); ++x)
            picture.setPixelColor(x, y, widgets::toQColor(report::viridis().at(double(*value++))));
    return picture;
}

}  // namespace

PatternTile::PatternTile(QString title, const at::Tensor& pattern, QWidget* parent)
    : QWidget(parent), m_title(std::move(title)), m_picture(pictureOf(pattern))
{
    setFocusPolicy(Qt::StrongFocus);
    setCursor(Qt::PointingHandCursor);
    setAccessibleName(m_title);
}

void PatternTile::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    const int line = fontMetrics().height() + 2;
    const int side = std::min(width() - 8, height() - line - 6);
    const QRect area((width() - side) / 2, line + 2, side, side);
    painter.setPen(palette().color(QPalette::WindowText));
    painter.drawText(QRect(0, 0, width(), line), Qt::AlignCenter, fontMetrics().elidedText(m_title, Qt::ElideRight, width()));
    painter.drawImage(area, m_picture);
    painter.setPen(hasFocus() ? QPen(palette().color(QPalette::Highlight), 3) : QPen(palette().color(QPalette::Mid), 1));
    painter.drawRect(area);
}

void PatternTile::mouseReleaseEvent(QMouseEvent* event)
{
    if (rect().contains(event->pos()))
        Q_EMIT chosen();
}

void PatternTile::keyPressEvent(QKeyEvent* event)
{
    if (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter || event->key() == Qt::Key_Space)
        Q_EMIT chosen();
    else
        QWidget::keyPressEvent(event);
}

AttentionPage::AttentionPage(QWidget* parent)
    : QWidget(parent), m_layer(new QComboBox), m_back(new QToolButton), m_stack(new QStackedWidget), m_scroll(new QScrollArea),
      m_large(new widgets::HeatMapView), m_caption(new QLabel)
{
    m_layer->setAccessibleName(tr("Layer"));
    m_layer->setObjectName(QStringLiteral("attentionLayer"));
    connect(m_layer, &QComboBox::activated, this, [this](int layer) { choose(layer, m_head); });
    m_back->setText(tr("All heads"));
    m_back->setToolTip(tr("Back to all heads of this layer"));
    m_back->setObjectName(QStringLiteral("allHeads"));
    connect(m_back, &QToolButton::clicked, this, [this] { choose(m_wantedLayer, std::nullopt); });
    m_scroll->setWidgetResizable(true);
    m_scroll->setFrameShape(QFrame::NoFrame);
    m_large->setAxisTitles(tr("Query"), tr("Key"));
    m_large->setValueTitle(tr("attention"));
    m_large->setColorRange(0, 1);
    m_large->setObjectName(QStringLiteral("pattern"));
    connect(m_large, &widgets::HeatMapView::currentCellChanged, this, &AttentionPage::cellChosen);
    m_caption->setWordWrap(true);
    m_caption->setObjectName(QStringLiteral("attentionCaption"));
    m_caption->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_stack->addWidget(m_scroll);
    m_stack->addWidget(m_large);
    auto* label = new QLabel(tr("La&yer"));
    label->setBuddy(m_layer);
    auto* row = new QHBoxLayout;
    row->addWidget(label);
    row->addWidget(m_layer);
    row->addWidget(m_back);
    row->addStretch(1);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addLayout(row);
    layout->addWidget(m_stack, 1);
    layout->addWidget(m_caption);
    m_back->hide();
}

void AttentionPage::show(const LensAnswer& answer)
{
    m_answer = answer;
    const auto& made = std::get<intervene::AttentionPatterns>(answer.result.value);
    m_wantedLayer = std::clamp(m_wantedLayer, 0, int(made.patterns.size()) - 1);
    const QSignalBlocker blocker(m_layer);
    m_layer->clear();
    for (std::size_t layer = 0; layer < made.patterns.size(); ++layer)
        m_layer->addItem(QString::number(layer));
    fill();
}

void AttentionPage::clear()
{
    m_answer.reset();
    m_scroll->setWidget(new QWidget);
    m_large->setMatrix({}, 0, 0);
    m_caption->clear();
    m_layer->clear();
}

void AttentionPage::choose(int layer, std::optional<int> head)
{
    m_wantedLayer = layer;
    m_head = head;
    if (m_answer)
        fill();
    if (head)
        Q_EMIT headChosen(layer, *head);
}

QString AttentionPage::scoresOf(int head) const
{
    const auto& scores = std::get<intervene::AttentionPatterns>(m_answer->result.value).scores;
    const auto text = [&](const at::Tensor& values) {
        const double value = values[m_wantedLayer][head].item<double>();
        return std::isnan(value) ? QStringLiteral("–") : widgets::fixedNumber(value, 3);
    };
    return tr("Head %1.%2 on these tokens: previous token %3, duplicate token %4, induction %5, first token %6, entropy %7 nats")
        .arg(m_wantedLayer)
        .arg(head)
        .arg(text(scores.previousToken), text(scores.duplicateToken), text(scores.induction), text(scores.firstToken), text(scores.entropy));
}

void AttentionPage::fill()
{
    const auto& made = std::get<intervene::AttentionPatterns>(m_answer->result.value);
    m_wantedLayer = std::clamp(m_wantedLayer, 0, int(made.patterns.size()) - 1);
    m_layer->setCurrentIndex(m_wantedLayer);
    const at::Tensor& patterns = made.patterns[std::size_t(m_wantedLayer)];
    if (m_head && *m_head >= patterns.size(0))
        m_head.reset();
    m_back->setVisible(m_head.has_value());
    m_stack->setCurrentIndex(m_head ? 1 : 0);
    if (m_head)
        return showLarge();
    m_caption->setText(
        tr("Rows are queries, columns keys; dark is 0, bright 1 (colours follow the square root of the attention). Choose a head to enlarge it."));
    auto* body = new QWidget;
    auto* grid = new QGridLayout(body);
    const int across = std::max(1, m_scroll->viewport()->width() / 140);
    for (int head = 0; head < patterns.size(0); ++head) {
        auto* tile = new PatternTile(QStringLiteral("%1.%2").arg(m_wantedLayer).arg(head), patterns[head]);
        tile->setToolTip(scoresOf(head));
        connect(
            tile, &PatternTile::chosen, this, [this, head] { choose(m_wantedLayer, head); }, Qt::QueuedConnection);
        grid->addWidget(tile, head / across, head % across);
    }
    grid->setRowStretch(int(patterns.size(0)) / across + 1, 1);
    m_scroll->setWidget(body);
}

void AttentionPage::showLarge()
{
    const auto& made = std::get<intervene::AttentionPatterns>(m_answer->result.value);
    const at::Tensor pattern = made.patterns[std::size_t(m_wantedLayer)][*m_head].to(at::kDouble).contiguous();
    m_large->setMatrix({pattern.data_ptr<double>(), pattern.data_ptr<double>() + pattern.numel()}, int(pattern.size(0)), int(pattern.size(1)));
    m_large->setLabels(m_answer->prepared->names, m_answer->prepared->names);
    m_caption->setText(scoresOf(*m_head));
}

void AttentionPage::setPosition(int position)
{
    if (!m_head || position < 0 || position >= m_large->rows())
        return;
    const auto now = m_large->currentCell();
    if (now && now->first == position)
        return;
    const QSignalBlocker blocker(m_large);
    m_large->setCurrentCell(position, now ? now->second : position);
}

core::Json AttentionPage::saveState() const
{
    return {{"layer", m_wantedLayer}, {"head", m_head ? core::Json(*m_head) : core::Json()}};
}

void AttentionPage::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    if (state.contains("layer") && state["layer"].is_number_integer())
        m_wantedLayer = std::max(0, state["layer"].get<int>());
    if (state.contains("head") && state["head"].is_number_integer() && state["head"].get<int>() >= 0)
        m_head = state["head"].get<int>();
}

}  // namespace orrery::plugins
