#include "representations_panel.h"

#include <QAction>
#include <QComboBox>
#include <QCompleter>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QSlider>
#include <QSpinBox>
#include <QTabWidget>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>

#include <widgets/commands.h>
#include <widgets/low_tabs.h>
#include <widgets/model_box.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/session.h>

#include "page.h"
#include "probe_page.h"
#include "scatter_page.h"
#include "similarity_page.h"

namespace orrery::plugins {

using widgets::SelectionPart;

RepresentationsPanel::RepresentationsPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("representations"), tr("Representations"), session, parent), m_openTimer(new QTimer(this))
{
    m_openTimer->setSingleShot(true);
    m_openTimer->setInterval(0);
    connect(m_openTimer, &QTimer::timeout, this, &RepresentationsPanel::open);
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    m_showData = new QAction(tr("Show the data"), this);
    connect(m_showData, &QAction::triggered, this, [this] { this->session().requestPanel(QStringLiteral("data")); });
    m_showRuns = new QAction(tr("Show the runs"), this);
    connect(m_showRuns, &QAction::triggered, this, [this] { this->session().requestPanel(QStringLiteral("experiments")); });
    setContent(makeContent());
    addAction(m_copyCommand);
    connect(&session, &widgets::Session::selectionChanged, this, &RepresentationsPanel::followSelection);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        fillModels();
        openSoon();
    });
    fillModels();
    openSoon();
}

RepresentationsPanel::~RepresentationsPanel()
{
    m_openTask.cancel();
}

QLayout* RepresentationsPanel::makeRowsRow()
{
    m_part = widgets::narrowBox(tr("Part"), tr("Part of the data whose samples are looked at; probes are fitted on the training part"));
    for (const char* part : {"train", "val", "test"})
        m_part->addItem(QString::fromLatin1(part), QString::fromLatin1(part));
    m_part->setCurrentIndex(2);
    connect(m_part, &QComboBox::activated, this, [this] {
        rowsChanged();
        m_sending = true;
        session().changeSelection([this](widgets::Selection& s) {
            s.split = m_part->currentData().toString();
            s.samples.clear();
        });
        m_sending = false;
    });
    m_limit = new QSpinBox;
    m_limit->setRange(10, 50000);
    m_limit->setSingleStep(500);
    m_limit->setValue(1000);
    m_limit->setKeyboardTracking(false);
    m_limit->setAccessibleName(tr("Samples"));
    m_limit->setToolTip(tr("At most so many samples (rows, where every position is one), drawn at random"));
    connect(m_limit, &QSpinBox::valueChanged, this, &RepresentationsPanel::rowsChanged);
    m_position = widgets::narrowBox(
        tr("Positions"), tr("Positions of a sequence or pixels of a map: auto, the last, their mean, each a row of its own, all side by side, or a "
                            "number"));
    m_position->setEditable(true);
    for (const char* position : {"auto", "last", "mean", "each", "flatten"})
        m_position->addItem(QString::fromLatin1(position));
    connect(m_position, &QComboBox::currentTextChanged, this, &RepresentationsPanel::rowsChanged);
    auto* row = new QHBoxLayout;
    row->addWidget(m_part, 1);
    row->addWidget(m_limit, 1);
    row->addWidget(m_position, 1);
    return row;
}

QLayout* RepresentationsPanel::makeSubjectForm()
{
    m_model = widgets::narrowBox(tr("Model"), tr("The model to look into: a selected run, or the model that is open"));
    connect(m_model, &QComboBox::activated, this, &RepresentationsPanel::openSoon);
    m_value = widgets::narrowBox(tr("Value"), tr("Value inside the model, for Scatter"));
    m_value->setObjectName(QStringLiteral("value"));
    m_value->setEditable(true);
    m_value->setInsertPolicy(QComboBox::NoInsert);
    m_value->completer()->setFilterMode(Qt::MatchContains);
    m_value->completer()->setCompletionMode(QCompleter::PopupCompletion);
    connect(m_value, &QComboBox::currentIndexChanged, this, [this](int row) {
        const QSignalBlocker blocker(m_layer);
        m_layer->setValue(std::max(0, row));
        if (row >= 0)
            m_wantedValue = m_value->itemData(row).toString();
        rowsChanged();
    });
    connect(m_value, &QComboBox::activated, this, [this](int row) {
        session().changeSelection([&](widgets::Selection& s) {
            s.valuePath = m_value->itemData(row).toString();
            s.valueIndex.clear();
        });
    });
    m_layer = new QSlider(Qt::Horizontal);
    m_layer->setObjectName(QStringLiteral("layer"));
    m_layer->setAccessibleName(tr("Layer"));
    m_layer->setToolTip(tr("Values in the order of computation"));
    connect(m_layer, &QSlider::valueChanged, m_value, &QComboBox::setCurrentIndex);
    auto* values = new QHBoxLayout;
    values->addWidget(m_value, 3);
    values->addWidget(m_layer, 2);
    auto* form = new QFormLayout;
    form->setContentsMargins(0, 0, 0, 0);
    form->setVerticalSpacing(4);
    form->addRow(tr("&Model"), m_model);
    auto* rows = makeRowsRow();
    auto* rowsLabel = new QLabel(tr("&Samples"));
    rowsLabel->setBuddy(m_limit);
    form->addRow(rowsLabel, rows);
    auto* valueLabel = new QLabel(tr("&Value"));
    valueLabel->setBuddy(m_value);
    form->addRow(valueLabel, values);
    return form;
}

QWidget* RepresentationsPanel::makeTabs()
{
    m_scatter = new ScatterPage(session());
    m_probe = new ProbePage(session());
    m_similarity = new SimilarityPage(session());
    m_tabs = new widgets::LowTabs(300);
    m_tabs->addTab(m_scatter, tr("S&catter"));
    m_tabs->addTab(m_probe, tr("Pr&obes"));
    m_tabs->addTab(m_similarity, tr("S&imilarity"));
    m_tabs->setDocumentMode(true);
    for (Page* page : std::initializer_list<Page*>{m_scatter, m_probe, m_similarity}) {
        connect(page, &Page::failed, this, &Panel::showError);
        connect(page, &Page::busyChanged, this, &RepresentationsPanel::addBusy);
        connect(page, &Page::message, this, &Panel::statusMessage);
    }
    return m_tabs;
}

QWidget* RepresentationsPanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(6, 6, 6, 6);
    layout->setSpacing(4);
    layout->addLayout(makeSubjectForm());
    m_subject = new QLabel;
    m_subject->setObjectName(QStringLiteral("subject"));
    m_subject->setWordWrap(true);
    auto* copy = new QToolButton;
    copy->setDefaultAction(m_copyCommand);
    auto* row = new QHBoxLayout;
    row->addWidget(m_subject, 1);
    row->addWidget(copy);
    layout->addLayout(row);
    layout->addWidget(makeTabs(), 1);
    content->setFocusProxy(m_tabs);
    return content;
}

Page* RepresentationsPanel::page() const
{
    return static_cast<Page*>(m_tabs->currentWidget());
}

void RepresentationsPanel::fillModels()
{
    widgets::fillModelBox(*m_model, session().selection());
}

void RepresentationsPanel::followSelection(widgets::SelectionParts parts)
{
    if (m_sending)
        return;
    const auto& selection = session().selection();
    if (parts & (widgets::SelectionParts(SelectionPart::Runs) | SelectionPart::Model | SelectionPart::Weights)) {
        fillModels();
        rowsChanged();  // what the model can be compared with
    }
    if (parts.testFlag(SelectionPart::Value) && !selection.valuePath.isEmpty())
        chooseValue(selection.valuePath);
    if (parts.testFlag(SelectionPart::Data))
        if (const int row = m_part->findData(selection.split); row >= 0 && row != m_part->currentIndex()) {
            m_part->setCurrentIndex(row);
            rowsChanged();
        }
    // Another part of the same data, or samples alone, open nothing again.
    if (!m_opened || !(wantedSubject() == m_opened->subject))
        openSoon();
    if (parts & (widgets::SelectionParts(SelectionPart::Samples) | SelectionPart::Data))
        m_scatter->showSelected();
}

Subject RepresentationsPanel::wantedSubject() const
{
    const auto& selection = session().selection();
    Subject subject;
    subject.model = m_model->currentData().toString();
    subject.run = widgets::runOfArgument(subject.model);
    if (!subject.run && !selection.runs.isEmpty())
        subject.run = selection.runs.front();
    subject.data = selection.data;
    // The run's own data are named by the run.
    if (m_opened && subject.run == m_opened->subject.run && m_opened->subject.data.is_null() && subject.data == m_opened->document)
        subject.data = nullptr;
    return subject;
}

void RepresentationsPanel::openSoon()
{
    m_openTimer->start();
}

void RepresentationsPanel::endOpening()
{
    if (!m_opening)
        return;
    m_opening = false;
    addBusy(-1);
}

void RepresentationsPanel::open()
{
    if (const int row = m_part->findData(session().selection().split); row >= 0)
        m_part->setCurrentIndex(row);
    const Subject subject = wantedSubject();
    if (m_opened && !m_opening && subject == m_opened->subject)
        return;
    m_openTask.cancel();
    endOpening();
    showError({});
    m_opened.reset();
    rowsChanged();
    if (subject.model.isEmpty() || (!subject.run && subject.data.is_null()))
        return updateEmptyState();
    showContent();
    m_subject->setText(tr("Opening…"));
    addBusy(1);
    m_opening = true;
    m_openTask = session().runInBackground(
        this,
        [subject, workspace = session().workspace()](widgets::BackgroundContext& context) {
            return openSubject(subject, workspace, context.stopToken());
        },
        [this](const OpenedPtr& opened) {
            takeOpened(opened);
            endOpening();
        },
        [this](const QString& text) {
            m_subject->setText(tr("The model or its data could not be opened. Choose another model, or other data in Data."));
            showError(text);
            endOpening();
        });
}

void RepresentationsPanel::takeOpened(const OpenedPtr& opened)
{
    m_opened = opened;
    const auto& info = opened->data->info();
    m_subject->setText(tr("Data: %1, %L2 samples in the %3 part; %L4 values")
                           .arg(QString::fromStdString(info.title.empty() ? info.id : info.title))
                           .arg(opened->data->split(data::splitFromName(choice().part.toStdString())).size())
                           .arg(choice().part)
                           .arg(opened->values.size()));
    fillValues();
}

void RepresentationsPanel::fillValues()
{
    const QSignalBlocker blocker(m_value), other(m_layer);
    m_value->clear();
    for (const auto& value : m_opened->values) {
        m_value->addItem(value.title, value.name);
        m_value->setItemData(m_value->count() - 1, value.name, Qt::ToolTipRole);
    }
    m_layer->setRange(0, std::max(0, m_value->count() - 1));
    int row = m_value->findData(m_wantedValue);
    if (row < 0)
        row = m_value->findData(session().selection().valuePath);
    // The layer before the last: what the answer is read from.
    if (row < 0)
        row = std::max(0, m_value->count() - 2);
    m_value->setCurrentIndex(row);
    m_layer->setValue(row);
    rowsChanged();
}

void RepresentationsPanel::chooseValue(const QString& name)
{
    const int row = m_value->findData(name);
    if (row >= 0)
        m_value->setCurrentIndex(row);
    else if (!m_opened)
        m_wantedValue = name;
}

RowChoice RepresentationsPanel::choice() const
{
    RowChoice out;
    out.value = m_value->currentData().toString();
    out.part = m_part->currentData().toString();
    out.position = m_position->currentText().trimmed();
    out.limit = m_limit->value();
    return out;
}

void RepresentationsPanel::rowsChanged()
{
    if (!m_tabs)
        return;
    QString wrong;
    try {
        intervene::poolingFromText(choice().position.toStdString());
    } catch (const core::InputError& error) {
        wrong = QString::fromUtf8(error.what());
    }
    m_position->setToolTip(wrong.isEmpty()
                               ? tr("Positions of a sequence or pixels of a map: auto, the last, their mean, each a row of its own, all side by "
                                    "side, or a number")
                               : wrong);
    for (Page* page : std::initializer_list<Page*>{m_scatter, m_probe, m_similarity})
        page->setSubject(wrong.isEmpty() ? m_opened : nullptr, choice());
    m_copyCommand->setEnabled(m_opened && wrong.isEmpty());
}

void RepresentationsPanel::updateEmptyState()
{
    if (m_model->count() == 0)
        return session().hasWorkspace()
                   ? showEmptyState(tr("No model to look into"), tr("Select a run in Experiments, or open a model file and choose data in Data."),
                                    {m_showRuns})
                   : showEmptyState(tr("No workspace is open"),
                                    tr("Open a workspace from the File menu, then select a run; or open a model file and data."));
    showEmptyState(tr("No data to run the model on"), tr("Choose a data set in Data: its samples become the points."), {m_showData});
}

QString RepresentationsPanel::commandLine() const
{
    return m_opened && m_copyCommand->isEnabled() ? page()->command() : QString();
}

QString RepresentationsPanel::shownCommand() const
{
    return page()->hasResult() ? page()->shownCommand() : QString();
}

std::optional<widgets::ReportItem> RepresentationsPanel::reportItem() const
{
    if (!m_opened || !page()->hasResult())
        return std::nullopt;
    const QString title = tr("%1: %2").arg(m_tabs->tabText(m_tabs->currentIndex()).remove('&'), m_opened->subject.model);
    return widgets::reportShown(*this, title, page()->analysis(), *page());
}

core::Json RepresentationsPanel::saveState() const
{
    return {{"tab", m_tabs->currentIndex()},
            {"value", m_wantedValue.toStdString()},
            {"part", m_part->currentData().toString().toStdString()},
            {"position", m_position->currentText().toStdString()},
            {"limit", m_limit->value()},
            {"scatter", m_scatter->saveState()},
            {"probe", m_probe->saveState()},
            {"similarity", m_similarity->saveState()}};
}

void RepresentationsPanel::restoreState(const core::Json& state)
{
    m_tabs->setCurrentIndex(std::clamp(widgets::stateInteger(state, "tab", 0), 0, 2));
    m_limit->setValue(widgets::stateInteger(state, "limit", 1000));
    m_position->setCurrentText(widgets::stateText(state, "position", QStringLiteral("auto")));
    if (const int row = m_part->findData(widgets::stateText(state, "part")); row >= 0 && session().selection().split.isEmpty())
        m_part->setCurrentIndex(row);
    m_wantedValue = widgets::stateText(state, "value", m_wantedValue);
    m_scatter->restoreState(widgets::stateObject(state, "scatter"));
    m_probe->restoreState(widgets::stateObject(state, "probe"));
    m_similarity->restoreState(widgets::stateObject(state, "similarity"));
    if (m_opened)
        fillValues();
    rowsChanged();
}

}  // namespace orrery::plugins
