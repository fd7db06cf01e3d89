#include "attribution_panel.h"

#include <QAction>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPointer>
#include <QPushButton>
#include <QSplitter>
#include <QStackedWidget>
#include <QTabWidget>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>

#include <widgets/commands.h>
#include <widgets/job_bar.h>
#include <widgets/model_source.h>
#include <widgets/schema_form.h>
#include <widgets/session.h>
#include <widgets/text_fields.h>

#include "ablation_view.h"
#include "area_curve.h"
#include "compare_results.h"
#include "explain_work.h"
#include "metric_form.h"
#include "quality_view.h"
#include "result_views.h"
#include "stored_button.h"
#include "subject_form.h"

namespace orrery::plugins {

using widgets::SelectionPart;

AttributionPanel::AttributionPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("attribution"), tr("Attribution"), session, parent), m_opener(std::make_shared<SubjectOpener>()), m_cards(new Cards(this)),
      m_ablation(new Ablation(session, this)), m_prepareTimer(new QTimer(this))
{
    m_prepareTimer->setSingleShot(true);
    m_prepareTimer->setInterval(0);
    connect(m_prepareTimer, &QTimer::timeout, this, &AttributionPanel::prepare);
    makeActions();
    setContent(makeContent());
    connect(m_ablation, &Ablation::failed, this, &Panel::showError);
    connect(m_cards, &Cards::listChanged, this, &AttributionPanel::updateButtons);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        m_job->cancel();
        m_prepared.reset();
        m_cards->clearResults();
        m_reopened.reset();
        m_stored->setModel({});
        showResult(nullptr);
        m_subject->fillModels();
        prepareSoon();
    });
    connect(&session, &widgets::Session::selectionChanged, this, [this](widgets::SelectionParts parts) {
        if (parts.testFlag(SelectionPart::Token) && this->session().selection().token)
            m_list->choosePosition(int(*this->session().selection().token));
    });
    chooseMethod();
    prepareSoon();
}

AttributionPanel::~AttributionPanel()
{
    m_prepareTask.cancel();
    m_reopenTask.cancel();
}

void AttributionPanel::makeActions()
{
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    addAction(m_copyCommand);
    m_showData = new QAction(tr("Show the data"), this);
    connect(m_showData, &QAction::triggered, this, [this] { session().requestPanel(QStringLiteral("data")); });
    m_showRuns = new QAction(tr("Show the runs"), this);
    connect(m_showRuns, &QAction::triggered, this, [this] { session().requestPanel(QStringLiteral("experiments")); });
    auto* explainAllAction = new QAction(tr("Explain by all chosen methods"), this);
    connect(explainAllAction, &QAction::triggered, this, &AttributionPanel::explainAll);
    addAction(explainAllAction);
}

QWidget* AttributionPanel::makeQuestion()
{
    m_subject = new SubjectForm(session());
    connect(m_subject, &SubjectForm::subjectWanted, this, &AttributionPanel::prepareSoon);
    m_method = new QComboBox;
    m_method->setAccessibleName(tr("Method"));
    m_method->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_method->setMinimumContentsLength(8);
    for (const auto& component : explain::attributionRegistry().components()) {
        m_method->addItem(QString::fromStdString(component.title), QString::fromStdString(component.id));
        m_method->setItemData(m_method->count() - 1, QString::fromStdString(component.summary + "\n" + component.source), Qt::ToolTipRole);
    }
    m_method->setCurrentIndex(std::max(0, m_method->findData(QStringLiteral("integrated_gradients"))));
    connect(m_method, &QComboBox::currentIndexChanged, this, &AttributionPanel::chooseMethod);
    m_stored = new StoredButton(session());
    connect(m_stored, &StoredButton::analysisChosen, this, &AttributionPanel::reopen);
    auto* methodRow = new QWidget;
    auto* inRow = new QHBoxLayout(methodRow);
    inRow->setContentsMargins(0, 0, 0, 0);
    inRow->addWidget(m_method, 1);
    inRow->addWidget(m_stored);
    methodRow->setFocusProxy(m_method);
    m_subject->addRow(tr("M&ethod"), methodRow);
    m_form = new widgets::SchemaForm;
    m_form->setAccessibleName(tr("Parameters of the method"));
    connect(m_form, &widgets::SchemaForm::edited, this,
            [this](const QString&, const core::Json&, const core::Json& after) { m_parameters[m_method->currentData().toString()] = after; });
    connect(m_form, &widgets::SchemaForm::issuesChanged, this, &AttributionPanel::updateButtons);
    m_form->setMinimumHeight(90);
    auto* top = new QWidget;
    auto* layout = new QVBoxLayout(top);
    layout->setContentsMargins(6, 6, 6, 2);
    layout->setSpacing(4);
    layout->addWidget(m_subject);
    layout->addWidget(m_form, 1);
    layout->addLayout(makeButtons());
    return top;
}

QLayout* AttributionPanel::makeButtons()
{
    m_explain = new QPushButton(tr("E&xplain"));
    m_explain->setObjectName(QStringLiteral("explain"));
    connect(m_explain, &QPushButton::clicked, this, &AttributionPanel::explain);
    m_add = new QPushButton(tr("A&dd"));
    m_add->setObjectName(QStringLiteral("add"));
    m_add->setToolTip(tr("Put this method beside the others without computing it yet"));
    connect(m_add, &QPushButton::clicked, this, &AttributionPanel::addCard);
    m_job = new widgets::JobBar(session(), tr("Progress of the explanation"));
    connect(m_job, &widgets::JobBar::ended, this, &AttributionPanel::endExplain);
    auto* copy = new QToolButton;
    copy->setDefaultAction(m_copyCommand);
    auto* row = new QHBoxLayout;
    row->addWidget(m_explain);
    row->addWidget(m_job, 1);
    row->addWidget(m_add);
    row->addStretch(0);
    row->addWidget(copy);
    return row;
}

QWidget* AttributionPanel::makeResultPage()
{
    m_picture = new PictureResult;
    m_list = new ListResult;
    connect(m_list, &ListResult::positionChosen, this, [this](int position) {
        if (m_prepared && m_prepared->kind == InputKind::Tokens)
            session().changeSelection([position](widgets::Selection& s) { s.token = position; });
    });
    m_channels = new ChannelsResult;
    m_result = new QStackedWidget;
    for (QWidget* view : std::initializer_list<QWidget*>{m_picture, m_list, m_channels})
        m_result->addWidget(view);
    m_areas = new AreaCurve;
    m_numbers = new QLabel;
    m_numbers->setObjectName(QStringLiteral("numbers"));
    m_numbers->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    m_numbers->setWordWrap(true);
    m_numbers->setTextFormat(Qt::RichText);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(4, 0, 4, 4);
    layout->addWidget(m_result, 3);
    layout->addWidget(m_areas, 2);
    layout->addWidget(m_numbers);
    return page;
}

QWidget* AttributionPanel::makeResults()
{
    QWidget* page = makeResultPage();
    m_compare = new CompareResults(*m_cards);
    connect(m_compare, &CompareResults::explainAllAsked, this, &AttributionPanel::explainAll);
    connect(m_compare, &CompareResults::measureAsked, this, &AttributionPanel::measure);
    connect(m_compare, &CompareResults::cardChosen, this, &AttributionPanel::loadCard);
    connect(m_picture, &PictureResult::opacityChanged, m_compare, &CompareResults::setOpacity);
    connect(m_channels, &ChannelsResult::choiceChanged, m_compare, &CompareResults::setChannels);
    m_brush = new AblationView(*m_ablation);
    m_quality = new QualityView(*m_cards);
    connect(m_quality, &QualityView::measureAsked, this, &AttributionPanel::measure);
    connect(m_quality, &QualityView::cardChosen, m_compare, &CompareResults::choose);
    m_tabs = new QTabWidget;
    m_tabs->addTab(page, tr("&Result"));
    m_tabs->addTab(m_compare, tr("Side &by side"));
    m_tabs->addTab(m_brush, tr("By &hand"));
    m_tabs->addTab(m_quality, tr("&Quality"));
    m_tabs->setTabToolTip(2, tr("Leave parts of the input out by hand and see the answer change"));
    m_tabs->setTabToolTip(3, tr("How good the explanations are: curves and metrics"));
    m_tabs->setDocumentMode(true);
    return m_tabs;
}

QWidget* AttributionPanel::makeContent()
{
    auto* splitter = new QSplitter(Qt::Vertical, this);
    splitter->addWidget(makeQuestion());
    splitter->addWidget(makeResults());
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 2);
    splitter->setChildrenCollapsible(false);
    splitter->setObjectName(QStringLiteral("splitter"));
    splitter->setFocusProxy(m_explain);
    updateButtons();
    return splitter;
}

MethodSettings AttributionPanel::settings() const
{
    return {m_method->currentData().toString().toStdString(), m_form->document()};
}

void AttributionPanel::chooseMethod()
{
    const auto* component = explain::attributionRegistry().find(m_method->currentData().toString().toStdString());
    if (!component)
        return;
    m_method->setToolTip(QString::fromStdString(component->summary + "\n" + component->source));
    m_form->setSchema(component->schema);
    if (const auto known = m_parameters.find(m_method->currentData().toString()); known != m_parameters.end())
        m_form->setDocument(known->second);
    updateButtons();
}

void AttributionPanel::prepareSoon()
{
    m_prepareTimer->start();
}

void AttributionPanel::prepare()
{
    m_prepareTask.cancel();
    showError({});
    const auto subject = m_subject->wanted();
    if (m_preparing)
        addBusy(-1);
    m_preparing = false;
    if (!subject) {
        m_prepared.reset();
        m_ablation->setSubject(nullptr);
        updateEmptyState();
        return updateButtons();
    }
    if (subject->hasInput())
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
        m_reopened.reset();
        m_ablation->setSubject(nullptr);
        showContent();
        m_subject->showSubject(nullptr, tr("The model or its input could not be opened. Choose another sample or model above."));
        showResult(nullptr);  // what stands there is of another question
        showError(text);
        updateButtons();
        addBusy(-1);
    };
    m_prepareTask = session().runInBackground(
        this,
        [panel = QPointer<AttributionPanel>(this), opener = m_opener, subject = *subject,
         workspace = session().workspace()](widgets::BackgroundContext& context) {
            // The run's data are opened from the run where both are the same: relative paths in its document start at its folder.
            ExplainSubject wanted = subject;
            if (wanted.run && workspace && wanted.data == workspace->run(*wanted.run).document.value("data", core::Json()))
                wanted.data = nullptr;
            const auto opened = [&](const OpenedSubject& what) {
                context.post([panel, what] {
                    if (panel)
                        panel->m_subject->showAbilities(what);
                });
            };
            return opener->prepare(wanted, workspace, context.stopToken(), opened);
        },
        done, failed);
    updateButtons();
}

void AttributionPanel::takePrepared(const PreparedPtr& prepared)
{
    m_prepared = prepared;
    if (!prepared) {
        m_ablation->setSubject(nullptr);
        m_subject->showSubject(nullptr, tr("Type a text above, or choose a sample in Data."));
        showResult(nullptr);
        updateEmptyState();
        return updateButtons();
    }
    m_subject->showSubject(prepared);
    m_compare->setSubject(prepared);
    m_ablation->setSubject(prepared);
    m_stored->setModel(prepared->subject.model);
    showResult(nullptr);
    showReopened();
    updateButtons();
}

void AttributionPanel::addCard()
{
    if (!m_form->isValid())
        return;
    const int card = m_cards->add(settings());
    m_compare->choose(card);
    m_tabs->setCurrentWidget(m_compare);
}

void AttributionPanel::explain()
{
    if (!m_prepared || m_job->isRunning() || !m_form->isValid())
        return;
    m_onShow = m_cards->add(settings());
    m_compare->choose(m_onShow);
    start({m_onShow});
}

void AttributionPanel::explainAll()
{
    std::vector<int> cards;
    for (const Card& card : m_cards->list())
        cards.push_back(card.id);
    if (m_prepared && !m_job->isRunning() && !cards.empty())
        start(cards);
}

void AttributionPanel::start(const std::vector<int>& cards)
{
    showError({});
    std::vector<ExplainOrder> orders;
    for (const int id : cards) {
        orders.push_back({id, m_cards->find(id)->settings});
        m_cards->setState(id, CardState::Waiting);
    }
    const ExplainSubject& subject = m_prepared->subject;
    const Question question = m_subject->question();
    widgets::BackgroundOptions options;
    const QString what = subject.texts.empty() ? tr("sample %1").arg(subject.sample) : widgets::describeTexts(subject.texts);
    options.title = cards.size() == 1 ? tr("Explain %1 by %2").arg(what, titleOf(orders[0].settings))
                                      : tr("Explain %1 by %2 methods").arg(what).arg(cards.size());
    options.lane = widgets::Lane::Queue;
    options.kind = QStringLiteral("attribute");
    options.run = widgets::runOfArgument(subject.model);
    options.document = {{"model", subject.model.toStdString()}, {"methods", core::Json::array()}, {"sample", subject.sample}, {"at", question.site}};
    options.document.update(train::textDocument(subject.texts));
    for (const auto& order : orders)
        options.document["methods"].push_back({{"method", order.settings.method}, {"parameters", order.settings.parameters}});
    ExplainEvents events;
    events.started = [this](int card) { m_cards->setState(card, CardState::Running); };
    events.result = [this](int card, const ExplanationPtr& result) { takeResult(card, result); };
    events.failed = [this](int card, const QString& text) {
        m_cards->setError(card, text);
        if (const Card* failed = m_cards->find(card))
            showError(m_job->isRunning() && m_cards->list().size() > 1 ? titleOf(failed->settings) + QStringLiteral(": ") + text : text);
    };
    const auto failed = [this](const QString& text) { showError(text); };
    m_job->follow(session().runInBackground(
        this, explainWork(m_prepared, question, std::move(orders), session().workspace(), events), [] {}, failed, options));
    addBusy(1);
    updateButtons();
}

void AttributionPanel::measure()
{
    std::vector<MeasureOrder> orders;
    for (const Card& card : m_cards->list())
        if (card.result && !card.result->partial)
            orders.push_back({card.id, card.result});
    if (orders.empty() || m_job->isRunning())
        return;
    showError({});
    if (!m_quality->metrics()->isValid())
        return showError(tr("A parameter of a metric is out of range: see Settings under Quality."));
    widgets::BackgroundOptions options;
    options.title = orders.size() == 1 ? tr("Measure 1 result") : tr("Measure %1 results").arg(orders.size());
    options.lane = widgets::Lane::Queue;
    options.kind = QStringLiteral("attribute");
    const auto measured = [this](int card, const ExplanationPtr& result, const std::string& metric, const CardMetric& value) {
        m_cards->setMetric(card, result, metric, value);
        if (!value.whyNotStored.isEmpty())
            showError(tr("The numbers are shown, but could not be stored: %1").arg(value.whyNotStored));
    };
    m_job->follow(session().runInBackground(
        this, measureWork(std::move(orders), m_quality->metrics()->requests(), session().workspace(), measured), [] {},
        [this](const QString& text) { showError(text); }, options));
    addBusy(1);
    updateButtons();
}

void AttributionPanel::endExplain()
{
    m_cards->stopAll();
    if (m_current && m_current->partial && m_job->wasCancelled())
        Q_EMIT statusMessage(tr("Cancelled: what had arrived is kept and marked as partial"));
    showNumbers();
    m_stored->refresh();
    updateButtons();
    addBusy(-1);
}

void AttributionPanel::takeResult(int card, const ExplanationPtr& result)
{
    m_cards->setResult(card, result);
    // Stepped on while it was computed: the result stays in the comparison alone.
    if (card == m_onShow && m_prepared && result->subject->subject == m_prepared->subject)
        showResult(result);
    if (result->partial)
        return;
    if (!result->whyNotStored.empty())
        showError(tr("The result is shown, but could not be stored: %1").arg(QString::fromStdString(result->whyNotStored)));
    Q_EMIT statusMessage(result->analysis ? tr("Stored as analysis %1 of %2").arg(*result->analysis).arg(result->subject->subject.model)
                                          : tr("Explained"));
    updateButtons();
}

void AttributionPanel::loadCard(int id)
{
    const Card* card = m_cards->find(id);
    if (!card)
        return;
    m_onShow = id;
    if (m_cards->idOf(settings()) != id) {
        const QString method = QString::fromStdString(card->settings.method);
        m_parameters[method] = card->settings.parameters;
        m_method->setCurrentIndex(m_method->findData(method));
        chooseMethod();
    }
    const bool isOfSubject = card->result && m_prepared && card->result->subject->subject == m_prepared->subject;
    showResult(isOfSubject ? card->result : nullptr);
}

void AttributionPanel::showResult(const ExplanationPtr& result)
{
    const bool sameInput = m_current && result && m_current->subject == result->subject;
    m_current = result;
    if (m_prepared && !sameInput) {
        const bool picture = m_prepared->kind == InputKind::Image;
        picture ? m_picture->showInput(*m_prepared) : m_list->showInput(*m_prepared);
        m_channels->clear();
        m_result->setCurrentWidget(picture ? static_cast<QWidget*>(m_picture) : m_list);
    }
    m_result->setVisible(m_prepared != nullptr);
    if (result && result->shape == ResultShape::Picture) {
        m_picture->showExplanation(*result);
        m_result->setCurrentWidget(m_picture);
    } else if (result && result->shape == ResultShape::Channels) {
        m_channels->showExplanation(*result);
        m_result->setCurrentWidget(m_channels);
    } else if (result) {
        m_list->showExplanation(*result);
        m_result->setCurrentWidget(m_list);
    }
    m_areas->showExplanation(result ? *result : Explanation());
    showNumbers();
}

void AttributionPanel::showNumbers()
{
    if (!m_current)
        return m_numbers->setText(m_prepared ? tr("Press Explain to see what this answer rests on.") : QString());
    m_numbers->setText(numbersHtml(*m_current, m_job->isRunning()));
}

void AttributionPanel::updateButtons()
{
    if (!m_explain || !m_form || !m_quality)
        return;
    const bool ready = m_prepared && !m_preparing, running = m_job->isRunning();
    m_explain->setVisible(!running);
    m_explain->setEnabled(ready && m_form->isValid());
    m_explain->setToolTip(!ready               ? tr("Choose a model and a sample first")
                          : !m_form->isValid() ? tr("Correct the parameters first")
                                               : tr("Compute the attribution as a job"));
    m_add->setEnabled(m_form->isValid());
    m_compare->setRunning(running || !ready);
    m_quality->setRunning(running || !ready);
    m_stored->setVisible(!running);
    m_copyCommand->setEnabled(m_prepared != nullptr);
}

void AttributionPanel::updateEmptyState()
{
    // A text can be typed without any data.
    if (m_subject->hasModel() && m_subject->takesText())
        return showContent();
    if (!session().hasWorkspace())
        return showEmptyState(tr("No workspace is open"), tr("Open a workspace from the File menu, then select a run and a sample."));
    if (!m_subject->hasModel())
        return showEmptyState(tr("No model to explain"), tr("Select a run in Experiments, or open a model file, then choose a sample in Data."),
                              {m_showRuns});
    showEmptyState(tr("No sample to explain"), tr("Choose a sample in Data; a double click brings you back here."), {m_showData});
}

}  // namespace orrery::plugins
