#include "result_views.h"

#include <QComboBox>
#include <QHeaderView>
#include <QLabel>
#include <QSlider>
#include <QTableWidget>
#include <QVBoxLayout>
#include <cmath>
#include <utility>

#include <widgets/image_view.h>
#include <widgets/numbers.h>
#include <widgets/token_view.h>

#include "bars.h"

namespace orrery::plugins {

PictureResult::PictureResult(QWidget* parent)
    : QWidget(parent), m_input(new widgets::ImageView), m_overlay(new widgets::ImageView), m_opacity(new QSlider(Qt::Horizontal))
{
    m_input->setAccessibleName(tr("Input"));
    m_overlay->setAccessibleName(tr("Attribution over the input"));
    m_overlay->setObjectName(QStringLiteral("overlay"));
    m_input->setColorBarVisible(false);
    m_overlay->setColorBarVisible(true);
    m_overlay->setOverlayMap(widgets::MapKind::Diverging);
    m_opacity->setRange(0, 100);
    m_opacity->setValue(70);
    m_opacity->setAccessibleName(tr("Opacity of the attribution"));
    m_opacity->setToolTip(tr("Opacity of the attribution over the input"));
    m_opacity->setObjectName(QStringLiteral("opacity"));
    connect(m_opacity, &QSlider::valueChanged, this, [this](int value) {
        m_overlay->setOverlayOpacity(value / 100.0);
        Q_EMIT opacityChanged(value / 100.0);
    });
    auto* label = new QLabel(tr("&Opacity"));
    label->setBuddy(m_opacity);
    auto* views = new QHBoxLayout;
    views->addWidget(m_input, 4);
    views->addWidget(m_overlay, 5);
    auto* row = new QHBoxLayout;
    row->addWidget(label);
    row->addWidget(m_opacity, 1);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addLayout(views, 1);
    layout->addLayout(row);
}

double PictureResult::opacity() const
{
    return m_opacity->value() / 100.0;
}

void PictureResult::setOpacity(double opacity)
{
    m_opacity->setValue(int(std::lround(opacity * 100)));
}

void PictureResult::showInput(const PreparedSubject& subject)
{
    for (auto* view : {m_input, m_overlay})
        view->setPixels(subject.pixels, subject.channels, subject.height, subject.width, 0.0F, 1.0F);
    m_overlay->clearOverlay();
}

void PictureResult::showExplanation(const Explanation& explanation)
{
    if (!explanation.picture.empty()) {
        m_overlay->setPixels(explanation.picture, explanation.subject->channels, explanation.rows, explanation.columns, 0.0F, 1.0F);
        m_showsFound = true;
        return m_overlay->clearOverlay();
    }
    if (std::exchange(m_showsFound, false))
        showInput(*explanation.subject);
    m_overlay->setOverlay(explanation.values, explanation.rows, explanation.columns);
    m_overlay->setOverlayOpacity(opacity());
}

ListResult::ListResult(QWidget* parent) : QWidget(parent), m_text(new widgets::TokenView), m_table(makeTable(tr("Attribution of each feature")))
{
    m_text->setAccessibleName(tr("Text coloured by attribution"));
    m_text->setObjectName(QStringLiteral("tokens"));
    m_table->setColumnCount(4);
    m_table->setHorizontalHeaderLabels({tr("Feature"), tr("Value"), tr("Attribution"), QString()});
    m_table->setItemDelegateForColumn(3, new BarDelegate(m_table));
    m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::Interactive);
    m_table->horizontalHeader()->setStretchLastSection(true);
    m_table->setObjectName(QStringLiteral("features"));
    connect(m_table, &QTableWidget::currentCellChanged, this, [this](int row, int, int before, int) {
        if (row == before || row < 0)
            return;
        m_text->setCurrent(row);
        Q_EMIT positionChosen(row);
    });
    connect(m_text, &widgets::TokenView::currentChanged, this, [this](int token) {
        if (token >= 0 && token < m_table->rowCount())
            m_table->setCurrentCell(token, 0);
    });
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addWidget(m_text, 2);
    layout->addWidget(m_table, 3);
}

void ListResult::fillRows(const PreparedSubject& subject, std::size_t count, bool ofElements)
{
    const bool tokens = ofElements && subject.kind == InputKind::Tokens;
    m_table->setHorizontalHeaderLabels({tokens       ? tr("Token")
                                        : ofElements ? tr("Feature")
                                                     : tr("Unit"),
                                        tokens ? tr("Position") : tr("Value"), tr("Attribution"), QString()});
    m_table->setRowCount(int(count));
    m_table->setColumnHidden(1, !ofElements);
    for (std::size_t i = 0; i < count; ++i) {
        const bool valued = ofElements && !tokens && i < subject.values.size();
        m_table->setItem(int(i), 0, makeItem(ofElements ? elementName(subject, i) : QString::number(i)));
        m_table->setItem(int(i), 1, makeItem(valued ? widgets::shownNumber(subject.values[i]) : QString::number(i), true));
        m_table->setItem(int(i), 2, makeItem({}, true));
        m_table->setItem(int(i), 3, makeItem({}));
    }
}

void ListResult::showInput(const PreparedSubject& subject)
{
    const QSignalBlocker blocker(m_table);
    const bool tokens = subject.kind == InputKind::Tokens;
    m_text->setVisible(tokens);
    if (tokens)
        showTokens(*m_text, subject);
    else
        m_text->setTokens({});
    fillRows(subject, tokens || subject.values.empty() ? subject.names.size() : subject.values.size(), true);
    m_table->resizeColumnToContents(0);
    m_table->resizeColumnToContents(1);
}

void ListResult::showExplanation(const Explanation& explanation)
{
    const QSignalBlocker blocker(m_table);
    if (m_table->rowCount() != int(explanation.values.size()) || m_table->isColumnHidden(1) == explanation.ofElements)
        fillRows(*explanation.subject, explanation.values.size(), explanation.ofElements);
    m_text->setValues(explanation.ofElements ? explanation.values : std::vector<double>(), explanation.magnitude);
    for (int row = 0; row < m_table->rowCount(); ++row) {
        const double value = explanation.values[std::size_t(row)];
        m_table->item(row, 2)->setText(widgets::shownNumber(value));
        m_table->item(row, 2)->setToolTip(fullNumber(value));
        setBar(m_table, row, 3, value, explanation.magnitude);
    }
    for (int column = 0; column < 3; ++column)
        m_table->resizeColumnToContents(column);
}

void ListResult::choosePosition(int position)
{
    const QSignalBlocker blocker(m_table), textBlocker(m_text);
    m_text->setCurrent(position);
    if (position >= 0 && position < m_table->rowCount())
        m_table->setCurrentCell(position, 0);
}

ChannelsResult::ChannelsResult(QWidget* parent)
    : QWidget(parent), m_view(new ChannelsView), m_mode(new QComboBox), m_index(new QSlider(Qt::Horizontal)), m_indexText(new QLabel),
      m_scale(new QLabel)
{
    m_view->setObjectName(QStringLiteral("channels"));
    m_mode->setAccessibleName(tr("Channels"));
    m_mode->setToolTip(tr("Show every channel, their mean, or one of them"));
    m_mode->addItems({tr("All channels"), tr("Mean of the channels"), tr("One channel")});
    m_index->setAccessibleName(tr("Channel"));
    m_index->setObjectName(QStringLiteral("channel"));
    m_index->setToolTip(tr("Number of the channel"));
    m_scale->setAccessibleName(tr("Colour scale"));
    connect(m_mode, &QComboBox::currentIndexChanged, this, [this](int mode) { setChoice({ChannelChoice::Mode(mode), m_choice.index}); });
    connect(m_index, &QSlider::valueChanged, this, [this](int index) { setChoice({ChannelChoice::Mode::One, index}); });
    connect(m_view, &ChannelsView::channelChosen, this, [this](int channel) { setChoice({m_choice.mode, channel}); });
    auto* row = new QHBoxLayout;
    row->addWidget(m_mode);
    row->addWidget(m_index, 1);
    row->addWidget(m_indexText);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addLayout(row);
    layout->addWidget(m_view, 1);
    layout->addWidget(m_scale);
    updateControls();
}

void ChannelsResult::clear()
{
    m_view->clear();
    updateControls();
}

void ChannelsResult::showExplanation(const Explanation& explanation)
{
    m_view->setValues(explanation.values, explanation.channels, explanation.rows, explanation.columns);
    updateControls();
}

void ChannelsResult::setChoice(const ChannelChoice& choice)
{
    if (choice == m_choice)
        return;
    m_choice = choice;
    updateControls();
    Q_EMIT choiceChanged(m_choice);
}

void ChannelsResult::updateControls()
{
    const QSignalBlocker mode(m_mode), index(m_index);
    const int last = std::max(0, m_view->channels() - 1);
    m_mode->setCurrentIndex(int(m_choice.mode));
    m_index->setRange(0, last);
    m_index->setValue(std::min(m_choice.index, last));
    m_index->setEnabled(last > 0);
    m_indexText->setText(m_choice.mode == ChannelChoice::Mode::Mean ? tr("of %1").arg(last + 1)
                                                                    : tr("%1 of 0 to %2").arg(m_index->value()).arg(last));
    m_view->setChoice({m_choice.mode, m_index->value()});
    m_scale->setText(m_view->channels() > 0 ? tr("Blue %1, red %2").arg(-m_view->range(), 0, 'g', 4).arg(m_view->range(), 0, 'g', 4) : QString());
}

QString numbersHtml(const Explanation& made, bool running)
{
    const auto row = [](const QString& name, const QString& value) {
        return QStringLiteral("<tr><td>%1&nbsp;&nbsp;</td><td>%2</td></tr>").arg(name, value.toHtmlEscaped());
    };
    QString html = QStringLiteral("<table cellspacing=0 cellpadding=0>");
    if (made.partial)
        html += row(ListResult::tr("State"),
                    running ? ListResult::tr("partial: still being computed") : ListResult::tr("partial: cancelled, not stored"));
    if (made.target >= 0)
        html += row(ListResult::tr("Target"), made.targetName.empty() ? QString::number(made.target) : QString::fromStdString(made.targetName));
    if (!made.partial)
        html += row(ListResult::tr("Output"), widgets::shownNumber(made.output));
    html += row(ListResult::tr("Sum of attributions"), widgets::shownNumber(made.sum));
    if (!made.partial)
        html += row(ListResult::tr("Completeness error"),
                    made.completenessError ? widgets::shownNumber(*made.completenessError) : ListResult::tr("(this method has none)"));
    if (made.standardError)
        html += row(ListResult::tr("Standard error, largest"), widgets::shownNumber(*made.standardError));
    if (!made.subject->sites.empty() && made.site != made.subject->sites.front().name)
        html += row(ListResult::tr("Attributed to"), QString::fromStdString(made.site));
    if (made.analysis)
        html += row(ListResult::tr("Stored"), ListResult::tr("analysis %1 of run %2").arg(*made.analysis).arg(made.subject->subject.model.mid(4)));
    return html + QStringLiteral("</table>");
}

}  // namespace orrery::plugins
