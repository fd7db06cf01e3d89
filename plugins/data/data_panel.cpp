#include "data_panel.h"

#include <QAction>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QItemSelectionModel>
#include <QKeyEvent>
#include <QLabel>
#include <QListView>
#include <QPushButton>
#include <QSlider>
#include <QToolButton>
#include <QVBoxLayout>

#include <core/store/workspace.h>
#include <core/train/evaluate.h>
#include <widgets/commands.h>
#include <widgets/job_bar.h>
#include <widgets/model_source.h>
#include <widgets/session.h>

#include "sample_delegate.h"

namespace orrery::plugins {
namespace {

using widgets::SelectionPart;

/// Sets that can be opened by their id alone.
QStringList idsWithDefaults()
{
    QStringList ids;
    for (const auto& component : data::dataRegistry().components()) {
        std::vector<core::Issue> issues;
        component.schema.check(core::Json::object(), "", issues);
        if (issues.empty())
            ids << QString::fromStdString(component.id);
    }
    return ids;
}

QString idOf(const core::Json& document)
{
    if (document.is_string())
        return QString::fromStdString(document.get<std::string>());
    return document.is_object() && document.contains("id") && document["id"].is_string() ? QString::fromStdString(document["id"].get<std::string>())
                                                                                         : QString();
}

}  // namespace

DataPanel::DataPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("data"), tr("Data"), session, parent), m_model(new DataModel(session, this))
{
    m_openDigits = new QAction(tr("Show the digits"), this);
    connect(m_openDigits, &QAction::triggered, this, [this] { open({{{"id", "digits"}}, {}}); });
    m_openFile = new QAction(tr("Open a data file…"), this);
    connect(m_openFile, &QAction::triggered, this, [this] {
        const QString file =
            QFileDialog::getOpenFileName(this, tr("Open a data file"), {}, tr("Data (*.csv *.tsv *.npy *.npz *.jsonl *.txt *.gz);;All files (*)"));
        if (file.isEmpty())
            return;
        try {
            open({data::dataDocument(file.toStdString()), {}});
        } catch (const std::exception& error) {
            showError(QString::fromUtf8(error.what()));
        }
    });
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    addActions({m_openFile, m_copyCommand});
    setContent(makeContent());

    connect(&session, &widgets::Session::selectionChanged, this, &DataPanel::selectionOfSession);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        fillSources();
        openSelected();
    });
    connect(&session, &widgets::Session::runsChanged, this, [this] {
        if (m_shown.run && !m_job->isRunning() && !m_model->hasPredictions())
            readPredictions();
    });
    connect(m_model, &DataModel::idleChanged, this, &Panel::idleChanged);
    connect(m_model, &DataModel::contentChanged, this, &DataPanel::updateStatus);
    connect(m_model, &DataModel::failed, this, &Panel::showError);
    connect(m_model, &QAbstractItemModel::modelReset, this, &DataPanel::showSelected);
    fillSources();
    openSelected();
}

DataPanel::~DataPanel()
{
    m_openTask.cancel();
    m_readTask.cancel();
}

data::Split DataPanel::part() const
{
    return data::splitFromName(m_split->currentData().toString().toStdString());
}

void DataPanel::setPictureSize(int pixels)
{
    m_delegate->setPictureSize(pixels);
    const bool pictures = !m_model->dataSet() || m_model->hasImages();
    m_delegate->setPictures(pictures);
    m_size->setVisible(pictures);
    m_view->setViewMode(pictures ? QListView::IconMode : QListView::ListMode);
    m_view->setMovement(QListView::Static);
    m_view->setWrapping(pictures);
    const QSize cell = m_delegate->sizeHint(QStyleOptionViewItem(), {});
    const int line = m_view->fontMetrics().height();
    m_view->setGridSize(pictures ? QSize(cell.width() + 2, pixels + line + 14) : QSize());
    m_view->setAlternatingRowColors(!pictures);
    m_view->doItemsLayout();
}

void DataPanel::fillSources()
{
    const QSignalBlocker blocker(m_source);
    m_source->clear();
    if (const auto run = session().hasWorkspace() ? widgets::runOfSelection(session().selection()) : std::nullopt)
        m_source->addItem(tr("Data of run %1").arg(*run), QStringLiteral("run:%1").arg(*run));
    for (const QString& id : idsWithDefaults())
        m_source->addItem(id, id);
    const QString current = m_shown.run ? QStringLiteral("run:%1").arg(*m_shown.run) : idOf(m_document);
    if (m_document.is_null())
        return m_source->setCurrentIndex(-1);
    int row = m_source->findData(current);
    if (row < 0 || (!m_shown.run && m_document.is_object() && m_document.size() > 1)) {
        m_source->addItem(m_shown.run ? tr("Data of run %1").arg(*m_shown.run) : tr("%1 (as opened)").arg(current), current);
        row = m_source->count() - 1;
    }
    m_source->setCurrentIndex(row);
}

void DataPanel::chooseSource(int row)
{
    const QString choice = m_source->itemData(row).toString();
    const auto run = widgets::runOfArgument(choice);
    m_followsRun = run.has_value();
    if (run)
        return open({nullptr, run});
    // "digits (as opened)" stays what it is.
    if (row == m_source->count() - 1 && idOf(m_document) == choice && m_source->findData(choice) != row)
        return;
    open({{{"id", choice.toStdString()}}, {}});
}

void DataPanel::openSelected()
{
    const auto& selection = session().selection();
    const auto run = widgets::runOfSelection(selection);
    const int part = m_split->findData(selection.split);
    if (part >= 0)
        m_split->setCurrentIndex(part);
    if (!selection.data.is_null() && !selection.data.empty())
        open({selection.data, run});
    else if (run && session().hasWorkspace() && m_followsRun)
        open({nullptr, run});
    else if (m_document.is_null())
        updateEmptyState();
}

void DataPanel::open(const Source& source)
{
    m_openTask.cancel();
    showError({});
    if (!m_opening)
        addBusy(1);
    m_opening = true;
    const auto done = [this](const Opened& opened) {
        m_opening = false;
        take(opened);
        addBusy(-1);
    };
    const auto failed = [this, document = source.document](const QString& text) {
        m_opening = false;
        leaveOut(document);
        showError(text);
        updateEmptyState();
        addBusy(-1);
    };
    m_openTask = session().runInBackground(
        this,
        [source, workspace = session().workspace()](widgets::BackgroundContext&) -> Opened {
            const bool asRun = source.run && workspace;
            const core::Json ofRun = asRun ? workspace->run(*source.run).document.value("data", core::Json()) : core::Json();
            // The run's data are opened from the run: relative paths in its document start at its folder.
            if (asRun && (source.document.is_null() || source.document == ofRun))
                return {train::dataOfRun(*workspace, *source.run), ofRun, source.run};
            if (source.document.is_null())
                throw core::InputError("no workspace is open");
            return {data::openData(source.document), source.document, {}};
        },
        done, failed);
}

/// Data that could not be opened are chosen no more, or each start would try them again: what is on show is meant.
void DataPanel::leaveOut(const core::Json& document)
{
    if (document.is_null() || session().selection().data != document)
        return;
    m_applying = true;
    session().changeSelection([this](widgets::Selection& s) { s.data = m_document; });
    m_applying = false;
}

void DataPanel::take(const Opened& opened)
{
    m_shown = {opened.document, opened.run};
    m_document = opened.document;
    for (int i = 0; i < 3; ++i) {
        const auto part = data::Split(i);
        m_split->setItemText(i, tr("%1 (%L2)").arg(m_split->itemData(i).toString()).arg(opened.data->split(part).size()));
    }
    if (opened.data->split(part()).empty())
        m_split->setCurrentIndex(0);
    m_model->setData(opened.data, part());
    setPictureSize(m_delegate->pictureSize());
    fillClasses();
    fillSources();
    updateEmptyState();
    readPredictions();
    m_applying = true;
    session().changeSelection([this](widgets::Selection& s) {
        if (s.data != m_document)
            s.samples.clear();
        s.data = m_document;
        s.split = m_split->currentData().toString();
    });
    m_applying = false;
    showSelected();
}

void DataPanel::fillClasses()
{
    const QSignalBlocker blocker(m_class);
    const int before = m_class->currentData().isValid() ? m_class->currentData().toInt() : -1;
    m_class->clear();
    m_class->addItem(tr("All classes"));
    int number = 0;
    if (m_model->dataSet() && m_model->dataSet()->info().task == data::Task::Classification)
        for (const auto& name : m_model->dataSet()->info().classNames)
            m_class->addItem(QString::fromStdString(name), number++);
    m_class->setEnabled(number > 0);
    m_class->setCurrentIndex(std::max(0, m_class->findData(before)));
    applyFilter();
}

void DataPanel::applyFilter()
{
    SampleFilter filter;
    if (m_class->currentData().isValid())
        filter.targetClass = m_class->currentData().toInt();
    filter.prediction = PredictionFilter(std::max(0, m_show->currentIndex()));
    filter.order = SampleOrder(std::max(0, m_order->currentIndex()));
    filter.confidenceFrom = m_from->value();
    filter.confidenceTo = m_to->value();
    m_model->setFilter(filter);
}

void DataPanel::readPredictions()
{
    m_readTask.cancel();
    m_predictionsFrom.clear();
    m_model->setPredictions({});
    const auto run = m_shown.run ? m_shown.run : widgets::runOfSelection(session().selection());
    const auto workspace = session().workspace();
    if (!run || !workspace || !m_model->dataSet())
        return updateStatus();
    m_readTask = session().runInBackground(
        this,
        [workspace, run = *run, document = m_document](widgets::BackgroundContext&) -> std::optional<train::Predictions> {
            // Sample numbers mean the same only within the same data.
            if (!train::isSameData(workspace->run(run).document.value("data", core::Json()), document))
                return std::nullopt;
            return train::predictionsOfRun(*workspace, run);
        },
        [this, run = *run](const std::optional<train::Predictions>& predictions) {
            m_model->setPredictions(predictions);
            m_predictionsFrom = m_model->hasPredictions() ? tr("run %1").arg(run) : QString();
            updateStatus();
        },
        [this](const QString& text) { showError(text); });
}

void DataPanel::predict()
{
    const QString argument = widgets::modelArgument(session().selection());
    const auto data = m_model->dataSet();
    if (argument.isEmpty() || !data || m_job->isRunning())
        return;
    m_readTask.cancel();  // stored predictions that arrive late would take the place of these
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Predict %1 of %2").arg(m_split->currentData().toString(), idOf(m_document));
    options.lane = widgets::Lane::Queue;
    options.kind = QStringLiteral("predict");
    options.document = {{"model", argument.toStdString()}, {"data", m_document}, {"split", m_split->currentData().toString().toStdString()}};
    auto work = [argument, data, part = part(), workspace = session().workspace()](widgets::BackgroundContext& context) {
        const graph::Model model = widgets::openModelArgument(argument, workspace);
        train::EvaluateOptions settings;
        settings.predictions = true;
        settings.batchSize = 128;
        settings.stop = context.stopToken();
        settings.progress = [&](std::int64_t done, std::int64_t total) { context.progress(double(done), double(total), "samples"); };
        const train::Evaluation found = train::evaluateModel(model, *data, part, core::Json::array({"loss"}), settings);
        return train::Predictions{part, found.indices, found.targets, found.predicted, found.confidence};
    };
    const auto done = [this, argument](const train::Predictions& predictions) {
        m_model->setPredictions(predictions);
        m_predictionsFrom = argument;
        updateStatus();
    };
    m_job->follow(session().runInBackground(
        this, std::move(work), done, [this](const QString& text) { showError(text); }, options));
    addBusy(1);
    updateStatus();
}

void DataPanel::updateStatus()
{
    const auto data = m_model->dataSet();
    m_predict->setVisible(!m_job->isRunning());
    const bool hasModel = !widgets::modelArgument(session().selection()).isEmpty();
    m_predict->setEnabled(hasModel && data);
    m_predict->setToolTip(hasModel ? tr("Let %1 answer every sample of this part").arg(widgets::modelArgument(session().selection()))
                                   : tr("Select a run or open a model first"));
    const bool filters = m_model->hasPredictions();
    for (QWidget* widget : std::initializer_list<QWidget*>{m_show, m_from, m_to})
        widget->setEnabled(filters || m_show->currentIndex() > 0 || m_from->value() > 0 || m_to->value() < 1);
    m_order->setEnabled(filters);
    if (!data)
        return m_status->clear();
    QString text = tr("%L1 of %L2 samples").arg(m_model->rowCount()).arg(m_model->samplesInPart());
    if (filters)
        text += tr(", %L1 wrong of %L2 predicted by %3").arg(m_model->wrong()).arg(m_model->predicted()).arg(m_predictionsFrom);
    else
        text += tr(", no predictions for this part");
    if (const auto selected = m_view->selectionModel()->selectedIndexes().size(); selected > 0)
        text += tr(", %L1 selected").arg(selected);
    m_status->setText(text);
    if (m_model->samplesInPart() > 0 && m_model->rowCount() == 0)
        m_status->setText(text + tr(". No sample passes the filter."));
}

void DataPanel::updateEmptyState()
{
    if (m_model->dataSet())
        return showContent();
    if (!session().hasWorkspace())
        return showEmptyState(tr("No workspace is open"), tr("Open a workspace from the File menu, or look at the bundled digits."), {m_openDigits});
    showEmptyState(tr("No data are shown"),
                   tr("Select a run in Experiments to see its data, drop a file on the window, or start with the bundled digits."),
                   {m_openDigits, m_openFile});
}

void DataPanel::selectionOfSession(widgets::SelectionParts parts)
{
    if (m_applying)
        return;
    const auto& selection = session().selection();
    if (parts.testFlag(SelectionPart::Runs) || parts.testFlag(SelectionPart::Model) || parts.testFlag(SelectionPart::Weights)) {
        // A model out of a file does not bring back the data of a run that happens to be selected.
        const auto run = widgets::runOfArgument(widgets::modelArgument(selection));
        const bool otherData = parts.testFlag(SelectionPart::Data) && !selection.data.is_null() && selection.data != m_document;
        if (run && m_followsRun && session().hasWorkspace() && run != m_shown.run && !otherData) {
            if (const int row = m_split->findData(selection.split); row >= 0)
                m_split->setCurrentIndex(row);
            return open({nullptr, run});
        }
        fillSources();
        readPredictions();
    }
    const bool newData = !selection.data.is_null() && selection.data != m_document;
    if (newData && parts.testFlag(SelectionPart::Data))
        return openSelected();
    if (const int row = m_split->findData(selection.split); row >= 0 && row != m_split->currentIndex()) {
        m_split->setCurrentIndex(row);
        m_model->setData(m_model->dataSet(), part());
        readPredictions();
    }
    if (parts.testFlag(SelectionPart::Samples) || parts.testFlag(SelectionPart::Data))
        showSelected();
}

void DataPanel::showSelected()
{
    m_applying = true;
    QItemSelection chosen;
    for (const qint64 number : session().selection().samples)
        if (const int row = m_model->rowOf(number); row >= 0)
            chosen.select(m_model->index(row), m_model->index(row));
    m_view->selectionModel()->select(chosen, QItemSelectionModel::ClearAndSelect);
    if (!chosen.isEmpty()) {
        m_view->selectionModel()->setCurrentIndex(chosen.first().topLeft(), QItemSelectionModel::NoUpdate);
        m_view->scrollTo(chosen.first().topLeft());
    }
    m_applying = false;
    updateStatus();
}

void DataPanel::selectionOfView()
{
    if (m_applying)
        return;
    QList<qint64> numbers;
    for (const QModelIndex& index : m_view->selectionModel()->selectedIndexes())
        numbers << m_model->numberAt(index.row());
    m_applying = true;
    session().changeSelection([&](widgets::Selection& s) {
        s.data = m_document;
        s.split = m_split->currentData().toString();
        s.samples = numbers;
    });
    m_applying = false;
    updateStatus();
}

void DataPanel::activate(const QModelIndex& index)
{
    if (index.isValid())
        session().requestPanel(QStringLiteral("attribution"));
}

bool DataPanel::eventFilter(QObject* watched, QEvent* event)
{
    if (watched == m_view && event->type() == QEvent::KeyPress) {
        const int key = static_cast<QKeyEvent*>(event)->key();
        if (key == Qt::Key_Return || key == Qt::Key_Enter) {
            activate(m_view->currentIndex());
            return true;
        }
    }
    return Panel::eventFilter(watched, event);
}

bool DataPanel::isIdle() const
{
    return Panel::isIdle() && m_model->isIdle();
}

QString DataPanel::commandLine() const
{
    const QString argument = widgets::modelArgument(session().selection());
    if (m_document.is_null() || argument.isEmpty())
        return {};
    QStringList words{QStringLiteral("evaluate"), argument,
                      QStringLiteral("--data"),   widgets::dataArgument(m_document),
                      QStringLiteral("--split"),  m_split->currentData().toString()};
    if (argument.startsWith(QLatin1String("run:")))
        words << QStringLiteral("--workspace") << session().workspaceFolder();
    return widgets::cliCommand(words);
}

core::Json DataPanel::saveState() const
{
    return {{"document", m_shown.run ? core::Json() : m_document},
            {"follows_run", m_followsRun},
            {"split", m_split->currentData().toString().toStdString()},
            {"class", m_class->currentData().isValid() ? core::Json(m_class->currentData().toInt()) : core::Json()},
            {"show", m_show->currentIndex()},
            {"order", m_order->currentIndex()},
            {"confidence", {m_from->value(), m_to->value()}},
            {"picture_size", m_size->value()}};
}

void DataPanel::restoreState(const core::Json& state)
{
    const auto number = [&](const char* key, int standard) {
        return state.contains(key) && state[key].is_number_integer() ? state[key].get<int>() : standard;
    };
    const auto text = [&](const char* key) {
        return state.contains(key) && state[key].is_string() ? QString::fromStdString(state[key].get<std::string>()) : QString();
    };
    m_size->setValue(number("picture_size", m_size->value()));
    m_show->setCurrentIndex(std::clamp(number("show", 0), 0, 2));
    m_order->setCurrentIndex(std::clamp(number("order", 0), 0, 2));
    if (state.contains("confidence") && state["confidence"].is_array() && state["confidence"].size() == 2 && state["confidence"][0].is_number() &&
        state["confidence"][1].is_number()) {
        m_from->setValue(state["confidence"][0].get<double>());
        m_to->setValue(state["confidence"][1].get<double>());
    }
    if (const int wanted = number("class", -1); wanted >= 0) {
        // The classes are filled in when the data are open; until then the wish stands as the current item's number.
        const QSignalBlocker blocker(m_class);
        if (m_class->findData(wanted) < 0)
            m_class->addItem(QString::number(wanted), wanted);
        m_class->setCurrentIndex(m_class->findData(wanted));
    }
    if (state.contains("follows_run") && state["follows_run"].is_boolean())
        m_followsRun = state["follows_run"].get<bool>();
    if (const int row = m_split->findData(text("split")); row >= 0 && session().selection().split.isEmpty())
        m_split->setCurrentIndex(row);
    applyFilter();
    if (session().selection().data.is_null() && state.contains("document") && (state["document"].is_object() || state["document"].is_string()))
        open({state["document"], {}});
    else if (m_model->dataSet() && part() != m_model->part())
        m_model->setData(m_model->dataSet(), part());
}

}  // namespace orrery::plugins
