#include "scatter_page.h"

#include <ATen/ATen.h>

#include <QBuffer>
#include <QComboBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QImage>
#include <QLabel>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include <core/base/text.h>
#include <widgets/numbers.h>
#include <widgets/scatter_view.h>

#include "method_form.h"

namespace orrery::plugins {

using widgets::ScatterView;

ScatterPage::ScatterPage(widgets::Session& session)
    : Page(session, tr("&Project"), tr("Progress of the projection")), m_view(new ScatterView), m_status(new QLabel)
{
    m_view->setObjectName(QStringLiteral("scatter"));
    m_view->setToolTipText([this](int row) { return toolTipOf(row); });
    connect(m_view, &ScatterView::selectionChanged, this, &ScatterPage::sendSelected);
    connect(m_view, &ScatterView::pointActivated, this, [this](int row) {
        sendSelected({row});
        this->session().requestPanel(QStringLiteral("attribution"));
    });
    m_status->setObjectName(QStringLiteral("scatterStatus"));
    m_status->setWordWrap(true);
    m_status->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    m_method = new MethodForm(
        intervene::projectionRegistry().components(),
        {tr("Projection"), tr("How the features become two axes"), tr("Show the parameters of the projection"), tr("Parameters of the projection")},
        this);
    connect(m_method, &MethodForm::changed, this, &ScatterPage::updateButton);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    layout->addLayout(makeSettings());
    layout->addWidget(m_method->form());
    layout->addLayout(buttonRow());
    layout->addWidget(m_view, 1);
    layout->addWidget(m_status);
    updateButton();
    fillAxes();
    fillColours();
    m_status->setText(tr("Press Project: each sample becomes a point. Selected points are selected everywhere."));
}

QLayout* ScatterPage::makeSettings()
{
    m_colour = widgets::narrowBox(tr("Colour"), tr("What the colour and shape of the points show"));
    m_colour->setObjectName(QStringLiteral("colour"));
    connect(m_colour, &QComboBox::activated, this, [this] {
        m_wantedColour = m_colour->currentData().toString();
        applyColours();
    });
    m_x = widgets::narrowBox(tr("Horizontal axis"), tr("Component shown from left to right"));
    m_y = widgets::narrowBox(tr("Vertical axis"), tr("Component shown from bottom to top"));
    for (auto* box : {m_x, m_y})
        connect(box, &QComboBox::activated, this, [this] { showAxes(); });
    auto* method = new QHBoxLayout;
    method->addWidget(m_method->box(), 1);
    method->addWidget(m_method->more());
    auto* shown = new QHBoxLayout;
    shown->addWidget(new QLabel(tr("Colour")));
    shown->addWidget(m_colour, 2);
    shown->addWidget(m_x, 1);
    shown->addWidget(m_y, 1);
    auto* rows = new QVBoxLayout;
    rows->setSpacing(4);
    rows->addLayout(method);
    rows->addLayout(shown);
    return rows;
}

QString ScatterPage::whyNot() const
{
    if (const QString why = Page::whyNot(); !why.isEmpty())
        return why;
    if (choice().value.isEmpty())
        return tr("Choose a value first");
    return m_method->isValid() ? QString() : tr("Correct the parameters first");
}

void ScatterPage::run()
{
    if (!whyNot().isEmpty())
        return;
    const QPointer<ScatterPage> self = this;
    auto work = [subject = subject(), choice = choice(), method = m_method->id().toStdString(), parameters = m_method->document(),
                 workspace = session().workspace(), self](widgets::BackgroundContext& context) {
        return makeScatter(subject, choice, method, parameters, workspace, controlOf(context),
                           [&](const ScatterRowsPtr& rows, std::vector<std::vector<double>> axes) {
                               context.post([self, rows, axes = std::move(axes), method] {
                                   if (!self)
                                       return;
                                   self->m_shownMethod = method;
                                   self->takePoints(rows, axes);
                                   self->m_moving = true;
                                   self->m_status->setText(tr("The points are still moving."));
                               });
                           });
    };
    m_ratios.clear();
    start(std::move(work), [this](const ScatterResult& result) { takeResult(result); }, tr("%1 of %2").arg(m_method->title(), choice().value),
          "projection",
          {{"model", subject()->subject.model.toStdString()}, {"method", m_method->id().toStdString()}, {"at", choice().value.toStdString()}});
}

void ScatterPage::takePoints(const ScatterRowsPtr& rows, std::vector<std::vector<double>> axes)
{
    const bool sameRows = m_rows == rows && m_axes.size() == axes.size();
    m_rows = rows;
    m_axes = std::move(axes);
    if (!sameRows) {
        fillAxes();
        fillColours();
    }
    showAxes();
    if (!sameRows) {
        applyColours();
        showSelected();
    }
}

void ScatterPage::workEnded()
{
    if (m_moving)
        m_status->setText(tr("Stopped: the points stay where they were, and are not stored."));
    m_moving = false;
}

void ScatterPage::takeResult(const ScatterResult& result)
{
    m_moving = false;
    m_shownMethod = result.method;
    m_ratios = result.details.value("explained_variance_ratio", std::vector<double>());
    takePoints(result.rows, result.axes);
    fillAxes();
    showAxes();
    const auto& activations = result.rows->activations;
    QString text = tr("%L1 rows of %2 features").arg(activations.rows()).arg(activations.features.front().size(1));
    if (m_ratios.size() > 1)
        text += tr("; explained variance %1 and %2").arg(m_ratios[0], 0, 'f', 4).arg(m_ratios[1], 0, 'f', 4);
    if (result.trustworthiness)
        text += tr("; trustworthiness at 15 neighbours %1").arg(widgets::fixedNumber(*result.trustworthiness, 4));
    setResult(result.analysis);
    if (result.analysis)
        text += tr("; stored as analysis %1").arg(*result.analysis);
    m_status->setText(text);
    if (!result.whyNotStored.isEmpty())
        Q_EMIT failed(tr("The points are shown, but could not be stored: %1").arg(result.whyNotStored));
}

void ScatterPage::fillAxes()
{
    const int x = m_x->currentIndex(), y = m_y->currentIndex();
    for (auto* box : {m_x, m_y}) {
        const QSignalBlocker blocker(box);
        box->clear();
        for (std::size_t axis = 0; axis < m_axes.size(); ++axis)
            box->addItem(m_shownMethod == "pca" ? tr("PC %1").arg(axis + 1) : tr("Axis %1").arg(axis + 1));
        box->setVisible(m_axes.size() > 2);
    }
    const int last = int(m_axes.size()) - 1;
    m_x->setCurrentIndex(x >= 0 && x <= last ? x : 0);
    m_y->setCurrentIndex(y >= 0 && y <= last && y != m_x->currentIndex() ? y : std::min(1, last));
}

void ScatterPage::showAxes()
{
    const auto x = std::size_t(std::max(0, m_x->currentIndex())), y = std::size_t(std::max(0, m_y->currentIndex()));
    if (x >= m_axes.size() || y >= m_axes.size())
        return;
    const auto title = [&](std::size_t axis) {
        const QString name = m_x->itemText(int(axis));
        return axis < m_ratios.size() ? tr("%1 (%2 % of the variance)").arg(name).arg(100 * m_ratios[axis], 0, 'f', 1) : name;
    };
    m_view->setPoints(m_axes[x], m_axes[y]);
    m_view->setAxisTitles(title(x), title(y));
}

void ScatterPage::fillColours()
{
    const QSignalBlocker blocker(m_colour);
    m_colour->clear();
    m_colour->setEnabled(m_rows != nullptr);
    if (!m_rows)
        return;
    const auto& activations = m_rows->activations;
    if (!m_rows->labels.empty())
        m_colour->addItem(tr("Target"), QStringLiteral("target"));
    else if (activations.labels.defined())
        m_colour->addItem(tr("Target"), QStringLiteral("number"));
    if (!m_rows->predicted.empty()) {
        m_colour->addItem(tr("Prediction"), QStringLiteral("prediction"));
        m_colour->addItem(tr("Right or wrong"), QStringLiteral("correct"));
    }
    if (!m_rows->confidence.empty())
        m_colour->addItem(tr("Confidence"), QStringLiteral("confidence"));
    if (!activations.positions.empty() && activations.positions.front() >= 0)
        m_colour->addItem(tr("Position"), QStringLiteral("position"));
    m_colour->addItem(tr("One colour"), QStringLiteral("none"));
    m_colour->setCurrentIndex(std::max(0, m_colour->findData(m_wantedColour)));
}

void ScatterPage::applyColours()
{
    if (!m_rows || m_view->count() != int(m_rows->activations.rows()))
        return;
    const QString wanted = m_colour->currentData().toString();
    const auto& activations = m_rows->activations;
    if (wanted == QLatin1String("target"))
        return m_view->setCategories(m_rows->labels, m_rows->labelNames, tr("Target"));
    if (wanted == QLatin1String("prediction"))
        return m_view->setCategories(m_rows->predicted, m_rows->labelNames, tr("Prediction"));
    if (wanted == QLatin1String("confidence"))
        return m_view->setNumbers(m_rows->confidence, tr("Confidence"));
    if (wanted == QLatin1String("correct"))
        return m_view->setCategories(m_rows->wrong, {tr("right"), tr("wrong")}, tr("Prediction"));
    if (wanted == QLatin1String("number"))
        return m_view->setNumbers(m_rows->numbers, tr("Target"));
    if (wanted == QLatin1String("position"))
        return m_view->setNumbers({activations.positions.begin(), activations.positions.end()}, tr("Position"));
    m_view->clearColours();
}

void ScatterPage::sendSelected(const QList<int>& indices)
{
    if (!m_rows)
        return;
    QList<qint64> samples;
    for (const int row : indices)
        samples << m_rows->activations.samples[std::size_t(row)];
    samples.erase(std::unique(samples.begin(), samples.end()), samples.end());  // rows are in the order of their samples
    m_sending = true;
    session().changeSelection([&](widgets::Selection& s) {
        s.data = m_rows->subject->document;
        s.split = m_rows->choice.part;
        s.samples = samples;
        if (indices.size() == 1 && m_rows->activations.positions[std::size_t(indices.front())] >= 0)
            s.token = m_rows->activations.positions[std::size_t(indices.front())];
    });
    m_sending = false;
}

void ScatterPage::showSelected()
{
    if (!m_rows || m_sending)
        return;
    const auto& selection = session().selection();
    const bool meant = selection.split.isEmpty() || selection.split == m_rows->choice.part;
    const QSet<qint64> wanted(selection.samples.begin(), selection.samples.end());
    QList<int> rows;
    for (int row = 0; meant && row < int(m_rows->activations.rows()); ++row)
        if (wanted.contains(m_rows->activations.samples[std::size_t(row)]))
            rows << row;
    m_view->setSelected(rows);
}

// Sets in memory only copy a sample; others would have to be read from files while the pointer waits.
QString ScatterPage::thumbnailOf(int row) const
{
    const auto& data = *m_rows->subject->data;
    if (data.info().kind != data::DataKind::Image || !data.isInMemory())
        return {};
    const auto number = m_rows->activations.samples[std::size_t(row)];
    const std::int64_t index = data.split(data::splitFromName(m_rows->choice.part.toStdString()))[std::size_t(number)];
    const at::Tensor pixels = data::toDisplay(data.info(), data.fetch({&index, 1}).inputs[0][0]).contiguous();
    const bool grey = pixels.size(2) == 1;
    const QImage picture(pixels.data_ptr<std::uint8_t>(), int(pixels.size(1)), int(pixels.size(0)), int(pixels.size(1) * pixels.size(2)),
                         grey ? QImage::Format_Grayscale8 : QImage::Format_RGB888);
    QByteArray bytes;
    QBuffer buffer(&bytes);
    buffer.open(QIODevice::WriteOnly);
    picture.scaled(72, 72, Qt::KeepAspectRatio).save(&buffer, "PNG");
    return QStringLiteral("<img src='data:image/png;base64,%1'><br>").arg(QString::fromLatin1(bytes.toBase64()));
}

QString ScatterPage::toolTipOf(int row) const
{
    if (!m_rows || row >= int(m_rows->activations.rows()))
        return {};
    const auto& activations = m_rows->activations;
    QString text = thumbnailOf(row) + tr("sample %1").arg(activations.samples[std::size_t(row)]);
    if (activations.positions[std::size_t(row)] >= 0)
        text += tr(", position %1").arg(activations.positions[std::size_t(row)]);
    if (const QString label = m_rows->labelOf(row); !label.isEmpty())
        text += tr("<br>target %1").arg(label.toHtmlEscaped());
    if (const QString predicted = m_rows->predictedOf(row); !predicted.isEmpty())
        text += tr("<br>predicted %1 (%2)").arg(predicted.toHtmlEscaped()).arg(m_rows->confidence[std::size_t(row)], 0, 'f', 3);
    return text;
}

QString ScatterPage::command() const
{
    return subject() ? scatterCommand(*subject(), choice(), m_method->id(), m_method->document(), session().workspaceFolder()) : QString();
}

core::Json ScatterPage::saveState() const
{
    core::Json state{{"colour", m_wantedColour.toStdString()}};
    m_method->addState(state, "method");
    return state;
}

void ScatterPage::restoreState(const core::Json& state)
{
    m_wantedColour = widgets::stateText(state, "colour");
    m_method->restoreState(state, "method");
}

}  // namespace orrery::plugins
