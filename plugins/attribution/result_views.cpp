#include "result_views.h"

#include <QGridLayout>
#include <QHeaderView>
#include <QLabel>
#include <QPainter>
#include <QScrollArea>
#include <QSlider>
#include <QStyledItemDelegate>
#include <QTableWidget>
#include <QTextEdit>
#include <QVBoxLayout>
#include <cmath>

#include <core/report/colour_map.h>
#include <widgets/image_view.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr int kBarRole = Qt::UserRole + 1;

/// Draws the share in `kBarRole` (-1..1) as a bar from the middle of the cell: the side tells the sign, the colour repeats it.
class BarDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override
    {
        QStyledItemDelegate::paint(painter, option, index);
        const QVariant share = index.data(kBarRole);
        if (!share.isValid())
            return;
        const QRectF area = QRectF(option.rect).adjusted(6, 4, -6, -4);
        const double middle = area.center().x(), length = share.toDouble() * area.width() / 2;
        painter->fillRect(QRectF(std::min(middle, middle + length), area.top(), std::abs(length), area.height()),
                          widgets::toQColor(report::coolwarm().at(share.toDouble() < 0 ? 0.0 : 1.0)));
        painter->setPen(widgets::themeColors(option.palette).axisLine);
        painter->drawLine(QPointF(middle, option.rect.top()), QPointF(middle, option.rect.bottom()));
    }
};

QTableWidgetItem* makeItem(const QString& text, bool number = false)
{
    auto* item = new QTableWidgetItem(text);
    item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable);
    if (number)
        item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    return item;
}

QTableWidget* makeTable(const QString& name)
{
    auto* table = new QTableWidget;
    table->setAccessibleName(name);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 6);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setAlternatingRowColors(true);
    table->setTabKeyNavigation(false);
    return table;
}

QString nameOf(const PreparedSubject& subject, std::size_t index)
{
    return index < subject.names.size() ? QString::fromStdString(subject.names[index]) : QString::number(index);
}

void setBar(QTableWidget* table, int row, int column, double value, double magnitude)
{
    auto* item = makeItem({});
    item->setData(kBarRole, magnitude > 0 ? value / magnitude : 0.0);
    item->setToolTip(fullNumber(value));
    table->setItem(row, column, item);
}

}  // namespace

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
    connect(m_opacity, &QSlider::valueChanged, this, [this](int value) { m_overlay->setOverlayOpacity(value / 100.0); });
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
    m_overlay->setOverlay(explanation.values, explanation.rows, explanation.columns);
    m_overlay->setOverlayOpacity(opacity());
}

ListResult::ListResult(QWidget* parent) : QWidget(parent), m_text(new QTextEdit), m_table(makeTable(tr("Attribution of each feature")))
{
    m_text->setReadOnly(true);
    m_text->setAccessibleName(tr("Text coloured by attribution"));
    m_text->setMaximumHeight(140);
    m_table->setColumnCount(4);
    m_table->setHorizontalHeaderLabels({tr("Feature"), tr("Value"), tr("Attribution"), QString()});
    m_table->setItemDelegateForColumn(3, new BarDelegate(m_table));
    m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::Interactive);
    m_table->horizontalHeader()->setStretchLastSection(true);
    m_table->setObjectName(QStringLiteral("features"));
    connect(m_table, &QTableWidget::currentCellChanged, this, [this](int row, int, int before, int) {
        if (row != before && row >= 0)
            Q_EMIT positionChosen(row);
    });
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addWidget(m_text);
    layout->addWidget(m_table, 1);
}

void ListResult::fillRows(const PreparedSubject& subject)
{
    const bool tokens = subject.kind == InputKind::Tokens;
    const auto count = tokens || subject.values.empty() ? subject.names.size() : subject.values.size();
    m_table->setHorizontalHeaderItem(0, makeItem(tokens ? tr("Token") : tr("Feature")));
    m_table->setRowCount(int(count));
    for (std::size_t i = 0; i < count; ++i) {
        m_table->setItem(int(i), 0, makeItem(nameOf(subject, i)));
        m_table->setItem(int(i), 1,
                         makeItem(tokens || i >= subject.values.size() ? QString::number(i) : QString::number(subject.values[i], 'g', 6), true));
        m_table->setItem(int(i), 2, makeItem({}, true));
        m_table->setItem(int(i), 3, makeItem({}));
    }
    m_table->setHorizontalHeaderItem(1, makeItem(tokens ? tr("Position") : tr("Value")));
}

void ListResult::showText(const PreparedSubject& subject, const std::vector<double>& values, double magnitude)
{
    m_text->setVisible(subject.kind == InputKind::Tokens);
    if (subject.kind != InputKind::Tokens)
        return;
    QString html;
    for (std::size_t i = 0; i < subject.names.size(); ++i) {
        QString token = nameOf(subject, i);
        const QString shown =
            token == QLatin1String("\\n") ? QStringLiteral("↵<br>") : token.toHtmlEscaped().replace(QLatin1Char(' '), QStringLiteral("&nbsp;"));
        if (i < values.size()) {
            const QColor color = widgets::toQColor(report::coolwarm().atSymmetric(values[i], magnitude));
            html += QStringLiteral("<span style=\"background:%1;color:%2\">%3</span>").arg(color.name(), widgets::textColorOn(color).name(), shown);
        } else {
            html += shown;
        }
        html += QStringLiteral("&#8203;");  // a place where the line may break
    }
    m_text->setHtml(html);
}

void ListResult::showInput(const PreparedSubject& subject)
{
    fillRows(subject);
    showText(subject, {}, 0);
    m_table->resizeColumnToContents(0);
    m_table->resizeColumnToContents(1);
}

void ListResult::showExplanation(const Explanation& explanation)
{
    fillRows(*explanation.subject);
    showText(*explanation.subject, explanation.values, explanation.magnitude);
    for (int row = 0; row < m_table->rowCount() && std::size_t(row) < explanation.values.size(); ++row) {
        const double value = explanation.values[std::size_t(row)];
        m_table->item(row, 2)->setText(fullNumber(value));
        setBar(m_table, row, 3, value, explanation.magnitude);
    }
    for (int column = 0; column < 3; ++column)
        m_table->resizeColumnToContents(column);
}

CompareResults::CompareResults(QWidget* parent) : QWidget(parent), m_scale(new QLabel)
{
    m_scale->setWordWrap(true);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addWidget(m_scale);
    setExplanations({});
}

void CompareResults::setExplanations(const std::vector<std::shared_ptr<const Explanation>>& explanations)
{
    delete m_body;
    m_body = nullptr;
    std::vector<std::shared_ptr<const Explanation>> chosen;
    double magnitude = 0;
    for (const auto& explanation : explanations) {
        const auto& first = *explanations.front();
        if (explanation->values.size() != first.values.size() || explanation->rows != first.rows || explanation->subject->kind != first.subject->kind)
            continue;
        chosen.push_back(explanation);
        magnitude = std::max(magnitude, explanation->magnitude);
    }
    m_shown = int(chosen.size());
    m_scale->setText(chosen.empty()
                         ? tr("Results of several methods or samples appear here side by side, on one scale. Press Explain with different settings.")
                         : tr("Common scale: %1 to %2").arg(fullNumber(-magnitude), fullNumber(magnitude)));
    if (chosen.empty())
        return;
    chosen.front()->rows > 0 ? showPictures(chosen, magnitude) : showTable(chosen, magnitude);
}

void CompareResults::showPictures(const std::vector<std::shared_ptr<const Explanation>>& chosen, double magnitude)
{
    auto* scroll = new QScrollArea;
    auto* body = new QWidget;
    auto* grid = new QGridLayout(body);
    grid->setContentsMargins(0, 0, 0, 0);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        const Explanation& explanation = *chosen[i];
        auto* view = new widgets::ImageView;
        view->setPixels(explanation.subject->pixels, explanation.subject->channels, explanation.subject->height, explanation.subject->width, 0.0F,
                        1.0F);
        view->setOverlayMap(widgets::MapKind::Diverging);
        view->setOverlay(explanation.values, explanation.rows, explanation.columns);
        view->setOverlayRange(magnitude);
        view->setColorBarVisible(false);
        view->setMinimumHeight(130);
        const QString target = explanation.target >= 0
                                   ? QStringLiteral(", %1").arg(explanation.targetName.empty() ? QString::number(explanation.target)
                                                                                               : QString::fromStdString(explanation.targetName))
                                   : QString();
        auto* label = new QLabel(QString::fromStdString(explanation.title) + target + QStringLiteral("\n") + explanation.subject->subject.model);
        label->setWordWrap(true);
        label->setAlignment(Qt::AlignHCenter);
        const int row = int(i) / 2 * 2, column = int(i) % 2;
        grid->addWidget(view, row, column);
        grid->addWidget(label, row + 1, column);
        grid->setRowStretch(row, 1);
    }
    scroll->setWidget(body);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    m_body = scroll;
    static_cast<QVBoxLayout*>(layout())->addWidget(m_body, 1);
}

void CompareResults::showTable(const std::vector<std::shared_ptr<const Explanation>>& chosen, double magnitude)
{
    auto* table = makeTable(tr("Attributions side by side"));
    const auto& first = *chosen.front();
    table->setColumnCount(1 + int(chosen.size()));
    table->setRowCount(int(first.values.size()));
    QStringList titles{tr("Feature")};
    for (std::size_t column = 0; column < chosen.size(); ++column) {
        titles << QString::fromStdString(chosen[column]->title);
        table->setItemDelegateForColumn(int(column) + 1, new BarDelegate(table));
        for (std::size_t row = 0; row < first.values.size(); ++row)
            setBar(table, int(row), int(column) + 1, chosen[column]->values[row], magnitude);
    }
    for (std::size_t row = 0; row < first.values.size(); ++row)
        table->setItem(int(row), 0, makeItem(nameOf(*first.subject, row)));
    table->setHorizontalHeaderLabels(titles);
    table->horizontalHeader()->setSectionResizeMode(QHeaderView::Stretch);
    m_body = table;
    static_cast<QVBoxLayout*>(layout())->addWidget(m_body, 1);
}

}  // namespace orrery::plugins
