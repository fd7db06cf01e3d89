#include "grid_page.h"

#include <ATen/ATen.h>
#include <QAbstractTableModel>
#include <QApplication>
#include <QComboBox>
#include <QGridLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <QSpinBox>
#include <QTableView>
#include <QVBoxLayout>
#include <cmath>

#include <core/report/colour_map.h>
#include <widgets/colour_bar.h>
#include <widgets/export.h>
#include <widgets/numbers.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

enum class ColorBy { Probability, Entropy, Rank, Divergence };

QString number(double value, int digits = 4)
{
    return std::isnan(value) ? QStringLiteral("–") : QString::number(value, 'g', digits);
}

}  // namespace

/// The grid as a table: positions down, places across.
class GridModel : public QAbstractTableModel {
public:
    using QAbstractTableModel::QAbstractTableModel;
    void set(std::shared_ptr<const LensAnswer> answer)
    {
        beginResetModel();
        m_answer = std::move(answer);
        m_texts.clear();
        if (const auto* g = grid()) {
            m_highEntropy = std::max(1e-12, g->entropy.max().item<double>());
            m_highDivergence = std::max(1e-12, g->divergence.nan_to_num().max().item<double>());
            m_worstRank = std::max<double>(2, double(g->targetRank.max().item<std::int64_t>()));
            // Column by column, as the grid's rows lie.
            const auto& written = m_answer->result.transplant;
            const std::int64_t each = written ? written->tokens.size(2) : 1;
            const auto& card = m_answer->prepared->model->card;
            const QString between = card.tokenizer.is_object() ? QString() : QStringLiteral(" ");
            QStringList cell;
            for (const auto& name : intervene::tokenNames(card, written ? written->tokens : g->topTokens.select(2, 0))) {
                cell << shownToken(name);
                if (cell.size() == each) {
                    m_texts << cell.join(between);
                    cell.clear();
                }
            }
        }
        endResetModel();
    }
    void setColor(ColorBy color)
    {
        m_color = color;
        if (rowCount() > 0)
            Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, columnCount() - 1));
    }
    /// What the dark and the bright end of the colours stand for; empty without a grid.
    QStringList scale() const
    {
        if (!grid())
            return {};
        switch (m_color) {
        case ColorBy::Probability: return {GridPage::tr("probability 0"), QStringLiteral("1")};
        case ColorBy::Entropy: return {GridPage::tr("entropy %1 nats").arg(widgets::shownNumber(m_highEntropy, 3)), QStringLiteral("0")};
        case ColorBy::Rank: return {GridPage::tr("rank %1").arg(m_worstRank), GridPage::tr("1 (logarithmic)")};
        case ColorBy::Divergence: return {GridPage::tr("KL %1 nats").arg(widgets::shownNumber(m_highDivergence, 3)), QStringLiteral("0")};
        }
        return {};
    }
    const intervene::LensGrid* grid() const { return m_answer ? &std::get<intervene::LensGrid>(m_answer->result.value) : nullptr; }
    int rowCount(const QModelIndex& parent = {}) const override { return parent.isValid() || !grid() ? 0 : int(grid()->tokens.size(0)); }
    int columnCount(const QModelIndex& parent = {}) const override { return parent.isValid() || !grid() ? 0 : int(grid()->places.size()); }
    QVariant data(const QModelIndex& index, int role) const override
    {
        if (!grid() || !index.isValid())
            return {};
        switch (role) {
        case Qt::DisplayRole: return m_texts.value(index.column() * rowCount() + index.row());
        case Qt::ToolTipRole:
        case Qt::AccessibleDescriptionRole: return details(index).join(QLatin1Char('\n'));
        case Qt::BackgroundRole: return color(index);
        case Qt::ForegroundRole: return widgets::textColorOn(color(index));
        case Qt::TextAlignmentRole: return int(Qt::AlignCenter);
        default: return {};
        }
    }
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override
    {
        if (!grid() || role != Qt::DisplayRole)
            return {};
        if (orientation == Qt::Horizontal)
            return QString::fromStdString(grid()->places[std::size_t(section)].label());
        return QStringLiteral("%1  %2").arg(section).arg(m_answer->prepared->names.value(section));
    }
    QString token(std::int64_t number) const { return shownToken(intervene::tokenName(m_answer->prepared->model->card, number)); }
    QString top(const QModelIndex& index, int k) const { return token(grid()->topTokens[index.column()][index.row()][k].item<std::int64_t>()); }
    double at(const at::Tensor& values, const QModelIndex& index) const { return values[index.column()][index.row()].item<double>(); }

    /// What the cell holds, one thing a line.
    QStringList details(const QModelIndex& index) const
    {
        const auto& g = *grid();
        QStringList lines;
        if (const auto& written = m_answer->result.transplant) {
            for (int k = 0; k < written->tokens.size(2); ++k)
                lines << GridPage::tr("%1 ahead   %2   %3")
                             .arg(k + 1)
                             .arg(token(written->tokens[index.column()][index.row()][k].item<std::int64_t>()))
                             .arg(written->probabilities[index.column()][index.row()][k].item<double>(), 0, 'f', 4);
            lines << GridPage::tr("at %1 ahead:").arg(g.offset);
        }
        for (int k = 0; k < g.topTokens.size(2); ++k)
            lines << QStringLiteral("%1   %2").arg(top(index, k)).arg(g.topProbabilities[index.column()][index.row()][k].item<double>(), 0, 'f', 4);
        lines << GridPage::tr("entropy %1 nats").arg(number(at(g.entropy, index)));
        if (const auto rank = g.targetRank[index.column()][index.row()].item<std::int64_t>(); rank > 0)
            lines << GridPage::tr("true token %1: rank %2, probability %3")
                         .arg(token(g.targets[index.row()].item<std::int64_t>()))
                         .arg(rank)
                         .arg(number(at(g.targetProbability, index)));
        if (const double divergence = at(g.divergence, index); !std::isnan(divergence))
            lines << GridPage::tr("KL from the model's own %1 nats").arg(number(divergence));
        return lines;
    }

private:
    QColor color(const QModelIndex& index) const
    {
        const auto& g = *grid();
        const auto scaled = [&](double value, double low, double high) { return widgets::toQColor(report::viridis().atScaled(value, low, high)); };
        switch (m_color) {
        case ColorBy::Probability: return scaled(g.topProbabilities[index.column()][index.row()][0].item<double>(), 0, 1);
        case ColorBy::Entropy: return scaled(at(g.entropy, index), m_highEntropy, 0);
        case ColorBy::Rank: {
            const auto rank = g.targetRank[index.column()][index.row()].item<std::int64_t>();
            return rank > 0 ? scaled(std::log(double(rank)), std::log(m_worstRank), 0) : widgets::toQColor(report::kNoValue);
        }
        case ColorBy::Divergence: return scaled(at(g.divergence, index), m_highDivergence, 0);
        }
        return {};
    }

    std::shared_ptr<const LensAnswer> m_answer;
    QStringList m_texts;
    double m_highEntropy = 1, m_highDivergence = 1, m_worstRank = 2;
    ColorBy m_color = ColorBy::Probability;
};

GridPage::GridPage(QWidget* parent)
    : QWidget(parent), m_model(new GridModel(this)), m_table(new QTableView), m_color(new QComboBox), m_by(new QComboBox), m_ahead(new QSpinBox),
      m_context(new QLineEdit), m_contextLabel(new QLabel(tr("Conte&xt"))), m_scale(new widgets::ColourBar), m_cell(new QLabel), m_summary(new QLabel)
{
    setUpTable();
    for (auto* label : {m_cell, m_summary}) {
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    }
    m_cell->setObjectName(QStringLiteral("gridCell"));
    m_summary->setObjectName(QStringLiteral("gridSummary"));
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addLayout(makeControls());
    layout->addWidget(m_table, 1);
    layout->addWidget(m_scale);
    layout->addWidget(m_cell);
    layout->addWidget(m_summary);
}

QLayout* GridPage::makeControls()
{
    m_color->addItems({tr("Probability"), tr("Entropy"), tr("Rank of the true token"), tr("KL from the model's own")});
    m_color->setAccessibleName(tr("Colour"));
    m_color->setObjectName(QStringLiteral("gridColor"));
    connect(m_color, &QComboBox::currentIndexChanged, this, [this](int row) {
        m_model->setColor(ColorBy(row));
        showScale();
    });
    m_ahead->setRange(1, 16);
    m_ahead->setKeyboardTracking(false);
    m_ahead->setObjectName(QStringLiteral("ahead"));
    m_ahead->setAccessibleName(tr("Tokens ahead"));
    m_ahead->setToolTip(tr("1: the next token. More: tokens further ahead, read as the box below says."));
    connect(m_ahead, &QSpinBox::valueChanged, this, &GridPage::changed);
    m_by->addItems({tr("Linear map"), tr("Transplant"), tr("Learned prompt")});
    m_by->setObjectName(QStringLiteral("readBy"));
    m_by->setAccessibleName(tr("Read by"));
    m_by->setToolTip(tr("Linear map: the model's own head (logit lens), further ahead through a map that is fitted on the data (future lens).\n"
                        "Transplant: the state is put into another context and the model writes on from there.\n"
                        "Learned prompt: the same, behind ten vectors learned on the data to make it say what it held."));
    m_context->setObjectName(QStringLiteral("context"));
    m_context->setAccessibleName(tr("Context"));
    m_context->setPlaceholderText(tr("the first token of the input"));
    m_context->setToolTip(tr("The text at whose last position the state is put, then Enter"));
    connect(m_by, &QComboBox::currentIndexChanged, this, [this] {
        m_context->setVisible(takesContext());
        m_contextLabel->setVisible(takesContext());
        Q_EMIT changed();
    });
    connect(m_context, &QLineEdit::editingFinished, this, [this] {
        if (m_context->isModified()) {
            m_context->setModified(false);
            Q_EMIT changed();
        }
    });
    m_context->hide();
    m_contextLabel->hide();
    for (auto* box : {m_color, m_by}) {
        box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        box->setMinimumContentsLength(7);
    }
    m_context->setMinimumWidth(40);
    auto* rows = new QGridLayout;
    rows->setVerticalSpacing(4);
    const auto add = [rows](int row, int column, QLabel* label, QWidget* widget, int columns) {
        label->setBuddy(widget);
        rows->addWidget(label, row, column);
        rows->addWidget(widget, row, column + 1, 1, columns);
    };
    add(0, 0, new QLabel(tr("&Colour")), m_color, 1);
    add(0, 2, new QLabel(tr("Tokens &ahead")), m_ahead, 1);
    add(1, 0, new QLabel(tr("&Read by")), m_by, 3);
    add(2, 0, m_contextLabel, m_context, 3);
    rows->setColumnStretch(1, 1);
    rows->setColumnStretch(3, 1);
    return rows;
}

bool GridPage::readsByTransplant() const
{
    return m_by->currentIndex() > 0;
}

bool GridPage::takesContext() const
{
    return m_by->currentIndex() == 1;
}

void GridPage::setUpTable()
{
    m_table->setModel(m_model);
    m_table->setObjectName(QStringLiteral("grid"));
    m_table->setAccessibleName(tr("Predicted token at each position and layer"));
    m_table->setSelectionMode(QAbstractItemView::SingleSelection);
    m_table->verticalHeader()->setDefaultSectionSize(m_table->fontMetrics().height() + 6);
    m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::Stretch);
    m_table->horizontalHeader()->setMinimumSectionSize(48);
    connect(m_table->selectionModel(), &QItemSelectionModel::currentChanged, this, [this](const QModelIndex& now) {
        showCell();
        if (m_following || !now.isValid() || !m_model->grid())
            return;
        const auto& grid = *m_model->grid();
        Q_EMIT cellChosen(QString::fromStdString(grid.places[std::size_t(now.column())].value), now.row(),
                          grid.topTokens[now.column()][now.row()][0].item<std::int64_t>());
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

GridPage::~GridPage() = default;

QString GridPage::kind() const
{
    if (readsByTransplant())
        return QStringLiteral("transplant");
    return m_ahead->value() > 1 ? QStringLiteral("future") : QStringLiteral("logit_lens");
}

core::Json GridPage::parameters() const
{
    core::Json parameters = core::Json::object();
    if (readsByTransplant() || m_ahead->value() > 1)
        parameters["offset"] = m_ahead->value();
    if (takesContext() && !m_context->text().isEmpty())
        parameters["context"] = m_context->text().toStdString();
    if (readsByTransplant() && !takesContext())
        parameters.update({{"prompt_length", 10}, {"held_out_samples", 20}});
    return parameters;
}

void GridPage::show(const LensAnswer& answer)
{
    const QModelIndex before = m_table->currentIndex();
    m_following = true;
    m_model->set(std::make_shared<const LensAnswer>(answer));
    if (before.isValid())
        m_table->setCurrentIndex(
            m_model->index(std::min(before.row(), m_model->rowCount() - 1), std::min(before.column(), m_model->columnCount() - 1)));
    m_following = false;
    showScale();
    showSummary(answer);
    showCell();
}

void GridPage::showScale()
{
    m_scale->setScale(report::viridis(), m_model->scale(), m_color->currentText());
}

void GridPage::showCell()
{
    const QModelIndex index = m_table->currentIndex();
    m_cell->setVisible(index.isValid() && m_model->grid());
    if (!m_cell->isVisibleTo(this))
        return;
    const QString place = tr("Position %1, %2").arg(index.row()).arg(m_model->headerData(index.column(), Qt::Horizontal, Qt::DisplayRole).toString());
    m_cell->setText(QStringLiteral("%1:  %2").arg(place, m_model->details(index).join(QStringLiteral("  ·  "))));
}

void GridPage::showSummary(const LensAnswer& answer)
{
    const auto& grid = std::get<intervene::LensGrid>(answer.result.value);
    const QString own = grid.offset == 1 ? tr("the model's own logits") : tr("the model's own logits %1 further on").arg(grid.offset - 1);
    QString text = tr("Last layer against %1: %2").arg(own, number(grid.finalDifference, 3));
    if (const auto& score = answer.result.score) {
        const auto best = std::max_element(score->accuracy.begin(), score->accuracy.end());
        text += tr(". Held out, %1 ahead: best at %2 with %3 right; bigram chain %4; the model itself, later, %5")
                    .arg(grid.offset)
                    .arg(QString::fromStdString(grid.places[std::size_t(best - score->accuracy.begin())].label()), number(*best),
                         number(score->bigramAccuracy), number(score->modelAccuracy));
    }
    m_summary->setText(text);
}

void GridPage::clear()
{
    m_model->set(nullptr);
    m_summary->clear();
    showCell();
}

void GridPage::setPosition(int position)
{
    if (position < 0 || position >= m_model->rowCount() || m_table->currentIndex().row() == position)
        return;
    m_following = true;
    m_table->setCurrentIndex(m_model->index(position, std::max(0, m_table->currentIndex().column())));
    m_following = false;
}

QString GridPage::toCsv() const
{
    QString text = QStringLiteral("position,token,place,top_token,top_probability,entropy,target_rank,target_probability,kl\n");
    const auto* grid = m_model->grid();
    for (int row = 0; grid && row < m_model->rowCount(); ++row)
        for (int column = 0; column < m_model->columnCount(); ++column) {
            const QModelIndex cell = m_model->index(row, column);
            const auto quoted = [](QString word) { return QStringLiteral("\"%1\"").arg(word.replace(QLatin1Char('"'), QLatin1String("\"\""))); };
            QStringList cells{QString::number(row),
                              quoted(m_model->headerData(row, Qt::Vertical, Qt::DisplayRole).toString().section(QLatin1String("  "), 1)),
                              QString::fromStdString(grid->places[std::size_t(column)].canonical), quoted(m_model->top(cell, 0))};
            for (const double value : {grid->topProbabilities[column][row][0].item<double>(), m_model->at(grid->entropy, cell),
                                       m_model->at(grid->targetRank.to(at::kDouble), cell), m_model->at(grid->targetProbability, cell),
                                       m_model->at(grid->divergence, cell)})
                cells << (std::isnan(value) ? QString() : QString::number(value, 'g', 10));
            text += cells.join(QLatin1Char(',')) + QLatin1Char('\n');
        }
    return text;
}

core::Json GridPage::saveState() const
{
    return {
        {"color", m_color->currentIndex()}, {"ahead", m_ahead->value()}, {"by", m_by->currentIndex()}, {"context", m_context->text().toStdString()}};
}

void GridPage::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    if (state.contains("color") && state["color"].is_number_integer())
        m_color->setCurrentIndex(std::clamp(state["color"].get<int>(), 0, 3));
    if (state.contains("ahead") && state["ahead"].is_number_integer())
        m_ahead->setValue(state["ahead"].get<int>());
    if (state.contains("context") && state["context"].is_string())
        m_context->setText(QString::fromStdString(state["context"].get<std::string>()));
    if (state.contains("by") && state["by"].is_number_integer())
        m_by->setCurrentIndex(std::clamp(state["by"].get<int>(), 0, 1));
}

}  // namespace orrery::plugins
