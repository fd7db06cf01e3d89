#include "debugger_panel.h"

#include <QAction>
#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPointer>
#include <QProcess>
#include <QTabWidget>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>

#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/export.h>
#include <widgets/kept_model.h>
#include <widgets/low_tabs.h>
#include <widgets/model_box.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/session.h>
#include <widgets/text_fields.h>

#include "divergence_page.h"
#include "profile_page.h"
#include "step_page.h"

namespace orrery::plugins {

using widgets::SelectionPart;
using Input = DebugSubject::Input;

DebuggerPanel::DebuggerPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("debugger"), tr("Debugger"), session, parent), m_timer(new QTimer(this))
{
    m_timer->setSingleShot(true);
    connect(m_timer, &QTimer::timeout, this, &DebuggerPanel::prepare);
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    m_showRuns = new QAction(tr("Show the runs"), this);
    connect(m_showRuns, &QAction::triggered, this, [this] { this->session().requestPanel(QStringLiteral("experiments")); });
    setContent(makeContent());
    addAction(m_copyCommand);
    connectPages();
    connect(&session, &widgets::Session::selectionChanged, this, &DebuggerPanel::followSelection);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        take(nullptr);
        fillModels();
        prepareSoon();
    });
    fillModels();
    prepareSoon();
}

DebuggerPanel::~DebuggerPanel() = default;

QWidget* DebuggerPanel::makeSubject()
{
    m_model = widgets::narrowBox(tr("Model"), tr("What is run: the model that is open, or a selected run"), 12);
    m_model->setObjectName(QStringLiteral("model"));
    m_kind = widgets::narrowBox(tr("Kind of input"), tr("What it is run on"), 18);
    m_kind->setObjectName(QStringLiteral("kind"));
    m_kind->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    m_kind->addItem(tr("Example"), int(Input::Example));
    m_kind->addItem(tr("Sample of the data"), int(Input::Sample));
    m_kind->addItem(tr("Text"), int(Input::Text));
    m_kind->addItem(tr("Files"), int(Input::File));
    m_input = new QLineEdit;
    m_input->setObjectName(QStringLiteral("input"));
    m_input->setAccessibleName(tr("Input"));
    m_choose = new QToolButton;
    m_choose->setObjectName(QStringLiteral("chooseFile"));
    m_choose->setText(tr("Choose…"));
    m_choose->setToolTip(tr("Choose the .npy file of the input; of a model with several inputs, that of the next one"));
    connect(m_choose, &QToolButton::clicked, this, &DebuggerPanel::chooseFile);
    m_texts = new widgets::TextFields(widgets::TextFields::Several::Yes);
    m_texts->setPlaceholder(tr("a text that the model's tokenizer reads"));
    m_training = new QCheckBox(tr("t&raining mode"));
    m_training->setObjectName(QStringLiteral("training"));
    m_training->setToolTip(tr("Dropout and batch statistics as in training; random operators repeat by the seed"));
    m_status = new QLabel;
    m_status->setObjectName(QStringLiteral("status"));
    m_status->setWordWrap(true);
    connect(m_model, &QComboBox::activated, this, &DebuggerPanel::prepareSoon);
    connect(m_kind, &QComboBox::activated, this, [this] { m_kindChosenFor = m_model->currentData().toString(); });
    connect(m_kind, &QComboBox::currentIndexChanged, this, [this](int kind) {
        m_typed[m_shownKind] = m_input->text();
        m_shownKind = kind;
        m_input->setText(m_typed[kind]);
        updateInput();
        prepareSoon();
    });
    connect(m_input, &QLineEdit::textEdited, this, &DebuggerPanel::prepareWhenTyped);
    connect(m_input, &QLineEdit::returnPressed, this, &DebuggerPanel::prepareSoon);
    connect(m_texts, &widgets::TextFields::edited, this, &DebuggerPanel::prepareWhenTyped);
    connect(m_texts, &widgets::TextFields::finished, this, &DebuggerPanel::prepareSoon);
    connect(m_training, &QCheckBox::toggled, this, &DebuggerPanel::prepareSoon);
    auto* modelLabel = new QLabel(tr("&Model"));
    modelLabel->setBuddy(m_model);
    auto* inputLabel = new QLabel(tr("&Input"));
    inputLabel->setBuddy(m_kind);
    auto* copy = new QToolButton;
    copy->setDefaultAction(m_copyCommand);
    auto* first = new QHBoxLayout;
    first->addWidget(modelLabel);
    first->addWidget(m_model, 1);
    first->addWidget(m_training);
    first->addWidget(copy);
    auto* second = new QHBoxLayout;
    inputLabel->setFixedHeight(m_kind->sizeHint().height());  // on the line of the first text, however many follow
    second->addWidget(inputLabel, 0, Qt::AlignTop);
    second->addWidget(m_kind, 0, Qt::AlignTop);
    second->addWidget(m_input, 1);
    second->addWidget(m_choose, 0, Qt::AlignTop);
    second->addWidget(m_texts, 1);
    second->addStretch(0);
    auto* box = new QWidget;
    auto* layout = new QVBoxLayout(box);
    layout->setContentsMargins(6, 6, 6, 2);
    layout->setSpacing(4);
    layout->addLayout(first);
    layout->addLayout(second);
    layout->addWidget(m_status);
    return box;
}

QWidget* DebuggerPanel::makeContent()
{
    m_tabs = new widgets::LowTabs(300);
    m_step = new StepPage(session());
    m_profile = new ProfilePage(session());
    m_divergence = new DivergencePage(session());
    m_tabs->addTab(m_step, tr("&Step"));
    m_tabs->addTab(m_profile, tr("Profi&le"));
    m_tabs->addTab(m_divergence, tr("&Divergence"));
    m_tabs->setDocumentMode(true);
    m_tabs->setObjectName(QStringLiteral("pages"));
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(2);
    layout->addWidget(makeSubject());
    layout->addWidget(m_tabs, 1);
    content->setFocusProxy(m_step);
    updateInput();
    return content;
}

void DebuggerPanel::connectPages()
{
    const auto join = [this](auto* page) {
        using Page = std::remove_pointer_t<decltype(page)>;
        connect(page, &Page::failed, this, &Panel::showError);
        connect(page, &Page::busyChanged, this, &DebuggerPanel::addBusy);
        connect(page, &Page::message, this, &Panel::statusMessage);
        connect(page, &Page::valueChosen, this, &DebuggerPanel::chooseValue);
    };
    join(m_step);
    join(m_profile);
    join(m_divergence);
    connect(m_tabs, &QTabWidget::currentChanged, this, [this] { showError({}); });
}

void DebuggerPanel::updateInput()
{
    const auto kind = Input(m_kind->currentData().toInt());
    m_input->setVisible(kind == Input::Sample || kind == Input::File);
    m_choose->setVisible(kind == Input::File);
    m_texts->setVisible(kind == Input::Text);
    m_input->setPlaceholderText(kind == Input::Sample ? tr("number of the sample; empty: the selected one")
                                                      : tr("x.npy, or NAME=x.npy with blanks between several; \"a name.npy\""));
}

/// The file takes the place of what is typed; a model with several inputs gets one after the other.
void DebuggerPanel::chooseFile()
{
    const QString file = widgets::askOpenFile()(this, tr("File of the input"), tr("Arrays (*.npy);;All files (*)"));
    if (file.isEmpty())
        return;
    QString word = file;
    word.replace(QLatin1Char('"'), QStringLiteral("\"\"\""));  // as QProcess::splitCommand reads it
    if (word.contains(QLatin1Char(' ')))
        word = QLatin1Char('"') + word + QLatin1Char('"');
    const auto before = QProcess::splitCommand(m_input->text()).size();
    const bool goesOn = before > 0 && before < m_inputs;
    m_input->setText(goesOn ? m_input->text().trimmed() + QLatin1Char(' ') + word : word);
    prepareSoon();
}

void DebuggerPanel::fillModels()
{
    widgets::fillModelBox(*m_model, session().selection());
}

void DebuggerPanel::followSelection(widgets::SelectionParts parts)
{
    if (parts & (widgets::SelectionParts(SelectionPart::Runs) | SelectionPart::Model | SelectionPart::Weights)) {
        const QString before = m_model->currentData().toString();
        fillModels();
        if (m_model->currentData().toString() != before)
            prepareSoon();
    }
    const bool samples = Input(m_kind->currentData().toInt()) == Input::Sample;
    if (samples && (parts.testFlag(SelectionPart::Data) || (parts.testFlag(SelectionPart::Samples) && m_input->text().isEmpty())))
        prepareSoon();
    if (parts.testFlag(SelectionPart::Value))
        m_step->showValue(session().selection().valuePath);
}

DebugSubject DebuggerPanel::wantedSubject() const
{
    const auto& selection = session().selection();
    DebugSubject subject;
    subject.model = m_model->currentData().toString();
    subject.input = Input(m_kind->currentData().toInt());
    subject.training = m_training->isChecked();
    if (subject.input == Input::File)
        subject.files = m_input->text();
    if (subject.input == Input::Text)
        subject.texts = m_texts->texts();
    if (subject.input != Input::Sample)
        return subject;
    subject.run = widgets::runOfArgument(subject.model);
    subject.data = selection.data;
    if (!subject.run && !selection.runs.isEmpty())
        subject.run = selection.runs.front();
    if (!selection.split.isEmpty())
        subject.split = selection.split;
    const qint64 chosen = selection.samples.isEmpty() ? 0 : selection.samples.front();
    bool isNumber = false;
    const qint64 typed = m_input->text().trimmed().toLongLong(&isNumber);
    subject.sample = isNumber ? typed : chosen;
    return subject;
}

/// Once for all that changes together.
void DebuggerPanel::prepareSoon()
{
    m_timer->start(0);
}

void DebuggerPanel::prepareWhenTyped()
{
    constexpr int kTypingPause = 200;  // ms
    m_timer->start(kTypingPause);
}

void DebuggerPanel::prepare()
{
    const DebugSubject subject = wantedSubject();
    if (subject.model.isEmpty()) {
        m_opening.cancel();
        take(nullptr);
        return updateEmptyState();
    }
    if (m_opened && m_opened->subject == subject && m_opened->modelState == widgets::fileState(subject.model))
        return;
    showError({});
    showContent();
    // A kind of input that was just chosen is no mistake yet.
    if ((subject.input == Input::Text && subject.texts.empty()) || (subject.input == Input::File && subject.files.trimmed().isEmpty())) {
        m_opening.cancel();
        take(nullptr);
        return m_status->setText(subject.input == Input::Text ? tr("Type a text that the model's tokenizer reads.")
                                                              : tr("Name the file of the input."));
    }
    if (const QString typed = m_input->text().trimmed(); subject.input == Input::Sample && !typed.isEmpty()) {
        bool isNumber = false;
        if (const qint64 number = typed.toLongLong(&isNumber); !isNumber || number < 0) {
            m_opening.cancel();
            take(nullptr);
            m_status->setText(tr("Type the number of a sample, or nothing for the selected one."));
            return showError(tr("sample: expected a whole number of at least 0, got \"%1\"").arg(typed));
        }
    }
    m_status->setText(tr("Opening…"));
    m_opening.start(
        session(), this,
        [panel = QPointer<DebuggerPanel>(this), subject, workspace = session().workspace()](widgets::BackgroundContext& context) {
            // The run's own data are opened from the run: relative paths in its document start at its folder.
            DebugSubject wanted = subject;
            if (wanted.run && workspace && wanted.data == workspace->run(*wanted.run).document.value("data", core::Json()))
                wanted.data = nullptr;
            const auto opened = [&](const graph::Model& model) {
                context.post([panel, name = subject.model, text = train::readsText(model), pairs = train::readsPairs(model),
                              inputs = int(model.graph->data().inputs.size())] {
                    if (panel)
                        panel->learn(name, text, pairs, inputs);
                });
            };
            auto made = std::make_shared<DebugModel>(*openDebugSubject(wanted, workspace, opened));
            made->subject = subject;
            return DebugModelPtr(made);
        },
        [this](const DebugModelPtr& model) { take(model); },
        [this](const QString& text) {
            take(nullptr);
            m_status->setText(tr("The model or its input could not be opened."));
            showError(text);
        });
}

/// A second text that means nothing to the model is hidden; was it typed for another one, the input is read again without.
void DebuggerPanel::learn(const QString& model, bool text, bool pairs, int inputs)
{
    // A text that was meant for the model before is no mistake of this one's.
    if (!text && Input(m_kind->currentData().toInt()) == Input::Text && m_kindChosenFor != model)
        m_kind->setCurrentIndex(m_kind->findData(int(Input::Example)));
    m_inputs = inputs;
    const auto before = m_texts->texts();
    m_texts->setPairs(pairs);
    if (m_texts->texts() != before && Input(m_kind->currentData().toInt()) == Input::Text)
        prepareSoon();
}

void DebuggerPanel::take(const DebugModelPtr& model)
{
    m_opened = model;
    m_step->setModel(model);
    m_profile->setModel(model);
    m_divergence->setModel(model);
    m_status->setText(!model ? QString() : tr("%1 nodes, input %2").arg(model->executor->graph()->nodes().size()).arg(model->inputText));
}

void DebuggerPanel::chooseValue(const QString& name)
{
    const QString path = name.section(QLatin1Char('['), 0, 0);
    session().changeSelection([&](widgets::Selection& s) { s.valuePath = path; });
}

void DebuggerPanel::updateEmptyState()
{
    if (!session().hasWorkspace())
        return showEmptyState(tr("No workspace is open"), tr("Open a workspace from the File menu, then select a run, or open a model."));
    showEmptyState(tr("No model to debug"), tr("Select a run in Experiments, or open a model file; then step through it node by node."),
                   {m_showRuns});
}

QString DebuggerPanel::commandLine() const
{
    if (!m_opened)
        return {};
    if (m_tabs->currentWidget() == m_profile)
        return m_profile->command();
    if (m_tabs->currentWidget() == m_divergence)
        return m_divergence->command();
    QStringList words = {QStringLiteral("debug"), m_opened->subject.model};
    words << m_opened->inputWords;
    for (const QString& command : m_step->history())
        words << QStringLiteral("--command") << command;
    return widgets::cliCommand(withWorkspace(words, {m_opened->subject.model}, session().workspaceFolder()));
}

QString DebuggerPanel::shownCommand() const
{
    if (m_opened && m_tabs->currentWidget() == m_profile && m_profile->profile())
        return m_profile->shownAs();
    return m_opened && m_tabs->currentWidget() == m_divergence && m_divergence->divergence() ? m_divergence->shownCommand() : QString();
}

std::optional<widgets::ReportItem> DebuggerPanel::reportItem() const
{
    if (!m_opened)
        return std::nullopt;
    const QString model = m_opened->subject.model;
    if (m_tabs->currentWidget() == m_profile && m_profile->profile())
        return widgets::reportShown(*this, tr("Profile of %1").arg(model), std::nullopt, *m_profile->picture());
    if (m_tabs->currentWidget() == m_divergence && m_divergence->divergence())
        return widgets::reportShown(*this, tr("Divergence of two runs of %1").arg(model), std::nullopt, *m_divergence->picture());
    return widgets::reportShown(*this, tr("Debugger: %1").arg(model), std::nullopt, *m_step);
}

core::Json DebuggerPanel::saveState() const
{
    return {{"kind", m_kind->currentIndex()},      {"input", m_input->text().toStdString()}, {"texts", m_texts->toJson()},
            {"training", m_training->isChecked()}, {"tab", m_tabs->currentIndex()},          {"step", m_step->saveState()},
            {"profile", m_profile->saveState()},   {"divergence", m_divergence->saveState()}};
}

void DebuggerPanel::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    m_kind->setCurrentIndex(std::clamp(widgets::stateInteger(state, "kind", 0), 0, m_kind->count() - 1));
    m_input->setText(widgets::stateText(state, "input"));
    m_texts->fromJson(state.value("texts", core::Json()));
    m_training->setChecked(state.contains("training") && state["training"].is_boolean() && state["training"].get<bool>());
    m_step->restoreState(widgets::stateObject(state, "step"));
    m_profile->restoreState(widgets::stateObject(state, "profile"));
    m_divergence->restoreState(widgets::stateObject(state, "divergence"));
    m_tabs->setCurrentIndex(std::clamp(widgets::stateInteger(state, "tab", 0), 0, m_tabs->count() - 1));
    prepareSoon();
}

}  // namespace orrery::plugins
