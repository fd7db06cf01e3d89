#include <QAction>
#include <QComboBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QSpinBox>
#include <QSplitter>
#include <QTabWidget>
#include <QTableWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <core/intervene/generate.h>
#include <widgets/controls.h>
#include <widgets/document_editor.h>
#include <widgets/job_bar.h>
#include <widgets/lines_edit.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>
#include <widgets/text_fields.h>

#include "entry_editor.h"
#include "interventions_panel.h"
#include "outcome_view.h"

/// How the panel is put together; what it does is in interventions_panel.cpp.
namespace orrery::plugins {
namespace {

using core::Json;

QTableWidget* makeTable(const QString& id, const QString& name, const QStringList& titles)
{
    auto* table = new QTableWidget(0, int(titles.size()));
    table->setObjectName(id);
    table->setAccessibleName(name);
    table->setHorizontalHeaderLabels(titles);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 8);
    table->horizontalHeader()->setStretchLastSection(true);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setSelectionMode(QAbstractItemView::SingleSelection);
    table->setTabKeyNavigation(false);
    return table;
}

QToolButton* buttonFor(QAction* action)
{
    auto* button = new QToolButton;
    button->setDefaultAction(action);
    button->setAutoRaise(true);
    return button;
}

}  // namespace

QLayout* InterventionsPanel::makeSubject()
{
    m_modelBox = new QComboBox;
    m_modelBox->setAccessibleName(tr("Model"));
    m_modelBox->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_modelBox->setMinimumContentsLength(8);
    connect(m_modelBox, &QComboBox::activated, this, &InterventionsPanel::prepareSoon);
    m_sample = new QSpinBox;
    m_sample->setObjectName(QStringLiteral("sample"));
    m_sample->setAccessibleName(tr("Sample"));
    m_sample->setRange(0, 0);
    m_sample->setKeyboardTracking(false);
    connect(m_sample, &QSpinBox::valueChanged, this, &InterventionsPanel::step);
    m_texts = new widgets::TextFields(widgets::TextFields::Several::No);
    m_texts->setPlaceholder(tr("instead of the sample"));
    connect(m_texts, &widgets::TextFields::finished, this, &InterventionsPanel::prepareSoon);
    m_textLabel = new QLabel(tr("&Text"));
    m_textLabel->setBuddy(m_texts->first());
    m_position = new QSpinBox;
    m_position->setObjectName(QStringLiteral("position"));
    m_position->setAccessibleName(tr("Answer at"));
    m_position->setRange(-1, -1);
    m_position->setSpecialValueText(tr("the mask, or the last token"));
    m_position->setToolTip(tr("Position of the text whose answer is shown; the lowest: where the model answers by itself"));
    m_positionLabel = new QLabel(tr("Ans&wer at"));
    m_positionLabel->setBuddy(m_position);
    m_position->hide();
    m_positionLabel->hide();
    m_input = new QLabel;
    m_input->setObjectName(QStringLiteral("input"));
    m_input->setWordWrap(true);
    auto* form = new QFormLayout;
    form->setContentsMargins(0, 0, 0, 0);
    form->setVerticalSpacing(4);
    form->addRow(tr("&Model"), m_modelBox);
    form->addRow(tr("&Sample"), m_sample);
    form->addRow(m_textLabel, m_texts);
    form->addRow(m_positionLabel, m_position);
    form->addRow(m_input);
    return form;
}

QWidget* InterventionsPanel::makeList()
{
    m_list = makeTable(QStringLiteral("interventions"), tr("Interventions"), {tr("On"), tr("Place"), tr("Unit"), tr("Does")});
    m_list->setEditTriggers(QAbstractItemView::NoEditTriggers);
    connect(m_list, &QTableWidget::currentCellChanged, this, [this](int row, int, int before, int) {
        if (row != before)
            showEntry();
    });
    connect(m_list, &QTableWidget::itemChanged, this, [this](QTableWidgetItem* item) {
        if (item->column() != 0 || item->row() >= int(m_model.entries().size()))
            return;
        auto entry = m_model.entries()[std::size_t(item->row())];
        if (!entry.is_object())
            return;
        entry["enabled"] = item->checkState() == Qt::Checked;
        m_model.editEntry(item->row(), entry, item->checkState() == Qt::Checked ? tr("Switch an intervention on") : tr("Switch an intervention off"));
    });
    m_entry = new EntryEditor;
    connect(m_entry, &EntryEditor::edited, this,
            [this](const Json& entry, const QString& field) { m_model.editEntry(m_list->currentRow(), entry, tr("Edit an intervention"), field); });
    auto* tools = new QHBoxLayout;
    tools->setSpacing(0);
    tools->addWidget(buttonFor(makeAction(tr("Add"), tr("Add an intervention at the selected value"), &InterventionsPanel::add)));
    m_remove = makeAction(tr("Remove"), tr("Remove the chosen intervention"), &InterventionsPanel::remove);
    m_up = makeAction(tr("Up"), tr("Act earlier, where several act on one value"), &InterventionsPanel::moveUp);
    m_down = makeAction(tr("Down"), tr("Act later, where several act on one value"), &InterventionsPanel::moveDown);
    for (auto* action : {m_remove, m_up, m_down})
        tools->addWidget(buttonFor(action));
    tools->addStretch(1);
    auto* scroll = new QScrollArea;
    scroll->setWidget(m_entry);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(2, 2, 2, 2);
    layout->addLayout(tools);
    layout->addWidget(m_list, 2);
    layout->addWidget(scroll, 5);
    return page;
}

QWidget* InterventionsPanel::makeSources()
{
    m_sourceTable = makeTable(QStringLiteral("sources"), tr("Source inputs"), {tr("Name"), tr("Input")});
    connect(m_sourceTable, &QTableWidget::itemChanged, this, &InterventionsPanel::sourcesChanged);
    auto* hint =
        new QLabel(tr("Interchange and its kin take values from these inputs: sample:3 (or 0-99) of the same data, text:…, pair:[\"…\", \"…\"], "
                      "or an .npy file."));
    hint->setWordWrap(true);
    auto* tools = new QHBoxLayout;
    tools->addWidget(buttonFor(makeAction(tr("Add source"), tr("Add a source input"), &InterventionsPanel::addSource)));
    tools->addWidget(buttonFor(makeAction(tr("Remove source"), tr("Remove the chosen source input"), &InterventionsPanel::removeSource)));
    tools->addStretch(1);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(2, 2, 2, 2);
    layout->addWidget(hint);
    layout->addLayout(tools);
    layout->addWidget(m_sourceTable, 1);
    return page;
}

QWidget* InterventionsPanel::makeWriting()
{
    m_newTokens = new QSpinBox;
    m_newTokens->setObjectName(QStringLiteral("newTokens"));
    m_newTokens->setAccessibleName(tr("New tokens"));
    m_newTokens->setRange(0, 100'000);
    m_newTokens->setSpecialValueText(tr("none"));
    m_newTokens->setToolTip(tr("Write on from the text by so many tokens, without and with the interventions"));
    m_writing = new widgets::SchemaForm;
    m_writing->setAccessibleName(tr("How tokens are chosen"));
    core::Schema schema;
    for (const auto& parameter : intervene::generationSchema().parameters())
        if (parameter.name != "max_new_tokens")
            schema.add(parameter);
    m_writing->setSchema(schema);
    connect(m_writing, &widgets::SchemaForm::issuesChanged, this, &InterventionsPanel::updateButtons);
    auto* page = new QWidget;
    auto* layout = new QFormLayout(page);
    layout->addRow(tr("&New tokens"), m_newTokens);
    layout->addRow(m_writing);
    return page;
}

QLayout* InterventionsPanel::makeRunRow()
{
    m_probe = new QLineEdit;
    m_probe->setObjectName(QStringLiteral("probe"));
    m_probe->setAccessibleName(tr("Value to compare"));
    m_probe->setPlaceholderText(tr("compare a value"));
    m_probe->setToolTip(tr("A value that is shown without and with the interventions, if any: a path or a canonical name"));
    m_run = new QPushButton(tr("&Run"));
    m_run->setObjectName(QStringLiteral("run"));
    connect(m_run, &QPushButton::clicked, this, &InterventionsPanel::run);
    m_bar = new widgets::JobBar(session(), tr("Progress of the run"));
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        addBusy(-1);
        updateButtons();
    });
    auto* row = new QHBoxLayout;
    row->addWidget(m_probe, 1);
    row->addWidget(m_run);
    row->addWidget(m_bar, 1);
    row->addWidget(buttonFor(m_copyCommand));
    return row;
}

QWidget* InterventionsPanel::makeContent()
{
    m_editor = new widgets::DocumentEditor;
    m_editor->setAccessibleName(tr("Interventions as text"));
    connect(m_editor, &widgets::DocumentEditor::edited, this,
            [this](const Json&, const Json& after) { m_model.edit(after, tr("Edit the text"), QStringLiteral("text")); });
    auto* files = new QHBoxLayout;
    files->setSpacing(0);
    files->addWidget(buttonFor(makeAction(tr("Open…"), tr("Open a document (JSON or YAML)"), &InterventionsPanel::openFile)));
    files->addWidget(buttonFor(makeAction(tr("Save…"), tr("Save the document (JSON or YAML)"), &InterventionsPanel::saveFile)));
    m_keep = makeAction(tr("Keep with run…"), tr("Keep the document with the run, to be shared"), &InterventionsPanel::keepWithRun);
    m_openKept = makeAction(tr("Kept…"), tr("Open a document kept with the run"), &InterventionsPanel::openKept);
    files->addWidget(buttonFor(m_keep));
    files->addWidget(buttonFor(m_openKept));
    files->addStretch(1);
    m_tabs = new QTabWidget;
    m_tabs->setDocumentMode(true);
    m_tabs->addTab(makeList(), tr("&List"));
    m_tabs->addTab(m_editor, tr("&JSON"));
    m_tabs->addTab(makeSources(), tr("So&urces"));
    m_tabs->addTab(makeWriting(), tr("Wr&iting"));
    auto* top = new QWidget;
    auto* layout = new QVBoxLayout(top);
    layout->setContentsMargins(6, 6, 6, 2);
    layout->setSpacing(4);
    layout->addLayout(makeSubject());
    layout->addLayout(files);
    layout->addWidget(m_tabs, 1);
    layout->addLayout(makeRunRow());
    m_outcome = new OutcomeView;
    connect(m_outcome, &OutcomeView::classChosen, this,
            [this](qint64 index) { session().changeSelection([&](widgets::Selection& s) { s.target = index; }); });
    auto* splitter = new QSplitter(Qt::Vertical, this);
    splitter->addWidget(top);
    splitter->addWidget(m_outcome);
    splitter->setStretchFactor(0, 5);
    splitter->setStretchFactor(1, 3);
    splitter->setSizes({560, 340});
    splitter->setChildrenCollapsible(false);
    splitter->setFocusProxy(m_list);
    return splitter;
}

}  // namespace orrery::plugins
