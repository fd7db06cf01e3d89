#include "outcome_view.h"

#include <QHeaderView>
#include <QLabel>
#include <QPainter>
#include <QStyledItemDelegate>
#include <QTableWidget>
#include <QTextBrowser>
#include <QVBoxLayout>
#include <cmath>

#include <core/base/text.h>
#include <widgets/heat_map_view.h>
#include <widgets/numbers.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

using core::Json;

constexpr int kShareRole = Qt::UserRole + 1, kClassRole = Qt::UserRole + 2;

/// The share in `kShareRole` (0..1) as a bar behind the number.
class ShareDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override
    {
        if (const QVariant share = index.data(kShareRole); share.isValid() && !(option.state & QStyle::State_Selected)) {
            QColor color = option.palette.color(QPalette::Highlight);
            color.setAlpha(90);
            const QRect area = option.rect.adjusted(1, 2, -1, -2);
            painter->fillRect(QRectF(area.left(), area.top(), area.width() * std::clamp(share.toDouble(), 0.0, 1.0), area.height()), color);
        }
        QStyledItemDelegate::paint(painter, option, index);
    }
};

QTableWidgetItem* makeItem(const QString& text, bool isNumber)
{
    auto* item = new QTableWidgetItem(text);
    item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable);
    if (isNumber)
        item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    return item;
}

QString number(const Json& value)
{
    return value.is_number() ? QString::fromStdString(core::formatNumber(value.get<double>())) : QString();
}

QString shown(const Json& value)
{
    return value.is_number() ? widgets::shownNumber(value.get<double>()) : QString();
}

QWidget* page(std::initializer_list<QWidget*> parts)
{
    auto* widget = new QWidget;
    auto* layout = new QVBoxLayout(widget);
    layout->setContentsMargins(4, 4, 4, 4);
    for (auto* part : parts)
        layout->addWidget(part, qobject_cast<QLabel*>(part) ? 0 : 1);
    return widget;
}

QLabel* makeLabel(const QString& name)
{
    auto* label = new QLabel;
    label->setObjectName(name);
    label->setWordWrap(true);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    return label;
}

/// The tokens of a written text; those that differ from the other text stand out.
QString markedTokens(const Json& own, const Json& other)
{
    QString html;
    bool differs = false;
    for (std::size_t i = 0; i < own["tokens"].size(); ++i) {
        const auto& token = own["tokens"][i];
        differs = differs || i >= other["tokens"].size() || other["tokens"][i]["token"] != token["token"];
        const QString text =
            QString::fromStdString(token["text"].get<std::string>()).toHtmlEscaped().replace(QLatin1Char(' '), QStringLiteral("&nbsp;"));
        const QString shown = text == QLatin1String("\\n") ? QStringLiteral("↵<br>") : text;
        html += (differs ? QStringLiteral("<b>%1</b>") : QStringLiteral("%1")).arg(shown) + QStringLiteral("&#8203;");
    }
    return html;
}

}  // namespace

OutcomeView::OutcomeView(QWidget* parent)
    : QTabWidget(parent), m_summary(makeLabel(QStringLiteral("summary"))), m_table(new QTableWidget), m_texts(new QTextBrowser),
      m_probe(makeLabel(QStringLiteral("probeSummary"))), m_map(new widgets::HeatMapView)
{
    setDocumentMode(true);
    m_table->setObjectName(QStringLiteral("changes"));
    m_table->setAccessibleName(tr("Answers without and with the interventions"));
    m_table->verticalHeader()->hide();
    m_table->verticalHeader()->setDefaultSectionSize(m_table->fontMetrics().height() + 6);
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setTabKeyNavigation(false);
    m_table->setItemDelegate(new ShareDelegate(m_table));
    connect(m_table, &QTableWidget::itemSelectionChanged, this, [this] {
        const auto* item = m_table->currentRow() >= 0 ? m_table->item(m_table->currentRow(), 0) : nullptr;
        if (item && item->data(kClassRole).isValid())
            Q_EMIT classChosen(item->data(kClassRole).toLongLong());
    });
    m_texts->setObjectName(QStringLiteral("texts"));
    m_texts->setAccessibleName(tr("Written texts without and with the interventions"));
    m_map->setObjectName(QStringLiteral("difference"));
    m_map->setAccessibleName(tr("Difference at the probe"));
    m_map->setMapKind(widgets::MapKind::Diverging);
    addTab(page({m_summary, m_table}), tr("&Answer"));
    addTab(page({m_texts}), tr("&Text"));
    addTab(page({m_probe, m_map}), tr("&Value"));
    clearOutcome();
}

void OutcomeView::clearOutcome()
{
    m_hasOutcome = false;
    m_analysis.reset();
    m_summary->setText(tr("Press Run to compare the model's answer without and with the interventions."));
    m_table->setRowCount(0);
    m_table->hide();
    m_texts->setHtml(tr("Choose a number of new tokens under Writing, then run."));
    m_probe->setText(tr("Name a value under Compare to see how it differs."));
    m_map->hide();
}

void OutcomeView::setOutcome(const InterventionOutcome& outcome)
{
    m_hasOutcome = true;
    m_analysis = outcome.analysis;
    const auto& sample = outcome.described["samples"].at(0);
    QStringList changed;
    for (const auto& name : outcome.described["changed"])
        changed << QString::fromStdString(name.get<std::string>());
    QString text = changed.isEmpty()
                       ? tr("Nothing is changed.")
                       : tr("Changed: %1").arg(changed.size() > 4 ? tr("%1 values").arg(changed.size()) : changed.join(QStringLiteral(", ")));
    if (sample.contains("position"))
        text += tr("\nAnswer at position %1").arg(sample["position"].get<std::int64_t>());
    if (sample.contains("divergence") && (!sample["divergence"].is_number() || std::isnan(sample["divergence"].get<double>())))
        text += tr("\nThe changed answer is not finite (NaN or infinity): what is set is too large for the model, or holds such numbers itself.");
    else if (sample.contains("divergence"))
        text += tr("\nKL divergence: %1 nats").arg(shown(sample["divergence"]));
    if (outcome.analysis)
        text += tr("\nStored as analysis %1").arg(*outcome.analysis);
    m_summary->setText(text);
    sample.contains("changes") ? showClasses(sample) : showNumbers(sample);
    showTexts(outcome.described.value("generated", Json()));
    showDifference(outcome);
}

void OutcomeView::showClasses(const Json& sample)
{
    const QSignalBlocker blocker(m_table);
    m_table->clear();
    m_table->setColumnCount(5);
    const bool isLogit = sample["changes"].empty() || sample["changes"][0].contains("logit_before");
    const std::string kind = isLogit ? "logit" : "log_probability";
    m_table->setHorizontalHeaderLabels(
        {tr("Class"), tr("Without"), tr("With"), isLogit ? tr("Logit without") : tr("Log p without"), isLogit ? tr("Logit with") : tr("Log p with")});
    m_table->setRowCount(int(sample["changes"].size()));
    for (int row = 0; row < m_table->rowCount(); ++row) {
        const auto& change = sample["changes"][std::size_t(row)];
        auto* name = makeItem(QString::fromStdString(change["name"].get<std::string>()), false);
        name->setData(kClassRole, change["class"].get<qint64>());
        m_table->setItem(row, 0, name);
        int column = 1;
        for (const auto& key : {std::string("before"), std::string("after"), kind + "_before", kind + "_after"}) {
            auto* item = makeItem(widgets::fixedNumber(change[key].is_number() ? change[key].get<double>() : std::nan(""), 4), true);
            item->setToolTip(number(change[key]));
            if (column <= 2)
                item->setData(kShareRole, change[key].is_number() ? change[key].get<double>() : 0.0);
            m_table->setItem(row, column++, item);
        }
    }
    m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::Stretch);
    m_table->show();
}

void OutcomeView::showNumbers(const Json& sample)
{
    const QSignalBlocker blocker(m_table);
    m_table->clear();
    m_table->setColumnCount(2);
    m_table->setHorizontalHeaderLabels({tr("Without"), tr("With")});
    m_table->setRowCount(int(sample["before"].size()));
    for (int row = 0; row < m_table->rowCount(); ++row) {
        int column = 0;
        for (const char* key : {"before", "after"}) {
            auto* item = makeItem(shown(sample[key][std::size_t(row)]), true);
            item->setToolTip(number(sample[key][std::size_t(row)]));
            m_table->setItem(row, column++, item);
        }
    }
    m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::Stretch);
    m_table->show();
}

void OutcomeView::showTexts(const Json& generated)
{
    if (!generated.is_object())
        return m_texts->setHtml(tr("Choose a number of new tokens under Writing, then run."));
    const auto& plain = generated["plain"];
    const auto& changed = generated["intervened"];
    m_texts->setHtml(tr("<p><b>Without</b></p><p>%1</p><p><b>With</b> (bold from where it differs)</p><p>%2</p>")
                         .arg(markedTokens(plain, plain), markedTokens(changed, plain)));
}

void OutcomeView::showDifference(const InterventionOutcome& outcome)
{
    m_map->setVisible(outcome.rows > 0);
    if (outcome.probe.isEmpty())
        return m_probe->setText(tr("Name a value under Compare to see how it differs."));
    const auto& value = outcome.described["values"].at(0);
    m_probe->setText(tr("%1: with minus without; largest difference %2, relative %3")
                         .arg(outcome.probe, shown(value.value("largest_difference", Json())), shown(value.value("relative_difference", Json()))));
    if (outcome.rows == 0)
        return;
    m_map->setMatrix(outcome.difference, outcome.rows, outcome.columns);
    m_map->setAxisTitles(outcome.rowTitle, outcome.columnTitle);
    m_map->setValueTitle(tr("with minus without"));
}

}  // namespace orrery::plugins
