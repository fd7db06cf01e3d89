#include "new_run_panel.h"

#include <QAction>
#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QResizeEvent>
#include <QSpinBox>
#include <QSplitter>
#include <QToolButton>
#include <QUndoStack>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/jobs/queue.h>
#include <core/train/document_file.h>
#include <core/train/experiment.h>
#include <widgets/commands.h>
#include <widgets/document_editor.h>
#include <widgets/examples.h>
#include <widgets/export.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>
#include <widgets/theme.h>
#include <widgets/training.h>

namespace orrery::plugins {
namespace {

constexpr int kSideBySide = 640;  ///< px: from this width on form and text stand beside each other

core::Json emptyDocument()
{
    return {{"name", "experiment"}, {"model", {{"id", "mlp"}}}, {"data", {{"id", "digits"}}}, {"train", {{"epochs", 10}}}};
}

QToolButton* button(QAction* action, QWidget* parent)
{
    auto* made = new QToolButton(parent);
    made->setDefaultAction(action);
    made->setObjectName(action->objectName());
    made->setAutoRaise(true);
    return made;
}

}  // namespace

NewRunPanel::NewRunPanel(widgets::Session& session, QWidget* parent) : Panel("new_run", tr("New run"), session, parent), m_model(session)
{
    askOpenFile = [this] {
        return QFileDialog::getOpenFileName(this, tr("Open experiment"), m_model.folder(), tr("Experiments (*.yaml *.yml *.json)"));
    };
    auto* content = new QWidget(this);
    auto* column = new QVBoxLayout(content);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addWidget(buildTools());
    column->addWidget(buildDocument(), 1);
    column->addWidget(buildStart());
    setContent(content);
    setFocusProxy(m_form);
    connect(&m_model, &NewRunModel::documentChanged, this, &NewRunPanel::showDocument);
    connect(&m_model, &NewRunModel::checked, this, &NewRunPanel::showChecks);
    connect(&m_model, &NewRunModel::failed, this, &NewRunPanel::showError);
    connect(&m_model, &NewRunModel::started, this, [this](qint64 run) {
        this->session().report(tr("Run %1 was added").arg(run));
        this->session().selectRuns({run});
    });
    connect(&session, &widgets::Session::draftChanged, this, [this] {
        if (this->session().draft().is_object())
            m_model.load(this->session().draft(), this->session().draftFolder());
    });
    connect(&session, &widgets::Session::workspaceChanged, this, &NewRunPanel::showChecks);
    if (!session.draft().is_null() && session.draft().is_object())
        m_model.load(session.draft(), session.draftFolder());
    else
        showDocument();
}

QAction* NewRunPanel::makeAction(const QString& name, const QString& text, const QString& tip, std::function<void()> call)
{
    auto* action = new QAction(text, this);
    action->setObjectName(name);
    action->setToolTip(tip);
    connect(action, &QAction::triggered, this, std::move(call));
    addAction(action);
    return action;
}

QList<QAction*> NewRunPanel::exampleActions()
{
    QList<QAction*> actions;
    for (const auto& example : widgets::exampleDocuments()) {
        auto* action = new QAction(tr("Example: %1").arg(example.title), this);
        action->setToolTip(example.summary);
        connect(action, &QAction::triggered, this, [this, file = example.file] { openFile(file); });
        addAction(action);
        actions << action;
    }
    return actions;
}

QWidget* NewRunPanel::buildTools()
{
    m_new = makeAction("new", tr("Empty experiment"), tr("Start from a small document"), [this] { m_model.load(emptyDocument(), {}); });
    m_open = makeAction("open", tr("Open…"), tr("Read an experiment document (.yaml, .json)"), [this] {
        if (const auto file = askOpenFile(); !file.isEmpty())
            openFile(file);
    });
    m_save = makeAction("save", tr("Save…"), tr("Write the document to a file (.yaml, .json)"), [this] { save(); });
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    m_copyCommand->setObjectName("copy_command");
    addAction(m_copyCommand);
    m_examples = exampleActions();
    auto* bar = new QWidget(this);
    auto* row = new QHBoxLayout(bar);
    row->setContentsMargins(4, 4, 4, 4);
    row->setSpacing(2);
    auto* fresh = new QPushButton(bar);
    fresh->setText(tr("New"));
    fresh->setToolTip(tr("Start from an example or an empty document"));
    fresh->setFlat(true);
    auto* menu = new QMenu(fresh);
    menu->setToolTipsVisible(true);
    menu->addAction(m_new);
    menu->addSeparator();
    menu->addActions(m_examples);
    fresh->setMenu(menu);
    row->addWidget(fresh);
    row->addWidget(button(m_open, bar));
    row->addWidget(button(m_save, bar));
    row->addStretch(1);
    m_view = new QComboBox(bar);
    m_view->addItems({tr("Both"), tr("Form"), tr("Text")});
    m_view->setAccessibleName(tr("Show as"));
    m_view->setToolTip(tr("Show the document as a form, as text, or both"));
    m_view->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
    connect(m_view, &QComboBox::currentIndexChanged, this, [this](int index) { showView(View(index)); });
    row->addWidget(m_view);
    m_format = new QComboBox(bar);
    m_format->setAccessibleName(tr("Format of the text"));
    m_format->setToolTip(tr("Write the text as YAML or JSON"));
    if (widgets::DocumentEditor::isYamlAvailable())
        m_format->addItem("YAML", int(widgets::DocumentFormat::Yaml));
    m_format->addItem("JSON", int(widgets::DocumentFormat::Json));
    row->addWidget(m_format);
    return bar;
}

QWidget* NewRunPanel::buildDocument()
{
    m_form = new widgets::SchemaForm(this);
    m_form->setSchema(m_model.formSchema());
    m_editor = new widgets::DocumentEditor(this);
    m_editor->setFormat(widgets::DocumentFormat(m_format->currentData().toInt()));
    connect(m_format, &QComboBox::currentIndexChanged, this,
            [this] { m_editor->setFormat(widgets::DocumentFormat(m_format->currentData().toInt())); });
    connect(m_form, &widgets::SchemaForm::edited, this,
            [this](const QString& path, const core::Json&, const core::Json& after) { m_model.edit(path, after); });
    connect(m_editor, &widgets::DocumentEditor::edited, this,
            [this](const core::Json&, const core::Json& after) { m_model.edit(tr("text"), after); });
    connect(m_editor, &widgets::DocumentEditor::textEdited, this, &NewRunPanel::showChecks);
    m_splitter = new QSplitter(Qt::Vertical, this);
    m_splitter->addWidget(m_form);
    m_splitter->addWidget(m_editor);
    m_splitter->setStretchFactor(0, 3);
    m_splitter->setStretchFactor(1, 2);
    m_splitter->setChildrenCollapsible(false);
    return m_splitter;
}

QWidget* NewRunPanel::buildStart()
{
    auto* foot = new QWidget(this);
    auto* column = new QVBoxLayout(foot);
    column->setContentsMargins(8, 6, 8, 8);
    m_checks = new QLabel(foot);
    m_checks->setObjectName("checks");
    m_checks->setWordWrap(true);
    m_checks->setTextInteractionFlags(Qt::TextSelectableByMouse);
    column->addWidget(m_checks);
    m_place = new QLabel(foot);
    m_place->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    auto* row = new QHBoxLayout;
    auto* label = new QLabel(tr("&Cores"), foot);
    m_threads = new QSpinBox(foot);
    m_threads->setRange(1, session().jobs().limit());
    m_threads->setValue(session().jobs().limit());
    m_threads->setToolTip(tr("Cores that the training keeps busy; the same number gives the same result bit for bit"));
    label->setBuddy(m_threads);
    m_start = new QPushButton(tr("Start"), foot);
    m_start->setObjectName("start");
    m_start->setToolTip(tr("Add a run to the workspace and train it (Ctrl+Return)"));
    m_start->setShortcut(QKeySequence("Ctrl+Return"));
    connect(m_start, &QPushButton::clicked, this, &NewRunPanel::start);
    row->addWidget(m_place, 1);
    row->addWidget(label);
    row->addWidget(m_threads);
    m_inProcess = new QCheckBox(tr("Own &process"), foot);
    m_inProcess->setObjectName("in_process");
    m_inProcess->setToolTip(
        tr("Run trainings of this window, also those started elsewhere, each in a process of its own: a crash or a lack of memory ends that "
           "training alone. The result is the same bit for bit."));
    m_inProcess->setChecked(widgets::trainsInProcess());
    connect(m_inProcess, &QCheckBox::toggled, this, [this](bool on) {
        widgets::setTrainsInProcess(on);
        m_memory->setEnabled(on);
    });
    column->addLayout(row);
    row = new QHBoxLayout;  // rows of their own, so that a narrow dock shows all of it
    auto* memory = new QLabel(tr("&Memory"), foot);
    memory->setBuddy(makeMemoryLimit(foot));
    row->addWidget(m_inProcess);
    row->addStretch(1);
    row->addWidget(memory);
    row->addWidget(m_memory);
    column->addLayout(row);
    row = new QHBoxLayout;
    row->addStretch(1);
    row->addWidget(button(m_copyCommand, foot));
    row->addWidget(m_start);
    column->addLayout(row);
    return foot;
}

QWidget* NewRunPanel::makeMemoryLimit(QWidget* parent)
{
    constexpr int kMostGibibytes = 9'999, kMebibytes = 1024;
    m_memory = new QDoubleSpinBox(parent);
    m_memory->setObjectName("memory_limit");
    m_memory->setRange(0, kMostGibibytes);
    m_memory->setDecimals(2);
    m_memory->setSingleStep(0.5);
    m_memory->setSuffix(tr(" GiB"));
    m_memory->setSpecialValueText(tr("no limit"));
    m_memory->setToolTip(tr(
        "Most memory that the process of a training may take: beyond it that training ends with a message. 0 is no limit. Only with Own process."));
    m_memory->setValue(double(widgets::trainingMemoryLimit()) / kMebibytes);
    m_memory->setEnabled(widgets::trainsInProcess());
    connect(m_memory, &QDoubleSpinBox::valueChanged, this,
            [](double value) { widgets::setTrainingMemoryLimit(int(std::lround(value * kMebibytes))); });
    return m_memory;
}

void NewRunPanel::showDocument()
{
    const auto& document = m_model.document();
    if (m_model.isEmpty()) {
        auto actions = m_examples;
        actions << m_new << m_open;
        showEmptyState(
            tr("No experiment yet"),
            tr("Start from an example, from an empty document, or open a file. A run of the Experiments panel can be cloned and edited, too."),
            actions);
    } else
        showContent();
    // Who made the change has it already; writing it back would disturb the typing.
    const bool asText = document.contains("model") && document["model"].is_string();
    if (asText != m_modelAsText)
        m_form->setSchema(m_model.formSchema());
    if (asText != m_modelAsText || m_form->document() != document)
        m_form->setDocument(document);
    m_modelAsText = asText;
    if (m_editor->document() != document)
        m_editor->setDocument(document);
    showChecks();
}

QString NewRunPanel::checkText() const
{
    if (!m_editor->document())
        return m_editor->messages().value(0, tr("The text cannot be read."));
    if (!m_model.issues().empty()) {
        const auto& first = m_model.issues().front();
        const auto text = QString::fromStdString(first.path.empty() ? first.message : first.path + ": " + first.message);
        return m_model.issues().size() == 1 ? text : tr("%1 (and %n more)", nullptr, int(m_model.issues().size()) - 1).arg(text);
    }
    if (m_model.isStarting())
        return tr("Starting…");
    return m_model.isChecking() ? tr("Checking…") : m_model.summary();
}

void NewRunPanel::showChecks()
{
    // The form and the text know the schema's issues themselves; the rest is added.
    m_form->setExtraIssues({});
    std::vector<core::Issue> extra;
    for (const auto& issue : m_model.issues()) {
        const auto same = [&](const core::Issue& known) { return known.path == issue.path && known.message == issue.message; };
        if (std::none_of(m_form->issues().begin(), m_form->issues().end(), same))
            extra.push_back(issue);
    }
    m_form->setExtraIssues(extra);
    m_editor->setIssues(m_model.issues());
    const bool wrong = !m_model.issues().empty() || !m_editor->document();
    m_checks->setText(checkText());
    auto colours = m_checks->palette();
    colours.setColor(QPalette::WindowText, wrong ? widgets::themeColors(palette()).error : widgets::themeColors(palette()).mutedText);
    m_checks->setPalette(colours);
    const auto file = m_model.file();
    m_place->setText(file.isEmpty() ? QString() : QFileInfo(file).fileName());
    m_place->setToolTip(file);
    m_start->setEnabled(!wrong && !m_model.isEmpty() && !m_model.isStarting() && session().hasWorkspace());
    m_save->setEnabled(!m_model.isEmpty());
    m_copyCommand->setEnabled(!m_model.isEmpty());
    Q_EMIT idleChanged();
}

void NewRunPanel::showView(View view)
{
    m_form->setVisible(view != View::Text);
    m_editor->setVisible(view != View::Form);
    m_format->setVisible(view != View::Form);
    setFocusProxy(view == View::Text ? static_cast<QWidget*>(m_editor) : m_form);
}

void NewRunPanel::openFile(const QString& file)
{
    showError({});
    session().runInBackground(
        this, [path = file.toStdString()](widgets::BackgroundContext&) { return train::readDocument(path); },
        [this, file](const core::Json& document) {
            if (!document.is_object())
                return showError(tr("%1: expected an experiment document, got something that is not a list of keys").arg(file));
            m_model.load(document, QFileInfo(file).absolutePath(), QFileInfo(file).absoluteFilePath());
        },
        [this](const QString& text) { showError(text); });
}

void NewRunPanel::save()
{
    const auto suggested = m_model.file().isEmpty() ? m_model.folder() + "/experiment.yaml" : m_model.file();
    const auto file = widgets::askSaveFile()(this, suggested, tr("Experiments (*.yaml *.json)"));
    if (file.isEmpty())
        return;
    const bool json = file.endsWith(".json", Qt::CaseInsensitive);
    // The text as written keeps its comments, if it is in the format of the file.
    const bool asShown = m_editor->document() == m_model.document() && json == (m_editor->format() == widgets::DocumentFormat::Json);
    session().runInBackground(
        this,
        [path = file.toStdString(), json, text = asShown ? m_editor->text().toStdString() : std::string(),
         document = m_model.document()](widgets::BackgroundContext&) {
            core::writeFileAtomically(path, !text.empty() ? text : json ? document.dump(2) + "\n" : train::toYaml(document));
        },
        [this, file] {
            m_model.markSaved(QFileInfo(file).absoluteFilePath());
            session().report(tr("Saved %1").arg(file));
        },
        [this](const QString& text) { showError(text); });
}

void NewRunPanel::start()
{
    showError({});
    m_model.start(m_threads->value());
}

bool NewRunPanel::isIdle() const
{
    return Panel::isIdle() && !m_model.isChecking() && !m_model.isStarting();
}
QString NewRunPanel::commandLine() const
{
    return m_model.command(session().workspaceFolder());
}

void NewRunPanel::resizeEvent(QResizeEvent* event)
{
    Panel::resizeEvent(event);
    m_splitter->setOrientation(event->size().width() >= kSideBySide ? Qt::Horizontal : Qt::Vertical);
}

core::Json NewRunPanel::saveState() const
{
    core::Json state = m_model.state();
    state["view"] = m_view->currentIndex();
    state["format"] = m_format->currentText().toStdString();
    state["threads"] = m_threads->value();
    state["splitter"] = m_splitter->saveState().toBase64().toStdString();
    return state;
}

void NewRunPanel::restoreState(const core::Json& state)
{
    const auto number = [&](const char* key, int otherwise) {
        const auto found = state.find(key);
        return found != state.end() && found->is_number_integer() ? found->get<int>() : otherwise;
    };
    const auto text = [&](const char* key) {
        const auto found = state.find(key);
        return found != state.end() && found->is_string() ? QString::fromStdString(found->get<std::string>()) : QString();
    };
    m_view->setCurrentIndex(std::clamp(number("view", 0), 0, 2));
    if (const int format = m_format->findText(text("format")); format >= 0)
        m_format->setCurrentIndex(format);
    m_threads->setValue(number("threads", m_threads->value()));
    const auto orientation = m_splitter->orientation();
    m_splitter->restoreState(QByteArray::fromBase64(text("splitter").toLatin1()));
    m_splitter->setOrientation(orientation);
    // A document that was handed over meanwhile goes first.
    if (m_model.isEmpty())
        m_model.restore(state);
}

}  // namespace orrery::plugins
