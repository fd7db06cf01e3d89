#include "attribution_panel.h"

#include <QAction>
#include <QComboBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QSpinBox>
#include <QSplitter>
#include <QStackedWidget>
#include <QTabWidget>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>
#include <chrono>

#include <widgets/commands.h>
#include <widgets/image_view.h>
#include <widgets/model_source.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>

#include "result_views.h"

namespace orrery::plugins {
namespace {

using widgets::SelectionPart;

constexpr std::size_t kKept = 6;

QComboBox* makeBox(const QString& name, const QString& tooltip)
{
    auto* box = new QComboBox;
    box->setAccessibleName(name);
    box->setToolTip(tooltip);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(8);
    return box;
}

QToolButton* makeTool(const QString& text, const QString& tooltip)
{
    auto* button = new QToolButton;
    button->setText(text);
    button->setToolTip(tooltip);
    button->setAccessibleName(tooltip);
    return button;
}

}  // namespace

AttributionPanel::AttributionPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("attribution"), tr("Attribution"), session, parent), m_opener(std::make_shared<SubjectOpener>()),
      m_prepareTimer(new QTimer(this))
{
    m_prepareTimer->setSingleShot(true);
    m_prepareTimer->setInterval(0);
    connect(m_prepareTimer, &QTimer::timeout, this, &AttributionPanel::prepare);
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    m_showData = new QAction(tr("Show the data"), this);
    connect(m_showData, &QAction::triggered, this, [this] { this->session().requestPanel(QStringLiteral("data")); });
    m_showRuns = new QAction(tr("Show the runs"), this);
    connect(m_showRuns, &QAction::triggered, this, [this] { this->session().requestPanel(QStringLiteral("experiments")); });
    setContent(makeContent());
    addAction(m_copyCommand);
    connect(&session, &widgets::Session::selectionChanged, this, &AttributionPanel::followSelection);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        m_prepared.reset();
        m_explanations.clear();
        m_current.reset();
        m_compare->setExplanations({});
        fillModels();
        prepareSoon();
    });
    connect(&session, &widgets::Session::backgroundWorkChanged, this, [this] {
        // Cancelled from the Jobs panel: nothing was delivered.
        if (m_explaining && !m_explainTask.isRunning())
            endExplain();
    });
    fillModels();
    chooseMethod();
    prepareSoon();
}

AttributionPanel::~AttributionPanel()
{
    m_prepareTask.cancel();
    m_explainTask.cancel();
}

QLayout* AttributionPanel::makeSubjectForm()
{
    m_model = makeBox(tr("Model"), tr("The model to explain: a selected run, or the model that is open"));
    connect(m_model, &QComboBox::activated, this, &AttributionPanel::prepareSoon);
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
    m_imageButton = makeTool(tr("Picture…"), tr("Explain the model's answer to a picture of your own"));
    connect(m_imageButton, &QToolButton::clicked, this, &AttributionPanel::chooseImage);
    auto* sampleRow = new QHBoxLayout;
    sampleRow->addWidget(m_previous);
    sampleRow->addWidget(m_sample, 1);
    sampleRow->addWidget(m_next);
    sampleRow->addWidget(m_imageButton);
    m_method = makeBox(tr("Method"), tr("Attribution method"));
    for (const auto& component : explain::attributionRegistry().components()) {
        m_method->addItem(QString::fromStdString(component.title), QString::fromStdString(component.id));
        m_method->setItemData(m_method->count() - 1, QString::fromStdString(component.summary + "\n" + component.source), Qt::ToolTipRole);
    }
    m_method->setCurrentIndex(std::max(0, m_method->findData(QStringLiteral("integrated_gradients"))));
    connect(m_method, &QComboBox::currentIndexChanged, this, &AttributionPanel::chooseMethod);
    m_target = makeBox(tr("Target class"), tr("The class whose output is explained"));
    m_target->setObjectName(QStringLiteral("target"));
    connect(m_target, &QComboBox::activated, this, &AttributionPanel::chooseTarget);
    auto* form = new QFormLayout;
    form->setContentsMargins(0, 0, 0, 0);
    form->setVerticalSpacing(4);
    form->addRow(tr("&Model"), m_model);
    auto* sampleLabel = new QLabel(tr("&Sample"));
    sampleLabel->setBuddy(m_sample);
    form->addRow(sampleLabel, sampleRow);
    form->addRow(tr("M&ethod"), m_method);
    form->addRow(tr("&Target"), m_target);
    return form;
}

QLayout* AttributionPanel::makeButtons()
{
    m_explain = new QPushButton(tr("E&xplain"));
    m_explain->setObjectName(QStringLiteral("explain"));
    connect(m_explain, &QPushButton::clicked, this, &AttributionPanel::explain);
    m_cancel = new QPushButton(tr("Cancel"));
    m_cancel->setObjectName(QStringLiteral("cancel"));
    m_cancel->setToolTip(tr("Stop the explanation"));
    connect(m_cancel, &QPushButton::clicked, this, [this] {
        m_explainTask.cancel();
        endExplain();
    });
    m_progress = new QProgressBar;
    m_progress->setAccessibleName(tr("Progress of the explanation"));
    auto* copy = new QToolButton;
    copy->setDefaultAction(m_copyCommand);
    auto* row = new QHBoxLayout;
    row->addWidget(m_explain);
    row->addWidget(m_cancel);
    row->addWidget(m_progress, 1);
    row->addStretch(0);
    row->addWidget(copy);
    return row;
}

QWidget* AttributionPanel::makeResults()
{
    m_picture = new PictureResult;
    m_list = new ListResult;
    connect(m_list, &ListResult::positionChosen, this, [this](int position) {
        if (m_prepared && m_prepared->kind == InputKind::Tokens)
            session().changeSelection([position](widgets::Selection& s) { s.token = position; });
    });
    m_compare = new CompareResults;
    m_result = new QStackedWidget;
    m_result->addWidget(m_picture);
    m_result->addWidget(m_list);
    m_numbers = new QLabel;
    m_numbers->setObjectName(QStringLiteral("numbers"));
    m_numbers->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    m_numbers->setWordWrap(true);
    m_numbers->setTextFormat(Qt::RichText);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(4, 0, 4, 4);
    layout->addWidget(m_result, 1);
    layout->addWidget(m_numbers);
    m_tabs = new QTabWidget;
    m_tabs->addTab(page, tr("&Result"));
    m_tabs->addTab(m_compare, tr("Side &by side"));
    m_tabs->setDocumentMode(true);
    return m_tabs;
}

QWidget* AttributionPanel::makeContent()
{
    auto* top = new QWidget;
    auto* layout = new QVBoxLayout(top);
    layout->setContentsMargins(6, 6, 6, 2);
    layout->setSpacing(4);
    layout->addLayout(makeSubjectForm());
    m_subject = new QLabel;
    m_subject->setWordWrap(true);
    m_subject->setObjectName(QStringLiteral("subject"));
    m_subject->setTextInteractionFlags(Qt::TextSelectableByMouse);
    layout->addWidget(m_subject);
    m_form = new widgets::SchemaForm;
    m_form->setAccessibleName(tr("Parameters of the method"));
    connect(m_form, &widgets::SchemaForm::edited, this,
            [this](const QString&, const core::Json&, const core::Json& after) { m_parameters[method()] = after; });
    connect(m_form, &widgets::SchemaForm::issuesChanged, this, &AttributionPanel::updateButtons);
    m_form->setMinimumHeight(110);
    layout->addWidget(m_form, 1);
    layout->addLayout(makeButtons());
    auto* splitter = new QSplitter(Qt::Vertical, this);
    splitter->addWidget(top);
    splitter->addWidget(makeResults());
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 1);
    splitter->setChildrenCollapsible(false);
    splitter->setObjectName(QStringLiteral("splitter"));
    splitter->setFocusProxy(m_explain);
    updateButtons();
    return splitter;
}

QString AttributionPanel::method() const
{
    return m_method->currentData().toString();
}

std::optional<std::int64_t> AttributionPanel::target() const
{
    const QVariant chosen = m_target->currentData();
    return chosen.isValid() ? std::optional<std::int64_t>(chosen.toLongLong()) : std::nullopt;
}

void AttributionPanel::fillModels()
{
    const QStringList arguments = widgets::modelArguments(session().selection());
    const QSignalBlocker blocker(m_model);
    m_model->clear();
    for (const QString& argument : arguments)
        m_model->addItem(argument.startsWith(QLatin1String("run:")) ? tr("Run %1").arg(argument.mid(4)) : argument, argument);
    m_model->setEnabled(m_model->count() > 1);
}

void AttributionPanel::followSelection(widgets::SelectionParts parts)
{
    if (m_sending)
        return;
    const auto& selection = session().selection();
    if (parts & (widgets::SelectionParts(SelectionPart::Runs) | SelectionPart::Model | SelectionPart::Weights)) {
        fillModels();
        // What was chosen last is meant: a run selected while another model is open.
        if (parts.testFlag(SelectionPart::Runs) && !parts.testFlag(SelectionPart::Model) && !parts.testFlag(SelectionPart::Weights) &&
            !selection.runs.isEmpty())
            m_model->setCurrentIndex(std::max(0, m_model->findData(QStringLiteral("run:%1").arg(selection.runs.front()))));
        prepareSoon();
    }
    if (parts & (widgets::SelectionParts(SelectionPart::Data) | SelectionPart::Samples)) {
        m_image.clear();
        prepareSoon();
    }
    if (parts.testFlag(SelectionPart::Target))
        fillTargets();
}

ExplainSubject AttributionPanel::wantedSubject() const
{
    const auto& selection = session().selection();
    ExplainSubject subject;
    subject.model = m_model->currentData().toString();
    subject.image = m_image;
    subject.data = selection.data;
    subject.run = widgets::runOfArgument(subject.model);
    if (!subject.run && !selection.runs.isEmpty())
        subject.run = selection.runs.front();
    if (!selection.split.isEmpty())
        subject.split = selection.split;
    subject.sample = selection.samples.isEmpty() ? 0 : selection.samples.front();
    return subject;
}

void AttributionPanel::prepareSoon()
{
    m_prepareTimer->start();
}

void AttributionPanel::prepare()
{
    m_prepareTask.cancel();
    showError({});
    const ExplainSubject subject = wantedSubject();
    const bool hasInput = !subject.image.isEmpty() || subject.run || !subject.data.is_null();
    if (m_preparing)
        addBusy(-1);
    m_preparing = false;
    if (subject.model.isEmpty() || !hasInput) {
        m_prepared.reset();
        updateEmptyState();
        return updateButtons();
    }
    showContent();
    addBusy(1);
    m_preparing = true;
    const auto done = [this](const PreparedPtr& prepared) {
        m_preparing = false;
        takePrepared(prepared);
        addBusy(-1);
    };
    const auto failed = [this](const QString& text) {
        m_preparing = false;
        m_prepared.reset();
        m_subject->setText(tr("The model or its input could not be opened. Choose another sample or model above."));
        showError(text);
        updateButtons();
        addBusy(-1);
    };
    m_prepareTask = session().runInBackground(
        this,
        [opener = m_opener, subject, workspace = session().workspace()](widgets::BackgroundContext& context) {
            // The run's data are opened from the run where both are the same: relative paths in its document start at its folder.
            ExplainSubject wanted = subject;
            if (wanted.run && workspace && wanted.data == workspace->run(*wanted.run).document.value("data", core::Json()))
                wanted.data = nullptr;
            return opener->prepare(wanted, workspace, context.stopToken());
        },
        done, failed);
    updateButtons();
}

void AttributionPanel::takePrepared(const PreparedPtr& prepared)
{
    m_prepared = prepared;
    const auto& subject = prepared->subject;
    const QSignalBlocker blocker(m_sample);
    m_sample->setRange(0, int(std::max<std::int64_t>(0, prepared->samplesInSplit - 1)));
    m_sample->setValue(int(subject.sample));
    QString text = subject.image.isEmpty() ? tr("%1 part, sample %2 of %L3").arg(subject.split).arg(subject.sample).arg(prepared->samplesInSplit)
                                           : QFileInfo(subject.image).fileName();
    if (!prepared->targetText.empty())
        text += tr("; true: %1").arg(QString::fromStdString(prepared->targetText));
    if (prepared->predicted >= 0) {
        const auto at = std::size_t(prepared->predicted);
        text += tr("; predicted: %1").arg(at < prepared->classes.size() ? QString::fromStdString(prepared->classes[at]) : QString::number(at));
    }
    m_subject->setText(text);
    m_current.reset();
    const bool picture = prepared->kind == InputKind::Image;
    m_result->setCurrentWidget(picture ? static_cast<QWidget*>(m_picture) : m_list);
    picture ? m_picture->showInput(*prepared) : m_list->showInput(*prepared);
    fillTargets();
    showNumbers();
    updateButtons();
}

void AttributionPanel::fillTargets()
{
    const QSignalBlocker blocker(m_target);
    m_target->clear();
    if (!m_prepared)
        return;
    const auto& probabilities = m_prepared->probabilities;
    const auto nameOf = [this](std::size_t i) {
        return i < m_prepared->classes.size() ? QString::fromStdString(m_prepared->classes[i]) : QString::number(i);
    };
    if (probabilities.empty()) {
        m_target->addItem(tr("The model's output"));
        return m_target->setEnabled(false);
    }
    m_target->setEnabled(true);
    m_target->addItem(tr("Predicted class: %1").arg(nameOf(std::size_t(m_prepared->predicted))));
    // A language model has too many classes to list: the most probable ones.
    std::vector<std::size_t> order(probabilities.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        order[i] = i;
    if (order.size() > 64) {
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return probabilities[a] > probabilities[b]; });
        order.resize(64);
    }
    for (const std::size_t i : order)
        m_target->addItem(tr("%1   (probability %2)").arg(nameOf(i)).arg(probabilities[i], 0, 'f', 4), qint64(i));
    if (const auto wanted = session().selection().target)
        m_target->setCurrentIndex(std::max(0, m_target->findData(*wanted)));
}

void AttributionPanel::chooseTarget()
{
    m_sending = true;
    session().changeSelection([this](widgets::Selection& s) { s.target = target(); });
    m_sending = false;
}

void AttributionPanel::chooseMethod()
{
    const auto* component = explain::attributionRegistry().find(method().toStdString());
    if (!component)
        return;
    m_method->setToolTip(QString::fromStdString(component->summary + "\n" + component->source));
    m_form->setSchema(component->schema);
    if (const auto known = m_parameters.find(method()); known != m_parameters.end())
        m_form->setDocument(known->second);
    updateButtons();
}

void AttributionPanel::step(int change)
{
    if (!m_prepared && change != 0)
        return;
    const qint64 wanted = std::clamp<qint64>(m_sample->value() + change, 0, m_sample->maximum());
    m_image.clear();
    const auto prepared = m_prepared;
    session().changeSelection([&](widgets::Selection& s) {
        if (s.data.is_null() && prepared)
            s.data = prepared->dataDocument;
        if (s.split.isEmpty() && prepared)
            s.split = prepared->subject.split;
        s.samples = {wanted};
    });
}

void AttributionPanel::chooseImage()
{
    const QString file = QFileDialog::getOpenFileName(this, tr("Open a picture"), {}, tr("Pictures (*.png *.jpg *.jpeg *.webp)"));
    if (file.isEmpty())
        return;
    m_image = file;
    prepareSoon();
}

void AttributionPanel::explain()
{
    if (!m_prepared || m_explaining || !m_form->isValid())
        return;
    showError({});
    m_progress->setRange(0, 0);
    widgets::BackgroundOptions options;
    options.title = tr("Explain sample %1 by %2").arg(m_prepared->subject.sample).arg(m_method->currentText());
    options.lane = widgets::Lane::Queue;
    options.kind = QStringLiteral("attribute");
    options.run = widgets::runOfArgument(m_prepared->subject.model);
    options.document = {{"model", m_prepared->subject.model.toStdString()},
                        {"method", method().toStdString()},
                        {"parameters", m_form->document()},
                        {"sample", m_prepared->subject.sample}};
    const QPointer<QProgressBar> bar = m_progress;
    auto work = [prepared = m_prepared, method = method().toStdString(), parameters = m_form->document(), target = target(),
                 workspace = session().workspace(), bar](widgets::BackgroundContext& context) {
        orrery::explain::Control control;
        control.stop = context.stopToken();
        // A method may report thousands of steps a second: posted one by one they would keep the window from answering.
        auto last = std::chrono::steady_clock::time_point();
        control.progress = [&](double done, double total, const char* unit) {
            context.progress(done, total, unit);
            if (const auto now = std::chrono::steady_clock::now(); now - last < std::chrono::milliseconds(100))
                return;
            else
                last = now;
            context.post([bar, done, total] {
                if (!bar)
                    return;
                bar->setRange(0, int(total));
                bar->setValue(int(done));
            });
        };
        return explainSubject(prepared, method, parameters, target, workspace, control);
    };
    m_explainTask = session().runInBackground(
        this, std::move(work),
        [this](Explanation made) {
            endExplain();
            takeExplanation(std::move(made));
        },
        [this](const QString& text) {
            endExplain();
            showError(text);
        },
        options);
    // Only now: starting already announces background work, and the task before this one is not running.
    m_explaining = true;
    addBusy(1);
    updateButtons();
}

void AttributionPanel::endExplain()
{
    if (!m_explaining)
        return;
    m_explaining = false;
    updateButtons();
    addBusy(-1);
}

void AttributionPanel::takeExplanation(Explanation made)
{
    const auto shared = std::make_shared<const Explanation>(std::move(made));
    // The same settings again replace what was there.
    std::erase_if(m_explanations, [&](const auto& old) {
        return old->subject->subject == shared->subject->subject && old->method == shared->method && old->parameters == shared->parameters &&
               old->target == shared->target;
    });
    m_explanations.insert(m_explanations.begin(), shared);
    if (m_explanations.size() > kKept)
        m_explanations.resize(kKept);
    m_compare->setExplanations(m_explanations);
    // Stepped on while it was computed: the result stays in the comparison alone.
    if (!m_prepared || !(shared->subject->subject == m_prepared->subject))
        return;
    m_current = *shared;
    shared->rows > 0 ? m_picture->showExplanation(*shared) : m_list->showExplanation(*shared);
    showNumbers();
    if (!shared->whyNotStored.empty())
        showError(tr("The result is shown, but could not be stored: %1").arg(QString::fromStdString(shared->whyNotStored)));
    Q_EMIT statusMessage(shared->analysis ? tr("Stored as analysis %1 of %2").arg(*shared->analysis).arg(shared->subject->subject.model)
                                          : tr("Explained"));
}

void AttributionPanel::showNumbers()
{
    if (!m_current)
        return m_numbers->setText(m_prepared ? tr("Press Explain to see what this answer rests on.") : QString());
    const Explanation& made = *m_current;
    const auto row = [](const QString& name, const QString& value) {
        return QStringLiteral("<tr><td>%1&nbsp;&nbsp;</td><td>%2</td></tr>").arg(name, value.toHtmlEscaped());
    };
    QString html = QStringLiteral("<table cellspacing=0 cellpadding=0>");
    if (made.target >= 0)
        html += row(tr("Target"), made.targetName.empty() ? QString::number(made.target) : QString::fromStdString(made.targetName));
    html += row(tr("Output"), fullNumber(made.output)) + row(tr("Sum of attributions"), fullNumber(made.sum));
    html += row(tr("Completeness error"), made.completenessError ? fullNumber(*made.completenessError) : tr("(this method has none)"));
    if (made.analysis)
        html += row(tr("Stored"), tr("analysis %1 of run %2").arg(*made.analysis).arg(made.subject->subject.model.mid(4)));
    m_numbers->setText(html + QStringLiteral("</table>"));
}

void AttributionPanel::updateButtons()
{
    if (!m_explain || !m_form)
        return;
    const bool ready = m_prepared && !m_preparing;
    m_explain->setVisible(!m_explaining);
    m_explain->setEnabled(ready && m_form->isValid());
    m_explain->setToolTip(!ready               ? tr("Choose a model and a sample first")
                          : !m_form->isValid() ? tr("Correct the parameters first")
                                               : tr("Compute the attribution as a job"));
    m_cancel->setVisible(m_explaining);
    m_progress->setVisible(m_explaining);
    const bool stepping = m_prepared && m_prepared->samplesInSplit > 0;
    m_previous->setEnabled(stepping);
    m_next->setEnabled(stepping);
    m_sample->setEnabled(stepping);
    m_copyCommand->setEnabled(m_prepared != nullptr);
}

void AttributionPanel::updateEmptyState()
{
    if (!session().hasWorkspace())
        return showEmptyState(tr("No workspace is open"), tr("Open a workspace from the File menu, then select a run and a sample."));
    if (m_model->count() == 0)
        return showEmptyState(tr("No model to explain"), tr("Select a run in Experiments, or open a model file, then choose a sample in Data."),
                              {m_showRuns});
    showEmptyState(tr("No sample to explain"), tr("Choose a sample in Data; a double click brings you back here."), {m_showData});
}

QString AttributionPanel::commandLine() const
{
    if (!m_prepared)
        return {};
    return attributeCommand(m_prepared->subject, m_prepared->dataDocument, method(), m_form->document(), target(), session().workspaceFolder());
}

core::Json AttributionPanel::saveState() const
{
    core::Json parameters = core::Json::object();
    for (const auto& [id, document] : m_parameters)
        parameters[id.toStdString()] = document;
    return {{"method", method().toStdString()},
            {"parameters", parameters},
            {"opacity", m_picture->opacity()},
            {"tab", m_tabs->currentIndex()},
            {"image", m_image.toStdString()}};
}

void AttributionPanel::restoreState(const core::Json& state)
{
    if (state.contains("parameters") && state["parameters"].is_object())
        for (const auto& [id, document] : state["parameters"].items())
            if (document.is_object())
                m_parameters[QString::fromStdString(id)] = document;
    const auto text = [&](const char* key) {
        return state.contains(key) && state[key].is_string() ? QString::fromStdString(state[key].get<std::string>()) : QString();
    };
    if (const int row = m_method->findData(text("method")); row >= 0)
        m_method->setCurrentIndex(row);
    chooseMethod();
    if (state.contains("opacity") && state["opacity"].is_number())
        m_picture->setOpacity(state["opacity"].get<double>());
    if (state.contains("tab") && state["tab"].is_number_integer())
        m_tabs->setCurrentIndex(std::clamp(state["tab"].get<int>(), 0, 1));
    if (const QString image = text("image"); !image.isEmpty() && QFileInfo::exists(image)) {
        m_image = image;
        prepareSoon();
    }
}

}  // namespace orrery::plugins
