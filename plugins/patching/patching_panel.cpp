#include "patching_panel.h"

#include <QAction>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QTimer>

#include <core/intervene/patch_sites.h>
#include <widgets/job_bar.h>
#include <widgets/model_box.h>
#include <widgets/model_source.h>
#include <widgets/numbers.h>
#include <widgets/report_item.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>

#include "patch_inputs.h"
#include "patch_job.h"
#include "patch_result.h"

namespace orrery::plugins {
namespace {

using widgets::SelectionPart;

}  // namespace

PatchingPanel::PatchingPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("patching"), tr("Patching"), session, parent), m_opener(std::make_shared<PatchOpener>()), m_prepareTimer(new QTimer(this))
{
    m_prepareTimer->setSingleShot(true);
    m_prepareTimer->setInterval(150);
    connect(m_prepareTimer, &QTimer::timeout, this, &PatchingPanel::prepare);
    makeActions();
    setContent(makeContent());
    addAction(m_copyCommand);
    connect(&session, &widgets::Session::selectionChanged, this, &PatchingPanel::followSelection);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        m_bar->cancel();
        m_prepared.reset();
        m_result->clear();
        fillModels();
        prepareSoon();
    });
    fillModels();
    prepareSoon();
}

PatchingPanel::~PatchingPanel() = default;

bool PatchingPanel::isText() const
{
    return m_kind->currentData().toBool();
}

void PatchingPanel::fillModels()
{
    widgets::fillModelBox(*m_model, session().selection());
}

void PatchingPanel::followSelection(widgets::SelectionParts parts)
{
    const auto& selection = session().selection();
    if (parts & (widgets::SelectionParts(SelectionPart::Runs) | SelectionPart::Model | SelectionPart::Weights)) {
        const QString before = m_model->currentData().toString();
        fillModels();
        if (m_model->currentData().toString() != before)
            prepareSoon();
    }
    if (parts.testFlag(SelectionPart::Data) && !isText())
        prepareSoon();
    if (parts & (widgets::SelectionParts(SelectionPart::Value) | SelectionPart::Token))
        m_result->select(selection.valuePath, selection.token);
    if (parts.testFlag(SelectionPart::Token) && selection.token)
        m_tokens->showPosition(int(*selection.token));
}

PatchSubject PatchingPanel::wantedSubject() const
{
    const auto& selection = session().selection();
    PatchSubject subject;
    subject.model = m_model->currentData().toString();
    subject.isText = isText();
    subject.clean = m_clean->text();
    subject.corrupted = m_corrupted->text();
    if (isText() && m_takesPairs) {
        subject.cleanPair = m_cleanPair->text();
        subject.corruptedPair = m_corruptedPair->text();
    }
    subject.run = widgets::runOfArgument(subject.model);
    if (!isText()) {
        subject.data = selection.data;
        if (!subject.run && !selection.runs.isEmpty())
            subject.run = selection.runs.front();
        if (!selection.split.isEmpty())
            subject.split = selection.split;
    }
    return subject;
}

void PatchingPanel::prepareSoon()
{
    m_prepareTimer->start();
    updateButtons();
}

void PatchingPanel::prepare()
{
    m_preparation.cancel();
    showError({});
    const PatchSubject subject = wantedSubject();
    // What another model answered must not stand under this one's name.
    if (!m_bar->isRunning() && m_result->sweep() && m_result->sweep()->subject->subject.model != subject.model) {
        m_result->clear();
        m_shownCommand.clear();
    }
    if (subject.model.isEmpty()) {
        m_prepared.reset();
        updateEmptyState();
        return updateButtons();
    }
    showContent();
    m_preparation.start(
        session(), this,
        [opener = m_opener, subject, workspace = session().workspace()](widgets::BackgroundContext& context) {
            // The run's data are opened from the run where both are the same: relative paths in its document start at its folder.
            PatchSubject wanted = subject;
            if (wanted.run && workspace && wanted.data == workspace->run(*wanted.run).document.value("data", core::Json()))
                wanted.data = nullptr;
            return opener->prepare(wanted, workspace, context.stopToken());
        },
        [this](const PreparedPatchPtr& prepared) { takePrepared(prepared); },
        [this](const QString& text) {
            m_prepared.reset();
            m_status->setText(tr("The model or its data could not be opened."));
            showError(text);
            updateButtons();
        });
    updateButtons();
}

void PatchingPanel::takePrepared(const PreparedPatchPtr& prepared)
{
    const bool otherModel = !m_prepared || m_prepared->model != prepared->model;
    m_prepared = prepared;
    m_takesPairs = prepared->takesPairs;
    for (auto* line : {m_cleanPair, m_corruptedPair})
        line->setVisible(m_takesPairs && isText());
    if (otherModel) {
        m_components->setAvailable(prepared->components);
        if (!prepared->takesText && isText())
            m_kind->setCurrentIndex(1);
    }
    m_tokens->setTokens(prepared->cleanTokens, prepared->corruptedTokens);
    showStatus();
}

/// What stands in the way of a sweep, or how the inputs differ.
void PatchingPanel::showStatus()
{
    if (!m_prepared || m_bar->isRunning())
        return updateButtons();
    const QString problem = m_prepared->isReady() ? answerProblem() : m_prepared->problem;
    if (!problem.isEmpty())
        m_status->setText(problem);
    else if (m_prepared->cleanTokens.isEmpty())
        m_status->clear();
    else if (const auto count = intervene::differingPositions(m_prepared->request).size(); count == 1)
        m_status->setText(tr("1 token differs."));
    else
        m_status->setText(tr("%1 tokens differ.").arg(count));
    updateButtons();
}

QString PatchingPanel::answerProblem() const
{
    try {
        settings();
    } catch (const core::InputError& error) {
        return QString::fromStdString(error.what());
    }
    return {};
}

QStringList PatchingPanel::chosenComponents() const
{
    QStringList chosen = m_components->chosen();
    for (const QString& place : m_places->text().split(QLatin1Char(','), Qt::SkipEmptyParts))
        if (!place.trimmed().isEmpty())
            chosen << place.trimmed();
    return chosen;
}

core::Json PatchingPanel::settings() const
{
    core::Json settings = m_form->document();
    auto components = core::Json::array();
    for (const QString& component : chosenComponents())
        components.push_back(component.toStdString());
    settings["components"] = components;
    return m_prepared ? withTypedAnswers(std::move(settings), m_prepared->model->card, m_answer->text(), m_wrong->text()) : settings;
}

void PatchingPanel::run()
{
    if (!m_prepared || !m_prepared->isReady() || m_bar->isRunning() || !m_form->isValid() || !answerProblem().isEmpty())
        return;
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Patching of %1").arg(m_model->currentText());
    options.lane = widgets::Lane::Queue;
    options.kind = QStringLiteral("patch");
    options.threads = 0;
    options.run = widgets::runOfArgument(m_prepared->subject.model);
    options.document = {{"model", m_prepared->subject.model.toStdString()},
                        {"clean", m_prepared->cleanOrigin},
                        {"corrupted", m_prepared->corruptedOrigin},
                        {"settings", settings()}};
    const QPointer<PatchingPanel> panel = this;
    SweepListener listener;
    listener.begun = [panel](const PatchSweepPtr& sweep) {
        if (panel)
            panel->takeSweep(sweep);
    };
    listener.finished = [panel](const PatchSweepPtr& sweep, const std::vector<intervene::PatchCell>& cells) {
        if (panel)
            panel->m_result->addCells(sweep.get(), cells);
    };
    auto work = [prepared = m_prepared, settings = settings(), workspace = session().workspace(), listener](widgets::BackgroundContext& context) {
        return runSweep(prepared, settings, workspace, listener, context);
    };
    m_result->clear();
    m_shownCommand = commandLine();
    m_status->clear();
    m_bar->follow(session().runInBackground(
        this, std::move(work), [this](const FinishedSweep& made) { finish(made); }, [this](const QString& text) { showError(text); }, options));
    addBusy(1);
    updateButtons();
}

void PatchingPanel::takeSweep(const PatchSweepPtr& sweep)
{
    m_analysis.reset();
    m_result->start(sweep);
    const auto& metric = sweep->patching->metric();
    QString text = tr("%1: clean %2, corrupted %3")
                       .arg(QString::fromStdString(metric.document()["id"].get<std::string>()))
                       .arg(widgets::shownNumber(metric.clean(), 5))
                       .arg(widgets::shownNumber(metric.corrupted(), 5));
    for (const auto& [name, title] : {std::pair{"answer", tr("answer")}, {"wrong", tr("wrong")}})
        if (metric.document().contains(name))
            text += QStringLiteral(", %1 “%2”")
                        .arg(title,
                             QString::fromStdString(intervene::answerName(sweep->subject->model->card, metric.document()[name].get<std::int64_t>())));
    m_status->setText(text);
}

void PatchingPanel::finish(const FinishedSweep& made)
{
    if (!made.whyNotStored.isEmpty())
        showError(tr("The map is shown, but could not be stored: %1").arg(made.whyNotStored));
    m_analysis = made.analysis;
    QString text = tr("%L1 patches in %2 s").arg(m_result->finished()).arg(made.seconds, 0, 'f', 2);
    if (made.analysis)
        text += tr(", stored as analysis %1").arg(*made.analysis);
    Q_EMIT statusMessage(text);
}

void PatchingPanel::chooseCell(const intervene::PatchCell& cell)
{
    const auto sweep = m_result->sweep();
    const auto& map = sweep->patching->maps()[cell.map];
    const QString value = QString::fromStdString(map.values[std::size_t(cell.site)]);
    const auto column = map.columns[std::size_t(cell.column)];
    session().changeSelection([&](widgets::Selection& s) {
        s.valuePath = value;
        if (map.unit == "position")
            s.token = column;
    });
    m_cellReading.start(
        session(), this, [sweep, cell](widgets::BackgroundContext& context) { return classesOfCell(*sweep, cell, 12, context.stopToken()); },
        [this, sweep, cell](const std::vector<ClassInRuns>& classes) {
            if (sweep == m_result->sweep())
                m_result->showClasses(cell, classes);
        },
        [this](const QString& text) { showError(text); });
}

void PatchingPanel::updateButtons()
{
    if (!m_run || !m_form || !m_bar)
        return;
    const bool ready = m_prepared && m_prepared->isReady() && !m_preparation.isRunning() && !m_prepareTimer->isActive();
    const bool chosen = !chosenComponents().isEmpty(), answersFit = !ready || answerProblem().isEmpty();
    m_run->setVisible(!m_bar->isRunning());
    m_run->setEnabled(ready && chosen && m_form->isValid() && answersFit);
    m_run->setToolTip(!ready               ? tr("Give a model and two inputs of the same length first")
                      : !chosen            ? tr("Choose what is patched first")
                      : !answersFit        ? tr("Correct the answers first")
                      : !m_form->isValid() ? tr("Correct the settings first")
                                           : tr("Patch every place in turn, as a job"));
    m_copyCommand->setEnabled(!commandLine().isEmpty());
}

void PatchingPanel::updateEmptyState()
{
    if (!session().hasWorkspace())
        return showEmptyState(tr("No workspace is open"), tr("Open a workspace from the File menu, then select a run, or open a model."));
    showEmptyState(tr("No model to patch"),
                   tr("Select a run in Experiments, or open a model file; then give two inputs that it answers differently."), {m_showRuns});
}

QString PatchingPanel::commandLine() const
{
    // Of inputs that could not be read there is no origin.
    if (!m_prepared || m_prepared->subject.clean.isEmpty() || m_prepared->subject.corrupted.isEmpty() || !m_prepared->cleanOrigin.is_object() ||
        !answerProblem().isEmpty())
        return {};
    return patchCommand(m_prepared->subject, m_prepared->cleanOrigin.value("data", core::Json()), settings(), session().workspaceFolder());
}

QString PatchingPanel::shownCommand() const
{
    return m_result->finished() > 0 ? m_shownCommand : QString();
}

std::optional<widgets::ReportItem> PatchingPanel::reportItem() const
{
    if (m_result->finished() == 0)
        return std::nullopt;
    return widgets::reportShown(*this, tr("Patching of %1").arg(m_result->sweep()->subject->subject.model), m_analysis, *m_result);
}

core::Json PatchingPanel::saveState() const
{
    auto components = core::Json::array();
    for (const QString& component : m_components->remembered())
        components.push_back(component.toStdString());
    return {{"text", isText()},
            {"clean", m_clean->text().toStdString()},
            {"corrupted", m_corrupted->text().toStdString()},
            {"clean_pair", m_cleanPair->text().toStdString()},
            {"corrupted_pair", m_corruptedPair->text().toStdString()},
            {"components", components},
            {"places", m_places->text().toStdString()},
            {"settings", m_form->document()},
            {"answer", m_answer->text().toStdString()},
            {"wrong", m_wrong->text().toStdString()}};
}

void PatchingPanel::restoreState(const core::Json& state)
{
    const auto text = [&](const char* key) {
        return state.contains(key) && state[key].is_string() ? QString::fromStdString(state[key].get<std::string>()) : QString();
    };
    if (state.contains("text") && state["text"].is_boolean())
        m_kind->setCurrentIndex(state["text"].get<bool>() ? 0 : 1);
    m_clean->setText(text("clean"));
    m_corrupted->setText(text("corrupted"));
    m_cleanPair->setText(text("clean_pair"));
    m_corruptedPair->setText(text("corrupted_pair"));
    m_places->setText(text("places"));
    m_answer->setText(text("answer"));
    m_wrong->setText(text("wrong"));
    if (state.contains("components") && state["components"].is_array()) {
        QStringList components;
        for (const auto& component : state["components"])
            if (component.is_string())
                components << QString::fromStdString(component.get<std::string>());
        m_components->setRemembered(components);
    }
    if (state.contains("settings") && state["settings"].is_object())
        m_form->setDocument(state["settings"]);
    prepareSoon();
}

}  // namespace orrery::plugins
