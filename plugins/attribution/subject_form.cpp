#include "subject_form.h"

#include <QComboBox>
#include <QFileInfo>
#include <QFormLayout>
#include <QLabel>
#include <QSlider>
#include <QSpinBox>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>
#include <numeric>

#include <core/base/text.h>
#include <widgets/controls.h>
#include <widgets/export.h>
#include <widgets/lines_edit.h>
#include <widgets/model_box.h>
#include <widgets/model_source.h>
#include <widgets/session.h>
#include <widgets/text_fields.h>

namespace orrery::plugins {
namespace {

using widgets::SelectionPart;

QToolButton* makeTool(const QString& text, const QString& tooltip)
{
    auto* button = new QToolButton;
    button->setText(text);
    button->setToolTip(tooltip);
    button->setAccessibleName(tooltip);
    return button;
}

}  // namespace

SubjectForm::SubjectForm(widgets::Session& session, QWidget* parent)
    : QWidget(parent), m_session(session), m_form(new QFormLayout),
      m_model(widgets::narrowBox(tr("Model"), tr("The model to explain: a selected run, or the model that is open"), 8)),
      m_target(widgets::narrowBox(tr("Target class"), tr("The class whose output is explained"), 8)),
      m_positions(widgets::narrowBox(tr("Position"), tr("The token of the text whose answer is explained"), 6)),
      m_texts(new widgets::TextFields(widgets::TextFields::Several::No)), m_textLabel(new QLabel(tr("Te&xt"))),
      m_positionLabel(new QLabel(tr("o&f"))), m_subject(new QLabel)
{
    connect(m_model, &QComboBox::activated, this, &SubjectForm::subjectWanted);
    m_target->setObjectName(QStringLiteral("target"));
    connect(m_target, &QComboBox::activated, this, &SubjectForm::chooseTarget);
    m_subject->setWordWrap(true);
    m_subject->setObjectName(QStringLiteral("subject"));
    m_subject->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_form->setContentsMargins(0, 0, 0, 0);
    m_form->setVerticalSpacing(4);
    m_form->addRow(tr("&Model"), m_model);
    auto* sampleLabel = new QLabel(tr("&Sample"));
    m_form->addRow(sampleLabel, makeSampleRow());
    sampleLabel->setBuddy(m_sample);
    m_texts->setPlaceholder(tr("a text of your own instead of the sample, then Enter"));
    m_textLabel->setBuddy(m_texts->first());
    m_form->addRow(m_textLabel, m_texts);
    connect(m_texts, &widgets::TextFields::finished, this, [this] {
        m_position.reset();  // of another text
        m_image.clear();
        Q_EMIT subjectWanted();
    });
    m_positions->setObjectName(QStringLiteral("position"));
    connect(m_positions, &QComboBox::activated, this, [this] {
        const QVariant chosen = m_positions->currentData();
        m_position = chosen.isValid() ? std::optional(chosen.toLongLong()) : std::nullopt;
        Q_EMIT subjectWanted();
    });
    m_positionLabel->setBuddy(m_positions);
    auto* targetLabel = new QLabel(tr("&Target"));
    targetLabel->setBuddy(m_target);
    auto* target = new QHBoxLayout;
    target->addWidget(m_target, 1);
    target->addWidget(m_positionLabel);
    target->addWidget(m_positions, 1);
    m_form->addRow(targetLabel, target);
    auto* siteLabel = new QLabel(tr("&At"));
    m_form->addRow(siteLabel, makeSiteRow());
    siteLabel->setBuddy(m_sites);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(4);
    layout->addLayout(m_form);
    layout->addWidget(m_subject);
    connect(&session, &widgets::Session::selectionChanged, this, &SubjectForm::followSelection);
    updateTextRow();
    fillPositions();
    fillModels();
}

void SubjectForm::addRow(const QString& label, QWidget* field)
{
    m_form->insertRow(3, label, field);
}

QLayout* SubjectForm::makeSampleRow()
{
    m_previous = makeTool(QStringLiteral("◀"), tr("Previous sample"));
    m_next = makeTool(QStringLiteral("▶"), tr("Next sample"));
    connect(m_previous, &QToolButton::clicked, this, [this] { step(-1); });
    connect(m_next, &QToolButton::clicked, this, [this] { step(1); });
    m_sample = new QSpinBox;
    m_sample->setRange(0, 0);
    m_sample->setKeyboardTracking(false);
    m_sample->setAccessibleName(tr("Sample"));
    m_sample->setToolTip(tr("Number of the sample within its part"));
    connect(m_sample, &QSpinBox::valueChanged, this, [this] { step(0); });
    auto* picture = makeTool(tr("Picture…"), tr("Explain the model's answer to a picture of your own"));
    picture->setObjectName(QStringLiteral("picture"));
    connect(picture, &QToolButton::clicked, this, &SubjectForm::askImage);
    m_back = makeTool(tr("Back to the sample"), tr("Explain the sample again instead of the picture or text"));
    m_back->setObjectName(QStringLiteral("back"));
    connect(m_back, &QToolButton::clicked, this, [this] {
        m_image.clear();
        setTexts({});
    });
    m_back->hide();
    auto* row = new QHBoxLayout;
    row->addWidget(m_previous);
    row->addWidget(m_sample, 1);
    row->addWidget(m_next);
    row->addWidget(picture);
    row->addWidget(m_back);
    return row;
}

QLayout* SubjectForm::makeSiteRow()
{
    m_sites =
        widgets::narrowBox(tr("Attributed to"), tr("The value that is attributed to: the input, or any inner value in the order of computation"), 8);
    m_sites->setObjectName(QStringLiteral("sites"));
    m_layer = new QSlider(Qt::Horizontal);
    m_layer->setObjectName(QStringLiteral("layer"));
    m_layer->setAccessibleName(tr("Layer"));
    m_layer->setToolTip(tr("From the input through the layers to the output"));
    connect(m_sites, &QComboBox::activated, this, &SubjectForm::chooseSite);
    connect(m_layer, &QSlider::valueChanged, this, &SubjectForm::chooseSite);
    auto* row = new QHBoxLayout;
    row->addWidget(m_sites, 3);
    row->addWidget(m_layer, 2);
    return row;
}

bool SubjectForm::hasModel() const
{
    return m_model->count() > 0;
}

void SubjectForm::fillModels()
{
    widgets::fillModelBox(*m_model, m_session.selection());
}

void SubjectForm::followSelection(widgets::SelectionParts parts)
{
    if (m_sending)
        return;
    const auto& selection = m_session.selection();
    if (parts & (widgets::SelectionParts(SelectionPart::Runs) | SelectionPart::Model | SelectionPart::Weights)) {
        fillModels();
        Q_EMIT subjectWanted();
    }
    if (parts & (widgets::SelectionParts(SelectionPart::Data) | SelectionPart::Samples)) {
        m_image.clear();
        m_texts->setTexts({});
        Q_EMIT subjectWanted();
    }
    if (parts.testFlag(SelectionPart::Target))
        fillTargets();
    if (parts.testFlag(SelectionPart::Value)) {
        const int known = m_sites->findData(selection.valuePath);
        if (selection.valuePath.isEmpty() || known >= 0)
            setSite(selection.valuePath);
    }
}

std::optional<ExplainSubject> SubjectForm::wanted() const
{
    const auto& selection = m_session.selection();
    ExplainSubject subject;
    subject.model = m_model->currentData().toString();
    subject.image = m_image;
    subject.texts = m_texts->texts();
    subject.position = m_position;
    subject.data = selection.data;
    subject.run = widgets::runOfArgument(subject.model);
    if (!subject.run && !selection.runs.isEmpty())
        subject.run = selection.runs.front();
    if (!selection.split.isEmpty())
        subject.split = selection.split;
    subject.sample = selection.samples.isEmpty() ? 0 : selection.samples.front();
    return subject.model.isEmpty() ? std::nullopt : std::optional(subject);
}

Question SubjectForm::question() const
{
    const QVariant target = m_target->currentData();
    Question question;
    if (target.isValid())
        question.target = target.toLongLong();
    question.site = m_sites->currentIndex() > 0 ? m_sites->currentData().toString().toStdString() : std::string();
    return question;
}

void SubjectForm::setImage(const QString& file)
{
    m_image = file;
    m_texts->setTexts({});
    Q_EMIT subjectWanted();
}

void SubjectForm::setTexts(const std::vector<train::GivenText>& texts, std::optional<qint64> position)
{
    if (!texts.empty())
        m_image.clear();
    m_texts->setTexts(texts);
    m_position = position;
    updateTextRow();
    Q_EMIT subjectWanted();
}

core::Json SubjectForm::textState() const
{
    return {{"texts", m_texts->toJson()}, {"position", m_position ? core::Json(*m_position) : core::Json()}};
}

void SubjectForm::restoreTexts(const core::Json& state)
{
    m_texts->fromJson(state.is_object() ? state.value("texts", core::Json()) : core::Json());
    const auto position = state.is_object() ? state.value("position", core::Json()) : core::Json();
    m_position = position.is_number_integer() ? std::optional<qint64>(position.get<qint64>()) : std::nullopt;
    updateTextRow();
    Q_EMIT subjectWanted();
}

void SubjectForm::showAbilities(const OpenedSubject& opened)
{
    m_abilities = opened;
    m_texts->setPairs(opened.readsPairs);
    updateTextRow();
}

void SubjectForm::updateTextRow()
{
    // A text that is there can be taken away whatever the model says of it.
    const bool shown = m_abilities.readsText || !m_texts->texts().empty();
    m_texts->setVisible(shown);
    m_textLabel->setVisible(shown);
}

void SubjectForm::setSite(const QString& site)
{
    m_site = site;
    fillSites();
}

QString SubjectForm::describe() const
{
    const auto& subject = m_prepared->subject;
    QString text = !subject.texts.empty()    ? widgets::describeTexts(subject.texts)
                   : subject.image.isEmpty() ? tr("%1 part, sample %2 of %L3").arg(subject.split).arg(subject.sample).arg(m_prepared->samplesInSplit)
                                             : QFileInfo(subject.image).fileName();
    if (!m_prepared->targetText.empty())
        text += tr("; true: %1").arg(QString::fromStdString(m_prepared->targetText));
    if (m_prepared->answer.predicted >= 0)
        text += tr("; predicted: %1").arg(m_prepared->className(m_prepared->answer.predicted));
    return text;
}

void SubjectForm::showSubject(const PreparedPtr& prepared, const QString& text)
{
    m_prepared = prepared;
    const bool stepping = prepared && prepared->samplesInSplit > 0;
    for (QWidget* widget : std::initializer_list<QWidget*>{m_previous, m_next, m_sample})
        widget->setEnabled(stepping);
    const bool own = !m_image.isEmpty() || !m_texts->texts().empty();
    m_back->setVisible(own);
    for (QWidget* widget : std::initializer_list<QWidget*>{m_previous, m_next, m_sample})
        widget->setVisible(!own);
    fillPositions();
    m_subject->setText(prepared ? describe() : text);
    if (!prepared)
        return;
    {
        const QSignalBlocker blocker(m_sample);
        m_sample->setRange(0, int(std::max<std::int64_t>(0, prepared->samplesInSplit - 1)));
        m_sample->setValue(int(prepared->subject.sample));
    }
    fillTargets();
    fillSites();
}

void SubjectForm::fillPositions()
{
    const QSignalBlocker blocker(m_positions);
    m_positions->clear();
    const bool shown = m_prepared && m_prepared->positions > 1 && m_prepared->kind == InputKind::Tokens;
    m_positions->setVisible(shown);
    m_positionLabel->setVisible(shown);
    if (!shown)
        return;
    const auto named = [&](std::int64_t position) {
        const auto &names = m_prepared->names, &tags = m_prepared->tags;
        const auto place = std::size_t(position);
        const QString name = place < names.size() ? tr("%1: %2").arg(position).arg(QString::fromStdString(names[place])) : QString::number(position);
        return place < tags.size() ? tr("%1 → %2").arg(name, QString::fromStdString(tags[place])) : name;
    };
    const auto usual = m_prepared->usualPosition.value_or(m_prepared->positions - 1);
    m_positions->addItem(usual == m_prepared->positions - 1 ? tr("the last token, %1").arg(named(usual)) : tr("the mask, %1").arg(named(usual)));
    m_positions->setItemData(0, tr("The first mask of a model that fills masks, else the last token"), Qt::ToolTipRole);
    for (std::int64_t position = 0; position < m_prepared->positions; ++position)
        m_positions->addItem(named(position), qint64(position));
    m_position = m_prepared->subject.position;
    m_positions->setCurrentIndex(m_position ? int(*m_position) + 1 : 0);
}

void SubjectForm::fillTargets()
{
    const QSignalBlocker blocker(m_target);
    m_target->clear();
    if (!m_prepared)
        return;
    const auto& probabilities = m_prepared->answer.probabilities;
    // One number is all there is to explain; a single logit stands for two classes.
    if (probabilities.empty() || m_prepared->answer.outputs.size() == 1) {
        m_target->addItem(tr("The model's output"));
        return m_target->setEnabled(false);
    }
    m_target->setEnabled(true);
    m_target->addItem(tr("Predicted class: %1").arg(m_prepared->className(m_prepared->answer.predicted)));
    // A language model has too many classes to list: the most probable ones.
    std::vector<std::size_t> order(probabilities.size());
    std::iota(order.begin(), order.end(), 0);
    if (order.size() > 64) {
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return probabilities[a] > probabilities[b]; });
        order.resize(64);
    }
    for (const std::size_t i : order)
        m_target->addItem(tr("%1   (probability %2)").arg(m_prepared->className(std::int64_t(i))).arg(probabilities[i], 0, 'f', 4), qint64(i));
    if (const auto wanted = m_session.selection().target)
        m_target->setCurrentIndex(std::max(0, m_target->findData(*wanted)));
}

void SubjectForm::fillSites()
{
    const QSignalBlocker sites(m_sites), layer(m_layer);
    m_sites->clear();
    if (!m_prepared)
        return;
    for (const Site& site : m_prepared->sites) {
        const QString title = m_sites->count() == 0 ? tr("Input: %1").arg(QString::fromStdString(site.title)) : QString::fromStdString(site.title);
        const std::vector<std::int64_t> shape(site.shape.begin() + 1, site.shape.end());
        m_sites->addItem(title + QLatin1Char(' ') + QString::fromStdString(core::formatShape(shape)), QString::fromStdString(site.name));
    }
    const int last = std::max(0, m_sites->count() - 1);
    const int wanted = std::max(0, m_sites->findData(m_site));
    m_sites->setCurrentIndex(m_sites->count() > 0 ? wanted : -1);
    m_layer->setRange(0, last);
    m_layer->setValue(wanted);
    m_layer->setEnabled(last > 0);
    Q_EMIT questionChanged();
}

void SubjectForm::chooseTarget()
{
    m_sending = true;
    m_session.changeSelection([this](widgets::Selection& s) { s.target = question().target; });
    m_sending = false;
    Q_EMIT questionChanged();
}

void SubjectForm::chooseSite(int index)
{
    const QSignalBlocker sites(m_sites), layer(m_layer);
    m_sites->setCurrentIndex(index);
    m_layer->setValue(index);
    m_site = index > 0 ? m_sites->itemData(index).toString() : QString();
    m_sending = true;
    m_session.changeSelection([this](widgets::Selection& s) {
        if (s.valuePath != m_site)
            s.valueIndex.clear();
        s.valuePath = m_site;
    });
    m_sending = false;
    Q_EMIT questionChanged();
}

void SubjectForm::step(int change)
{
    if (!m_prepared && change != 0)
        return;
    const qint64 wanted = std::clamp<qint64>(m_sample->value() + change, 0, m_sample->maximum());
    const auto prepared = m_prepared;
    m_session.changeSelection([&](widgets::Selection& s) {
        if (s.data.is_null() && prepared)
            s.data = prepared->dataDocument;
        if (s.split.isEmpty() && prepared)
            s.split = prepared->subject.split;
        s.samples = {wanted};
    });
}

void SubjectForm::askImage()
{
    const QString file = widgets::askOpenFile()(this, tr("Open a picture"), tr("Pictures (*.png *.jpg *.jpeg *.webp)"));
    if (!file.isEmpty())
        setImage(file);
}

}  // namespace orrery::plugins
