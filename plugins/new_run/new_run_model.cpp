#include "new_run_model.h"

#include <QPointer>
#include <QUndoCommand>
#include <QUndoStack>
#include <chrono>

#include <core/jobs/queue.h>
#include <core/report/document_diff.h>
#include <core/store/workspace.h>
#include <core/train/document_file.h>
#include <core/train/experiment.h>
#include <core/train/runs.h>
#include <widgets/commands.h>
#include <widgets/session.h>
#include <widgets/training.h>

namespace orrery::plugins {
namespace {

using core::Json;
using Clock = std::chrono::steady_clock;

constexpr int kCheckDelay = 300;                              ///< ms after the last change
constexpr auto kMergeTime = std::chrono::milliseconds(1500);  ///< edits of one field within it are one step

struct CheckResult {
    std::vector<core::Issue> issues;
    QString summary;
};

struct StartResult {
    std::vector<core::Issue> issues;
    std::optional<jobs::JobSpec> job;
};

QString summaryOf(const train::Experiment& experiment)
{
    const auto length = train::trainLength(experiment.document, *experiment.data);
    const auto count = [&](data::Split part) { return qlonglong(experiment.data->split(part).size()); };
    return NewRunModel::tr("%1 training, %2 validation, %3 test samples; %4 steps (%5 an epoch)")
        .arg(count(data::Split::Train))
        .arg(count(data::Split::Val))
        .arg(count(data::Split::Test))
        .arg(length.steps)
        .arg(length.perEpoch);
}

CheckResult check(const Json& document, const std::string& folder)
{
    try {
        return {{}, summaryOf(train::resolveExperiment(document, folder))};
    } catch (const core::DocumentError& error) {
        return {error.issues(), {}};
    } catch (const core::Error& error) {
        return {{{"data", error.what()}}, {}};
    }
}

StartResult prepare(const std::shared_ptr<store::Workspace>& workspace, const Json& document, const std::string& folder, int threads)
{
    try {
        const auto experiment = train::resolveExperiment(document, folder);
        const auto run = train::createRun(*workspace, experiment);
        return {{}, widgets::trainingJob(workspace, run, threads)};
    } catch (const core::DocumentError& error) {
        return {error.issues(), {}};
    }
}

bool namesAModelFile(const Json& document)
{
    const auto model = document.find("model");
    return model != document.end() && model->is_string() && model->get_ref<const std::string&>().find_first_of(":./\\") != std::string::npos;
}

/// `--set path=value` for all differences, or nothing if some cannot be written so.
std::optional<QStringList> settingsBetween(const Json& from, const Json& to)
{
    QStringList settings;
    const Json documents[] = {from, to};
    for (const auto& difference : report::differences(documents)) {
        if (!difference.values[1])
            return std::nullopt;
        settings << "--set" << QString::fromStdString(difference.path + "=" + report::plainText(*difference.values[1]));
    }
    return settings;
}

QString textOf(const Json& state, const char* key)
{
    const auto found = state.find(key);
    return found != state.end() && found->is_string() ? QString::fromStdString(found->get<std::string>()) : QString();
}

}  // namespace

/// One change of the document. Lives on the session's stack, perhaps longer than the model.
class NewRunModel::EditCommand : public QUndoCommand {
public:
    EditCommand(NewRunModel* model, const QString& path, const QString& title, State before, State after)
        : QUndoCommand(title), m_model(model), m_path(path), m_before(std::move(before)), m_after(std::move(after)), m_time(Clock::now())
    {
    }
    void undo() override
    {
        if (m_model)
            m_model->apply(m_before);
    }
    void redo() override
    {
        if (m_model)
            m_model->apply(m_after);
    }
    int id() const override { return 0x4e52; }
    bool mergeWith(const QUndoCommand* other) override
    {
        const auto* next = static_cast<const EditCommand*>(other);
        if (m_path.isEmpty() || next->m_path != m_path || next->m_model != m_model || next->m_time - m_time > kMergeTime)
            return false;
        m_after = next->m_after;
        m_time = next->m_time;
        return true;
    }

private:
    QPointer<NewRunModel> m_model;
    QString m_path;
    State m_before, m_after;
    Clock::time_point m_time;
};

NewRunModel::NewRunModel(widgets::Session& session, QObject* parent) : QObject(parent), m_session(session)
{
    m_timer.setSingleShot(true);
    m_timer.setInterval(kCheckDelay);
    connect(&m_timer, &QTimer::timeout, this, &NewRunModel::checkFully);
}

QString NewRunModel::folder() const
{
    return m_folder.isEmpty() ? m_session.workspaceFolder() : m_folder;
}

core::Schema NewRunModel::formSchema() const
{
    core::Schema schema;
    for (const auto& parameter : train::experimentSchema().parameters()) {
        const bool asText = parameter.name == "model" && namesAModelFile(m_document);
        schema.add(asText ? core::required(core::text("model", "", "MODEL: a file, a folder, zoo:NAME?key=value or run:ID")) : parameter);
    }
    return schema;
}

void NewRunModel::edit(const QString& path, const Json& after)
{
    if (after == m_document)
        return;
    auto next = current();
    next.document = after;
    push(path, tr("Change %1").arg(path), std::move(next));
}

void NewRunModel::load(const Json& document, const QString& folder, const QString& file)
{
    push({}, tr("Open document"), {document, {folder, file, file.isEmpty() ? Json() : document}});
}
void NewRunModel::push(const QString& path, const QString& title, State after)
{
    m_session.undoStack().push(new EditCommand(this, path, title, current(), std::move(after)));
}

void NewRunModel::markSaved(const QString& file)
{
    m_file = file;
    m_folder = file.left(file.lastIndexOf('/'));
    m_saved = m_document;
    Q_EMIT checked();
}

void NewRunModel::apply(const State& state)
{
    m_document = state.document;
    m_folder = state.place.folder;
    m_file = state.place.file;
    m_saved = state.place.saved;
    scheduleCheck();
    Q_EMIT documentChanged();
    Q_EMIT checked();
}

Json NewRunModel::state() const
{
    return {{"document", m_document}, {"saved", m_saved}, {"folder", m_folder.toStdString()}, {"file", m_file.toStdString()}};
}

void NewRunModel::restore(const Json& state)
{
    const auto document = state.find("document");
    if (document == state.end() || !document->is_object())
        return;
    apply({*document, {textOf(state, "folder"), textOf(state, "file"), state.value("saved", Json())}});
}

// What is wrong at first sight is known at once; the rest needs the data.
void NewRunModel::scheduleCheck()
{
    m_task.cancel();
    m_timer.stop();
    m_summary.clear();
    m_issues = isEmpty() ? std::vector<core::Issue>() : train::quickCheck(m_document);
    m_checking = !isEmpty() && m_issues.empty();
    if (m_checking)
        m_timer.start();
}

void NewRunModel::checkFully()
{
    const auto finish = [this](const CheckResult& result) {
        m_issues = result.issues;
        m_summary = result.summary;
        m_checking = false;
        Q_EMIT checked();
    };
    m_task = m_session.runInBackground(
        this, [document = m_document, folder = folder().toStdString()](widgets::BackgroundContext&) { return check(document, folder); }, finish,
        [finish](const QString& text) {
            finish({{{"", text.toStdString()}}, {}});
        });
}

void NewRunModel::start(int threads)
{
    const auto workspace = m_session.workspace();
    if (!workspace || m_starting)
        return;
    m_starting = true;
    Q_EMIT checked();
    m_session.runInBackground(
        this,
        [workspace, document = m_document, folder = folder().toStdString(), threads](widgets::BackgroundContext&) {
            return prepare(workspace, document, folder, threads);
        },
        [this](StartResult result) {
            m_starting = false;
            m_issues = result.issues;
            Q_EMIT checked();
            if (!result.job)
                return;
            const auto run = result.job->run.value();
            widgets::submitTraining(m_session, std::move(*result.job));
            Q_EMIT started(run);
        },
        [this](const QString& text) {
            m_starting = false;
            Q_EMIT checked();
            Q_EMIT failed(text);
        });
}

QString NewRunModel::command(const QString& workspaceFolder) const
{
    if (isEmpty())
        return {};
    QStringList workspace = workspaceFolder.isEmpty() ? QStringList() : QStringList{"--workspace", workspaceFolder};
    if (widgets::trainsInProcess())
        workspace << "--engine"
                  << "process";
    if (const int limit = widgets::trainingMemoryLimit(); limit > 0 && widgets::trainsInProcess())
        workspace << "--memory-limit" << QStringLiteral("%1MiB").arg(limit);
    if (!m_file.isEmpty() && m_saved.is_object())
        if (const auto settings = settingsBetween(m_saved, m_document))
            return widgets::cliCommand(QStringList{"train", m_file} + *settings + workspace);
    const auto text = QString::fromStdString(m_document.dump(2, ' ', false, Json::error_handler_t::replace));
    return "cat > experiment.json <<'END'\n" + text + "\nEND\n" + widgets::cliCommand(QStringList{"train", "experiment.json"} + workspace);
}

}  // namespace orrery::plugins
