#include "lens_panel.h"

#include <QAction>
#include <QComboBox>
#include <QFormLayout>
#include <QLabel>
#include <QPointer>
#include <QSlider>
#include <QSpinBox>
#include <QTabWidget>
#include <QTimer>

#include <core/intervene/lens_checkpoints.h>
#include <widgets/job_bar.h>
#include <widgets/kept_model.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/session.h>
#include <widgets/text_fields.h>
#include <widgets/token_view.h>

#include "attention_page.h"
#include "checkpoints_page.h"
#include "direct_page.h"
#include "grid_page.h"
#include "induction_page.h"

namespace orrery::plugins {
namespace {

using widgets::SelectionPart;

explain::Control controlOf(widgets::BackgroundContext& context)
{
    explain::Control control;
    control.stop = context.stopToken();
    control.progress = [&context](double done, double total, const char* unit) { context.progress(done, total, unit); };
    return control;
}

/// Everything that a result depends on, as one text.
QString keyOf(const LensWanted& wanted, const QString& kind, const core::Json& parameters)
{
    return QStringLiteral("%1|%2|%3|%4|%5|%6|%7|%8|%9")
        .arg(wanted.argument() + widgets::fileState(wanted.argument()), QString::fromStdString(train::textDocument(wanted.texts).dump()),
             QString::fromStdString(wanted.data.dump()), wanted.split)
        .arg(wanted.sample)
        .arg(wanted.run.value_or(-1))
        .arg(kind, QString::fromStdString(parameters.dump()), wanted.models.join(QLatin1Char(' ')));
}

}  // namespace

LensPanel::LensPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("lens"), tr("Lens"), session, parent), m_opener(std::make_shared<LensOpener>()), m_timer(new QTimer(this))
{
    m_timer->setSingleShot(true);
    m_timer->setInterval(0);
    connect(m_timer, &QTimer::timeout, this, [this] {
        look();
        Q_EMIT idleChanged();
    });
    makeActions();
    setContent(makeContent());
    connect(&session, &widgets::Session::selectionChanged, this, &LensPanel::followSelection);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        clearPages();
        fillModels();
        lookSoon();
    });
    fillModels();
    m_step = stepOfSelection();
    lookSoon();
}

LensPanel::~LensPanel() = default;

bool LensPanel::isIdle() const
{
    return Panel::isIdle() && !m_timer->isActive();
}

LensPanel::Tab LensPanel::tab() const
{
    return Tab(m_tabs->currentIndex());
}

QString LensPanel::kind() const
{
    switch (tab()) {
    case Tab::Grid: return m_grid->kind();
    case Tab::Direct: return QStringLiteral("direct_logit_attribution");
    case Tab::Attention: return QStringLiteral("attention");
    case Tab::Induction: return QStringLiteral("induction");
    case Tab::Checkpoints: break;
    }
    return {};
}

core::Json LensPanel::parameters() const
{
    switch (tab()) {
    case Tab::Grid: return m_grid->parameters();
    case Tab::Direct: return m_direct->parameters(position());
    case Tab::Induction: return m_induction->parameters();
    default: return core::Json::object();
    }
}

std::optional<qint64> LensPanel::position() const
{
    const int current = m_tokens->current();
    return current >= 0 ? std::optional<qint64>(current) : std::nullopt;
}

void LensPanel::fillModels()
{
    const QSignalBlocker blocker(m_model);
    m_model->clear();
    for (QString argument : widgets::modelArguments(session().selection())) {
        // The slider chooses the checkpoint.
        if (widgets::runOfArgument(argument))
            argument = argument.section(QLatin1Char('@'), 0, 0);
        if (m_model->findData(argument) < 0)
            m_model->addItem(argument.startsWith(QLatin1String("run:")) ? tr("Run %1").arg(argument.mid(4)) : argument, argument);
    }
    m_model->setEnabled(m_model->count() > 0);
}

void LensPanel::followSelection(widgets::SelectionParts parts)
{
    if (m_sending)
        return;
    const auto& selection = session().selection();
    if (parts & (widgets::SelectionParts(SelectionPart::Runs) | SelectionPart::Model | SelectionPart::Weights)) {
        fillModels();
        m_step = stepOfSelection();
        lookSoon();
    }
    if (parts & (widgets::SelectionParts(SelectionPart::Data) | SelectionPart::Samples)) {
        m_inputKind->setCurrentIndex(0);
        lookSoon();
    }
    if (parts.testFlag(SelectionPart::Token) && selection.token) {
        m_tokens->setCurrent(int(*selection.token));
        lookSoon();
    }
}

std::optional<qint64> LensPanel::stepOfSelection() const
{
    const auto& selection = session().selection();
    const auto run = widgets::runOfArgument(m_model->currentData().toString());
    return run && selection.weightsRun == run ? selection.checkpointStep : std::nullopt;
}

LensWanted LensPanel::wanted() const
{
    const auto& selection = session().selection();
    LensWanted wanted;
    wanted.model = m_model->currentData().toString();
    wanted.run = widgets::runOfArgument(wanted.model);
    if (wanted.run)
        wanted.step = m_step;
    for (int row = 0; row < m_model->count(); ++row)
        wanted.models << m_model->itemData(row).toString();
    if (m_inputKind->currentIndex() == 1)
        wanted.texts = m_texts->texts();
    wanted.data = selection.data;
    if (!wanted.run && !selection.runs.isEmpty())
        wanted.run = selection.runs.front();
    if (!selection.split.isEmpty())
        wanted.split = selection.split;
    wanted.sample = selection.samples.isEmpty() ? 0 : selection.samples.front();
    // A text that is not typed yet: the sample is not meant.
    if (m_inputKind->currentIndex() == 1 && wanted.texts.empty() && intervene::needsTokens(kind().toStdString())) {
        wanted.data = nullptr;
        wanted.run.reset();
    }
    return wanted;
}

void LensPanel::lookSoon(bool again)
{
    if (again)
        m_shown.erase(tab());
    m_timer->start();
}

void LensPanel::look()
{
    const LensWanted wanted = this->wanted();
    if (wanted.model.isEmpty() || !session().hasWorkspace())
        return updateEmptyState();
    showContent();
    const QString kind = this->kind();
    const core::Json parameters = this->parameters();
    const QString key = keyOf(wanted, kind, parameters);
    const auto known = m_shown.find(tab());
    if (known != m_shown.end() && known->second == key)
        return stopOther();
    if (m_measuring)  // the slider stays free while all checkpoints are measured; what is on show is looked at afterwards
        return;
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Lens: %1").arg(m_tabs->tabText(int(tab())).remove(QLatin1Char('&')));
    options.kind = QStringLiteral("lens");
    options.lane = kind == QLatin1String("future") ? widgets::Lane::Queue : widgets::Lane::Interactive;
    auto work = [texts = QPointer<widgets::TextFields>(m_texts), opener = m_opener, wanted, kind, parameters,
                 workspace = session().workspace()](widgets::BackgroundContext& context) {
        // The run's data are opened from the run where both are the same: relative paths in its document start at its folder.
        LensWanted meant = wanted;
        if (meant.run && workspace && meant.data == workspace->run(*meant.run).document.value("data", core::Json()))
            meant.data = nullptr;
        const auto opened = [&](bool readsPairs) {
            context.post([texts, readsPairs] {
                if (texts)
                    texts->setPairs(readsPairs);
            });
        };
        Outcome outcome{opener->prepare(meant, workspace, kind == QLatin1String("future"), context.stopToken(), opened), {}};
        const bool ready = outcome.prepared->isTransformer() && (outcome.prepared->tokens.defined() || !intervene::needsTokens(kind.toStdString()));
        if (!kind.isEmpty() && ready)
            outcome.answer = lookInto(outcome.prepared, kind, parameters, controlOf(context));
        return outcome;
    };
    const Tab shown = tab();
    m_replacing = true;
    m_bar->follow(session().runInBackground(
        this, std::move(work), [this, shown, key, kind, parameters](Outcome outcome) { take(shown, std::move(outcome), key, kind, parameters); },
        [this, shown](const QString& text) { fail(shown, text); }, options));
    m_replacing = false;
    addBusy(1);
    updateButtons();
}

/// What is wanted is on show: something else that is still being computed would replace it.
void LensPanel::stopOther()
{
    m_replacing = true;
    if (!m_measuring)
        m_bar->cancel();
    m_replacing = false;
}

void LensPanel::take(Tab tab, Outcome outcome, const QString& key, const QString& kind, const core::Json& parameters)
{
    m_hasFailed = false;
    if (m_prepared && m_prepared->wanted.model != outcome.prepared->wanted.model)
        clearAnswers();
    showPrepared(outcome.prepared);
    if (!outcome.prepared->isTransformer())
        return updateEmptyState();
    m_shown[tab] = key;
    if (outcome.answer) {
        m_commands[int(tab)] = lensCommand(m_prepared->wanted, m_prepared->dataDocument, kind, parameters, session().workspaceFolder());
        showAnswer(tab, *outcome.answer);
    }
    updateButtons();
    // The token that is selected may only now be known to be there.
    if (tab == Tab::Direct)
        lookSoon();
}

// What stood there stays, with a line that says that it is of other settings; what another model said goes.
void LensPanel::fail(Tab tab, const QString& text)
{
    if (m_prepared && m_prepared->wanted.model != wanted().model) {
        clearAnswers();
        m_tokens->setTokens({});
        m_tokens->hide();
    }
    showError(text);
    m_hasFailed = true;
    m_shown.erase(tab);
    updateButtons();
}

void LensPanel::showPrepared(const LensPreparedPtr& prepared)
{
    const bool sameRun = m_prepared && m_prepared->wanted.model == prepared->wanted.model && m_prepared->steps == prepared->steps;
    if (!sameRun) {
        m_checkpoints->clear(int(prepared->steps.size()));
        m_checkpoints->setMeasuring(false);
    }
    m_prepared = prepared;
    const auto& steps = prepared->steps;
    const QSignalBlocker sliderBlocker(m_checkpoint), sampleBlocker(m_sample), tokenBlocker(m_tokens);
    // Another run has other checkpoints: the nearest one was opened.
    if (m_step != prepared->wanted.step) {
        m_step = prepared->wanted.step;
        sendStep();
    }
    showSizes();
    m_form->setRowVisible(m_checkpointRow, !steps.empty());
    m_checkpoint->setRange(0, int(steps.size()));
    const auto found = std::find(steps.begin(), steps.end(), prepared->wanted.step.value_or(-1));
    m_checkpoint->setValue(int(found - steps.begin()));
    m_checkpointName->setText(found == steps.end() ? tr("final weights")
                                                   : tr("step %1 (%2 of %3)").arg(*found).arg(found - steps.begin() + 1).arg(steps.size()));
    m_checkpoints->setStep(prepared->wanted.step);
    m_sample->setRange(0, int(std::max<std::int64_t>(0, prepared->samplesInSplit - 1)));
    m_sample->setValue(int(prepared->wanted.sample));
    const int current = session().selection().token ? int(*session().selection().token) : m_tokens->current();
    m_tokens->setTokens(prepared->names);
    if (prepared->blanks.size() == prepared->names.size() && !prepared->blanks.isEmpty())
        m_tokens->setBlanks(prepared->blanks);
    if (current >= 0 && current < m_tokens->count())
        m_tokens->setCurrent(current);
    m_tokens->setVisible(!prepared->names.isEmpty());
    const bool needsInput = !prepared->tokens.defined() && intervene::needsTokens(kind().toStdString()) && !kind().isEmpty();
    m_hint->setVisible(needsInput);
}

void LensPanel::showAnswer(Tab tab, const LensAnswer& answer)
{
    m_answers[int(tab)] = answer;
    switch (tab) {
    case Tab::Grid: m_grid->show(answer); break;
    case Tab::Direct: m_direct->show(answer); break;
    case Tab::Attention: m_attention->show(answer); break;
    case Tab::Induction: m_induction->show(answer); break;
    case Tab::Checkpoints: break;
    }
    if (m_tokens->current() >= 0) {
        m_grid->setPosition(m_tokens->current());
        m_attention->setPosition(m_tokens->current());
    }
}

void LensPanel::clearPages()
{
    m_bar->cancel();
    clearAnswers();
}

void LensPanel::clearAnswers()
{
    m_shown.clear();
    m_prepared.reset();
    for (auto& answer : m_answers)
        answer.reset();
    m_grid->clear();
    m_direct->clear();
    m_attention->clear();
    m_induction->clear();
    m_checkpoints->clear(0);
}

void LensPanel::measure()
{
    const auto run = m_prepared ? widgets::runOfArgument(m_prepared->wanted.model) : std::nullopt;
    const auto workspace = session().workspace();
    if (!run || !workspace || m_measuring)
        return;
    showError({});
    m_checkpoints->clear(int(m_prepared->steps.size()));
    widgets::BackgroundOptions options;
    options.title = tr("Measure the checkpoints of run %1").arg(*run);
    options.kind = QStringLiteral("lens");
    options.lane = widgets::Lane::Queue;
    options.run = run;
    options.document = {{"model", m_prepared->wanted.model.toStdString()}, {"kind", "induction"}, {"checkpoints", "all"}};
    auto work = [workspace, run = *run, page = QPointer<CheckpointsPage>(m_checkpoints)](widgets::BackgroundContext& context) {
        const auto each = [&](const intervene::CheckpointPoint& point) {
            context.post([page, point] {
                if (page)
                    page->add(point);
            });
        };
        intervene::lensOverCheckpoints(*workspace, run, {}, controlOf(context), each);
    };
    m_bar->follow(session().runInBackground(
        this, std::move(work), [] {}, [this](const QString& text) { showError(text); }, options));
    m_measuring = true;
    addBusy(1);
    updateButtons();
}

void LensPanel::keep()
{
    const auto& answer = m_answers[int(tab())];
    if (!answer)
        return;
    const QString model = answer->prepared->wanted.argument();
    session().runInBackground(
        this, [answer = *answer, workspace = session().workspace()](widgets::BackgroundContext&) { return keepAnswer(answer, workspace); },
        [this, model](std::int64_t id) { Q_EMIT statusMessage(tr("Stored as analysis %1 of %2").arg(id).arg(model)); },
        [this](const QString& text) { showError(text); });
}

void LensPanel::updateButtons()
{
    const bool running = m_bar->isRunning();
    m_lookAgain->setEnabled(m_prepared && !running && !kind().isEmpty());
    m_keep->setEnabled(!running && m_answers[int(tab())] && widgets::runOfArgument(m_answers[int(tab())]->prepared->wanted.model).has_value());
    m_copyCommand->setEnabled(m_prepared != nullptr);
    m_checkpoints->setMeasuring(running);
}

void LensPanel::updateEmptyState()
{
    if (!session().hasWorkspace())
        return showEmptyState(tr("No workspace is open"), tr("Open a workspace from the File menu, then select a run of a language model."));
    if (m_model->count() == 0)
        return showEmptyState(
            tr("No model to look into"),
            tr("Select a run of a transformer in Experiments (the example “circuits” trains one in minutes), or open a model file."), {m_showRuns});
    showEmptyState(
        tr("This model has no layers to look through"),
        tr("A lens needs a transformer that reads tokens: a gpt, or a file whose model card names its blocks. Select another run or model."),
        {m_showRuns});
}

QString LensPanel::commandLine() const
{
    if (!m_prepared)
        return {};
    // What could not be looked at is what the settings say; what is on show is something else then.
    const LensWanted meant = m_hasFailed ? wanted() : m_prepared->wanted;
    if (tab() == Tab::Checkpoints)
        return lensCommand(meant, m_prepared->dataDocument, QStringLiteral("induction"), core::Json::object(), session().workspaceFolder(),
                           QStringLiteral("all"));
    return lensCommand(meant, m_prepared->dataDocument, kind(), parameters(), session().workspaceFolder());
}

QString LensPanel::shownCommand() const
{
    return m_answers[int(tab())] && !m_bar->isRunning() ? m_commands[int(tab())] : QString();
}

std::optional<widgets::ReportItem> LensPanel::reportItem() const
{
    const auto& answer = m_answers[int(tab())];
    if (tab() == Tab::Checkpoints ? m_checkpoints->points().empty() : !answer)
        return std::nullopt;
    const QString title =
        tr("%1: %2").arg(m_tabs->tabText(m_tabs->currentIndex()).remove('&'), m_prepared ? m_prepared->wanted.argument() : QString());
    if (!answer || !widgets::runOfArgument(answer->prepared->wanted.model))
        return widgets::reportShown(*this, title, std::nullopt, *m_tabs->currentWidget());
    return widgets::ReportItem{title, [answer = *answer, workspace = session().workspace()](store::Workspace& to) {
                                   return report::analysisItem(to, keepAnswer(answer, workspace));
                               }};
}

core::Json LensPanel::saveState() const
{
    core::Json state = {{"tab", m_tabs->currentIndex()},   {"input", m_inputKind->currentIndex()},  {"grid", m_grid->saveState()},
                        {"direct", m_direct->saveState()}, {"attention", m_attention->saveState()}, {"induction", m_induction->saveState()}};
    state.update(train::textDocument(m_texts->texts()));
    return state;
}

void LensPanel::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    const auto part = [&](const char* key) { return state.contains(key) ? state[key] : core::Json(); };
    m_grid->restoreState(part("grid"));
    m_direct->restoreState(part("direct"));
    m_attention->restoreState(part("attention"));
    m_induction->restoreState(part("induction"));
    m_texts->setTexts(train::textsOfDocument(state));
    if (part("input").is_number_integer())
        m_inputKind->setCurrentIndex(std::clamp(part("input").get<int>(), 0, 1));
    if (part("tab").is_number_integer())
        m_tabs->setCurrentIndex(std::clamp(part("tab").get<int>(), 0, m_tabs->count() - 1));
    lookSoon();
}

}  // namespace orrery::plugins
