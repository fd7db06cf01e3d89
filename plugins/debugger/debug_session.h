#pragma once
#include <QString>
#include <QStringList>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <core/debug/prompt.h>
#include <core/graph/model.h>
#include <core/store/workspace.h>
#include <core/train/text_batch.h>

namespace orrery::plugins {

/// What is debugged: a model and one input.
struct DebugSubject {
    enum class Input { Example, Sample, Text, File };
    QString model;  ///< MODEL argument
    Input input = Input::Example;
    QString files;                        ///< with blanks between (`FILE` or `NAME=FILE`)
    std::vector<train::GivenText> texts;  ///< several are one batch
    core::Json data;                      ///< data document of the sample; null: the data of `run`
    std::optional<qint64> run;
    QString split = QStringLiteral("test");
    qint64 sample = 0;
    bool training = false;
    bool operator==(const DebugSubject&) const = default;
    /// The options of the command line that mean the same: `--input x.npy`, `--sample 3 --split test`, `--text ...`.
    QStringList arguments() const;
};

/// A subject, opened. Immutable; shared with jobs.
struct DebugModel {
    DebugSubject subject;
    QString modelState;  ///< see widgets::fileState
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;
    std::vector<c10::IValue> inputs;
    QString inputText;  ///< "float32 [1, 1, 8, 8]"
    /// The options of the command line for the input. What a run was trained on needs no description beside the run.
    QStringList inputWords;
};
using DebugModelPtr = std::shared_ptr<const DebugModel>;

/// @param opened  Told of the model before its input is read. @throws what opening the model or data throws; core::InputError for an input that does not fit. Any thread.
DebugModelPtr openDebugSubject(const DebugSubject& subject, const std::shared_ptr<store::Workspace>& workspace,
                               const std::function<void(const graph::Model&)>& opened = {});

/// The last two parts of the path of a file or folder; other models as they are.
QString shortName(const QString& model);
/// With `--workspace FOLDER` where one of the models is a run.
QStringList withWorkspace(QStringList words, const QStringList& models, const QString& workspaceFolder);

/// One value or gradient in the list.
struct DebugValueRow {
    QString name, op, shape, dtype, text;  ///< `text`: what is no tensor
    bool isTensor = false, isEdited = false, isKept = true;
    double minimum = 0, maximum = 0, mean = 0, deviation = 0;  ///< of a gradient `deviation` is its norm
    qint64 notFinite = 0;
    bool operator==(const DebugValueRow&) const = default;
};

struct DebugBreakpoint {
    int id = 0;
    QString text;
    QString wanted;  ///< what follows `break`
    bool enabled = true;
};

/// What is looked for in a model, whatever it runs on.
struct DebugMarks {
    std::vector<std::pair<QString, bool>> breakpoints;  ///< what follows `break`, and whether it is on
    QStringList watches;
    bool empty() const { return breakpoints.empty() && watches.empty(); }
    core::Json toJson() const;
    /// What is no such document counts as nothing.
    static DebugMarks fromJson(const core::Json& json);
};

/// The state of a session at one moment; a value for the UI thread.
struct DebugView {
    QString reply;   ///< what the prompt answered to the last command
    QString place;   ///< where the run stands and why
    QString reason;  ///< as `debug::stopReasonName`
    debug::Position position;
    bool atEnd = false, backward = false;
    QStringList levels;
    int frame = 0;
    bool backwardEnded = false;         ///< no gradient is ahead
    int gradientLine = -1;              ///< in the backward mode: the line of the gradient that was reached last
    QStringList visits;                 ///< names of the steps of the loop or branch that the position is in
    QStringList visitTexts;             ///< the same with operator and operands
    std::vector<int> breakpointVisits;  ///< those at which a breakpoint stops
    std::vector<int> breakpointLines;
    std::vector<DebugBreakpoint> breakpoints;
    std::vector<DebugValueRow> values;  ///< in the order in which they were made; in the backward mode gradients
    std::vector<std::pair<QString, QString>> watches;
    qint64 nodesRun = 0, keptBytes = 0;
    DebugMarks marks() const;
};

/// A value to look at.
struct DebugTensor {
    QString name, title, statistics;
    std::vector<std::int64_t> shape;
    std::vector<float> values;  ///< empty if there are too many, none, or complex ones
    bool isLarge = false;       ///< too many
};

/// A debugging session that is driven from jobs: every call locks, so that one runs at a time. Any thread.
class DebugSession {
public:
    explicit DebugSession(DebugModelPtr model);
    const DebugModelPtr& model() const { return m_model; }
    const debug::ProgramLines& lines() const { return m_lines; }

    /// Breakpoints and watches of a session with the same model that this one takes the place of.
    DebugView takeOver(const DebugSession& before, std::stop_token stop);
    /// Breakpoints and watches that were kept. What names nothing in this model is left out and told in the reply.
    DebugView setMarks(const DebugMarks& marks, std::stop_token stop);
    /// Does a command of the prompt. @throws as `debug::Prompt::run`.
    DebugView command(const QString& line, std::stop_token stop);
    DebugView view(std::stop_token stop);
    /// Goes to a line, or to a step inside the line where the run stands, forwards or back.
    DebugView runToLine(int line, int visit, std::stop_token stop);
    /// Sets a breakpoint on a line or a step inside it, or deletes the one that is there.
    DebugView toggleBreakpoint(int line, int visit);
    /// A value, or in the backward mode a gradient. @throws core::InputError if it is no tensor or not known.
    DebugTensor tensor(const QString& name, std::stop_token stop);
    /// Commands that were given, to do the same on the command line.
    QStringList history() const;

private:
    DebugView look(QString reply, std::stop_token stop);
    void noteMarks();
    DebugValueRow rowOf(const std::string& name);
    /// A step inside the line where the run stands; null: the line itself. @throws core::InputError if the run has left it.
    int lineOfGradient() const;
    const debug::Visit* visitAt(int line, int visit) const;
    DebugModelPtr m_model;
    debug::ProgramLines m_lines;
    mutable std::mutex m_mutex;  ///< guards all below
    debug::Stepper m_stepper;
    debug::Prompt m_prompt;
    std::map<std::string, DebugValueRow> m_rows;  ///< statistics are taken once; an edit clears them
    QStringList m_history;
};

}  // namespace orrery::plugins
