#include "interventions_panel.h"

#include <QAction>
#include <QComboBox>
#include <QCompleter>
#include <QInputDialog>
#include <QLabel>
#include <QLineEdit>
#include <QPointer>
#include <QPushButton>
#include <QSpinBox>
#include <QTabWidget>
#include <QTableWidget>
#include <QTimer>
#include <algorithm>
#include <fmt/format.h>

#include <widgets/commands.h>
#include <widgets/document_editor.h>
#include <widgets/job_bar.h>
#include <widgets/model_box.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>
#include <widgets/text_fields.h>

#include "entry_editor.h"
#include "outcome_view.h"

namespace orrery::plugins {
namespace {

using core::Json;
using widgets::SelectionPart;

QString textOf(const Json& object, const char* key)
{
    return object.is_object() && object.contains(key) && object[key].is_string() ? QString::fromStdString(object[key].get<std::string>()) : QString();
}

/// Tokens of an input with an answer at each; 0: the model has one answer for the whole input.
std::int64_t answerTokens(const PreparedIntervention& prepared)
{
    const auto& card = prepared.model->card;
    const bool isEach = intervene::answersAreTokens(card) || card.task == "token_classification";
    const bool isTokens = isEach && !prepared.inputs.empty() && prepared.inputs[0].isTensor() && prepared.inputs[0].toTensor().dim() == 2;
    return isTokens ? prepared.inputs[0].toTensor().size(1) : 0;
}

QString kindText(const Json& entry)
{
    const auto doing = entry.is_object() ? entry.value("do", Json()) : Json();
    if (doing.is_string())
        return QString::fromStdString(doing.get<std::string>());
    QStringList parts;
    if (doing.is_object())
        for (const auto& [key, value] : doing.items())
            parts << (key == "id" ? textOf(doing, "id") : QString::fromStdString(key + " " + value.dump()).left(40));
    return parts.join(QStringLiteral(", "));
}

}  // namespace

InterventionsPanel::InterventionsPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("interventions"), tr("Interventions"), session, parent), m_model(session),
      m_opener(std::make_shared<InterventionOpener>()), m_prepareTimer(new QTimer(this))
{
    askName = [this](const QString& suggested) {
        return QInputDialog::getText(this, tr("Keep with the run"), tr("Name of the document"), QLineEdit::Normal, suggested);
    };
    m_prepareTimer->setSingleShot(true);
    m_prepareTimer->setInterval(0);
    connect(m_prepareTimer, &QTimer::timeout, this, &InterventionsPanel::prepare);
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    m_showRuns = new QAction(tr("Show the runs"), this);
    connect(m_showRuns, &QAction::triggered, this, [this] { this->session().requestPanel(QStringLiteral("experiments")); });
    setContent(makeContent());
    addAction(m_copyCommand);
    connect(&m_model, &InterventionsModel::changed, this, &InterventionsPanel::showDocument);
    connect(&session, &widgets::Session::selectionChanged, this, &InterventionsPanel::followSelection);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        m_prepared.reset();
        fillModels();
        prepareSoon();
    });
    fillModels();
    showDocument();
    prepareSoon();
}

InterventionsPanel::~InterventionsPanel() = default;

QAction* InterventionsPanel::makeAction(const QString& text, const QString& tip, void (InterventionsPanel::*call)())
{
    auto* action = new QAction(text, this);
    action->setToolTip(tip);
    connect(action, &QAction::triggered, this, call);
    addAction(action);
    return action;
}

void InterventionsPanel::fillModels()
{
    widgets::fillModelBox(*m_modelBox, session().selection());
}

void InterventionsPanel::followSelection(widgets::SelectionParts parts)
{
    const auto& selection = session().selection();
    if (parts & (widgets::SelectionParts(SelectionPart::Runs) | SelectionPart::Model | SelectionPart::Weights)) {
        fillModels();
        prepareSoon();
    }
    if (parts & (widgets::SelectionParts(SelectionPart::Data) | SelectionPart::Samples))
        prepareSoon();
    updateButtons();
    // A value chosen elsewhere is compared, unless something is named already.
    if (parts.testFlag(SelectionPart::Value) && m_probe->text().isEmpty())
        m_probe->setPlaceholderText(selection.valuePath.isEmpty() ? tr("value to compare, if any") : selection.valuePath);
}

InterventionSubject InterventionsPanel::wantedSubject() const
{
    const auto& selection = session().selection();
    InterventionSubject subject;
    subject.model = m_modelBox->currentData().toString();
    subject.data = selection.data;
    subject.run = widgets::runOfArgument(subject.model);
    if (!subject.run && !selection.runs.isEmpty())
        subject.run = selection.runs.front();
    if (!selection.split.isEmpty())
        subject.split = selection.split;
    subject.sample = selection.samples.isEmpty() ? 0 : selection.samples.front();
    subject.texts = m_texts->texts();
    const auto lines = sources();
    subject.sourcePairs =
        std::any_of(lines.begin(), lines.end(), [](const SourceLine& line) { return line.given.startsWith(QLatin1String("pair:")); });
    return subject;
}

void InterventionsPanel::prepareSoon() const
{
    m_prepareTimer->start();
}

void InterventionsPanel::prepare()
{
    const auto subject = wantedSubject();
    if (m_prepared && m_prepared->subject == subject && !m_preparation.isRunning())
        return updateButtons();
    m_preparation.cancel();
    showError({});
    if (subject.model.isEmpty()) {
        m_prepared.reset();
        updateEmptyState();
        return updateButtons();
    }
    showContent();
    m_preparation.start(
        session(), this,
        [panel = QPointer<InterventionsPanel>(this), opener = m_opener, subject,
         workspace = session().workspace()](widgets::BackgroundContext& context) {
            return opener->prepare(subject, workspace, [&](const PreparedIntervention& opened) {
                context.post([panel, text = opened.readsText, pairs = opened.readsPairs] {
                    if (panel)
                        panel->showTextFields(text, pairs);
                });
            });
        },
        [this](const PreparedInterventionPtr& prepared) { takePrepared(prepared); },
        [this, model = subject.model](const QString& text) {
            if (m_prepared && m_prepared->subject.model != model) {  // what another model said
                m_outcome->clearOutcome();
                m_shownCommand.clear();
            }
            m_prepared.reset();
            m_input->setText(m_texts->isVisible() ? tr("The model or its input could not be opened. Choose another model or sample, or type a text.")
                                                  : tr("The model or its input could not be opened. Choose another model or sample."));
            showError(text);
            updateButtons();
        });
    updateButtons();
}

void InterventionsPanel::takePrepared(const PreparedInterventionPtr& prepared)
{
    if (!prepared) {
        m_prepared.reset();
        m_input->setText(tr("Type a text above, or choose a sample in Data."));
        return updateButtons();
    }
    const bool isOtherModel = !m_prepared || m_prepared->model != prepared->model;
    if (m_prepared && isOtherModel)
        m_position->setValue(-1);  // a place in another model's text
    m_prepared = prepared;
    const QSignalBlocker blocker(m_sample);
    m_sample->setRange(0, int(std::max<std::int64_t>(0, prepared->samplesInSplit - 1)));
    m_sample->setValue(int(prepared->subject.sample));
    m_sample->setEnabled(prepared->samplesInSplit > 0);
    m_input->setText(prepared->input);
    const auto tokens = answerTokens(*prepared);
    m_position->setRange(-1, int(tokens) - 1);
    m_position->setVisible(tokens > 0);
    m_positionLabel->setVisible(tokens > 0);
    if (isOtherModel) {
        m_entry->setPlaces(prepared->places);
        auto* completer = new QCompleter(prepared->places, m_probe);
        completer->setFilterMode(Qt::MatchContains);
        m_probe->setCompleter(completer);
    }
    m_outcome->clearOutcome();
    m_shownCommand.clear();
    updateButtons();
}

void InterventionsPanel::showTextFields(bool text, bool pairs)
{
    m_texts->setVisible(text);
    m_textLabel->setVisible(text);
    m_texts->setPairs(pairs);
}

void InterventionsPanel::step(qint64 sample)
{
    const auto prepared = m_prepared;
    session().changeSelection([&](widgets::Selection& s) {
        if (s.data.is_null() && prepared)
            s.data = prepared->dataDocument;
        if (s.split.isEmpty() && prepared)
            s.split = prepared->subject.split;
        s.samples = {sample};
    });
}

void InterventionsPanel::add()
{
    QString place = session().selection().valuePath;
    if (place.isEmpty() && m_prepared && !m_prepared->places.isEmpty())
        place = m_prepared->places.front();
    m_model.addEntry({{"at", place.toStdString()}, {"do", {{"id", "zero"}}}, {"enabled", true}});
    m_list->setCurrentCell(m_list->rowCount() - 1, 1);
    m_tabs->setCurrentIndex(0);
}

void InterventionsPanel::remove()
{
    m_model.removeEntry(m_list->currentRow());
}

void InterventionsPanel::moveUp()
{
    const int row = m_list->currentRow();
    m_model.moveEntry(row, -1);
    m_list->setCurrentCell(std::max(0, row - 1), 1);
}

void InterventionsPanel::moveDown()
{
    const int row = m_list->currentRow();
    m_model.moveEntry(row, 1);
    m_list->setCurrentCell(std::min(m_list->rowCount() - 1, row + 1), 1);
}

void InterventionsPanel::showDocument()
{
    const auto& entries = m_model.entries();
    const int current = m_list->currentRow();
    {
        const QSignalBlocker blocker(m_list);
        m_list->setRowCount(int(entries.size()));
        for (int row = 0; row < m_list->rowCount(); ++row) {
            const auto& entry = entries[std::size_t(row)];
            const bool isOn = !entry.is_object() || entry.value("enabled", Json(true)) != false;
            auto* check = new QTableWidgetItem;
            check->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsUserCheckable);
            check->setCheckState(isOn ? Qt::Checked : Qt::Unchecked);
            m_list->setItem(row, 0, check);
            const QString texts[] = {textOf(entry, "at"), unitText(entry.is_object() ? entry.value("unit", Json()) : Json()), kindText(entry)};
            for (int column = 0; column < 3; ++column)
                m_list->setItem(row, column + 1, new QTableWidgetItem(texts[column]));
        }
        m_list->setCurrentCell(m_list->rowCount() ? std::clamp(current, 0, m_list->rowCount() - 1) : -1, 1);
        m_list->resizeColumnToContents(0);
    }
    m_editor->setDocument(m_model.document());
    m_editor->setIssues(m_model.issues());
    showEntry();
    updateButtons();
}

void InterventionsPanel::showEntry()
{
    const int row = m_list->currentRow();
    const auto& entries = m_model.entries();
    m_entry->setEntry(row >= 0 && row < int(entries.size()) ? entries[std::size_t(row)] : Json());
    sourcesChanged();
    QStringList messages;
    const auto prefix = fmt::format("interventions[{}].", row);
    for (const auto& issue : m_model.issues())
        if (issue.path.starts_with(prefix))
            messages << QString::fromStdString(issue.path.substr(prefix.size()) + ": " + issue.message);
    m_entry->setIssues(messages);
    for (auto* action : {m_remove, m_up, m_down})
        action->setEnabled(row >= 0);
}

void InterventionsPanel::addSource()
{
    auto lines = sources();
    const QString name = lines.empty() ? QStringLiteral("clean") : QStringLiteral("source%1").arg(lines.size() + 1);
    lines.push_back({name, m_prepared && m_prepared->readsText && !m_texts->texts().empty() ? QStringLiteral("text:") : QStringLiteral("sample:0")});
    setSources(lines);
}

void InterventionsPanel::removeSource()
{
    if (m_sourceTable->currentRow() >= 0)
        m_sourceTable->removeRow(m_sourceTable->currentRow());
    sourcesChanged();
}

void InterventionsPanel::sourcesChanged()
{
    QStringList names;
    for (const auto& line : sources())
        names << line.name;
    m_entry->setSources(names);
    // Pairs need inputs that are bound otherwise.
    if (m_prepared && m_prepared->subject.sourcePairs != wantedSubject().sourcePairs)
        prepareSoon();
}

std::vector<SourceLine> InterventionsPanel::sources() const
{
    std::vector<SourceLine> lines;
    for (int row = 0; row < m_sourceTable->rowCount(); ++row) {
        const auto textAt = [&](int column) {
            return m_sourceTable->item(row, column) ? m_sourceTable->item(row, column)->text().trimmed() : QString();
        };
        if (!textAt(0).isEmpty() && !textAt(1).isEmpty())
            lines.push_back({textAt(0), textAt(1)});
    }
    return lines;
}

void InterventionsPanel::setSources(const std::vector<SourceLine>& lines)
{
    {
        const QSignalBlocker blocker(m_sourceTable);
        m_sourceTable->setRowCount(int(lines.size()));
        for (int row = 0; row < int(lines.size()); ++row) {
            m_sourceTable->setItem(row, 0, new QTableWidgetItem(lines[std::size_t(row)].name));
            m_sourceTable->setItem(row, 1, new QTableWidgetItem(lines[std::size_t(row)].given));
        }
    }
    sourcesChanged();
}

InterventionSettings InterventionsPanel::settings() const
{
    InterventionSettings settings;
    settings.sources = sources();
    if (m_position->value() >= 0)
        settings.position = m_position->value();
    settings.probe = m_probe->text().trimmed();
    if (settings.probe.isEmpty())
        settings.probe = session().selection().valuePath;
    settings.folder = m_folder.toStdString();
    if (m_newTokens->value() > 0) {
        settings.generation = m_writing->document();
        settings.generation["max_new_tokens"] = m_newTokens->value();
    }
    return settings;
}

void InterventionsPanel::run()
{
    if (!m_run->isEnabled() || !m_prepared)
        return;
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Intervene in %1").arg(m_prepared->subject.model);
    options.lane = widgets::Lane::Queue;
    options.kind = QStringLiteral("intervene");
    options.run = widgets::runOfArgument(m_prepared->subject.model);
    options.document = m_model.document();
    auto work = [prepared = m_prepared, document = m_model.document(), settings = settings(),
                 workspace = session().workspace()](widgets::BackgroundContext& context) {
        intervene::Control control;
        control.stop = context.stopToken();
        control.progress = [&](double done, double total, const char* unit) { context.progress(done, total, unit); };
        return runInterventions(prepared, document, settings, workspace, control);
    };
    addBusy(1);
    m_bar->follow(session().runInBackground(
        this, std::move(work), [this, command = commandLine()](const InterventionOutcome& outcome) { takeOutcome(outcome, command); },
        [this](const QString& text) { showError(text); }, options));
    updateButtons();
}

void InterventionsPanel::takeOutcome(const InterventionOutcome& outcome, const QString& command)
{
    // Stepped on while it ran: the numbers would stand beside another input.
    if (!m_prepared || !(outcome.subject->subject == m_prepared->subject))
        return;
    m_outcome->setOutcome(outcome);
    m_shownCommand = command;
    if (!outcome.whyNotStored.empty())
        showError(tr("The result is shown, but could not be stored: %1").arg(QString::fromStdString(outcome.whyNotStored)));
}

void InterventionsPanel::updateButtons()
{
    if (!m_outcome)
        return;
    // Between a choice and the opening of what was chosen the old model would run.
    const bool isReady = m_prepared && !m_preparation.isRunning() && !m_prepareTimer->isActive(),
               isValid = m_model.issues().empty() && m_writing->isValid();
    m_run->setVisible(!m_bar->isRunning());
    m_run->setEnabled(isReady && isValid && !m_bar->isRunning());
    m_run->setToolTip(!isReady   ? tr("Choose a model and a sample first")
                      : !isValid ? tr("Correct the interventions first: the faults stand in the list and beside the text")
                                 : tr("Run the model without and with the interventions"));
    const bool isRun = session().hasWorkspace() && widgets::runOfArgument(m_modelBox->currentData().toString());
    m_keep->setEnabled(isRun && isValid);
    m_openKept->setEnabled(isRun);
    m_copyCommand->setEnabled(m_prepared != nullptr);
}

void InterventionsPanel::updateEmptyState()
{
    showEmptyState(tr("No model to look into"), tr("Select a run in Experiments, or open a model file, then choose a sample in Data or type a text."),
                   {m_showRuns});
}

QString InterventionsPanel::commandLine() const
{
    return m_prepared ? interveneCommand(*m_prepared, m_model.document(), settings(), session().workspaceFolder()) : QString();
}

std::optional<widgets::ReportItem> InterventionsPanel::reportItem() const
{
    if (!m_outcome->hasOutcome())
        return std::nullopt;
    return widgets::reportShown(*this, tr("Interventions in %1").arg(m_modelBox->currentText()), m_outcome->analysis(), *m_outcome);
}

Json InterventionsPanel::saveState() const
{
    auto lines = Json::array();
    for (const auto& line : sources())
        lines.push_back({{"name", line.name.toStdString()}, {"given", line.given.toStdString()}});
    Json state = {{"document", m_model.document()},         {"sources", lines},
                  {"probe", m_probe->text().toStdString()}, {"new_tokens", m_newTokens->value()},
                  {"writing", m_writing->document()},       {"tab", m_tabs->currentIndex()},
                  {"position", m_position->value()},        {"folder", m_folder.toStdString()},
                  {"result_tab", m_outcome->currentIndex()}};
    state.update(train::textDocument(m_texts->texts()));
    return state;
}

void InterventionsPanel::restoreState(const Json& state)
{
    if (!state.is_object())
        return;
    if (state.contains("document") && state["document"].is_object())
        m_model.restore(state["document"]);
    std::vector<SourceLine> lines;
    if (state.contains("sources") && state["sources"].is_array())
        for (const auto& line : state["sources"])
            if (!textOf(line, "name").isEmpty())
                lines.push_back({textOf(line, "name"), textOf(line, "given")});
    setSources(lines);
    m_texts->setTexts(train::textsOfDocument(state));
    m_probe->setText(textOf(state, "probe"));
    m_folder = textOf(state, "folder");
    const auto number = [&](const char* key) { return state.contains(key) && state[key].is_number_integer() ? state[key].get<int>() : 0; };
    m_newTokens->setValue(number("new_tokens"));
    if (state.contains("position")) {
        m_position->setMaximum(std::max(m_position->maximum(), number("position")));  // until the text is read again
        m_position->setValue(number("position"));
    }
    if (state.contains("writing") && state["writing"].is_object())
        m_writing->setDocument(state["writing"]);
    m_tabs->setCurrentIndex(std::clamp(number("tab"), 0, m_tabs->count() - 1));
    m_outcome->setCurrentIndex(std::clamp(number("result_tab"), 0, m_outcome->count() - 1));
    prepareSoon();
}

}  // namespace orrery::plugins
