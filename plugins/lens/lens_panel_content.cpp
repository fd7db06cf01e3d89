// The widgets of the Lens panel and what a click in them chooses.
#include <QAction>
#include <QComboBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QSlider>
#include <QSpinBox>
#include <QTabWidget>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>

#include <widgets/commands.h>
#include <widgets/job_bar.h>
#include <widgets/model_source.h>
#include <widgets/session.h>
#include <widgets/text_fields.h>
#include <widgets/token_view.h>

#include "attention_page.h"
#include "checkpoints_page.h"
#include "direct_page.h"
#include "grid_page.h"
#include "induction_page.h"
#include "lens_panel.h"

namespace orrery::plugins {
namespace {

QSlider* makeSlider(const char* name, const QString& accessible, const QString& tooltip)
{
    auto* slider = new QSlider(Qt::Horizontal);
    slider->setObjectName(QString::fromLatin1(name));
    slider->setAccessibleName(accessible);
    slider->setToolTip(tooltip);
    slider->setPageStep(1);
    slider->setMinimumWidth(40);
    return slider;
}

/// A row with a slider and the words for where it stands, hidden at first.
std::pair<QWidget*, QLabel*> addSlider(QFormLayout* form, const QString& title, QSlider* slider, const char* name)
{
    auto* place = new QLabel;
    place->setObjectName(QString::fromLatin1(name));
    auto* row = new QWidget;
    auto* layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(slider, 1);
    layout->addWidget(place);
    auto* label = new QLabel(title);
    label->setBuddy(slider);
    form->addRow(label, row);
    form->setRowVisible(row, false);
    return {row, place};
}

}  // namespace

void LensPanel::makeActions()
{
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    m_keep = new QAction(tr("Keep in the run"), this);
    m_keep->setToolTip(tr("Store what is on show as an analysis of the run"));
    connect(m_keep, &QAction::triggered, this, &LensPanel::keep);
    m_lookAgain = new QAction(tr("Look again"), this);
    m_lookAgain->setToolTip(tr("Compute what is on show once more"));
    connect(m_lookAgain, &QAction::triggered, this, [this] { lookSoon(true); });
    m_showData = new QAction(tr("Show the data"), this);
    connect(m_showData, &QAction::triggered, this, [this] { session().requestPanel(QStringLiteral("data")); });
    m_showRuns = new QAction(tr("Show the runs"), this);
    connect(m_showRuns, &QAction::triggered, this, [this] { session().requestPanel(QStringLiteral("experiments")); });
    addActions({m_copyCommand, m_keep, m_lookAgain});
}

void LensPanel::addModelRows(QFormLayout* form)
{
    m_model = new QComboBox;
    m_model->setAccessibleName(tr("Model"));
    m_model->setObjectName(QStringLiteral("model"));
    m_model->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    connect(m_model, &QComboBox::activated, this, [this] { lookSoon(); });
    m_size = makeSlider("size", tr("Size"), tr("The selected runs in order of their number of parameters"));
    connect(m_size, &QSlider::valueChanged, this, &LensPanel::chooseSize);
    m_checkpoint = makeSlider("checkpoint", tr("Checkpoint"), tr("Checkpoints of the run, at the right end its final weights"));
    connect(m_checkpoint, &QSlider::valueChanged, this, &LensPanel::chooseStep);
    form->addRow(tr("&Model"), m_model);
    std::tie(m_sizeRow, m_sizeName) = addSlider(form, tr("Si&ze"), m_size, "sizeName");
    std::tie(m_checkpointRow, m_checkpointName) = addSlider(form, tr("C&heckpoint"), m_checkpoint, "checkpointName");
}

void LensPanel::addInputRow(QFormLayout* form)
{
    m_inputKind = new QComboBox;
    m_inputKind->addItems({tr("Sample"), tr("Text")});
    m_inputKind->setObjectName(QStringLiteral("inputKind"));
    m_inputKind->setAccessibleName(tr("Input"));
    m_sample = new QSpinBox;
    m_sample->setRange(0, 0);
    m_sample->setKeyboardTracking(false);
    m_sample->setAccessibleName(tr("Sample"));
    m_sample->setObjectName(QStringLiteral("sample"));
    connect(m_sample, &QSpinBox::valueChanged, this, &LensPanel::chooseSample);
    m_texts = new widgets::TextFields(widgets::TextFields::Several::No);
    m_texts->setPlaceholder(tr("A text in the model's vocabulary, then Enter"));
    m_texts->setVisible(false);
    connect(m_texts, &widgets::TextFields::finished, this, [this] { lookSoon(); });
    connect(m_inputKind, &QComboBox::currentIndexChanged, this, [this](int which) {
        m_texts->setVisible(which == 1);
        m_sample->setVisible(which == 0);
        lookSoon();
    });
    auto* row = new QHBoxLayout;
    row->addWidget(m_inputKind, 0, Qt::AlignTop);
    row->addWidget(m_sample, 1);
    row->addWidget(m_texts, 1);
    auto* label = new QLabel(tr("&Input"));
    label->setBuddy(m_inputKind);
    form->addRow(label, row);
}

QWidget* LensPanel::makeTabs()
{
    m_tabs = new QTabWidget;
    m_tabs->setDocumentMode(true);
    m_tabs->setUsesScrollButtons(true);
    m_tabs->addTab(m_grid = new GridPage, tr("&Logit lens"));
    m_tabs->addTab(m_direct = new DirectPage, tr("&Attribution"));
    m_tabs->addTab(m_attention = new AttentionPage, tr("A&ttention"));
    m_tabs->addTab(m_induction = new InductionPage, tr("I&nduction"));
    m_tabs->addTab(m_checkpoints = new CheckpointsPage, tr("Ch&eckpoints"));
    m_tabs->setTabToolTip(1, tr("Direct logit attribution: what each component adds to a logit"));
    connectPages();
    return m_tabs;
}

void LensPanel::connectPages()
{
    connect(m_tabs, &QTabWidget::currentChanged, this, [this] {
        updateButtons();
        lookSoon();
    });
    connect(m_grid, &GridPage::changed, this, [this] { lookSoon(); });
    connect(m_grid, &GridPage::cellChosen, this, [this](const QString& value, int position, qint64) { chooseValue(value, position); });
    connect(m_direct, &DirectPage::changed, this, [this] { lookSoon(); });
    connect(m_direct, &DirectPage::componentChosen, this, [this](const QString& canonical) {
        const auto& names = m_prepared->model->card.canonicalNames;
        if (const auto found = names.find(canonical.toStdString()); found != names.end())
            chooseValue(QString::fromStdString(found->second), -1);
    });
    connect(m_attention, &AttentionPage::headChosen, this, &LensPanel::showHead);
    connect(m_attention, &AttentionPage::cellChosen, this, [this](int query, int) { choosePosition(query); });
    connect(m_induction, &InductionPage::changed, this, [this] { lookSoon(); });
    connect(m_induction, &InductionPage::headChosen, this, [this](int layer, int head) {
        m_attention->choose(layer, head);
        m_tabs->setCurrentWidget(m_attention);
    });
    connect(m_checkpoints, &CheckpointsPage::measureAsked, this, &LensPanel::measure);
    connect(m_checkpoints, &CheckpointsPage::stepChosen, this, [this](qint64 step) {
        const auto& steps = m_prepared->steps;
        m_checkpoint->setValue(int(std::find(steps.begin(), steps.end(), step) - steps.begin()));
    });
}

QLayout* LensPanel::makeFoot()
{
    m_bar = new widgets::JobBar(session(), tr("Progress of the lens"));
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        addBusy(-1);
        const bool wasMeasuring = std::exchange(m_measuring, false);
        if (m_bar->wasCancelled() && !wasMeasuring && !m_replacing)
            Q_EMIT statusMessage(tr("Cancelled: press Look again to compute it"));
        updateButtons();
        if (wasMeasuring)
            lookSoon();
    });
    auto* row = new QHBoxLayout;
    row->addStretch(1);
    for (QAction* action : {m_lookAgain, m_keep, m_copyCommand}) {
        auto* button = new QToolButton;
        button->setDefaultAction(action);
        row->addWidget(button);
    }
    // The bar beside the buttons would make the panel wider than its dock while something runs.
    auto* foot = new QVBoxLayout;
    foot->addWidget(m_bar);
    foot->addLayout(row);
    return foot;
}

QWidget* LensPanel::makeContent()
{
    auto* content = new QWidget;
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(6, 6, 6, 4);
    layout->setSpacing(4);
    m_form = new QFormLayout;
    m_form->setContentsMargins(0, 0, 0, 0);
    m_form->setVerticalSpacing(4);
    addModelRows(m_form);
    addInputRow(m_form);
    layout->addLayout(m_form);
    m_tokens = new widgets::TokenView;
    m_tokens->setAccessibleName(tr("Tokens"));
    m_tokens->setObjectName(QStringLiteral("tokens"));
    m_tokens->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Maximum);
    m_tokens->setVisible(false);
    connect(m_tokens, &widgets::TokenView::currentChanged, this, &LensPanel::choosePosition);
    layout->addWidget(m_tokens);
    m_hint = new QLabel(tr("Choose a sample in Data, or choose Text above and type one."));
    m_hint->setWordWrap(true);
    m_hint->setObjectName(QStringLiteral("hint"));
    m_hint->hide();
    layout->addWidget(m_hint);
    auto* tabs = makeTabs();
    layout->addWidget(tabs, 1);
    layout->addLayout(makeFoot());
    content->setFocusProxy(m_tabs);
    return content;
}

void LensPanel::chooseSize(int position)
{
    if (!m_prepared || std::size_t(position) >= m_prepared->sizes.size())
        return;
    m_model->setCurrentIndex(m_model->findData(m_prepared->sizes[std::size_t(position)].model));
    lookSoon();
}

/// Which of the runs it is, how large, and whether all of them saw the same data in the same order.
void LensPanel::showSizes()
{
    const auto& sizes = m_prepared->sizes;
    const QSignalBlocker blocker(m_size);
    m_form->setRowVisible(m_sizeRow, !sizes.empty());
    m_size->setRange(0, int(sizes.size()) - 1);
    const auto found = std::find_if(sizes.begin(), sizes.end(), [this](const LensSize& size) { return size.model == m_prepared->wanted.model; });
    if (found == sizes.end())
        return m_sizeName->setText(tr("none of the selected runs"));
    m_size->setValue(int(found - sizes.begin()));
    const bool sameOrder = !found->dataOrder.empty() &&
                           std::all_of(sizes.begin(), sizes.end(), [&](const LensSize& size) { return size.dataOrder == found->dataOrder; });
    m_sizeName->setText(tr("%L1 · %2 of %3 · %4")
                            .arg(found->parameters)
                            .arg(found - sizes.begin() + 1)
                            .arg(sizes.size())
                            .arg(sameOrder ? tr("same data order") : tr("data differ")));
    m_sizeName->setToolTip(sameOrder ? tr("Number of parameters. All of these runs saw the same data in the same order.")
                                     : tr("Number of parameters. The runs saw other data, or in another order."));
}

void LensPanel::chooseStep(int position)
{
    if (!m_prepared)
        return;
    const auto& steps = m_prepared->steps;
    m_step = std::size_t(position) < steps.size() ? std::optional<qint64>(steps[std::size_t(position)]) : std::nullopt;
    m_checkpointName->setText(m_step ? tr("step %1 (%2 of %3)").arg(*m_step).arg(position + 1).arg(steps.size()) : tr("final weights"));
    sendStep();
    lookSoon();
}

/// The run on show and its checkpoint, for the other panels.
void LensPanel::sendStep()
{
    m_sending = true;
    session().changeSelection([this](widgets::Selection& s) {
        s.weightsRun = widgets::runOfArgument(m_model->currentData().toString());
        s.checkpointStep = m_step;
    });
    m_sending = false;
}

void LensPanel::chooseSample(int number)
{
    const auto prepared = m_prepared;
    session().changeSelection([&](widgets::Selection& s) {
        if (s.data.is_null() && prepared)
            s.data = prepared->dataDocument;
        if (s.split.isEmpty() && prepared)
            s.split = prepared->wanted.split;
        s.samples = {number};
    });
}

void LensPanel::choosePosition(int position)
{
    if (position < 0)
        return;
    m_sending = true;
    session().changeSelection([position](widgets::Selection& s) { s.token = position; });
    m_sending = false;
    const QSignalBlocker blocker(m_tokens);
    m_tokens->setCurrent(position);
    m_grid->setPosition(position);
    m_attention->setPosition(position);
    lookSoon();
}

void LensPanel::chooseValue(const QString& value, int position)
{
    if (position >= 0)
        choosePosition(position);
    m_sending = true;
    session().changeSelection([&](widgets::Selection& s) {
        s.valuePath = value;
        s.valueIndex = position >= 0 ? QList<qint64>{0, position} : QList<qint64>{};
    });
    m_sending = false;
}

void LensPanel::showHead(int layer, int head)
{
    if (!m_prepared)
        return;
    const auto& names = m_prepared->model->card.canonicalNames;
    const auto found = names.find("blocks." + std::to_string(layer) + ".attn.pattern");
    if (found == names.end())
        return;
    m_sending = true;
    session().changeSelection([&](widgets::Selection& s) {
        s.valuePath = QString::fromStdString(found->second);
        s.valueIndex = {0, head};
    });
    m_sending = false;
}

}  // namespace orrery::plugins
