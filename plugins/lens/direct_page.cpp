#include "direct_page.h"

#include <ATen/ATen.h>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <QSplitter>
#include <QStyledItemDelegate>
#include <QTableWidget>
#include <QVBoxLayout>
#include <cmath>

#include <core/report/colour_map.h>
#include <widgets/export.h>
#include <widgets/heat_map_view.h>
#include <widgets/numbers.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr int kShare = Qt::UserRole;  ///< part of the largest, -1..1

/// A bar from the middle: to the right raises the logit, to the left lowers it.
class ShareDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override
    {
        QStyledItemDelegate::paint(painter, option, index);
        const double share = index.data(kShare).toDouble();
        const QRectF area = QRectF(option.rect).adjusted(4, 3, -4, -3);
        const double middle = area.center().x(), end = middle + share * area.width() / 2;
        painter->fillRect(QRectF(QPointF(std::min(middle, end), area.top()), QPointF(std::max(middle, end), area.bottom())),
                          widgets::toQColor(report::coolwarm().atSymmetric(share, 1)));
        painter->setPen(option.palette.color(QPalette::Mid));
        painter->drawLine(QPointF(middle, area.top() - 2), QPointF(middle, area.bottom() + 2));
    }
};

QLineEdit* makeEdit(const QString& name, const QString& placeholder, const QString& tooltip)
{
    auto* edit = new QLineEdit;
    edit->setAccessibleName(name);
    edit->setPlaceholderText(placeholder);
    edit->setToolTip(tooltip);
    edit->setClearButtonEnabled(true);
    return edit;
}

}  // namespace

DirectPage::DirectPage(QWidget* parent)
    : QWidget(parent), m_target(makeEdit(tr("Token"), tr("most probable"),
                                         tr("Token whose logit is taken apart: its text, or its number. Empty: the most probable one."))),
      m_contrast(makeEdit(tr("Contrast"), tr("none"), tr("Another token: the difference of the two logits is taken apart."))), m_summary(new QLabel),
      m_table(new QTableWidget(0, 3)), m_heads(new widgets::HeatMapView)
{
    m_target->setObjectName(QStringLiteral("directTarget"));
    m_contrast->setObjectName(QStringLiteral("directContrast"));
    for (auto* edit : {m_target, m_contrast})
        connect(edit, &QLineEdit::editingFinished, this, [this, edit] {
            if (edit->isModified()) {
                edit->setModified(false);
                Q_EMIT changed();
            }
        });
    m_summary->setObjectName(QStringLiteral("directSummary"));
    m_summary->setWordWrap(true);
    m_summary->setTextInteractionFlags(Qt::TextSelectableByMouse);
    setUpTable();
    m_heads->setMapKind(widgets::MapKind::Diverging);
    m_heads->setAxisTitles(tr("Layer"), tr("Head"));
    m_heads->setValueTitle(tr("adds to the logit"));
    m_heads->setObjectName(QStringLiteral("directHeads"));
    auto* row = new QHBoxLayout;
    for (const auto& [text, edit] : {std::pair{tr("&Token"), m_target}, {tr("Con&trast"), m_contrast}}) {
        auto* label = new QLabel(text);
        label->setBuddy(edit);
        row->addWidget(label);
        row->addWidget(edit, 1);
    }
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_table);
    splitter->addWidget(m_heads);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addLayout(row);
    layout->addWidget(m_summary);
    layout->addWidget(splitter, 1);
}

void DirectPage::setUpTable()
{
    m_table->setObjectName(QStringLiteral("parts"));
    m_table->setAccessibleName(tr("What each component adds to the logit"));
    m_table->setHorizontalHeaderLabels({tr("Component"), tr("Adds"), QString()});
    m_table->verticalHeader()->hide();
    m_table->horizontalHeader()->setStretchLastSection(true);
    m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setItemDelegateForColumn(2, new ShareDelegate(m_table));
    connect(m_table, &QTableWidget::currentCellChanged, this, [this](int row) {
        if (row < 0 || std::size_t(row) >= m_parts.size())
            return;
        const auto& part = m_parts[std::size_t(row)];
        const char* name = part.kind == "head" ? "attn.z" : part.kind == "mlp" ? "mlp_out" : part.block >= 0 ? "attn_out" : nullptr;
        if (name)
            Q_EMIT componentChosen(QStringLiteral("blocks.%1.%2").arg(part.block).arg(QLatin1String(name)));
    });
    const auto exportTo = [this](const QString& file) {
        widgets::exportPicture(
            file, m_table->size(),
            [this](QPaintDevice& device, QSize) {
                QPainter painter(&device);
                m_table->render(&painter);
            },
            [this] { return toCsv(); });
    };
    m_table->addActions(widgets::makeExportActions(m_table, exportTo, [this] { return toCsv(); }));
    m_table->setContextMenuPolicy(Qt::ActionsContextMenu);
}

core::Json DirectPage::parameters(std::optional<qint64> position) const
{
    core::Json parameters = core::Json::object();
    if (position)
        parameters["position"] = *position;
    if (!m_target->text().isEmpty())
        parameters["target"] = m_target->text().toStdString();
    if (!m_contrast->text().isEmpty())
        parameters["contrast"] = m_contrast->text().toStdString();
    return parameters;
}

void DirectPage::show(const LensAnswer& answer)
{
    const auto& made = std::get<intervene::DirectLogitAttribution>(answer.result.value);
    const auto& card = answer.prepared->model->card;
    const auto token = [&](std::int64_t number) { return shownToken(intervene::tokenName(card, number)); };
    QString what =
        tr("Logit of “%1” behind token %2 (%3)").arg(token(made.target)).arg(made.position).arg(answer.prepared->names.value(int(made.position)));
    if (made.contrast)
        what += tr(", less that of “%1”").arg(token(*made.contrast));
    m_summary->setText(tr("%1: %2. The parts add up to it (differs by %3).")
                           .arg(what)
                           .arg(widgets::shownNumber(made.logit, 7))
                           .arg(widgets::shownNumber(made.error, 2)));
    double largest = 1e-30;
    for (const auto& part : made.parts)
        largest = std::max(largest, std::abs(part.value));
    const QSignalBlocker blocker(m_table);
    m_parts = made.parts;
    m_table->setRowCount(int(m_parts.size()));
    for (int row = 0; row < m_table->rowCount(); ++row) {
        const auto& part = m_parts[std::size_t(row)];
        auto* value = new QTableWidgetItem(widgets::shownNumber(part.value));
        value->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
        auto* bar = new QTableWidgetItem;
        bar->setData(kShare, part.value / largest);
        m_table->setItem(row, 0, new QTableWidgetItem(QString::fromStdString(part.label)));
        m_table->setItem(row, 1, value);
        m_table->setItem(row, 2, bar);
    }
    m_table->resizeColumnToContents(0);
    m_table->resizeColumnToContents(1);
    m_heads->setVisible(made.heads.defined());
    if (made.heads.defined()) {
        const at::Tensor heads = made.heads.contiguous();
        m_heads->setMatrix({heads.data_ptr<double>(), heads.data_ptr<double>() + heads.numel()}, int(heads.size(0)), int(heads.size(1)));
    }
}

void DirectPage::clear()
{
    const QSignalBlocker blocker(m_table);
    m_parts.clear();
    m_table->setRowCount(0);
    m_heads->setMatrix({}, 0, 0);
    m_summary->clear();
}

QString DirectPage::toCsv() const
{
    QString text = QStringLiteral("component,kind,layer,head,value\n");
    for (const auto& part : m_parts)
        text += QStringLiteral("%1,%2,%3,%4,%5\n")
                    .arg(QString::fromStdString(part.label), QString::fromStdString(part.kind))
                    .arg(part.block)
                    .arg(part.head)
                    .arg(part.value, 0, 'g', 17);
    return text;
}

core::Json DirectPage::saveState() const
{
    return {{"target", m_target->text().toStdString()}, {"contrast", m_contrast->text().toStdString()}};
}

void DirectPage::restoreState(const core::Json& state)
{
    for (const auto& [key, edit] : {std::pair{"target", m_target}, {"contrast", m_contrast}})
        if (state.is_object() && state.contains(key) && state[key].is_string())
            edit->setText(QString::fromStdString(state[key].get<std::string>()));
}

}  // namespace orrery::plugins
