// The widgets of the Patching panel.
#include <QAction>
#include <QComboBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSplitter>
#include <QToolButton>
#include <QVBoxLayout>

#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/job_bar.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>

#include "patch_inputs.h"
#include "patch_result.h"
#include "patching_panel.h"

namespace orrery::plugins {
namespace {

/// The sweep's settings without the components, which have buttons of their own.
core::Schema formSchema()
{
    core::Schema schema;
    for (const auto& parameter : intervene::patchingComponent().schema.parameters())
        if (parameter.name != "components")
            schema.add(parameter);
    return schema;
}

QLineEdit* makeLine(const char* name, const QString& accessible, const QString& tooltip)
{
    auto* line = new QLineEdit;
    line->setObjectName(QString::fromLatin1(name));
    line->setAccessibleName(accessible);
    line->setToolTip(tooltip);
    line->setClearButtonEnabled(true);
    return line;
}

}  // namespace

void PatchingPanel::makeActions()
{
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    m_showRuns = new QAction(tr("Show the runs"), this);
    connect(m_showRuns, &QAction::triggered, this, [this] { session().requestPanel(QStringLiteral("experiments")); });
}

QLayout* PatchingPanel::makeAnswers()
{
    const QString forms = tr("a token as text, a class name, or a number");
    m_answer = makeLine("answer", tr("Answer"), tr("The right answer: %1; empty: what the clean run says").arg(forms));
    m_wrong = makeLine("wrong", tr("Wrong answer"), tr("The wrong answer: %1; empty: the largest other one of the corrupted run").arg(forms));
    m_answer->setPlaceholderText(tr("the clean run's"));
    m_wrong->setPlaceholderText(tr("the corrupted run's"));
    auto* than = new QLabel(tr("rather &than"));
    than->setBuddy(m_wrong);
    auto* row = new QHBoxLayout;
    row->addWidget(m_answer, 1);
    row->addWidget(than);
    row->addWidget(m_wrong, 1);
    for (auto* line : {m_answer, m_wrong})
        connect(line, &QLineEdit::textChanged, this, &PatchingPanel::showStatus);
    return row;
}

QLayout* PatchingPanel::makeInputs()
{
    m_model = new QComboBox;
    m_model->setAccessibleName(tr("Model"));
    m_model->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    connect(m_model, &QComboBox::activated, this, &PatchingPanel::prepareSoon);
    m_kind = new QComboBox;
    m_kind->setObjectName(QStringLiteral("kind"));
    m_kind->setAccessibleName(tr("Kind of inputs"));
    m_kind->addItem(tr("Two texts"), true);
    m_kind->addItem(tr("Two samples of the data"), false);
    connect(m_kind, &QComboBox::currentIndexChanged, this, &PatchingPanel::prepareSoon);
    m_clean = makeLine("clean", tr("Clean input"), tr("An input that the model answers right: a text, or the number of a sample"));
    m_corrupted = makeLine("corrupted", tr("Corrupted input"), tr("An input of the same length that it answers otherwise"));
    m_cleanPair = widgets::makePairEdit();
    m_cleanPair->setObjectName(QStringLiteral("clean_pair"));
    m_corruptedPair = widgets::makePairEdit();
    m_corruptedPair->setObjectName(QStringLiteral("corrupted_pair"));
    m_corruptedPair->setAccessibleName(tr("Second text of the corrupted pair"));
    for (auto* line : {m_clean, m_corrupted, m_cleanPair, m_corruptedPair})
        connect(line, &QLineEdit::textChanged, this, &PatchingPanel::prepareSoon);
    auto* form = new QFormLayout;
    form->setContentsMargins(0, 0, 0, 0);
    form->setVerticalSpacing(4);
    form->addRow(tr("&Model"), m_model);
    form->addRow(tr("&Inputs"), m_kind);
    const auto addTexts = [form](const QString& title, QLineEdit* first, QLineEdit* second) {
        auto* label = new QLabel(title);
        label->setBuddy(first);
        auto* row = new QHBoxLayout;
        row->addWidget(first, 1);
        row->addWidget(second, 1);
        form->addRow(label, row);
    };
    addTexts(tr("C&lean"), m_clean, m_cleanPair);
    addTexts(tr("C&orrupted"), m_corrupted, m_corruptedPair);
    auto* answers = makeAnswers();
    auto* label = new QLabel(tr("&Answer"));
    label->setBuddy(m_answer);
    form->addRow(label, answers);
    return form;
}

QLayout* PatchingPanel::makeButtons()
{
    m_run = new QPushButton(tr("&Run"));
    m_run->setObjectName(QStringLiteral("run"));
    connect(m_run, &QPushButton::clicked, this, &PatchingPanel::run);
    m_bar = new widgets::JobBar(session(), tr("Progress of the sweep"));
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        addBusy(-1);
        if (m_bar->wasCancelled() && m_result->finished() > 0)
            m_status->setText(tr("Cancelled; what was finished is shown."));
        updateButtons();
    });
    auto* copy = new QToolButton;
    copy->setDefaultAction(m_copyCommand);
    auto* row = new QHBoxLayout;
    row->addWidget(m_run);
    row->addWidget(m_bar, 1);
    row->addStretch(0);
    row->addWidget(copy);
    return row;
}

QWidget* PatchingPanel::makeSettings()
{
    auto* top = new QWidget;
    auto* layout = new QVBoxLayout(top);
    layout->setContentsMargins(6, 6, 6, 2);
    layout->setSpacing(4);
    layout->addLayout(makeInputs());
    m_tokens = new TokenPairTable;
    m_tokens->setObjectName(QStringLiteral("tokens"));
    connect(m_tokens, &TokenPairTable::positionChosen, this,
            [this](int position) { session().changeSelection([position](widgets::Selection& s) { s.token = position; }); });
    layout->addWidget(m_tokens);
    m_status = new QLabel;
    m_status->setObjectName(QStringLiteral("status"));
    m_status->setWordWrap(true);
    m_status->setTextInteractionFlags(Qt::TextSelectableByMouse);
    layout->addWidget(m_status);
    m_components = new ComponentChoice;
    connect(m_components, &ComponentChoice::changed, this, &PatchingPanel::updateButtons);
    layout->addWidget(m_components);
    m_places = makeLine("places", tr("Other values"), tr("Paths or patterns of other values, with commas: layer*.conv1, op:relu"));
    m_places->setPlaceholderText(tr("other values: paths or patterns, with commas"));
    connect(m_places, &QLineEdit::textChanged, this, &PatchingPanel::updateButtons);
    layout->addWidget(m_places);
    m_form = new widgets::SchemaForm;
    m_form->setAccessibleName(tr("Settings of the sweep"));
    m_form->setSchema(formSchema());
    m_form->setMinimumHeight(90);
    connect(m_form, &widgets::SchemaForm::issuesChanged, this, &PatchingPanel::showStatus);
    connect(m_form, &widgets::SchemaForm::edited, this, &PatchingPanel::showStatus);
    layout->addWidget(m_form, 1);
    layout->addLayout(makeButtons());
    return top;
}

QWidget* PatchingPanel::makeContent()
{
    m_result = new PatchResultView;
    connect(m_result, &PatchResultView::cellChosen, this, &PatchingPanel::chooseCell);
    auto* splitter = new QSplitter(Qt::Vertical, this);
    splitter->addWidget(makeSettings());
    splitter->addWidget(m_result);
    splitter->setStretchFactor(0, 2);
    splitter->setStretchFactor(1, 3);
    splitter->setChildrenCollapsible(false);
    splitter->setFocusProxy(m_clean);
    updateButtons();
    return splitter;
}

}  // namespace orrery::plugins
