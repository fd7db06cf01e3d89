#pragma once
#include <QObject>
#include <QString>
#include <QStringList>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <core/data/dataset.h>
#include <core/graph/model.h>
#include <core/intervene/results.h>
#include <core/train/text_batch.h>

namespace orrery::widgets {
class Session;
}

namespace orrery::plugins {

/// Whose inside is changed: a model's answer to one sample or text.
struct InterventionSubject {
    QString model;    ///< MODEL argument
    core::Json data;  ///< data document; null: the data of `run`
    std::optional<qint64> run;
    QString split = QStringLiteral("test");
    qint64 sample = 0;                    ///< number within the split
    std::vector<train::GivenText> texts;  ///< one instead of the sample, for models that read text; empty: the sample
    bool sourcePairs = false;             ///< a source is a pair of texts: the model is opened with the inputs that tell the two apart
    bool operator==(const InterventionSubject&) const = default;
};

/// The subject, opened. Immutable; shared with jobs.
struct PreparedIntervention {
    InterventionSubject subject;
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;
    data::DataSetPtr data;  ///< null for a text of the user's own
    core::Json dataDocument;
    std::int64_t samplesInSplit = 0;
    std::vector<c10::IValue> inputs;  ///< one row
    bool readsText = false, readsPairs = false;
    QStringList places;  ///< canonical names, then modules, then values: for completion
    QString input;       ///< one line about it
};
using PreparedInterventionPtr = std::shared_ptr<const PreparedIntervention>;

/// Opened models and data sets of the last subject: stepping through samples opens nothing again. Any thread.
class InterventionOpener {
public:
    /// Null: the model reads text, and nothing is typed or chosen yet.
    /// @param opened  Told as soon as the model is open, before its input is read. @throws what opening throws; core::InputError for a sample outside its part.
    PreparedInterventionPtr prepare(const InterventionSubject& subject, const std::shared_ptr<store::Workspace>& workspace,
                                    const std::function<void(const PreparedIntervention&)>& opened = {});

private:
    std::mutex m_mutex;
    PreparedInterventionPtr m_last;                 ///< guarded by m_mutex
    std::shared_ptr<store::Workspace> m_workspace;  ///< guarded by m_mutex
};

/// A source input as it is typed: "sample 3", "text ...", or the name of an array file; `given` as on the command line: `sample:3`, `text:...`, `pair:["...", "..."]`, FILE.
struct SourceLine {
    QString name, given;
    bool operator==(const SourceLine&) const = default;
};

/// What is run besides the document.
struct InterventionSettings {
    std::vector<SourceLine> sources;
    std::optional<std::int64_t> position;  ///< of a sequence output that is shown; nothing: where the model answers
    QString probe;                         ///< place whose value is compared; empty: none
    core::Json generation;                 ///< null: no text is written; else by `intervene::generationSchema`
    std::filesystem::path folder;          ///< files in the document are relative to it
};

/// What came out, ready to be shown.
struct InterventionOutcome {
    PreparedInterventionPtr subject;
    core::Json described;            ///< as `intervene::describeResult`, with "generated" as the command line has it
    QString probe;                   ///< exact name of the compared value
    std::vector<double> difference;  ///< of the probe: intervened - plain, [rows, columns]; of more axes the norm over the last
    int rows = 0, columns = 0;
    QString rowTitle, columnTitle;
    std::optional<std::int64_t> analysis;
    std::string whyNotStored;
};

/// Runs without and with, and stores where the model is a run of the workspace. Any thread. @throws as `intervene::runIntervened`.
InterventionOutcome runInterventions(const PreparedInterventionPtr& prepared, const core::Json& document, const InterventionSettings& settings,
                                     const std::shared_ptr<store::Workspace>& workspace, const intervene::Control& control);

/// The `orrery-cli intervene` line that does the same.
QString interveneCommand(const PreparedIntervention& prepared, const core::Json& document, const InterventionSettings& settings,
                         const QString& workspace);

/// Indices as a person types them ("3", "last", "-1", "1, 2", "2..5") and as a document has them. Text that is neither becomes JSON text, which the check names.
core::Json indexFromText(const QString& text);
QString textFromIndex(const core::Json& index);
/// "head 3, position last"; empty for the whole value.
QString unitText(const core::Json& unit);

/// The document being edited: every change is a step of the session's undo stack. UI thread.
class InterventionsModel : public QObject {
    Q_OBJECT
public:
    explicit InterventionsModel(widgets::Session& session, QObject* parent = nullptr);
    /// {"interventions": [...]}, perhaps with faults: see `issues`.
    const core::Json& document() const { return m_document; }
    const core::Json& entries() const { return m_document["interventions"]; }
    const std::vector<core::Issue>& issues() const { return m_issues; }
    /// Replaces the document as an undo step named `text`; steps of one `field` that follow each other become one (empty: never).
    void edit(const core::Json& document, const QString& text, const QString& field = {});
    void editEntry(int row, const core::Json& entry, const QString& text, const QString& field = {});
    void addEntry(const core::Json& entry);
    void removeEntry(int row);
    void moveEntry(int row, int change);
    /// Without an undo step: state of the last time.
    void restore(const core::Json& document);

Q_SIGNALS:
    void changed();

private:
    class Step;
    void set(const core::Json& document);

    widgets::Session& m_session;
    core::Json m_document;
    std::vector<core::Issue> m_issues;
};

}  // namespace orrery::plugins
