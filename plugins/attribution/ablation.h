#pragma once
#include <QObject>
#include <QPointer>
#include <set>

#include <widgets/background.h>

#include "attribution_model.h"

namespace orrery::widgets {
class Session;
}

namespace orrery::plugins {

/// What was left out by hand: elements of the input that are set to a baseline.
struct LeftOut {
    std::set<std::int64_t> elements;
    double baseline = 0;
    bool operator==(const LeftOut&) const = default;
};

/// The brush: elements of the input set to a baseline by hand, and the model's answer to the rest, computed as it changes. Every change goes through the
/// session's undo stack; those of an earlier subject have no effect any more. UI thread.
class Ablation : public QObject {
    Q_OBJECT
public:
    explicit Ablation(widgets::Session& session, QObject* parent = nullptr);
    ~Ablation() override;

    /// A new subject starts with nothing left out. Null: none.
    void setSubject(const PreparedPtr& subject);
    const PreparedPtr& subject() const { return m_subject; }
    const LeftOut& leftOut() const { return m_leftOut; }
    /// Shows a change at once without putting it on the undo stack: while a stroke goes on.
    void preview(const LeftOut& leftOut);
    /// Ends a stroke: one undo step from what was there before its first preview.
    void commit(const QString& text);
    /// One step: preview and commit.
    void change(const LeftOut& leftOut, const QString& text);
    /// The answer without them; the subject's own while nothing is left out. Behind `leftOut` while `isComputing`.
    const Answer& answer() const { return m_answer; }
    bool isComputing() const { return m_computing; }
    /// For undo commands.
    void apply(const PreparedPtr& subject, const LeftOut& leftOut);

Q_SIGNALS:
    void leftOutChanged();
    void answerChanged();
    void failed(const QString& text);

private:
    void compute();
    void finished();

    widgets::Session& m_session;
    PreparedPtr m_subject;
    LeftOut m_leftOut, m_committed;
    Answer m_answer;
    widgets::BackgroundTask m_task;
    bool m_computing = false, m_again = false;
};

}  // namespace orrery::plugins
