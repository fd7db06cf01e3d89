#include "card_view.h"

#include <QHeaderView>
#include <QLabel>
#include <QMouseEvent>
#include <QPainter>
#include <QStackedLayout>
#include <QVBoxLayout>

#include <widgets/image_view.h>
#include <widgets/theme.h>
#include <widgets/token_view.h>

#include "bars.h"

namespace orrery::plugins {

CardView::CardView(QWidget* parent)
    : QFrame(parent), m_title(new QLabel), m_note(new QLabel), m_nothing(new QLabel), m_picture(new widgets::ImageView), m_channels(new ChannelsView),
      m_tokens(new widgets::TokenView), m_bars(makeTable(tr("Attributions")))
{
    m_title->setTextFormat(Qt::PlainText);
    QFont bold = m_title->font();
    bold.setBold(true);
    m_title->setFont(bold);
    m_title->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_note->setTextFormat(Qt::PlainText);
    m_note->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_nothing->setAlignment(Qt::AlignCenter);
    m_nothing->setWordWrap(true);
    m_picture->setOverlayMap(widgets::MapKind::Diverging);
    m_bars->setColumnCount(2);
    m_bars->horizontalHeader()->hide();
    m_bars->horizontalHeader()->setStretchLastSection(true);
    m_bars->setItemDelegateForColumn(1, new BarDelegate(m_bars));
    auto* views = new QWidget;
    m_stack = new QStackedLayout(views);
    for (QWidget* view : std::initializer_list<QWidget*>{m_nothing, m_picture, m_channels, m_tokens, m_bars}) {
        m_stack->addWidget(view);
        view->installEventFilter(this);
    }
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 3, 4, 4);
    layout->setSpacing(2);
    layout->addWidget(m_title);
    layout->addWidget(views, 1);
    layout->addWidget(m_note);
    setMinimumHeight(170);
    muteNote();
}

QString CardView::noteOf(const Card& card, const PreparedPtr& current) const
{
    QStringList parts;
    if (card.state == CardState::Running)
        parts << (card.result && card.result->partial ? tr("partial, running…") : tr("running…"));
    else if (card.state == CardState::Waiting)
        parts << tr("waiting");
    else if (card.result && card.result->partial)
        parts << tr("partial: cancelled, not stored");
    if (card.result) {
        const Explanation& made = *card.result;
        if (current && !(made.subject->subject == current->subject))
            parts << (!made.subject->subject.texts.empty() ? tr("of another text")
                      : !made.subject->subject.image.isEmpty()
                          ? tr("of another picture")
                          : tr("of %1 sample %2").arg(made.subject->subject.split).arg(made.subject->subject.sample));
        if (made.target >= 0)
            parts << tr("target %1").arg(made.targetName.empty() ? QString::number(made.target) : QString::fromStdString(made.targetName));
        if (!made.subject->sites.empty() && made.site != made.subject->sites.front().name)
            parts << QString::fromStdString(made.site);
    }
    return parts.join(QStringLiteral(" · "));
}

void CardView::fillBars(const Explanation& result, double magnitude)
{
    const int rows = int(result.values.size());
    if (m_bars->rowCount() != rows || !m_shown || m_shown->subject != result.subject || m_shown->ofElements != result.ofElements) {
        m_bars->setRowCount(rows);
        for (int row = 0; row < rows; ++row)
            m_bars->setItem(row, 0, makeItem(result.ofElements ? elementName(*result.subject, std::size_t(row)) : QString::number(row)));
        m_bars->resizeColumnToContents(0);
        m_bars->setColumnWidth(0, std::min(m_bars->columnWidth(0), 120));
    }
    for (int row = 0; row < rows; ++row)
        setBar(m_bars, row, 1, result.values[std::size_t(row)], magnitude);
}

QWidget* CardView::fill(const Explanation& result, const CardLook& look)
{
    const double magnitude = look.magnitude.value_or(result.magnitude);
    const PreparedSubject& subject = *result.subject;
    if (result.shape == ResultShape::Picture && !result.picture.empty()) {
        m_picture->setPixels(result.picture, subject.channels, subject.height, subject.width, 0.0F, 1.0F);
        m_picture->clearOverlay();
        m_picture->setColorBarVisible(false);
        return m_picture;
    }
    if (result.shape == ResultShape::Picture) {
        if (!m_shown || m_shown->subject != result.subject || !m_shown->picture.empty())
            m_picture->setPixels(subject.pixels, subject.channels, subject.height, subject.width, 0.0F, 1.0F);
        m_picture->setOverlay(result.values, result.rows, result.columns);
        m_picture->setOverlayRange(magnitude);
        m_picture->setOverlayOpacity(look.opacity);
        m_picture->setColorBarVisible(!look.magnitude);
        return m_picture;
    }
    if (result.shape == ResultShape::Channels) {
        m_channels->setValues(result.values, result.channels, result.rows, result.columns);
        m_channels->setChoice(look.channels);
        m_channels->setRange(look.magnitude);
        return m_channels;
    }
    if (subject.kind == InputKind::Tokens && result.ofElements) {
        if (!m_shown || m_shown->subject != result.subject || m_tokens->count() == 0)
            showTokens(*m_tokens, subject);
        m_tokens->setValues(result.values, magnitude);
        return m_tokens;
    }
    fillBars(result, magnitude);
    return m_bars;
}

void CardView::showCard(const Card& card, const PreparedPtr& current, const CardLook& look)
{
    const QString settings = summaryOf(card.settings);
    m_title->setText(titleOf(card.settings));
    m_title->setToolTip(settings.isEmpty() ? titleOf(card.settings) : titleOf(card.settings) + QLatin1Char('\n') + settings);
    m_note->setText(noteOf(card, current));
    m_note->setToolTip(m_note->text());
    if (card.result) {
        m_stack->setCurrentWidget(fill(*card.result, look));
        m_wide = m_stack->currentWidget() == m_tokens;
    } else {
        m_nothing->setText(!card.error.isEmpty() ? card.error : tr("Not computed yet: press Explain all."));
        m_stack->setCurrentWidget(m_nothing);
    }
    m_shown = card.result;
}

void CardView::setChosen(bool chosen)
{
    m_chosen = chosen;
    update();
}

void CardView::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    painter.setPen(QPen(m_chosen ? palette().color(QPalette::Highlight) : widgets::themeColors(palette()).gridLine, m_chosen ? 2 : 1));
    painter.drawRect(QRectF(rect()).adjusted(1, 1, -1.5, -1.5));
}

void CardView::muteNote()
{
    QPalette muted = palette();
    muted.setColor(QPalette::WindowText, widgets::themeColors(palette()).mutedText);
    m_note->setPalette(muted);
}

void CardView::changeEvent(QEvent* event)
{
    QFrame::changeEvent(event);
    if (event->type() == QEvent::PaletteChange)
        muteNote();
}

bool CardView::eventFilter(QObject* watched, QEvent* event)
{
    if (event->type() == QEvent::MouseButtonPress)
        Q_EMIT clicked();
    return QFrame::eventFilter(watched, event);
}

void CardView::mousePressEvent(QMouseEvent* event)
{
    Q_EMIT clicked();
    QFrame::mousePressEvent(event);
}

}  // namespace orrery::plugins
